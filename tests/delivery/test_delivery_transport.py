"""The transport: what goes out, what each answer means, and that it ends when it is told to."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.delivery.endpoint_kit import (
    Answer,
    Papers,
    closed_port,
    http_endpoint,
    make_papers,
    raw_endpoint,
    read_request,
    transport_to,
)
from usagetrace.config import Settings
from usagetrace.delivery.backoff import Backoff, retry_after_seconds
from usagetrace.delivery.proxies import proxy_for
from usagetrace.delivery.reply import MOST_BYTES, Reply, read_answer
from usagetrace.delivery.transport import Transport
from usagetrace.errors import ConfigurationError

SECRET = "ghp_" + "a1B2" * 9
PROTOBUF = "application/x-protobuf"


@contextmanager
def silent_address() -> Iterator[tuple[tuple[str, int], list[socket.socket]]]:
    """Give an address that answers nothing to one more connection, its queue being full; and what fills that."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        held: list[socket.socket] = []
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
            held.append(waiting)
        yield listening.getsockname(), held


def answered(status: int, body: bytes = b"", form: str = "", signal: str = "traces", **headers: str) -> Reply:
    """Return what an answer means, at the time 1000."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()} | (
        {"content-type": form} if form else {}
    )
    return read_answer(signal, status, fields, body, now_s=1000.0, path=f"/v1/{signal}")


# --- what goes out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "unpack"),
    [("", gzip.decompress), ("gzip", gzip.decompress), ("deflate", zlib.decompress), ("none", bytes)],
)
def test_a_request_arrives_whole_with_its_headers(compression: str, unpack: Any) -> None:
    """Body, path and form are OTLP's; headers of the environment, of the caller and of the URL's login all arrive."""
    environ = {"OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b, x-other=1=2"}
    body = os.urandom(50_000)
    with http_endpoint() as endpoint:
        url = endpoint.url.replace("://", "://ada:p%40ss@")
        transport = Transport.from_settings(
            Settings(environ=environ), endpoint=f"{url}/in?key=1", headers={"X-Mine": "m"}
        )
        replies = [transport.send("traces", body), transport.send("logs", b"")]
        sent = transport.sent_bytes
        transport.close()
    assert [(reply.kind, reply.message) for reply in replies] == [("accepted", "")] * 2
    first, second = endpoint.seen
    assert (first.path, second.path) == ("/in/v1/traces?key=1", "/in/v1/logs?key=1")
    assert (unpack(first.body), unpack(second.body)) == (body, b"")
    assert sent == len(first.body) + len(second.body)
    wanted = {"content-type": PROTOBUF, "x-team": "a b", "x-other": "1=2", "x-mine": "m",
              "authorization": "Basic YWRhOnBAc3M="}  # fmt: skip
    assert {name: first.headers[name] for name in wanted} == wanted
    assert first.headers.get("content-encoding") == (None if compression == "none" else compression or "gzip")
    assert first.client == second.client, "both go over one connection"
    assert transport.endpoint == f"{endpoint.url}/in"


PREFIX = "OTEL_EXPORTER_OTLP_"
ENDPOINT = {f"{PREFIX}ENDPOINT": "http://a:1"}
ROUTES = {
    "the base": ({f"{PREFIX}ENDPOINT": "http://a:1/x/"}, "http://a:1/x/v1/traces", "http://a:1/x/v1/logs"),
    "a signal's own, as it is": (
        {**ENDPOINT, f"{PREFIX}TRACES_ENDPOINT": "http://b:2/t/"}, "http://b:2/t/", "http://a:1/v1/logs",
    ),
    "beside the only one": (
        {f"{PREFIX}TRACES_ENDPOINT": "http://b/v1/traces?k=1"}, "http://b/v1/traces", "http://b/v1/logs",
    ),
    "nothing beside another path": ({f"{PREFIX}TRACES_ENDPOINT": "http://b:2"}, "http://b:2/", ""),
    "none of one": ({**ENDPOINT, "OTEL_LOGS_EXPORTER": "none"}, "http://a:1/v1/traces", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUTES)
def test_where_each_signal_goes(case: str) -> None:
    """By the standard's precedence; the log records of events go beside the spans where only these have an address."""
    environ, traces, logs = ROUTES[case]
    settings = Settings(environ=environ, otlp_endpoint=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    transport = Transport.from_settings(settings)
    assert (transport.url("traces"), transport.url("logs")) == (traces, logs)
    assert (transport.sends("traces"), transport.sends("logs")) == (True, bool(logs))
    if not logs:
        reply = transport.send("logs", b"")
        assert (reply.kind, reply.fault) == ("misconfigured", "nowhere")


def test_a_signals_own_headers_go_with_what_stands_beside_it() -> None:
    """Log records that go beside the spans show the same credentials."""
    with http_endpoint() as endpoint:
        environ = {f"{PREFIX}TRACES_ENDPOINT": f"{endpoint.url}/v1/traces",
                   f"{PREFIX}TRACES_HEADERS": "authorization=one", f"{PREFIX}HEADERS": "authorization=two"}  # fmt: skip
        assert Transport.from_settings(Settings(environ=environ)).send("logs", b"").kind == "accepted"
    assert [(seen.path, seen.headers["authorization"]) for seen in endpoint.seen] == [("/v1/logs", "one")]


def test_an_endpoint_of_the_settings_goes_before_the_environments() -> None:
    """What code or a file names is used for every signal, as everywhere in this package."""
    settings = Settings(
        environ={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2/t"},
        otlp_endpoint="http://c:3", sources={"otlp_endpoint": "configure(otlp_endpoint=...)"},
    )  # fmt: skip
    assert Transport.from_settings(settings).url("traces") == "http://c:3/v1/traces"


def faults_of(environ: dict[str, str], endpoint: str | None = None) -> list[str]:
    """Return the faults of an environment."""
    with pytest.raises(ConfigurationError) as caught:
        Transport.from_settings(
            Settings(environ=environ, otlp_endpoint=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")), endpoint=endpoint
        )
    assert SECRET not in str(caught.value)
    return list(caught.value.faults)


def test_every_fault_is_named_and_no_credential(tmp_path: Path) -> None:
    """All at once: the variables by name, their values not at all."""
    noise = tmp_path / "noise.pem"
    noise.write_text("noise", "utf-8")
    found = faults_of({
        f"{PREFIX}ENDPOINT": f"https://ada:{SECRET}@a:1", f"{PREFIX}HEADERS": f"a=b,{SECRET}",
        f"{PREFIX}TIMEOUT": SECRET, f"{PREFIX}COMPRESSION": "br" + SECRET, f"{PREFIX}CERTIFICATE": str(noise),
        f"{PREFIX}LOGS_CERTIFICATE": str(tmp_path / "absent.pem"), f"{PREFIX}PROTOCOL": "grpc",
    })  # fmt: skip
    for part in ("HEADERS: entry 2", "TIMEOUT: expected", "COMPRESSION: expected", "CERTIFICATE: the file holds no",
                 "LOGS_CERTIFICATE: the file can't be read", "'grpc' is set"):  # fmt: skip
        assert [fault for fault in found if part in fault], (part, found)


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "ftp://a", "http://", "http://[::1", "http://a:99999", "http://a:0"]
)
def test_an_endpoint_that_is_no_url_is_told(endpoint: str) -> None:
    """Before anything is sent, with what was expected."""
    assert ["expected an URL such as http://localhost:4318" in fault for fault in faults_of({}, endpoint)] == [True]


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({}, "no endpoint is named"),
        (
            {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
            "OTEL_TRACES_EXPORTER: it says none",
        ),
        ({**ENDPOINT, f"{PREFIX}TRACES_PROTOCOL": "grpc"}, f"{PREFIX}TRACES_PROTOCOL"),
        ({**ENDPOINT, f"{PREFIX}PROTOCOL": "http/json"}, "by http/protobuf alone"),
    ],
)
def test_what_can_not_be_sent_is_told(environ: dict[str, str], part: str) -> None:
    """No endpoint, a no for all signals, and a protocol that only the direct way speaks."""
    assert [part in fault for fault in faults_of(environ)] == [True]


def test_an_endpoint_that_is_given_goes_before_the_protocol_that_is_set() -> None:
    """Who names an endpoint for HTTP does not want the other protocol there."""
    settings = Settings(environ={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "none"})
    assert Transport.from_settings(settings, endpoint="http://a:1").url("traces") == "http://a:1/v1/traces"


def test_a_header_that_would_be_two_is_refused() -> None:
    """A line break in a value, also one that is written as in URLs, is a fault and no second header."""
    assert faults_of({"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0ax-evil: 1"}, "http://a:1")
    with pytest.raises(ConfigurationError):
        Transport.from_settings(Settings(environ={}), endpoint="http://a:1", headers={"a": "b\r\nc: d"})


# --- what answers mean -------------------------------------------------------------------------------------------


KINDS = {
    "accepted": (200, 202, 204),
    "retry": (408, 429, 502, 503, 504),
    "too_large": (413,),
    "refused": (400, 409, 418, 422, 500, 599),
    "misconfigured": (301, 302, 307, 308, 401, 403, 404, 405, 407, 410, 415, 421, 426, 431, 501, 505),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_status_has_its_meaning(kind: str) -> None:
    """Over a real connection; each is asked once, redirects included."""
    statuses = KINDS[kind]
    answers = [Answer(status, {"Location": "http://127.0.0.1:1/v1/traces"}) for status in statuses]
    with http_endpoint(*answers) as endpoint:
        transport = transport_to(endpoint.url)
        replies = [transport.send("traces", b"x") for _ in statuses]
        transport.close()
    assert [(reply.kind, reply.status, bool(reply.message)) for reply in replies] == [
        (kind, status, kind != "accepted") for status in statuses
    ]
    assert len(endpoint.seen) == len(statuses)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), (" 0 ", 0.0), ("1.5", 1.5), ("-3", 0.0), ("nan", None), ("inf", None), ("soon", None), ("", None),
     ("Thu, 01 Jan 1970 00:17:10 GMT", 30.0), ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
     ("Thu, 01 Jan 1970 00:17:10 -0000", 30.0), ("Thu, 99 Jan 1970 00:17:10 GMT", None),
     (f"Thu, 01 Jan {'9' * 20} 00:17:10 GMT", None), (f"Thu, 01 Jan 1970 00:17:10 +{'9' * 12}", None)],
)  # fmt: skip
def test_how_long_an_endpoint_asks_to_wait(value: str, seconds: float | None) -> None:
    """Seconds or a date; anything else says nothing."""
    assert answered(503, retry_after=value).retry_after_s == seconds


def response_class(signal: str) -> Any:
    """Return the message that answers a signal."""
    name = {"traces": "trace", "metrics": "metrics", "logs": "logs"}[signal]
    module = import_module(f"opentelemetry.proto.collector.{name}.v1.{name}_service_pb2")
    return getattr(module, f"Export{name.capitalize()}ServiceResponse")


@pytest.mark.parametrize("form", [PROTOBUF, "application/json"])
@pytest.mark.parametrize(
    ("signal", "field"), [("traces", "spans"), ("metrics", "data_points"), ("logs", "log_records")]
)
@pytest.mark.parametrize(("rejected", "said"), [(3, "too old"), (0, "slow down"), (0, "")])
def test_partial_success_is_read(form: str, signal: str, field: str, rejected: int, said: str) -> None:
    """Of each signal in both forms: how many were left out, and the words; all of them redacted."""
    words = f"{said} {SECRET}" if said else ""
    if form == PROTOBUF:
        message = response_class(signal)()
        setattr(message.partial_success, f"rejected_{field}", rejected)
        message.partial_success.error_message = words
        body = message.SerializeToString()
    else:
        name = "rejected" + field.title().replace("_", "")
        body = json.dumps({"partialSuccess": {name: str(rejected), "errorMessage": words}}).encode()
    reply = answered(200, body, form, signal)
    assert (reply.kind, reply.rejected) == ("accepted", rejected)
    assert said in reply.message
    assert SECRET not in reply.message
    assert bool(reply.message) == bool(rejected or said)


@settings(max_examples=40)
@given(st.binary(max_size=300), st.sampled_from([200, 400, 503]), st.sampled_from(["traces", "metrics", "logs"]),
       st.sampled_from([PROTOBUF, "application/json", "text/html", "text/plain", "x/y", ""]))  # fmt: skip
def test_any_body_is_an_answer(body: bytes, status: int, signal: str, form: str) -> None:
    """Nothing that an endpoint writes raises; the status decides, but for a page where there should be none."""
    kind = answered(status, body, form, signal).kind
    assert kind in {200: ("accepted", "misconfigured"), 400: ("refused", "misconfigured"), 503: ("retry",)}[status]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("text/plain; charset=utf-8", f"no: {SECRET}\r\n\x1b[31mred"),
        ("application/json", json.dumps({"code": 3, "message": f"no: {SECRET}\nnext"})),
        ("text/html", f"<html><head><title>no: {SECRET}</title>"),
        (PROTOBUF, ""),
    ],
)
def test_an_endpoints_words_are_redacted_and_one_line(form: str, body: str) -> None:
    """They may echo what was sent, and are shown on a terminal."""
    raw = (
        body.encode()
        or import_module("google.rpc.status_pb2").Status(code=3, message=f"no: {SECRET}").SerializeToString()
    )
    message = answered(400, raw, form).message
    assert message.startswith("did not take the request (HTTP 400): no: ")
    assert SECRET not in message
    assert message.isprintable()


def test_a_long_answer_is_not_read_to_its_end() -> None:
    """However much an endpoint writes, a bounded part is looked at, its words are cut, and the next request works."""
    with http_endpoint(Answer(400, {"Content-Type": "text/plain"}, b"no " * MOST_BYTES), Answer()) as endpoint:
        transport = transport_to(endpoint.url)
        replies = [transport.send("traces", b""), transport.send("traces", b"")]
        transport.close()
    assert [reply.kind for reply in replies] == ["refused", "accepted"]
    assert len(replies[0].message) < 400


# --- what is not there -------------------------------------------------------------------------------------------


def test_nothing_listens_and_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are out of reach, and may be there later."""
    refused = transport_to(f"http://127.0.0.1:{closed_port()}").send("traces", b"")

    def unknown(*_args: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # Not the system's own answer, for which it may ask a server elsewhere.
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    unnamed = transport_to("http://collector.test:1").send("traces", b"")
    assert [(reply.kind, reply.fault, reply.status) for reply in (refused, unnamed)] == [
        ("unreachable", "not_there", None), ("unreachable", "name", None)
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what does not fit into a full queue")
def test_an_address_that_answers_nothing_does_not_hide_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses, the first of them in a network that drops everything: the second one takes it."""
    with http_endpoint() as endpoint, silent_address() as (silent, held):
        there = ("127.0.0.1", urlsplit(endpoint.url).port)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (silent, there)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)
        reply = transport_to("http://collector.test:1", OTEL_EXPORTER_OTLP_TIMEOUT="1").send("traces", b"")
        assert held, "connections are waiting there"
    assert (reply.kind, reply.message, len(endpoint.seen)) == ("accepted", "", 1)


def test_an_endpoint_that_drips_does_not_hold_up_the_sender() -> None:
    """The time is for the whole exchange: a server that sends a byte now and then gets no more of it."""

    def drip(connection: socket.socket) -> None:
        read_request(connection)
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000:
            connection.send(bytes([byte]))
            time.sleep(0.02)

    with raw_endpoint(drip) as url:
        reply = transport_to(url, OTEL_EXPORTER_OTLP_TIMEOUT="0.2").send("traces", b"")
    assert (reply.kind, reply.fault, reply.message) == ("unreachable", "timed_out", "did not answer within 0.2 s")


@pytest.mark.parametrize("moment", ["before", "during"])
def test_close_ends_an_exchange_from_another_thread(moment: str) -> None:
    """The sender is back although the endpoint still keeps silent, and later requests are not begun."""
    came = threading.Event()

    def keep_silent(connection: socket.socket) -> None:
        came.set()
        while connection.recv(65536):
            pass

    with raw_endpoint(keep_silent) as url:
        transport = transport_to(url)
        if moment == "before":
            transport.close()
            reply = transport.send("traces", b"")
            assert not came.is_set()
        else:
            closing = threading.Thread(target=lambda: came.wait(10) and transport.close())
            closing.start()
            # Its own timeout is ten seconds: the test would see another fault then.
            reply = transport.send("traces", b"")
            closing.join()
        again = transport.send("traces", b"")
    assert [(one.kind, one.fault) for one in (reply, again)] == [("unreachable", "stopped")] * 2


def test_a_connection_that_was_closed_while_idle_is_opened_anew() -> None:
    """An endpoint may close what is not used; the request that finds that out is sent again at once."""
    served: list[bytes] = []

    def answer_once(connection: socket.socket) -> None:
        served.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with raw_endpoint(answer_once) as url:
        transport = transport_to(url)
        replies = [transport.send("traces", b"") for _ in range(3)]
        transport.close()
    assert [reply.kind for reply in replies] == ["accepted"] * 3
    assert len(served) == 3


@pytest.mark.parametrize("said", ["", "H", "HTTP/1.1 20"])
def test_a_connection_that_breaks_is_not_asked_twice_by_itself(said: str) -> None:
    """At whatever byte of the answer: whether the request got there is unknown, and the sender decides."""
    came: list[bytes] = []

    def break_off(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(said.encode())

    with raw_endpoint(break_off) as url:
        reply = transport_to(url).send("traces", b"")
    assert (reply.kind, reply.fault, len(came)) == ("unreachable", "broken_off", 1)


@pytest.mark.parametrize(
    "said", ["Content-Le", "Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
)
def test_a_status_counts_although_its_explanation_is_lost(said: str) -> None:
    """What an endpoint took is not sent once more."""

    def answer_half(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{said}".encode())

    with raw_endpoint(answer_half) as url:
        reply = transport_to(url).send("traces", b"")
    assert (reply.kind, reply.status, reply.message) == ("accepted", 200, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_opens_a_connection_of_its_own() -> None:
    """What the parent opened stays the parent's: two can't speak on one line."""
    with http_endpoint() as endpoint:
        transport = transport_to(endpoint.url)
        assert transport.send("traces", b"").kind == "accepted"
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, transport.send("traces", b"").kind.encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as said:
            assert said.read() == b"accepted"
        os.waitpid(child, 0)
        assert transport.send("traces", b"").kind == "accepted"
        transport.close()
    clients = [seen.client for seen in endpoint.seen]
    assert clients[0] == clients[2] != clients[1]


# --- TLS, proxies ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """A certificate for 127.0.0.1, by an authority that nobody knows."""
    return make_papers(tmp_path_factory.mktemp("papers"))


def test_tls_with_an_own_authority_and_a_certificate_to_show(papers: Papers) -> None:
    """The standard variables say whom to trust and what to show; without the latter the endpoint refuses."""
    trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers.authority}
    showing = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": papers.certificate, "OTEL_EXPORTER_OTLP_CLIENT_KEY": papers.key}
    with http_endpoint(context=papers.context(wants_client=True)) as endpoint:
        shown, bare = (transport_to(endpoint.url, **trusting, **more) for more in (showing, {}))
        replies = [shown.send("traces", b"a"), shown.send("logs", b"b"), bare.send("traces", b"c")]
        shown.close()
        bare.close()
    assert [(reply.kind, reply.fault) for reply in replies] == [
        ("accepted", ""), ("accepted", ""), ("misconfigured", "tls_client")
    ]  # fmt: skip
    assert endpoint.seen[0].client == endpoint.seen[1].client


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://a:1/x", {"http_proxy": "http://p:2"}, "http://p:2"),
        ("https://a:1/x", {"http_proxy": "http://p:2"}, None),
        ("https://a/x", {"HTTPS_PROXY": "p:2", "https_proxy": "q:3"}, "http://q:3"),
        ("http://a/x", {"all_proxy": "http://p:2"}, "http://p:2"),
        ("http://a/x", {"HTTP_PROXY": "http://p:2", "REQUEST_METHOD": "GET"}, None),
        ("http://b.example/x", {"http_proxy": "http://p:2", "no_proxy": "a.test, example"}, None),
        ("http://example.test/x", {"http_proxy": "http://p:2", "NO_PROXY": "*"}, None),
        ("http://localhost:1/x", {"http_proxy": "http://p:2"}, None),
        ("http://127.0.0.1:1/x", {"all_proxy": "http://p:2"}, None),
        ("http://a/x", {}, None),
    ],
)
def test_which_proxy_is_asked(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """By the variables that curl and requests read; this machine is never reached through another one."""
    assert proxy_for(url, environ) == proxy


def test_a_proxy_is_asked_with_its_credentials_and_told_apart(papers: Papers) -> None:
    """The request goes to it as a whole; where it wants a login, that is said, and its address is not."""
    with http_endpoint(Answer(200), Answer(407)) as proxy:
        address = proxy.url.replace("://", f"://ada:{SECRET}@")
        plain = transport_to("http://collector.test:4318", http_proxy=address)
        replies = [plain.send("traces", b""), plain.send("traces", b"")]
        plain.close()
        trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers.authority}
        secure = transport_to("https://collector.test:4318", https_proxy=address, **trusting)
        replies.append(secure.send("traces", b""))
        secure.close()
    assert [(reply.kind, reply.fault) for reply in replies] == [
        ("accepted", ""), ("misconfigured", "proxy"), ("misconfigured", "proxy")
    ]  # fmt: skip
    assert proxy.seen[0].path == "http://collector.test:4318/v1/traces"
    assert proxy.seen[2].path == "collector.test:4318"
    assert all("proxy-authorization" in seen.headers for seen in proxy.seen)
    assert SECRET not in "".join(reply.message for reply in replies)


@pytest.mark.parametrize("proxy", ["socks5://{login}127.0.0.1:1", "no:::url", "http://{login}127.0.0.1:99999"])
def test_a_proxy_that_is_none_is_a_fault_of_the_settings(proxy: str) -> None:
    """Nothing is tried again: the sentence says which variables to look at, and shows no password."""
    transport = transport_to("http://collector.test:4318", http_proxy=proxy.format(login=f"ada:{SECRET}@"))
    reply = transport.send("traces", b"")
    assert (reply.kind, reply.fault) == ("misconfigured", "proxy")
    assert reply.message.startswith(
        "is behind a proxy whose address can't be used: expected http://host:port in HTTPS_"
    )


def test_what_a_proxy_does_instead_is_said_in_plain_words(papers: Papers) -> None:
    """Nothing listens there, or it lets nothing through: both may change."""
    away = transport_to("http://collector.test:4318", http_proxy=f"http://127.0.0.1:{closed_port()}")
    replies = [away.send("traces", b"")]
    with http_endpoint(Answer(403)) as proxy:
        trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers.authority}
        strict = transport_to("https://collector.test:4318", https_proxy=proxy.url, **trusting)
        replies.append(strict.send("traces", b""))
        strict.close()
    assert [(reply.kind, reply.fault) for reply in replies] == [("unreachable", "proxy")] * 2
    assert replies[0].message.endswith("could not be used: it is not there: nothing listens at this host and port")
    assert replies[1].message.startswith("is behind a proxy that does not let this through: 403")


@pytest.mark.parametrize("endpoint", ["http://a b", "http://a\\b", "http://<host>:4318", "http://a^b"])
def test_what_can_be_no_hosts_name_is_a_fault_of_the_settings(endpoint: str) -> None:
    """It is told at once, and not looked up again and again."""
    (fault,) = faults_of({}, endpoint)
    assert fault.endswith("can't be used: expected an URL such as http://localhost:4318")


# --- pauses ------------------------------------------------------------------------------------------------------


def test_pauses_double_up_to_their_bound_and_begin_anew() -> None:
    """With every draw at its highest the bounds themselves show."""
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.next() for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    backoff.reset()
    assert backoff.next() == 1


def test_what_the_endpoint_asks_for_goes_first() -> None:
    """Up to the bound, and it counts as a failure too."""
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.next(7.0), backoff.next(1.0), backoff.next(9999.0), backoff.next()] == [7, 1, 300, 8]


def test_an_endpoint_that_asks_for_no_pause_is_not_asked_again_at_once() -> None:
    """``Retry-After: 0``, or a date that is over, is no leave to come back without a pause."""
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.next(0.0), backoff.next(-1.0), backoff.next(0.5), backoff.next(0.0)] == [1, 2, 4, 8]
    assert Backoff(draw=lambda: 0.0).next(0.5) == 0.5


def test_a_pause_is_anywhere_between_nothing_and_its_bound() -> None:
    """Full jitter: the draw decides, however many failures there were, and no number grows too large."""
    draws = [0.0, 0.25, 0.5, 1.0] * 300
    backoff = Backoff(draw=iter(draws).__next__)
    assert [backoff.next() for _ in draws] == [draw * min(300, 2**number) for number, draw in enumerate(draws)]


def test_a_pause_by_a_date_needs_no_clock_of_its_own() -> None:
    """The present is the caller's to say."""
    assert retry_after_seconds("Sun, 06 Nov 1994 08:49:37 GMT", 784111770.0) == 7.0

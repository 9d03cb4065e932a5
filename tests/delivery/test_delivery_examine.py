"""Endpoints are asked, and what is wrong with one is said in plain words. Each server is a real one, on loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

# Its library writes to standard error whenever a connection fails, which is what happens here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs

from tests.delivery.endpoint_kit import (
    Answer,
    Papers,
    closed_port,
    http_endpoint,
    make_papers,
    raw_endpoint,
    read_request,
)
from usagetrace.config import Settings
from usagetrace.delivery.examine import Finding, examine
from usagetrace.errors import ConfigurationError

SECRET = "ghp_" + "c3D4" * 9
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Papers]:
    """Certificates by one authority: a good one, one that has expired, one for another host."""
    folder = tmp_path_factory.mktemp("papers")
    return {
        "good": make_papers(folder),
        "expired": make_papers(folder, days=-1, name="expired"),
        "elsewhere": make_papers(folder, host="DNS:elsewhere.test", name="elsewhere"),
    }


@contextmanager
def grpc_endpoint(papers: Papers | None = None, code: grpc.StatusCode | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Run a receiver of traces by gRPC; yields its address and the metadata of the requests that came.

    Args:
        papers: Speaks TLS with these.
        code: What it answers instead of taking anything.
    """
    came: list[Any] = []

    class Service(stubs.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            came.append(dict(context.invocation_metadata()))
            if code is not None:
                context.abort(code, f"because {SECRET}")
            return messages.ExportTraceServiceResponse()

    pool = ThreadPoolExecutor(2)
    server = grpc.server(pool)
    stubs.add_TraceServiceServicer_to_server(Service(), server)
    if papers is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (Path(papers.key).read_bytes(), Path(papers.certificate).read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield f"127.0.0.1:{port}", came
    finally:
        server.stop(None).wait()
        pool.shutdown()


def asked(url: str, signals: tuple[str, ...] = ("traces",), **environ: str) -> Finding:
    """Ask one endpoint for traces."""
    (found,) = examine(Settings(environ=environ), endpoint=url, signals=signals)
    assert SECRET not in f"{found}"
    return found


def told(found: Finding) -> tuple[bool, str]:
    return found.ok, found.fault


# --- HTTP --------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_is_fine_says_who_it_is() -> None:
    """One empty request a signal, with everything that is set; nothing of anybody's is in it."""
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=1", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    with http_endpoint() as endpoint:
        found = examine(Settings(environ=environ), endpoint=endpoint.url, signals=("traces", "metrics", "logs"))
    assert [(one.signal, one.url, one.ok, one.status) for one in found] == [
        (signal, f"{endpoint.url}/v1/{signal}", True, 200) for signal in ("traces", "metrics", "logs")
    ]
    assert all("answers (HTTP 200, BaseHTTP" in one.message for one in found)
    assert sorted(seen.path for seen in endpoint.seen) == ["/v1/logs", "/v1/metrics", "/v1/traces"]
    assert [(seen.body, seen.headers["x-key"]) for seen in endpoint.seen] == [(b"", "1")] * 3


ANSWERS = {
    "credentials are wanted": (Answer(401), "unauthorized", "asks for credentials"),
    "credentials are wrong": (Answer(403), "forbidden", "does not allow this sender"),
    "nothing is there": (Answer(404), "path", "has nothing at /v1/traces: it is no OTLP receiver"),
    "no POST": (Answer(405), "method", "does not take POST at /v1/traces"),
    "it failed": (Answer(500, {"Content-Type": "text/plain"}, b"oh no"), "server", "failed (HTTP 500): oh no"),
    "it is away": (Answer(503), "busy", "is busy or away (HTTP 503)"),
    "a page for people": (
        Answer(200, {"Content-Type": "text/html"}, b"<title>Sign in</title>"), "html", "a page for people, as a login",
    ),
    "it is elsewhere": (
        Answer(301, {"Location": "https://ada:pw@new.test/v1/traces?key=1"}), "redirect",
        "sends elsewhere to https://new.test/v1/traces, which is never followed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_what_an_answer_says(case: str) -> None:
    """The status, in words that say what to change."""
    answer, fault, words = ANSWERS[case]
    with http_endpoint(answer) as endpoint:
        found = asked(endpoint.url)
    assert (told(found), found.status) == ((False, fault), answer.status)
    assert words in found.message


@pytest.mark.parametrize(
    ("base", "own", "words"),
    [
        ("/v1/traces", "", "/v1/traces is added to the endpoint for all signals, so take /v1/traces out of it"),
        ("/v1/logs/", "", "take /v1/logs out of it"),
        ("", "/", "has nothing at /: /v1/traces is missing, for OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is"),
        ("", "/otlp", "has nothing at /otlp: /v1/traces is missing"),
    ],
)
def test_a_path_that_is_missing_or_doubled(base: str, own: str, words: str) -> None:
    """The two mistakes that the standard's two kinds of endpoint invite."""
    with http_endpoint(Answer(404)) as endpoint:
        if own:
            environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{endpoint.url}{own}"}
            (found,) = examine(Settings(environ=environ), signals=("traces",))
        else:
            found = asked(f"{endpoint.url}{base}")
    assert (told(found), words in found.message) == ((False, "path"), True), found.message


def test_nothing_listens() -> None:
    """The commonest of all."""
    found = asked(f"http://127.0.0.1:{closed_port()}")
    assert (told(found), found.message) == ((False, "not_there"), "is not there: nothing listens at this host and port")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_name_that_nobody_knows(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By either protocol; gRPC has a resolver of its own, and says it in its own words first."""
    real = socket.getaddrinfo

    def unknown(host: Any, *args: Any, **named: Any) -> Any:
        if host == "localhost.":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    # A name that the system knows, so that nobody elsewhere is asked for it; at a port where nothing listens.
    found = asked(f"http://localhost.:{closed_port()}", OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert told(found) == (False, "name")
    assert "has a name that nobody knows" in found.message


def test_nobody_answers() -> None:
    """It takes no longer than the time that is set."""

    def keep_silent(connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            pass

    with raw_endpoint(keep_silent) as url:
        found = asked(url, OTEL_EXPORTER_OTLP_TIMEOUT="0.1")
    assert (told(found), found.message) == ((False, "timed_out"), "did not answer within 0.1 s")


@pytest.mark.parametrize("kind", ["broken_off", "no_http"])
def test_what_is_no_receiver_of_any_kind(kind: str) -> None:
    """Something else listens there: it closes, or writes what is no HTTP."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        if kind == "no_http":
            connection.sendall(b"220 mail.test ESMTP\r\n")

    with raw_endpoint(talk) as url:
        assert told(asked(url)) == (False, kind)


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(
    ("which", "trusted", "fault", "words"),
    [
        ("good", True, "", "answers"),
        ("good", False, "tls_untrusted", "is not trusted here"),
        ("expired", True, "tls_expired", "has expired"),
        ("elsewhere", True, "tls_host", "for another name"),
    ],
)
def test_what_is_wrong_with_a_certificate(
    papers: dict[str, Papers], protocol: str, which: str, trusted: bool, fault: str, words: str
) -> None:
    """Whom to trust is said by the standard variable, for both protocols."""
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers["good"].authority} if trusted else {}
    with ExitStack() as stack:
        if protocol == "grpc":
            address, _ = stack.enter_context(grpc_endpoint(papers[which]))
            found = asked(f"https://{address}", **environ, **GRPC)
        else:
            found = asked(stack.enter_context(http_endpoint(context=papers[which].context())).url, **environ)
    assert (told(found), words in found.message) == ((not fault, fault), True), found.message


def test_plain_http_spoken_to_tls(papers: dict[str, Papers]) -> None:
    """Also where the server only closes the connection, and where it says so over plain HTTP, as Go's does."""
    with http_endpoint(context=papers["good"].context()) as endpoint:
        silent = asked(endpoint.url.replace("https:", "http:"))
    said = Answer(400, {"Content-Type": "text/plain"}, b"Client sent an HTTP request to an HTTPS server.\n")
    with http_endpoint(said) as endpoint:
        talking = asked(endpoint.url)
    assert [told(silent), told(talking)] == [(False, "plain_to_tls")] * 2
    assert "write https://" in silent.message


def test_tls_spoken_to_plain_http(papers: dict[str, Papers]) -> None:
    """Also where the server waits for the rest of what it takes for a line."""

    def wait_for_a_line(connection: socket.socket) -> None:
        said = b""
        while b"\r\n" not in said:
            more = connection.recv(1 << 16)
            if not more:
                return
            said += more
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    trusting = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers["good"].authority}
    with http_endpoint() as endpoint:
        quick = asked(endpoint.url.replace("http:", "https:"), **trusting)
    with raw_endpoint(wait_for_a_line) as url:
        waiting = asked(url.replace("http:", "https:"), OTEL_EXPORTER_OTLP_TIMEOUT="0.15", **trusting)
    assert [told(quick), told(waiting)] == [(False, "tls_to_plain")] * 2
    assert "write http://" in quick.message


# --- gRPC --------------------------------------------------------------------------------------------------------


def test_grpc_that_is_fine() -> None:
    """Where that is the protocol, it is spoken, with the headers that are set."""
    with grpc_endpoint() as (address, came):
        found = asked(f"http://{address}", OTEL_EXPORTER_OTLP_HEADERS="X-Key=1", **GRPC)
        bare = asked(address, OTEL_EXPORTER_OTLP_INSECURE="true", **GRPC)
    assert [told(found), told(bare)] == [(True, "")] * 2
    assert (found.protocol, found.url) == ("grpc", f"http://{address}")
    assert found.message.startswith("answers (gRPC, ")
    assert came[0]["x-key"] == "1"


@pytest.mark.parametrize("secure", [False, True])
def test_http_spoken_to_grpc(papers: dict[str, Papers], secure: bool) -> None:
    """Port 4317 instead of 4318, mostly; by TLS, too."""
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers["good"].authority} if secure else {}
    with grpc_endpoint(papers["good"] if secure else None) as (address, came):
        found = asked(f"http{'s' if secure else ''}://{address}", **environ)
    assert told(found) == (False, "grpc"), found.message
    assert "mostly 4318 where gRPC has 4317" in found.message
    assert came == []


@pytest.mark.parametrize("secure", [False, True])
def test_grpc_spoken_to_http(papers: dict[str, Papers], secure: bool) -> None:
    """The reverse."""
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": papers["good"].authority} if secure else {}
    with http_endpoint(context=papers["good"].context() if secure else None) as endpoint:
        found = asked(endpoint.url, **environ, **GRPC)
    assert told(found) == (False, "grpc_to_http"), found.message
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in found.message
    assert endpoint.seen == []


def test_grpc_with_and_without_tls_mixed_up(papers: dict[str, Papers]) -> None:
    """Both ways, and nothing at all."""
    with grpc_endpoint(papers["good"]) as (address, _):
        plain = asked(f"http://{address}", **GRPC)
    with grpc_endpoint() as (address, _):
        secure = asked(f"https://{address}", OTEL_EXPORTER_OTLP_CERTIFICATE=papers["good"].authority, **GRPC)
    nothing = asked(f"http://127.0.0.1:{closed_port()}", **GRPC)
    assert [told(plain), told(secure), told(nothing)] == [
        (False, "plain_to_tls"), (False, "tls_to_plain"), (False, "not_there")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "unauthorized"),
        (grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy"),
        (grpc.StatusCode.INVALID_ARGUMENT, "refused"),
        (grpc.StatusCode.UNAVAILABLE, "network"),
    ],
)
def test_what_grpc_answers(code: grpc.StatusCode, fault: str) -> None:
    """Its codes, and the server's words, redacted."""
    with grpc_endpoint(code=code) as (address, _):
        found = asked(f"http://{address}", **GRPC)
    assert told(found) == (False, fault)
    assert f"(gRPC {code.name}): because" in found.message


def test_grpc_without_a_service_for_a_signal() -> None:
    """A receiver of traces takes no metrics."""
    with grpc_endpoint() as (address, _):
        found = asked(f"http://{address}", ("metrics",), **GRPC)
    assert (told(found), "has no service for this signal" in found.message) == ((False, "path"), True)


# --- what is asked -----------------------------------------------------------------------------------------------


def test_each_signal_is_asked_where_it_is_sent() -> None:
    """Each by its own endpoint and protocol; a signal that goes nowhere is not asked for."""
    with http_endpoint(Answer(404)) as endpoint, grpc_endpoint() as (address, _):
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{address}",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
            "OTEL_LOGS_EXPORTER": "none",
        }
        settings = Settings(environ=environ, otlp_endpoint=endpoint.url)
        found = examine(settings, signals=("traces", "metrics", "logs"))
    assert [(one.signal, one.protocol, one.ok) for one in found] == [
        ("traces", "grpc", True), ("metrics", "http/protobuf", False)
    ]  # fmt: skip


def test_nothing_to_ask() -> None:
    """Where no endpoint is named, that is said."""
    with pytest.raises(ConfigurationError, match="no endpoint is named"):
        examine(Settings(environ={}))

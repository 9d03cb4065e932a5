"""What the server answers: success in every form that OTLP/HTTP knows, and each refusal with its own status."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.server.running import JSON, PROTOBUF, Running, running, spans
from usagetrace.server.bounds import Bounds

# Small, so that what is too much is quickly made.
BOUNDS = Bounds(body=20_000, decompressed=100_000, waiting_bytes=200_000, body_s=0.3, head_s=0.3)
TOKEN = "t" * 20
# How a request begins that is written by hand.
HEAD = f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\n"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without a token."""
    with running(tmp_path_factory.mktemp("open") / "analytics.db", bounds=BOUNDS) as server:
        yield server


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token."""
    with running(tmp_path_factory.mktemp("closed") / "analytics.db", token=TOKEN, bounds=BOUNDS) as server:
        yield server


def bare(body: bytes) -> bytes:
    """Return a deflate stream without a frame."""
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


def half(body: bytes) -> tuple[bytes, bytes]:
    return body[: len(body) // 2], body[len(body) // 2 :]


ENCODINGS = {
    "none": ("", lambda body: body),
    "identity": ("identity", lambda body: body),
    "gzip": ("gzip", gzip.compress),
    "x-gzip in capitals": ("X-GZIP", gzip.compress),
    "gzip in members": ("gzip", lambda body: b"".join(map(gzip.compress, half(body)))),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_taken(open_server: Running, encoding: str) -> None:
    """A body compressed in any way that OTLP senders know is stored, and the answer is an empty success."""
    header, compress = ENCODINGS[encoding]
    answer = open_server.post(compress(spans(encoding)), content_encoding=header)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")
    assert encoding in open_server.names()


def test_json_is_answered_in_json(open_server: Running) -> None:
    """A request in JSON, with parameters on its type, is stored and answered in JSON."""
    span = {
        "name": "deploy", "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "2",
        "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000250000000", "attributes": [
            {"key": f"usage.{key}", "value": {"stringValue": value}}
            for key, value in (("event.type", "deploy"), ("artifact.name", "in json"), ("artifact.type", "skill"))
        ],
    }  # fmt: skip
    sent = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "usagetrace"}, "spans": [span]}]}]}
    answer = open_server.post(json.dumps(sent).encode(), kind="application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    assert "in json" in open_server.names()


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/v1/logs"])
def test_an_empty_request_is_a_success(open_server: Running, path: str) -> None:
    """A request that holds nothing, as a test of an endpoint sends it, is answered with success."""
    assert open_server.post(b"", path).status == 200
    assert open_server.post(b"{}", path, JSON).json() == {}


def test_what_is_rejected_is_told(open_server: Running) -> None:
    """Of two spans, the one that has no ids is told as rejected; the other one is stored."""
    whole = spans("kept", "bad")
    damaged = whole.replace(b"bad\1\1\1\1\1", b"\0" * 8)
    assert damaged != whole
    answer = open_server.post(damaged)
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert partial.error_message
    assert "kept" in open_server.names()
    assert "bad" not in open_server.names()


def test_spans_of_others_are_accepted_and_not_kept(open_server: Running) -> None:
    """A span of another instrumentation is no fault: success, nothing rejected, counted as ignored."""
    before = open_server.ask("GET", "/health").json()["signals"].get("traces", {}).get("ignored", 0)
    answer = open_server.post(spans("foreign", scope="other").replace(b"usage.", b"other."))
    assert (answer.status, answer.body) == (200, b"")
    assert "foreign" not in open_server.names()
    assert open_server.ask("GET", "/health").json()["signals"]["traces"]["ignored"] == before + 1


def test_what_is_sent_again_counts_once(open_server: Running) -> None:
    """The same request three times: each is a success, and its event is there once."""
    assert [open_server.post(spans("again")).status for _ in range(3)] == [200] * 3
    assert open_server.names().count("again") == 1


MALFORMED = {
    "damaged protobuf": (b"\xff" * 20, ""),
    "cut protobuf": (spans("cut")[:-3], ""),
    "cut gzip": (gzip.compress(spans("cut"))[:-9], "gzip"),
    "no gzip at all": (spans("plain"), "gzip"),
    "empty gzip": (b"", "gzip"),
    "something after gzip": (gzip.compress(b"") + b"more", "gzip"),
    "cut deflate": (zlib.compress(spans("cut"))[:-5], "deflate"),
    "something after deflate": (zlib.compress(spans("x")) + b"more", "deflate"),
    "no deflate at all": (b"\x07\xff\xff", "deflate"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_damaged_body_is_malformed(open_server: Running, case: str) -> None:
    """A body that can't be read is answered with 400 and a Status in protobuf."""
    body, encoding = MALFORMED[case]
    answer = open_server.post(body, content_encoding=encoding)
    assert (answer.status, answer.headers["content-type"]) == (400, PROTOBUF)
    assert answer.message()


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b'{"resourceSpans": 7}', b"\xff\xfe", b'{"resourceSpans":' + b"[" * 5000]
)
def test_damaged_json_is_malformed(open_server: Running, body: bytes) -> None:
    """What is no OTLP in JSON is answered with 400 and a Status in JSON."""
    answer = open_server.post(body, kind=JSON)
    assert (answer.status, answer.json()["code"]) == (400, 3)
    assert answer.message()


TOO_LARGE = {
    "by its length": (b"\0" * 20_001, ""),
    "decompressed": (gzip.compress(b"\0" * 100_001), "gzip"),
    "deflated": (zlib.compress(b"\0" * 100_001), "deflate"),
    "in members": (gzip.compress(b"\0" * 50_001) * 2, "gzip"),
    "far beyond": (gzip.compress(b"\0" * 10_000_000), "gzip"),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_too_much_is_told(open_server: Running, case: str) -> None:
    """A body beyond a bound, as it is sent or once decompressed, is answered with 413; the connection goes on."""
    body, encoding = TOO_LARGE[case]
    answer = open_server.post(body, content_encoding=encoding)
    assert answer.status == 413
    assert "send smaller batches" in answer.message()


def test_too_much_without_a_length(open_server: Running) -> None:
    """A body in chunks, which says nothing of its size, is answered with 413 as soon as it is beyond the bound."""
    chunk = b"1000\r\n" + b"\0" * 4096 + b"\r\n"
    head = f"{HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = open_server.raw(head.encode() + chunk * 6 + b"0\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")


def test_what_is_not_spoken(open_server: Running) -> None:
    """Another content type or encoding is answered with 415, which says what is spoken."""
    other = open_server.post(spans("x"), kind="text/plain")
    assert (other.status, other.headers["accept-post"]) == (415, "application/x-protobuf, application/json")
    encoded = open_server.post(spans("x"), content_encoding="zstd")
    assert (encoded.status, encoded.headers["accept-encoding"]) == (415, "gzip, deflate, identity")
    assert open_server.post(spans("x"), content_encoding="gzip, gzip").status == 415


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/trace", "/v1/traces/", "/v2/traces", "/v1/profiles"])
def test_an_unknown_path(open_server: Running, path: str) -> None:
    """An unknown path is answered with 404 and the paths that there are."""
    answer = open_server.post(spans("x"), path)
    assert answer.status == 404
    assert "/v1/traces" in answer.message()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method(open_server: Running, method: str) -> None:
    """Another method is answered with 405 and the one that there is."""
    answer = open_server.ask(method, "/v1/logs", headers={"Content-Type": JSON})
    assert (answer.status, answer.headers["allow"], answer.json()["code"]) == (405, "POST", 12)


def test_a_body_that_does_not_come(open_server: Running) -> None:
    """A body that stops coming is answered with 408, after the time that a body has."""
    said = open_server.raw(f"{HEAD}Content-Length: 500\r\nConnection: close\r\n\r\nbegin".encode())
    assert said.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed(open_server: Running) -> None:
    """A connection that is no request in time is closed without an answer."""
    begins = [b"", b"POST /v1/tra", b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nA: "]
    with ThreadPoolExecutor(len(begins)) as pool:
        assert list(pool.map(open_server.raw, begins)) == [b""] * len(begins)


def test_a_body_shorter_than_it_said(open_server: Running) -> None:
    """Who goes away in the middle of a body leaves nothing behind, and the next request is answered."""
    open_server.raw(f"{HEAD}Content-Length: 900\r\n\r\n".encode() + spans("short"), end=True)
    assert open_server.post(b"").status == 200
    assert "short" not in open_server.names()
    assert open_server.ask("GET", "/health").json()["waiting"] == {"requests": 0, "bytes": 0}


def test_requests_one_behind_the_other(open_server: Running) -> None:
    """Requests that are sent without waiting for answers are answered in their order."""

    def request(body: bytes, last: bool) -> bytes:
        more = "Connection: close\r\n\r\n" if last else "\r\n"
        return f"{HEAD}Content-Length: {len(body)}\r\n{more}".encode() + body

    bodies = [spans("piped-1"), b"\xff", spans("piped-2")]
    said = open_server.raw(b"".join(request(body, body is bodies[-1]) for body in bodies))
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]
    assert {"piped-1", "piped-2"} <= set(open_server.names())


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.1.7", "[::2]", "localhost.evil"]
)
def test_another_host_is_not_this_server(open_server: Running, host: str) -> None:
    """Without a token a request for another name, as a web page can have a browser send it, is answered with 421."""
    for answer in (open_server.post(spans("x"), host=host), open_server.ask("GET", "/health", headers={"Host": host})):
        assert answer.status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4318", "127.0.0.1:1", "127.9.9.9", "[::1]:4318", "[::1]"])
def test_names_of_this_machine(open_server: Running, host: str) -> None:
    """Without a token the names of loopback are answered, with any port: somebody may have passed it on."""
    assert open_server.post(b"", host=host).status == 200


def test_a_token_is_wanted(closed_server: Running) -> None:
    """Where there is a token, a request without it, or with another one, is answered with 401 and how to say it."""
    wrong = ["", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", f"Bearer x{TOKEN}", TOKEN]
    for said in wrong:
        answer = closed_server.post(spans("x"), authorization=said)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="usagetrace"')
    assert closed_server.names() == []
    assert closed_server.post(spans("let in"), authorization=f"bearer {TOKEN}").status == 200
    assert closed_server.names() == ["let in"]


def test_with_a_token_any_host_is_answered(closed_server: Running) -> None:
    """With a token the name does not matter: whoever knows it may come by any."""
    assert closed_server.post(b"", host="telemetry.example", authorization=f"Bearer {TOKEN}").status == 200


def test_health_tells_strangers_little(closed_server: Running) -> None:
    """Without the token /health says that all is well; with it, what was received too."""
    assert closed_server.ask("GET", "/health", headers={"Host": "pod.example"}).json() == {"status": "ok"}
    known = closed_server.ask("GET", "/health", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert (known["status"], known["waiting"]) == ("ok", {"requests": 0, "bytes": 0})


def test_no_answer_repeats_a_secret(open_server: Running) -> None:
    """Whatever a request holds that can't be taken, no secret of it comes back."""
    secret = "ghp_" + "a1B2c3D4" * 5
    answers = [
        open_server.post(b'{"resourceSpans": "' + secret.encode() + b'"}', kind=JSON),
        open_server.post(b'{"' + secret.encode() + b'": ', kind=JSON),
        open_server.post(secret.encode()),
        open_server.post(b"", kind=f"text/{secret}"),
        open_server.post(b"", content_encoding=secret),
        open_server.post(b"", f"/v1/{secret}"),
        open_server.post(b"", host=secret),
    ]
    assert [answer.status for answer in answers] == [400, 400, 400, 415, 415, 404, 421]
    assert not [answer for answer in answers if secret.encode() in answer.body or secret in str(answer.headers)]


def test_the_store_is_made(tmp_path: Path) -> None:
    """A server makes its database, with its folders, before the first request."""
    database = tmp_path / "new" / "folder" / "analytics.db"
    with running(database) as server:
        assert server.names() == []

"""A receiver that counts the spans it got, and a sender that does not rest until each of its batches was taken.

Both speak OTLP/HTTP over real sockets. They are for pipelines under fault: the sink can be away for a while and come
back on the same port, and a batch that was not acknowledged is sent again. Neither knows what stands between them.
"""

from __future__ import annotations

import gzip
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_TYPE = {"Content-Type": "application/x-protobuf"}


class SpanSink:
    """An OTLP/HTTP receiver that counts how often each span arrived; other signals are taken and forgotten.

    Attributes:
        seen: How often each span id arrived.
        names: The values of ``usage.artifact.name`` that arrived.
        requests: How many requests were answered with 200.
    """

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()
        self.names: set[str] = set()
        self.requests = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    @property
    def endpoint(self) -> str:
        """Where it takes OTLP/HTTP, also while it is away."""
        return f"http://127.0.0.1:{self._port}"

    def take(self, path: str, body: bytes) -> None:
        """Count the spans of a request."""
        if not path.endswith("/v1/traces"):
            return
        request = ExportTraceServiceRequest.FromString(body)
        spans = [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        with self._lock:
            self.requests += 1
            self.seen.update(span.span_id for span in spans)
            for span in spans:
                self.names.update(a.value.string_value for a in span.attributes if a.key == "usage.artifact.name")

    def open(self) -> None:
        """Listen, on the port it had before if it was open before."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that was killed has cut its connection: that is what these tests are for."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be away: connections are refused until it is opened again."""
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many different spans arrived; return also when the time is over."""
        end = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < end:
            time.sleep(0.05)


@contextmanager
def span_sink() -> Iterator[SpanSink]:
    """Run a counting receiver."""
    sink = SpanSink()
    sink.open()
    try:
        yield sink
    finally:
        if sink._server is not None:
            sink.close()


def usage_request(numbers: Iterable[int], scope: str = "usagetrace") -> ExportTraceServiceRequest:
    """Return a request of usage spans: a number is a span's id and a part of its artifact's name."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    service = resource.resource.attributes.add()
    service.key, service.value.string_value = "service.name", "load"
    spans = resource.scope_spans.add()
    spans.scope.name, spans.scope.version = scope, "1"
    now = time.time_ns()
    for number in numbers:
        span = spans.spans.add()
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number + 1).to_bytes(8, "big")
        span.name, span.kind = "deploy", 1
        span.start_time_unix_nano, span.end_time_unix_nano = now, now + 1_000_000
        values = {
            "usage.event.type": "deploy",
            "usage.artifact.name": f"skill-{number}",
            "usage.artifact.type": "skill",
        }
        for key, value in (*values.items(), ("usage.event.category", "usage"), ("usage.project.path", "~/app")):
            attribute = span.attributes.add()
            attribute.key, attribute.value.string_value = key, value
    return request


def post_until_taken(endpoint: str, path: str, body: bytes, patience: float = 120.0) -> None:
    """Send a request again and again, as an exporter does, until it is answered with 200.

    Raises:
        AssertionError: It was refused for good, or not taken in time.
    """
    at, end, wait = urlsplit(endpoint), time.monotonic() + patience, 0.05
    answer = "none"
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=20)
        try:
            connection.request("POST", path, body, _TYPE)
            response = connection.getresponse()
            text = response.read()
            if response.status == 200:
                return
            answer = f"{response.status} {text[:300]!r}"
            assert response.status in (429, 502, 503, 504), f"refused for good: {answer}"
        except (OSError, http.client.HTTPException) as error:
            answer = repr(error)
        finally:
            connection.close()
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(wait * 2, 1.0)
    raise AssertionError(f"not taken in {patience:.0f} s, last answer: {answer}")


def send_spans(endpoint: str, count: int, batch: int = 500, workers: int = 2) -> float:
    """Send usage spans, numbered from 0, until each batch is acknowledged; return the seconds it took."""
    began = time.monotonic()

    def one(first: int) -> None:
        body = usage_request(range(first, min(first + batch, count))).SerializeToString()
        post_until_taken(endpoint, "/v1/traces", body)

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(one, range(0, count, batch)):
            pass
    return time.monotonic() - began

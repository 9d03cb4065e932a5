"""A real OTLP/HTTP server that answers as a script says, and takes what it answers with 200.

A script is a function of one request. It returns what to do: a status, a status with headers, a partial success, or
that the connection is dropped or kept waiting.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.otlp import attributes


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        number: From 0, in the order of arrival.
        path: Its path.
        headers: Its headers.
        items: Each span or log record: its id and its artifact's name.
        size: Bytes of the body, uncompressed.
    """

    number: int
    path: str
    headers: dict[str, str]
    items: list[tuple[str, str]]
    size: int

    @property
    def names(self) -> list[str]:
        """The artifacts' names."""
        return [name for _, name in self.items]


@dataclass(frozen=True)
class Answer:
    """What to do with a request.

    Attributes:
        status: The status; 0 drops the connection, -1 keeps it waiting until the server ends.
        headers: Further headers.
        rejected: How many spans a partial success rejects.
        text: What the answer says.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    rejected: int = 0
    text: str = ""


DROP = Answer(0)
HANG = Answer(-1)
OK = Answer()

Script = Callable[[Request], Answer]


class Scripted:
    """What a server got.

    Attributes:
        endpoint: Where it listens.
        script: What it does; may be exchanged at any time.
        requests: All requests.
        taken: How often each span or record was taken, by its id.
        names: How often each artifact's name was taken.
        paths: How many requests came for each path.
    """

    def __init__(self, script: Script) -> None:
        self.endpoint = ""
        self.script = script
        self.requests: list[Request] = []
        self.taken: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.asked = threading.Event()

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Request:
        """Note a request."""
        with self.lock:
            request = Request(len(self.requests), path, headers, _items(path, body), len(body))
            self.requests.append(request)
            self.paths[path] += 1
        self.asked.set()
        return request

    def take(self, request: Request) -> None:
        """Note that a request was taken."""
        with self.lock:
            self.taken.update(identity for identity, _ in request.items)
            self.names.update(request.names)

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come."""
        deadline = time.monotonic() + 30
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} requests came"
            time.sleep(0.005)


def _items(path: str, body: bytes) -> list[tuple[str, str]]:
    if path.endswith("/v1/traces"):
        traces = ExportTraceServiceRequest.FromString(body)
        spans = [span for r in traces.resource_spans for scope in r.scope_spans for span in scope.spans]
        return [(span.span_id.hex(), _name(attributes(span))) for span in spans]
    logs = ExportLogsServiceRequest.FromString(body)
    records = [record for r in logs.resource_logs for scope in r.scope_logs for record in scope.log_records]
    return [(str(attributes(record)["log.record.uid"]), _name(attributes(record))) for record in records]


def _name(found: dict[str, Any]) -> str:
    return str(found.get("usage.artifact.name", "")) or ",".join(found.get("usage.item.artifact.name", []))


def _body(answer: Answer) -> bytes:
    if not answer.rejected:
        return answer.text.encode()
    partial = ExportTracePartialSuccess(rejected_spans=answer.rejected, error_message=answer.text)
    return bytes(ExportTraceServiceResponse(partial_success=partial).SerializeToString())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Who asks may be killed and come back many times a second.
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet of clients that are gone."""


@contextmanager
def scripted_server(script: Script = lambda _: OK) -> Iterator[Scripted]:
    """Run a server on loopback."""
    scripted = Scripted(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Written at once: between two small pieces the kernel would wait for 40 ms.
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = scripted.read(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            answer = scripted.script(request)
            if answer.status <= 0:
                if answer.status < 0:
                    scripted.over.wait(30)
                self.close_connection = True
                return
            if answer.status == 200:
                scripted.take(request)
            self.send(answer)

        def send(self, answer: Answer) -> None:
            said = _body(answer)
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/plain" if answer.status != 200 else "application/x-protobuf")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    scripted.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        scripted.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

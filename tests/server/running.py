"""A real server on loopback, in a thread of the test's process, and requests as any program may send them."""

from __future__ import annotations

import contextlib
import http.client
import json as jsonlib
import socket
import sqlite3
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from usagetrace import semconv
from usagetrace.otlp.decode import Decoder
from usagetrace.server.access import Access
from usagetrace.server.bounds import Bounds
from usagetrace.server.run import Server

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# What is waited for that another thread does.
PATIENCE_S = 30.0


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return jsonlib.loads(self.body)

    def message(self) -> str:
        """Return the message of a google.rpc.Status, whichever form it is in."""
        if self.headers["content-type"] == JSON:
            return str(self.json()["message"])
        status = Status.FromString(self.body)
        assert status.code
        return str(status.message)


@dataclass
class Running:
    """A server that runs."""

    server: Server
    database: Path
    thread: threading.Thread = field(repr=False)

    @property
    def port(self) -> int:
        """Its port of HTTP."""
        return int(self.server.http.rpartition(":")[2])

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            said = connection.getresponse()
            return Answer(said.status, {key.lower(): value for key, value in said.getheaders()}, said.read())

    def post(self, body: bytes, path: str = "/v1/traces", kind: str = PROTOBUF, **headers: str) -> Answer:
        """Send a body; keywords are headers, with _ for -."""
        more = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.ask("POST", path, body, {"Content-Type": kind, **more})

    def raw(self, sent: bytes, *, end: bool = False) -> bytes:
        """Send bytes, and return what comes until the server closes the connection.

        Args:
            sent: The bytes.
            end: Whether to say that there is no more.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(sent)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def names(self) -> list[str]:
        """Return the names of the artifacts of all events in the store, sorted."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return sorted(name for (name,) in connection.execute("SELECT artifact_name FROM events"))


@contextlib.contextmanager
def running(
    database: Path, *, token: str | None = None, bounds: Bounds | None = None, grpc: bool = False, **more: Any
) -> Iterator[Running]:
    """Run a server of a database until the end of the block, and see that it ends."""
    server = Server(
        database, more.pop("decoder", None) or Decoder(), port=0, grpc_port=0 if grpc else None,
        access=Access(token), bounds=bounds, **more,
    )  # fmt: skip
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield Running(server, database, thread)
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def spans(*names: str, trace: int = 1, scope: str = semconv.SCOPE_NAME, **attributes: str) -> bytes:
    """Return an export request with one span an artifact's name; the ids follow from the name and the trace."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _put(resource.resource, {"service.name": "shop"})
    group = resource.scope_spans.add()
    group.scope.name = scope
    for name in names:
        span = group.spans.add()
        span.name = "deploy"
        span.trace_id = struct.pack(">QQ", trace, 7)
        span.span_id = (name.encode() + b"\1" * 8)[:8] if len(name) < 8 else name[-8:].encode()
        span.start_time_unix_nano = 1_790_000_000_000_000_000
        span.end_time_unix_nano = 1_790_000_000_250_000_000
        _put(span, {
            semconv.EVENT_TYPE: "deploy", semconv.ARTIFACT_NAME: name, semconv.ARTIFACT_TYPE: "skill", **attributes,
        })  # fmt: skip
    return bytes(request.SerializeToString())


def _put(holder: Any, attributes: Mapping[str, str]) -> None:
    for key, value in attributes.items():
        pair = holder.attributes.add()
        pair.key = key
        pair.value.string_value = value


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the lock for writing a database, as another process may."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")

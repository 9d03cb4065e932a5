"""P5: spans acknowledged by `usagetrace serve` over HTTP, each on the disk and known apart, against raw inserts."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from benchmarks.harness import BenchmarkError, Figure, Row, turns
from benchmarks.made import batches, events
from benchmarks.p3_store import BATCH, EVENTS, raw
from benchmarks.world import PATIENCE, expect, home, own_python
from usagetrace import semconv
from usagetrace.events import Event

CONNECTIONS = 4
ROUNDS = 9


def requests(made: Sequence[Event]) -> list[bytes]:
    """Return the bodies of export requests, a batch each, as an SDK sends the spans of these events."""
    return [_request(batch).SerializeToString() for batch in batches(made, BATCH)]


def _request(batch: Sequence[Event]) -> Any:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _put(resource.resource, {"service.name": "bench", "telemetry.sdk.language": "python"})
    scope = resource.scope_spans.add()
    scope.scope.name = semconv.SCOPE_NAME
    for number, event in enumerate(batch):
        span = scope.spans.add()
        span.name = event.event_type
        span.kind = 1
        # An event of local mode may be of no trace; a span always is.
        span.trace_id = bytes.fromhex(event.trace_id or f"{event.span_id}{number:016x}")
        span.span_id = bytes.fromhex(event.span_id or "")
        span.start_time_unix_nano = event.ts_ms * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + int((event.duration_ms or 0) * 1_000_000)
        span.status.code = 2 if event.status == "error" else 0
        _put(span, {
            semconv.EVENT_TYPE: event.event_type,
            semconv.ARTIFACT_NAME: event.artifact_name,
            semconv.ARTIFACT_TYPE: event.artifact_type,
            semconv.COLLECTION_NAME: event.collection_name,
            semconv.PROJECT_PATH: event.project_path,
            semconv.EVENT_CATEGORY: event.category,
            **{semconv.METADATA_PREFIX + key: value for key, value in (event.metadata or {}).items()},
        })  # fmt: skip
    return request


def _put(holder: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = holder.attributes.add()
        pair.key = key
        if isinstance(value, bool):
            pair.value.bool_value = value
        else:
            pair.value.string_value = str(value)


@contextlib.contextmanager
def served(database: Path) -> Iterator[str]:
    """Run a real server of a database; give its host and port."""
    command = [own_python(), "-m", "usagetrace", "--db", str(database), "serve", "--port", "0", "--no-grpc"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline() if process.stderr is not None else ""
        found = re.search(r"http://([0-9.:]+)", said)
        if found is None:
            raise BenchmarkError(f"usagetrace serve: {said}")
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def sent(address: str, bodies: Sequence[bytes]) -> None:
    """Send requests one after the other on one connection; each must be acknowledged.

    Raises:
        BenchmarkError: One was not, or not as a whole.
    """
    connection = http.client.HTTPConnection(address)
    with contextlib.closing(connection):
        for body in bodies:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200 or ExportTraceServiceResponse.FromString(said).HasField("partial_success"):
                raise BenchmarkError(f"a request was answered with {answer.status}: {said!r}")


def received(bodies: Sequence[bytes]) -> float:
    """Return spans a second, from the first byte sent until the last is acknowledged."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        database = Path(folder) / "analytics.db"
        with served(database) as address:
            faults: list[BaseException] = []

            def client(number: int) -> None:
                try:
                    sent(address, bodies[number::CONNECTIONS])
                except (BenchmarkError, OSError, http.client.HTTPException) as error:
                    faults.append(error)

            # What is loaded at the first request is no part of it.
            sent(address, [b""])
            clients = [threading.Thread(target=client, args=(number,)) for number in range(CONNECTIONS)]
            began = time.perf_counter()
            for each in clients:
                each.start()
            for each in clients:
                each.join()
            took = time.perf_counter() - began
            # Sent once more: all of it is known.
            sent(address, bodies[:2])
        if faults:
            raise BenchmarkError(f"{faults[0]}")
        expect(
            database, "SELECT COUNT(*), COUNT(DISTINCT span_id), (SELECT SUM(total_events) FROM usage_summary), "
            "(SELECT SUM(events) FROM usage_daily), (SELECT SUM(operations) FROM duration_daily) FROM events",
            *[EVENTS] * 5,
        )  # fmt: skip
    return EVENTS / took


def measure() -> list[Figure]:
    """Return the figure of P5."""
    made = list(events(EVENTS))
    bodies = requests(made)
    with home():
        ours, theirs = turns(lambda: received(bodies), lambda: raw(made), rounds=ROUNDS)
    row = Row(
        "P5", f"OTLP/HTTP receiver, {CONNECTIONS} connections, batches of {BATCH}, durable and deduplicated",
        "raw `executemany` of the same rows, same indexes, batches of the same size", "spans/s",
    )  # fmt: skip
    return [row.rate(ours, theirs, at_least=0.35)]


ROWS = {"P5": measure}

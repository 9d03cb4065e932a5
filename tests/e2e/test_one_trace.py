"""A tool, the programs that it starts, and the service that those ask, as real processes: one trace."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.otelcol import agent_and_gateway
from tests.support.otlp import Received, attributes, http_receiver
from tests.support.process import bin_path, clean_environment
from usagetrace.places import store_path

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "one-trace"
# A function, and the artifact that it was called with.
Operation = tuple[str, str]
TOOL, CANVAS, FOX = ("__main__.sync", "work"), ("__main__.deploy", "canvas"), ("__main__.deploy", "fox")
# Of each operation: what it is below, and itself.
TREE = [
    (None, TOOL),
    (CANVAS, ("service.upload_skill", "canvas")),
    (FOX, ("service.upload_skill", "fox")),
    (TOOL, CANVAS),
    (TOOL, FOX),
]
# Seconds that a process gets.
PATIENCE = 60.0


@contextmanager
def service(environ: Mapping[str, str]) -> Iterator[str]:
    """Run the service, tracked; yields its URL. It ends as one does that is asked to."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [bin_path("usagetrace"), "run", "--service", "shelf", "--", bin_path("uvicorn"), "service:app",
               "--port", str(port), "--log-level", "warning"]  # fmt: skip
    process = subprocess.Popen(command, cwd=EXAMPLE, env=environ)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, "the service ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < end, "the service does not listen"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def run_tool(environ: Mapping[str, str], url: str) -> str:
    """Run the tool, tracked, its children too; return what it printed."""
    command = [bin_path("usagetrace"), "run", "--follow", "--", sys.executable, "tool.py", "work", "canvas", "fox"]
    done = subprocess.run(
        command, cwd=EXAMPLE, env={**environ, "SHELF_URL": url}, capture_output=True, text=True, timeout=PATIENCE,
        check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def arrived(received: Received, number: int) -> list[Any]:
    """Return the spans that came, as soon as there are so many."""
    end = time.monotonic() + PATIENCE
    while len(received.spans()) < number and time.monotonic() < end:
        time.sleep(0.05)
    return received.spans()


def test_a_tool_its_children_and_a_service_are_one_trace(tmp_path: Path) -> None:
    """By OTLP: one trace id, and each span below the one that caused it, whichever process it is of."""
    with http_receiver() as received:
        # A service that is told to end has no time to send what waits: it does not wait long here.
        environ = clean_environment(
            tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        )
        with service(environ) as url:
            assert run_tool(environ, url) == "work/canvas\nwork/fox\n2 of 2 skills are on the shelf\n"
            spans = arrived(received, 5)
    assert tree_of(spans) == TREE
    assert len({span.trace_id for span in spans}) == 1


def tree_of(spans: list[Any]) -> list[tuple[Operation | None, Operation]]:
    """Return each span's parent and itself: the function and its artifact; a parent that is not there is None."""
    known = {span.span_id: operation_of(span) for span in spans}
    pairs = [(known.get(span.parent_span_id), known[span.span_id]) for span in spans]
    return sorted(pairs, key=lambda pair: (pair[0] or ("", ""), pair[1]))


def operation_of(span: Any) -> Operation:
    said = attributes(span)
    return str(said["code.function.name"]), str(said["usage.artifact.name"])


def test_it_is_one_trace_in_the_file_of_the_gateway(tmp_path: Path) -> None:
    """The same through two Collectors: what the gateway's file exporter has written is the tree."""
    with http_receiver() as received, agent_and_gateway(tmp_path, received.endpoint) as (agent, gateway):
        environ = clean_environment(
            tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": agent.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        )
        written, end = gateway.state / "usage.jsonl", time.monotonic() + PATIENCE
        with service(environ) as url:
            run_tool(environ, url)
            while len(spans_of(written)) < 5 and time.monotonic() < end:
                time.sleep(0.1)
    spans = spans_of(written)
    assert tree_of(spans) == TREE
    assert len({span.trace_id for span in spans}) == 1


def spans_of(file: Path) -> list[Any]:
    """Return the spans in a file of OTLP's JSON, one request a line."""
    # What stands behind the last line's end is being written.
    lines = file.read_text(encoding="utf-8").rpartition("\n")[0].splitlines() if file.exists() else ()
    # Ids are hexadecimal there and base64 in protobuf's own JSON: as texts they tell as much.
    requests = [json_format.Parse(line, ExportTraceServiceRequest()) for line in lines]
    return [
        span for one in requests for kept in one.resource_spans for scope in kept.scope_spans for span in scope.spans
    ]


def test_without_an_endpoint_the_stores_have_one_trace(tmp_path: Path) -> None:
    """Local mode makes no spans, and yet the events of all three programs are of one trace."""
    environ = clean_environment(tmp_path)
    with service(environ) as url:
        run_tool(environ, url)
    rows = [row for name in ("tool", "worker", "shelf") for row in stored(environ, name)]
    assert [row[:2] for row in rows] == [
        ("sync", "work"), ("deploy", "canvas"), ("deploy", "fox"), ("deploy", "canvas"), ("deploy", "fox")
    ]  # fmt: skip
    (trace,) = {row[2] for row in rows}
    assert trace is not None


def stored(environ: Mapping[str, str], name: str) -> list[tuple[Any, ...]]:
    """Return what a program's store holds: type, artifact and trace of each event, oldest first."""
    subprocess.run([bin_path("usagetrace"), "--service", name, "db", "drain"], env=environ, check=True,
                   capture_output=True, timeout=PATIENCE)  # fmt: skip
    with closing(sqlite3.connect(store_path(environ, name))) as connection:
        return connection.execute(
            "SELECT event_type, artifact_name, trace_id FROM events ORDER BY ts_ms, id"
        ).fetchall()

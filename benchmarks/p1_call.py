"""P1: what one tracked call costs in local mode, against one bare OpenTelemetry span."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import usagetrace
from benchmarks.harness import Figure, interleaved, per_call, ratio
from usagetrace import track

CALLS = 500
ROUNDS = 15


class Nowhere(SpanExporter):
    """Takes spans and does nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Do nothing."""
        return SpanExportResult.SUCCESS


@track.deploy(
    artifact_name="$name", artifact_type="$kind", collection_name="$collection", project_path="$project",
    metadata={"version": "$version"},
)  # fmt: skip
def deploy(name: str, kind: str, collection: str, project: str, version: str) -> bool:
    """Do nothing, tracked: eight attributes with the event's type, category, priority and the function's name."""
    return True


@track.deploy
def by_convention(artifact_name: str, artifact_type: str, collection_name: str, project_path: str) -> bool:
    """Do nothing, tracked without a single field named."""
    return True


def measure() -> list[Figure]:
    """Return the figures of P1 and P1b."""
    provider = TracerProvider(resource=Resource({"service.name": "bare"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bare")
    attributes = {f"bare.attribute.{number}": f"value {number}" for number in range(8)}

    def bare() -> None:
        with tracer.start_as_current_span("deploy", attributes=attributes):
            pass

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "analytics.db"
        usagetrace.configure(service_name="bench", db_path=database, enabled=True)
        project = str(Path.home() / "projects" / "shop")
        tracked = per_call(lambda: deploy("canvas", "skill", "default", project, "1.2.0"), CALLS)
        plain = per_call(lambda: by_convention("canvas", "skill", "default", project), CALLS)
        ours, theirs = interleaved(tracked, per_call(bare, CALLS), ROUNDS)
        ours_b, theirs_b = interleaved(plain, per_call(bare, CALLS), ROUNDS)
        usagetrace.shutdown()
        with closing(sqlite3.connect(database)) as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM events").fetchone()
            (paths,) = connection.execute("SELECT COUNT(DISTINCT project_path) FROM events").fetchone()
    provider.shutdown()
    if (count, paths) != (2 * (ROUNDS + 1) * CALLS, 1):
        sys.exit(f"P1: {count} events with {paths} paths in the store")
    return [
        ratio("P1  a call, committed, against a bare span", "us", ours, theirs, at_most=1.0),
        ratio("P1b a call with fields by convention", "us", ours_b, theirs_b, at_most=1.15),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(figure.line())

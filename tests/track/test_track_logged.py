"""Points in time as log events of a provider that an application brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import NoOpLogger
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import usagetrace
from usagetrace import semconv, track
from usagetrace.redaction import default_redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

NOW = 1_700_000_000_123_456_789


class Logs:
    """A real logger provider that keeps what it gets in memory."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))
        self.logger = self.provider.get_logger(semconv.SCOPE_NAME, "0", schema_url=semconv.SCHEMA_URL)

    def sent(self) -> list[Any]:
        """Return the log records as a collector decodes them from their OTLP bytes."""
        encoded = encode_logs(self.exporter.get_finished_logs()).SerializeToString()
        request = ExportLogsServiceRequest.FromString(encoded)
        return [record for r in request.resource_logs for scope in r.scope_logs for record in scope.log_records]


def attributes_of(sent: Any) -> dict[str, Any]:
    """Return the attributes of a decoded log record."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in sent.attributes}


@pytest.fixture
def logs() -> Iterator[Logs]:
    """A logger provider, shut down after the test."""
    made = Logs()
    yield made
    made.provider.shutdown()


@pytest.fixture
def install(spans: Any, logs: Logs) -> Callable[..., None]:
    """Put a runtime in force that has a tracer and a logger."""

    def put(**more: Any) -> None:
        arguments = {"logger": logs.logger, "clock": lambda: NOW, **more}
        runtime.install(Runtime(spans.tracer, spans.meter, default_redactor(), **arguments))

    return put


def test_a_point_in_time_is_a_log_event(spans: Any, logs: Logs, install: Any) -> None:
    """It is named after the event type, has the time, the severity and the redacted attributes that a span would have,
    and survives OTLP; it is no span, and it is counted."""
    install()
    assert usagetrace.record_event("deploy", "canvas", "skill", metadata={"by": "bo@example.org", "size": 3})
    assert usagetrace.record_event("sync", "canvas", "skill", outcome="conflict")
    assert usagetrace.record_event("remove", "easel", "skill", outcome=OSError("planted"))
    assert spans.names == []
    deploy, sync, remove = logs.sent()
    assert [record.event_name for record in (deploy, sync, remove)] == ["usage.deploy", "usage.sync", "usage.remove"]
    assert {record.time_unix_nano for record in (deploy, sync, remove)} == {NOW}
    assert [r.severity_text for r in (deploy, sync, remove)] == ["INFO", "INFO", "ERROR"]
    assert [r.severity_number for r in (deploy, sync, remove)] == [9, 9, 17]
    assert len({attributes_of(record)["log.record.uid"] for record in (deploy, sync, remove)}) == 3
    said = attributes_of(deploy)
    assert len(bytes.fromhex(said.pop("log.record.uid"))) == 8
    assert said == {
        "usage.event.type": "deploy",
        "usage.event.category": "usage",
        "usage.event.priority": "normal",
        "usage.artifact.name": "canvas",
        "usage.artifact.type": "skill",
        "usage.metadata.by": "[redacted:email]",
        "usage.metadata.size": 3,
        "usage.metadata.success": True,
    }
    assert attributes_of(sync)["usage.outcome"] == "conflict"
    assert attributes_of(remove)["error.type"] == "OSError"
    counted = {dict(key)["usage.event.type"]: number for key, number in spans.counts().items()}
    assert counted == {"deploy": 1, "sync": 1, "remove": 1}
    assert spans.points("usage.operation.duration") == []


def test_it_belongs_to_the_span_that_is_current(spans: Any, logs: Logs, install: Any) -> None:
    """Inside an operation, or a span of the program, it has its ids; outside it has none. Operations stay spans."""
    install()
    with spans.tracer.start_as_current_span("request") as request:
        usagetrace.record_event("search", "a", "skill")
        with track.sync(artifact_name="b", artifact_type="skill"):
            inner = trace.get_current_span()
            usagetrace.record_event("search", "b", "skill")
    usagetrace.record_event("search", "c", "skill")
    ids = [span.get_span_context() for span in (request, inner)]
    expected = [(f"{found.trace_id:032x}", f"{found.span_id:016x}") for found in ids]
    assert [(r.trace_id.hex(), r.span_id.hex()) for r in logs.sent()] == [*expected, ("", "")]
    assert spans.names == ["sync", "request"]


@pytest.mark.parametrize("kept", [True, False])
def test_local_rows_as_before(spans: Any, logs: Logs, install: Any, kept: bool) -> None:
    """The local file gets the row that it got without a logger, and says whether the event was recorded; the log event
    has the row's id."""

    def take(rows: Any) -> bool:
        spans.rows.extend(rows)
        return kept

    for logger in (logs.logger, None):
        install(record=take, service_name="shelf", logger=logger)
        with spans.tracer.start_as_current_span("request"):
            assert usagetrace.record_event("remove", "a", "skill", outcome=False) is kept
    logged, spanned = [row[:14] for row in spans.rows]
    assert logged == spanned
    trace_ids = [row[14] for row in spans.rows]
    assert trace_ids[0] == f"{spans.finished[0].get_span_context().trace_id:032x}"
    (sent,) = logs.sent()
    assert attributes_of(sent)["log.record.uid"] == spans.rows[0][15]


def test_a_logger_that_is_off_records_nothing(spans: Any, install: Any) -> None:
    """Where the provider wants no such event, none was recorded."""
    install(logger=NoOpLogger("off"))
    assert usagetrace.record_event("remove", "a", "skill") is False
    assert spans.names == []


def test_a_logger_that_raises_is_no_concern_of_the_program(spans: Any, install: Any) -> None:
    """Nothing is raised; what was counted locally stays counted."""

    class Broken(NoOpLogger):
        def enabled(self, **of: Any) -> bool:
            raise LookupError("planted")

    install(logger=Broken("broken"), record=spans.take)
    assert usagetrace.record_event("remove", "a", "skill")
    assert [row[1] for row in spans.rows] == ["a"]

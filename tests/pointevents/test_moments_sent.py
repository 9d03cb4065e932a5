"""Points in time on the way to an OTLP endpoint, by our own pipeline: what a receiver gets, and what it makes of it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import usagetrace
from tests.support.otlp import Received, attributes, grpc_receiver, http_receiver
from usagetrace import track
from usagetrace.events import Event
from usagetrace.exporters.urgent import Urgent
from usagetrace.otlp.decode import LOGS, Decoder
from usagetrace.payloads import ErrorPayload
from usagetrace.store.catchup import catch_up
from usagetrace.store.intake import Intake
from usagetrace.store.intake import Received as Brought

MAIL = "bo@" + "example.org"


@pytest.fixture
def received() -> Iterator[Received]:
    """Run an OTLP/HTTP receiver."""
    with http_receiver() as got:
        yield got


def configure(received: Received, tmp_path: Path, **more: Any) -> Path:
    """Send to a receiver, beside a local file; return that file."""
    path = tmp_path / "analytics.db"
    usagetrace.configure(service_name="shelf", db_path=path, otlp_endpoint=received.endpoint, metrics="off", **more)
    return path


def _events(path: Path) -> list[tuple[Any, ...]]:
    """Return what the store holds, as the plain tuples of the fields of events."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"SELECT {', '.join(Event._fields)} FROM events ORDER BY id").fetchall()
    place = Event._fields.index("metadata")
    return [(*row[:place], json.loads(row[place]) if row[place] else None, *row[place + 1 :]) for row in found]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_point_in_time_is_a_log_event(tmp_path: Path, protocol: str) -> None:
    """It goes to the endpoint for logs, named after its type, with time, severity, redacted attributes and the span
    that it happened in; calls stay spans."""
    with http_receiver() if protocol == "http/protobuf" else grpc_receiver() as received:
        configure(received, tmp_path, otlp_protocol=protocol)
        assert usagetrace.event("feature_used", {"feature": f"of {MAIL}", "action": "b"}, timestamp=1_700_000_000)
        with track.sync(artifact_name="canvas", artifact_type="skill"):
            assert usagetrace.record_event("remove", "easel", "skill", outcome=OSError("planted"))
        usagetrace.shutdown(10)
    (span,) = received.spans()
    used, removed = received.log_records()
    assert (used.event_name, removed.event_name) == ("usage.feature_used", "usage.remove")
    assert used.time_unix_nano == 1_700_000_000 * 10**9
    assert used.observed_time_unix_nano > used.time_unix_nano
    assert [(r.severity_number, r.severity_text) for r in (used, removed)] == [(9, "INFO"), (17, "ERROR")]
    assert (used.trace_id, used.span_id) == (b"", b"")
    assert (removed.trace_id, removed.span_id) == (span.trace_id, span.span_id)
    said = attributes(used)
    assert len(bytes.fromhex(said.pop("log.record.uid"))) == 8
    assert said == {
        "usage.event.type": "feature_used",
        "usage.event.category": "usage",
        "usage.event.priority": "normal",
        "usage.metadata.feature": "of [redacted:email]",
        "usage.metadata.action": "b",
    }
    assert attributes(removed)["error.type"] == "OSError"
    assert not any(MAIL.encode() in body for body in received.raw)


def test_sent_and_stored_it_is_one_event(received: Received, tmp_path: Path) -> None:
    """What a receiver makes of the log event is the local row, field by field; the same store takes it for known."""
    path = configure(received, tmp_path)
    around = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1))
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(around)))
    try:
        assert usagetrace.event("error_occurred", ErrorPayload("E1", "m"), session_id="s1", artifact_name="x")
    finally:
        otel_context.detach(token)
    assert usagetrace.record_event("sync", "canvas", "skill", "c", "/srv/x", {"deep": {"a": [1, None, "b"]}, "n": 2.5})
    assert usagetrace.record_event("update", "canvas", "skill", outcome="cancelled")
    with track.invoke(artifact_name="outer", artifact_type="skill"):
        assert usagetrace.event("feature_used")
    usagetrace.shutdown(10)
    assert catch_up(path) is not None
    rows = [row for body in received.logs for row in Decoder().decode(LOGS, body.SerializeToString()).rows]
    assert [row[0] for row in rows] == ["error_occurred", "sync", "update", "feature_used"]
    assert rows[0][14] == f"{5:032x}"
    before = _events(path)
    assert sorted(rows, key=repr) == sorted((row for row in before if row[0] != "invoke"), key=repr)
    intake = Intake(path)
    (added,) = intake.add([Brought(rows=rows)])
    intake.close()
    assert (added.added, added.duplicates) == (0, 4)
    assert _events(path) == before


WIDE = {f"key{number}": number for number in range(300)}


def test_an_event_of_many_keys_arrives_whole(received: Received, tmp_path: Path) -> None:
    """The SDK's own limit of 128 attributes takes nothing from it: neither keys, nor what says which event it is."""
    path = configure(received, tmp_path)
    assert usagetrace.event("auth_attempted", WIDE, session_id="s1", artifact_name="door")
    with track.sync(artifact_name="canvas", artifact_type="skill", metadata=WIDE):
        pass
    usagetrace.shutdown(10)
    assert catch_up(path) is not None
    (body,) = received.logs
    (row,) = Decoder().decode(LOGS, body.SerializeToString()).rows
    assert row == _events(path)[0]
    (span,) = received.spans()
    assert attributes(span)["usage.artifact.name"] == "canvas"
    assert len(attributes(span)) > len(WIDE)


def test_where_a_limit_is_set_metadata_goes_first(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the standard variables allow is kept to, and what is left is still that event, in that session."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "20")
    configure(received, tmp_path)
    assert usagetrace.event("auth_attempted", WIDE, session_id="s1", artifact_name="door")
    with track.sync(artifact_name="canvas", artifact_type="skill", metadata=WIDE):
        pass
    usagetrace.shutdown(10)
    (body,) = received.logs
    (row,) = Decoder().decode(LOGS, body.SerializeToString()).rows
    found = dict(zip(Event._fields, row, strict=True))
    assert {name: found[name] for name in ("event_type", "priority", "session_id", "artifact_name")} == {
        "event_type": "auth_attempted", "priority": "high", "session_id": "s1", "artifact_name": "door",
    }  # fmt: skip
    (span,) = received.spans()
    assert (len(attributes(span)), attributes(span)["usage.event.type"]) == (20, "sync")


def test_no_logs_are_no_logs(received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the standard variable says none, points in time stay in the local file, and calls are sent."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    path = configure(received, tmp_path)
    assert usagetrace.event("feature_used")
    with track.sync(artifact_name="canvas"):
        pass
    usagetrace.shutdown(10)
    assert [span.name for span in received.spans()] == ["sync"]
    assert received.logs == []
    assert catch_up(path) is not None
    assert [row[0] for row in _events(path)] == ["feature_used", "sync"]


@pytest.mark.parametrize("logs", [None, "otlp"])
def test_who_said_no_spans_said_no_events(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: str | None
) -> None:
    """Who wants no usage at an endpoint that is set for other programs has said so by the variable for spans; points in
    time are sent only where somebody asked for logs."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    if logs is not None:
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", logs)
    path = configure(received, tmp_path)
    assert usagetrace.event("feature_used")
    usagetrace.shutdown(10)
    assert len(received.raw) == len(received.log_records()) == (0 if logs is None else 1)
    assert catch_up(path) is not None
    assert [row[0] for row in _events(path)] == ["feature_used"]


def test_an_endpoint_for_spans_alone_gets_spans(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has named a place for logs: a point in time is a span that ends when it begins."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{received.endpoint}/v1/traces")
    usagetrace.configure(service_name="shelf", db_path=tmp_path / "a.db")
    assert usagetrace.event("feature_used")
    usagetrace.shutdown(10)
    (span,) = received.spans()
    assert (span.name, span.end_time_unix_nano) == ("feature_used", span.start_time_unix_nano)
    assert received.logs == []


@pytest.mark.parametrize("local", [True, False])
def test_an_endpoint_for_logs_alone_gets_log_events(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    """Its own variable is heard; calls go nowhere, and a point in time inside one has the call's trace all the same."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{received.endpoint}/v1/logs")
    path = tmp_path / "a.db"
    usagetrace.configure(service_name="shelf", db_path=path, local=local)
    with track.sync(artifact_name="canvas"):
        assert usagetrace.event("feature_used")
    usagetrace.shutdown(10)
    assert received.traces == []
    (record,) = received.log_records()
    assert len(record.trace_id) == 16
    if local:
        assert catch_up(path) is not None
        assert {row[14] for row in _events(path)} == {record.trace_id.hex()}
    else:
        assert not path.exists()


def test_a_logger_provider_of_the_application(received: Received, tmp_path: Path) -> None:
    """It gets points in time in place of the endpoint; calls are sent as the settings say."""
    logs = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    path = configure(received, tmp_path, logger_provider=provider)
    assert usagetrace.event("feature_used", {"feature": f"of {MAIL}", "action": "b"})
    with track.sync(artifact_name="canvas"):
        pass
    usagetrace.shutdown(10)
    provider.shutdown()
    (found,) = logs.get_finished_logs()
    assert found.log_record.event_name == "usage.feature_used"
    assert MAIL not in found.to_json()
    assert received.logs == []
    assert [span.name for span in received.spans()] == ["sync"]
    assert catch_up(path) is not None
    assert [row[0] for row in _events(path)] == ["feature_used", "sync"]


def test_a_logger_provider_alone_gets_log_events_without_a_local_file(tmp_path: Path) -> None:
    """It is reason enough to record: no file, no endpoint and no provider of tracers are needed beside it."""
    logs = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    usagetrace.configure(service_name="shelf", db_path=tmp_path / "a.db", local=False, logger_provider=provider)
    assert usagetrace.event("feature_used")
    with track.sync(artifact_name="canvas"):
        assert usagetrace.record_event("remove", "easel", "skill")
    usagetrace.shutdown(10)
    names = [found.log_record.event_name for found in logs.get_finished_logs()]
    assert names == ["usage.feature_used", "usage.remove"]
    assert not (tmp_path / "a.db").exists()


def test_a_tracer_provider_alone_gets_spans(received: Received, tmp_path: Path) -> None:
    """Who hands over a provider of tracers, and none of loggers, gets a span without length; endpoints get nothing."""
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    configure(received, tmp_path, tracer_provider=provider)
    assert usagetrace.event("feature_used")
    usagetrace.shutdown(10)
    provider.shutdown()
    (span,) = spans.get_finished_spans()
    assert (span.name, span.end_time) == ("feature_used", span.start_time)
    assert received.raw == []


def test_a_critical_event_is_sent_at_once(received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the queue's next turn, nor for the end; whoever recorded it waits for neither."""
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "3600000")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    sent = threading.Event()
    urgent = Urgent._run

    def run(self: Urgent) -> None:
        urgent(self)
        sent.set()

    monkeypatch.setattr(Urgent, "_run", run)
    configure(received, tmp_path)
    assert usagetrace.event("feature_used")
    assert not sent.is_set()
    assert usagetrace.event("panic_caught", {"code": "E", "message": "m"})
    assert sent.wait(60)
    assert [record.event_name for record in received.log_records()] == ["usage.feature_used", "usage.panic_caught"]
    sent.clear()
    # As a call, too.
    with track("panic_caught", artifact_name="x"):
        pass
    assert sent.wait(60)
    assert [span.name for span in received.spans()] == ["panic_caught"]
    usagetrace.shutdown(10)


def test_asked_again_meanwhile_it_sends_again() -> None:
    """What is recorded while a delivery is under way is not left for the queue's next turn; one thread is enough."""
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def flush() -> None:
        calls.append(threading.current_thread())
        begun.set()
        assert go_on.wait(60)
        if len(calls) == 1:
            raise RuntimeError("planted: an exporter that fails")

    urgent = Urgent(flush)
    urgent()
    assert begun.wait(60)
    for _ in range(5):
        urgent()
    go_on.set()
    calls[0].join(60)
    assert calls == [calls[0]] * 2


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    """The parent's thread, and the lock that it may have held, are not there: the child sends all the same."""
    done = threading.Event()
    urgent = Urgent(done.set)
    # As a fork leaves it that comes while the thread runs.
    urgent._running = True
    gone = threading.Thread(target=urgent._lock.acquire)
    gone.start()
    gone.join()
    urgent._process = -1
    urgent()
    assert done.wait(60)


def test_a_handler_may_ask_in_the_middle_of_asking() -> None:
    """A signal handler with a critical event, in a thread that is about to ask, does not wait for that thread."""
    done = threading.Event()
    urgent = Urgent(done.set)

    def interrupted() -> None:
        with urgent._lock:
            urgent()

    threading.Thread(target=interrupted, daemon=True).start()
    assert done.wait(10)

"""``SQLiteLogRecordExporter``: log events of a standard provider, stored as our own tracking writes them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import usagetrace
from usagetrace import semconv
from usagetrace.events import Event
from usagetrace.exporters.convert import events_from_log
from usagetrace.exporters.sqlite import SQLiteSpanExporter, submit_sampled
from usagetrace.exporters.sqlite_logs import SQLiteLogRecordExporter
from usagetrace.otlp.decode import LOGS, Decoder
from usagetrace.redaction import default_redactor
from usagetrace.store.catchup import catch_up
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

MAIL = "bo@" + "example.org"
UID = "0123456789abcdef"
NOW = 1_700_000_000_123_456_789
SHOP = Resource({"service.name": "shop"})


def stored(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the events of a store, in the order in which they came."""
    assert catch_up(path) is not None
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {', '.join(columns)} FROM events ORDER BY id").fetchall()


def log(name: str | None = "usage.deploy", *, resource: Resource = SHOP, **fields: Any) -> ReadableLogRecord:
    """Return a log record as a processor hands it to an exporter."""
    given = {"timestamp": NOW, "severity_number": SeverityNumber.INFO, "attributes": {}, **fields}
    return ReadableLogRecord(LogRecord(event_name=name, **given), resource)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the exporter writes."""
    return tmp_path / "store" / "analytics.db"


@pytest.fixture
def exporter(path: Path) -> Iterator[SQLiteLogRecordExporter]:
    """An exporter to that file."""
    made = SQLiteLogRecordExporter(path, retention_days=0)
    yield made
    made.shutdown()


def test_points_in_time_of_a_provider_are_stored(exporter: SQLiteLogRecordExporter, path: Path) -> None:
    """By the standard batch processor: the rows are those that tracking itself would have written, with trace ids."""
    provider = LoggerProvider(SHOP, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    spans = TracerProvider(shutdown_on_exit=False)
    expected: list[Any] = []

    def keep(rows: list[Any]) -> bool:
        expected.extend(rows)
        return True

    arguments: dict[str, Any] = {"logger": provider.get_logger("t"), "record": keep, "service_name": "shop"}
    with runtime.hold(Runtime(spans.get_tracer("t"), None, default_redactor(), **arguments)):
        with spans.get_tracer("t").start_as_current_span("request") as request:
            assert usagetrace.record_event("deploy", f"of {MAIL}", "skill", "c", metadata={"a": [1, {"b": None}]})
        assert usagetrace.record_event("remove", "easel", "skill", outcome=OSError("planted"))
        assert usagetrace.event("tokens_consumed", session_id="s", outcome="cancelled")
    provider.shutdown()
    columns = ("event_type", "artifact_name", "ts_ms", "status", "error_type", "category", "priority", "session_id",
               "service_name", "trace_id", "span_id", "duration_ms")  # fmt: skip
    places = (0, 1, 3, 8, 9, 10, 11, 12, 13, 14, 15, 7)
    found = stored(path, *columns)
    assert found == [tuple(row[place] for place in places) for row in expected]
    assert found[0][1] == "of [redacted:email]"
    assert found[0][9] == f"{request.get_span_context().trace_id:032x}"
    assert stored(path, "metadata")[0] == ('{"a":[1,{"b":null}],"success":true}',)
    assert stored(path, "metadata")[2] == ('{"outcome":"cancelled"}',)


CASES: dict[str, Any] = {
    "named alone": ("usage.page_opened", {}),
    "by attribute": (None, {"attributes": {semconv.EVENT_TYPE: "deploy"}}),
    "known type": ("usage.panic_caught", {}),
    "an error by severity": ("usage.deploy", {"severity_number": SeverityNumber.FATAL2}),
    "an error by type": ("usage.deploy", {"severity_number": None, "attributes": {semconv.ERROR_TYPE: "OSError"}}),
    "an error by outcome": ("usage.deploy", {"attributes": {semconv.OUTCOME: "error"}}),
    "conflict": ("usage.deploy", {"attributes": {semconv.OUTCOME: "conflict"}}),
    "abandoned": ("usage.invoke", {"attributes": {semconv.OUTCOME: "abandoned"}}),
    "several artifacts": ("usage.search", {"attributes": {semconv.ITEM_ARTIFACT_NAME: ["a", "b"]}}),
    "an id of its own kind": ("usage.deploy", {"attributes": {semconv.LOG_RECORD_UID: "01J-some-ulid"}}),
    "no time": ("usage.deploy", {"timestamp": None, "observed_timestamp": NOW}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_reads_as_the_receiver_does(case: str) -> None:
    """Whoever made the log event: our receiver, given its OTLP bytes, makes the same rows of it."""
    name, fields = CASES[case]
    record = log(name, **{**fields, "attributes": {semconv.LOG_RECORD_UID: UID, **fields.get("attributes", {})}})
    decoded = Decoder().decode(LOGS, encode_logs([record]).SerializeToString())
    found = [tuple(event) for event in events_from_log(record, "shop")]
    assert found == [tuple(row) for row in decoded.rows]
    assert found


def test_other_records_are_counted_and_kept_nowhere(exporter: SQLiteLogRecordExporter, path: Path) -> None:
    """Log records of an application, and events of other names, are none of ours; without ours no file is made."""
    others = [log(None, body="usage.deploy"), log("shop.deploy"), log("", attributes={"usage.artifact.name": "a"})]
    assert exporter.export(others) is LogRecordExportResult.SUCCESS
    assert exporter.ignored == 3
    assert exporter.force_flush()
    assert not path.parent.exists()


def test_a_type_that_is_empty_is_no_event(exporter: SQLiteLogRecordExporter, path: Path) -> None:
    """Nothing is stored of it, and the rest of the batch is."""
    assert exporter.export([log("usage. "), log("usage.deploy")]) is LogRecordExportResult.SUCCESS
    assert stored(path, "event_type") == [("deploy",)]


def test_a_record_without_an_id_gets_one(exporter: SQLiteLogRecordExporter, path: Path) -> None:
    """Two of the same content are two events, each with an id; one with the SDK's id has that."""
    exporter.export([log(), log(), log(attributes={semconv.LOG_RECORD_UID: UID})])
    ids = [row[0] for row in stored(path, "span_id")]
    assert len(set(ids)) == 3
    assert ids[2] == UID
    assert {len(each) for each in ids} == {16}


def test_what_can_not_be_redacted_is_dropped(path: Path) -> None:
    """It is counted, and costs the others of its batch nothing."""

    class Refusing:
        policy = None

        def __getattr__(self, name: str) -> Any:
            return getattr(default_redactor(), name)

        def attributes(self, attributes: Any) -> Any:
            if "planted" in attributes:
                raise RuntimeError("planted")
            return attributes

    exporter = SQLiteLogRecordExporter(path, redactor=Refusing(), retention_days=0)  # type: ignore[arg-type]
    assert exporter.export([log(attributes={"planted": 1}), log()]) is LogRecordExportResult.SUCCESS
    assert exporter.dropped == 1
    exporter.shutdown()
    assert len(stored(path, "id")) == 1


def test_after_shutdown_it_fails(exporter: SQLiteLogRecordExporter, path: Path) -> None:
    """What comes too late is refused, as the SDK wants it."""
    exporter.shutdown()
    assert exporter.export([log()]) is LogRecordExportResult.FAILURE
    assert not path.exists()


def test_the_users_no_is_heard(exporter: SQLiteLogRecordExporter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, and the provider is not told of a failure."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    assert exporter.export([log()]) is LogRecordExportResult.SUCCESS
    assert not path.parent.exists()


def test_each_service_has_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path, the settings name the file of the resource's service, as for spans."""
    monkeypatch.setenv("USAGETRACE_RETENTION_DAYS", "0")
    exporter = SQLiteLogRecordExporter()
    provider = LoggerProvider(Resource({"service.name": "easel"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("t").emit(log().log_record)
    provider.shutdown()
    assert stored(tmp_path / "home/.local/share/usagetrace/easel/analytics.db", "service_name") == [("easel",)]


def test_what_sampling_took_is_counted_where_the_spans_go(path: Path) -> None:
    """A call whose span was sampled away is counted in the file of each span exporter that is open, once a file."""
    exporters = [SQLiteSpanExporter(path), SQLiteSpanExporter(path), SQLiteSpanExporter(path.parent / "b.db")]
    row = tuple(Event("view", "canvas", "skill", NOW // 10**6, priority="low", service_name="shop", span_id=UID))
    assert submit_sampled([row], 0, 60_000)
    for exporter in exporters:
        exporter.shutdown()
    for each in (path, path.parent / "b.db"):
        assert stored(each, "id") == []
        with closing(sqlite3.connect(each)) as connection:
            assert connection.execute("SELECT total_events FROM usage_summary").fetchall() == [(1,)]
    assert submit_sampled([row], 0, 60_000) is False


def test_one_is_counted_in_the_middle_of_another(path: Path) -> None:
    """A signal handler's call that a sampler took away, while its thread makes a file's recorder, is counted: neither
    waits for the other, nor for a thread that a fork left behind."""
    exporter = SQLiteSpanExporter(path)
    row = tuple(Event("view", "canvas", "skill", NOW // 10**6, priority="low", service_name="shop", span_id=UID))
    counted: list[bool] = []

    def interrupted() -> None:
        with exporter._lock, exporter._destination._lock:
            counted.append(submit_sampled([row], 0, 60_000))

    asked = threading.Thread(target=interrupted, daemon=True)
    asked.start()
    asked.join(10)
    gone = threading.Thread(target=exporter._lock.acquire, daemon=True)
    gone.start()
    gone.join(10)
    asked = threading.Thread(target=lambda: counted.append(submit_sampled([row], 0, 60_000)), daemon=True)
    asked.start()
    asked.join(10)
    assert counted == [True, True]
    exporter._lock = threading.RLock()
    exporter.shutdown()

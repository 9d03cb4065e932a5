"""Events are written with their summary, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import Event, timestamp_text
from usagetrace.store import MetricPoint, Store
from usagetrace.store.connection import MEMORY

MakeEvent = Callable[..., Event]
Sql = Callable[..., list[tuple[Any, ...]]]

RECOUNT = """
SELECT artifact_name, artifact_type, MIN(timestamp), MAX(timestamp),
    SUM(event_type = 'deploy'), SUM(event_type = 'update'), SUM(event_type = 'sync'), SUM(event_type = 'remove'),
    SUM(event_type = 'search'), COUNT(*), SUM(status = 'error'), MIN(ts_ms), MAX(ts_ms)
FROM events GROUP BY artifact_type, artifact_name ORDER BY artifact_type, artifact_name"""
SUMMARY = "SELECT * FROM usage_summary ORDER BY artifact_type, artifact_name"


def test_every_field_is_kept(path: Path) -> None:
    """Each field of an event is a column of its row; the time is also UTC text, the metadata JSON text."""
    event = Event(
        event_type="sync",
        artifact_name="canvas",
        artifact_type="skill",
        ts_ms=1_763_287_200_123,
        collection_name="default",
        project_path="~/app",
        metadata={"result": "conflict", "nested": {"n": [1, None, "ü"]}},
        duration_ms=12.5,
        status="error",
        error_type="shelf.Broken",
        category="usage",
        priority="high",
        session_id="s1",
        service_name="shelf",
        trace_id="a" * 32,
        span_id="b" * 16,
        item=3,
    )
    with Store(path) as store:
        assert store.write([event]) == [1]
        (row,) = store.get_events()
    assert json.loads(row.pop("metadata")) == event.metadata
    fields = {name: getattr(event, name) for name in Event._fields if name != "metadata"}
    assert row == {"id": 1, "timestamp": "2025-11-16 10:00:00", **fields}


def test_ids_follow_the_events(path: Path, make_event: MakeEvent) -> None:
    """A batch's ids are in its order and go on from the last one, also after removals."""
    with Store(path) as store:
        assert store.write([make_event(name=name) for name in "abc"]) == [1, 2, 3]
        store.connection.execute("DELETE FROM events")
        assert store.write([make_event(name=name) for name in "de"]) == [4, 5]
        assert [row["artifact_name"] for row in store.get_events(event_type="deploy")] == ["e", "d"]
        assert store.write([]) == []


@pytest.mark.parametrize(
    "text",
    ["\ud800", "a\x00b", "\udcff\udc80", "x\ny\r\t\x1b[31m", "\U0001f600", "'; DROP TABLE events; --", "", "e\u0301"],
)
def test_any_text_is_stored(path: Path, text: str, make_event: MakeEvent) -> None:
    """No text of any field fails a write; what SQLite can't hold is replaced, the rest stays as it is."""
    event = make_event(
        text, text, text, collection_name=text, project_path=text, metadata={"k" + text: text}, session_id=text
    )
    with Store(path) as store:
        store.write([event])
        (row,) = store.get_events()
        assert store.connection.execute("SELECT json_valid(metadata) FROM events").fetchone()[0] == 1
    stored = row["artifact_name"]
    replaced = any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)
    assert (stored != text) == replaced
    assert len(stored) == len(text)


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({("a", "tuple"): 1}, {"usagetrace.metadata_error": "TypeError"}),
        ({"when": object}, {"when": "<class 'object'>"}),
    ],
)
def test_odd_metadata_costs_no_other_event(
    path: Path, metadata: dict[Any, Any], kept: object, make_event: MakeEvent
) -> None:
    """Metadata that JSON can't hold is named in its place, and the batch is written."""
    with Store(path) as store:
        store.write([make_event(metadata=metadata), make_event()])
        rows = store.get_events()
    assert [row["metadata"] and json.loads(row["metadata"]) for row in rows] == [None, kept]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(("usagetrace.mark", '",'))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(("a", "b", "usagetrace.mark")), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    batch=st.lists(st.one_of(st.none(), st.dictionaries(st.sampled_from(("a", "usagetrace.mark")), JSON)), max_size=8)
)
def test_metadata_of_a_batch_is_each_events_own(batch: list[dict[str, Any] | None]) -> None:
    """However the metadata of a batch looks, each event's row has the text that the event alone would have."""
    events = [Event("deploy", "canvas", "skill", 1, metadata=metadata) for metadata in batch]
    with Store(MEMORY) as store:
        store.write(events)
        stored = [row[0] for row in store.connection.execute("SELECT metadata FROM events ORDER BY id")]
    assert [text and json.loads(text) for text in stored] == [_storable(event) for event in events]


def _storable(event: Event) -> Any:
    text = event.metadata_json()
    return text and json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


@pytest.mark.parametrize("ts_ms", [-(10**17), -1, 0, 4_102_444_800_000, 10**17])
def test_any_time_is_stored(path: Path, ts_ms: int, make_event: MakeEvent) -> None:
    """A time outside the years 1 to 9999 is stored as the nearest one inside."""
    with Store(path) as store:
        store.write([make_event(ts_ms=ts_ms)])
        (row,) = store.get_events()
    assert row["ts_ms"] == min(max(ts_ms, -62_135_596_800_000), 253_402_300_799_999)
    assert len(row["timestamp"]) == 19


events = st.builds(
    lambda **fields: Event(**fields),
    event_type=st.sampled_from(["deploy", "update", "sync", "remove", "search", "tokens", "invoke"]),
    artifact_name=st.sampled_from(["canvas", "review", "", "ü", "a\0b"]),
    artifact_type=st.sampled_from(["skill", "command", ""]),
    ts_ms=st.integers(0, 4_102_444_800_000),
    status=st.sampled_from(["ok", "error", "abandoned"]),
)


@settings(deadline=None)
@given(st.lists(st.lists(events, max_size=12), max_size=6))
def test_summary_equals_recount(batches: list[list[Event]]) -> None:
    """However events come in batches, the summary is what GROUP BY over them gives."""
    with Store(MEMORY) as store:
        for batch in batches:
            store.write(batch)
        recount = [tuple(row) for row in store.connection.execute(RECOUNT)]
        assert [tuple(row) for row in store.connection.execute(SUMMARY)] == recount
        assert sum(row[9] for row in recount) == sum(map(len, batches))


# --- whole or not at all -----------------------------------------------------------------------------------

POINT = MetricPoint("2025-11-16", "usage.events", "{event}", "shelf", "{}", "sum", 1, 1.0)
WRITES: dict[str, tuple[Callable[[Store], object], str]] = {
    "write": (lambda store: store.write([Event("deploy", "canvas", "skill", 5)]), "events"),
    "record_event": (lambda store: store.record_event("deploy", "canvas", "skill"), "usage_summary"),
    "write_metrics": (lambda store: store.write_metrics([POINT]), "metric_daily"),
    "run_retention": (lambda store: store.run_retention(1, now_ms=10**12), "usagetrace_state"),
}


class Undo(Exception):
    """What a caller raises inside a transaction."""


@contextmanager
def alone(store: Store) -> Iterator[None]:
    yield


@contextmanager
def inside(store: Store) -> Iterator[None]:
    with store.atomic():
        yield


@contextmanager
def nested(store: Store) -> Iterator[None]:
    with store.atomic(), store.atomic():
        yield


@contextmanager
def rolled_back(store: Store) -> Iterator[None]:
    with suppress(Undo), store.atomic():
        yield
        raise Undo


@contextmanager
def inner_rolled_back(store: Store) -> Iterator[None]:
    with store.atomic(), suppress(Undo), store.atomic():
        yield
        raise Undo


@contextmanager
def outer_rolled_back(store: Store) -> Iterator[None]:
    with suppress(Undo), store.atomic():
        with store.atomic():
            yield
        raise Undo


CONTEXTS = {alone: 1, inside: 1, nested: 1, rolled_back: 0, inner_rolled_back: 0, outer_rolled_back: 0}


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.__name__)
def test_transactions(path: Path, sql: Sql, method: str, context: Callable[[Store], Any]) -> None:
    """Each writing method takes part in the transaction around it, and leaves none open."""
    call, table = WRITES[method]
    with Store(path) as store:
        with context(store):
            call(store)
        assert not store.connection.in_transaction
        assert sql(path, f"SELECT COUNT(*) FROM {table}") == [(CONTEXTS[context],)]
        call(store)


def undo_without_transaction(store: Store) -> None:
    with store.atomic():
        store.connection.execute("ROLLBACK")
        raise Undo


def test_the_callers_error_is_not_masked(path: Path) -> None:
    """An error inside a transaction arrives as it was, even where the connection is gone."""
    with Store(path) as store:
        with pytest.raises(sqlite3.IntegrityError), store.atomic():
            raise sqlite3.IntegrityError("mine")
        with pytest.raises(Undo):
            undo_without_transaction(store)


def test_a_failed_write_adds_nothing(path: Path, make_event: MakeEvent) -> None:
    """Where the summary can't be written, the events aren't either."""
    with Store(path) as store:
        store.connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON usage_summary WHEN NEW.artifact_name = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        with pytest.raises(StoreError, match="refused"):
            store.write([make_event(), make_event(name="bad")])
        assert store.get_stats()["total_events"] == 0
        store.write([make_event()])
        assert store.get_stats()["total_events"] == 1


def test_full_disk(path: Path, make_event: MakeEvent) -> None:
    """A full disk is an error with its remedy; when there is space again, writing works again."""
    with Store(path) as store:
        store.write([make_event()])
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreUnavailableError, match="free some space"):
            store.write([make_event(name=f"{n}" * 400) for n in range(200)])
        assert not store.connection.in_transaction
        store.connection.execute("PRAGMA max_page_count=1000000")
        store.write([make_event(name="after")])
        assert store.get_events(artifact_name="after", limit=1)[0]["artifact_name"] == "after"
        rows = [tuple(row) for row in store.connection.execute(SUMMARY)]
        assert rows == [tuple(row) for row in store.connection.execute(RECOUNT)]


def test_another_process_holds_the_lock(path: Path, locked: Callable[[Path], Any], make_event: MakeEvent) -> None:
    """A lock held elsewhere is an error once the timeout is over; afterwards writing works."""
    with Store(path, busy_timeout_ms=30) as store:
        store.write([make_event()])
        with locked(path), pytest.raises(StoreUnavailableError, match="another process"):
            store.write([make_event()])
        store.write([make_event()])
        assert store.get_stats()["total_events"] == 2


WRITE_MANY = """
import sys
from usagetrace.events import Event
from usagetrace.store import Store
name, batches = sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
with Store(sys.argv[1], busy_timeout_ms=60_000) as store:
    for n in range(batches):
        store.write([Event("deploy", "shared", "skill", n * 1000), Event("sync", name, "skill", n, status="error")])
"""


def test_two_processes_write_at_once(path: Path, sql: Sql, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Processes that write at the same time lose and double nothing; the first ones make the file together."""
    processes = [python(WRITE_MANY, path, f"own{n}", 300) for n in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) for process in processes] == [("", "")] * 3
    assert sql(path, "SELECT artifact_name, total_events, error_count FROM usage_summary ORDER BY 1") == [
        ("own0", 300, 300),
        ("own1", 300, 300),
        ("own2", 300, 300),
        ("shared", 900, 0),
    ]
    assert sql(path, SUMMARY) == sql(path, RECOUNT)


def test_threads_share_one_store(path: Path, make_event: MakeEvent) -> None:
    """Threads may use one store at once; none of their events is lost."""
    with Store(path) as store:
        start = threading.Barrier(4)

        def work(number: int) -> None:
            start.wait()
            for _ in range(50):
                store.write([make_event(name=f"t{number}")])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = {row["artifact_name"]: row["total_events"] for row in store.get_usage_summary()}
    assert counts == {f"t{number}": 50 for number in range(4)}


def test_a_closed_store_opens_again(path: Path, make_event: MakeEvent) -> None:
    """Closing lets go of the file; the next use opens it."""
    store = Store(path)
    store.write([make_event()])
    store.close()
    store.close()
    assert not store.is_open
    assert not path.with_name("analytics.db-wal").exists()
    assert store.get_events()[0]["timestamp"] == timestamp_text(1_700_000_000_000)
    store.close()

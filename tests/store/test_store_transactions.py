"""Every writing method of a store in every kind of transaction: rows, summary and rollups are what a recount says."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import StoreError
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.metrics import MetricPoint
from usagetrace.store.queries import DAY_MS
from usagetrace.store.rollups import bucket

NOW = 1_763_287_200_000
OLD = NOW - 200 * DAY_MS
KINDS = ("deploy", "update", "sync", "remove", "search")
POINT = MetricPoint("2025-11-16", "usage.events", "{event}", "shelf", "{}", "sum", 1, 2.0)


def made(name: str, time: int, count: int) -> list[Event]:
    """Return events of several types, kinds, days and sessions."""
    return [
        Event(
            (*KINDS, "view")[n % 6], f"{name}-{n % 3}", ("skill", "command")[n % 2], time + n * DAY_MS // 8,
            duration_ms=(None, 2.0, 700.0)[n % 3], status=("ok", "error", "ok", "abandoned")[n % 4],
            session_id=(None, f"{name}-session-{n % 4}")[n % 2], item=(None, 0, 1)[n % 3],
        )
        for n in range(count)
    ]  # fmt: skip


BASE = [*made("base", NOW - DAY_MS, 25), *made("old", OLD, 25)]


def counted(events: list[Event]) -> dict[str, dict[Any, list[Any]]]:
    """Count events in Python, by the meaning of the tables and none of the store's code."""
    summary: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, *[0] * 5, 2**60, -(2**60)])
    daily: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, 0.0])
    durations: dict[Any, list[Any]] = defaultdict(lambda: [0])
    sessions: dict[Any, list[Any]] = defaultdict(lambda: [2**60, -(2**60), 0, 0])
    for event in events:
        failed = int(event.status == "error")
        row = summary[event.artifact_type, event.artifact_name]
        row[0] += 1
        row[1] += failed
        if event.event_type in KINDS:
            row[2 + KINDS.index(event.event_type)] += 1
        row[7], row[8] = min(row[7], event.ts_ms), max(row[8], event.ts_ms)
        day = event.ts_ms // DAY_MS
        each = daily[day, event.event_type, event.artifact_type, event.artifact_name]
        each[0] += 1
        each[1] += failed
        if event.duration_ms is not None:
            each[2] += 1
            each[3] += event.duration_ms
            if not event.item:
                durations[day, event.event_type, event.artifact_type, bucket(event.duration_ms)][0] += 1
        if event.session_id is not None:
            session = sessions[event.session_id,]
            session[0], session[1] = min(session[0], event.ts_ms), max(session[1], event.ts_ms)
            session[2] += 1
            session[3] += failed
    return {"summary": dict(summary), "daily": dict(daily), "durations": dict(durations), "sessions": dict(sessions)}


TABLES = {
    "summary": (2, "SELECT artifact_type, artifact_name, total_events, error_count, deploy_count, update_count, "
                "sync_count, remove_count, search_count, first_ms, last_ms FROM usage_summary"),
    "daily": (4, "SELECT * FROM usage_daily"),
    "durations": (4, "SELECT * FROM duration_daily"),
    "sessions": (1, "SELECT * FROM sessions"),
}  # fmt: skip


def stored(path: Path) -> dict[str, dict[Any, list[Any]]]:
    """Return what the tables say, read by another connection: what is not committed is not there."""
    with Store(path, read_only=True) as store:
        return {
            name: {tuple(row)[:width]: list(row)[width:] for row in store.connection.execute(query)}
            for name, (width, query) in TABLES.items()
        }


def left(path: Path) -> list[tuple[str, str, int]]:
    with Store(path, read_only=True) as store:
        rows = store.connection.execute("SELECT event_type, artifact_name, ts_ms FROM events ORDER BY ts_ms, id")
        return [tuple(row) for row in rows]


def metric_sum(path: Path) -> float:
    with Store(path, read_only=True) as store:
        return sum(point.sum for point in store.get_metrics())


# --- methods -----------------------------------------------------------------------------------------------

ADDED = made("added", NOW, 40)
RECORDED = Event("deploy", "recorded", "skill", NOW)


class Method:
    """One writing method.

    Args:
        call: Calls it.
        adds: Events that it adds.
        removes_old: Whether it removes old events.
        adds_metric: What it adds to the sum of the metric.
    """

    def __init__(
        self, call: Callable[[Store], object], adds: tuple[Event, ...] = (), *, removes_old: bool = False,
        adds_metric: float = 0.0,
    ) -> None:  # fmt: skip
        self.call = call
        self.adds = adds
        self.removes_old = removes_old
        self.adds_metric = adds_metric


def write_batches(store: Store) -> None:
    for at in range(0, len(ADDED), 7):
        store.write(ADDED[at : at + 7])


def write_and_fail(store: Store) -> None:
    with contextlib.suppress(StoreError):
        store.write([*ADDED, Event("deploy", "bad", "skill", NOW)])


def write_fail_and_write(store: Store) -> None:
    write_and_fail(store)
    store.write(ADDED)


METHODS = {
    "write": Method(lambda store: store.write(ADDED), tuple(ADDED)),
    "write nothing": Method(lambda store: store.write([])),
    "write in batches": Method(write_batches, tuple(ADDED)),
    "record_event": Method(lambda store: store.record_event("deploy", "recorded", "skill", ts_ms=NOW), (RECORDED,)),
    "write_metrics": Method(lambda store: store.write_metrics([POINT, POINT]), adds_metric=4.0),
    "cleanup_old_events": Method(lambda store: store.cleanup_old_events(90, now_ms=NOW), removes_old=True),
    "run_retention": Method(lambda store: store.run_retention(90, now_ms=NOW), removes_old=True),
    "rebuild": Method(lambda store: store.rebuild()),
    "a write that fails": Method(write_and_fail),
    "a write that fails, then one that does not": Method(write_fail_and_write, tuple(ADDED)),
}


# --- transactions ------------------------------------------------------------------------------------------


class Undo(Exception):
    """What a caller raises inside a transaction."""


@contextlib.contextmanager
def alone(store: Store) -> Iterator[None]:
    yield


@contextlib.contextmanager
def inside(store: Store) -> Iterator[None]:
    with store.atomic():
        yield


@contextlib.contextmanager
def nested_twice(store: Store) -> Iterator[None]:
    with store.atomic(), store.atomic(), store.atomic():
        yield


@contextlib.contextmanager
def rolled_back(store: Store) -> Iterator[None]:
    with contextlib.suppress(Undo), store.atomic():
        yield
        raise Undo


@contextlib.contextmanager
def inner_rolled_back(store: Store) -> Iterator[None]:
    with store.atomic(), contextlib.suppress(Undo), store.atomic():
        yield
        raise Undo


@contextlib.contextmanager
def outer_rolled_back(store: Store) -> Iterator[None]:
    with contextlib.suppress(Undo), store.atomic():
        with store.atomic():
            yield
        raise Undo


@contextlib.contextmanager
def sibling_rolled_back(store: Store) -> Iterator[None]:
    with store.atomic():
        with contextlib.suppress(Undo), store.atomic():
            store.record_event("deploy", "sibling", "skill", ts_ms=NOW)
            raise Undo
        yield


def own(begin: str, end: str) -> Callable[[Store], AbstractContextManager[None]]:
    """Return a transaction that the caller runs with SQL of their own."""

    @contextlib.contextmanager
    def run(store: Store) -> Iterator[None]:
        store.connection.execute(begin)
        yield
        for statement in end.split(";"):
            store.connection.execute(statement)

    run.__name__ = f"{begin}, {end}"
    return run


def implicit(end: str) -> Callable[[Store], AbstractContextManager[None]]:
    """Return a transaction that sqlite3 began before the caller's own statement, where it does so."""

    @contextlib.contextmanager
    def run(store: Store) -> Iterator[None]:
        store.connection.execute("UPDATE migrations SET applied_at = applied_at")
        yield
        getattr(store.connection, end)()

    run.__name__ = f"implicit, {end}"
    return run


# Transaction -> whether what happens inside it stays.
CONTEXTS: dict[Callable[[Store], AbstractContextManager[None]], bool] = {
    alone: True, inside: True, nested_twice: True, rolled_back: False, inner_rolled_back: False,
    outer_rolled_back: False, sibling_rolled_back: True, own("BEGIN", "COMMIT"): True, own("BEGIN", "ROLLBACK"): False,
    own("BEGIN IMMEDIATE", "COMMIT"): True, own("BEGIN EXCLUSIVE", "ROLLBACK"): False,
    own("SAVEPOINT mine", "RELEASE mine"): True, own("SAVEPOINT mine", "ROLLBACK TO mine;RELEASE mine"): False,
}  # fmt: skip
IMPLICIT = {implicit("commit"): True, implicit("rollback"): False}
LEVELS = (None, "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")
MATRIX = [
    pytest.param(level, context, stays, id=f"{level or ('none' if level is None else 'empty')}: {context.__name__}")
    for level in LEVELS
    for context, stays in {**CONTEXTS, **({} if level is None else IMPLICIT)}.items()
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("base") / "analytics.db"
    with Store(path) as store:
        store.write(BASE)
        store.connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON usage_summary WHEN NEW.artifact_name = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    return path.read_bytes()


@pytest.fixture
def filled(base: bytes, path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(base)
    return path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("level", "context", "stays"), MATRIX)
def test_rows_and_counts_agree(
    filled: Path, method: str, level: str | None, context: Callable[[Store], Any], stays: bool
) -> None:
    """What a method did stays with its transaction or goes with it, rows, summary, rollups and metrics alike."""
    chosen = METHODS[method]
    with Store(filled, isolation_level=level) as store:
        with context(store):
            chosen.call(store)
        assert not store.connection.in_transaction
    ever = [*BASE, *(chosen.adds if stays else ())]
    expected = counted(ever)
    there = ever
    if chosen.removes_old and stays:
        there = [event for event in ever if event.ts_ms >= NOW - 90 * DAY_MS]
        expected["sessions"] = {
            key: row for key, row in expected["sessions"].items() if row[1] >= NOW - 90 * DAY_MS
        }  # fmt: skip
        assert len(there) < len(ever)
    assert stored(filled) == expected
    assert left(filled) == [(e.event_type, e.artifact_name, e.ts_ms) for e in sorted(there, key=lambda e: e.ts_ms)]
    assert metric_sum(filled) == (chosen.adds_metric if stays else 0.0)


@pytest.mark.parametrize(("level", "context", "stays"), MATRIX)
def test_a_rebuild_puts_right_within_its_transaction(
    filled: Path, level: str | None, context: Callable[[Store], Any], stays: bool
) -> None:
    """Counts that fell short are right after a rebuild whose transaction was committed, and only then."""
    with Store(filled) as store:
        store.connection.execute("DELETE FROM usage_daily WHERE artifact_name = 'base-1'")
        store.connection.execute("UPDATE usage_summary SET total_events = 1")
        store.connection.execute("DELETE FROM sessions")
    damaged = stored(filled)
    with Store(filled, isolation_level=level) as store, context(store):
        assert store.rebuild().differences
    assert stored(filled) == (counted(BASE) if stays else damaged)
    assert damaged != counted(BASE)


REFUSED: dict[str, Callable[[Store, Path], object]] = {
    "migrate": lambda store, _: store.migrate(),
    "rollback": lambda store, _: store.rollback(2),
    "vacuum": lambda store, _: store.vacuum(),
    "backup": lambda store, folder: store.backup(folder),
    "restore": lambda store, folder: store.restore(folder / "copy.db"),
    "cleanup with an archive": lambda store, folder: store.cleanup_old_events(archive=folder / "archive"),
}


@pytest.mark.parametrize("method", REFUSED)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "context", [inside, nested_twice, own("BEGIN", "COMMIT")], ids=lambda context: context.__name__
)
def test_what_can_be_no_part_of_a_transaction(
    filled: Path, tmp_path: Path, method: str, level: str | None, context: Callable[[Store], Any]
) -> None:
    """A method that needs the file for itself is refused inside a transaction, which goes on and is committed."""
    with Store(filled, isolation_level=level) as store, context(store):
        store.write(ADDED[:3])
        with pytest.raises(StoreError):
            REFUSED[method](store, tmp_path)
        assert store.connection.in_transaction
        store.write(ADDED[3:])
    assert stored(filled) == counted([*BASE, *ADDED])


def test_every_writing_method_is_here() -> None:
    """A public method of the store that is in no list of this file reads only, or is named as one that does."""
    reading = {
        "close", "connection", "is_open", "before_fork", "after_fork_in_parent", "after_fork_in_child", "atomic",
        "settle", "check", "path", "vouch", "get_events", "get_usage_summary", "get_top_artifacts", "count_events",
        "get_metrics", "get_stats", "get_totals",
    }  # fmt: skip
    public = {name for name in dir(Store) if not name.startswith("_")}
    named = {"write", "record_event", "write_metrics", "cleanup_old_events", "run_retention", "rebuild"}
    assert public - reading == named | {"migrate", "rollback", "vacuum", "backup", "restore"}
    assert named <= set(METHODS)

"""Old events go, what they counted stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.queries import DAY_MS

NOW = 1_763_287_200_000
AGES = {"young": NOW - DAY_MS, "edge": NOW - 90 * DAY_MS, "old": NOW - 90 * DAY_MS - 1, "ancient": 1, "future": NOW * 2}


@pytest.fixture
def store(path: Path) -> Store:
    with Store(path) as store:
        store.write([Event("deploy", name, "skill", time) for name, time in AGES.items()])
        yield store  # type: ignore[misc]  # a generator fixture is typed by what it yields


def names(store: Store) -> set[str]:
    return {row["artifact_name"] for row in store.get_events(limit=None)}


@pytest.mark.parametrize(
    ("days", "removed"),
    [(90, {"old", "ancient"}), (1, {"old", "ancient", "edge"}), (0, set()), (100_000, set())],
)
def test_cleanup(store: Store, days: int, removed: set[str]) -> None:
    """Events older than the age go, counted in UTC; 0 keeps all; the summary stays."""
    assert store.cleanup_old_events(days, now_ms=NOW) == len(removed)
    assert names(store) == AGES.keys() - removed
    assert len(store.get_usage_summary()) == len(AGES)


def test_negative_age(store: Store) -> None:
    """A negative age is refused, and nothing is removed."""
    with pytest.raises(ValueError, match="non-negative"):
        store.cleanup_old_events(-1)
    assert names(store) == AGES.keys()


def test_unknown_time_stays(store: Store) -> None:
    """An event whose time is unknown is not taken for an old one."""
    store.connection.execute(
        "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp) "
        "VALUES ('deploy', 'when', 'skill', '?')"
    )
    store.cleanup_old_events(1, now_ms=NOW)
    assert "when" in names(store)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 32, 33, 5000])
def test_any_number(path: Path, count: int) -> None:
    """Removal in short transactions removes all, whatever the number."""
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", 5)] * count + [Event("deploy", "b", "skill", NOW)])
        assert store.cleanup_old_events(90, now_ms=NOW) == count
        assert names(store) == {"b"}
        assert [row["total_events"] for row in store.get_usage_summary("a")] == [count] * bool(count)


def test_retention_runs_once_a_day(store: Store, path: Path) -> None:
    """Automatic retention runs once a day over all processes, and again when the clock was set back."""

    def run(now: int, days: int = 90) -> int:
        with Store(path) as another:
            return another.run_retention(days, now_ms=now)

    assert run(NOW) == 2
    store.write([Event("deploy", "late", "skill", 5)])
    assert run(NOW + DAY_MS - 1) == 0
    # The one that was just old enough to stay goes with it.
    assert run(NOW + DAY_MS) == 2
    store.write([Event("deploy", "later", "skill", 6)])
    assert run(NOW, days=0) == 0
    assert run(NOW - 10 * DAY_MS) == 1


def test_retention_can_be_stopped(path: Path) -> None:
    """Retention ends at the next short transaction when it is told to, and goes on where it is asked again."""
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", 5)] * 5000)
        answers = iter([True, True, False])
        removed = store.run_retention(90, now_ms=NOW, may_go_on=lambda: next(answers, False))
        assert 0 < removed < 5000
        assert store.cleanup_old_events(90, now_ms=NOW) == 5000 - removed


def test_another_tools_trigger_that_keeps_rows(path: Path) -> None:
    """A row that a trigger keeps does not stop the removal of the others, nor hold it up for ever."""
    with Store(path) as store:
        store.write([Event("deploy", f"a{n}", "skill", 5 + n) for n in range(100)])
        store.connection.execute(
            "CREATE TRIGGER mine BEFORE DELETE ON events WHEN OLD.artifact_name IN ('a0', 'a40') "
            "BEGIN SELECT RAISE(IGNORE); END"
        )
        assert store.cleanup_old_events(90, now_ms=NOW) == 98
        assert names(store) == {"a0", "a40"}


SESSIONS = {
    "old": ([NOW - 200 * DAY_MS, NOW - 91 * DAY_MS], False),
    "begun before": ([NOW - 91 * DAY_MS, NOW - 89 * DAY_MS], True),
    "young": ([NOW], True),
    "partly unknown": ([0, NOW - 91 * DAY_MS], True),
    "unknown": ([0], True),
    "before 1970": ([-5, -1], False),
    "around 1970": ([-5, 5], True),
}


def test_sessions_go_with_their_last_event(path: Path) -> None:
    """A session goes when its last event is too old; one that may have events left stays, and a rebuild agrees."""
    with Store(path) as store:
        for name, (times, _) in SESSIONS.items():
            store.write([Event("deploy", "a", "skill", time, session_id=name) for time in times])
        store.cleanup_old_events(90, now_ms=NOW)
        left = {row[0] for row in store.connection.execute("SELECT session_id FROM sessions")}
        assert left == {name for name, (_, stays) in SESSIONS.items() if stays}
        assert store.rebuild().differences == []
        assert store.check() == []


def test_counts_stay_for_ever(path: Path) -> None:
    """Summary, daily counts and durations are the same after everything was removed."""
    queries = [f"SELECT * FROM {table}" for table in ("usage_summary", "usage_daily", "duration_daily")]
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", 5 + n * DAY_MS, duration_ms=3.0) for n in range(50)])
        before = [[tuple(row) for row in store.connection.execute(query)] for query in queries]
        assert store.cleanup_old_events(1, now_ms=NOW) == 50
        assert [[tuple(row) for row in store.connection.execute(query)] for query in queries] == before
        assert all(before)


def fill(store: Store) -> None:
    store.write([Event("deploy", "a" * 400, "skill", 5) for _ in range(4000)])
    store.write([Event("deploy", "b", "skill", NOW)] * 300)


def test_free_pages_go_back_after_retention(path: Path) -> None:
    """A new store's file shrinks with its events by itself; about a tenth stays free for events to come."""
    with Store(path) as store:
        fill(store)
        store.vacuum()
        before = path.stat().st_size
        store.cleanup_old_events(90, now_ms=NOW)
        assert path.stat().st_size < before / 4
        pages, free = (
            store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
        )
        assert free == (pages - free) // 10
        store.vacuum()
        assert store.connection.execute("PRAGMA freelist_count").fetchone()[0] == 0
        assert names(store) == {"b"}
        assert store.check() == []


def test_an_older_file_gives_back_after_a_vacuum(path: Path, v1: Any) -> None:
    """A file that was made without it keeps its free pages until a vacuum, which brings it to giving them back."""
    old = v1()
    with Store(old) as store:
        fill(store)
        store.cleanup_old_events(90, now_ms=NOW)
        assert store.connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0
        assert store.connection.execute("PRAGMA freelist_count").fetchone()[0] > 100
        store.vacuum()
        assert store.connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
        fill(store)
        before = old.stat().st_size
        store.cleanup_old_events(90, now_ms=NOW)
        assert old.stat().st_size < before


def test_vacuum(path: Path) -> None:
    """Vacuum gives all space of removed events back, and keeps the others."""
    with Store(path) as store:
        fill(store)
        store.connection.execute("DELETE FROM events WHERE ts_ms = 5")
        before = store.get_stats()["db_size_bytes"]
        store.vacuum()
        assert path.stat().st_size == store.get_stats()["db_size_bytes"] < before / 3
        assert names(store) == {"b"}


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("vacuumed", [True, False])
def test_what_was_removed_is_not_in_the_file_any_more(path: Path, vacuumed: bool) -> None:
    """Texts of removed events are overwritten, in tables and in indexes, whether pages are given back or used again."""
    ids = {"old": [f"{number:016x}" for number in range(10**15, 10**15 + 400)], "young": ["f" * 16]}
    times = {"old": NOW - 200 * DAY_MS, "young": NOW - 1}
    with Store(path) as store:
        for age in ("old", "young"):
            store.write(
                [
                    Event("deploy", "canvas", "skill", times[age], metadata={"of": each}, span_id=each)
                    for each in ids[age]
                ]
            )
    assert all(each.encode() in path.read_bytes() for each in ids["old"])
    with Store(path) as store:
        if vacuumed:
            assert store.cleanup_old_events(90, now_ms=NOW) == 400
        else:
            # As a tool does that deletes by the connection it is given.
            assert store.connection.execute("DELETE FROM events WHERE ts_ms < ?", (NOW - DAY_MS,)).rowcount == 400
            store.connection.commit()
    content = path.read_bytes()
    assert [each for each in ids["old"] if each.encode() in content] == []
    assert ids["young"][0].encode() in content


class Careless(sqlite3.Connection):
    """A connection of a SQLite that was built to leave what is deleted where it is, as most are."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.execute("PRAGMA secure_delete=OFF").fetchone()


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this SQLite was built with, it overwrites nothing unless it is told to."""
    real = sqlite3.connect

    def connect(*arguments: Any, **more: Any) -> sqlite3.Connection:
        return real(*arguments, **{"factory": Careless, **more})

    monkeypatch.setattr(sqlite3, "connect", connect)


@pytest.mark.usefixtures("careless")
def test_what_is_deleted_is_overwritten_by_every_connection_of_a_store(path: Path) -> None:
    """A new database and one that is there already, whatever is the default."""
    for _ in range(2):
        with Store(path) as store:
            assert isinstance(store.connection, Careless)
            assert store.connection.execute("PRAGMA secure_delete").fetchone()[0] == 1

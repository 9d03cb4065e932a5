"""Old events go, what they counted stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.maintenance import BATCH
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


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_batches(path: Path, extra: int) -> None:
    """Removal in batches removes all, whatever the number."""
    count = 2 * BATCH + extra
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", 5)] * count + [Event("deploy", "b", "skill", NOW)])
        assert store.cleanup_old_events(90, now_ms=NOW) == count
        assert names(store) == {"b"}
        assert store.get_usage_summary("a")[0]["total_events"] == count


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
    """Retention ends at the next batch when it is told to."""
    with Store(path) as store:
        store.write([Event("deploy", "a", "skill", 5)] * (3 * BATCH))
        answers = iter([True, False])
        assert store.run_retention(90, now_ms=NOW, may_go_on=lambda: next(answers)) == BATCH


def test_vacuum(path: Path) -> None:
    """Vacuum gives the space of removed events back, and keeps the others."""
    with Store(path) as store:
        store.write([Event("deploy", "a" * 400, "skill", 5) for _ in range(2000)])
        store.write([Event("deploy", "b", "skill", NOW)])
        store.cleanup_old_events(90, now_ms=NOW)
        before = store.get_stats()["db_size_bytes"]
        store.vacuum()
        assert path.stat().st_size == store.get_stats()["db_size_bytes"] < before / 3
        assert names(store) == {"b"}

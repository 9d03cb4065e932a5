"""What the queries return, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.connection import MEMORY
from usagetrace.store.queries import DAY_MS, GROUPS
from usagetrace.store.schema import LATEST

DAY = 1_763_251_200_000  # 2025-11-16 00:00:00 UTC
EVENTS = [
    Event("deploy", "canvas", "skill", DAY, "default", "~/a", {"n": 1}, session_id="s1", service_name="x"),
    Event("sync", "canvas", "skill", DAY + 1, "default", "~/b", status="error", error_type="E", duration_ms=5.0),
    Event("sync", "review", "command", DAY + 1, "team", duration_ms=7.0, session_id="s1"),
    Event("search", "", "", DAY + DAY_MS, None),
    Event("tokens", "gpt", "model", DAY + 2 * DAY_MS - 1, service_name="y", status="abandoned"),
]


@pytest.fixture
def store(path: Path) -> Any:
    with Store(path) as store:
        store.write(EVENTS)
        yield store


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"event_type": "sync"}, [3, 2]),
        ({"artifact_name": "canvas"}, [2, 1]),
        ({"artifact_type": "command"}, [3]),
        ({"collection_name": "default"}, [2, 1]),
        ({"project_path": "~/b"}, [2]),
        ({"status": "error"}, [2]),
        ({"session_id": "s1"}, [3, 1]),
        ({"service_name": "y"}, [5]),
        ({"since_ms": DAY + 1}, [5, 4, 3, 2]),
        ({"until_ms": DAY + 1}, [1]),
        ({"since_ms": DAY + 1, "until_ms": DAY + 2, "event_type": "sync", "artifact_type": "skill"}, [2]),
        ({"artifact_name": ""}, [4]),
        ({"event_type": "nothing"}, []),
        ({"limit": 2}, [5, 4]),
        ({"limit": 2, "offset": 2}, [3, 2]),
        ({"limit": None, "offset": 4}, [1]),
        ({"limit": 0}, []),
        ({"artifact_name": "' OR 1=1 --"}, []),
    ],
)
def test_get_events(store: Store, conditions: dict[str, Any], expected: list[int]) -> None:
    """Every condition narrows, bounds are from included until excluded, newest first, later ids first."""
    assert ids(store.get_events(**conditions)) == expected


def test_metadata_is_json_text(store: Store) -> None:
    """Metadata comes back as the JSON text that is stored."""
    assert json.loads(store.get_events(event_type="deploy")[0]["metadata"]) == {"n": 1}


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 7))
def test_pages_are_stable(times: list[int], size: int) -> None:
    """Pages of any size hold each event once, in the order of the whole."""
    with Store(MEMORY) as store:
        store.write([Event("deploy", "canvas", "skill", time) for time in times])
        whole = ids(store.get_events(limit=None))
        pages = [ids(store.get_events(limit=size, offset=at)) for at in range(0, len(times) + size, size)]
    assert [number for page in pages for number in page] == whole
    assert whole == [number + 1 for _, number in sorted(((t, n) for n, t in enumerate(times)), reverse=True)]


def test_usage_summary(store: Store) -> None:
    """The summary has one row an artifact, the most used first, ties by type and name."""
    names = [(row["artifact_type"], row["artifact_name"]) for row in store.get_usage_summary()]
    assert names == [("skill", "canvas"), ("", ""), ("command", "review"), ("model", "gpt")]
    (row,) = store.get_usage_summary("canvas", "skill")
    assert row == {
        "artifact_name": "canvas", "artifact_type": "skill",
        "first_used": "2025-11-16 00:00:00", "last_used": "2025-11-16 00:00:00",
        "deploy_count": 1, "update_count": 0, "sync_count": 1, "remove_count": 0, "search_count": 0,
        "total_events": 2, "error_count": 1, "first_ms": DAY, "last_ms": DAY + 1,
    }  # fmt: skip
    assert store.get_usage_summary("canvas", "command") == []


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ["canvas", "review", "gpt"]),
        ({"limit": 1}, ["canvas"]),
        ({"artifact_type": "model"}, ["gpt"]),
        ({"event_type": "sync"}, ["review", "canvas"]),
        ({"since_ms": DAY + 2}, ["gpt"]),
        ({"until_ms": DAY + 1}, ["canvas"]),
        ({"since_ms": DAY, "until_ms": DAY + 2, "artifact_type": "skill"}, ["canvas"]),
    ],
)
def test_top(store: Store, conditions: dict[str, Any], expected: list[str]) -> None:
    """The top leaves out events without an artifact; windows and types narrow it; ties go by type, then name."""
    assert [row["artifact_name"] for row in store.get_top_artifacts(**conditions)] == expected


def test_top_of_all_time_equals_summary(store: Store) -> None:
    """Counted from events or read from the summary, the same rows come out while no event was removed."""
    assert store.get_top_artifacts(since_ms=0) == store.get_top_artifacts()


def test_stats(store: Store, path: Path) -> None:
    """Statistics name totals, counts by type, the oldest and newest event, size and schema version."""
    stats = store.get_stats()
    size = stats.pop("db_size_bytes")
    assert stats == {
        "total_events": 5,
        "total_artifacts": 3,
        "event_type_counts": {"sync": 2, "deploy": 1, "search": 1, "tokens": 1},
        "artifact_type_counts": {"skill": 2, "": 1, "command": 1, "model": 1},
        "oldest_event": "2025-11-16 00:00:00",
        "newest_event": "2025-11-17 23:59:59",
        "schema_version": LATEST,
    }
    store.close()
    assert size == path.stat().st_size


def test_stats_of_an_empty_store(path: Path) -> None:
    """An empty store has no oldest event and no counts."""
    with Store(path) as store:
        stats = store.get_stats()
    assert (stats["total_events"], stats["oldest_event"], stats["event_type_counts"]) == (0, None, {})


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((), [(5, 1)]),
        (("day",), [("2025-11-16", 3, 1), ("2025-11-17", 2, 0)]),
        (("status",), [("abandoned", 1, 0), ("error", 1, 1), ("ok", 3, 0)]),
        (
            ("day", "event_type"),
            [
                ("2025-11-16", "deploy", 1, 0),
                ("2025-11-16", "sync", 2, 1),
                ("2025-11-17", "search", 1, 0),
                ("2025-11-17", "tokens", 1, 0),
            ],
        ),
    ],
)
def test_count_events(store: Store, by: tuple[str, ...], expected: list[tuple[Any, ...]]) -> None:
    """Events are counted in groups, in the groups' order."""
    rows = store.count_events(by)
    assert [(*(row[name] for name in by), row["events"], row["errors"]) for row in rows] == expected


def test_count_durations(store: Store) -> None:
    """Groups tell how many of their events have a duration, and the sum of those."""
    assert store.count_events(["event_type"], event_type="sync") == [
        {"event_type": "sync", "events": 2, "errors": 1, "timed": 2, "duration_ms": 12.0}
    ]


def test_count_of_nothing(store: Store) -> None:
    """A window without events has a total of 0, and no groups."""
    assert store.count_events(since_ms=10**15) == [{"events": 0, "errors": 0, "timed": 0, "duration_ms": None}]
    assert store.count_events(["day"], since_ms=10**15) == []


def test_days_before_1970(path: Path) -> None:
    """A day before 1970 is the day in UTC too."""
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", -1), Event("deploy", "canvas", "skill", -DAY_MS)])
        assert [row["day"] for row in store.count_events(["day"])] == ["1969-12-31"]


def test_unknown_group(store: Store) -> None:
    """A name that events can't be grouped by is refused with the names that can."""
    with pytest.raises(ValueError, match="event_type") as caught:
        store.count_events(["metadata); DROP TABLE events"])
    assert all(name in str(caught.value) for name in GROUPS)


def test_recent_events_need_no_sort(store: Store) -> None:
    """The newest events of a large store are read along an index, without sorting the whole."""
    plan = store.connection.execute("EXPLAIN QUERY PLAN SELECT * FROM events ORDER BY ts_ms DESC, id DESC LIMIT 9")
    assert [row[3] for row in plan] == ["SCAN events USING INDEX idx_events_ts_ms"]


def test_reading_while_another_process_writes(path: Path, locked: Callable[[Path], Any], store: Store) -> None:
    """A reader does not wait for a writer."""
    import sqlite3

    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert len(store.get_events()) == 5
    finally:
        other.execute("ROLLBACK")
        other.close()

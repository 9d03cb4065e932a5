"""A rebuild finds what falls short, puts it right, and lowers nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.rebuild import Difference

DAY = 86_400_000
NOON = 1_763_294_400_000
FIRST = 20_408


@pytest.fixture
def store(path: Path) -> Any:
    """A store with two days of one artifact, in one session."""
    with Store(path) as made:
        made.write(
            [
                Event("deploy", "canvas", "skill", NOON + day * DAY, duration_ms=5.0, status=status, session_id="s")
                for day in (0, 1)
                for status in ("ok", "error")
            ]
        )
        yield made


def rows(store: Store, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]


USAGE = (FIRST, "deploy", "skill", "canvas")
CANVAS = ("skill", "canvas")
DAMAGE: dict[str, tuple[str, Difference]] = {
    "events": ("UPDATE usage_daily SET events = 1 WHERE day = 20408", Difference("usage_daily", USAGE, "events", 1, 2)),
    "errors": ("UPDATE usage_daily SET errors = 0 WHERE day = 20408", Difference("usage_daily", USAGE, "errors", 0, 1)),
    "sum": (
        "UPDATE usage_daily SET duration_ms = 99 WHERE day = 20408",
        Difference("usage_daily", USAGE, "duration_ms", 99.0, 10.0),
    ),
    "bucket": (
        "UPDATE duration_daily SET operations = 1 WHERE day = 20408",
        Difference("duration_daily", (FIRST, "deploy", "skill", 81), "operations", 1, 2),
    ),
    "session count": ("UPDATE sessions SET events = 3", Difference("sessions", ("s",), "events", 3, 4)),
    "session begin": (
        "UPDATE sessions SET first_ms = last_ms",
        Difference("sessions", ("s",), "first_ms", NOON + DAY, NOON),
    ),
    "summary": (
        "UPDATE usage_summary SET deploy_count = 0",
        Difference("usage_summary", CANVAS, "deploy_count", 0, 4),
    ),
    "last use": (
        "UPDATE usage_summary SET last_ms = NULL",
        Difference("usage_summary", CANVAS, "last_ms", None, NOON + DAY),
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_names_and_mends_one_value(store: Store, case: str) -> None:
    """A value that falls short is named with what it was and what it is now; a look alone changes nothing."""
    statement, expected = DAMAGE[case]
    table = expected.table
    before = rows(store, table)
    store.connection.execute(statement)
    damaged = rows(store, table)
    assert store.rebuild(repair=False).differences == [expected]
    assert rows(store, table) == damaged
    assert store.rebuild().differences == [expected]
    assert rows(store, table) == before
    assert store.rebuild().differences == []


@pytest.mark.parametrize("table", ["usage_daily", "duration_daily", "sessions", "usage_summary"])
def test_missing_rows_come_back(store: Store, table: str) -> None:
    """Rows that are gone are made again from the events, and each of their values is told."""
    before = rows(store, table)
    store.connection.execute(f"DELETE FROM {table}")
    found = store.rebuild().differences
    assert {each.table for each in found} == {table}
    assert {each.found for each in found} == {None}
    assert rows(store, table) == before


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("usage_daily", "events"),
        ("duration_daily", "operations"),
        ("sessions", "errors"),
        ("usage_summary", "total_events"),
    ],
)
def test_lowers_nothing(store: Store, table: str, column: str) -> None:
    """A count beyond the events may be of events that were removed: it stays, and is told as a number of rows."""
    store.connection.execute(f"UPDATE {table} SET {column} = {column} + 5")
    before = rows(store, table)
    found = store.rebuild()
    assert found.differences == []
    assert found.beyond == len(before)
    assert rows(store, table) == before


def test_sums_in_another_order_are_the_same(store: Store) -> None:
    """A sum of durations that differs in its last digits alone is neither put right nor told as more than there is."""
    store.connection.execute("UPDATE usage_daily SET duration_ms = duration_ms * (1 + 1e-13) + 1e-9")
    found = store.rebuild()
    assert (found.differences, found.beyond) == ([], 0)


def test_one_day_alone(store: Store) -> None:
    """Of a day that is given the daily rollups are put right, and nothing else."""
    for table in ("usage_daily", "duration_daily", "sessions", "usage_summary"):
        store.connection.execute(f"DELETE FROM {table}")
    store.rebuild(FIRST + 1)
    assert [row[0] for row in rows(store, "usage_daily")] == [FIRST + 1]
    assert [row[0] for row in rows(store, "duration_daily")] == [FIRST + 1]
    assert rows(store, "sessions") == rows(store, "usage_summary") == []


def test_a_day_without_events(store: Store) -> None:
    """A day on which nothing happened has nothing to put right."""
    found = store.rebuild(FIRST + 100)
    assert (found.differences, found.beyond) == ([], 0)


def test_times_of_another_tool_stay_as_they_are(path: Path) -> None:
    """A text of the summary that another tool wrote in its own form is not changed while its time is right."""
    with Store(path) as store:
        store.record_event("deploy", "canvas", "skill", ts_ms=NOON)
        store.connection.execute("UPDATE usage_summary SET first_used = '2025-11-16T12:00:00Z', total_events = 0")
        store.rebuild()
        row = store.get_usage_summary()[0]
    assert (row["first_used"], row["total_events"]) == ("2025-11-16T12:00:00Z", 1)

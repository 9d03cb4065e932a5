"""Counts summary and rollups again from the events, and mends what falls short.

This module owns the comparison of counts. Retention removes events and leaves what they counted, so a row that counts
more than the events that are left is right; one that counts less, or is missing, is not. Rows are raised and completed,
never lowered: a count that is too high can't be told from one whose events were removed. Whether an endpoint can be as
far as it seems is for :mod:`usagetrace.store.cursors` to say.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module or of the schema

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from usagetrace.events import timestamp_text
from usagetrace.store import cursors
from usagetrace.store import schema_invocations as invoked
from usagetrace.store import schema_rollups as texts
from usagetrace.store.connection import atomic
from usagetrace.store.rollups import define_bucket, define_bucket_ms
from usagetrace.store.schema_rollups import DAY_MS

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that fell short of the events.

    Attributes:
        table: The table.
        key: Its key's values, in the order of the table's columns.
        column: The column.
        found: The value before; None where the row was missing.
        expected: The value after.
    """

    table: str
    key: Values
    column: str
    found: Any
    expected: Any


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        differences: Each value that was put right.
        beyond: How many rows count more than the events that are left; they stay as they are.
    """

    differences: list[Difference] = field(default_factory=list)
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    count: str
    group: str
    merge: Callable[[Values | None, Values], Values]
    where: str = "1"


def _is_same(value: Any, other: Any) -> bool:
    """Return whether two values are equal; sums of the same numbers in another order differ in their last digits."""
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-6)
    return bool(value == other)


def _most(stored: Values | None, counted: Values) -> Values:
    return counted if stored is None else tuple(map(max, stored, counted))


def _usage(stored: Values | None, counted: Values) -> Values:
    if stored is None:
        return counted
    events, errors = _most(stored[:2], counted[:2])
    kept = stored[2] > counted[2] or (stored[2] == counted[2] and _is_same(stored[3], counted[3]))
    return (events, errors, *(stored[2:] if kept else counted[2:]))


def _span(stored: Values | None, counted: Values) -> Values:
    if stored is None:
        return counted
    return (min(stored[0], counted[0]), max(stored[1], counted[1]), *_most(stored[2:], counted[2:]))


def _summary(stored: Values | None, counted: Values) -> Values:
    if stored is None:
        return counted
    times = []
    for position, better in ((0, min), (1, max)):
        old, new = stored[-2 + position], counted[-2 + position]
        chosen = better((each for each in (old, new) if each is not None), default=None)
        # A text that another tool wrote in its own form stays.
        times.append((stored[position] if chosen == old else counted[position], chosen))
    return (times[0][0], times[1][0], *_most(stored[2:-2], counted[2:-2]), times[0][1], times[1][1])


def _first(stored: Any, counted: Any) -> Any:
    return min((each for each in (stored, counted) if each is not None), default=None)


def _last(stored: Any, counted: Any) -> Any:
    return max((each for each in (stored, counted) if each is not None), default=None)


def _totals(stored: Values | None, counted: Values) -> Values:
    if stored is None:
        return counted
    # The sum belongs to the number of durations.
    kept = stored[2] > counted[2] or (stored[2] == counted[2] and _is_same(stored[3], counted[3]))
    return (
        *_most(stored[:2], counted[:2]), *(stored[2:4] if kept else counted[2:4]),
        _first(stored[4], counted[4]), _last(stored[5], counted[5]),
        _first(stored[6], counted[6]), _last(stored[7], counted[7]),
    )  # fmt: skip


def _of_session(stored: Values | None, counted: Values) -> Values:
    if stored is None:
        return counted
    kept = stored[0] > counted[0] or (stored[0] == counted[0] and _is_same(stored[1], counted[1]))
    return (*(stored[:2] if kept else counted[:2]), _first(stored[2], counted[2]), _last(stored[3], counted[3]))


_KINDS: Final = ("deploy", "update", "sync", "remove", "search")
_DAILY: Final = (
    _Table(
        "usage_daily", ("day", "event_type", "artifact_type", "artifact_name"),
        ("events", "errors", "durations", "duration_ms"), texts.COUNT_USAGE, texts.GROUP_USAGE, _usage,
    ),
    _Table(
        "duration_daily", ("day", "event_type", "artifact_type", "bucket"), ("operations",), texts.COUNT_DURATIONS,
        texts.GROUP_DURATIONS, _most, texts.DURATIONS_COUNTED,
    ),
)  # fmt: skip
_WHOLE: Final = (
    _Table(
        "usage_summary", ("artifact_type", "artifact_name"),
        ("first_used", "last_used", *(f"{kind}_count" for kind in _KINDS), "total_events", "error_count", "first_ms",
         "last_ms"),
        # An event whose time is unknown (0) is no first use. The texts of both times follow from them.
        "SELECT artifact_type, artifact_name, MIN(NULLIF(ts_ms, 0)), MAX(NULLIF(ts_ms, 0)), "
        + "".join(f"SUM(event_type = '{kind}'), " for kind in _KINDS)
        + "COUNT(*), SUM(status = 'error'), MIN(NULLIF(ts_ms, 0)), MAX(NULLIF(ts_ms, 0)) FROM events",
        "GROUP BY 1, 2", _summary,
    ),
    _Table(
        "sessions", ("session_id",), ("first_ms", "last_ms", "events", "errors"), texts.COUNT_SESSIONS,
        texts.GROUP_SESSIONS, _span, "session_id IS NOT NULL",
    ),
    _Table(
        "invocation_totals", ("artifact_type", "artifact_name"),
        ("invocations", "completed", "durations", "duration_ms", "min_ms", "max_ms", "first_ms", "last_ms"),
        invoked.COUNT_TOTALS, invoked.GROUP_TOTALS, _totals,
    ),
    _Table(
        "invocation_counts", ("artifact_type", "artifact_name", "kind", "value"), ("invocations",),
        invoked.COUNT_VALUES, invoked.GROUP_VALUES, _most, invoked.VALUES_COUNTED,
    ),
    _Table(
        "invocation_durations", ("artifact_type", "artifact_name", "bucket"), ("bucket_ms", "invocations"),
        invoked.COUNT_DURATIONS, invoked.GROUP_DURATIONS, _most, invoked.DURATIONS_COUNTED,
    ),
    _Table(
        "invocation_sessions", ("session_id", "artifact_type", "artifact_name"),
        ("invocations", "duration_ms", "first_ms", "last_ms"), invoked.COUNT_SESSIONS, invoked.GROUP_SESSIONS,
        _of_session, invoked.SESSIONS_COUNTED,
    ),
)  # fmt: skip


def rebuild(connection: sqlite3.Connection, path: str, day: int | None = None, *, repair: bool = True) -> Rebuilt:
    """Compare summary and rollups with the events, and put right what falls short.

    Each day, the summary and the sessions are a transaction of their own: writers wait for one of them at most.

    Args:
        connection: A connection to the store that may write; one that can only read will do without repair.
        path: The file, for messages.
        day: Only the daily rollups of this day, in days since 1970 UTC; everything by default.
        repair: False to change nothing.

    Returns:
        What was found.

    Raises:
        StoreUnavailableError: The lock for writing could not be had. What was put right before stays so.
    """
    define_bucket(connection, texts.BUCKET_FUNCTION)
    define_bucket_ms(connection, invoked.BUCKET_MS_FUNCTION)
    found = Rebuilt()
    for each in _days(connection) if day is None else (day,):
        bounds = f"ts_ms >= {each * DAY_MS} AND ts_ms < {(each + 1) * DAY_MS}"
        _part(connection, path, _DAILY, bounds, f" WHERE day = {each}", found, repair=repair)
    if day is None:
        _part(connection, path, _WHOLE, "1", "", found, repair=repair)
        found.beyond += _without_events(connection)
        _put_back(connection, path, found, repair=repair)
    return found


def _put_back(connection: sqlite3.Connection, path: str, found: Rebuilt, *, repair: bool) -> None:
    """Have everything delivered again to an endpoint that seems to have more than there ever was."""
    for endpoint, last_id in cursors.impossible(connection):
        found.differences.append(Difference(cursors.TABLE, (endpoint,), "last_id", last_id, 0))
        if repair:
            cursors.put_back(connection, path, endpoint)


def _days(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield each day that has events: one step in the index of times for each."""
    row = connection.execute("SELECT MIN(ts_ms) FROM events").fetchone()
    while row[0] is not None:
        day = row[0] // DAY_MS
        yield day
        row = connection.execute("SELECT MIN(ts_ms) FROM events WHERE ts_ms >= ?", ((day + 1) * DAY_MS,)).fetchone()


def _without_events(connection: sqlite3.Connection) -> int:
    """Count the daily rows of days that have no events any more."""
    days = list(_days(connection))
    total = 0
    for table in _DAILY:
        rows = connection.execute(f"SELECT day, COUNT(*) FROM {table.name} GROUP BY day")
        gone = {row[0]: row[1] for row in rows}
        for day in days:
            gone.pop(day, None)
        total += sum(gone.values())
    return total


def _part(
    connection: sqlite3.Connection,
    path: str,
    tables: Sequence[_Table],
    bounds: str,
    stored_where: str,
    found: Rebuilt,
    *,
    repair: bool,
) -> None:
    if not repair:
        for table in tables:
            _compare(connection, table, bounds, stored_where, found)
        return
    with atomic(connection, path):
        for table in tables:
            rows = _compare(connection, table, bounds, stored_where, found)
            names = (*table.keys, *table.columns)
            connection.executemany(
                f"INSERT OR REPLACE INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows
            )


def _compare(
    connection: sqlite3.Connection, table: _Table, bounds: str, stored_where: str, found: Rebuilt
) -> list[Values]:
    """Note the differences of a table; return the rows that put it right."""
    width = len(table.keys)
    names = ", ".join((*table.keys, *table.columns))
    stored = {
        tuple(row)[:width]: tuple(row)[width:]
        for row in connection.execute(f"SELECT {names} FROM {table.name}{stored_where}")
    }
    better = []
    for row in connection.execute(f"{table.count} WHERE {table.where} AND {bounds} {table.group}"):
        key, counted = tuple(row)[:width], tuple(row)[width:]
        if table.name == "usage_summary":
            counted = (*(None if ms is None else timestamp_text(ms).rjust(19, "0") for ms in counted[:2]), *counted[2:])
        before = stored.pop(key, None)
        after = table.merge(before, counted)
        if before == after:
            found.beyond += not all(map(_is_same, after, counted))
            continue
        better.append((*key, *after))
        found.differences += [
            Difference(table.name, key, column, None if before is None else before[number], after[number])
            for number, column in enumerate(table.columns)
            if before is None or before[number] != after[number]
        ]
    found.beyond += len(stored)
    return better

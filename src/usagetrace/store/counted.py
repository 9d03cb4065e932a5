"""How many events of each day sampling took away: those that the rollups count and the events don't have.

This module owns where that is kept: a row a day among what processes tell each other. Whoever compares rollups with
events knows by it which difference is no fault.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

from usagetrace.store.schema_rollups import DAY_MS

# Before the day: days since 1970 UTC with their sign, so that those from 1970 on are in order, and before all others.
_PREFIX: Final = "counted:"
_SINCE_1970_END: Final = "counted:,"
_END: Final = "counted;"
_ADD: Final = """
INSERT INTO usagetrace_state (key, value) VALUES (?, ?)
ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + excluded.value"""
_SUM: Final = "SELECT COALESCE(SUM(CAST(value AS INTEGER)), 0) FROM usagetrace_state WHERE key >= ? AND key < ?"
_ENDS: Final = "SELECT MIN(key), MAX(key) FROM usagetrace_state WHERE key >= ? AND key < ?"


def add(connection: sqlite3.Connection, times: Iterable[int]) -> None:
    """Add events that are counted alone to their days. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction.
        times: When each began, in milliseconds since 1970 UTC.
    """
    days = Counter([ts_ms // DAY_MS for ts_ms in times])
    connection.executemany(_ADD, [(_key(day), str(count)) for day, count in days.items()])


def total(connection: sqlite3.Connection) -> int:
    """Return how many events were ever counted alone."""
    return int(connection.execute(_SUM, (_PREFIX, _END)).fetchone()[0])


def between(connection: sqlite3.Connection, first: int, end: int) -> int:
    """Return how many events of some days were counted alone.

    Args:
        connection: A connection to a store.
        first: The first day: days since 1970 UTC, from 0.
        end: The first day after them.
    """
    return int(connection.execute(_SUM, (_key(first), _key(end))).fetchone()[0])


def ends(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """Return the first and the last day since 1970 on which events were counted alone; None where there is none."""
    first, last = connection.execute(_ENDS, (_key(0), _SINCE_1970_END)).fetchone()
    return None if first is None else (int(first[len(_PREFIX) :]), int(last[len(_PREFIX) :]))


def _key(day: int) -> str:
    return f"{_PREFIX}{day:+09d}"

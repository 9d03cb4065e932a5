"""The SQL that only reports need: operations, days, failures and percentiles of a window.

One text for SQLite and ClickHouse, by the rules of :mod:`usagetrace.store.queries`: bounds on ``ts_ms`` computed in
Python, no date functions, a tie-break in every order, no integer division. A call that touched several artifacts is
several rows and one operation: the row whose ``item`` is 0.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module or of the store's queries

from __future__ import annotations

import sqlite3
from array import array
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from usagetrace.reports.wholedays import bounds
from usagetrace.reports.window import Window
from usagetrace.store.queries import GROUPS

Rows = list[dict[str, Any]]

_WINDOW: Final = "ts_ms >= ? AND ts_ms < ?"
_OPERATION: Final = "(item IS NULL OR item = 0)"
_FAILED: Final = f"(status = 'error' AND {_OPERATION})"
_COUNTS: Final = (
    f"SUM(CASE WHEN {_OPERATION} THEN 1 ELSE 0 END) AS operations, COUNT(*) AS events, "
    f"SUM(CASE WHEN {_FAILED} THEN 1 ELSE 0 END) AS errors"
)


def totals(connection: sqlite3.Connection, window: Window) -> dict[str, Any]:
    """Return ``operations``, ``events``, ``errors``, ``first_ms`` and ``last_ms`` (None without a known time)."""
    known = "CASE WHEN ts_ms <> 0 THEN ts_ms END"
    sql = f"SELECT {_COUNTS}, MIN({known}) AS first_ms, MAX({known}) AS last_ms FROM events WHERE {_WINDOW}"
    return _rows(connection, sql, bounds(window))[0]


def types(connection: sqlite3.Connection, window: Window) -> Rows:
    """Return ``event_type``, ``operations``, ``events``, ``errors`` by event type, the most frequent first."""
    sql = (
        f"SELECT event_type, {_COUNTS} FROM events WHERE {_WINDOW} GROUP BY event_type "
        "ORDER BY operations DESC, event_type"
    )
    return _rows(connection, sql, bounds(window))


def percentiles(connection: sqlite3.Connection, window: Window, percents: tuple[int, ...]) -> Rows:
    """Return durations at nearest rank: ``event_type``, ``percent``, ``duration_ms``.

    Equal durations need no tie-break: whichever stands at a rank, it is the same number.

    Args:
        connection: A connection to the store.
        window: Which operations count.
        percents: From 1 to 100.
    """
    # Measured on 300,000 events: one ordered pass takes half the time of window functions in SQL.
    sql = (
        f"SELECT event_type, duration_ms FROM events WHERE {_WINDOW} AND {_OPERATION} AND duration_ms IS NOT NULL "
        "ORDER BY event_type, duration_ms"
    )
    found: Rows = []
    for event_type, rows in groupby(connection.execute(sql, bounds(window)), itemgetter(0)):
        # Another tool may have stored a text; eight bytes a number, for a type may have millions.
        ordered = array("d", (row[1] for row in rows if isinstance(row[1], int | float)))
        for percent in percents if ordered else ():
            # Rounded up without a fraction: the least rank that covers so many per cent.
            rank = -(-percent * len(ordered) // 100)
            found.append({"event_type": event_type, "percent": percent, "duration_ms": ordered[rank - 1]})
    return found


def days(connection: sqlite3.Connection, window: Window) -> Rows:
    """Return ``start_ms`` of the day in UTC, ``operations``, ``events``, ``errors``; None for unknown times, last."""
    sql = (
        f"SELECT start_ms, {_COUNTS} FROM (SELECT CASE WHEN ts_ms <> 0 THEN {GROUPS['day']} END AS start_ms, "
        f"item, status FROM events WHERE {_WINDOW}) AS dated GROUP BY start_ms "
        "ORDER BY CASE WHEN start_ms IS NULL THEN 1 ELSE 0 END, start_ms"
    )
    return _rows(connection, sql, bounds(window))


def failures(connection: sqlite3.Connection, window: Window) -> Rows:
    """Return ``error_type``, ``event_type``, ``operations``, ``last_ms`` of failed operations, the most frequent first.

    ``error_type`` is empty where the tool did not say it.
    """
    sql = (
        "SELECT error_name AS error_type, event_type, COUNT(*) AS operations, MAX(known_ms) AS last_ms FROM ("
        "SELECT COALESCE(error_type, '') AS error_name, event_type, CASE WHEN ts_ms <> 0 THEN ts_ms END AS known_ms "
        f"FROM events WHERE {_WINDOW} AND {_FAILED}) AS failed GROUP BY error_name, event_type "
        "ORDER BY operations DESC, error_name, event_type"
    )
    return _rows(connection, sql, bounds(window))


def _rows(connection: sqlite3.Connection, sql: str, values: tuple[int, int]) -> Rows:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]

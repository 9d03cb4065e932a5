"""How much of what happened in a window are rows: what sampling took away, in the numbers of a report and beside them.

A reader has to know it: a listing shows rows alone, and of a day that a window cuts in two only rows can be counted.
"""

from __future__ import annotations

import sqlite3

from usagetrace.reports.model import Overview, Sampled
from usagetrace.reports.wholedays import bounds, whole_days
from usagetrace.reports.window import Window
from usagetrace.store import counted
from usagetrace.store.queries import DAY_MS

NONE = Sampled()


def sampled_of_overview(connection: sqlite3.Connection, report: Overview) -> Sampled:
    """Return how much of an overview are rows.

    Args:
        connection: A connection to the store, in the transaction that the overview was read in.
        report: The overview.
    """
    if counted.ends(connection) is None:
        return NONE
    sql = "SELECT COUNT(*) FROM events WHERE ts_ms >= ? AND ts_ms < ?"
    rows = int(connection.execute(sql, bounds(report.window)).fetchone()[0])
    return _of(connection, report.window, report.totals.events - rows)


def sampled_of_days(connection: sqlite3.Connection, window: Window) -> Sampled:
    """Return how much of what is counted by whole days, where there are some, are rows."""
    if counted.ends(connection) is None:
        return NONE
    span = whole_days(connection, window)
    return _of(connection, window, 0 if span is None else span.counted)


def sampled_of_rows(connection: sqlite3.Connection, window: Window) -> Sampled:
    """Return what a listing of rows leaves out."""
    return NONE if counted.ends(connection) is None else _of(connection, window, 0)


def _of(connection: sqlite3.Connection, window: Window, in_numbers: int) -> Sampled:
    known = counted.ends(connection)
    since, until = bounds(window)
    first, end = max(since // DAY_MS, 0), -(-until // DAY_MS)
    if known is not None:
        end = min(end, known[1] + 1)
    within = counted.between(connection, first, end) if first < end else 0
    return Sampled(max(in_numbers, 0), max(within - in_numbers, 0))

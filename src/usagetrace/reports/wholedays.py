"""Which days of a window the daily rollups can answer for, with the same result as the events themselves.

Rollups count what retention has removed since, and know no time of day. So they are used for whole days after the day
of the oldest event that is left, and only where they count exactly as many events as there are: another tool's SQL may
have removed some. The rest of the window, its edges, is counted from the events.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from usagetrace.reports.window import Window
from usagetrace.store.queries import DAY_MS

# Bounds that hold every time a store can have.
FIRST: Final = -(2**62)
END: Final = 2**62


@dataclass(frozen=True, slots=True)
class WholeDays:
    """A window, taken apart.

    Attributes:
        first: The first whole day: days since 1970 UTC.
        end: The first day after them.
        edges: What is left of the window before and after, in milliseconds since 1970 UTC, the end excluded.
    """

    first: int
    end: int
    edges: tuple[tuple[int, int], ...]

    @property
    def days(self) -> tuple[int, int]:
        """Bounds of the days, as two values for SQL."""
        return self.first, self.end


def bounds(window: Window) -> tuple[int, int]:
    """Return a window's bounds as two numbers, open ones as numbers no event reaches."""
    return (
        FIRST if window.since_ms is None else window.since_ms,
        END if window.until_ms is None else window.until_ms,
    )


def whole_days(connection: sqlite3.Connection, window: Window) -> WholeDays | None:
    """Return the days of a window that the rollups answer for, and its edges; None where there are no such days."""
    since, until = bounds(window)
    oldest = _one(connection, "SELECT ts_ms FROM events WHERE ts_ms <> 0 ORDER BY ts_ms LIMIT 1")
    newest = _one(connection, "SELECT ts_ms FROM events ORDER BY ts_ms DESC LIMIT 1")
    if oldest is None or newest is None:
        return None
    # The day 0 is left to the events: an unknown time is 0 as well.
    first = max(oldest // DAY_MS + 1, -(-since // DAY_MS), 1)
    end = min(newest // DAY_MS + 1, until // DAY_MS)
    if end <= first:
        return None
    begin_ms, end_ms = first * DAY_MS, end * DAY_MS
    there = _one(connection, "SELECT COUNT(*) FROM events WHERE ts_ms >= ? AND ts_ms < ?", begin_ms, end_ms)
    counted = _one(connection, "SELECT SUM(events) FROM usage_daily WHERE day >= ? AND day < ?", first, end)
    if there != counted:
        return None
    edges = ((since, begin_ms), (end_ms, until))
    return WholeDays(first, end, tuple(edge for edge in edges if edge[0] < edge[1]))


def _one(connection: sqlite3.Connection, sql: str, *values: int) -> int | None:
    row = connection.execute(sql, values).fetchone()
    return None if row is None else row[0]

"""Which days of a window the daily rollups can answer for, with the same result as the events themselves.

Rollups count what retention has removed since, and know no time of day. So they are used for whole days after the day
of the oldest event that is left, and only where they count exactly as many events as there are and as sampling took
away: another tool's SQL may have removed some. The rest of the window, its edges, is counted from the events: what
sampling took away of it is not known.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from usagetrace.reports.window import Window
from usagetrace.store import counted
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
        counted: Events of the whole days that sampling took away: the rollups count them, and they are not there.
    """

    first: int
    end: int
    edges: tuple[tuple[int, int], ...]
    counted: int = 0

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
    days = [] if oldest is None or newest is None else [oldest // DAY_MS, newest // DAY_MS]
    ends = counted.ends(connection)
    if ends is not None:
        days += ends
    if not days:
        return None
    # Where all is there, or was sampled away, from the first day on; else after the oldest day that is left, of which
    # retention may have removed a part.
    begins = [] if ends is None else [min(days)]
    begins += [] if oldest is None else [oldest // DAY_MS + 1]
    # The day 0 is left to the events: an unknown time is 0 as well.
    earliest, end = max(-(-since // DAY_MS), 1), min(max(days) + 1, until // DAY_MS)
    checked = (_checked(connection, (since, until), max(begin, earliest), end) for begin in begins)
    return next((each for each in checked if each is not None), None)


def _checked(connection: sqlite3.Connection, window: tuple[int, int], first: int, end: int) -> WholeDays | None:
    """Return a window with such whole days; None where there are none, or where rollups and events differ."""
    if end <= first:
        return None
    begin_ms, end_ms = first * DAY_MS, end * DAY_MS
    there = _one(connection, "SELECT COUNT(*) FROM events WHERE ts_ms >= ? AND ts_ms < ?", begin_ms, end_ms)
    summed = _one(connection, "SELECT SUM(events) FROM usage_daily WHERE day >= ? AND day < ?", first, end)
    taken = counted.between(connection, first, end)
    if (there or 0) + taken != summed:
        return None
    edges = ((window[0], begin_ms), (end_ms, window[1]))
    return WholeDays(first, end, tuple(edge for edge in edges if edge[0] < edge[1]), taken)


def _one(connection: sqlite3.Connection, sql: str, *values: int) -> int | None:
    row = connection.execute(sql, values).fetchone()
    return None if row is None else row[0]

"""Which of the events that sampling took away are kept after all, and the counting of the others.

A type has a minimum: so many of its events are kept in each window at least, where so many happen. What its rate kept
is in the events already, and so is what another process drained before: whoever drains sees all of it, inside the
transaction that adds the rest. The others are in the summary and the rollups alone.

This module knows no segment and no position. It is given what processes told, see :mod:`usagetrace.spool.sampled`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from usagetrace.events import Event, clean_text
from usagetrace.spool.layout import Row
from usagetrace.spool.sampled import Sampled
from usagetrace.store import writer
from usagetrace.store.schema_rollups import END_MS, FIRST_MS

# Windows that are remembered at most.
_MOST_KNOWN: Final = 20_000
# Events of a window that are looked at, the newest ones: of a type with fewer than its minimum among so many, a few
# more may be kept than asked for.
_MOST_LOOKED_AT: Final = 10_000
# The event type of operations that are announced when they begin.
_ANNOUNCED: Final = "invoke"
_TYPE, _TS_MS = Event._fields.index("event_type"), Event._fields.index("ts_ms")

# The limits bound what a look costs: a type that is rare in a busy window, and one that has enough of its own.
_KEPT: Final = """
SELECT COUNT(*) FROM (
    SELECT 1 FROM (SELECT event_type FROM events WHERE ts_ms >= ? AND ts_ms < ? ORDER BY ts_ms DESC LIMIT ?)
    WHERE event_type = ? LIMIT ?)"""

# Event type, length of the window, and its number since 1970.
Key = tuple[Any, int, int]


class Windows:
    """How many events are kept at least, by type and window, as far as that is known.

    To be forgotten after a transaction that was undone.
    """

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}

    def forget(self) -> None:
        """Forget everything."""
        self._known.clear()

    def add(self, connection: sqlite3.Connection, told: Sequence[Sampled], rows: Sequence[Row] = ()) -> tuple[int, int]:
        """Keep as events what the minimum asks for, and count the rest. The caller holds a transaction open.

        A call is kept or counted whole.

        Args:
            connection: A connection inside a transaction.
            told: What processes told.
            rows: Events that are kept in any case; they are added as well.

        Returns:
            How many events were added, and how many were counted alone.

        Raises:
            sqlite3.Error: They could not be added; the caller rolls back.
            TypeError: A time is no number.
        """
        if not told:
            writer.write(connection, rows)
            return len(rows), 0
        kept, counted = self._divide(connection, told, rows)
        events = [*rows, *kept]
        writer.write(connection, events, counted)
        return len(events), len(counted)

    def _divide(
        self, connection: sqlite3.Connection, told: Iterable[Sampled], rows: Sequence[Row]
    ) -> tuple[list[Row], list[Row]]:
        """Return what is kept of what was told, and what is counted alone."""
        if len(self._known) > _MOST_KNOWN:
            self.forget()
        known = self._known
        # Those that were looked up in this batch: there is no more than is known.
        certain: set[Key] = set()
        # Of the rows, by the length of windows.
        beside: dict[int, Counter[Key]] = {}
        kept: list[Row] = []
        counted: list[Row] = []
        for each in told:
            minimum, window_ms = each.minimum, each.window_ms
            if not minimum:
                counted += each.rows
                continue
            for call in (each.rows,) if len(each.rows) == 1 else each.calls():
                key = _key(call[0], window_ms)
                there = known.get(key, 0)
                if there < minimum and key not in certain:
                    if window_ms not in beside:
                        beside[window_ms] = Counter(_key(row, window_ms) for row in rows)
                    found = beside[window_ms][key]
                    if found < minimum:
                        found += _look_up(connection, key, minimum - found)
                    there = known[key] = max(there, found)
                    certain.add(key)
                if there < minimum:
                    kept += call
                    known[key] = there + len(call)
                else:
                    counted += call
        return kept, counted


def add_directly(connection: sqlite3.Connection, rows: Sequence[Row], minimum: int, window_ms: int) -> tuple[int, int]:
    """Keep or count events that come without a segment; see :meth:`Windows.add`.

    An operation that was announced when it began is kept in any case: where its beginning is read later than its end,
    the end is looked for among the events.
    """
    announced = [row for row in rows if row[_TYPE] == _ANNOUNCED]
    rest = [row for row in rows if row[_TYPE] != _ANNOUNCED]
    return Windows().add(connection, [Sampled(rest, minimum, window_ms)], announced)


def _key(row: Row, window_ms: int) -> Key:
    ts_ms = row[_TS_MS]
    if not FIRST_MS <= ts_ms < END_MS:
        # As `writer` keeps it: within the years that a text can hold.
        ts_ms = min(max(ts_ms, FIRST_MS), END_MS - 1)
    return row[_TYPE], window_ms, ts_ms // window_ms


def _look_up(connection: sqlite3.Connection, key: Key, most: int) -> int:
    """Return how many events of a type a window has, or the number given where it has more."""
    event_type, window_ms, number = key
    begin_ms = max(number * window_ms, FIRST_MS)
    end_ms = min((number + 1) * window_ms, END_MS)
    values = (begin_ms, end_ms, max(_MOST_LOOKED_AT, most), clean_text(event_type), most)
    return int(connection.execute(_KEPT, values).fetchone()[0])

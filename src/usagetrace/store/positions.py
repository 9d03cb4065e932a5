"""How far each segment of the spool was read, as the store remembers it; and which events it may know already.

Positions are written in the drain's own transactions. This module knows the tables, and neither files nor segments'
contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from usagetrace.spool.layout import Row
from usagetrace.store.connection import named_errors
from usagetrace.store.known import unknown
from usagetrace.store.schema import FINISHED, RECEIVED, RECOVERED
from usagetrace.store.store import Store

# Age at which the position of a file that is not there is forgotten, in milliseconds. Long, because a directory
# may be out of sight for a while.
_FORGET_MS: Final = 30 * 86_400_000
# Age of the position at which a segment that vanished without being drained to its end is taken for gone. Its process
# may live, and put it back with its next event.
_VANISHED_MS: Final = 86_400_000

_STATE: Final = "SELECT value FROM usagetrace_state WHERE key = ?"
_POSITION: Final = "SELECT position, sequence FROM spool_positions WHERE segment = ?"
# Records that are missing, by their numbers, count as lost there.
_ADVANCE: Final = """
INSERT INTO spool_positions (segment, position, sequence, lost, damaged, updated_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (segment) DO UPDATE SET position = excluded.position, sequence = excluded.sequence,
    lost = lost + excluded.lost, damaged = damaged + excluded.damaged, updated_ms = excluded.updated_ms"""
_KEEP_COUNTS: Final = """
INSERT INTO spool_positions (segment, position, sequence, lost, damaged, updated_ms)
SELECT ?, 0, 0, lost, damaged, updated_ms FROM spool_positions WHERE segment = ?
ON CONFLICT (segment) DO UPDATE SET lost = lost + excluded.lost, damaged = damaged + excluded.damaged,
    updated_ms = excluded.updated_ms"""
_FORGET: Final = "DELETE FROM spool_positions WHERE segment = ?"
_UPDATED: Final = "SELECT updated_ms FROM spool_positions WHERE segment = ?"
_OLD: Final = "SELECT segment FROM spool_positions WHERE updated_ms < ? AND segment <> ?"


class Positions:
    """The positions that a store keeps.

    Args:
        store: An open store. Its own lock is taken around each use of the connection: a fork closes that, and must
            not do so under another thread.
        now_ms: Now, in milliseconds since 1970 UTC.
    """

    def __init__(self, store: Store, now_ms: int) -> None:
        self._store = store
        self._now_ms = now_ms
        # When the database was recovered, once asked for.
        self._recovered_ms: int | None = None

    def of(self, segment: str) -> tuple[int, int]:
        """Return the byte up to which a segment was read, and the number of the record that comes there."""
        with self._store._using() as connection:
            row = connection.execute(_POSITION, (segment,)).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def advance(self, segment: str, position: int, sequence: int, lost: int, damaged: int) -> None:
        """Move the position of a segment on, in the transaction that is open."""
        with named_errors(self._store.path):
            values = (segment, position, sequence, lost, damaged, self._now_ms)
            self._store.connection.execute(_ADVANCE, values)

    def is_gone(self, segment: str) -> bool:
        """Return whether nobody appends to a segment that is not there: a drain removed it, or it is long ago."""
        with self._store._using() as connection:
            row = connection.execute(_UPDATED, (segment,)).fetchone()
        return row is None or row[0] < self._now_ms - _VANISHED_MS

    def forget(self, segments: Iterable[str]) -> None:
        """Forget segments that are gone; what was lost and damaged in them stays counted."""
        with self._store.atomic(), named_errors(self._store.path):
            for segment in segments:
                self._store.connection.execute(_KEEP_COUNTS, (FINISHED, segment))
                self._store.connection.execute(_FORGET, (segment,))

    def forget_old(self, is_there: Callable[[str], bool]) -> None:
        """Forget what a drainer that died left behind, except of segments that are there."""
        with self._store._using() as connection:
            rows = connection.execute(_OLD, (self._now_ms - _FORGET_MS, FINISHED)).fetchall()
        old = [row[0] for row in rows if not is_there(row[0])]
        if old:
            self.forget(old)

    def is_doubtful(self, segment: str) -> bool:
        """Return whether the database was recovered since a segment was begun: its position may have been lost then.

        Args:
            segment: Name of a segment, which begins with the millisecond at which it was made.
        """
        if self._recovered_ms is None:
            with self._store._using() as connection:
                row = connection.execute(_STATE, (RECOVERED,)).fetchone()
            self._recovered_ms = 0 if row is None else int(row[0])
        created = segment.partition("-")[0]
        return created.isdigit() and int(created) <= self._recovered_ms

    def has_received(self) -> bool:
        """Return whether events came into the store from elsewhere too: by OTLP they may overtake the spool.

        To be asked in the transaction that is open: a receiver may have begun since the last one.
        """
        with named_errors(self._store.path):
            return self._store.connection.execute(_STATE, (RECEIVED,)).fetchone() is not None

    def unknown(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return those rows that are not in the store already, by their ids; in the transaction that is open."""
        fresh = unknown(self._store.connection, rows)
        return rows if len(fresh) == len(rows) else [rows[place] for place in fresh]

"""Removes what is too old, and gives its space back.

This module owns what retention removes and in which order. It knows connections and times, no settings and no threads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from usagetrace.store.connection import atomic
from usagetrace.store.pacing import Opener, Pace
from usagetrace.store.queries import DAY_MS

if TYPE_CHECKING:
    from usagetrace.store.archive import Archive, Keys

_LAST_RETENTION: Final = "retention_ran_ms"
# Rows that are looked up for one transaction, at first and at most.
_FIRST_LOOK: Final = 32
_LONGEST_LOOK: Final = 4000
# Part of the pages in use that stay free: events to come take them, and the file need not grow again.
_SPARE: Final = 10
_BEGINNING_MS: Final = -(2**63)
_LAST_ID: Final = 2**63 - 1

# The id of an event and when it began, in milliseconds since 1970 UTC.
Key = tuple[int, float]

# Reading the metadata brings it into memory before the lock is taken: a removal reads all pages of a row.
_OLDEST: Final = (
    "SELECT id, ts_ms, LENGTH(metadata) FROM events WHERE (ts_ms, id) > (?, ?) AND ts_ms < ? ORDER BY ts_ms, id LIMIT ?"
)
# Between two statements the clock is asked, and other threads of the program get their turn.
_STATEMENT_ROWS: Final = 16
# A session that may have an event without a known time (0) stays with it.
_OLD_SESSIONS: Final = (
    "SELECT session_id FROM sessions WHERE session_id > ? AND last_ms < ? AND (first_ms > 0 OR last_ms < 0) "
    "ORDER BY session_id LIMIT ?"
)
_REMOVE_SESSION: Final = "DELETE FROM sessions WHERE session_id = ? AND last_ms < ?"
# What was invoked in a session goes with it.
_REMOVE_INVOKED: Final = (
    "DELETE FROM invocation_sessions WHERE session_id = ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE session_id = ?)"
)


def cleanup_old_events(
    using: Opener,
    path: str,
    days: int = 90,
    *,
    now_ms: int,
    may_go_on: Callable[[], bool] = lambda: True,
    archive: Archive | None = None,
    pace: Pace | None = None,
) -> int:
    """Remove events that began more than so many days ago, and the sessions that ended before. Counts stay.

    An event whose time is unknown (``ts_ms`` 0, from another tool's row) stays. Free pages go back to the file system
    afterwards, but for a tenth of those in use.

    Args:
        using: Gives the store's connection, for one short transaction at a time.
        path: The file, for messages.
        days: Age in days of 24 hours; 0 keeps everything.
        now_ms: The present, in milliseconds since 1970 UTC.
        may_go_on: Asked before each transaction; the work ends early where it says no.
        archive: Where events are written before they are removed; None to keep no copy.
        pace: How long transactions are; a new one by default.

    Returns:
        How many events were removed.

    Raises:
        ValueError: ``days`` is negative.
        StoreUnavailableError: The lock for writing could not be had, or the archive could not be written.
    """
    if days < 0:
        raise ValueError(f"days must be non-negative, not {days}")
    if not days:
        return 0
    removal = _Removal(using, path, may_go_on, Pace() if pace is None else pace)
    before_ms = now_ms - days * DAY_MS
    if archive is None:
        # 0 lies between the two: of those there may be many, and each look would pass over them all.
        done = removal.events(_BEGINNING_MS, min(before_ms, 0)) and removal.events(0, before_ms)
    else:
        done = archive.hand_over(before_ms, may_go_on, removal.listed)
    if done and removal.sessions(before_ms):
        removal.give_back()
    return removal.removed


class _Removal:
    """Removes rows in short transactions, and counts the events among them."""

    def __init__(self, using: Opener, path: str, may_go_on: Callable[[], bool], pace: Pace) -> None:
        self._using = using
        self._path = path
        self._may_go_on = may_go_on
        self._pace = pace
        self._look = _FIRST_LOOK
        self.removed = 0

    def events(self, after_ms: int, before_ms: int) -> bool:
        """Remove the events of a span of time, its ends left out, oldest first; return whether all were."""
        # From where the last look ended: a trigger of somebody's own may keep a row.
        at_ms, at_id = after_ms, _LAST_ID
        while self._may_go_on():
            with self._using() as connection:
                found = connection.execute(_OLDEST, (at_ms, at_id, before_ms, self._look)).fetchall()
                if not found:
                    return True
                done = self._step(connection, [(row[0], row[1]) for row in found])
                at_id, at_ms = found[done - 1][:2]
                nested = connection.in_transaction
            self._pause(nested=nested)
        return False

    def listed(self, keys: Keys) -> bool:
        """Remove events by id, where their time is still the same; return whether all were."""
        at = 0
        while at < len(keys):
            if not self._may_go_on():
                return False
            with self._using() as connection:
                at += self._step(connection, keys[at : at + self._look])
                nested = connection.in_transaction
            self._pause(nested=nested)
        return True

    def _step(self, connection: sqlite3.Connection, keys: Sequence[Key]) -> int:
        """Remove as many as there is time for; return how many were looked at."""
        done = removed = 0
        with self._pace.transaction(connection, self._path) as time_is_left:
            while done < len(keys):
                removed += _remove(connection, keys[done : done + _STATEMENT_ROWS])
                done = min(done + _STATEMENT_ROWS, len(keys))
                if not time_is_left():
                    break
        self.removed += removed
        # Twice as many as there was time for: enough for the next one to grow.
        self._look = min(max(2 * done, _FIRST_LOOK), _LONGEST_LOOK)
        self._pace.rest(connection)
        return done

    def sessions(self, before_ms: int) -> bool:
        """Remove the sessions whose last event began before; return whether all were."""
        last = ""
        while self._may_go_on():
            with self._using() as connection:
                names = [row[0] for row in connection.execute(_OLD_SESSIONS, (last, before_ms, self._look))]
                if not names:
                    return True
                with self._pace.transaction(connection, self._path) as time_is_left:
                    for name in names:
                        connection.execute(_REMOVE_SESSION, (name, before_ms))
                        connection.execute(_REMOVE_INVOKED, (name, name))
                        last = name
                        if not time_is_left():
                            break
                self._pace.rest(connection)
                nested = connection.in_transaction
            self._pause(nested=nested)
        return False

    def give_back(self) -> None:
        """Give free pages back to the file system, where the file can: ``db vacuum`` brings older ones to that."""
        while self._may_go_on():
            with self._using() as connection:
                if connection.in_transaction or not _gives_back(connection):
                    return
                free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
                used = int(connection.execute("PRAGMA page_count").fetchone()[0]) - free
                excess = free - used // _SPARE
                if excess > 0:
                    self._give_back(connection, excess)
                if excess <= 0:
                    # The file itself becomes shorter when the journal is written back.
                    self._pace.checkpoint(connection)
                    return
            self._pause(nested=False)

    def _give_back(self, connection: sqlite3.Connection, pages: int) -> None:
        with self._pace.transaction(connection, self._path) as time_is_left:
            for _ in range(pages):
                # One page a statement: a statement without columns gives sqlite3 no rows to stop between.
                connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
                if not time_is_left():
                    break
        self._pace.rest(connection)

    def _pause(self, *, nested: bool) -> None:
        # Inside somebody's transaction the lock is held anyway.
        if not nested:
            self._pace.pause()


def _remove(connection: sqlite3.Connection, keys: Sequence[Key]) -> int:
    """Remove a few events, but for one that was given another time meanwhile; return how many went."""
    times = [ts_ms for _, ts_ms in keys]
    return connection.execute(
        f"DELETE FROM events WHERE id IN ({', '.join('?' * len(keys))}) AND ts_ms BETWEEN ? AND ?",  # noqa: S608 -- question marks
        (*(each for each, _ in keys), min(times), max(times)),
    ).rowcount


def _gives_back(connection: sqlite3.Connection) -> bool:
    """Return whether a file can give back single pages: its ``auto_vacuum`` is ``INCREMENTAL``."""
    return int(connection.execute("PRAGMA auto_vacuum").fetchone()[0]) == 2


def retention_due(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Return whether a day has passed since automatic retention ran, in any process.

    A time in the future (the clock was set back) counts as long ago.
    """
    row = connection.execute("SELECT value FROM usagetrace_state WHERE key = ?", (_LAST_RETENTION,)).fetchone()
    return row is None or not 0 <= now_ms - int(row[0]) < DAY_MS


def claim_retention(connection: sqlite3.Connection, path: str, now_ms: int) -> bool:
    """Note that this process does automatic retention now; return False where another did within the last day.

    Args:
        connection: A connection that may write.
        path: The file, for messages.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        StoreUnavailableError: The lock for writing could not be had.
    """
    if not retention_due(connection, now_ms):
        return False
    with atomic(connection, path):
        # Asked again under the lock: one process a day does this.
        if not retention_due(connection, now_ms):
            return False
        connection.execute(
            "INSERT INTO usagetrace_state (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_LAST_RETENTION, str(now_ms)),
        )
    return True


def vacuum(connection: sqlite3.Connection) -> None:
    """Rewrite the file without its free pages, and bring it back to its smallest size.

    From then on it can give back single pages, whoever made it.

    Raises:
        sqlite3.Error: Another process holds a lock, or a transaction is open.
    """
    # For a file that has tables this takes effect with the rewriting.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchone()
    connection.execute("VACUUM")
    # The rewritten pages are in the journal until they are put back; the file shrinks only then.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

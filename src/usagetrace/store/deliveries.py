"""How far each endpoint has the store's events: a cursor that moves after the answer, and what was set aside.

This module owns the tables ``deliveries`` and ``undelivered``, and which events come next. How they are sent is not
known here. Events are delivered in the order of their ids, which is that of their coming in; at least once: whatever
is in doubt is given out again, and a receiver knows an event by its ids.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from usagetrace.store import cursors, outgoing
from usagetrace.store.connection import named_errors
from usagetrace.store.outgoing import StoredEvent as StoredEvent
from usagetrace.store.outgoing import whole_calls
from usagetrace.store.schema import RECOVERED, RESTORED, STORE_ID
from usagetrace.store.store import Store
from usagetrace.store.upkeep import now_milliseconds

# Reasons that :meth:`Deliveries.reasons` gives, unless asked for more.
_MOST_REASONS: Final = 20

_IS_ASIDE: Final = "EXISTS (SELECT 1 FROM undelivered AS u WHERE u.endpoint = ? AND u.event_id = e.id)"
_FROM: Final = f"SELECT e.id, {{}} FROM events AS e WHERE e.id > ? AND NOT {_IS_ASIDE} ORDER BY e.id"
_NEXT: Final = f"{_FROM} LIMIT ?"
_LAST: Final = f"{_FROM} DESC LIMIT ?"
_ASIDE: Final = (
    "SELECT e.id, {} FROM undelivered AS u CROSS JOIN events AS e ON e.id = u.event_id "
    "WHERE u.event_id > ? AND u.endpoint = ? ORDER BY u.event_id LIMIT ?"
)
_WAITING: Final = f"SELECT COUNT(*), MIN(NULLIF(e.ts_ms, 0)) FROM events AS e WHERE e.id > ? AND NOT {_IS_ASIDE}"
_COUNT_ASIDE: Final = (
    "SELECT COUNT(*) FROM undelivered AS u WHERE endpoint = ? AND EXISTS (SELECT 1 FROM events AS e WHERE e.id = "
    "u.event_id)"
)
_REASONS: Final = (
    "SELECT u.event_id, u.reason, u.updated_ms, e.event_type, e.artifact_name FROM undelivered AS u "
    "CROSS JOIN events AS e ON e.id = u.event_id WHERE u.endpoint = ? ORDER BY u.event_id LIMIT ?"
)
_CURSOR: Final = "SELECT last_id FROM deliveries WHERE endpoint = ?"
_REGISTER: Final = "INSERT OR IGNORE INTO deliveries (endpoint, last_id, delivered, updated_ms) VALUES (?, 0, 0, ?)"
_ADVANCE: Final = """
UPDATE deliveries SET last_id = MAX(last_id, ?), delivered = delivered + ?, updated_ms = ? WHERE endpoint = ?"""
_SET_ASIDE: Final = """
INSERT INTO undelivered (endpoint, event_id, reason, updated_ms) SELECT ?, id, ?, ? FROM events WHERE id = ?
ON CONFLICT (endpoint, event_id) DO UPDATE SET reason = excluded.reason, updated_ms = excluded.updated_ms"""
_TAKE_BACK: Final = "DELETE FROM undelivered WHERE endpoint = ? AND event_id = ?"
# What retention has removed meanwhile.
_FORGET: Final = "DELETE FROM undelivered WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = event_id)"
_STATE: Final = "SELECT value FROM usagetrace_state WHERE key = ?"
_RENEWED: Final = "SELECT key, value FROM usagetrace_state WHERE key IN (?, ?) ORDER BY key"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an endpoint does not have yet.

    Attributes:
        events: How many events wait to be delivered.
        oldest_ms: When the oldest of them began, in milliseconds since 1970 UTC; None where none waits, or it is
            unknown.
        set_aside: How many more were set aside, and are still in the store.
    """

    events: int
    oldest_ms: int | None
    set_aside: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that an endpoint does not take.

    Attributes:
        event_id: Its id.
        event_type: What was done.
        artifact_name: The thing.
        reason: Why, in words.
        since_ms: When it was set aside, in milliseconds since 1970 UTC.
    """

    event_id: int
    event_type: str
    artifact_name: str
    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far an endpoint is.

    Attributes:
        endpoint: Its URL, without credentials.
        last_id: The id up to which it has the events.
        delivered: How many were delivered to it in all.
        updated_ms: When the last ones were, in milliseconds since 1970 UTC; before that, when it was first named.
        waiting: What it does not have yet.
    """

    endpoint: str
    last_id: int
    delivered: int
    updated_ms: int
    waiting: Waiting


class Deliveries:
    """What one endpoint has of a store's events.

    Several processes may deliver to one endpoint at once; some events then come twice. The cursor of an endpoint never
    goes back, but for one case: the database is another one than before. An answer to what was read before that does
    not move it. Events that retention removes are delivered no more.

    Args:
        store: The store.
        endpoint: The endpoint's URL, without credentials: it is stored as it is.
        now_ms: Gives the present, in milliseconds since 1970 UTC.
    """

    def __init__(self, store: Store, endpoint: str, *, now_ms: Callable[[], int] = now_milliseconds) -> None:
        self._store = store
        self._endpoint = endpoint
        self._now_ms = now_ms
        # Which database the last events were read from, and where the cursor was; None before that.
        self._source: object = None
        self._seen = 0

    def store_id(self) -> str:
        """Return 32 hexadecimal digits that name the store; it is given its name at the first use.

        Raises:
            StoreError: The store can't be read, or has no name yet and can't be written.
        """
        with self._store._using() as connection:
            row = connection.execute(_STATE, (STORE_ID,)).fetchone()
        if row is not None:
            return str(row[0])
        with self._store.atomic(), named_errors(self._store.path):
            execute = self._store.connection.execute
            execute(
                "INSERT OR IGNORE INTO usagetrace_state (key, value) VALUES (?, ?)", (STORE_ID, os.urandom(16).hex())
            )
            return str(execute(_STATE, (STORE_ID,)).fetchone()[0])

    # --- what comes next ---------------------------------------------------------------------------------------

    def next(self, at_most: int) -> list[StoredEvent]:
        """Return the events after the cursor, oldest first, without those that were set aside.

        All rows of a call come together, or none: a call with more rows than asked for comes whole.

        Args:
            at_most: How many events are wanted; at least 1.

        Returns:
            The events; none where nothing waits.

        Raises:
            ValueError: ``at_most`` is less than 1.
            StoreError: The store can't be read, or can't be written at the first use.
        """
        cursor = self._cursor()

        def read(after: int, most: int) -> list[StoredEvent]:
            return self._read(_NEXT, (after, self._endpoint, most))

        found = whole_calls(read, cursor, at_most)
        if not found and cursor and self._began_anew(cursor):
            return self.next(at_most)
        return found

    def aside(self, at_most: int, *, after: int = 0) -> list[StoredEvent]:
        """Return events that were set aside, to try them again: whole calls, as :meth:`next` does.

        Args:
            at_most: How many events are wanted; at least 1.
            after: Only those with a higher id.

        Raises:
            ValueError: ``at_most`` is less than 1.
            StoreError: As :meth:`next`.
        """
        self._cursor()

        def read(last: int, most: int) -> list[StoredEvent]:
            return self._read(_ASIDE, (last, self._endpoint, most))

        return whole_calls(read, after, at_most)

    def newest(self, at_most: int) -> list[StoredEvent]:
        """Return the newest of the events that wait, oldest first: no part of a call without the rest of it.

        Unlike :meth:`next`, this is a look aside: it leaves alone what an answer is held against.

        Args:
            at_most: How many events are wanted; at least 1. A call with more of them is not among them.

        Raises:
            StoreError: The store can't be read.
        """
        return outgoing.last_calls(self._last(at_most + 1)[::-1], at_most)

    def newest_id(self) -> int:
        """Return the id of the newest event that waits; 0 for none. A look aside, as :meth:`newest`.

        Raises:
            StoreError: The store can't be read.
        """
        found = self._last(1)
        return found[0].id if found else 0

    def _last(self, at_most: int) -> list[StoredEvent]:
        with self._store._using() as connection:
            row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
            return outgoing.read(connection, _LAST, (0 if row is None else row[0], self._endpoint, at_most))

    def _read(self, query: str, values: Sequence[object]) -> list[StoredEvent]:
        with self._store._using() as connection:
            return outgoing.read(connection, query, values)

    def _cursor(self) -> int:
        """Return the id up to which the endpoint has the events, and remember of which database that is."""
        with self._store._using() as connection:
            row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
            source = self._identify(connection)
        if row is None:
            # Named from now on: what waits for it can be shown.
            with self._store.atomic(), named_errors(self._store.path):
                connection = self._store.connection
                connection.execute(_REGISTER, (self._endpoint, self._now_ms()))
                row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
                source = self._identify(connection)
        self._source, self._seen = source, int(row[0])
        return self._seen

    def _identify(self, connection: sqlite3.Connection) -> object:
        """Return what is another thing when the database was replaced, by a file or by a copy's content."""
        renewed = connection.execute(_RENEWED, (RECOVERED, RESTORED)).fetchall()
        return self._store._identity, [tuple(row) for row in renewed]

    def _began_anew(self, cursor: int) -> bool:
        """Put a cursor back that is beyond every id that there ever was; return whether it was.

        A table that another tool made may give ids again, after retention removed the events that had them.
        """
        with self._store._using() as connection:
            if cursor <= cursors.newest_id(connection):
                return False
            cursors.put_back(connection, self._store.path, self._endpoint)
        return True

    # --- what became of it -------------------------------------------------------------------------------------

    def advance(self, last_id: int, *, delivered: int) -> bool:
        """Move the cursor on, after the endpoint has answered.

        Args:
            last_id: Id of the last event that was delivered, or set aside.
            delivered: How many events the endpoint took.

        Returns:
            Whether the cursor is there or beyond now. False where the database was replaced since the events were
            read: then they come again, as far as they are in it.

        Raises:
            StoreError: The store can't be written; the cursor is where it was.
        """
        if self._source is None:
            self._cursor()
        with self._store.atomic(), named_errors(self._store.path):
            return self._advance(self._store.connection, last_id, delivered)

    def _advance(self, connection: sqlite3.Connection, last_id: int, delivered: int) -> bool:
        row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
        # One that is gone or lower than it was: an older database.
        if row is None or row[0] < self._seen or self._source != self._identify(connection):
            return False
        connection.execute(_ADVANCE, (last_id, delivered, self._now_ms(), self._endpoint))
        return True

    def set_aside(
        self, event_ids: Sequence[int], reason: str, *, advance_to: int | None = None, delivered: int = 0
    ) -> None:
        """Set events aside that the endpoint does not take: they do not come next any more.

        Args:
            event_ids: Their ids: all of a call.
            reason: Why, in redacted words.
            advance_to: Id to move the cursor to in the same transaction, as :meth:`advance` does.
            delivered: How many others the endpoint took meanwhile.

        Raises:
            StoreError: The store can't be written; nothing was set aside.
        """
        if self._source is None:
            self._cursor()
        with self._store.atomic(), named_errors(self._store.path):
            connection = self._store.connection
            if self._source != self._identify(connection):
                # Their numbers may be those of other events now.
                return
            at_ms = self._now_ms()
            connection.executemany(_SET_ASIDE, [(self._endpoint, reason, at_ms, number) for number in event_ids])
            connection.execute(_FORGET)
            if advance_to is not None:
                self._advance(connection, advance_to, delivered)

    def arrived(self, event_ids: Iterable[int]) -> None:
        """Note that events which were set aside have been delivered after all.

        Raises:
            StoreError: The store can't be written; they are still set aside.
        """
        with self._store.atomic(), named_errors(self._store.path):
            connection = self._store.connection
            gone = connection.executemany(_TAKE_BACK, [(self._endpoint, number) for number in event_ids]).rowcount
            connection.execute(_ADVANCE, (0, max(gone, 0), self._now_ms(), self._endpoint))

    # --- what is left ------------------------------------------------------------------------------------------

    def waiting(self) -> Waiting:
        """Return what the endpoint does not have yet. Reads every event that waits.

        Raises:
            StoreError: The store can't be read.
        """
        with self._store._using() as connection:
            row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
            return _waiting(connection, self._endpoint, 0 if row is None else row[0])

    def behind(self) -> int:
        """Return how many events wait at most, by their numbers: for a look that costs nothing.

        Raises:
            StoreError: The store can't be read.
        """
        with self._store._using() as connection:
            row = connection.execute(_CURSOR, (self._endpoint,)).fetchone()
            newest = connection.execute(cursors.NEWEST).fetchone()[0]
        return max((newest or 0) - (0 if row is None else row[0]), 0)

    def reasons(self, at_most: int = _MOST_REASONS) -> list[SetAside]:
        """Return which events were set aside, and why, in the order of their ids.

        Raises:
            StoreError: The store can't be read.
        """
        with self._store._using() as connection:
            rows = connection.execute(_REASONS, (self._endpoint, at_most)).fetchall()
        return [SetAside(number, kind, name, reason, at_ms) for number, reason, at_ms, kind, name in rows]

    @staticmethod
    def all(store: Store) -> list[Delivery]:
        """Return every endpoint that something was delivered to, or was to be, by its URL.

        Args:
            store: The store; one that is open for reading alone will do.

        Raises:
            StoreError: The store can't be read.
        """
        with store._using() as connection:
            rows = connection.execute(
                "SELECT endpoint, last_id, delivered, updated_ms FROM deliveries ORDER BY endpoint"
            ).fetchall()
            return [
                Delivery(endpoint, last_id, delivered, updated_ms, _waiting(connection, endpoint, last_id))
                for endpoint, last_id, delivered, updated_ms in rows
            ]


def _waiting(connection: sqlite3.Connection, endpoint: str, cursor: int) -> Waiting:
    events, oldest = connection.execute(_WAITING, (cursor, endpoint)).fetchone()
    aside = connection.execute(_COUNT_ASIDE, (endpoint,)).fetchone()[0]
    return Waiting(events, None if oldest is None else int(oldest), aside)

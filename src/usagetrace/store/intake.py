"""Takes in what other processes sent: each event and each metric point once, and on the disk when it returns.

This module owns the transaction: what is known already is left out, what the store can't hold is left out and told,
and several requests share one wait for the disk. What a request looks like, and who may send one, is not known here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from usagetrace.guard import guard
from usagetrace.store import beside, streams, writer
from usagetrace.store.catchup import healing
from usagetrace.store.connection import MEMORY, is_of_a_value, named_errors
from usagetrace.store.known import unknown
from usagetrace.store.schema import RECEIVED
from usagetrace.store.store import Store
from usagetrace.store.streams import ReceivedPoint
from usagetrace.store.upkeep import now_milliseconds

# The fields of an event, in their order.
Row = tuple[Any, ...]

# Pages (usually of 4096 bytes) that the journal may grow to: each time that it goes into the database takes two waits
# for the disk.
_CHECKPOINT_PAGES: Final = 4000
_MARK_RECEIVED: Final = "INSERT OR IGNORE INTO usagetrace_state (key, value) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Received:
    """What one request brought.

    Attributes:
        rows: Redacted events, or the plain tuples of their fields.
        points: Metric points with redacted attributes.
    """

    rows: Sequence[Row] = ()
    points: Sequence[ReceivedPoint] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one request; the three add up to its events and points.

    Attributes:
        added: Events and points that are in the store now and were not before.
        duplicates: Those that were there already, or came before in the same transaction.
        refused: Those that the store can't hold.
    """

    added: int = 0
    duplicates: int = 0
    refused: int = 0


class Intake:
    """Adds requests to a store. One object may be shared by threads, which then wait for each other.

    Making one touches no file. A damaged database is recovered, a replaced one opened anew, as wherever events are
    written.

    Args:
        path: The database file; made, with its directories, when it is missing.
        busy_timeout_ms: How long to wait for a lock of another process.
        now_ms: Gives the present, in milliseconds since 1970 UTC.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout_ms: int = 2000,
        now_ms: Callable[[], int] = now_milliseconds,
    ) -> None:
        self._store = _SyncedStore(path, busy_timeout_ms=busy_timeout_ms)
        self._now_ms = now_ms

    def add(self, received: Sequence[Received]) -> list[Added]:
        """Add what requests brought, in one transaction; when this returns, it survives a power cut.

        Args:
            received: The requests; of events that come twice among them the first one is added.

        Returns:
            What became of each, in their order.

        Raises:
            StoreUnavailableError: The store is locked, full, or out of reach; nothing was added, and it may work later.
            StoreError: Nothing was added.
        """
        return healing(self._store, lambda: self._add(received))

    def _add(self, received: Sequence[Received]) -> list[Added]:
        if not any(each.rows or each.points for each in received):
            return [Added() for _ in received]
        try:
            # Without a savepoint, which would have every page that is changed copied.
            with self._store.atomic(), named_errors(self._store.path):
                return self._write(received)
        except Exception as error:
            if not is_of_a_value(error):
                raise
            guard.note(error)
        with self._store.atomic():
            return [self._request(each) for each in received]

    def _write(self, received: Sequence[Received]) -> list[Added]:
        """Add requests as a whole, in the transaction that is open."""
        connection = self._store.connection
        now_ms = self._now_ms()
        # Each time, not once: the file may be another one by now.
        connection.execute(_MARK_RECEIVED, (RECEIVED, str(now_ms)))
        rows = [row for each in received for row in each.rows]
        fresh = unknown(connection, rows)
        writer.write(connection, rows if len(fresh) == len(rows) else [rows[place] for place in fresh])
        points = [point for each in received for point in each.points]
        new = streams.add(connection, points, now_ms)
        return _accounts(received, fresh, new)

    def _request(self, request: Received) -> Added:
        """Add one request; where it can't be as a whole, one by one what the store can hold."""
        whole = self._try(request)
        if whole is not None:
            return whole
        parts = [Received(rows=(row,)) for row in request.rows]
        parts += [Received(points=(point,)) for point in request.points]
        done = [self._try(part) or Added(refused=1) for part in parts]
        return Added(*(sum(getattr(each, name) for each in done) for name in ("added", "duplicates", "refused")))

    def _try(self, request: Received) -> Added | None:
        """Add a request, or undo it and return None where the store can't hold it."""
        try:
            with self._store.atomic(), named_errors(self._store.path):
                return self._write([request])[0]
        except Exception as error:
            if not is_of_a_value(error):
                raise
            guard.note(error)
        return None

    def close(self) -> None:
        """Close the store; a later use opens it again.

        Raises:
            StoreError: It could not be closed.
        """
        self._store.close()


def _accounts(received: Sequence[Received], fresh: Sequence[int], new: Sequence[bool]) -> list[Added]:
    """Return what became of each request, by the positions of what was new in all of them together."""
    accounts = []
    marks = [False] * sum(len(each.rows) for each in received)
    for place in fresh:
        marks[place] = True
    row_at = point_at = 0
    for each in received:
        row_end, point_end = row_at + len(each.rows), point_at + len(each.points)
        added = sum(marks[row_at:row_end]) + sum(new[point_at:point_end])
        accounts.append(Added(added, len(each.rows) + len(each.points) - added))
        row_at, point_at = row_end, point_end
    return accounts


class _SyncedStore(Store):
    """A store whose connection waits for the disk at each commit; others of the same file need not."""

    def _open(self, migrate_to: int | None = None) -> sqlite3.Connection:
        before = self._connection
        connection = super()._open(migrate_to)
        if connection is not before:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            # What a statement changes is copied first, for the case that it fails: not to a file.
            connection.execute("PRAGMA temp_store=MEMORY")
            if self._file != MEMORY:
                # The name of a new database has to survive as well.
                with contextlib.suppress(OSError):
                    beside.sync_folder(os.path.dirname(self._file))
        return connection

"""Where imported records go: a store, in short transactions beside other writers; or nowhere, in a dry run.

This module owns what is known already and what is new. It knows no format.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from usagetrace.errors import NotAStoreError, StoreUnavailableError
from usagetrace.guard import guard
from usagetrace.importers import carry, ledger
from usagetrace.importers.ledger import Keys
from usagetrace.importers.model import Carried
from usagetrace.importers.sqlite_file import looking
from usagetrace.store import migrations, streams, writer
from usagetrace.store.catchup import close_quietly, healing
from usagetrace.store.connection import is_lock, is_of_a_value, named_errors
from usagetrace.store.known import unknown
from usagetrace.store.store import Store
from usagetrace.store.streams import ReceivedPoint

T = TypeVar("T")
# How long to wait for a store that others hold, in seconds; and one try, in milliseconds.
_PATIENCE_S: Final = 30.0
_TRY_MS: Final = 5000
# Pages of the journal, 4 KiB each, that move into the database at once. Keys of records lie scattered over its pages:
# each is written once for many batches, in an eighth less time for 200,000 records than with SQLite's own 1000.
_JOURNAL_PAGES: Final = 8000


class Record(NamedTuple):
    """A record that may be new.

    Attributes:
        key: What the store remembers it by.
        row: The fields of its event, redacted.
        point: The metric point. Where there is neither, the store has the event from elsewhere: it is only remembered.
    """

    key: int
    row: tuple[Any, ...] | None
    point: ReceivedPoint | None = None


class Sink(Protocol):
    """Takes records."""

    def known(self, keys: Sequence[int]) -> set[int]:
        """Return which records were imported before."""

    def add(self, records: Sequence[Record]) -> tuple[int, list[int]]:
        """Add records; return how many are new, and the positions of those that the store can't hold."""

    def carry(self, keys: Keys, carried: Sequence[Carried]) -> tuple[int, int]:
        """Add uses that a summary carries; return how many were added, and how many were not."""

    def close(self) -> None:
        """Let go of the store."""


class StoreSink:
    """Adds records to a store, which is made where there is none.

    Args:
        path: The database.
        secret: The key of the ledger.
        now_ms: Gives the present, in milliseconds since 1970 UTC.
    """

    def __init__(self, path: str | os.PathLike[str], secret: bytes, now_ms: Callable[[], int]) -> None:
        self._store = Store(path, busy_timeout_ms=_TRY_MS)
        self._secret = secret
        self._now_ms = now_ms
        try:
            # Before anything is read: what was imported with another key would be counted again.
            self._patiently(lambda: ledger.check_key(self._store.connection, secret))
            self._store.connection.execute(f"PRAGMA wal_autocheckpoint={_JOURNAL_PAGES}")
        except BaseException:
            self.close()
            raise

    def known(self, keys: Sequence[int]) -> set[int]:
        """Return which records were imported before."""
        return self._patiently(lambda: self._known(keys))

    def _known(self, keys: Sequence[int]) -> set[int]:
        connection = self._store.connection
        with named_errors(self._store.path):
            return ledger.remembered(connection, keys) if ledger.has_ledger(connection) else set()

    def add(self, records: Sequence[Record]) -> tuple[int, list[int]]:
        """Add records in one transaction; where that can't be, one by one what the store can hold."""
        try:
            return self._patiently(lambda: self._write(records)), []
        except Exception as error:
            if not is_of_a_value(error):
                raise
            guard.note(error)
        added, refused = 0, []
        for place, record in enumerate(records):
            one = [record]
            try:
                added += self._patiently(lambda one=one: self._write(one))  # type: ignore[misc]  # bound in this round
            except Exception as error:
                if not is_of_a_value(error):
                    raise
                refused.append(place)
        return added, refused

    def _write(self, records: Sequence[Record]) -> int:
        with self._transaction() as connection:
            # Looked at again under the lock: another import may have been quicker.
            known = ledger.remembered(connection, [each.key for each in records])
            new = [each for each in records if each.key not in known]
            events = [each for each in new if each.row is not None]
            there = _elsewhere(connection, events)
            rows = [each.row for each in events if each.key not in there]
            writer.write(connection, [row for row in rows if row is not None])
            gained = streams.add(connection, [each.point for each in new if each.point is not None], self._now_ms())
            ledger.remember(connection, [each.key for each in new])
            return len(rows) + sum(gained)

    def carry(self, keys: Keys, carried: Sequence[Carried]) -> tuple[int, int]:
        """Add uses that a summary carries, once for each artifact."""
        return self._patiently(lambda: self._carry(keys, carried)) if carried else (0, 0)

    def _carry(self, keys: Keys, carried: Sequence[Carried]) -> tuple[int, int]:
        with self._transaction() as connection:
            wanted = carry.fresh(connection, keys, carried)
            carry.add(connection, wanted)
            return _sums(wanted, carried)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._store.atomic(), named_errors(self._store.path):
            connection = self._store.connection
            # Each time, not once: the file may be another one by now.
            ledger.open_ledger(connection, self._secret)
            yield connection

    def _patiently(self, action: Callable[[], T]) -> T:
        """Do something with the store, waiting for others that hold it; a damaged one is recovered first."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return healing(self._store, action)
            except StoreUnavailableError as error:
                if not is_lock(error) or time.monotonic() >= deadline:
                    raise

    def close(self) -> None:
        """Close the store."""
        close_quietly(self._store)


class DrySink:
    """Says what a store would add, and changes nothing: no file, no journal, no directory.

    Args:
        path: The database, which need not exist.
        secret: The key of the ledger.

    Raises:
        StoreError: There is one that can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], secret: bytes) -> None:
        self._open = contextlib.ExitStack()
        self._connection: sqlite3.Connection | None = None
        if not os.path.exists(path):
            return
        name = os.fspath(path)
        with named_errors(name):
            if os.path.getsize(path) == 0:
                raise NotAStoreError(f"{name}: an empty file: open it once for writing")
            self._connection = self._open.enter_context(looking(path))
            migrations.check(self._connection, name)
            self._ledger = ledger.has_ledger(self._connection)
            columns = self._connection.execute("SELECT name FROM pragma_table_info('events')")
            self._ids = "span_id" in {row[0] for row in columns}
        try:
            ledger.check_key(self._connection, secret)
        except BaseException:
            self.close()
            raise

    def known(self, keys: Sequence[int]) -> set[int]:
        """Return which records were imported before."""
        if self._connection is None or not self._ledger:
            return set()
        return ledger.remembered(self._connection, keys)

    def add(self, records: Sequence[Record]) -> tuple[int, list[int]]:
        """Count what is new; that it can be stored is taken for granted."""
        new = [each for each in records if each.row is not None or each.point is not None]
        if self._connection is None or not self._ids:
            return len(new), []
        return len(new) - len(_elsewhere(self._connection, new)), []

    def carry(self, keys: Keys, carried: Sequence[Carried]) -> tuple[int, int]:
        """Count what would be added."""
        connection = self._connection if self._connection is not None and self._ledger else None
        return _sums(carry.fresh(connection, keys, carried), carried)

    def close(self) -> None:
        """Let go of the store; that somebody wrote to it meanwhile does not matter to a dry run."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._open.close()


def _elsewhere(connection: sqlite3.Connection, records: Sequence[Record]) -> set[int]:
    """Return the keys of events that a store has by their ids: from its tool, a receiver, or before it was damaged."""
    rows = [each.row for each in records if each.row is not None]
    if not rows:
        return set()
    new = set(unknown(connection, rows))
    keys = [each.key for each in records if each.row is not None]
    return {key for place, key in enumerate(keys) if place not in new}


def _sums(wanted: Sequence[tuple[int, Carried]], carried: Sequence[Carried]) -> tuple[int, int]:
    total = sum(each.total for each in carried)
    added = sum(each.total for _, each in wanted)
    return added, total - added

"""One database file and its connection: opened at the first use, given up at a fork, opened anew when replaced.

This module owns the connection's life, its lock and its transactions. It knows no table: what is written and read is
the store's.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, TypeVar

from usagetrace.errors import NotAStoreError, StoreUnavailableError
from usagetrace.guard import guard
from usagetrace.store import beside, forks
from usagetrace.store.connection import MEMORY, atomic, named_errors, open_connection, require_full
from usagetrace.store.schema import LATEST

# How long a fork waits for threads to come out of SQLite, in seconds.
_REST_S: Final = 1.0
# How often the file may turn out to be another one, within one use.
_TRIES: Final = 5

Own = TypeVar("Own", bound="Handle")


class Handle:
    """A database file that threads may share; making a handle touches no file.

    Arguments as for :class:`usagetrace.store.Store`, which says what becomes of the connection.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout_ms: int = 5000,
        read_only: bool = False,
        isolation_level: str | None = None,
        migrate_at_most: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        # The directory may change before the file is opened, or opened again.
        self._file = self.path if self.path == MEMORY else os.path.abspath(self.path)
        self._timeout_ms = busy_timeout_ms
        self._read_only = read_only
        self._isolation_level = isolation_level
        self._migrate_at_most = migrate_at_most
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        # Device and number of the file that is open, and of its journal as soon as it has one.
        self._identity: tuple[int, int] | None = None
        self._journal: tuple[int, int] | None = None
        forks.remember(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, with rows that can be read by name. Opens the store if need be.

        Raises:
            StoreError: The store can't be opened.
        """
        with self._held():
            return self._open()

    @property
    def is_open(self) -> bool:
        """Whether a connection is open now."""
        return self._connection is not None

    def close(self) -> None:
        """Close the connection, if one is open."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with named_errors(self.path):
                    connection.close()

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def before_fork(self) -> bool:
        """Close the connection, unless a thread is using it for longer than a moment; return whether it is at rest."""
        if not self._lock.acquire(timeout=_REST_S):
            return False
        # A transaction that is open is its owner's to end: the parent goes on with it.
        if self._connection is not None and not self._connection.in_transaction:
            with guard:
                self.close()
        return True

    def after_fork_in_parent(self) -> None:
        """Let the threads go on."""
        self._lock.release()

    def after_fork_in_child(self, *, at_rest: bool) -> None:
        """Begin without the parent's lock; forget its connection, if it could not be closed."""
        self._lock = threading.RLock()
        connection, self._connection = self._connection, None
        if connection is not None or not at_rest:
            forks.abandon(self._file, connection)

    def _open(self, migrate_to: int | None = None) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None:
            if connection.in_transaction or not self._has_moved():
                return connection
            self._let_go()
        if forks.is_inherited(self._file):
            raise StoreUnavailableError(
                f"{self.path}: it was in use when this process was forked, and can't be used here: "
                "fork outside a transaction, or start a new process instead"
            )
        for _ in range(_TRIES):
            before = self._identify()
            opened = open_connection(
                self._file,
                busy_timeout_ms=self._timeout_ms,
                read_only=self._read_only,
                isolation_level=self._isolation_level,
                migrate_at_most=self._migrate_at_most,
                migrate_to=migrate_to,
                shown=self.path,
            )
            self._identity = self._identify()
            self._journal = self._identify("-wal")
            if before in (None, self._identity):
                self._connection = opened
                return opened
            # Replaced in this moment: which of the two was opened is not known.
            opened.close()
        raise self._restless()

    def _restless(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self.path}: it is replaced again and again; try again")

    def _identify(self, suffix: str = "") -> tuple[int, int] | None:
        if self.path == MEMORY:
            return None
        try:
            found = os.stat(self._file + suffix)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino

    def _identities(self) -> object:
        """Return what tells the files that are open from others in their place."""
        return self._identity, self._journal

    def vouch(self) -> None:
        """Mark the path as a store's, if its file is the one that this object had open as a store.

        Damaged, and with the spool removed that had the mark, it would be taken for somebody else's, and left alone.
        """
        if self._identity is not None and self._identify() == self._identity:
            beside.mark(self._file, LATEST)

    def _has_moved(self) -> bool:
        """Return whether the path is another file than the one that is open, or none; or its journal is another one.

        SQLite removes the journal of a file that was emptied, and a connection that is open goes on with what was
        removed: nobody else would ever see what it writes.
        """
        if self._identify() != self._identity:
            return True
        journal = self._identify("-wal")
        if self._journal is None:
            self._journal = journal
        return journal != self._journal

    def _let_go(self) -> None:
        """Close a connection whose file is elsewhere or damaged; SQLite then leaves the journals in its place alone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with guard:
                connection.close()

    def _begin(self) -> tuple[sqlite3.Connection, bool]:
        """Begin a transaction on the file that the path is now; return whether one was begun, or one was open."""
        for _ in range(_TRIES):
            connection = self._open()
            if connection.in_transaction:
                return connection, False
            connection.execute("BEGIN IMMEDIATE")
            # Looked at again under the lock: who replaces the file holds it.
            if not self._has_moved():
                return connection, True
            connection.execute("ROLLBACK")
        raise self._restless()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        lock = self._lock
        if not lock.acquire(timeout=self._timeout_ms / 1000):
            raise StoreUnavailableError(f"{self.path}: another thread is using it; try again")
        try:
            yield
        finally:
            # After a fork in the middle, the lock that was taken is the one to give back.
            lock.release()

    @contextlib.contextmanager
    def _using(self, migrate_to: int | None = None) -> Iterator[sqlite3.Connection]:
        with self._held(), self._healing(), named_errors(self.path):
            yield self._open(migrate_to)

    @contextlib.contextmanager
    def _healing(self) -> Iterator[None]:
        """Open the file anew after it turned out to be damaged: by then it may have been recovered."""
        try:
            try:
                yield
            except StoreUnavailableError as error:
                if self._connection is not None and not self._connection.in_transaction:
                    require_full(error, self._connection, self.path)
                raise
        except NotAStoreError:
            if self._connection is not None and not self._connection.in_transaction:
                self._let_go()
            raise

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        """Make several calls one transaction; inside another one, a part that is undone by itself.

        The error that ends it is raised as it was, and everything inside is undone.

        Raises:
            StoreUnavailableError: The lock for writing could not be had, or the commit failed.
        """
        with self._held(), self._healing():
            with named_errors(self.path):
                connection, begun = self._begin()
            with atomic(connection, self.path, begun=begun):
                yield

    def settle(self) -> None:
        """Commit what SQL of somebody's own on :attr:`connection` left open.

        Raises:
            StoreError: The commit failed.
        """
        with self._using() as connection:
            if connection.in_transaction:
                connection.commit()

"""How a connection to the store is opened, how its errors are named, how its transactions nest.

This module owns ``sqlite3``'s traps; it knows the shape of the schema only through
:mod:`usagetrace.store.migrations`, and no event.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace import guard
from usagetrace.errors import NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.store import beside, migrations
from usagetrace.store.schema import LATEST

MEMORY: Final = ":memory:"

# Result codes of SQLite; the module has no names for them before Python 3.11.
_LOCK_CODES: Final = frozenset({5, 6, 15})
_REMEDIES: Final[dict[int, str]] = {
    3: "access is denied: check its permissions",
    5: "another process holds the lock; it works again when that process is done",
    6: "another connection holds the lock; it works again when that one is done",
    8: "it can't be written: check the permissions of the file and of its directory",
    10: "reading or writing failed: check the disk",
    13: "the disk is full: free some space",
    14: "it can't be opened: check that its directory exists and may be written",
    15: "another process holds the lock; it works again when that process is done",
}
# A database that is cut short, overwritten, or no database at all; and one of which bytes are missing (extended code).
_DAMAGE_CODES: Final = frozenset({11, 26})
_SHORT_READ: Final = 522
_FULL: Final = 13
# For Python 3.10, whose errors carry no code.
_WORDS: Final[tuple[tuple[str, int], ...]] = (
    ("locked", 5), ("readonly", 8), ("disk i/o", 10), ("is full", 13), ("unable to open", 14), ("locking protocol", 15),
    ("not a database", 26), ("malformed", 11),
)  # fmt: skip


@contextlib.contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turn errors of sqlite3 and of the file system into this package's, which name the file and the remedy.

    Args:
        path: The file, as it was given.

    Raises:
        StoreUnavailableError: Locked, read-only, full, or out of reach: may work later.
        NotAStoreError: Not an SQLite database, or a damaged one.
        StoreError: Anything else that SQLite reports.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _named(path, error) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreUnavailableError(
            f"{path}: {reason}: check that its directory can be made and written, or set another path (db-path)"
        ) from error


def _code(error: sqlite3.Error) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF
    text = str(error).lower()
    return next((number for word, number in _WORDS if word in text), 1)


def _named(path: str, error: sqlite3.Error) -> StoreError:
    code = _code(error)
    if code == 26:
        return NotAStoreError(f"{path}: not an SQLite database: move it away or set another path (db-path)")
    if is_damage(error):
        return NotAStoreError(f"{path}: the database is damaged: restore a copy or move it away")
    if code in _REMEDIES:
        return StoreUnavailableError(f"{path}: {error}: {_REMEDIES[code]}")
    if str(error).startswith("no such table"):
        # They were there when it was opened.
        return NotAStoreError(f"{path}: {error}: the database was emptied while it was open; open it again")
    return StoreError(f"{path}: {error}")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite says that the file is no sound database."""
    return (
        _code(error) in _DAMAGE_CODES
        or getattr(error, "sqlite_errorcode", None) == _SHORT_READ
        # Noise where there was a text of the ledger or a name.
        or str(error).startswith("Could not decode to UTF-8")
    )


def require_full(error: StoreUnavailableError, connection: sqlite3.Connection, path: str) -> None:
    """Raise where SQLite takes a damaged database for a full disk: its page numbers may be impossible ones.

    Args:
        error: What SQLite said.
        connection: The connection that it said it of, in no transaction.
        path: The file, for messages.

    Raises:
        NotAStoreError: The database is damaged.
    """
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error) or _code(cause) != _FULL:
        return
    with named_errors(path):
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise NotAStoreError(f"{path}: the database is damaged: restore a copy or move it away") from error


def is_lock(error: BaseException) -> bool:
    """Return whether a store was unavailable only because somebody else held a lock."""
    cause = error.__cause__
    return isinstance(error, StoreUnavailableError) and (
        cause is None or (isinstance(cause, sqlite3.Error) and _code(cause) in _LOCK_CODES)
    )


def is_of_a_value(error: Exception) -> bool:
    """Return whether a value can't be stored, rather than that the store can't be written."""
    if isinstance(error, StoreError):
        kinds = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
        return isinstance(error.__cause__, kinds)
    return isinstance(error, TypeError | ValueError | ArithmeticError | AttributeError)


def open_connection(
    path: str,
    *,
    busy_timeout_ms: int,
    read_only: bool = False,
    isolation_level: str | None = None,
    migrate_at_most: int | None = None,
    migrate_to: int | None = None,
    shown: str | None = None,
) -> sqlite3.Connection:
    """Open a store, making or migrating it where needed. What is no store of ours is left as it is, byte for byte.

    Args:
        path: The file, or ``:memory:``.
        busy_timeout_ms: How long one statement waits for another process's lock.
        read_only: Neither make nor migrate anything.
        isolation_level: As in :func:`sqlite3.connect`; None leaves transactions to explicit statements.
        migrate_at_most: Rows of events that an existing database may have where a migration reads or writes them all;
            None for any.
        migrate_to: The version to stop at, however many events there are; the latest by default.
        shown: The path that messages name; the path itself by default.

    Raises:
        StoreError: One of its subclasses, see :func:`named_errors` and :func:`migrations.check`.
    """
    name = path if shown is None else shown
    with named_errors(name):
        if path != MEMORY:
            if not read_only:
                beside.make(os.path.abspath(path), name, busy_timeout_ms / 1000, LATEST)
            beside.require_whole(os.path.abspath(path), name)
            if read_only or has_journal(path):
                # Closing the last writable connection would write the journal back into a file that is refused.
                with contextlib.closing(connect(path, "ro", busy_timeout_ms, isolation_level)) as looker:
                    migrations.check(looker, name)
        connection = connect(path, "ro" if read_only else "rw", busy_timeout_ms, isolation_level)
        try:
            _prepare(connection, name, read_only, migrate_at_most, migrate_to, busy_timeout_ms)
            if path != MEMORY and not read_only:
                beside.mark(os.path.abspath(path), LATEST)
        except BaseException:
            connection.close()
            raise
        return connection


def connect(path: str, mode: str, busy_timeout_ms: int, isolation_level: str | None) -> sqlite3.Connection:
    """Open a file that exists, as it is: nothing is made, migrated or set.

    Args:
        path: The file, or ``:memory:``.
        mode: ``ro`` for reading alone, ``rw`` for writing too.
        busy_timeout_ms: How long one statement waits for another process's lock.
        isolation_level: As in :func:`sqlite3.connect`.

    Raises:
        sqlite3.Error: It can't be opened; see :func:`named_errors`.
    """
    target = path if path == MEMORY else f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        target,
        uri=path != MEMORY,
        timeout=busy_timeout_ms / 1000,
        isolation_level=isolation_level,  # type: ignore[arg-type]  # typeshed lists literals; the caller's text is one
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(
    connection: sqlite3.Connection,
    path: str,
    read_only: bool,
    migrate_at_most: int | None,
    migrate_to: int | None,
    busy_timeout_ms: int,
) -> None:
    pending = migrations.check(connection, path)
    if read_only:
        if pending:
            raise StoreError(f"{path}: an older schema, or an empty file: open it once for writing to migrate it")
        return
    if (
        pending
        and migrate_to is None
        and migrate_at_most is not None
        and migrations.takes_long(connection, migrate_at_most)
    ):
        raise StoreUnavailableError(
            f"{path}: many events of an older schema are to be migrated first: open it once with `usagetrace db stats`"
        )
    if not connection.execute("PRAGMA page_count").fetchone()[0]:
        # Before the first page is written; one with tables keeps what it has, and asking it would take its lock.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _use_wal(connection, busy_timeout_ms)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    # What is deleted is overwritten: without it, the texts of removed events stay readable in the file.
    connection.execute("PRAGMA secure_delete=ON").fetchone()
    if pending:
        migrations.migrate(connection, path, migrate_to)


def _use_wal(connection: sqlite3.Connection, busy_timeout_ms: int) -> None:
    """Switch to a write-ahead log; SQLite itself does not wait for a lock here, so this does."""
    deadline = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if _code(error) not in _LOCK_CODES or time.monotonic() >= deadline:
                raise
            time.sleep(0.002)


def has_journal(path: str | os.PathLike[str]) -> bool:
    """Return whether a database has a journal that is not empty."""
    try:
        return os.stat(f"{os.fspath(path)}-wal").st_size > 0
    except OSError:
        return False


@contextlib.contextmanager
def atomic(connection: sqlite3.Connection, path: str, *, begun: bool = False) -> Iterator[None]:
    """Make what happens inside one transaction, or one savepoint of the transaction that is open.

    The error that ended it is raised as it was; what fails while rolling back is only noted.

    Args:
        connection: A connection to the database.
        path: The file, for messages.
        begun: The transaction has just been begun for this; it is not to be a savepoint.

    Raises:
        StoreUnavailableError: The lock for writing could not be had, or the commit failed.
    """
    nested = connection.in_transaction and not begun
    owner = os.getpid()
    if not begun:
        with named_errors(path):
            connection.execute("SAVEPOINT usagetrace" if nested else "BEGIN IMMEDIATE")
    try:
        yield
        if owner == os.getpid():
            with named_errors(path):
                connection.execute("RELEASE usagetrace" if nested else "COMMIT")
    except BaseException:
        # A child process has no part in its parent's transaction. A full disk has rolled back already.
        if owner == os.getpid() and connection.in_transaction:
            try:
                for statement in ("ROLLBACK TO usagetrace", "RELEASE usagetrace") if nested else ("ROLLBACK",):
                    connection.execute(statement)
            except sqlite3.Error as failure:
                guard.guard.note(failure)
        raise

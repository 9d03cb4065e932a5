"""The upkeep of a store: its schema, its age, its size, its copies.

This module owns what can be asked of an open store besides writing and reading. The work is in the migrations, the
maintenance, the rebuild and the copies; the connection is :class:`usagetrace.store.Store`'s.
"""

from __future__ import annotations

import abc
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from usagetrace.errors import StoreError
from usagetrace.guard import warn_once
from usagetrace.store import maintenance, migrations
from usagetrace.store.beside import SEARCH
from usagetrace.store.connection import MEMORY, is_lock
from usagetrace.store.schema import LATEST

if TYPE_CHECKING:
    from usagetrace.store.rebuild import Rebuilt
    from usagetrace.store.store import Store

# Copies of a database that stay in a folder, unless said otherwise.
KEEP: Final = 7


class Upkeep(abc.ABC):
    """What a store does besides writing and reading."""

    path: str
    _file: str
    _connection: sqlite3.Connection | None

    @abc.abstractmethod
    def _using(self, migrate_to: int | None = None) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the store's lock and give its connection, open."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connection, if one is open."""

    # --- schema --------------------------------------------------------------------------------------------

    def migrate(self, to: int | None = None) -> int:
        """Bring the schema forward, each step in one transaction; the next use goes on to the latest by itself.

        Args:
            to: The version to stop at; the latest by default.

        Returns:
            The version it has now: higher than ``to`` where it was so before.

        Raises:
            ValueError: There is no such version.
            StoreError: A transaction is open, or the file is refused or can't be written; whole steps stay done.
        """
        last = _version(LATEST if to is None else to)
        with self._using(migrate_to=last) as connection:
            self._require_rest(connection)
            migrations.migrate(connection, self.path, last)
            return self._left(connection)

    def rollback(self, to: int) -> int:
        """Take the schema back, each step in one transaction, for an earlier release to use.

        Events and their counts stay. What an earlier version has no room for goes: below 6 what invocations counted,
        which coming forward counts again from the events that are left; below 5 how far endpoints have the
        events and what was set aside, so that coming forward every event is delivered again, and what is known of
        received metrics, so that a point that comes once more counts once more; below 3 the daily rollups, which
        coming forward counts again from the events that are left; below 2 the columns and metrics that version 2
        added, and counts of artifacts of one name become one row. The next use by this release comes forward again.

        Args:
            to: The version to stop at; 0 leaves the tables as another tool's of version 1.

        Returns:
            The version it has now: lower than ``to`` where it was so before.

        Raises:
            ValueError: There is no such version.
            StoreError: A transaction is open, or the file is refused or can't be written; whole steps stay done.
        """
        first = _version(to)
        with self._using(migrate_to=0) as connection:
            self._require_rest(connection)
            migrations.rollback(connection, self.path, first)
            return self._left(connection)

    def _require_rest(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            raise StoreError(f"{self.path}: a transaction is open: end it first")

    def _left(self, connection: sqlite3.Connection) -> int:
        version = migrations.schema_version(connection)
        if version < LATEST and self.path != MEMORY:
            # Opening it again is what brings it forward.
            self.close()
        return version

    # --- soundness -----------------------------------------------------------------------------------------

    def rebuild(self, day: int | None = None, *, repair: bool = True) -> Rebuilt:
        """Count summary and rollups again from the events, and put right what falls short; nothing is lowered.

        Args:
            day: Only the daily rollups of this day, in days since 1970 UTC; everything by default.
            repair: False to change nothing.

        Returns:
            Each value that was put right, with what it was, and how many rows count more than the events left.

        Raises:
            StoreError: The store can't be written.
        """
        # Imported here and below: a command that only records pays for neither.
        from usagetrace.store.rebuild import rebuild

        with self._using() as connection:
            found = rebuild(connection, self.path, day, repair=repair)
        if repair and day is None:
            self._forget(None)
        return found

    def check(self) -> list[str]:
        """Return what is wrong with the database, in words; nothing for a sound one. Changes nothing.

        Raises:
            StoreUnavailableError: It can't be read now.
        """
        from usagetrace.store import copies

        if self.path != MEMORY:
            return copies.faults(self._file)
        with self._using() as connection:
            return copies.faults(self.path, connection)

    # --- copies --------------------------------------------------------------------------------------------

    def backup(self, folder: str | os.PathLike[str], keep: int = KEEP, *, now_ms: int | None = None) -> Path:
        """Copy the database while it is in use, check the copy, and remove the oldest copies.

        Args:
            folder: Where copies lie; made if missing.
            keep: How many copies of this database stay there, this one included.
            now_ms: The present, in milliseconds since 1970 UTC.

        Returns:
            The copy's file.

        Raises:
            ValueError: ``keep`` is less than 1.
            StoreError: The copy could not be made.
        """
        from usagetrace.store import copies

        with self._using() as connection:
            self._require_rest(connection)
            return copies.backup(connection, self._file, folder, keep, now_milliseconds() if now_ms is None else now_ms)

    def restore(self, copy: str | os.PathLike[str], *, now_ms: int | None = None) -> Path | None:
        """Put a copy in the database's place; what was there is set aside beside it under a dated name.

        Args:
            copy: The copy's file; checked first.
            now_ms: The present, in milliseconds since 1970 UTC.

        Returns:
            Where the former database lies now; None where there was none.

        Raises:
            StoreError: The copy is none of ours or damaged, this store is in memory or in a transaction, or the
                database can't be written.
        """
        from usagetrace.store import copies

        if self.path == MEMORY:
            raise StoreError(f"{self.path}: a store in memory has no file to restore")
        if self._connection is not None:
            self._require_rest(self._connection)
            self.close()
        return copies.restore(self._file, copy, now_milliseconds() if now_ms is None else now_ms)

    # --- age and size --------------------------------------------------------------------------------------

    def cleanup_old_events(
        self, days: int = 90, *, now_ms: int | None = None, archive: str | os.PathLike[str] | None = None
    ) -> int:
        """Remove events that began more than so many days ago (UTC), and the sessions that ended before; counts stay.

        The work is done in short transactions: nobody waits long for the lock, neither a process nor a thread.

        Args:
            days: Age in days; 0 keeps everything.
            now_ms: The present, in milliseconds since 1970 UTC.
            archive: Folder for Parquet files of the events, each written before its events are removed; see
                :class:`usagetrace.store.archive.Archive`.

        Returns:
            How many events were removed.

        Raises:
            ValueError: ``days`` is negative.
            StoreError: The store or the archive can't be written, or pyarrow is missing for the latter; events that
                are not archived are still there.
        """
        now = now_milliseconds() if now_ms is None else now_ms
        return self._clean_up(days, now, lambda: True, archive)

    def _clean_up(
        self, days: int, now_ms: int, may_go_on: Callable[[], bool], folder: str | os.PathLike[str] | None
    ) -> int:
        archive = None
        if folder is not None:
            from usagetrace.store.archive import Archive

            with self._using() as connection:
                # What is archived inside a transaction might be undone afterwards.
                self._require_rest(connection)
            archive = Archive(folder, self._using, self._file)
        removed = maintenance.cleanup_old_events(
            self._using, self.path, days, now_ms=now_ms, may_go_on=may_go_on, archive=archive
        )
        if removed:
            self._forget(may_go_on)
        return removed

    def run_retention(
        self,
        days: int,
        *,
        now_ms: int,
        may_go_on: Callable[[], bool] = lambda: True,
        archive: str | os.PathLike[str] | None = None,
    ) -> int:
        """Remove old events unless a process did so within the last day.

        Args:
            days: Age in days; 0 keeps everything.
            now_ms: The present, in milliseconds since 1970 UTC.
            may_go_on: Asked before each short transaction; what it leaves is done a day later.
            archive: Folder for Parquet files of the events. Where they can't be written nothing is removed, and one
                warning says why.

        Returns:
            How many events were removed.

        Raises:
            StoreError: The store can't be written.
        """
        if archive is None:
            return self._clean_up(days, now_ms, may_go_on, None) if self._claim_retention(days, now_ms) else 0
        from usagetrace.store.archive import require_pyarrow

        try:
            # Asked first: once it is installed, old events need not wait for a day.
            require_pyarrow()
            return self._clean_up(days, now_ms, may_go_on, archive) if self._claim_retention(days, now_ms) else 0
        except StoreError as error:
            if is_lock(error):
                raise
            warn_once(f"archive:{self._file}", "%s. Events that are not archived are not removed", error)
            return 0

    def _claim_retention(self, days: int, now_ms: int) -> bool:
        with self._using() as connection:
            return bool(days) and maintenance.claim_retention(connection, self.path, now_ms)

    def vacuum(self) -> None:
        """Give the space of removed rows back to the file system, all of it.

        From then on the file gives back single pages after each retention, whoever made it.

        Raises:
            StoreError: The store can't be written now.
        """
        with self._using() as connection:
            maintenance.vacuum(connection)
        self._forget(None)

    def _forget(self, may_go_on: Callable[[], bool] | None) -> None:
        """Take out of the search's index what is gone; without an argument all of it: a search makes it anew."""
        if self.path == MEMORY or not os.path.exists(f"{self._file}{SEARCH}"):
            return
        from usagetrace.store import search

        if may_go_on is None:
            search.forget(self._file)
        else:
            search.forget_removed(cast("Store", self), may_go_on)


def _version(number: int) -> int:
    if not 0 <= number <= LATEST:
        raise ValueError(f"schema version must be from 0 to {LATEST}, not {number}")
    return number


def now_milliseconds() -> int:
    """Return the present, in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000

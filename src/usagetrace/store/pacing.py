"""Long work on a store in short transactions, so that nobody waits for it.

This module owns how much one transaction does and when the journal is written back; it knows no table.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from usagetrace.store.connection import atomic

# Gives a store's connection, open, for as long as nobody else of this process may use it.
Opener = Callable[[], AbstractContextManager[sqlite3.Connection]]

# How long the lock for writing is to be held, in seconds: a fifth of what others may be made to wait (50 ms), for
# the disk and the scheduler are not under our control.
TARGET_S: Final = 0.010
# What the first transaction works before it commits, and what any works at least, in seconds.
_FIRST_S: Final = 0.002
_LEAST_S: Final = 0.0002
# SQLite's locks know no queue: without a pause the next transaction takes the lock before anyone who waits.
_LEAST_PAUSE_S: Final = 0.001
# Transactions between two times that the journal is written back.
_CHECKPOINT_EVERY: Final = 4


class Pace:
    """Short transactions, one after another: each as long as the ones before let expect.

    What a row weighs, how many indexes there are and how slow the disk is, is not known beforehand. So the work of a
    transaction is bounded by the clock, and its bound follows from how long the last commit took.

    Args:
        clock: The present in seconds, from any beginning.
        sleep: Waits for so many seconds.

    Attributes:
        held: How long the last transaction held the lock for writing, in seconds.
        longest: How long the longest did.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._work_s = _FIRST_S
        self._since_checkpoint = 0
        self.held = 0.0
        self.longest = 0.0

    @contextlib.contextmanager
    def transaction(self, connection: sqlite3.Connection, path: str) -> Iterator[Callable[[], bool]]:
        """Hold the lock for writing, and give a function that says whether there is time for more work under it.

        Args:
            connection: A connection that may write; inside a transaction, this is a part of it.
            path: The file, for messages.

        Raises:
            StoreUnavailableError: The lock could not be had, or the commit failed.
        """
        clock = self._clock
        with _no_checkpoint(connection):
            with atomic(connection, path):
                began = clock()
                end = began + self._work_s
                yield lambda: clock() < end
                worked = clock() - began
            self.held = clock() - began
        self.longest = max(self.longest, self.held)
        # The commit takes its time for what the work changed: both grow and shrink together.
        fitting = TARGET_S * worked / self.held if self.held > 0 else self._work_s
        self._work_s = max(min(fitting, 2 * self._work_s), _LEAST_S)

    def rest(self, connection: sqlite3.Connection) -> None:
        """Write the journal back from time to time; inside somebody's transaction do nothing.

        Args:
            connection: The connection of the last transaction.
        """
        self._since_checkpoint += 1
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            self.checkpoint(connection)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Write the journal back into the file; writers go on meanwhile. Inside somebody's transaction do nothing."""
        if not connection.in_transaction:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._since_checkpoint = 0

    def pause(self) -> None:
        """Leave the lock to others for as long as it was held."""
        self._sleep(max(self.held, _LEAST_PAUSE_S))


@contextlib.contextmanager
def _no_checkpoint(connection: sqlite3.Connection) -> Iterator[None]:
    """Have a commit write nothing but the journal: otherwise now and then one waits for the disk as well."""
    pages = int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
    connection.execute("PRAGMA wal_autocheckpoint=0").fetchone()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint={pages}").fetchone()

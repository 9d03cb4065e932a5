"""Brings what lies in a spool into its store: for a reader before it reads, and for whoever flushes.

This module owns waiting for another drainer and for locks, and what becomes of a damaged database on the way. How
an event goes from a segment into the store is the drain's; threads are not known here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from usagetrace.errors import ChangedMigrationError, NewerSchemaError, NotAStoreError, StoreError
from usagetrace.guard import guard, warn_once
from usagetrace.spool import segments
from usagetrace.spool.layout import KEEPING, spool_directory
from usagetrace.spool.locks import LockedFile
from usagetrace.store import starts
from usagetrace.store.connection import connect, has_journal, is_lock, named_errors
from usagetrace.store.drain import LOCK_NAME, DrainReport, drain
from usagetrace.store.store import Store

if TYPE_CHECKING:
    from usagetrace.store.recovery import Recovered

T = TypeVar("T")

# How long one try waits for a lock on the database, in milliseconds. Between tries the deadline is looked at.
PATIENCE_MS: Final = 250
# Pauses between two tries, in seconds.
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
# How long to wait for others without a budget, in seconds: there is none for the work itself.
_WAIT_FOR_OTHERS: Final = 5.0
# How long a reader looks after retention, in seconds; what is left then is for the next day.
_RETENTION_S: Final = 0.25
# Tries that bring nothing though nobody else drains, after which what is left can't be read.
_IN_VAIN: Final = 3

# What waiting does not cure.
REFUSALS: Final = (NotAStoreError, NewerSchemaError, ChangedMigrationError)


def catch_up(path: str | os.PathLike[str], *, budget: float | None = 5.0) -> DrainReport | None:
    """Bring into a database what lies in its spool, making the database where only a spool is there. Never raises.

    Args:
        path: The database file.
        budget: Seconds that this may take, waiting for locks included; None for as long as the work takes.

    Returns:
        What was done, with ``complete`` False where something is left in the spool: the database can't be written,
        or the time was over. None where there is neither a database nor a spool with anything in it.
    """
    directory = spool_directory(path)
    try:
        waits = bool(segments(directory))
    except OSError:
        # There is a spool, and it can't be looked into.
        return DrainReport(complete=False)
    if not waits and not _has_starts(path, directory):
        return DrainReport() if os.path.exists(path) else None
    store = Store(path, busy_timeout_ms=PATIENCE_MS)
    try:
        report = bring_in(store, directory, budget, is_lock)
        if report.events or report.counted or report.abandoned:
            with guard:
                _look_after(store, directory)
        return report
    finally:
        close_quietly(store)


def _has_starts(path: str | os.PathLike[str], directory: str) -> bool:
    """Return whether operations wait in a database whose spool is empty: the processes that began them are gone.

    A drainer that was killed at its end leaves them. The file is opened as it is, in a tenth of the time that a store
    takes: whoever reads comes here each time.
    """
    if not (os.path.isdir(directory) and os.path.exists(path)):
        return False
    # As when a store is opened: a journal that is there is not written back into a file that may be refused.
    mode = "ro" if has_journal(path) else "rw"
    try:
        with contextlib.closing(connect(os.fspath(path), mode, PATIENCE_MS, None)) as looker:
            return bool(starts.segments(looker))
    except sqlite3.Error:
        # No store, or one of an older schema, or out of reach: whoever reads it is told.
        return False


def _look_after(store: Store, directory: str) -> None:
    """Remove what is too old, by the tool's own word, once a day: where all processes are short, nobody else does."""
    try:
        with open(os.path.join(directory, KEEPING), encoding="utf-8", errors="surrogateescape") as file:
            days, _, archive = file.read().partition("\n")
    except FileNotFoundError:
        return
    began: list[float] = []

    def may_go_on() -> bool:
        # From the first batch on: what archives takes its time to be loaded.
        began.append(time.monotonic())
        return began[-1] < began[0] + _RETENTION_S

    # A word that is no number says nothing, and nothing is removed.
    if days.isdigit() and int(days):
        store.run_retention(
            int(days),
            now_ms=time.time_ns() // 1_000_000,
            may_go_on=may_go_on,
            archive=archive or None,
        )


def bring_in(
    store: Store, directory: str, budget: float | None, go_on: Callable[[StoreError], bool] = is_lock
) -> DrainReport:
    """Drain a spool to its end, waiting for other drainers and for whatever ``go_on`` says is worth it.

    Args:
        store: Where to.
        directory: The spool.
        budget: Seconds that this may take; None for as long as the work takes. One try is always made.
        go_on: Told of each error; says whether to try again within the budget.
    """
    total = DrainReport()
    deadline = time.monotonic() + (_WAIT_FOR_OTHERS if budget is None else budget)
    pause, in_vain = _FIRST_PAUSE, 0
    while True:
        left = None if budget is None else max(deadline - time.monotonic(), 0.0)
        report, error = attempt(store, directory, left)
        total = _added(total, report)
        if report.complete or (error is not None and not go_on(error)):
            return total
        if report.records:
            pause, in_vain = _FIRST_PAUSE, 0
            if budget is None:
                deadline = time.monotonic() + _WAIT_FOR_OTHERS
        elif error is None and _nobody_drains(directory):
            in_vain += 1
        if time.monotonic() + pause >= deadline or in_vain >= _IN_VAIN:
            return total
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def attempt(
    store: Store, directory: str, budget: float | None, batch_events: int = 2000
) -> tuple[DrainReport, StoreError | None]:
    """Drain once, as :func:`usagetrace.store.drain.drain` does; an error comes as a value, and closes the store."""
    try:
        report = healing(store, lambda: drain(store, directory, budget=budget, batch_events=batch_events))
    except StoreError as error:
        return DrainReport(complete=False), error
    return report, None


def healing(store: Store, action: Callable[[], T]) -> T:
    """Do something with a store; where its database is damaged, recover it and do it again.

    Raises:
        StoreError: It could not be done; the store is closed, and looks at the whole file again at its next use.
    """
    try:
        with named_errors(store.path):
            try:
                return action()
            except NotAStoreError:
                # Imported here: a sound database has no need of it.
                from usagetrace.store.recovery import recover

                close_quietly(store)
                store.vouch()
                _tell(recover(store.path))
                return action()
    except StoreError as error:
        if not is_lock(error):
            close_quietly(store)
        raise


def close_quietly(store: Store) -> None:
    """Close a store; what fails with it there fails at its next use."""
    with contextlib.suppress(StoreError):
        store.close()


def _tell(done: Recovered | None) -> None:
    if done is not None:
        warn_once(f"recovered:{done.path}", "%s", done)


def _nobody_drains(directory: str) -> bool:
    with contextlib.suppress(OSError):
        lock = LockedFile.take(os.path.join(directory, LOCK_NAME))
        if lock is None:
            return False
        lock.close()
    return True


def _added(total: DrainReport, report: DrainReport) -> DrainReport:
    counts = ("events", "records", "gaps", "damaged", "lost", "abandoned", "segments_finished", "counted")
    sums = {name: getattr(total, name) + getattr(report, name) for name in counts}
    return replace(total, **sums, complete=report.complete)

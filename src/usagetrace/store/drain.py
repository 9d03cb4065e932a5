"""Moves events from a spool into a store, each exactly once.

How far a segment was read is committed in the transaction that adds its events, so a crash leaves either both or
neither. Every moment at which a drainer can die, and what the next one finds:

- before a commit: neither events nor position; it reads the same records again;
- after the commit of a segment's end, before the file is removed: it finds nothing left to read, and removes it;
- after the file is removed, before its position is: a row that means nothing, for a segment's name never comes
  again; it is removed after a while.

This module knows segments through :mod:`usagetrace.spool` alone, and no OpenTelemetry. When to drain, and what to
do when the store can't be written, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from usagetrace.errors import NewerSchemaError, StoreError
from usagetrace.events import Event
from usagetrace.guard import guard, warn_once
from usagetrace.spool.locks import LockedFile
from usagetrace.spool.reader import Record, read_segment, segments
from usagetrace.store.connection import named_errors
from usagetrace.store.store import Store

# Held by whoever drains.
LOCK_NAME: Final = "drain.lock"
# The row that keeps what was lost and damaged in segments that are gone.
FINISHED: Final = "finished"
# Segments that wait, read to their end, to be removed together: one fsync is for all of them.
_REMOVE_TOGETHER: Final = 64
# Age at which the position of a file that is not there is forgotten, in milliseconds. Long, because a directory
# may be out of sight for a while.
_FORGET_MS: Final = 30 * 86_400_000

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
_OLD: Final = "SELECT segment FROM spool_positions WHERE updated_ms < ? AND segment <> ?"


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain did.

    Attributes:
        events: Events added to the store.
        records: Records that they came in.
        gaps: Records that were missing, by their numbers; damaged ones are among them.
        damaged: Stretches of bytes that held no sound record, and records that the store can't hold.
        lost: Events that writers say they could not keep: a full disk, or a spool that grew too large.
        segments_finished: Segments that were read to their end and removed.
        complete: Whether everything that was there when the drain began is in the store now. False where another
            process drains, or where the time was over.
    """

    events: int = 0
    records: int = 0
    gaps: int = 0
    damaged: int = 0
    lost: int = 0
    segments_finished: int = 0
    complete: bool = True


def drain(
    store: Store,
    directory: str | os.PathLike[str],
    *,
    budget: float | None = None,
    batch_events: int = 500,
    now_ms: int | None = None,
) -> DrainReport:
    """Move what is in a spool into a store. One process at a time does; for a second one it returns at once.

    Args:
        store: Where to; it is not to be in a transaction.
        directory: Where the segments lie; that it is missing is no fault.
        budget: Seconds after which no further batch is begun; None for no limit.
        batch_events: About how many events go into one transaction.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        StoreError: The store can't be written; what was committed before stays, and the rest is still in the spool.
        OSError: The directory can't be read or locked.
    """
    folder = os.path.abspath(directory)
    names = segments(folder)
    if not names:
        return DrainReport()
    lock = LockedFile.take(os.path.join(folder, LOCK_NAME), make=True)
    if lock is None:
        return DrainReport(complete=False)
    try:
        if store.connection.in_transaction:
            # Files would be removed before the events in them are committed.
            raise StoreError(f"{store.path}: a transaction is open: drain the spool outside of it")
        deadline = None if budget is None else time.monotonic() + budget
        at_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        return _Drain(store, folder, batch_events, deadline, at_ms).run()
    finally:
        lock.close()


class _Drain:
    """One drain: what it counts, and the segments that it is done with."""

    def __init__(self, store: Store, folder: str, batch_events: int, deadline: float | None, now_ms: int) -> None:
        self._store = store
        self._folder = folder
        self._batch_events = batch_events
        self._deadline = deadline
        self._now_ms = now_ms
        self._finished: list[tuple[str, LockedFile]] = []
        self._removed = 0
        self._events = self._records = self._gaps = self._damaged = self._lost = 0

    def run(self) -> DrainReport:
        """Drain segment after segment, oldest first."""
        complete = True
        try:
            # Listed again under the lock: another drainer may have removed some.
            for name in segments(self._folder):
                complete = self._drain_segment(name) and complete
                if len(self._finished) >= _REMOVE_TOGETHER:
                    self._remove_finished()
                if self._is_over():
                    complete = False
                    break
            self._remove_finished()
            self._forget_old()
        finally:
            for _, file in self._finished:
                file.close()
        return DrainReport(
            self._events, self._records, self._gaps, self._damaged, self._lost, self._removed, complete
        )  # fmt: skip

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _drain_segment(self, name: str) -> bool:
        """Drain one segment; return whether it was read to its end."""
        path = os.path.join(self._folder, name)
        file: LockedFile | None = None
        try:
            # Before it is read: what its writer adds later is for the next drain, and a writer that lives now may
            # not be taken for dead at the end.
            file = LockedFile.take(path)
            if not self._copy(name, path, finished=file is not None):
                return False
            if file is not None:
                self._finished.append((name, file))
                file = None
            return True
        except FileNotFoundError:
            # Dropped to make room, and told of in a record.
            return True
        except (NewerSchemaError, OSError) as error:
            # One file that can't be read must not keep the others from the store.
            warn_once(f"segment:{path}", "%s: %s. It is left as it is", path, error)
            return False
        finally:
            if file is not None:
                file.close()

    def _copy(self, name: str, path: str, *, finished: bool) -> bool:
        """Add the records of a segment to the store; return whether all were."""
        position, sequence = self._position(name)
        records = read_segment(path, position, sequence, finished=finished)
        for batch in _batches(records, self._batch_events):
            if not self._add(name, position, batch):
                return False
            position = batch[-1].position
            if self._is_over():
                return False
        return True

    def _position(self, name: str) -> tuple[int, int]:
        with named_errors(self._store.path):
            row = self._store.connection.execute(_POSITION, (name,)).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def _add(self, name: str, position: int, batch: list[Record]) -> bool:
        """Commit a batch with the position behind it; return False where somebody else was here meanwhile."""
        try:
            added = self._commit(name, position, batch, [event for record in batch for event in record.events])
        except Exception as error:
            if not _is_of_an_event(error):
                raise
            guard.note(error)
            added = self._commit(name, position, batch, None)
        return added

    def _commit(self, name: str, position: int, batch: list[Record], events: list[Event] | None) -> bool:
        """Commit a batch; without ``events`` record by record, leaving out those that the store can't hold."""
        gaps, lost = sum(record.gaps for record in batch), sum(record.lost for record in batch)
        damaged = sum(record.damaged for record in batch)
        with self._store.atomic():
            if self._position(name)[0] != position:
                # The lock does not hold on this file system; the position does.
                return False
            if events is not None:
                self._store.write(events)
                kept, count = sum(1 for record in batch if record.events), len(events)
            else:
                kept, count, refused = self._write_singly(batch)
                damaged += refused
            last = batch[-1]
            values = (name, last.position, last.sequence, lost + gaps, damaged, self._now_ms)
            with named_errors(self._store.path):
                self._store.connection.execute(_ADVANCE, values)
        self._events += count
        self._records += kept
        self._gaps += gaps
        self._lost += lost
        self._damaged += damaged
        return True

    def _write_singly(self, batch: list[Record]) -> tuple[int, int, int]:
        """Write record by record; return how many records and events were written, and how many records not."""
        kept = count = refused = 0
        for record in batch:
            if not record.events:
                continue
            try:
                self._store.write(record.events)
            except Exception as error:
                if not _is_of_an_event(error):
                    raise
                refused += 1
            else:
                kept += 1
                count += len(record.events)
        return kept, count, refused

    def _remove_finished(self) -> None:
        """Remove the segments that were read to their end, then their positions."""
        if not self._finished:
            return
        self._sync_store()
        gone = []
        while self._finished:
            name, file = self._finished.pop()
            with guard:
                file.remove()
                gone.append(name)
        self._forget(gone)
        self._removed += len(gone)

    def _sync_store(self) -> None:
        """Have the committed events on the disk before their only other copy goes: a commit alone does not wait."""
        with named_errors(self._store.path):
            path = self._store.connection.execute("PRAGMA database_list").fetchone()[2]
        with contextlib.suppress(FileNotFoundError):
            # SQLite holds no lock on its journal, so closing this descriptor releases none.
            fd = os.open(f"{path}-wal", os.O_RDWR)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _forget(self, names: list[str]) -> None:
        """Forget the positions of segments that are gone; what was lost and damaged in them stays counted."""
        if not names:
            return
        with self._store.atomic(), named_errors(self._store.path):
            for name in names:
                self._store.connection.execute(_KEEP_COUNTS, (FINISHED, name))
                self._store.connection.execute(_FORGET, (name,))

    def _forget_old(self) -> None:
        """Forget positions that a drainer which died left behind."""
        with named_errors(self._store.path):
            rows = self._store.connection.execute(_OLD, (self._now_ms - _FORGET_MS, FINISHED)).fetchall()
        self._forget([row[0] for row in rows if not os.path.exists(os.path.join(self._folder, row[0]))])


def _batches(records: Iterator[Record], events: int) -> Iterator[list[Record]]:
    """Group records so that each group has about so many events."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        # One without events counts too: there may be many of them.
        size += max(len(record.events), 1)
        if size >= events:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _is_of_an_event(error: Exception) -> bool:
    """Return whether an event can't be stored, rather than that the store can't be written."""
    if isinstance(error, StoreError):
        kinds = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
        return isinstance(error.__cause__, kinds)
    return isinstance(error, TypeError | ValueError | ArithmeticError | AttributeError)

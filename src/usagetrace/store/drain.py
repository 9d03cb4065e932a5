"""Moves events from a spool into a store, each exactly once.

How far a segment was read is committed in the transaction that adds its events, so a crash leaves either both or
neither. Every moment at which a drainer can die, and what the next one finds:

- before a commit: neither events nor position; it reads the same records again;
- after the commit of a segment's end, before the file is removed: it finds nothing left to read, and removes it;
- after the file is removed, before its position is: a row that means nothing, for a segment's name never comes
  again; it is removed after a while.

An operation that has begun is kept aside, in the same transaction, until the event with its trace and span comes. It
is abandoned when its segment is gone and no other one says that it is open. That is certain after a whole pass over
the segments that were there when the segment was gone already: a living process lets go of a segment only after the
next one says which of its operations are open. An end that was written before its beginning is read is found in the
events; see decision 0014.

This module knows segments through :mod:`usagetrace.spool` alone, and no OpenTelemetry. When to drain, and what to
do when the store can't be written, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from typing import Final, cast

from usagetrace.errors import NewerSchemaError, StoreError
from usagetrace.events import Event
from usagetrace.guard import guard, warn_once
from usagetrace.spool.layout import SPAN_ID, TRACE_ID, Row, segments
from usagetrace.spool.locks import LockedFile
from usagetrace.spool.reader import Batch, read_batches
from usagetrace.spool.sampled import Sampled
from usagetrace.store import metrics, starts
from usagetrace.store.calls import points_of
from usagetrace.store.connection import is_of_a_value, named_errors
from usagetrace.store.drainreport import DrainReport as DrainReport
from usagetrace.store.easing import eased
from usagetrace.store.positions import Positions
from usagetrace.store.recheck import recheck
from usagetrace.store.sampled import Windows
from usagetrace.store.store import Store

# Held by whoever drains.
LOCK_NAME: Final = "drain.lock"
# Segments that wait, read to their end, to be removed together: one fsync is for all of them.
_REMOVE_TOGETHER: Final = 64
# Abandoned operations that become events in one transaction.
_ABANDON_TOGETHER: Final = 500
# Passes over a database that is replaced under each.
_TRIES: Final = 3


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
    if not segments(folder) and not (os.path.isdir(folder) and _has_starts(store)):
        return DrainReport()
    lock = LockedFile.take(os.path.join(folder, LOCK_NAME), make=True)
    if lock is None:
        return DrainReport(complete=False)
    try:
        with store._using() as connection:
            is_busy = connection.in_transaction
        if is_busy:
            # Files would be removed before the events in them are committed.
            raise StoreError(f"{store.path}: a transaction is open: drain the spool outside of it")
        deadline = None if budget is None else time.monotonic() + budget
        at_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        return _Drain(store, folder, batch_events, deadline, at_ms).run()
    finally:
        lock.close()


def _has_starts(store: Store) -> bool:
    # A drainer that was killed may have left some that are to be abandoned.
    with store._using() as connection:
        return bool(starts.segments(connection))


class _Drain:
    """One drain: what it counts, and the segments that it is done with."""

    def __init__(self, store: Store, folder: str, batch_events: int, deadline: float | None, now_ms: int) -> None:
        self._store = store
        self._folder = folder
        self._batch_events = batch_events
        self._deadline = deadline
        self._finished: list[tuple[str, LockedFile]] = []
        self._removed = 0
        self._positions = Positions(store, now_ms)
        # Whether what is in the segment in hand may be in the store already; and whether its events may be, as those of
        # any segment where some were received otherwise.
        self._doubtful = False
        self._looks_up = False
        # Of the present pass: what was there when it began, what was removed, and whether all of it could be read.
        self._listed: set[str] = set()
        self._gone: set[str] = set()
        self._read_all = True
        # The files that the events go into.
        self._into: object = None
        self._windows = Windows()
        self._events = self._records = self._gaps = self._damaged = self._lost = self._abandoned = self._counted = 0

    def run(self) -> DrainReport:
        """Drain every segment; what its process abandoned takes a second pass over what is left."""
        try:
            store = self._store
            with store._using() as connection:
                # The one that is open now: a fork may close it at any moment, and another is opened then.
                current = connection
            with eased(
                current, store.path, self._waiting(), held=store._held, is_open=lambda: store._connection is current
            ):
                complete = self._whole_pass()
                if complete and self._gone & self._segments_with_starts():
                    complete = self._pass()
                self._positions.forget_old(self._is_there)
        finally:
            for _, file in self._finished:
                file.close()
        return DrainReport(
            self._events, self._records, self._gaps, self._damaged, self._lost, self._removed, complete,
            self._abandoned, self._counted,
        )  # fmt: skip

    def _waiting(self) -> int:
        """Return about how many bytes are to be moved."""
        waiting = 0
        for name in segments(self._folder):
            with contextlib.suppress(OSError):
                waiting += os.stat(os.path.join(self._folder, name)).st_size
        return waiting

    def _whole_pass(self) -> bool:
        """Make a pass; another one where the database was replaced under it."""
        for _ in range(_TRIES):
            self._into = self._store._identities()
            complete = self._pass()
            if self._store._identities() == self._into:
                return complete
        return False

    def _pass(self) -> bool:
        """Drain segment after segment, oldest first; return whether all were read to their end."""
        # Listed again under the lock: another drainer may have removed some.
        names = segments(self._folder)
        self._listed, self._gone, self._read_all = set(names), set(), True
        complete = True
        for name in names:
            complete = self._drain_segment(name) and complete
            if len(self._finished) >= _REMOVE_TOGETHER:
                complete = self._remove_finished() and complete
            if self._is_over():
                complete = False
                break
        complete = self._remove_finished() and complete
        if complete and self._read_all:
            self._abandon()
        return complete

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
            earlier = self._positions.of(name)[0]
            if not self._copy(name, path, finished=file is not None):
                return False
            if file is not None:
                if earlier and not recheck(self._store, path, earlier, self._is_over):
                    return False
                self._finished.append((name, file))
                file = None
            return True
        except FileNotFoundError:
            # Dropped to make room, and told of in a record. Which operations it says are open is not known.
            self._read_all = False
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
        position, sequence = self._positions.of(name)
        self._doubtful = not position and self._positions.is_doubtful(name)
        for batch in read_batches(path, position, sequence, finished=finished, events=self._batch_events):
            if not self._add(name, position, batch):
                return False
            position = batch.position
            if self._is_over():
                return False
        return True

    def _unknown(self, rows: Sequence[Row]) -> Sequence[Row]:
        return self._positions.unknown(rows) if self._looks_up else rows

    def _add(self, name: str, position: int, batch: Batch) -> bool:
        """Commit a batch with the position behind it; return False where somebody else was here meanwhile."""
        try:
            return self._commit(name, position, batch, whole=True)
        except Exception as error:
            if not is_of_a_value(error):
                raise
            guard.note(error)
            self._windows.forget()
        return self._commit(name, position, batch, whole=False)

    def _commit(self, name: str, position: int, batch: Batch, *, whole: bool) -> bool:
        """Commit a batch; where not whole record by record, leaving out those that the store can't hold."""
        damaged = batch.damaged
        with self._store.atomic():
            if self._positions.of(name)[0] != position:
                # The lock does not hold on this file system; the position does.
                return False
            self._looks_up = self._doubtful or self._positions.has_received()
            told = self._told(batch, whole=whole) if batch.sampled else []
            if whole:
                # Not by the store's own method: its savepoint would have every page that is changed copied.
                with named_errors(self._store.path):
                    rows = self._unknown(batch.rows)
                    count, counted = self._windows.add(self._store.connection, told, rows)
                kept = len(batch.counts) - batch.counts.count(0)
            else:
                left = iter(batch.rows)
                calls = (list(itertools.islice(left, n)) for n in batch.counts)
                kept, count, refused = self._write_singly(calls)
                more, counted, bad = self._add_singly(told)
                count, damaged = count + more, damaged + refused + bad
            if batch.starts:
                self._keep_starts(name, batch)
            if batch.calls and not self._doubtful:
                self._count_calls(batch)
            self._positions.advance(name, batch.position, batch.sequence, batch.lost + batch.gaps, damaged)
        self._events += count
        self._counted += counted
        self._records += kept + len(batch.sampled)
        self._gaps += batch.gaps
        self._lost += batch.lost
        self._damaged += damaged
        return True

    def _count_calls(self, batch: Batch) -> None:
        """Add what processes told of their functions' calls. Where it may be in the store already it is left out."""
        with named_errors(self._store.path):
            metrics.write_metrics(self._store.connection, points_of(batch.calls))

    def _told(self, batch: Batch, *, whole: bool) -> list[Sampled]:
        """Return what sampling took away. Where it may be in the store already it is left out: a count has no id."""
        rows = [row for each in batch.sampled for row in each.rows]
        if self._doubtful:
            with named_errors(self._store.path):
                starts.end(self._store.connection, [row[TRACE_ID] for row in rows], [row[SPAN_ID] for row in rows])
            return []
        if whole and len(self._unknown(rows)) < len(rows):
            return [Sampled(list(self._unknown(each.rows)), each.minimum, each.window_ms) for each in batch.sampled]
        return batch.sampled

    def _add_singly(self, told: Iterable[Sampled]) -> tuple[int, int, int]:
        """Keep or count call by call; return how many events were kept, counted, and how many calls left out."""
        kept = counted = refused = 0
        for each in told:
            for call in each.calls():
                try:
                    one = [Sampled(list(self._unknown(call)), each.minimum, each.window_ms)]
                    with self._store.atomic(), named_errors(self._store.path):
                        more, alone = self._windows.add(self._store.connection, one)
                    kept, counted = kept + more, counted + alone
                except Exception as error:
                    if not is_of_a_value(error):
                        raise
                    self._windows.forget()
                    refused += 1
        return kept, counted, refused

    def _write_singly(self, calls: Iterable[Sequence[Row]]) -> tuple[int, int, int]:
        """Write call by call; return how many calls and events were written, and how many calls not."""
        kept = count = refused = 0
        for rows in calls:
            if not rows:
                continue
            try:
                fresh = self._unknown(rows)
                # An event is the tuple of its fields.
                self._store.write(cast("Sequence[Event]", fresh))
            except Exception as error:
                if not is_of_a_value(error):
                    raise
                refused += 1
            else:
                kept += bool(fresh)
                count += len(fresh)
        return kept, count, refused

    # --- operations that have begun ------------------------------------------------------------------------

    def _keep_starts(self, name: str, batch: Batch) -> None:
        """Keep what began in a batch and did not end in it."""
        ended = {(row[TRACE_ID], row[SPAN_ID]) for row in batch.rows}
        ended.update((row[TRACE_ID], row[SPAN_ID]) for each in batch.sampled for row in each.rows)
        begun = [event for event in batch.starts if (event.trace_id, event.span_id) not in ended]
        with named_errors(self._store.path):
            starts.keep(self._store.connection, name, begun)

    def _segments_with_starts(self) -> set[str]:
        with self._store._using() as connection:
            return starts.segments(connection)

    def _abandon(self) -> None:
        """Make events of the operations whose segments were gone when this pass began."""
        gone = [name for name in self._segments_with_starts() - self._listed if self._positions.is_gone(name)]
        while gone:
            with self._store.atomic():
                with named_errors(self._store.path):
                    taken, events = starts.take(self._store.connection, gone, _ABANDON_TOGETHER)
                _, count, refused = self._write_singly([event] for event in events)
            self._abandoned += count
            self._damaged += refused
            if len(taken) < _ABANDON_TOGETHER:
                return

    # --- segments that are done with -----------------------------------------------------------------------

    def _remove_finished(self) -> bool:
        """Remove the segments that were read to their end, then their positions; return False where they must stay."""
        if not self._finished:
            return True
        if not self._sync_store():
            while self._finished:
                self._finished.pop()[1].close()
            return False
        gone = []
        while self._finished:
            name, file = self._finished.pop()
            with guard:
                file.remove()
                gone.append(name)
        if gone:
            self._positions.forget(gone)
        self._removed += len(gone)
        self._gone.update(gone)
        return True

    def _sync_store(self) -> bool:
        """Have the committed events on the disk before their only other copy goes: a commit alone does not wait.

        Returns:
            Whether they are in the file that everybody sees: it may have been replaced since they were committed.
        """
        with self._store._using() as connection:
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            if self._store._identities() != self._into:
                return False
        with contextlib.suppress(FileNotFoundError):
            # SQLite holds no lock on its journal, so closing this descriptor releases none.
            fd = os.open(f"{path}-wal", os.O_RDWR)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        return True

    def _is_there(self, name: str) -> bool:
        return os.path.exists(os.path.join(self._folder, name))

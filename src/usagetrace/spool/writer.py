"""Appends what calls recorded to this process's own segment.

This module owns the hot path: an append is one ``os.write``. It never raises and waits for nothing but another
thread's new segment. What else happens to files is in :mod:`usagetrace.spool.segment` and
:mod:`usagetrace.spool.room`.
"""

from __future__ import annotations

import binascii
import errno
import marshal
import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence

from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.spool import room
from usagetrace.spool.layout import (
    HEAD,
    HEAD_SIZE,
    MARK,
    MARSHAL_VERSION,
    NUMBERS_FACTOR,
    PRIORITY,
    SPAN_ID,
    TRACE_ID,
    encode,
    encode_lost,
    encode_start,
)
from usagetrace.spool.locks import NoLocksError
from usagetrace.spool.segment import Segment, Starts, begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from usagetrace.spool.calls import Calls
    from usagetrace.spool.segment import Key

# Bound once, for the hot path.
_write = os.write
_dumps = marshal.dumps
_crc32 = binascii.crc32
_pack = HEAD.pack
_now = time.monotonic

Row = tuple["Any", ...]


class Spool:
    """A directory of segments that this process appends to. Making one touches no file; the first append does.

    One object may be shared by threads, used by a signal handler in the middle of an append, and taken through a
    fork: the child appends to a segment of its own. Where the directory, or this process's segment in it, is removed
    by somebody, that is noticed by the first append a tenth of a second later, by :meth:`check` and by :meth:`close`,
    and the segment is put back with everything that was appended to it.

    Args:
        directory: Where the segments lie; made for its owner alone when it is missing.
        max_segment_bytes: Size from which on a new segment is begun.
        max_total_bytes: Space that all segments together may take on the disk. The oldest ones that no process
            appends to are dropped, and counted, to keep within it; every process that appends may exceed it by a
            sixteenth of a segment.
        sync_priority: Events of these priorities are on the disk itself when :meth:`append` returns.

    Attributes:
        lost: Events that this object could not write, in this process.
        dropped: Events in old segments that this object removed to make room, in this process. Those of them
            that had been drained already, from a segment that was drained in part, are counted as well.
        error: Why the last append failed; None after one that did not.
        keeps: Whether the caller keeps what could not be written: then it says itself what is lost, by
            :meth:`count_lost`.
        urgent: Called, without a way to raise, after events were written that are on the disk itself; None for nothing.

    Raises:
        ValueError: Two segments don't fit into the whole.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        max_segment_bytes: int = 4 * 1024 * 1024,
        max_total_bytes: int = 64 * 1024 * 1024,
        sync_priority: Iterable[str] = ("critical",),
    ) -> None:
        if not 0 < max_segment_bytes <= max_total_bytes // 2:
            raise ValueError(
                f"max_segment_bytes={max_segment_bytes}, max_total_bytes={max_total_bytes}: "
                "at least two segments must fit into the whole"
            )
        # The working directory may change before the first append.
        self.directory = os.path.abspath(directory)
        self._max_segment = max_segment_bytes
        # By so much a segment grows between two looks at the space that all take.
        self._step = min(max(max_segment_bytes // 16, room.BLOCK), max_segment_bytes)
        self._max_total = max_total_bytes
        self._sync_priority = frozenset(sync_priority)
        self.error: Exception | None = None
        self.keeps = False
        self.urgent: Callable[[], object] | None = None
        self._begin_anew()
        _known.add(self)

    def _begin_anew(self) -> None:
        """Set what a child process must not share with its parent."""
        # Re-entrant: a signal handler or a finalizer may append while this thread is in here.
        self._lock = threading.RLock()
        self._segment: Segment | None = None
        self._starts = Starts()
        self._no_locks: NoLocksError | None = None
        self.lost = 0
        self.dropped = 0
        # Events of the two that no record tells of yet.
        self._untold = 0

    def append(self, events: Sequence[Event]) -> bool:
        """Write the events of one call, as one record. Never raises.

        Args:
            events: Redacted events; an empty sequence does nothing.

        Returns:
            True when they are with the operating system: the end of this process does not lose them any more.
        """
        return self.append_rows(list(map(tuple, events)))

    def append_rows(self, rows: list[Row], aside: bytes | None = None) -> bool:
        """Write the events of one call, each given as the plain tuple of its fields. Never raises.

        They end the operation that :meth:`append_start` was told of with the same trace and span.

        Args:
            rows: As :meth:`append`; a plain tuple costs less to make and to write than an event.
            aside: Body of a record without events that tells of them, where they are no events to keep.

        Returns:
            As :meth:`append`.
        """
        if not rows:
            return True
        ended = None
        try:
            if aside is not None:
                body, count = aside, 0
            else:
                try:
                    body = _dumps(rows, MARSHAL_VERSION)
                except ValueError:
                    body = encode(rows)
                count = len(rows)
            length = len(body)
            # No lock from here on: an append is whole by itself, and `with` on one costs a tenth of it.
            segment = self._segment
            if segment is None or segment.size + length > segment.limit or _now() > segment.look_at:
                # The lock of the one before goes with its last reference.
                segment = None
                segment = self._ready(length)
            if self._starts:
                ended = self._starts.end(rows)
            # Counted up after the write: in a process that is killed in between no record seems to be missing.
            # Another thread, or a handler, in the middle of these lines uses the same number, which is no gap either.
            sequence = segment.sequence
            # As layout.record, whose two calls would cost a sixth of an append.
            check = _crc32(body, (sequence + count * NUMBERS_FACTOR) & 0xFFFFFFFF)
            data = _pack(MARK, length, check, sequence, count) + body
            written = _write(segment.file.fd, data)
            segment.size += written
            if written != len(data):
                segment.raise_full()
            if segment.sequence <= sequence:
                segment.sequence = sequence + 1
            if self._untold > 0 or self.error is not None:
                self._settle(segment)
            for row in rows:
                if row[PRIORITY] in self._sync_priority:
                    segment.sync()
                    if self.urgent is not None:
                        self.urgent()
                    break
            return True
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            if not isinstance(error, OSError):
                guard.note(error)
            self._lose(len(rows), error, ended)
            return False

    def append_sampled(self, rows: list[Row], minimum: int, window_ms: int) -> bool:
        """Write the events of one call that sampling took away: whoever drains counts them. Never raises.

        Args:
            rows: As :meth:`append_rows`; they end what those end.
            minimum: How many events of the type are to be kept in a window, where so many happen.
            window_ms: Length of a window, which begins at a multiple of it since 1970 UTC.
        """
        try:
            from usagetrace.spool.sampled import encode_sampled

            return self.append_rows(rows, encode_sampled(rows, minimum, window_ms))
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)
            self._lose(len(rows), error)
            return False

    def append_start(self, row: Row) -> bool:
        """Write that an operation has begun: it counts as abandoned when this process ends without saying more.

        Args:
            row: Plain tuple of the fields of the event that it is then: status ``abandoned``, no duration. Trace and
                span, both texts, and the time are those of the event that ends it.

        Returns:
            Whether that was written. Never raises; what could not be written is no loss, for the end is recorded too.
        """
        try:
            body = encode_start(row)
            key = row[TRACE_ID], row[SPAN_ID]
            with self._lock:
                if not self._starts.has_room(len(body), self._max_segment // 4):
                    return False
                segment = self._ready(len(body))
                # Before it is written: a handler in between that begins another segment has it say so too.
                self._starts[key] = body
                if not segment.put(body):
                    del self._starts[key]
                    segment.raise_full()
            if row[PRIORITY] in self._sync_priority:
                segment.sync()
            return True
        except OSError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)
        return False

    def append_calls(self, calls: Calls) -> bool:
        """Write how often functions were called; return whether that was written. Never raises."""
        try:
            from usagetrace.spool.calls import encode_calls

            body = encode_calls(calls)
            with self._lock:
                segment = self._ready(len(body))
                if not segment.put(body):
                    segment.raise_full()
            return True
        except OSError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 -- the caller is a process that ends
            guard.note(error)
        return False

    def check(self) -> bool:
        """Look whether this process's segment is still where it was made, and put it back if not. Never raises.

        Returns:
            Whether everything that was appended is in the directory.
        """
        try:
            with self._lock:
                self._look()
            return True
        except OSError as error:
            self.error = error
            return False

    def count_lost(self, count: int) -> None:
        """Count events that are lost; a record tells of them as soon as one can be written."""
        with self._lock:
            self.lost += count
            self._untold += count

    def tell(self) -> bool:
        """Write how many events were lost, where no record does so yet; each append does so as well. Never raises.

        Returns:
            Whether all losses are told of.
        """
        try:
            with self._lock:
                if self._untold > 0:
                    self._settle(self._ready(0))
                return self._untold <= 0
        except OSError as error:
            self.error = error
            return False

    def close(self) -> None:
        """Let go of the segment: it can be drained to its end. A later append begins another one.

        While an operation has not ended its segment is kept, as its lock tells that this process lives.
        """
        with self._lock:
            self.check()
            if not self._starts:
                self._segment = None

    # --- writing -------------------------------------------------------------------------------------------

    def _settle(self, segment: Segment) -> None:
        """After an append that did not fail: forget the error before, and tell of losses."""
        with self._lock:
            self.error = None
            if self._untold > 0:
                untold, self._untold = self._untold, 0
                # Where there is no room for that record the next append tries again.
                if not segment.put(encode_lost(untold)):
                    self._untold += untold

    def _lose(self, count: int, error: Exception, ended: dict[Key, bytes] | None = None) -> None:
        with self._lock:
            if not self.keeps:
                self.count_lost(count)
            if ended:
                # Nothing says yet that they ended.
                self._starts.update(ended)
            self.error = error

    # --- segments ------------------------------------------------------------------------------------------

    def _ready(self, length: int) -> Segment:
        """Return a segment that is in its place and may take a record's body of so many bytes."""
        with self._lock:
            full = self._segment is not None and self._segment.size + length > self._max_segment - HEAD_SIZE
            # A full one for the last time: nobody can put it back once it is let go.
            if self._segment is not None and (full or _now() > self._segment.look_at):
                self._look()
            if self._segment is None or full:
                return self._begin_segment()
            if self._segment.size + length > self._segment.limit:
                segment = self._make_room()
                if segment is None:
                    return self._begin_segment()
                segment.grant(min(segment.size + HEAD_SIZE + length + self._step, self._max_segment))
            return self._segment

    def _look(self) -> None:
        """Put the segment back if it is not in its place."""
        segment = self._segment
        if segment is not None and not segment.look():
            guard.note(OSError(f"{segment.file.path}: another file is in its place, and what was in it is not known"))
            self._segment = None

    def _begin_segment(self) -> Segment:
        """Make a segment and append to it from here on. The one before is closed with its last reference."""
        if self._no_locks is not None:
            raise self._no_locks
        self._make_room()
        try:
            # The one before is held until this one says which operations are open.
            segment = begin(self.directory, list(self._starts.values()))
        except NoLocksError as error:
            # That does not change, and each try makes a file and removes it.
            self._no_locks = error
            raise
        segment.grant(min(segment.size + self._step, self._max_segment))
        self._segment = segment
        return segment

    def _make_room(self) -> Segment | None:
        """Have room for what comes next, and return this process's segment.

        That one is let go where it is the living ones that take all.
        """
        excess = self._drop_oldest()
        if excess > 0 and self._segment is not None and not self._starts:
            self._segment = None
            excess = self._drop_oldest()
        if excess > 0:
            raise OSError(errno.ENOSPC, "the spool is full of segments that processes append to", self.directory)
        return self._segment

    def _drop_oldest(self) -> int:
        excess, events, told = room.drop_oldest(self.directory, self._step, self._max_total)
        self.dropped += events
        # What was to be told by a record in it is told anew.
        self._untold += events + told
        return excess

    def _after_fork_in_child(self) -> None:
        """Leave the parent's segment to the parent."""
        self._begin_anew()


_known: weakref.WeakSet[Spool] = weakref.WeakSet()


def _in_child() -> None:
    for spool in list(_known):
        spool._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""Appends what calls recorded to this process's own segment; drops the oldest when nobody drains.

This module owns the hot path: an append is one ``os.write``. It never raises and waits for nothing but another
thread's write. It reads segments only to count what it drops.
"""

from __future__ import annotations

import binascii
import contextlib
import marshal
import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.spool.layout import (
    HEAD,
    HEAD_SIZE,
    MARK,
    MARSHAL_VERSION,
    NUMBERS_FACTOR,
    PRIORITY,
    encode,
    encode_lost,
    header,
    record,
    segment_name,
)
from usagetrace.spool.locks import LockedFile
from usagetrace.spool.reader import count_events, segments

# A file takes at least that much of a disk, in bytes.
_BLOCK: Final = 4096
# Names to try for a new segment; a drainer that looks at a file in the moment of its making spoils one.
_TRIES: Final = 5

# Bound once, for the hot path.
_write = os.write
_dumps = marshal.dumps
_crc32 = binascii.crc32
_pack = HEAD.pack
# Not every system can leave out the file's times.
_sync = getattr(os, "fdatasync", os.fsync)


class _Segment:
    """The file that a process appends to, and where it is."""

    __slots__ = ("file", "sequence", "size", "synced")

    def __init__(self, file: LockedFile, size: int) -> None:
        self.file = file
        self.sequence = 0
        self.size = size
        self.synced = False


class Spool:
    """A directory of segments that this process appends to. Making one touches no file; the first append does.

    One object may be shared by threads, used by a signal handler in the middle of an append, and taken through a
    fork: the child appends to a segment of its own.

    Args:
        directory: Where the segments lie; made for its owner alone when it is missing.
        max_segment_bytes: Size from which on a new segment is begun.
        max_total_bytes: Space that all segments together may take on the disk; the oldest ones that no process
            appends to are dropped, and counted, to keep within it.
        sync_priority: Events of these priorities are on the disk itself when :meth:`append` returns.

    Attributes:
        lost: Events that this object could not write, in this process.
        dropped: Events in old segments that this object removed to make room, in this process. Those of them
            that had been drained already, from a segment that was drained in part, are counted as well.
        error: Why the last append failed; None after one that did not.

    Raises:
        ValueError: Two segments don't fit into the whole.
    """

    # Of this process's newest segment, in whichever directory.
    _created_ms: ClassVar[int] = 0

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
        # For the body of a segment's last record.
        self._room = max_segment_bytes - HEAD_SIZE
        self._max_total = max_total_bytes
        self._sync_priority = frozenset(sync_priority)
        self.error: Exception | None = None
        self._begin_anew()
        _known.add(self)

    def _begin_anew(self) -> None:
        """Set what a child process must not share with its parent."""
        # Re-entrant: a signal handler or a finalizer may append while this thread is in here.
        self._lock = threading.RLock()
        self._segment: _Segment | None = None
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

    def append_rows(self, rows: list[tuple[Any, ...]]) -> bool:
        """Write the events of one call, each given as the plain tuple of its fields. Never raises.

        Args:
            rows: As :meth:`append`; a plain tuple costs less to make and to write than an event.

        Returns:
            As :meth:`append`.
        """
        if not rows:
            return True
        try:
            try:
                body = _dumps(rows, MARSHAL_VERSION)
            except ValueError:
                body = encode(rows)
            segment = self._write_record(body, len(rows))
            for row in rows:
                if row[PRIORITY] in self._sync_priority:
                    self._sync(segment)
                    break
            return True
        except OSError as error:
            self._lose(len(rows), error)
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)
            self._lose(len(rows), error)
        return False

    def close(self) -> None:
        """Let go of the segment: it can be drained to its end. A later append begins another one."""
        with self._lock:
            self._segment = None

    # --- writing -------------------------------------------------------------------------------------------

    def _write_record(self, body: bytes, count: int) -> _Segment:
        """Write one record; raise OSError where it did not fit."""
        with self._lock:
            segment = self._segment
            if segment is None or segment.size + len(body) > self._room:
                segment = self._begin_segment()
            # Counted up after the write: in a process that is killed in between no record seems to be missing. A
            # signal handler in the middle of these lines uses the same number, which is no gap either.
            sequence = segment.sequence
            # As layout.record, whose two calls would cost a sixth of an append.
            check = _crc32(body, (sequence + count * NUMBERS_FACTOR) & 0xFFFFFFFF)
            data = _pack(MARK, len(body), check, sequence, count) + body
            written = _write(segment.file.fd, data)
            segment.size += written
            if written != len(data):
                raise OSError(f"{segment.file.path}: the disk is full")
            # No calls from here on, so no handler runs in between.
            if segment.sequence <= sequence:
                segment.sequence = sequence + 1
            if self.error is not None:
                self.error = None
            if self._untold:
                self._tell(segment)
            return segment

    def _tell(self, segment: _Segment) -> None:
        """Add a record of what was lost, where there is room for it; else the next append tries again."""
        untold, self._untold = self._untold, 0
        sequence = segment.sequence
        data = record(encode_lost(untold), sequence, 0)
        with contextlib.suppress(OSError):
            written = _write(segment.file.fd, data)
            segment.size += written
            if written == len(data):
                segment.sequence = max(segment.sequence, sequence + 1)
                return
        self._untold += untold

    def _lose(self, count: int, error: Exception) -> None:
        with self._lock:
            self.lost += count
            self._untold += count
            self.error = error

    def _sync(self, segment: _Segment) -> None:
        """Have what was written on the disk; outside the lock, for it takes milliseconds."""
        # Another thread may begin a new segment meanwhile: this one is open for as long as it is referred to.
        try:
            _sync(segment.file.fd)
            if not segment.synced and os.name == "posix":
                # The file's name is in the directory.
                fd = os.open(self.directory, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            segment.synced = True
        except OSError as error:
            # It is written; only the loss of power could still lose it.
            guard.note(error)

    # --- segments ------------------------------------------------------------------------------------------

    def _begin_segment(self) -> _Segment:
        """Make a segment and append to it from here on. The one before is closed with its last reference."""
        _make_directory(self.directory)
        self._segment = None
        self._make_room()
        for _ in range(_TRIES):
            identity = os.urandom(8)
            # Two of one millisecond, or after the clock was set back, keep their order.
            Spool._created_ms = max(time.time_ns() // 1_000_000, Spool._created_ms + 1)
            name = segment_name(Spool._created_ms, os.getpid(), identity)
            file = LockedFile.create(os.path.join(self.directory, name))
            if file is None:
                continue
            start = header(identity)
            try:
                _write_whole(file, start)
            except OSError:
                # The next append begins another one: this one would be left behind.
                file.remove()
                raise
            self._segment = segment = _Segment(file, len(start))
            return segment
        raise OSError(f"{self.directory}: a new segment can't be locked")

    def _make_room(self) -> None:
        """Drop the oldest segments that nobody appends to, until another one fits."""
        sizes = dict(self._sizes())
        excess = sum(sizes.values()) + self._max_segment - self._max_total
        for path in sizes:
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                file = LockedFile.take(path)
                if file is None:
                    # Somebody appends to it, or drains it.
                    continue
                try:
                    events, told = count_events(path)
                    file.remove()
                finally:
                    file.close()
                excess -= sizes[path]
                self.dropped += events
                # What was to be told by a record in it is told anew.
                self._untold += events + told

    def _sizes(self) -> Iterable[tuple[str, int]]:
        for name in segments(self.directory):
            path = os.path.join(self.directory, name)
            with contextlib.suppress(OSError):
                yield path, -(-os.stat(path).st_size // _BLOCK) * _BLOCK

    def _after_fork_in_child(self) -> None:
        """Leave the parent's segment to the parent."""
        self._begin_anew()


def _write_whole(file: LockedFile, data: bytes) -> None:
    if _write(file.fd, data) != len(data):
        raise OSError(f"{file.path}: the disk is full")


def _make_directory(directory: str) -> None:
    path = Path(directory)
    if path.is_dir():
        return
    for folder in reversed([path, *(folder for folder in path.parents if not folder.exists())]):
        with contextlib.suppress(FileExistsError):
            # Path.mkdir(parents=True) gives the mode to the last one only.
            folder.mkdir(0o700)


_known: weakref.WeakSet[Spool] = weakref.WeakSet()


def _in_child() -> None:
    for spool in list(_known):
        spool._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

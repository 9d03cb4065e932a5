"""The file that a process appends to: how it is made, and how it is put back when somebody removed it.

This module owns what a writer does to its own file besides appending, and which operations the next one is to say are
open. When that is done is the writer's.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Sequence

from usagetrace.guard import guard
from usagetrace.spool.layout import HEAD_SIZE, SPAN_ID, TRACE_ID, header, record, segment_name
from usagetrace.spool.locks import LockedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

    from usagetrace.spool.layout import Row

# Names to try for a new segment; a drainer that looks at a file in the moment of its making spoils one.
_TRIES: Final = 5
# Pause between two looks whether the file is still in its place, in seconds. A look costs three microseconds.
LOOK_EVERY: Final = 0.1
# Operations of one process that have begun and not ended, and are kept for the next segment. What begins beyond
# them is recorded when it ends, as everything is.
MOST_STARTS: Final = 256
# Bytes that are copied at once.
_PIECE: Final = 1 << 20

# Not every system can leave out the file's times.
_sync = getattr(os, "fdatasync", os.fsync)

# Trace and span of an operation.
Key = tuple[str, str]


class Starts(dict[Key, bytes]):
    """Bodies of the records of operations that have begun and not ended, by trace and span."""

    __slots__ = ()

    def has_room(self, length: int, most: int) -> bool:
        """Return whether one more may be kept, with a body of so many bytes, within so many bytes in all."""
        return len(self) < MOST_STARTS and sum(map(len, self.values())) + length <= most

    def end(self, rows: Sequence[Row]) -> dict[Key, bytes]:
        """Forget the operations that rows end; return them.

        Before the rows are written: a segment that is begun in between does not say then that they are open, and
        the lock of the one that the rows go to is held until they are in it.
        """
        ended = {}
        for row in rows:
            key = row[TRACE_ID], row[SPAN_ID]
            body = self.pop(key, None)
            if body is not None:
                ended[key] = body
        return ended


class Segment:
    """A segment that this process appends to, and where it is in it.

    Attributes:
        file: The locked file. It is closed with the last reference to it, so a write that is under way ends.
        size: Bytes that were written.
        limit: Size at which the next look at the directory's space is due; the head of one record is taken off.
        sequence: Number of the next record.
        look_at: Moment of the next look at the file's place, by the monotonic clock.
    """

    __slots__ = ("_formers", "_synced", "file", "limit", "look_at", "sequence", "size")

    def __init__(self, file: LockedFile) -> None:
        self.file = file
        self.size = 0
        self.limit = 0
        self.sequence = 0
        self.look_at = time.monotonic() + LOOK_EVERY
        # Files that were removed, and how much of each was copied. They stay open: a thread may be about to write.
        self._formers: list[tuple[LockedFile, int]] = []
        self._synced = False

    def grant(self, size: int) -> None:
        """Allow it to grow to a size."""
        self.limit = size - HEAD_SIZE

    def look(self) -> bool:
        """Look whether the file is where it was made, and put it back if not.

        Returns:
            False where a file of another content is in its place.

        Raises:
            OSError: It can't be made, or the disk is full.
        """
        for at, (former, copied) in enumerate(self._formers):
            # What another thread was about to write into it while it was being copied.
            self._formers[at] = former, _copy(former, copied, self.file)
        sound = self.file.is_in_place() or self._put_back()
        self.look_at = time.monotonic() + LOOK_EVERY
        return sound

    def _put_back(self) -> bool:
        """Make the file anew, under its name and with what was written: how far it was drained still holds."""
        make_directory(os.path.dirname(self.file.path))
        at = next((at for at, (former, _) in enumerate(self._formers) if former.is_in_place()), None)
        # Where the directory was moved away and back, a former one is there again, and this process has its lock.
        file = LockedFile.take(self.file.path, make=True) if at is None else self._formers[at][0]
        if file is None:
            # Somebody holds what is there now: the next look tells.
            return True
        # Mostly nothing; or the first part of it, where the directory was replaced by a copy.
        found = os.pread(file.fd, os.fstat(self.file.fd).st_size + 1, 0)
        if found != os.pread(self.file.fd, len(found), 0):
            if at is None:
                file.close()
            return False
        try:
            copied = _copy(self.file, len(found), file)
        except OSError:
            if at is None:
                file.remove()
            raise
        if at is not None:
            del self._formers[at]
        self._formers.append((self.file, copied))
        self.file, self._synced = file, False
        return True

    def raise_full(self) -> NoReturn:
        """Raise the OSError of a record that did not fit."""
        raise OSError(errno.ENOSPC, "the disk is full", self.file.path)

    def put(self, body: bytes) -> bool:
        """Write a record without events; return whether it was written whole."""
        sequence = self.sequence
        data = record(body, sequence, 0)
        try:
            written = os.write(self.file.fd, data)
        except OSError:
            return False
        self.size += written
        if written != len(data):
            return False
        self.sequence = max(self.sequence, sequence + 1)
        return True

    def sync(self) -> None:
        """Have what was written on the disk itself. Never raises: it is written, and only a loss of power loses it."""
        try:
            _sync(self.file.fd)
            if not self._synced and os.name == "posix":
                # The file's name is in the directory.
                fd = os.open(os.path.dirname(self.file.path), os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            self._synced = True
        except OSError as error:
            guard.note(error)


def _copy(source: LockedFile, begin_at: int, target: LockedFile) -> int:
    """Append what a file holds from a place on to another one; return where it ended."""
    while piece := os.pread(source.fd, _PIECE, begin_at):
        write_whole(target, piece)
        begin_at += len(piece)
    return begin_at


_newest_ms = 0


def begin(directory: str, starts: Iterable[bytes]) -> Segment:
    """Make a segment.

    Args:
        directory: Where; it is made when it is missing.
        starts: Bodies of records to begin with: operations that began in the segment before, and have not ended.

    Raises:
        OSError: It can't be made, or the disk is full.
        NoLocksError: The file system has no locks.
    """
    global _newest_ms
    make_directory(directory)
    for _ in range(_TRIES):
        identity = os.urandom(8)
        # Two of one millisecond, or after the clock was set back, keep their order.
        _newest_ms = max(time.time_ns() // 1_000_000, _newest_ms + 1)
        file = LockedFile.create(os.path.join(directory, segment_name(_newest_ms, os.getpid(), identity)))
        if file is None:
            continue
        bodies = list(starts)
        data = header(identity) + b"".join(record(body, number, 0) for number, body in enumerate(bodies))
        try:
            write_whole(file, data)
        except OSError:
            # The next append begins another one: this one would be left behind.
            file.remove()
            raise
        segment = Segment(file)
        segment.size, segment.sequence = len(data), len(bodies)
        return segment
    raise OSError(f"{directory}: a new segment can't be locked")


def write_whole(file: LockedFile, data: bytes) -> None:
    """Append bytes.

    Raises:
        OSError: Not all of them fit.
    """
    if os.write(file.fd, data) != len(data):
        raise OSError(errno.ENOSPC, "the disk is full", file.path)


def make_directory(directory: str) -> None:
    """Make a directory, and those above it that are missing, for their owner alone.

    Raises:
        OSError: It can't be made.
    """
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        above = os.path.dirname(directory)
        if above == directory:
            break
        directory = above
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            # Another process was quicker; a file in its place shows when a segment is made in it.
            continue

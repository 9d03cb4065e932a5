"""A file that is imported: opened for reading alone, unpacked where it is packed, its lines of bounded length.

This module owns how a file is read and looked at beforehand; what its lines mean, the reader of its format knows.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

from usagetrace.importers.model import DAY_MS, Found, FoundPoint, ImportFileError, Skipped

# Longest line, in bytes (or characters of a text).
LINE_LIMIT: Final = 64 * 1024 * 1024
# Records between two looks at how far the reading is.
_TICK: Final = 500
# What reading and unpacking a file raise.
UNREADABLE: Final = (OSError, EOFError, zlib.error)
_GZIP: Final = b"\x1f\x8b"
_canonical: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


class FileReader:
    """What readers of files have in common: size, position, and the look at the whole before anything is imported.

    Args:
        path: The file.
        lenient: Skip a record with a fault of its own, and count it, instead of refusing the whole file.

    Attributes:
        name: The format.
        days: Events by day, after :meth:`check`.
        notes: What is to be told, after :meth:`check`.
        tick: Called now and then while the file is looked at.
    """

    name = ""

    def __init__(self, path: str | os.PathLike[str], *, lenient: bool = False) -> None:
        self.path = Path(path)
        self.lenient = lenient
        self.days: Counter[int] = Counter()
        self.notes: list[str] = []
        self.tick: Callable[[], None] | None = None
        self._looking = False
        self._raw: IO[bytes] | None = None
        # What the file was when it was looked at.
        self._seen: os.stat_result | None = None

    @property
    def size(self) -> int | None:
        """Bytes of the file as it lies there; None where it can't be seen."""
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    @property
    def done(self) -> int:
        """Bytes of the file that the present pass has read."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else 0

    def check(self) -> None:
        """Look at the whole file.

        Raises:
            ImportFileError: It can't be read, or has a fault.
        """
        days: Counter[int] = Counter()
        self._looking, self._seen = True, None
        try:
            for number, each in enumerate(self.read()):
                if isinstance(each, Found):
                    days[each.event.ts_ms // DAY_MS] += 1
                if self.tick is not None and number % _TICK == 0:
                    self.tick()
        finally:
            self._looking = False
        self.days = days

    def identity(self, record: object) -> str:
        """Return canonical text of a record; nothing while the file is only looked at, and nobody asks for it."""
        return "" if self._looking else _canonical(record)

    def read(self) -> Iterator[Found | FoundPoint | Skipped]:
        """Yield what the file holds.

        Raises:
            ImportFileError: It can't be read, or has a fault.
        """
        raise NotImplementedError

    def fault(self, place: str, why: str) -> Skipped:
        """Return a record's fault as one that is skipped.

        Raises:
            ImportFileError: The file is to be refused for it.
        """
        if not self.lenient:
            raise ImportFileError(f"{self.path.name}, {place}", why)
        return Skipped(place, why)

    def opened(self) -> IO[bytes]:
        """Open the file for reading, unpacked where it is packed with gzip. The caller closes it.

        Each time as far as it went when it was looked at: what is appended meanwhile nobody has looked at, and its last
        line may be half written.

        Raises:
            ImportFileError: It is no file that can be read twice, or another one by now.
            OSError: It can't be opened.
        """
        raw = open_regular(self.path)
        found = os.fstat(raw.fileno())
        if self._seen is None:
            self._seen = found
        elif _is_another(found, self._seen):
            raw.close()
            raise ImportFileError(str(self.path), "the file was changed after it was looked at: import it again")
        raw.end = self._seen.st_size
        self._raw = file = io.BufferedReader(raw)
        packed = file.read(2) == _GZIP
        file.seek(0)
        return cast("IO[bytes]", _Unpacked(file)) if packed else file

    def lines(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of a file with their numbers, from 1, with their ends.

        Raises:
            ImportFileError: One is too long, or the file can't be unpacked.
        """
        number = 0
        while True:
            try:
                line = file.readline(LINE_LIMIT + 1)
            except UNREADABLE as error:
                raise self.unreadable(error, f"line {number + 1}") from error
            if not line:
                return
            number += 1
            if len(line) > LINE_LIMIT:
                raise ImportFileError(f"{self.path.name}, line {number}", f"longer than {LINE_LIMIT} bytes")
            yield number, line

    def unreadable(self, error: Exception, place: str) -> ImportFileError:
        """Return what unpacking and reading raise (:data:`UNREADABLE`) as an error that says where."""
        whole = f"{self.path.name}, {place}"
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            return ImportFileError(whole, error.strerror or type(error).__name__)
        return ImportFileError(
            f"{whole} (byte {self.done} of the packed file)", "the gzip data is damaged or cut short"
        )


class RegularFile(io.FileIO):
    """A file whose bytes end where ``end`` says, however long it is; None for its own end."""

    end: int | None = None

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer; return how many bytes."""
        if self.end is None:
            return super().readinto(buffer)
        return super().readinto(memoryview(buffer)[: max(self.end - self.tell(), 0)])


def open_regular(path: Path) -> RegularFile:
    """Open a file for reading. The caller closes it.

    Raises:
        ImportFileError: It is no regular file.
        OSError: It can't be opened.
    """
    # Not blocking: a pipe of this name would wait for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImportFileError(str(path), "expected a regular file: it is read twice")
    return RegularFile(descriptor, "rb")


def _is_another(found: os.stat_result, before: os.stat_result) -> bool:
    """Return whether a file is another one than before, or was written to elsewhere than at its end."""
    if (found.st_dev, found.st_ino) != (before.st_dev, before.st_ino) or found.st_size < before.st_size:
        return True
    return found.st_size == before.st_size and found.st_mtime_ns != before.st_mtime_ns


class _Unpacked(gzip.GzipFile):
    """Unpacks a file, and closes it as well."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._packed = file

    def close(self) -> None:
        """Close both."""
        super().close()
        self._packed.close()

"""The pages of a database file and of its write-ahead log, read without SQLite: no lock, no recovery, no new file.

A file that is in use, locked, damaged, or of another program can be read like this. This module knows no rows.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from usagetrace.store.pages import Pages

MAGIC: Final = b"SQLite format 3\x00"
_ENCODINGS: Final = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_SIZES: Final = frozenset(1 << power for power in range(9, 17))
# Bytes of the database's own head, and of its log's.
_DATABASE_HEAD: Final = 100
_LOG_HEAD: Final = 32
_FRAME: Final = struct.Struct(">6I")
# A rollback journal: its head fills a sector, and each page stands between its number and a checksum.
_SECTOR: Final = 512
_BEFORE, _BEHIND = 4, 4


class Image:
    """A database file with its write-ahead log; changes neither.

    Args:
        path: The file; it may be missing, empty or damaged.

    Raises:
        OSError: It is there and can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: BinaryIO | None = None
        self._log: BinaryIO | None = None
        try:
            self._file = Path(path).open("rb")  # noqa: SIM115 -- closed by close
            log = Path(f"{os.fspath(path)}-wal")
            if log.is_file():
                self._log = log.open("rb")
            self._measure(path)
        except BaseException:
            self.close()
            raise

    def _measure(self, path: str | os.PathLike[str]) -> None:
        assert self._file is not None  # noqa: S101 -- for the type checker: it was opened just now
        head = self._file.read(_DATABASE_HEAD)
        log_head = self._log.read(_LOG_HEAD) if self._log is not None else b""
        size = _sane(int.from_bytes(log_head[8:12], "big")) or 0
        if not size and head[:16] == MAGIC:
            size = _sane(int.from_bytes(head[16:18], "big")) or 0
        if not size:
            with Pages(path) as pages:
                size = pages.size
        self.size = size
        self._salts = log_head[16:24]
        self._frames = self._newest()
        length = os.fstat(self._file.fileno()).st_size
        self.file_count = -(-length // size)
        self.count = max(self.file_count, max(self._frames, default=0))
        self.length = length
        first = self.read(1)
        self.is_sound = first[:16] == MAGIC
        # How many pages there are by its head; 0 where that does not say.
        said = first[28:32] if self.is_sound and first[24:28] == first[92:96] else b""
        self.said_count = int.from_bytes(said, "big")
        self.usable = size - first[20] if self.is_sound and first[20] < size - 480 else size
        self.encoding = _ENCODINGS.get(int.from_bytes(first[56:60], "big"), "utf-8") if self.is_sound else "utf-8"

    def _newest(self) -> dict[int, int]:
        """Return where the newest committed content of each page lies in the log."""
        found: dict[int, int] = {}
        pending: dict[int, int] = {}
        for at, number, commit, salts in self._heads():
            if salts == self._salts:
                pending[number] = at
                if commit:
                    found.update(pending)
                    pending.clear()
        return found

    def _heads(self) -> Iterator[tuple[int, int, int, bytes]]:
        if self._log is None:
            return
        at = _LOG_HEAD
        while True:
            self._log.seek(at)
            head = self._log.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return
            number, commit, *_ = _FRAME.unpack(head)
            yield at + _FRAME.size, number, commit, head[8:16]
            at += _FRAME.size + self.size

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield every frame of the log, old and uncommitted ones too: its number, its page's, and the page."""
        for frame, (at, number, _, _) in enumerate(self._heads(), 1):
            assert self._log is not None  # noqa: S101 -- for the type checker: there are frames
            self._log.seek(at)
            yield frame, number, self._log.read(self.size)

    def read(self, number: int) -> bytes:
        """Return a page as a reader of the database sees it, by its number from 1; less where the file ends."""
        at = self._frames.get(number)
        if at is None or self._log is None:
            return self.read_file(number)
        self._log.seek(at)
        return self._log.read(self.size)

    def read_file(self, number: int) -> bytes:
        """Return a page as it lies in the file itself, whatever the log says."""
        if self._file is None or number < 1:
            return b""
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._log):
            if file is not None:
                file.close()

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def page_start(data: bytes, number: int) -> int:
    """Return where the head of a page begins: behind the database's own head on the first one."""
    return _DATABASE_HEAD if number == 1 and data[:16] == MAGIC else 0


def journal_pages(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a rollback journal with their numbers, those of an emptied head too.

    Args:
        file: The journal.
        size: The size of pages, where its head does not say.
    """
    head = file.read(_SECTOR)
    size = _sane(int.from_bytes(head[24:28], "big")) or size
    sector = _sane(int.from_bytes(head[20:24], "big")) or _SECTOR
    file.seek(sector)
    while piece := file.read(_BEFORE + size + _BEHIND):
        yield int.from_bytes(piece[:_BEFORE], "big"), piece[_BEFORE : _BEFORE + size]


def _sane(size: int) -> int | None:
    size = 65536 if size == 1 else size
    return size if size in _SIZES else None

"""Reads the rows of a damaged SQLite file from its pages, past everything that can't be read.

SQLite itself finds rows by way of the pages above them, and gives up at the first that is damaged; with the first page
of the file gone it reads nothing at all. Here each page that holds rows is looked at by itself, with what a sound part
of the write-ahead log says about it. Which table a row belongs to is for the caller to tell from its shape.

This module reads two files and knows no table. Source of the formats: https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple

from usagetrace.store.walog import page_frames

_MAGIC: Final = b"SQLite format 3\x00"
_TABLE_LEAF: Final = 0x0D
_INDEX_LEAF: Final = 0x0A
_INDEX_INTERIOR: Final = 0x02
_LEAVES: Final = (bytes([_TABLE_LEAF]), bytes([_INDEX_LEAF]))
_ENCODINGS: Final = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_SIZES: Final = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
# Bytes of a value, by its serial type; from 12 on it follows from the number.
WIDTHS: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
_DOUBLE: Final = struct.Struct(">d")
# Pages that are looked at to find out the size of pages.
_SAMPLE: Final = 200


class Cell(NamedTuple):
    """A row as it lies on a page.

    Attributes:
        rowid: Its number in a table; None in an index, and in a table without numbers.
        values: Its values, in the order in which they are stored.
    """

    rowid: int | None
    values: tuple[Any, ...]


class Pages:
    """A database file and the sound, committed part of its write-ahead log. Changes neither.

    Args:
        path: The file; its log lies beside it under the same name with ``-wal``.

    Raises:
        OSError: The file can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 -- closed by close
        self._log: BinaryIO | None = None
        try:
            self._open(Path(f"{os.fspath(path)}-wal"))
        except BaseException:
            self.close()
            raise

    def _open(self, log: Path) -> None:
        head = self._file.read(100)
        sound = head[:16] == _MAGIC
        size = int.from_bytes(head[16:18], "big") if sound else 0
        self._frames: dict[int, int] = {}
        ends: int | None = None
        if log.exists():
            self._log = log.open("rb")
            logged, self._frames, ends = page_frames(self._log)
            size = logged or size
        self._bytes = os.fstat(self._file.fileno()).st_size
        self.size = 65536 if size == 1 else size if size in _SIZES else self._likely_size()
        first = self.read(1).ljust(100, b"\0")
        sound = first[:16] == _MAGIC
        self._usable = self.size - first[20] if sound else self.size
        self._encoding = _ENCODINGS.get(int.from_bytes(first[56:60], "big"), "utf-8") if sound else "utf-8"
        self._count = (
            max(-(-self._bytes // self.size), *self._frames, 0) if self._frames else -(-self._bytes // self.size)
        )
        if ends is None and sound and first[24:28] == first[92:96]:
            ends = int.from_bytes(first[28:32], "big")
        if ends:
            # What lies behind the end was given up, and not yet cut off.
            self._count = min(self._count, ends)
        self._free = self._free_pages(first) if sound else frozenset()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def read(self, number: int) -> bytes:
        """Return a page, by its number from 1; where the file is cut off, what is left of it."""
        at = self._frames.get(number)
        if at is not None and self._log is not None:
            self._log.seek(at)
            return self._log.read(self.size)
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def pages(self) -> Iterator[Iterator[Cell | None]]:
        """Yield the rows of each page that has some, in the order of the file; None for one that can't be read."""
        for number in range(1, self._count + 1):
            if number in self._free:
                continue
            data = self.read(number)
            start = 100 if number == 1 else 0
            if len(data) > start and data[start] in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
                yield self._cells(data, start)

    def _cells(self, data: bytes, start: int) -> Iterator[Cell | None]:
        kind = data[start]
        head = start + (12 if kind == _INDEX_INTERIOR else 8)
        count = int.from_bytes(data[start + 3 : start + 5], "big")
        for index in range(min(count, (self.size - head) // 2)):
            at = int.from_bytes(data[head + 2 * index : head + 2 * index + 2], "big")
            try:
                yield self._cell(data, at, kind) if at >= head else None
            except (ValueError, IndexError, struct.error):
                # Whatever was in these bytes, it is no row.
                yield None

    def _cell(self, data: bytes, at: int, kind: int) -> Cell:
        place, length, local, rowid = _extent(data, at, kind, self._usable)
        payload = data[place : place + local]
        if local < length:
            payload += self._overflow(data[place + local : place + local + 4], length - local)
        if len(payload) != length:
            raise ValueError("a row that goes beyond its page")
        return Cell(rowid, self._values(payload))

    def _overflow(self, first: bytes, missing: int) -> bytes:
        """Return the rest of a row that did not fit on its page."""
        if missing > self._count * self.size:
            raise ValueError("a row longer than the file")
        parts = []
        number = int.from_bytes(first, "big")
        while missing > 0:
            if not 1 < number <= self._count:
                raise ValueError("a row whose rest is nowhere")
            data = self.read(number)
            part = data[4 : 4 + min(missing, self._usable - 4)]
            if not part:
                raise ValueError("a row whose rest is cut off")
            parts.append(part)
            missing -= len(part)
            number = int.from_bytes(data[:4], "big")
        return b"".join(parts)

    def _values(self, payload: bytes) -> tuple[Any, ...]:
        end, at = varint(payload, 0)
        types = []
        while at < end:
            kind = payload[at]
            if kind < 0x80:
                at += 1
            else:
                kind, at = varint(payload, at)
            types.append(kind)
        if at != end:
            raise ValueError("a row whose head has another length than it says")
        values: list[Any] = []
        for kind in types:
            if kind >= 12:
                width = (kind - 12) >> 1
                part = payload[at : at + width]
                values.append(part.decode(self._encoding) if kind & 1 else part)
            elif kind < 10:
                width = WIDTHS[kind]
                values.append(_number(kind, payload[at : at + width]))
            else:
                raise ValueError("a value of no type")
            at += width
        if at != len(payload):
            raise ValueError("a row of another length than its values")
        return tuple(values)

    # --- what there is ---------------------------------------------------------------------------------------

    def _likely_size(self) -> int:
        """Return the size at which the most of the file is pages whose rows reach exactly to their end."""

        def covered(size: int) -> float:
            whole = max(self._bytes // size, 1)
            sample = range(0, whole, max(whole // _SAMPLE, 1))
            found = 0
            for number in sample:
                self._file.seek(number * size)
                found += _ends_well(self._file.read(size))
            return found / len(sample)

        return max(_SIZES, key=covered)

    def _free_pages(self, first: bytes) -> frozenset[int]:
        """Return the pages that were given up: what is on them was removed, or lives elsewhere."""
        free: set[int] = set()
        trunk = int.from_bytes(first[32:36], "big")
        while 1 < trunk <= self._count and trunk not in free:
            free.add(trunk)
            data = self.read(trunk).ljust(self.size, b"\0")
            leaves = min(int.from_bytes(data[4:8], "big"), self.size // 4 - 2)
            free.update(struct.unpack_from(f">{leaves}I", data, 8))
            trunk = int.from_bytes(data[:4], "big")
        return frozenset(free)


def _extent(data: bytes, at: int, kind: int, usable: int) -> tuple[int, int, int, int | None]:
    """Return where a row begins, its length, how much of it is on its page, and its number."""
    if kind == _INDEX_INTERIOR:
        at += 4
    length, at = varint(data, at)
    rowid: int | None = None
    most = (usable - 12) * 64 // 255 - 23
    if kind == _TABLE_LEAF:
        number, at = varint(data, at)
        rowid = number - (1 << 64) if number >> 63 else number
        most = usable - 35
    if length <= most:
        return at, length, length, rowid
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    return at, length, local if local <= most else least, rowid


def _ends_well(data: bytes) -> bool:
    """Return whether the last row on what may be a page ends where the page does: the first one is put there."""
    if data[:1] not in _LEAVES:
        return False
    count = int.from_bytes(data[3:5], "big")
    if not 0 < count <= (len(data) - 8) // 4:
        return False
    places = [int.from_bytes(data[at : at + 2], "big") for at in range(8, 8 + 2 * count, 2)]
    try:
        at, length, local, _ = _extent(data, max(places), data[0], len(data))
    except IndexError:
        return False
    return at + local + (4 if local < length else 0) == len(data)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of up to nine bytes, and where it ends.

    Raises:
        IndexError: The bytes end before it.
    """
    value = 0
    for last in range(at, at + 8):
        byte = data[last]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, last + 1
    return value << 8 | data[at + 8], at + 9


def _number(kind: int, part: bytes) -> int | float | None:
    if kind == 0:
        return None
    if kind == 7:
        number: float = _DOUBLE.unpack(part)[0]
        return number
    if kind >= 8:
        return kind - 8
    if len(part) != WIDTHS[kind]:
        raise ValueError("a number that is cut off")
    return int.from_bytes(part, "big", signed=True)

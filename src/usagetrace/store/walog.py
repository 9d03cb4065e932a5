"""Finds the sound, committed pages in a write-ahead log of SQLite, past frames that are damaged.

SQLite stops at the first frame whose checksum is wrong. Each frame's checksum continues the one before, and is
written beside it, so that later frames can be checked all the same.

This module reads one file and knows no rows. Source of the format: https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

_MAGIC: Final = 0x377F0682
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")


def page_frames(log: BinaryIO) -> tuple[int, dict[int, int], int | None]:
    """Return what a log says about its database's pages.

    Args:
        log: The file, open for reading.

    Returns:
        The size of pages, 0 where the log's head can't be read; for each page the place in the log of its newest
        committed content; and how many pages the database has after that, None where the log does not tell.
    """
    head = log.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return 0, {}, None
    magic, _, size, _, *salts_and_sum = _HEADER.unpack(head)
    order = ">" if magic & 1 else "<"
    sums = _checksum((0, 0), head[:24], order)
    if magic & ~1 != _MAGIC or list(sums) != salts_and_sum[2:]:
        return 0, {}, None
    salts = salts_and_sum[:2]
    found: dict[int, int] = {}
    pending: dict[int, int] = {}
    ends: int | None = None
    at = _HEADER.size
    while len(frame := log.read(_FRAME.size + size)) == _FRAME.size + size:
        number, pages, *rest = _FRAME.unpack_from(frame)
        if rest[:2] != salts:
            # Left from before the log began anew; behind it there may be more only where it was damaged.
            at += len(frame)
            sums = (rest[2], rest[3])
            continue
        sound = _checksum(_checksum(sums, frame[:8], order), memoryview(frame)[_FRAME.size :], order) == tuple(rest[2:])
        if sound:
            pending[number] = at + _FRAME.size
            if pages:
                found.update(pending)
                pending.clear()
                ends = pages
        sums = (rest[2], rest[3])
        at += len(frame)
    return size, found, ends


def _checksum(start: tuple[int, int], data: bytes | memoryview, order: str) -> tuple[int, int]:
    one, two = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two

"""Takes apart what SQLite's full-text modules store: which word stands where.

Pure: bytes in, words out; damaged bytes give fewer words, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from usagetrace.store.pages import varint

# Before each word of FTS5 stands the number of its index; the main one is this.
_MAIN: Final = 0x30
_HEAD: Final = 4
# In lists of positions: the next column; the end of a row (FTS3 alone).
_COLUMN, _END = 1, 0


class Posting(NamedTuple):
    """A word at a place: its row, its column, its position there; -1 where positions are not stored."""

    term: str
    row: int
    column: int
    position: int


def fts5_postings(pages: Iterable[tuple[int, bytes]], *, positions: bool) -> Iterator[Posting]:
    """Yield the words of an FTS5 index.

    Args:
        pages: The pages of its segments, in order, each with the number of its segment.
        positions: Whether the index stores positions.
    """
    term, parts, absolute, segment = b"", bytearray(), set[int](), 0
    for number, page in pages:
        if number != segment:
            yield from _fts5_rows(term, parts, absolute, positions)
            term, parts, absolute, segment = b"", bytearray(), set(), number
        first_row = int.from_bytes(page[:2], "big")
        size = int.from_bytes(page[2:4], "big")
        starts = _fts5_starts(page, size)
        stop = starts[0] if starts else size
        if _HEAD <= first_row < stop:
            # The first row of a page is a whole number, not a difference.
            absolute.add(len(parts) + first_row - _HEAD)
        parts += page[_HEAD:stop]
        for at, end in zip(starts, [*starts[1:], size][: len(starts)], strict=True):
            yield from _fts5_rows(term, parts, absolute, positions)
            term, place = _fts5_term(page, at, term, first=at == starts[0])
            parts, absolute = bytearray(page[place:end]), {0}
    yield from _fts5_rows(term, parts, absolute, positions)


def _fts5_starts(page: bytes, size: int) -> list[int]:
    """Return where the words of a page begin, from the list behind its content."""
    starts: list[int] = []
    at, last = size, 0
    try:
        while at < len(page):
            delta, at = varint(page, at)
            last += delta
            if not _HEAD <= last < size:
                break
            starts.append(last)
    except IndexError:
        return starts
    return starts


def _fts5_term(page: bytes, at: int, before: bytes, *, first: bool) -> tuple[bytes, int]:
    try:
        shared = 0
        if not first:
            shared, at = varint(page, at)
        length, at = varint(page, at)
    except IndexError:
        return b"", len(page)
    return before[:shared] + page[at : at + length], at + length


def _fts5_rows(term: bytes, parts: bytearray, absolute: set[int], positions: bool) -> Iterator[Posting]:
    if not term or term[0] != _MAIN:
        return
    word = term[1:].decode("utf-8", "replace")
    if not positions:
        yield Posting(word, 0, 0, -1)
        return
    data, at, row = bytes(parts), 0, 0
    try:
        while at < len(data):
            begin = at
            delta, at = varint(data, at)
            row = delta if begin in absolute else row + delta
            size, at = varint(data, at)
            end = at + (size >> 1)
            yield from _positions(word, row, data[at:end])
            at = end
    except IndexError:
        return


def _positions(word: str, row: int, data: bytes) -> Iterator[Posting]:
    column = position = at = 0
    while at < len(data):
        number, at = varint(data, at)
        if number == _COLUMN:
            column, at = varint(data, at)
            position = 0
            continue
        position += number - 2
        yield Posting(word, row, column, position)


def fts3_postings(node: bytes) -> Iterator[Posting]:
    """Yield the words of a node of an FTS3 or FTS4 index; none where it only leads to others."""
    try:
        height, at = _little(node, 0)
        if height:
            return
        term = b""
        while at < len(node):
            shared = 0
            if term:
                shared, at = _little(node, at)
            length, at = _little(node, at)
            term = term[:shared] + node[at : at + length]
            size, at = _little(node, at + length)
            yield from _fts3_rows(term.decode("utf-8", "replace"), node[at : at + size])
            at += size
            if not term:
                return
    except IndexError:
        return


def _fts3_rows(word: str, data: bytes) -> Iterator[Posting]:
    at = row = 0
    while at < len(data):
        delta, at = _little(data, at)
        row += delta
        column = position = 0
        while at < len(data):
            number, at = _little(data, at)
            if number == _END:
                break
            if number == _COLUMN:
                column, at = _little(data, at)
                position = 0
                continue
            position += number - 2
            yield Posting(word, row, column, position)


def _little(data: bytes, at: int) -> tuple[int, int]:
    """Return a number as FTS3 writes it, lowest bits first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7

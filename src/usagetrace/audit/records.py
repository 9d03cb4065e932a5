"""Rows as they lie on a page of SQLite.

This module takes bytes apart and judges none of them. Source of the format: https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from usagetrace.store.pages import WIDTHS, varint

INDEX_INTERIOR: Final = 0x02
TABLE_INTERIOR: Final = 0x05
INDEX_LEAF: Final = 0x0A
TABLE_LEAF: Final = 0x0D
KINDS: Final = frozenset({INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF})


class Widths(NamedTuple):
    """What the records of a page may look like.

    Attributes:
        counts: How many columns they may have; any number where it is empty.
        numbered: Whether the first column is the row's number, which the record itself leaves empty.
        of_index: Whether they are those of an index, which have no number of their own.
    """

    counts: tuple[int, ...] = ()
    numbered: bool = False
    of_index: bool = False


class Value(NamedTuple):
    """One column of a record: its number, its bytes, and what they are (``t`` text, ``b`` blob, ``n`` number)."""

    column: int
    raw: bytes
    form: str


class Record(NamedTuple):
    """A record on a page.

    Attributes:
        start: Its first byte on the page.
        end: The byte behind its part on the page.
        rowid: Its number; None in an index, and where it is not known.
        width: How many columns it has; 0 where its bytes make no record.
        values: Its columns but for NULL and empty ones.
        overflow: The first page of the rest of it; 0 where there is none.
    """

    start: int
    end: int
    rowid: int | None
    width: int
    values: list[Value]
    overflow: int


# Returns the rest of a record: its first page and how many bytes are missing -> the bytes, fewer where they are gone.
Rest = Callable[[int, int], bytes]


def local_length(length: int, kind: int, usable: int) -> int:
    """Return how many bytes of a record lie on its own page."""
    most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return length
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    return local if local <= most else least


def values(payload: bytes) -> tuple[int, list[Value]] | None:
    """Return how many columns a record has, and those with content; None where the bytes are none.

    Args:
        payload: Its bytes; where its end is missing, the columns that are there are returned.
    """
    try:
        end, at = varint(payload, 0)
        if end > len(payload):
            return None
        types, stop = types_of(payload, at, end)
    except IndexError:
        return None
    if stop != end:
        return None
    return len(types), split(payload, end, types)


def types_of(data: bytes, at: int, end: int) -> tuple[Sequence[int], int]:
    """Return the serial types between two places of a record's head, and where they end."""
    head = data[at:end]
    if head.isascii():
        # Each type is one byte, which is so where no value is long.
        return head, at + len(head)
    types = []
    while at < end:
        kind = data[at]
        if kind < 0x80:
            at += 1
        else:
            kind, at = varint(data, at)
        types.append(kind)
    return types, at


def size_of(kind: int) -> int:
    """Return how many bytes a value takes, by its serial type."""
    return (kind - 12) >> 1 if kind >= 12 else WIDTHS[kind] if kind < 10 else 0


def split(data: bytes, at: int, types: Sequence[int], first: int = 0) -> list[Value]:
    """Return the values of a record that are there: those of no bytes are left out."""
    found = []
    for column, kind in enumerate(types, first):
        if kind >= 14:
            width = (kind - 12) >> 1
            raw = data[at : at + width]
            if raw:
                found.append(Value(column, raw, "t" if kind & 1 else "b"))
        elif 0 < kind < 10:
            width = WIDTHS[kind]
            found.append(Value(column, data[at : at + width], "n"))
        else:
            continue
        at += width
    return found


def record(data: bytes, at: int, kind: int, usable: int, rest: Rest) -> Record | None:
    """Return the record at a place of a page; None where there is none.

    Args:
        data: The page.
        at: Where its cell begins.
        kind: The page's kind.
        usable: Bytes of a page that are used.
        rest: Fetches what lies on other pages.
    """
    try:
        start = at
        if kind == INDEX_INTERIOR:
            at += 4
        length, at = varint(data, at)
        rowid: int | None = None
        if kind == TABLE_LEAF:
            number, at = varint(data, at)
            rowid = number - (1 << 64) if number >> 63 else number
        local = local_length(length, kind, usable)
        payload, overflow, end = data[at : at + local], 0, at + local
        if len(payload) < local:
            return None
        if local < length:
            overflow = int.from_bytes(data[end : end + 4], "big")
            end += 4
            payload += rest(overflow, length - local)
    except IndexError:
        return None
    taken = values(payload)
    return None if taken is None else Record(start, max(end, start + 4), rowid, *taken, overflow)


def live(data: bytes, start: int, usable: int, rest: Rest) -> Iterator[Record | int]:
    """Yield the records of a page, and the place of each that can't be read.

    Args:
        data: The page.
        start: Where its head begins: 100 on the first page of a database, else 0.
        usable: Bytes of a page that are used.
        rest: Fetches what lies on other pages.
    """
    kind = data[start]
    if kind == TABLE_INTERIOR:
        return
    for at in pointers(data, start):
        yield record(data, at, kind, usable, rest) or at


def pointers(data: bytes, start: int) -> list[int]:
    """Return where the cells of a page begin; none where its head can't be one."""
    head = start + (12 if data[start] in (INDEX_INTERIOR, TABLE_INTERIOR) else 8)
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    if head + 2 * count > len(data):
        return []
    places = [int.from_bytes(data[at : at + 2], "big") for at in range(head, head + 2 * count, 2)]
    return [at for at in places if head + 2 * count <= at < len(data)]


def is_tree_page(data: bytes, start: int) -> bool:
    """Return whether a page has the head of one that holds rows or leads to them."""
    if len(data) < start + 12 or data[start] not in KINDS:
        return False
    head = start + (12 if data[start] in (INDEX_INTERIOR, TABLE_INTERIOR) else 8)
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    return head + 2 * count <= len(data) and (not count or bool(pointers(data, start)))


def free_blocks(data: bytes, start: int) -> set[int]:
    """Return where the freed blocks of a page begin."""
    found: set[int] = set()
    at = int.from_bytes(data[start + 1 : start + 3], "big")
    while 0 < at <= len(data) - 4 and at not in found:
        found.add(at)
        at = int.from_bytes(data[at : at + 2], "big")
    return found

"""Rows that were removed from a page of SQLite and not yet overwritten.

A removed row stays whole in the free space of its page, or lacks its first four bytes, which became the head of a freed
block. This module takes bytes apart and judges none of them.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from usagetrace.audit.records import (
    INDEX_LEAF,
    TABLE_LEAF,
    Record,
    Rest,
    Widths,
    record,
    size_of,
    split,
    types_of,
)
from usagetrace.store.pages import varint

# What the head of a freed block overwrites.
_BLOCK_HEAD: Final = 4
# A removed record is believed from this length on: shorter ones may be an accident.
_LEAST: Final = 6
# A removed record is not looked for beyond this length: what may be one is cut up by its pages in any case.
_MOST: Final = 1 << 24
# Below this length that of a record takes one byte.
_SHORT: Final = 128
# Bytes that no text of a removed record holds.
_CONTROLS: Final = frozenset(range(0x20)) - frozenset(b"\t\n\r\x1b")


def removed(
    data: bytes, low: int, high: int, *, block: bool, widths: Widths, usable: int, rest: Rest
) -> Iterator[Record | tuple[int, int]]:
    """Yield the removed records in a stretch of a page, and the stretches between them.

    Args:
        data: The page.
        low: Where the stretch begins.
        high: Where it ends.
        block: It is a freed block, whose first four bytes are overwritten.
        widths: What the records may look like.
        usable: Bytes of a page that are used.
        rest: Fetches what lies on other pages.
    """
    places = _places(data, low, high, widths)
    at = before = low
    headless = block
    while at < high - _LEAST:
        found = _whole(data, at, high, widths, usable, rest)
        if found is None and headless:
            found = _headless(data, at, high, widths)
        if found is None:
            following = bisect.bisect_right(places, at)
            at = places[following] if following < len(places) else high
            headless = False
            continue
        if before < found.start:
            yield before, found.start
        yield found
        at = before = found.end
        headless = True
    if before < high:
        yield (before + _BLOCK_HEAD if block and before == low else before), high


def _places(data: bytes, low: int, high: int, widths: Widths) -> Sequence[int]:
    """Return where in a stretch a record may begin, in order: looked for by the length of its head."""
    if not widths.counts:
        return range(low, high)
    found: set[int] = set()
    for match in _heads(widths).finditer(data, low, high):
        head = match.start()
        # Before it stand the record's length and, in a table, its number.
        found.update(range(max(low, head - (3 if widths.of_index else 12)), head))
    return sorted(found)


@functools.cache
def _heads(widths: Widths) -> re.Pattern[bytes]:
    counts = sorted(widths.counts)
    least, most = counts[0] + 1, min(3 * counts[-1] + 2, 0x7F)
    first = b"\\x00" if widths.numbered else b""
    return re.compile(b"(?=[\\x%02x-\\x%02x]%s)" % (min(least, most), most, first), re.DOTALL)


def _whole(data: bytes, at: int, high: int, widths: Widths, usable: int, rest: Rest) -> Record | None:
    """Return the record that begins at a place, of a table or of an index, if one does."""
    for kind in (TABLE_LEAF, INDEX_LEAF):
        if not _is_plausible(data, at, kind, widths.counts):
            continue
        found = record(data, at, kind, usable, rest)
        if found is None or found.end > high or not _is_sound(found, widths.counts):
            continue
        length, place = varint(data, at)
        if kind == TABLE_LEAF:
            _, place = varint(data, place)
        if found.overflow or length == _length(data, place):
            return found
    return None


def _is_plausible(data: bytes, at: int, kind: int, counts: Collection[int]) -> bool:
    """Return whether a record may begin at a place, by its first numbers alone: nearly all places fail here."""
    if data[at] < _LEAST:
        return False
    try:
        length, at = varint(data, at)
        if kind == TABLE_LEAF:
            at = varint(data, at)[1]
        end = data[at]
    except IndexError:
        return False
    if not 2 <= end <= length or length > _MOST:
        return False
    return not counts or any(count < end <= 3 * count + 2 for count in counts)


def _length(data: bytes, at: int) -> int:
    """Return the length of a record by what its head says."""
    end, place = varint(data, at)
    types, _ = types_of(data, place, at + end)
    return end + sum(map(size_of, types))


def _is_sound(found: Record, counts: Collection[int]) -> bool:
    """Return whether what may be a removed record is believable: the right width, and texts that are texts."""
    if (counts and found.width not in counts) or not any(value.form == "t" for value in found.values):
        return False
    return all(value.form != "t" or _is_text(value.raw) for value in found.values)


def _is_text(raw: bytes) -> bool:
    if not _CONTROLS.isdisjoint(raw) and b"\0" not in raw[:2]:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        # Its end may be on another page, or it is a text of two bytes a character.
        return error.end >= len(raw) - 3 or b"\0" in raw[:2]
    return True


def _headless(data: bytes, at: int, high: int, widths: Widths) -> Record | None:
    """Return the record whose first four bytes became the head of a freed block.

    These were its length, its number, and maybe the length of its head and its first types. What is left of the
    head must fit what follows it exactly.
    """
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    body = at + _BLOCK_HEAD
    ends = [end for end in {high, at + size} if at + _BLOCK_HEAD < end <= high]
    if widths.of_index and size <= _SHORT:
        # The lengths of the first two columns are gone as well, and nothing tells these apart.
        return None
    try:
        for skip in range(0 if widths.of_index else 6):
            end, place = varint(data, body + skip)
            if 2 <= end <= 1 << 14 and body + skip + end < high:
                types, stop = types_of(data, place, body + skip + end)
                if stop == body + skip + end:
                    last = stop + sum(map(size_of, types))
                    if len(types) in widths.counts:
                        # Something else may have taken the end of the block.
                        last = min(last, high)
                    found = _placed(data, at, stop, last, types, 0, high)
                    if found is not None and _is_sound(found, widths.counts):
                        return found
        for width in widths.counts:
            for lost in range(min(width, 3)):
                found = _typed(data, at, width, lost, ends, high if widths.numbered else 0)
                if found is not None:
                    return found
    except IndexError:
        return None
    return None


def _typed(data: bytes, at: int, width: int, lost: int, ends: list[int], cut: int) -> Record | None:
    types: list[int] = []
    place = at + _BLOCK_HEAD
    while len(types) < width - lost:
        kind, place = varint(data, place)
        types.append(kind)
    known = place + sum(map(size_of, types))
    if cut and (lost == 1 or (lost == 0 and types[0] == 0)):
        # Nothing that takes room is lost: the record's end is known, though further ones may follow in the block, or
        # something else may have taken its last columns.
        ends = [known]
        if known > cut and lost == 0:
            ends, known = [cut], cut
    for end in ends:
        missing = end - known
        # The length of one lost column follows; several can only have been empty, or numbers of no bytes.
        if missing < 0 or (missing and lost != 1):
            continue
        whole = [missing * 2 + 13, *types] if lost == 1 else [0] * lost + types
        found = _placed(data, at, place, end, whole, 0, end)
        if found is not None and _is_sound(found, (width,)):
            return found
    return None


def _placed(data: bytes, start: int, body: int, end: int, types: Sequence[int], first: int, high: int) -> Record | None:
    if end > high or end <= body or any(kind in (10, 11) for kind in types):
        return None
    return Record(start, end, None, len(types), split(data[:end], body, types, first), 0)

"""Reads segments: every sound record, past whatever is torn or damaged.

This module changes no file and holds no lock; whether a segment's writer still lives is told to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from usagetrace.events import Event
from usagetrace.spool.layout import HEAD, HEAD_SIZE, HEADER_SIZE, MARK, SUFFIX, checksum, decode, has_header


@dataclass(frozen=True, slots=True)
class Record:
    """What one call appended, and what was skipped on the way to it.

    Attributes:
        position: Where the next record begins, in bytes from the beginning of the segment.
        sequence: Number that the next record is expected to have.
        events: What the call recorded; empty in a record that only tells of losses.
        lost: Events that the writer says it could not keep.
        gaps: Records that are missing before this one, by their numbers; those that are damaged are among them.
        damaged: Stretches of bytes before this record that hold no sound record: 0 or 1.
    """

    position: int
    sequence: int
    events: list[Event] = field(default_factory=list)
    lost: int = 0
    gaps: int = 0
    damaged: int = 0


def segments(directory: str | os.PathLike[str]) -> list[str]:
    """Return the names of the segments in a directory, oldest first; none where there is no directory.

    Raises:
        OSError: The directory can't be read.
    """
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def read_segment(
    path: str | os.PathLike[str], position: int = 0, sequence: int = 0, *, finished: bool = False
) -> Iterator[Record]:
    """Read a segment's records from a position on.

    Args:
        path: The file.
        position: Where to begin: 0, or the position of the last record that was read.
        sequence: Number that the first record is expected to have: 0, or that of the last record that was read.
        finished: Nobody appends any more. What is torn at the end is damage then; else it may be on its way.

    Yields:
        The records. Damage at the end of a finished segment comes as a last record without events.

    Raises:
        OSError: The file can't be read.
        NewerSchemaError: A newer version of this package wrote it.
    """
    with open(path, "rb", buffering=0) as file:
        start = file.read(HEADER_SIZE) if position < HEADER_SIZE else b""
        headed = not start or has_header(start)
        at = max(position, HEADER_SIZE) if headed else position
        file.seek(at)
        # A segment is a few megabytes, by the rotation of its writer.
        data = file.readall()
    if headed or len(start) + len(data) >= HEADER_SIZE or finished:
        yield from read_records(data or b"", at, sequence, finished=finished)


def read_records(data: bytes, offset: int, sequence: int, *, finished: bool) -> Iterator[Record]:
    """Read the records in the rest of a segment; see :func:`read_segment`.

    Args:
        data: The bytes.
        offset: Where they begin in the segment.
        sequence: Number that the first record is expected to have.
        finished: Nobody appends any more.
    """
    at = 0
    while at < len(data):
        found = _next(data, at)
        if found is None:
            if finished:
                yield Record(offset + len(data), sequence, damaged=1)
            return
        begin, end, number, events, lost = found
        gaps = max(number - sequence, 0)
        # A handler of a signal that arrives within an append may use the same number once more.
        sequence = max(number + 1, sequence)
        yield Record(offset + end, sequence, events, lost, gaps, int(begin > at))
        at = end


def _next(data: bytes, at: int) -> tuple[int, int, int, list[Event], int] | None:
    """Return begin, end, number, events and losses of the first sound record at a place or after it."""
    while (at := data.find(MARK, at)) >= 0:
        if at + HEAD_SIZE > len(data):
            return None
        _, length, check, number, count = HEAD.unpack_from(data, at)
        begin = at + HEAD_SIZE
        body = data[begin : begin + length]
        if len(body) == length and checksum(body, number, count) == check:
            decoded = decode(body, count)
            if decoded is not None:
                return at, begin + length, number, *decoded
        at += 1
    return None


def count_events(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return how many events a segment's sound records hold, and how many they tell the loss of.

    Raises:
        OSError: The file can't be read.
    """
    with open(path, "rb") as file:
        data = file.read()
    events = lost = at = 0
    while (at := data.find(MARK, at)) >= 0 and at + HEAD_SIZE <= len(data):
        _, length, check, number, count = HEAD.unpack_from(data, at)
        body = data[at + HEAD_SIZE : at + HEAD_SIZE + length]
        if len(body) < length or checksum(body, number, count) != check:
            at += 1
            continue
        # Events are counted without decoding them.
        events += count
        told = None if count else decode(body, 0)
        lost += told[1] if told else 0
        at += HEAD_SIZE + length
    return events, lost

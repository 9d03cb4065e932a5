"""Reads segments: every sound record, past whatever is torn or damaged.

This module changes no file and holds no lock; whether a segment's writer still lives is told to it.
"""

from __future__ import annotations

import os
from binascii import crc32 as _crc32
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from usagetrace.events import Event
from usagetrace.spool.calls import Calls
from usagetrace.spool.layout import (
    HEAD,
    HEAD_SIZE,
    HEADER_SIZE,
    MARK,
    NUMBERS_FACTOR,
    Body,
    Row,
    checksum,
    decode,
    has_header,
)
from usagetrace.spool.sampled import Sampled

_unpack = HEAD.unpack_from


class Record(NamedTuple):
    """What one call appended, and what was skipped on the way to it.

    Attributes:
        position: Where the next record begins, in bytes from the beginning of the segment.
        sequence: Number that the next record is expected to have.
        events: What the call recorded; empty in a record that tells of something else.
        lost: Events that the writer says it could not keep.
        gaps: Records that are missing before this one, by their numbers; those that are damaged are among them.
        damaged: Stretches of bytes before this record that hold no sound record: 0 or 1.
        start: The operation that began here, as the event that it becomes if nobody says that it ended.
        calls: How often the process's functions were called.
        sampled: Events that sampling took away.
    """

    position: int
    sequence: int
    events: Sequence[Event] = ()
    lost: int = 0
    gaps: int = 0
    damaged: int = 0
    start: Event | None = None
    calls: Calls | None = None
    sampled: Sampled | None = None


class Batch(NamedTuple):
    """Records that are to be stored together.

    Attributes:
        position: Where the next record begins, in bytes from the beginning of the segment.
        sequence: Number that the next record is expected to have.
        rows: The fields of each event.
        counts: How many of them each record holds.
        lost: Events that the writer says it could not keep.
        gaps: Records that are missing, by their numbers.
        damaged: Stretches of bytes that hold no sound record.
        starts: Operations that began.
        calls: How often functions were called, as each process told.
        sampled: Events that sampling took away, one entry a record.
    """

    position: int
    sequence: int
    rows: list[Row]
    counts: list[int]
    lost: int
    gaps: int
    damaged: int
    starts: list[Event]
    calls: list[Calls]
    sampled: list[Sampled]


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
    data, offset = _load(path, position, finished=finished)
    yield from read_records(data, offset, sequence, finished=finished)


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
        begin, end, number, (rows, lost, start, told) = found
        gaps = max(number - sequence, 0)
        # Another thread, or a handler of a signal, that appends at the same moment may use the same number.
        sequence = max(number + 1, sequence)
        events = list(map(Event._make, rows))
        calls = told if isinstance(told, Calls) else None
        sampled = told if isinstance(told, Sampled) else None
        yield Record(offset + end, sequence, events, lost, gaps, int(begin > at), start, calls, sampled)
        at = end


def read_batches(
    path: str | os.PathLike[str], position: int, sequence: int, *, finished: bool, events: int
) -> Iterator[Batch]:
    """Read a segment's records from a position on, many at a time; see :func:`read_segment`.

    Args:
        path: The file.
        position: Where to begin.
        sequence: Number that the first record is expected to have.
        finished: Nobody appends any more.
        events: About how many events a batch has.

    Raises:
        OSError: The file can't be read.
        NewerSchemaError: A newer version of this package wrote it.
    """
    data, offset = _load(path, position, finished=finished)
    rows: list[Row] = []
    counts: list[int] = []
    starts: list[Event] = []
    calls: list[Calls] = []
    sampled: list[Sampled] = []
    lost = gaps = damaged = at = aside = 0
    while at < len(data):
        found = _next(data, at)
        if found is None:
            if not finished:
                break
            found = len(data), len(data), sequence - 1, ([], 0, None, None)
        begin, end, number, (held, missing, start, told) = found
        rows += held
        counts.append(len(held))
        lost += missing
        # As in `read_records`: a generator between the two would cost a tenth of reading.
        gaps += number - sequence if number > sequence else 0
        damaged += begin > at
        if number >= sequence:
            sequence = number + 1
        if start is not None:
            starts.append(start)
        if told is not None:
            if isinstance(told, Sampled):
                sampled.append(told)
                aside += len(told.rows)
            else:
                calls.append(told)
        at = end
        # A record without events counts too: there may be many of them.
        if len(rows) + aside >= events or len(counts) >= events:
            yield Batch(offset + at, sequence, rows, counts, lost, gaps, damaged, starts, calls, sampled)
            rows, counts, starts, calls, sampled = [], [], [], [], []
            lost = gaps = damaged = aside = 0
    if counts:
        yield Batch(offset + at, sequence, rows, counts, lost, gaps, damaged, starts, calls, sampled)


def _load(path: str | os.PathLike[str], position: int, *, finished: bool) -> tuple[bytes, int]:
    """Return a segment's bytes from a position on, and where they begin."""
    with open(path, "rb", buffering=0) as file:
        start = file.read(HEADER_SIZE) if position < HEADER_SIZE else b""
        headed = not start or has_header(start)
        at = max(position, HEADER_SIZE) if headed else position
        file.seek(at)
        # A segment is a few megabytes, by the rotation of its writer.
        data = file.readall() or b""
    if not headed and len(start) + len(data) < HEADER_SIZE and not finished:
        # Its writer is about to write the header.
        return b"", at
    return data, at


def _next(data: bytes, at: int) -> tuple[int, int, int, Body] | None:
    """Return begin, end, number and body of the first sound record at a place or after it."""
    while (at := data.find(MARK, at)) >= 0:
        if at + HEAD_SIZE > len(data):
            return None
        _, length, check, number, count = _unpack(data, at)
        begin = at + HEAD_SIZE
        end = begin + length
        body = data[begin:end]
        # As layout.checksum, whose call would cost more than the check.
        if len(body) == length and _crc32(body, (number + count * NUMBERS_FACTOR) & 0xFFFFFFFF) == check:
            decoded = decode(body, count)
            if decoded is not None:
                return at, end, number, decoded
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
        held = None if count else decode(body, 0)
        if held is not None:
            lost += held[1]
            # Those that sampling took away are to be counted: they are lost with the segment like the others.
            events += len(held[3].rows) if isinstance(held[3], Sampled) else 0
        at += HEAD_SIZE + length
    return events, lost

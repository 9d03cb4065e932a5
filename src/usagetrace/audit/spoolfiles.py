"""Looks at a spool: the events of its segments field by field, and whatever else lies in its directory as bytes.

Nothing is drained and no lock is taken. What a segment's records hold is in :mod:`usagetrace.spool.layout`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace import semconv
from usagetrace.audit.judge import Judge
from usagetrace.audit.model import Tally
from usagetrace.errors import NewerSchemaError
from usagetrace.events import Event
from usagetrace.spool.calls import Calls
from usagetrace.spool.layout import (
    HEAD,
    HEAD_SIZE,
    HEADER_SIZE,
    MARK,
    SUFFIX,
    Body,
    checksum,
    decode,
    has_header,
)
from usagetrace.spool.sampled import Sampled

# Bytes of a file that is not understood that are read at a time, and those that are read twice at a seam.
_PIECE: Final = 4 << 20
_SEAM: Final = 4096


def look(path: Path, name: str, judge: Judge, tally: Tally) -> None:
    """Look at one file of a spool's directory.

    Args:
        path: The file.
        name: How findings call it.
        judge: Says what is found.
        tally: Takes what was found.

    Raises:
        OSError: It can't be read.
    """
    if not path.name.endswith(SUFFIX):
        look_at_bytes(path, name, judge, tally, "spool")
        return
    # A segment is a few megabytes, by the rotation of its writer.
    data = path.read_bytes()
    try:
        at = HEADER_SIZE if has_header(data) else 0
    except NewerSchemaError:
        tally.notes.append(f"{name}: a newer version of usagetrace wrote it: looked at as bytes")
        look_at_bytes(path, name, judge, tally, "spool")
        return
    for begin, end, body in _records(data, at):
        if body is None:
            found = judge.raw(data[begin:end])
            if found:
                tally.add(name, "spool", "", "", found, f"byte {begin}")
            continue
        rows, _, start, told = body
        if isinstance(told, Sampled):
            rows = told.rows
        tally.waiting_events += len(rows)
        for event in [*map(Event._make, rows), *([start] if start is not None else [])]:
            _event(event, name, judge, tally, f"byte {begin}")
        if isinstance(told, Calls):
            _calls(told, name, judge, tally, f"byte {begin}")


def _records(data: bytes, at: int) -> Iterator[tuple[int, int, Body | None]]:
    """Yield begin, end and body of each record; None for what is no record."""
    before = at
    while (at := data.find(MARK, at)) >= 0 and at + HEAD_SIZE <= len(data):
        _, length, check, number, count = HEAD.unpack_from(data, at)
        end = at + HEAD_SIZE + length
        body = data[at + HEAD_SIZE : end]
        held = None
        if len(body) == length and checksum(body, number, count) == check:
            held = decode(body, count)
        if held is None:
            at += 1
            continue
        if before < at:
            yield before, at, None
        yield at, end, held
        at = before = end
    if before < len(data):
        yield before, len(data), None


def _event(event: Event, name: str, judge: Judge, tally: Tally, at: str) -> None:
    for field, value in zip(Event._fields, event, strict=True):
        found = judge.value(field, value)
        if found:
            tally.add(name, "spool", "", field, found, at)


def _calls(calls: Calls, name: str, judge: Judge, tally: Tally, at: str) -> None:
    told = [(semconv.SERVICE_NAME, calls.service_name), *((semconv.CODE_FUNCTION_NAME, each) for each in calls.counts)]
    for field, value in told:
        found = judge.value(field, value)
        if found:
            tally.add(name, "spool", "", field, found, at)


def look_at_bytes(path: Path, name: str, judge: Judge, tally: Tally, area: str, start: int = 0) -> None:
    """Look at a file whose format is not known, some megabytes at a time.

    Args:
        path: The file.
        name: How findings call it.
        judge: Says what is found.
        tally: Takes what was found.
        area: What findings in it are counted as.
        start: The first byte that is looked at.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for at in range(start, max(size, start + 1), _PIECE):
            file.seek(at)
            found = judge.raw(file.read(_PIECE + _SEAM))
            if found:
                tally.add(name, area, "", "", found, f"byte {at}")

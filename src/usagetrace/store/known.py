"""Tells which events are in a store already, by their ids.

This module owns what makes two events one: when they began, as it is stored, the span, the item, and the trace where
both have one. An operation by itself has a span and no trace until it is sent somewhere: without a trace it is the same
as with any. What has no span is never known.

Looked up by the index of times, which every store has; decision 0025 says why there is none of ids.
"""
# ruff: noqa: S608 -- only question marks are put into a statement

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from usagetrace.events import Event
from usagetrace.store.schema_rollups import END_MS, FIRST_MS

# Times that one statement looks for at most; SQLite before 3.32 takes at most 999 values.
_MOST_TIMES: Final = 256
_TS_MS, _TRACE, _SPAN, _ITEM = (Event._fields.index(name) for name in ("ts_ms", "trace_id", "span_id", "item"))

Row = tuple[Any, ...]
# Time, span and item of an event.
Key = tuple[Any, ...]


def unknown(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[int]:
    """Return which events are neither in the store nor before in the same sequence.

    Each time is looked for once: where many events began in one millisecond, the stored ones of it are read once,
    however many are asked for.

    Args:
        connection: A connection to the store; inside a transaction, so that nobody adds one meanwhile.
        rows: Events, or the plain tuples of their fields.

    Returns:
        Their positions in ``rows``, ascending.

    Raises:
        sqlite3.Error: The store can't be read.
        TypeError: A time is no number, or an id can't be compared.
    """
    times = [row[_TS_MS] for row in rows]
    if times and (min(times) < FIRST_MS or max(times) >= END_MS):
        # As `writer` keeps it: within the years that a text can hold.
        times = [min(max(ts_ms, FIRST_MS), END_MS - 1) for ts_ms in times]
    keys = list(zip(times, [row[_SPAN] for row in rows], [row[_ITEM] for row in rows], strict=True))
    return unknown_ids(connection, keys, [row[_TRACE] for row in rows])


def unknown_ids(connection: sqlite3.Connection, keys: Sequence[Key], traces: Sequence[str | None]) -> list[int]:
    """Return which events are neither in the store nor before in the same sequence, by what :func:`unknown` looks at.

    Args:
        connection: As for :func:`unknown`.
        keys: Time as it is stored, span and item of each event.
        traces: Trace of each event.

    Returns:
        Their positions, ascending.

    Raises:
        sqlite3.Error: The store can't be read.
    """
    seen = _stored(connection, keys)
    if not seen and len(set(keys)) == len(keys):
        return list(range(len(keys)))
    fresh = []
    for position, key in enumerate(keys):
        if key[1] is not None:
            trace = traces[position]
            others = seen.get(key)
            if others is None:
                seen[key] = {trace}
            elif trace is None or trace in others or None in others:
                continue
            else:
                others.add(trace)
        fresh.append(position)
    return fresh


def _stored(connection: sqlite3.Connection, keys: Sequence[Key]) -> dict[Key, set[Any]]:
    """Return the traces of the stored events that have one of the keys, by key."""
    spans: dict[int, list[str]] = {}
    for ts_ms, span, _ in keys:
        if span is not None:
            spans.setdefault(ts_ms, []).append(span)
    found: dict[Key, set[Any]] = {}
    cursor = connection.cursor()
    # Plain tuples: that is what the keys are.
    cursor.row_factory = None
    # In the order of the index: neighbours are on one page.
    times = sorted(spans)
    for at in range(0, len(times), _MOST_TIMES):
        part = times[at : at + _MOST_TIMES]
        asked = json.dumps([span for ts_ms in part for span in spans[ts_ms]])
        # A power of two of times, the last one repeated: a statement for each number would be parsed anew.
        size = 1 << (len(part) - 1).bit_length()
        for trace, *key in cursor.execute(_look_up(size), [*part, *part[-1:] * (size - len(part)), asked]):
            # Other items of a span, and other times of the same part, may be among them: nobody asks for those.
            found.setdefault(tuple(key), set()).add(trace)
    return found


@functools.cache
def _look_up(times: int) -> str:
    # The spans are one value, read once into a table of SQLite's own: there may be any number of them.
    return (
        f"SELECT trace_id, ts_ms, span_id, item FROM events WHERE ts_ms IN ({', '.join('?' * times)}) "
        "AND span_id IN (SELECT value FROM json_each(?))"
    )

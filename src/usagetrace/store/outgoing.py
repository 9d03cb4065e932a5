"""Reads stored events back as the fields they came with, and no part of a call without the rest of it.

This module owns the way from a row of ``events``, whoever wrote it, to the fields of an event. Which rows are wanted is
not known here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from usagetrace.events import Event

# The fields of an event, in their order.
Row = tuple[Any, ...]

_TEXTS: Final = frozenset(Event._fields) - {"ts_ms", "duration_ms", "item"}
_FIELDS: Final = ", ".join(f"e.{name}" for name in Event._fields)
# For a text that is none: another tool's bytes.
_BYTES: Final = ", ".join(f"CAST(e.{name} AS BLOB)" if name in _TEXTS else f"e.{name}" for name in Event._fields)
_TS_MS, _METADATA, _DURATION, _TRACE, _SPAN, _ITEM = (
    Event._fields.index(name) for name in ("ts_ms", "metadata", "duration_ms", "trace_id", "span_id", "item")
)
# Rows that are read at a time while the end of a call with very many of them is looked for.
_FURTHER: Final = 1000


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its id in the store.

    Attributes:
        id: Grows with each event.
        row: The fields of an :class:`usagetrace.events.Event`, in their order; ``metadata`` is a dict or None.
    """

    id: int
    row: Row


def read(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[StoredEvent]:
    """Run a query for events.

    Args:
        connection: A connection to the store.
        query: Text with one ``{}`` where the columns are to be, of the events as ``e``; the id comes before it.
        values: What the question marks stand for.

    Raises:
        sqlite3.Error: The store can't be read.
    """
    try:
        return [StoredEvent(row[0], _row(row)) for row in _plain(connection, query.format(_FIELDS), values)]
    except sqlite3.OperationalError as error:
        # Another tool may have stored bytes that are no text. They must not keep the rest from being sent.
        if not str(error).startswith("Could not decode"):
            raise
        return [StoredEvent(row[0], _row(row)) for row in _plain(connection, query.format(_BYTES), values)]


def _plain(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> Iterator[Row]:
    cursor = connection.cursor()
    cursor.row_factory = None
    return iter(cursor.execute(query, values))


def whole_calls(fetch: Callable[[int, int], list[StoredEvent]], after: int, at_most: int) -> list[StoredEvent]:
    """Read events, and no part of a call without the rest of it.

    Args:
        fetch: Returns the events after an id, oldest first, as many as are wanted.
        after: The id.
        at_most: How many are wanted; more come only where the first call has more.
    """
    if at_most < 1:
        raise ValueError(f"at_most must be at least 1, not {at_most}")
    found = fetch(after, at_most + 1)
    if len(found) <= at_most:
        return found
    end = at_most
    while end and _goes_on(found[end - 1], found[end]):
        end -= 1
    if end:
        return found[:end]
    # One call alone: all of it.
    while True:
        for place in range(max(end, 1), len(found)):
            if not _goes_on(found[place - 1], found[place]):
                return found[:place]
        end = len(found)
        more = fetch(found[-1].id, _FURTHER)
        if not more:
            return found
        found += more


def last_calls(found: list[StoredEvent], at_most: int) -> list[StoredEvent]:
    """Return the last of some neighbouring events, without a call whose beginning may be missing.

    Args:
        found: Events by id; one more than are wanted, where there are so many.
        at_most: How many are wanted.
    """
    if len(found) <= at_most:
        return found
    begin = 1
    while begin < len(found) and _goes_on(found[begin - 1], found[begin]):
        begin += 1
    return found[begin:]


def _goes_on(one: StoredEvent, other: StoredEvent) -> bool:
    """Return whether the second of two neighbours is a further artifact of the first one's call."""
    before, now = one.row, other.row
    return (
        before[_ITEM] is not None
        and now[_ITEM] is not None
        and before[_ITEM] < now[_ITEM]
        and before[_SPAN] is not None
        and before[_SPAN] == now[_SPAN]
        and before[_TRACE] == now[_TRACE]
        and before[_TS_MS] == now[_TS_MS]
    )


def _row(stored: Row) -> Row:
    """Return a stored row as the fields of an event; what another tool stored in another type is made to fit."""
    fields = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in stored[1:]]
    metadata = fields[_METADATA]
    if metadata is not None:
        fields[_METADATA] = _metadata(metadata)
    if type(fields[_TS_MS]) is not int:
        fields[_TS_MS] = _number(fields[_TS_MS], int) or 0
    if fields[_DURATION] is not None and type(fields[_DURATION]) is not float:
        fields[_DURATION] = _number(fields[_DURATION], float)
    if fields[_ITEM] is not None and type(fields[_ITEM]) is not int:
        fields[_ITEM] = _number(fields[_ITEM], int)
    return tuple(fields)


def _metadata(text: object) -> dict[str, Any] | None:
    if isinstance(text, str):
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            read = text
    else:
        read = text
    # Tools of version 1 may store any JSON there, or none.
    return read if isinstance(read, dict) else {"metadata": read}


def _number(value: Any, kind: Callable[[Any], Any]) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, ArithmeticError):
        return None

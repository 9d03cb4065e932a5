"""Operations that have begun: kept aside until they end, or until it is known that they never will.

This module owns the table ``spool_starts``. Who lives, and which segments were read, is told to it: see
:mod:`usagetrace.store.drain`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any, Final

from usagetrace.events import Event, Status
from usagetrace.store.schema_rollups import END_MS, FIRST_MS

# Operations that are kept at most; what begins beyond them never counts as abandoned.
MOST_KEPT: Final = 10_000
# Up to so many are compared in memory with the events of a batch; more are looked up one by one.
_FEW: Final = 64

# Names of one process sort by age. The newest segment that says that it is open is the one that matters.
_KEEP: Final = """
INSERT INTO spool_starts (trace_id, span_id, segment, event) VALUES (?, ?, ?, ?)
ON CONFLICT (trace_id, span_id) DO UPDATE SET segment = MAX(segment, excluded.segment)"""
_CLAIM: Final = "UPDATE spool_starts SET segment = MAX(segment, ?) WHERE trace_id = ? AND span_id = ?"
_END: Final = "DELETE FROM spool_starts WHERE trace_id = ? AND span_id = ?"
# By the indexed time, which both have in common.
_ENDED: Final = "SELECT 1 FROM events WHERE ts_ms = ? AND trace_id = ? AND span_id = ?"

Key = tuple[Any, Any]


def keep(connection: sqlite3.Connection, segment: str, starts: Iterable[Event]) -> None:
    """Keep operations that have begun and not ended. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction.
        segment: Name of the segment that says so.
        starts: The events that they become when they never end; each has a trace and a span.
    """
    rows = [(event.trace_id, event.span_id, segment, _text(event)) for event in starts]
    count = connection.execute("SELECT COUNT(*) FROM spool_starts").fetchone()[0]
    room = max(MOST_KEPT - count, 0)
    connection.executemany(_KEEP, rows[:room])
    # Of those that are there already their living segment is to be known, however many there are.
    connection.executemany(_CLAIM, [(segment, trace, span) for trace, span, _, _ in rows[room:]])


def end(connection: sqlite3.Connection, traces: Iterable[str | None], spans: Iterable[str | None]) -> None:
    """Forget the operations that a batch of events ends. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction.
        traces: Trace of each event.
        spans: Span of each event.
    """
    kept = connection.execute(f"SELECT trace_id, span_id FROM spool_starts LIMIT {_FEW + 1}").fetchall()  # noqa: S608 -- a number of this module
    if not kept:
        return
    ended: set[Key] = set(zip(traces, spans, strict=True))
    if len(kept) <= _FEW:
        ended &= {(trace, span) for trace, span in kept}
    connection.executemany(_END, list(ended))


def segments(connection: sqlite3.Connection) -> set[str]:
    """Return the segments that say of some operation that it has begun."""
    return {row[0] for row in connection.execute("SELECT DISTINCT segment FROM spool_starts")}


def take(connection: sqlite3.Connection, of: Collection[str], most: int) -> tuple[list[Key], list[Event]]:
    """Take operations out that can't end any more. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction.
        of: Names of segments whose writers are gone.
        most: How many at most.

    Returns:
        The keys of all that were taken; the abandoned ones among them, as events: those of which no end was written.
    """
    keys: list[Key] = []
    events: list[Event] = []
    for segment in sorted(of):
        for trace, span, text in connection.execute(
            "SELECT trace_id, span_id, event FROM spool_starts WHERE segment = ? LIMIT ?", (segment, most - len(keys))
        ):
            keys.append((trace, span))
            event = _event(text)
            if event is not None and not _has_ended(connection, event):
                events.append(event)
    connection.executemany(_END, keys)
    return keys, events


def _has_ended(connection: sqlite3.Connection, event: Event) -> bool:
    # As `writer` keeps it: within the years that a text can hold.
    ts_ms = min(max(event.ts_ms, FIRST_MS), END_MS - 1)
    return connection.execute(_ENDED, (ts_ms, event.trace_id, event.span_id)).fetchone() is not None


def _text(event: Event) -> str:
    # Imported here, as in `writer`: most stores never see a start.
    import json

    fields = event._asdict()
    try:
        return json.dumps(fields, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        # Odd metadata must not cost the event; its type says what is missing.
        return json.dumps({**fields, "metadata": {"usagetrace.metadata_error": type(error).__name__}}, default=str)


def _event(text: str) -> Event | None:
    """Return the event of an operation that never ended; None where the row is none of ours."""
    import json

    try:
        event = Event(**json.loads(text))
        return event._replace(status=Status.ABANDONED.value, duration_ms=None, ts_ms=int(event.ts_ms))
    except (TypeError, ValueError):
        return None

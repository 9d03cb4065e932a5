"""Writes events and the summary that counts them, in one transaction.

This module owns the SQL that adds rows. It takes events as they are: redacted and bounded before they come here.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from usagetrace.events import Event, Status, clean_text, timestamp_text
from usagetrace.guard import guard

# First moments of the years 1 and 10000: what the text form of a time can hold.
_FIRST_MS: Final = -62_135_596_800_000
_END_MS: Final = 253_402_300_800_000
_COUNTED: Final = {"deploy": 0, "update": 1, "sync": 2, "remove": 3, "search": 4}

_INSERT_EVENT: Final = """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata,
    ts_ms, duration_ms, status, error_type, category, priority, session_id, service_name, trace_id, span_id, item)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

# MIN and MAX of two arguments are NULL if one is: a row that was adopted may have no times.
_UPSERT_SUMMARY: Final = """
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, update_count,
    sync_count, remove_count, search_count, total_events, error_count, first_ms, last_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (artifact_type, artifact_name) DO UPDATE SET
    first_used = MIN(COALESCE(first_used, excluded.first_used), excluded.first_used),
    last_used = MAX(COALESCE(last_used, excluded.last_used), excluded.last_used),
    deploy_count = deploy_count + excluded.deploy_count,
    update_count = update_count + excluded.update_count,
    sync_count = sync_count + excluded.sync_count,
    remove_count = remove_count + excluded.remove_count,
    search_count = search_count + excluded.search_count,
    total_events = total_events + excluded.total_events,
    error_count = error_count + excluded.error_count,
    first_ms = MIN(COALESCE(first_ms, excluded.first_ms), excluded.first_ms),
    last_ms = MAX(COALESCE(last_ms, excluded.last_ms), excluded.last_ms)"""

Row = tuple[Any, ...]


def write(connection: sqlite3.Connection, events: Sequence[Event]) -> list[int]:
    """Add events and count them in the summary. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction (see :func:`usagetrace.store.connection.atomic`).
        events: Redacted events.

    Returns:
        The ids of the new rows, in the order of the events.

    Raises:
        sqlite3.Error: The rows could not be added; the caller rolls back.
    """
    if not events:
        return []
    rows = [_row(event) for event in events]
    connection.executemany(_INSERT_EVENT, rows)
    # AUTOINCREMENT counts up by one, and nobody else writes within this transaction.
    last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    connection.executemany(_UPSERT_SUMMARY, _summaries(rows))
    return list(range(last - len(rows) + 1, last + 1))


def _row(event: Event) -> Row:
    ts_ms = min(max(event.ts_ms, _FIRST_MS), _END_MS - 1)
    return (
        clean_text(event.event_type),
        clean_text(event.artifact_name),
        clean_text(event.artifact_type),
        _optional(event.collection_name),
        _optional(event.project_path),
        _time_text(ts_ms // 1000),
        _metadata(event),
        ts_ms,
        event.duration_ms,
        clean_text(event.status),
        _optional(event.error_type),
        clean_text(event.category),
        clean_text(event.priority),
        _optional(event.session_id),
        _optional(event.service_name),
        _optional(event.trace_id),
        _optional(event.span_id),
        event.item,
    )


def _optional(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


@functools.lru_cache(maxsize=1024)
def _time_text(second: int) -> str:
    """Return a time as text; events of a batch mostly share their second."""
    text = timestamp_text(second * 1000)
    # strftime does not pad years before 1000 on every platform.
    return text.rjust(19, "0")


def _metadata(event: Event) -> str | None:
    try:
        return _optional(event.metadata_json())
    except (TypeError, ValueError, RecursionError) as error:
        # One event's odd metadata must not cost the batch; its type says what is missing.
        guard.note(error)
        return f'{{"usagetrace.metadata_error":"{type(error).__name__}"}}'


def _summaries(rows: Iterable[Row]) -> list[Row]:
    """Count a batch by artifact, so that each summary row is touched once."""
    grouped: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        event_type, name, kind, text, ts_ms, status = row[0], row[1], row[2], row[5], row[7], row[9]
        counts = grouped.get((kind, name))
        if counts is None:
            counts = grouped[kind, name] = [text, text, 0, 0, 0, 0, 0, 0, 0, ts_ms, ts_ms]
        if ts_ms < counts[9]:
            counts[0], counts[9] = text, ts_ms
        if ts_ms > counts[10]:
            counts[1], counts[10] = text, ts_ms
        position = _COUNTED.get(event_type)
        if position is not None:
            counts[2 + position] += 1
        counts[7] += 1
        counts[8] += status == Status.ERROR.value
    # In the order of the key: neighbours in the table are neighbours on disk.
    return [(name, kind, *grouped[kind, name]) for kind, name in sorted(grouped)]

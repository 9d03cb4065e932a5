"""Writes events, and the summary and rollups that count them, in one transaction.

This module owns the SQL that adds rows. It takes events as they are: redacted and bounded before they come here. Those
that sampling took away are counted, and not added.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from usagetrace.events import Event, Status, clean_text, timestamp_text
from usagetrace.guard import guard
from usagetrace.store import bulk, invocations, rollups, starts
from usagetrace.store import counted as counted_alone
from usagetrace.store.bulk import Insert
from usagetrace.store.schema_rollups import DAY_MS, END_MS, FIRST_MS

_COUNTED: Final = {"deploy": 0, "update": 1, "sync": 2, "remove": 3, "search": 4}

_INSERT_EVENT: Final = Insert(
    """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata,
    ts_ms, duration_ms, status, error_type, category, priority, session_id, service_name, trace_id, span_id, item)""",
    width=18,
)

# MIN and MAX of two arguments are NULL if one is: a row that was adopted may have no times.
_UPSERT_SUMMARY: Final = Insert(
    """
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, update_count,
    sync_count, remove_count, search_count, total_events, error_count, first_ms, last_ms)""",
    width=13,
    tail="""
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
    last_ms = MAX(COALESCE(last_ms, excluded.last_ms), excluded.last_ms)""",
)

# Stands between the metadata of two events while they are encoded.
_MARK: Final = "usagetrace.mark"

Row = tuple[Any, ...]
Column = Sequence[Any]

# Where the columns of the statement are among the fields of an event. The text of the time is made of its number.
_FIELDS: Final = tuple(
    Event._fields.index(name)
    for name in (
        "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "ts_ms", "metadata", "ts_ms",
        "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name", "trace_id",
        "span_id", "item",
    )
)  # fmt: skip
_TYPE, _NAME, _KIND, _TIMESTAMP, _METADATA, _TS_MS, _DURATION, _STATUS, _SESSION, _ITEM = 0, 1, 2, 5, 6, 7, 8, 9, 13, 17
_TRACE, _SPAN, _ERROR = 15, 16, 10
# What is counted of an invocation.
_INVOCATION: Final = (_TYPE, _KIND, _NAME, _TS_MS, _DURATION, _STATUS, _ERROR, _SESSION, _METADATA)
_TEXTS: Final = (0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15, 16)


def write(connection: sqlite3.Connection, events: Sequence[Row], counted: Sequence[Row] = ()) -> list[int]:
    """Add events and count them in the summary and the rollups. The caller holds a transaction open for writing.

    Args:
        connection: A connection inside a transaction (see :func:`usagetrace.store.connection.atomic`).
        events: Redacted events, or the plain tuples of their fields.
        counted: The same of events that sampling took away: they are counted with the others, and not added.

    Returns:
        The ids of the new rows, in the order of the events.

    Raises:
        sqlite3.Error: The rows could not be added; the caller rolls back.
    """
    if not events:
        count(connection, counted)
        return []
    columns = _columns([*events, *counted] if counted else events)
    kept = [column[: len(events)] for column in columns] if counted else columns
    bulk.add_columns(connection, _INSERT_EVENT, kept)
    # AUTOINCREMENT counts up by one, and nobody else writes within this transaction.
    last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    _count(connection, columns)
    if counted:
        counted_alone.add(connection, columns[_TS_MS][len(events) :])
    return list(range(last - len(events) + 1, last + 1))


def count(connection: sqlite3.Connection, events: Sequence[Row]) -> None:
    """Count events that sampling took away: as :func:`write`, but none is added to the table of events.

    Args:
        connection: A connection inside a transaction.
        events: Redacted events, or the plain tuples of their fields.

    Raises:
        sqlite3.Error: They could not be counted; the caller rolls back.
    """
    if events:
        columns = _columns(events)
        _count(connection, columns)
        counted_alone.add(connection, columns[_TS_MS])


def _count(connection: sqlite3.Connection, columns: Sequence[Column]) -> None:
    """Count a batch in the summary and the rollups, and forget the beginnings that it ends."""
    starts.end(connection, columns[_TRACE], columns[_SPAN])
    usage = _grouped(columns)
    bulk.add(connection, _UPSERT_SUMMARY, _summaries(usage))
    rollups.add_usage(connection, usage)
    rollups.add_durations(connection, _operations(usage))
    sessions = columns[_SESSION]
    if sessions.count(None) < len(sessions):
        rollups.add_sessions(connection, _in_sessions(columns))
    invocations.add(connection, *(columns[each] for each in _INVOCATION))


def _columns(events: Sequence[Row]) -> list[Column]:
    """Return the values of a batch as columns: most columns need one look as a whole, not one an event."""
    fields: list[Column] = list(zip(*events, strict=True))
    columns = [fields[each] for each in _FIELDS]
    for position in _TEXTS:
        columns[position] = _clean(columns[position])
    times = columns[_TS_MS]
    if min(times) < FIRST_MS or max(times) >= END_MS:
        columns[_TS_MS] = times = [min(max(ts_ms, FIRST_MS), END_MS - 1) for ts_ms in times]
    # As `_time_text`, whose call would cost as much again.
    columns[_TIMESTAMP] = [_minute_text(ts_ms // 60_000) + _SECONDS[ts_ms // 1000 % 60] for ts_ms in times]
    columns[_METADATA] = _clean(_metadata_texts(columns[_METADATA]))
    columns[_DURATION] = [
        None if each is None or not -rollups.DURATION_END_MS < each < rollups.DURATION_END_MS else each
        for each in columns[_DURATION]
    ]
    return columns


def _clean(column: Column) -> Column:
    """Return a column of texts as the store can hold them; it mostly can, and then it is the same one."""
    whole = "".join(filter(None, column))
    if "\0" not in whole:
        if whole.isascii():
            return column
        with contextlib.suppress(UnicodeEncodeError):
            whole.encode()
            return column
    return [None if text is None else clean_text(text) for text in column]


_SECONDS: Final = tuple(f":{second:02d}" for second in range(60))


def _time_text(second: int) -> str:
    """Return a time as text; events of a batch mostly share their minute, and nearly always their day."""
    minute, rest = divmod(second, 60)
    return _minute_text(minute) + _SECONDS[rest]


@functools.lru_cache(maxsize=1024)
def _minute_text(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    return f"{_day_text(day)} {rest // 60:02d}:{rest % 60:02d}"


@functools.lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    text = timestamp_text(day * 86_400_000)
    # strftime does not pad years before 1000 on every platform.
    return text.rjust(19, "0")[:10]


@functools.cache
def _encoder() -> Callable[[object], str]:
    # `json.dumps` with arguments makes an encoder at each call. Imported here, as in `Event.metadata_json`.
    import json

    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def _metadata_texts(column: Column) -> Column:
    """Return each event's metadata as JSON text, None where there is none.

    All are encoded at once, with a mark between them: starting the encoder costs more than an event's metadata.
    """
    given = [metadata for metadata in column if metadata]
    marked = [_MARK] * (2 * len(given))
    marked[::2] = given
    parts: Sequence[str] = ()
    # An odd one among them, or the mark inside one: each for itself, below.
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        parts = _encoder()(marked)[1:-1].split(f',"{_MARK}"')[:-1]
        parts = [part.lstrip(",") for part in parts]
    if len(parts) != len(given):
        return [_metadata(metadata) if metadata else None for metadata in column]
    texts = iter(parts)
    return [next(texts) if metadata else None for metadata in column]


def _metadata(metadata: Mapping[str, Any]) -> str:
    try:
        return _encoder()(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        # One event's odd metadata must not cost the batch; its type says what is missing.
        guard.note(error)
        return f'{{"usagetrace.metadata_error":"{type(error).__name__}"}}'


def _grouped(columns: Sequence[Column]) -> dict[rollups.UsageKey, list[Any]]:
    """Count a batch by day, type and artifact.

    Returns:
        Events, errors, durations, their sum, first and last time of each group; the duration of each operation.
    """
    usage: dict[rollups.UsageKey, list[Any]] = {}
    error = Status.ERROR.value
    day_ms = DAY_MS
    for event_type, name, kind, ts_ms, duration_ms, status, item in zip(
        *(columns[each] for each in (_TYPE, _NAME, _KIND, _TS_MS, _DURATION, _STATUS, _ITEM)), strict=True
    ):
        key = (ts_ms // day_ms, event_type, kind, name)
        counts = usage.get(key)
        if counts is None:
            counts = usage[key] = [0, 0, 0, 0.0, ts_ms, ts_ms, []]
        counts[0] += 1
        if status == error:
            counts[1] += 1
        if ts_ms < counts[4]:
            counts[4] = ts_ms
        elif ts_ms > counts[5]:
            counts[5] = ts_ms
        if duration_ms is not None:
            counts[2] += 1
            counts[3] += duration_ms
            # The rows of one operation share its duration.
            if not item:
                counts[6].append(duration_ms)
    return usage


def _operations(usage: Mapping[rollups.UsageKey, Sequence[Any]]) -> dict[rollups.HistogramKey, list[float]]:
    """Return the durations of a batch's operations by day, type and kind."""
    operations: dict[rollups.HistogramKey, list[float]] = {}
    for (day, event_type, kind, _), counts in usage.items():
        operations.setdefault((day, event_type, kind), []).extend(counts[6])
    return operations


def _summaries(usage: Mapping[rollups.UsageKey, Sequence[Any]]) -> list[Row]:
    """Count a batch by artifact, so that each summary row is touched once."""
    grouped: dict[tuple[str, str], list[int]] = {}
    for (_, event_type, kind, name), (events, errors, _, _, first_ms, last_ms, _) in usage.items():
        counts = grouped.get((kind, name))
        if counts is None:
            counts = grouped[kind, name] = [0, 0, 0, 0, 0, 0, 0, first_ms, last_ms]
        position = _COUNTED.get(event_type)
        if position is not None:
            counts[position] += events
        counts[5] += events
        counts[6] += errors
        counts[7] = min(counts[7], first_ms)
        counts[8] = max(counts[8], last_ms)
    # In the order of the key: neighbours in the table are neighbours on disk.
    return [
        (name, kind, _time_text(counts[7] // 1000), _time_text(counts[8] // 1000), *counts)
        for (kind, name), counts in sorted(grouped.items())
    ]


def _in_sessions(columns: Sequence[Column]) -> list[tuple[str, int, bool]]:
    return [
        (session, ts_ms, status == Status.ERROR.value)
        for session, ts_ms, status in zip(columns[_SESSION], columns[_TS_MS], columns[_STATUS], strict=True)
        if session is not None
    ]

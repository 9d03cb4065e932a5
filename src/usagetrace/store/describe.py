"""The store's tables as a page of the reference.

This module owns what each column means, in words. Names, types and indexes are read from a database that was just
migrated, so that the page can't say anything else than the schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from usagetrace.store.connection import MEMORY
from usagetrace.store.store import Store

TABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "events": "One row for each operation on an artifact.",
        "usage_summary": "One row for each artifact: what its events counted, those that retention removed included.",
        "metric_daily": "One row for each metric, set of attributes and day. Rows of one day add up.",
        "usage_daily": "One row for each day, event type and artifact. Rows add up; retention keeps them.",
        "duration_daily": "One row for each day, event type, artifact type and bucket of durations. Rows of several "
        "days or types add up, and a percentile of the sum is within 1 % of the exact one.",
        "sessions": "One row for each session. Retention removes it after its last event.",
        "spool_positions": "How far each spool segment was read. It stays when the schema goes back to version 2.",
        "spool_starts": "Operations that have begun. One that ends is removed; one whose process is gone becomes an "
        "event with status `abandoned`. It stays when the schema goes back to version 3.",
        "deliveries": "How far each endpoint has the events. It goes when the schema goes back to version 4: coming "
        "forward again, every event is delivered once more.",
        "undelivered": "Events that an endpoint does not take, set aside. It goes as `deliveries` does.",
        "metric_streams": "The last point of each cumulative metric stream that was received, for what the next one "
        "adds; forgotten 30 days after it came. It goes when the schema goes back to version 4: coming forward again, "
        "the next point of a stream counts as its first.",
        "metric_seen": "Which points of delta metric streams were received; forgotten after 7 days. It goes as "
        "`metric_streams` does.",
        "usagetrace_state": "What processes tell each other through the store.",
        "schema_migrations": "The ledger of applied migrations.",
        "migrations": "The ledger that tools of schema version 1 read. Kept, not used.",
    }
)

_COUNT: Final = "How many `{}` events it had."
_DAY: Final = "The day in UTC: whole days since 1970-01-01, rounded down."
COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "events.id": "Grows by one with each event; never used again.",
        "events.event_type": "What was done: `deploy`, `update`, `sync`, `remove`, `search`, or any other type.",
        "events.artifact_name": "The artifact; empty where the operation touched none.",
        "events.artifact_type": "Its kind: `skill`, `command`, `agent`, or any other.",
        "events.collection_name": "The collection it belongs to.",
        "events.project_path": "The project, as a redacted path.",
        "events.timestamp": "When the operation began: UTC text, `YYYY-MM-DD HH:MM:SS`.",
        "events.metadata": "Further keys, as a JSON object.",
        "events.ts_ms": "When the operation began: milliseconds since 1970 UTC; 0 where unknown. "
        "Filled by a trigger for rows that leave it out.",
        "events.duration_ms": "How long it took, in milliseconds; NULL for a point in time.",
        "events.status": "How it ended: `ok`, `error` or `abandoned`.",
        "events.error_type": "Qualified name of the exception, if there was one.",
        "events.category": "Class of the event type: `usage`, `performance`, `error`, `business`, `security`, "
        "`system` or `custom`.",
        "events.priority": "`low`, `normal`, `high` or `critical`.",
        "events.session_id": "The session it belongs to.",
        "events.service_name": "The tool.",
        "events.trace_id": "Trace that the operation is one of: 32 hexadecimal digits; NULL for one by itself.",
        "events.span_id": "The operation's span: 16 hexadecimal digits.",
        "events.item": "Position among the artifacts of one call, from 0; NULL for a call with one artifact.",
        "usage_summary.artifact_name": "The artifact. First half of the key's pair.",
        "usage_summary.artifact_type": "Its kind: a skill and a command of one name are two rows.",
        "usage_summary.first_used": "When its first event began: UTC text.",
        "usage_summary.last_used": "When its latest event began: UTC text.",
        "usage_summary.deploy_count": _COUNT.format("deploy"),
        "usage_summary.update_count": _COUNT.format("update"),
        "usage_summary.sync_count": _COUNT.format("sync"),
        "usage_summary.remove_count": _COUNT.format("remove"),
        "usage_summary.search_count": _COUNT.format("search"),
        "usage_summary.total_events": "How many events it had, of all types.",
        "usage_summary.error_count": "How many of them ended with status `error`.",
        "usage_summary.first_ms": "When its first event began: milliseconds since 1970 UTC.",
        "usage_summary.last_ms": "When its latest event began: milliseconds since 1970 UTC.",
        "metric_daily.day": "The day in UTC, `YYYY-MM-DD`.",
        "metric_daily.name": "The metric.",
        "metric_daily.service_name": "The tool.",
        "metric_daily.attributes": "Its attributes: a JSON object with sorted keys.",
        "metric_daily.kind": "`histogram` or `sum`.",
        "metric_daily.bounds": "Upper bounds of the buckets but the last: a JSON array.",
        "metric_daily.unit": "Unit of the measurements.",
        "metric_daily.count": "How many measurements.",
        "metric_daily.sum": "Their sum.",
        "metric_daily.min": "The smallest; NULL where unknown.",
        "metric_daily.max": "The largest; NULL where unknown.",
        "metric_daily.bucket_counts": "Measurements in each bucket: a JSON array, one longer than `bounds`; "
        "empty for a sum.",
        "usage_daily.day": _DAY,
        "usage_daily.event_type": "The event type.",
        "usage_daily.artifact_type": "The artifact's kind.",
        "usage_daily.artifact_name": "The artifact.",
        "usage_daily.events": "How many events.",
        "usage_daily.errors": "How many of them ended with status `error`.",
        "usage_daily.durations": "How many of them have a duration.",
        "usage_daily.duration_ms": "Sum of those durations, in milliseconds.",
        "duration_daily.day": _DAY,
        "duration_daily.event_type": "The event type.",
        "duration_daily.artifact_type": "The artifacts' kind.",
        "duration_daily.bucket": "Logarithm of the duration in milliseconds to the base 1.01/0.99, rounded up; "
        "-1000000 for durations of zero and below.",
        "duration_daily.operations": "How many operations; one on several artifacts is one.",
        "sessions.session_id": "The session.",
        "sessions.first_ms": "When its first event began: milliseconds since 1970 UTC.",
        "sessions.last_ms": "When its latest event began: milliseconds since 1970 UTC.",
        "sessions.events": "How many events.",
        "sessions.errors": "How many of them ended with status `error`.",
        "spool_positions.segment": "The segment.",
        "spool_positions.position": "What was read of it, in bytes from its beginning.",
        "spool_positions.sequence": "The number of the last record read.",
        "spool_positions.lost": "How many records are missing: gaps in the numbers.",
        "spool_positions.damaged": "How many records could not be read.",
        "spool_positions.updated_ms": "When it was last read: milliseconds since 1970 UTC.",
        "spool_starts.trace_id": "Trace of the operation's span.",
        "spool_starts.span_id": "The operation's span.",
        "spool_starts.segment": "The newest segment that says that it is open.",
        "spool_starts.event": "The event that it becomes if it never ends, as a JSON object of its fields.",
        "deliveries.endpoint": "The endpoint's URL, without credentials.",
        "deliveries.last_id": "The id up to which it has the events, or they were set aside; 0 for none.",
        "deliveries.delivered": "How many events were delivered to it.",
        "deliveries.updated_ms": "When the last ones were: milliseconds since 1970 UTC.",
        "undelivered.endpoint": "The endpoint's URL, without credentials.",
        "undelivered.event_id": "The event.",
        "undelivered.reason": "Why, in redacted words.",
        "undelivered.updated_ms": "When it was set aside: milliseconds since 1970 UTC.",
        "metric_streams.stream": "16 bytes that name the time series: what measured it, and its attributes.",
        "metric_streams.start_ns": "Since when it counts: nanoseconds since 1970 UTC; 0 where unknown.",
        "metric_streams.time_ns": "When the last point was taken: nanoseconds since 1970 UTC.",
        "metric_streams.count": "How many measurements it had counted by then.",
        "metric_streams.sum": "Their sum.",
        "metric_streams.min": "The smallest; NULL where unknown.",
        "metric_streams.max": "The largest; NULL where unknown.",
        "metric_streams.bounds": "Upper bounds of the buckets but the last: a JSON array.",
        "metric_streams.bucket_counts": "Measurements in each bucket: a JSON array, one longer than `bounds`; "
        "empty for a sum.",
        "metric_streams.updated_ms": "When the point came: milliseconds since 1970 UTC.",
        "metric_seen.stream": "16 bytes that name the time series.",
        "metric_seen.start_ns": "Since when the point counts: nanoseconds since 1970 UTC.",
        "metric_seen.time_ns": "Until when.",
        "metric_seen.updated_ms": "When it last came: milliseconds since 1970 UTC.",
        "usagetrace_state.key": "What it is about; `retention_ran_ms`: when old events were last removed; "
        "`recovered_ms`: when a damaged database was last replaced; `restored`: another text after each copy that was "
        "put in the database's place; `received`: when the first events came by OTLP, in milliseconds since 1970 UTC; "
        "`store_id`: the store's name, from which events without ids get theirs; "
        "`archive_id`: how the names of files with its archived events begin.",
        "usagetrace_state.value": "The value, as text.",
        "schema_migrations.version": "The migration.",
        "schema_migrations.applied_at": "When it was applied: UTC text.",
        "schema_migrations.description": "What it does; `(adopted)` where another tool had made the tables.",
        "schema_migrations.checksum": "SHA-256 of its statements. A difference is refused.",
        "migrations.version": "Always 1.",
        "migrations.applied_at": "When the tables of version 1 were made.",
    }
)


def describe() -> str:
    """Return the tables of a store as Markdown: columns with type and meaning, then indexes.

    Raises:
        KeyError: A table or column of the schema has no meaning here.
    """
    with Store(MEMORY) as store:
        execute = store.connection.execute
        existing = [row[0] for row in execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        missing = [name for name in existing if name not in TABLES and not name.startswith("sqlite_")]
        if missing:
            raise KeyError(f"tables without a meaning: {', '.join(missing)}")
        parts = []
        for table, meaning in TABLES.items():
            columns = execute("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (table,)).fetchall()
            indexes = execute(
                "SELECT i.name, group_concat(c.name, ', ') FROM pragma_index_list(?) AS i, "
                "pragma_index_info(i.name) AS c WHERE i.origin = 'c' GROUP BY i.name ORDER BY i.name",
                (table,),
            ).fetchall()
            parts.append("\n".join(_section(table, meaning, [tuple(c) for c in columns], [tuple(i) for i in indexes])))
    return "\n\n".join(parts) + "\n"


def _section(
    table: str, meaning: str, columns: list[tuple[str, str, int]], indexes: list[tuple[str, str]]
) -> Iterator[str]:
    yield f"## `{table}`"
    yield ""
    yield meaning
    yield ""
    yield "| Column | Type | Meaning |"
    yield "|---|---|---|"
    for name, kind, key in columns:
        yield f"| `{name}` | {kind}{' (key)' if key else ''} | {COLUMNS[f'{table}.{name}']} |"
    if indexes:
        yield ""
        yield "Indexes: " + "; ".join(f"`{name}` ({names})" for name, names in indexes) + "."

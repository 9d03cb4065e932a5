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
        "invocation_totals": "One row for each artifact that was invoked: what its `invoke` events counted, those that "
        "retention removed included. It goes when the schema goes back to version 5, as the other three of invocations "
        "do: coming forward again they are counted from the events that are left.",
        "invocation_counts": "How often an artifact was invoked on a path, had an error, or was followed by an "
        "action. Retention keeps it.",
        "invocation_durations": "Durations of an artifact's completed invocations, one row a bucket. Retention keeps "
        "it; rows of several artifacts add up, and a percentile of the sum is within 1 % of the exact one.",
        "invocation_sessions": "One row for each session and artifact that was invoked in it. Retention removes it "
        "with its session.",
        "imported_records": "Which records were imported, so that none is imported twice, even after retention removed "
        "its event. It stays when the schema goes back to version 5.",
        "usagetrace_state": "What processes tell each other through the store.",
        "schema_migrations": "The ledger of applied migrations.",
        "migrations": "The ledger that tools of schema version 1 read. Kept, not used.",
    }
)

VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invocation_event": "One row for each `invoke` event that is there: what its metadata say of the invocation.",
        "skill_invocation": "One row for each `invoke` event of a skill that is there.",
        "skill_metrics": "One row for each skill: what its invocations counted, those that retention removed included.",
        "session_skill": "One row for each session and skill that was invoked in it.",
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
        "invocation_totals.artifact_type": "The artifact's kind.",
        "invocation_totals.artifact_name": "The artifact.",
        "invocation_totals.invocations": "How many invocations began.",
        "invocation_totals.completed": "How many of them were completed. The others were abandoned.",
        "invocation_totals.durations": "How many of the completed ones have a duration.",
        "invocation_totals.duration_ms": "Sum of those durations, in milliseconds.",
        "invocation_totals.min_ms": "The shortest of them; NULL where there is none.",
        "invocation_totals.max_ms": "The longest of them; NULL where there is none.",
        "invocation_totals.first_ms": "When the first one began: milliseconds since 1970 UTC; NULL where unknown.",
        "invocation_totals.last_ms": "When the latest one began: milliseconds since 1970 UTC; NULL where unknown.",
        "invocation_counts.artifact_type": "The artifact's kind.",
        "invocation_counts.artifact_name": "The artifact.",
        "invocation_counts.kind": "`path` (`workflow_path` in the metadata), `error` (`error_type` of the event or in "
        "its metadata) or `follow_up` (one of `follow_up_actions` in the metadata).",
        "invocation_counts.value": "The path, the error's type, or the action.",
        "invocation_counts.invocations": "How often.",
        "invocation_durations.artifact_type": "The artifact's kind.",
        "invocation_durations.artifact_name": "The artifact.",
        "invocation_durations.bucket": "The bucket, as in `duration_daily`.",
        "invocation_durations.bucket_ms": "The duration in milliseconds that stands for the bucket: within 1 % of each "
        "one in it.",
        "invocation_durations.invocations": "How many completed invocations.",
        "invocation_sessions.session_id": "The session.",
        "invocation_sessions.artifact_type": "The artifact's kind.",
        "invocation_sessions.artifact_name": "The artifact.",
        "invocation_sessions.invocations": "How many invocations of it.",
        "invocation_sessions.duration_ms": "Sum of the durations of the completed ones, in milliseconds.",
        "invocation_sessions.first_ms": "When the first one began: milliseconds since 1970 UTC; NULL where unknown.",
        "invocation_sessions.last_ms": "When the latest one began: milliseconds since 1970 UTC; NULL where unknown.",
        "imported_records.key": "64 bits of a hash of the record, as a number with a sign.",
        "invocation_event.id": "The event's number.",
        "invocation_event.artifact_type": "The artifact's kind.",
        "invocation_event.artifact_name": "The artifact.",
        "invocation_event.at_ms": "When it began: milliseconds since 1970 UTC; NULL where unknown.",
        "invocation_event.workflow_path": "`workflow_path` in the metadata, where it is a text that is not empty.",
        "invocation_event.completed": "1 or 0: `completed` in the metadata; where that is missing, whether it ended, "
        "did not fail, and has no `outcome` but `success`. One that did not end is not completed.",
        "invocation_event.duration_ms": "How long it took, in milliseconds; NULL where unknown.",
        "invocation_event.error_type": "The event's `error_type`, or that in its metadata.",
        "invocation_event.session_id": "The session it belongs to.",
        "invocation_event.follow_up_actions": "`follow_up_actions` in the metadata: a JSON array.",
        "skill_invocation.id": "The event's number.",
        "skill_invocation.skill_name": "The skill.",
        "skill_invocation.invoked_at": "When it began: UTC text, `YYYY-MM-DD HH:MM:SS.SSS`; NULL where unknown.",
        "skill_invocation.workflow_path": "As in `invocation_event`, like the columns that follow.",
        "skill_invocation.completed": "1 or 0.",
        "skill_invocation.duration_seconds": "How long it took; NULL where unknown.",
        "skill_invocation.error_type": "The error's type.",
        "skill_invocation.session_id": "The session it belongs to.",
        "skill_invocation.follow_up_actions": "What followed: a JSON array.",
        "skill_invocation.schema_version": "Version of these columns: 1.",
        "skill_metrics.skill_name": "The skill.",
        "skill_metrics.total_invocations": "How many invocations began.",
        "skill_metrics.completed_invocations": "How many of them were completed.",
        "skill_metrics.abandoned_invocations": "How many were not.",
        "skill_metrics.total_duration_seconds": "Sum of the durations of the completed ones.",
        "skill_metrics.workflow_paths": "A JSON object: how often each path was taken, the most frequent first.",
        "skill_metrics.common_errors": "The same for the types of errors.",
        "skill_metrics.follow_up_actions": "The same for what followed.",
        "skill_metrics.first_invoked": "When the first one began: UTC text, `YYYY-MM-DD HH:MM:SS.SSS`; NULL where "
        "unknown.",
        "skill_metrics.last_invoked": "When the latest one began, in the same form.",
        "skill_metrics.completion_rate": "Percent of the invocations that were completed; 0.0 where there are none.",
        "skill_metrics.avg_duration_seconds": "Mean of the completed ones that have a duration; 0.0 without any.",
        "skill_metrics.schema_version": "Version of these columns: 1.",
        "skill_metrics.min_duration_seconds": "The shortest; NULL where there is none.",
        "skill_metrics.max_duration_seconds": "The longest; NULL where there is none.",
        "skill_metrics.p50_duration_seconds": "The median, nearest rank, within 1 %; NULL where there is none.",
        "skill_metrics.p95_duration_seconds": "The 95th percentile, in the same way.",
        "skill_metrics.p99_duration_seconds": "The 99th percentile, in the same way.",
        "session_skill.session_id": "The session.",
        "session_skill.skill_name": "A skill that was invoked in it.",
        "session_skill.invocation_count": "How many invocations of it.",
        "session_skill.first_invoked_at": "When the first one began: UTC text, `YYYY-MM-DD HH:MM:SS.SSS`; NULL where "
        "unknown.",
        "session_skill.last_invoked_at": "When the latest one began, in the same form.",
        "session_skill.total_duration_seconds": "Sum of the durations of the completed ones.",
        "usagetrace_state.key": "What it is about; `retention_ran_ms`: when old events were last removed; "
        "`recovered_ms`: when a damaged database was last replaced; `restored`: another text after each copy that was "
        "put in the database's place; `received`: when the first events came by OTLP, in milliseconds since 1970 UTC; "
        "`store_id`: the store's name, from which events without ids get theirs; "
        "`archive_id`: how the names of files with its archived events begin; "
        "`counted:` and a day, in days since 1970 UTC: how many events of it sampling took away.",
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
    """Return the tables and views of a store as Markdown: columns with type and meaning, then indexes.

    Raises:
        KeyError: A table or column of the schema has no meaning here.
    """
    with Store(MEMORY) as store:
        execute = store.connection.execute
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        existing = [row[0] for row in execute(query)]
        known = {*TABLES, *VIEWS}
        missing = [name for name in existing if name not in known and not name.startswith("sqlite_")]
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
        for view, meaning in VIEWS.items():
            columns = execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (view,)).fetchall()
            parts.append("\n".join(_view(view, meaning, [column[0] for column in columns])))
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


def _view(view: str, meaning: str, columns: list[str]) -> Iterator[str]:
    yield f"## `{view}` (view)"
    yield ""
    yield meaning
    yield ""
    yield "| Column | Meaning |"
    yield "|---|---|"
    for name in columns:
        yield f"| `{name}` | {COLUMNS[f'{view}.{name}']} |"

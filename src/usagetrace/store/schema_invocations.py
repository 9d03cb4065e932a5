"""Version 6 of the schema: what invocations counted, and the views that show it.

This module owns SQL text alone, as :mod:`usagetrace.store.schema` does. What an invocation's event says (whether it was
completed, its path, its error, what followed) is read from its metadata here in SQL, for the migration, the views and
a rebuild; :mod:`usagetrace.store.invocations` reads the same in Python, and tests hold the two together.

The views use nothing that SQLite 3.25 does not have, and no function of this package: any program can read them. A row
on a damaged page is told from those of other tables by the number and types of its values: no two tables may have the
same.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

from typing import Final

from usagetrace.store.schema_rollups import BUCKET_FUNCTION, DURATION

# Name of the SQL function that gives the duration which stands for a bucket.
BUCKET_MS_FUNCTION: Final = "usagetrace_bucket_ms"
# The event type of an invocation, and the artifact type that the views show.
INVOKE: Final = "invoke"
SKILL: Final = "skill"
# Kinds of what is counted in `invocation_counts`.
PATH: Final = "path"
ERROR: Final = "error"
FOLLOW_UP: Final = "follow_up"
# Version of the columns of the views.
VIEW_VERSION: Final = 1

# Columns that version 6 adds.
V6_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "invocation_totals": (
        "artifact_type", "artifact_name", "invocations", "completed", "durations", "duration_ms", "min_ms", "max_ms",
        "first_ms", "last_ms",
    ),
    "invocation_counts": ("artifact_type", "artifact_name", "kind", "value", "invocations"),
    "invocation_durations": ("artifact_type", "artifact_name", "bucket", "bucket_ms", "invocations"),
    "invocation_sessions": (
        "session_id", "artifact_type", "artifact_name", "invocations", "duration_ms", "first_ms", "last_ms",
    ),
}  # fmt: skip
# A table that version 6 adds and the way back leaves: what was imported is not to be imported again.
V6_STAYING: Final[dict[str, tuple[str, ...]]] = {"imported_records": ("key",)}
VIEWS: Final = ("invocation_event", "skill_invocation", "skill_metrics", "session_skill")


# --- what an event says ------------------------------------------------------------------------------------


def _shown(value: str, place: str) -> str:
    """Return SQL for a text of the metadata that every program can read.

    A lone surrogate (written as an escape by another tool) is no text in UTF-8, and SQLite ends a text at an escaped
    NUL. Such a text is taken as it stands in the JSON, escapes and all. GLOB reads a surrogate as U+FFFD.
    """
    both = f"json_extract(metadata, {place}, {place})"
    return (
        f"CASE WHEN {value} GLOB '*\ufffd*' OR instr(metadata, '\\u0000') > 0 "
        f"THEN substr({both}, 3, (length({both}) - 7) / 2) ELSE {value} END"
    )


def _text(key: str, *, readable: bool) -> str:
    """Return SQL for a text of the metadata; NULL where it is empty, no text, or not there."""
    place = f"'$.{key}'"
    value = f"json_extract(metadata, {place})"
    return (
        f"CASE WHEN json_valid(metadata) THEN CASE WHEN json_type(metadata, {place}) = 'text' "
        f"THEN NULLIF({_shown(value, place) if readable else value}, '') END END"
    )


def _error(*, readable: bool) -> str:
    return f"COALESCE(NULLIF(error_type, ''), {_text('error_type', readable=readable)})"


# What did not end was not completed, whatever its metadata say.
_COMPLETED: Final = """CASE WHEN status = 'abandoned' THEN 0
    WHEN json_valid(metadata) THEN CASE json_type(metadata, '$.completed')
        WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN 'integer' THEN json_extract(metadata, '$.completed') <> 0
        ELSE status = 'ok' AND COALESCE(json_extract(metadata, '$.outcome'), 'success') = 'success' END
    ELSE status = 'ok' END"""
_ACTIONS: Final = """CASE WHEN json_valid(metadata) THEN CASE WHEN json_type(metadata, '$.follow_up_actions') = 'array'
    THEN json_extract(metadata, '$.follow_up_actions') END END"""
# A time of 0, or of another tool's making, is one that nobody knows.
TIME: Final = "CASE typeof(ts_ms) WHEN 'integer' THEN NULLIF(ts_ms, 0) END"


_WHICH: Final = f"event_type = '{INVOKE}'"
_INVOCATIONS: Final = (
    f"(SELECT artifact_type, artifact_name, session_id, {TIME} AS at_ms, {_COMPLETED} AS completed, "
    f"CASE WHEN {_COMPLETED} THEN {DURATION} END AS done_ms FROM events WHERE {_WHICH})"
)
# Every path, error and action, one row each.
_VALUES: Final = (
    f"(SELECT artifact_type, artifact_name, '{PATH}' AS kind, {_text('workflow_path', readable=True)} AS value "
    f"FROM events WHERE {_WHICH} UNION ALL "
    f"SELECT artifact_type, artifact_name, '{ERROR}', {_error(readable=True)} FROM events WHERE {_WHICH} UNION ALL "
    f"SELECT artifact_type, artifact_name, '{FOLLOW_UP}', {_shown('f.value', 'f.fullkey')} FROM "
    f"(SELECT artifact_type, artifact_name, metadata FROM events WHERE {_WHICH} AND {_ACTIONS} IS NOT NULL), "
    "json_each(metadata, '$.follow_up_actions') AS f WHERE f.type = 'text')"
)


# --- the rollups as their events say -----------------------------------------------------------------------

# Each text goes on with a condition and a GROUP BY, as those of version 3 do.
COUNT_TOTALS: Final = (
    "SELECT artifact_type, artifact_name, COUNT(*) AS invocations, SUM(completed) AS completed, "
    "COUNT(done_ms) AS durations, COALESCE(SUM(done_ms), 0.0) AS duration_ms, MIN(done_ms) AS min_ms, "
    f"MAX(done_ms) AS max_ms, MIN(at_ms) AS first_ms, MAX(at_ms) AS last_ms FROM {_INVOCATIONS}"
)
GROUP_TOTALS: Final = "GROUP BY 1, 2"
COUNT_VALUES: Final = f"SELECT artifact_type, artifact_name, kind, value, COUNT(*) AS invocations FROM {_VALUES}"
VALUES_COUNTED: Final = "value IS NOT NULL"
GROUP_VALUES: Final = "GROUP BY 1, 2, 3, 4"
COUNT_DURATIONS: Final = (
    f"SELECT artifact_type, artifact_name, {BUCKET_FUNCTION}(done_ms) AS bucket, "
    f"{BUCKET_MS_FUNCTION}({BUCKET_FUNCTION}(MIN(done_ms))) AS bucket_ms, COUNT(*) AS invocations FROM {_INVOCATIONS}"
)
DURATIONS_COUNTED: Final = "done_ms IS NOT NULL"
GROUP_DURATIONS: Final = "GROUP BY 1, 2, 3"
COUNT_SESSIONS: Final = (
    "SELECT session_id, artifact_type, artifact_name, COUNT(*) AS invocations, "
    "COALESCE(SUM(done_ms), 0.0) AS duration_ms, MIN(at_ms) AS first_ms, MAX(at_ms) AS last_ms "
    f"FROM {_INVOCATIONS}"
)
SESSIONS_COUNTED: Final = "session_id IS NOT NULL"
GROUP_SESSIONS: Final = "GROUP BY 1, 2, 3"

# What adds a batch's counts to those that are there; NULL stands for a time or duration that nobody knows.
ADD_TOTALS: Final = """
ON CONFLICT (artifact_type, artifact_name) DO UPDATE SET
    invocations = invocations + excluded.invocations, completed = completed + excluded.completed,
    durations = durations + excluded.durations, duration_ms = duration_ms + excluded.duration_ms,
    min_ms = MIN(COALESCE(min_ms, excluded.min_ms), COALESCE(excluded.min_ms, min_ms)),
    max_ms = MAX(COALESCE(max_ms, excluded.max_ms), COALESCE(excluded.max_ms, max_ms)),
    first_ms = MIN(COALESCE(first_ms, excluded.first_ms), COALESCE(excluded.first_ms, first_ms)),
    last_ms = MAX(COALESCE(last_ms, excluded.last_ms), COALESCE(excluded.last_ms, last_ms))"""
ADD_VALUES: Final = """
ON CONFLICT (artifact_type, artifact_name, kind, value)
    DO UPDATE SET invocations = invocations + excluded.invocations"""
ADD_DURATIONS: Final = """
ON CONFLICT (artifact_type, artifact_name, bucket) DO UPDATE SET invocations = invocations + excluded.invocations"""
ADD_SESSIONS: Final = """
ON CONFLICT (session_id, artifact_type, artifact_name) DO UPDATE SET
    invocations = invocations + excluded.invocations, duration_ms = duration_ms + excluded.duration_ms,
    first_ms = MIN(COALESCE(first_ms, excluded.first_ms), COALESCE(excluded.first_ms, first_ms)),
    last_ms = MAX(COALESCE(last_ms, excluded.last_ms), COALESCE(excluded.last_ms, last_ms))"""

_TABLES: Final = (
    """
CREATE TABLE invocation_totals (
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    invocations INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    durations INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    min_ms REAL,
    max_ms REAL,
    first_ms INTEGER,
    last_ms INTEGER,
    PRIMARY KEY (artifact_type, artifact_name)
) WITHOUT ROWID""",
    """
CREATE TABLE invocation_counts (
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    invocations INTEGER NOT NULL,
    PRIMARY KEY (artifact_type, artifact_name, kind, value)
) WITHOUT ROWID""",
    """
CREATE TABLE invocation_durations (
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    bucket_ms REAL NOT NULL,
    invocations INTEGER NOT NULL,
    PRIMARY KEY (artifact_type, artifact_name, bucket)
) WITHOUT ROWID""",
    """
CREATE TABLE invocation_sessions (
    session_id TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    invocations INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    first_ms INTEGER,
    last_ms INTEGER,
    PRIMARY KEY (session_id, artifact_type, artifact_name)
) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS imported_records (key INTEGER PRIMARY KEY)",
)

_FILLS: Final = (
    f"INSERT INTO invocation_totals {COUNT_TOTALS} {GROUP_TOTALS}",
    f"INSERT INTO invocation_counts {COUNT_VALUES} WHERE {VALUES_COUNTED} {GROUP_VALUES}",
    f"INSERT INTO invocation_durations {COUNT_DURATIONS} WHERE {DURATIONS_COUNTED} {GROUP_DURATIONS}",
    f"INSERT INTO invocation_sessions {COUNT_SESSIONS} WHERE {SESSIONS_COUNTED} {GROUP_SESSIONS}",
)


# --- the views ---------------------------------------------------------------------------------------------


def when(milliseconds: str) -> str:
    """Return SQL for a time as UTC text with milliseconds, in the form that SQLite's own functions give and take."""
    return f"strftime('%Y-%m-%d %H:%M:%f', {milliseconds} / 1000.0, 'unixepoch')"


def _object(kind: str) -> str:
    """Return SQL for the counts of a kind as a JSON object, the most frequent first."""
    return (
        "(SELECT json_group_object(value, invocations) FROM (SELECT c.value, c.invocations FROM invocation_counts AS c "
        f"WHERE c.artifact_type = t.artifact_type AND c.artifact_name = t.artifact_name AND c.kind = '{kind}' "
        "ORDER BY c.invocations DESC, c.value))"
    )


def _percentile(percent: int) -> str:
    """Return SQL for a percentile of the durations in seconds, nearest rank, within 1 %: whole numbers, no functions.

    It goes through the buckets from the nearer end, in the order in which they are summed up, no further than needed:
    a third of the time that MIN over all of them takes.
    """
    way, most = ("", f">= t.durations * {percent}") if percent <= 50 else (" DESC", f"> t.durations * {100 - percent}")
    return (
        "(SELECT bucket_ms / 1000.0 FROM (SELECT d.bucket_ms, "
        f"SUM(d.invocations) OVER (ORDER BY d.bucket{way}) AS passed FROM invocation_durations AS d "
        "WHERE d.artifact_type = t.artifact_type AND d.artifact_name = t.artifact_name) "
        f"WHERE passed * 100 {most} LIMIT 1)"
    )


# Every program that opens the file reads the text of the views: what they share stands in one.
INVOCATION_EVENT: Final = f"""
SELECT id, artifact_type, artifact_name, {TIME} AS at_ms, {_text("workflow_path", readable=False)} AS workflow_path,
    {_COMPLETED} AS completed, duration_ms, {_error(readable=False)} AS error_type, session_id,
    COALESCE({_ACTIONS}, '[]') AS follow_up_actions
FROM events WHERE {_WHICH}"""
SKILL_INVOCATION: Final = f"""
SELECT id, artifact_name AS skill_name, {when("at_ms")} AS invoked_at, workflow_path, completed,
    duration_ms / 1000.0 AS duration_seconds, error_type, session_id, follow_up_actions,
    {VIEW_VERSION} AS schema_version
FROM invocation_event WHERE artifact_type = '{SKILL}'"""
SKILL_METRICS: Final = f"""
SELECT t.artifact_name AS skill_name, t.invocations AS total_invocations, t.completed AS completed_invocations,
    t.invocations - t.completed AS abandoned_invocations, t.duration_ms / 1000.0 AS total_duration_seconds,
    {_object(PATH)} AS workflow_paths, {_object(ERROR)} AS common_errors, {_object(FOLLOW_UP)} AS follow_up_actions,
    {when("t.first_ms")} AS first_invoked, {when("t.last_ms")} AS last_invoked,
    CASE WHEN t.invocations > 0 THEN t.completed * 100.0 / t.invocations ELSE 0.0 END AS completion_rate,
    CASE WHEN t.durations > 0 THEN t.duration_ms / 1000.0 / t.durations ELSE 0.0 END AS avg_duration_seconds,
    {VIEW_VERSION} AS schema_version,
    t.min_ms / 1000.0 AS min_duration_seconds, t.max_ms / 1000.0 AS max_duration_seconds,
    {_percentile(50)} AS p50_duration_seconds, {_percentile(95)} AS p95_duration_seconds,
    {_percentile(99)} AS p99_duration_seconds
FROM invocation_totals AS t WHERE t.artifact_type = '{SKILL}'"""
SESSION_SKILL: Final = f"""
SELECT session_id, artifact_name AS skill_name, invocations AS invocation_count,
    {when("first_ms")} AS first_invoked_at, {when("last_ms")} AS last_invoked_at,
    duration_ms / 1000.0 AS total_duration_seconds
FROM invocation_sessions WHERE artifact_type = '{SKILL}'"""

# Of all skills together; and what was used most.
SUMMARY: Final = f"""
SELECT COUNT(*) AS total_skills, COALESCE(SUM(invocations), 0) AS total_invocations,
    COALESCE(SUM(completed), 0) AS completed_invocations,
    COALESCE(SUM(invocations - completed), 0) AS abandoned_invocations,
    COALESCE(SUM(duration_ms), 0.0) / 1000.0 AS total_duration_seconds, {when("MIN(first_ms)")} AS first_invoked,
    {when("MAX(last_ms)")} AS last_invoked, COALESCE(SUM(durations), 0) AS durations
FROM invocation_totals WHERE artifact_type = '{SKILL}'"""
SESSIONS: Final = f"SELECT COUNT(DISTINCT session_id) FROM invocation_sessions WHERE artifact_type = '{SKILL}'"
MOST_USED: Final = f"""
SELECT artifact_name AS skill_name, invocations AS total_invocations FROM invocation_totals
WHERE artifact_type = '{SKILL}' ORDER BY invocations DESC, artifact_name LIMIT 5"""

_VIEWS: Final = tuple(
    f"CREATE VIEW {name} AS{text}"
    for name, text in zip(VIEWS, (INVOCATION_EVENT, SKILL_INVOCATION, SKILL_METRICS, SESSION_SKILL), strict=True)
)


# --- the migration -----------------------------------------------------------------------------------------


def _counting(trigger: str) -> str:
    """Return the trigger for events that a tool of version 1 inserted, which counts invocations as well.

    What not every program can read is left to a rebuild.
    """
    body, end = trigger.rsplit("END", 1)
    one = "FROM invocation_event WHERE id = NEW.id"
    return f"""{body}    INSERT INTO invocation_totals
        SELECT artifact_type, artifact_name, 1, completed, 0, 0.0, NULL, NULL, at_ms, at_ms {one}{ADD_TOTALS};
    INSERT INTO invocation_counts
        SELECT NEW.artifact_type, NEW.artifact_name, kind, value, COUNT(*) FROM (
            SELECT '{PATH}' AS kind, workflow_path AS value {one}
            UNION ALL SELECT '{ERROR}', error_type {one}
            UNION ALL SELECT '{FOLLOW_UP}', f.value FROM invocation_event AS e, json_each(e.follow_up_actions) AS f
            WHERE e.id = NEW.id AND f.type = 'text')
        WHERE value NOT GLOB '*\ufffd*' AND instr(NEW.metadata, '\\u0000') = 0 GROUP BY 3, 4{ADD_VALUES};
END{end}"""


def up(trigger: str) -> tuple[str, ...]:
    """Return the statements of the migration.

    Args:
        trigger: The one that completes and counts an event which a tool of version 1 inserted, as version 3 has it.
    """
    return (*_TABLES, *_FILLS, *_VIEWS, "DROP TRIGGER events_v1_insert", _counting(trigger))


def down(trigger: str) -> tuple[str, ...]:
    """Return the statements of the way back: the counts go, and coming forward they are made of the events left."""
    return (
        *(f"DROP VIEW IF EXISTS {name}" for name in VIEWS),
        *(f"DROP TABLE {name}" for name in V6_COLUMNS),
        "DROP TRIGGER events_v1_insert",
        trigger,
    )

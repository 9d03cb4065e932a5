"""Version 3 of the schema: daily rollups, sessions, and how far each spool segment was read.

This module owns SQL text alone, as :mod:`usagetrace.store.schema` does. The statements that count the rollups from
events are here too: the migration fills the tables with them, and a rebuild compares with them.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

from typing import Final

# Name of the SQL function that gives a duration's bucket; every connection that migrates or rebuilds has it.
BUCKET_FUNCTION: Final = "usagetrace_bucket"
DAY_MS: Final = 86_400_000
# First moments of the years 1 and 10000: what the text form of a time can hold.
FIRST_MS: Final = -62_135_596_800_000
END_MS: Final = 253_402_300_800_000

# Columns that version 3 adds.
V3_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "usage_daily": (
        "day", "event_type", "artifact_type", "artifact_name", "events", "errors", "durations", "duration_ms",
    ),
    "duration_daily": ("day", "event_type", "artifact_type", "bucket", "operations"),
    "sessions": ("session_id", "first_ms", "last_ms", "events", "errors"),
    "spool_positions": ("segment", "position", "sequence", "lost", "damaged", "updated_ms"),
}  # fmt: skip


def day_of(ts_ms: str) -> str:
    """Return SQL for the day of a time in milliseconds: days since 1970 UTC, rounded down."""
    return f"((COALESCE({ts_ms}, 0) - ((COALESCE({ts_ms}, 0) % {DAY_MS}) + {DAY_MS}) % {DAY_MS}) / {DAY_MS})"


# What is no number, or longer than thirty million years, is no duration.
DURATION: Final = "CASE WHEN typeof(duration_ms) = 'real' AND abs(duration_ms) < 1e18 THEN duration_ms END"

# The rollups as their events say. Each text goes on with a condition on the events and a GROUP BY.
COUNT_USAGE: Final = (
    f"SELECT {day_of('ts_ms')} AS day, event_type, artifact_type, artifact_name, COUNT(*) AS events, "
    f"SUM(status = 'error') AS errors, COUNT({DURATION}) AS durations, "
    f"COALESCE(SUM({DURATION}), 0.0) AS duration_ms FROM events"
)
GROUP_USAGE: Final = "GROUP BY 1, 2, 3, 4"
COUNT_DURATIONS: Final = (
    f"SELECT {day_of('ts_ms')} AS day, event_type, artifact_type, {BUCKET_FUNCTION}({DURATION}) AS bucket, "
    "COUNT(*) AS operations FROM events"
)
DURATIONS_COUNTED: Final = f"(item IS NULL OR item = 0) AND {DURATION} IS NOT NULL"
GROUP_DURATIONS: Final = "GROUP BY 1, 2, 3, 4"
COUNT_SESSIONS: Final = (
    "SELECT session_id, MIN(COALESCE(ts_ms, 0)) AS first_ms, MAX(COALESCE(ts_ms, 0)) AS last_ms, "
    "COUNT(*) AS events, SUM(status = 'error') AS errors FROM events"
)
GROUP_SESSIONS: Final = "GROUP BY session_id"

TABLES: Final = (
    """
CREATE TABLE usage_daily (
    day INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    events INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    durations INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    PRIMARY KEY (day, event_type, artifact_type, artifact_name)
) WITHOUT ROWID""",
    """
CREATE TABLE duration_daily (
    day INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    PRIMARY KEY (day, event_type, artifact_type, bucket)
) WITHOUT ROWID""",
    """
CREATE TABLE sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    events INTEGER NOT NULL,
    errors INTEGER NOT NULL
) WITHOUT ROWID""",
    # The way back leaves this one: what was drained already is not to be drained again.
    """
CREATE TABLE IF NOT EXISTS spool_positions (
    segment TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0,
    updated_ms INTEGER NOT NULL
)""",
)

FILLS: Final = (
    f"INSERT INTO usage_daily {COUNT_USAGE} {GROUP_USAGE}",
    f"INSERT INTO duration_daily {COUNT_DURATIONS} WHERE {DURATIONS_COUNTED} {GROUP_DURATIONS}",
    f"INSERT INTO sessions {COUNT_SESSIONS} WHERE session_id IS NOT NULL {GROUP_SESSIONS}",
)


def counting_trigger(milliseconds: str, status: str, category: str) -> str:
    """Return the trigger that completes and counts an event which a tool of version 1 inserted.

    Args:
        milliseconds: SQL that gives the new event's time in milliseconds.
        status: SQL that gives its status.
        category: SQL that gives its category.
    """
    return f"""
CREATE TRIGGER events_v1_insert AFTER INSERT ON events WHEN NEW.ts_ms IS NULL
BEGIN
    UPDATE events SET ts_ms = {milliseconds}, status = {status}, category = {category} WHERE id = NEW.id;
    INSERT INTO usage_daily
        SELECT {day_of("ts_ms")}, event_type, artifact_type, artifact_name, 1, status = 'error', 0, 0.0
        FROM events WHERE id = NEW.id
        ON CONFLICT (day, event_type, artifact_type, artifact_name)
        DO UPDATE SET events = events + excluded.events, errors = errors + excluded.errors;
END"""


DOWN: Final = (
    "DROP TABLE usage_daily",
    "DROP TABLE duration_daily",
    "DROP TABLE sessions",
)

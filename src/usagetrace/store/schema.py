"""The database's schema, as the ordered list of its migrations.

This module owns SQL text alone; :mod:`usagetrace.store.migrations` runs it. The text of a migration that was
released never changes: its checksum is in every database it was applied to. A change is a new migration.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

from usagetrace.store import schema_delivery, schema_invocations, schema_rollups, schema_starts
from usagetrace.store.schema_delivery import V5_COLUMNS as V5_COLUMNS
from usagetrace.store.schema_invocations import V6_COLUMNS as V6_COLUMNS
from usagetrace.store.schema_invocations import V6_STAYING as V6_STAYING
from usagetrace.store.schema_invocations import VIEWS as VIEWS
from usagetrace.store.schema_rollups import V3_COLUMNS as V3_COLUMNS
from usagetrace.store.schema_starts import V4_COLUMNS as V4_COLUMNS


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        version: Position in the list, from 1.
        description: What it does, in a few words; kept in the ledger.
        up: Statements that apply it, run in one transaction with its row of the ledger.
        down: Statements that undo it, run in one transaction with the removal of that row.
    """

    version: int
    description: str
    up: tuple[str, ...]
    down: tuple[str, ...] = ()


@functools.cache
def checksum(migration: Migration) -> str:
    """Return the SHA-256 of a migration's statements as hexadecimal text.

    Those of the way back are left out: they may be mended after a release, and the ledger is still right.
    """
    # Imported here: it loads OpenSSL, and only opening a store needs it.
    import hashlib

    return hashlib.sha256("\n;\n".join(migration.up).encode()).hexdigest()


LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL,
    description TEXT NOT NULL,
    checksum TEXT NOT NULL
)"""

# Columns that a table of version 1 has, whoever made it. `migrations` is optional there.
V1_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "events": (
        "id", "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp",
        "metadata",
    ),
    "usage_summary": (
        "artifact_name", "artifact_type", "first_used", "last_used", "deploy_count", "update_count",
        "sync_count", "remove_count", "search_count", "total_events",
    ),
    "migrations": ("version",),
}  # fmt: skip

# Columns that version 2 adds.
V2_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "events": (
        "ts_ms", "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name",
        "trace_id", "span_id", "item",
    ),
    "usage_summary": ("error_count", "first_ms", "last_ms"),
    "metric_daily": (
        "day", "name", "service_name", "attributes", "kind", "bounds", "unit", "count", "sum", "min", "max",
        "bucket_counts",
    ),
    "usagetrace_state": ("key", "value"),
}  # fmt: skip

LEDGER_COLUMNS: Final = ("version", "applied_at", "description", "checksum")

# Nothing undoes it: the tables may be another tool's. Without its row in the ledger they are a file of version 1,
# which is adopted again.
# IF NOT EXISTS everywhere: the same statements adopt a database that another tool made with this schema.
_V1: Final = Migration(
    1,
    "events and usage_summary",
    (
        """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    collection_name TEXT,
    project_path TEXT,
    timestamp DATETIME DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT
)""",
        "CREATE INDEX IF NOT EXISTS idx_event_type ON events(event_type)",
        "CREATE INDEX IF NOT EXISTS idx_artifact_name ON events(artifact_name)",
        "CREATE INDEX IF NOT EXISTS idx_timestamp ON events(timestamp)",
        "CREATE INDEX IF NOT EXISTS idx_collection ON events(collection_name)",
        "CREATE INDEX IF NOT EXISTS idx_artifact_type_name ON events(artifact_type, artifact_name)",
        """
CREATE TABLE IF NOT EXISTS usage_summary (
    artifact_name TEXT PRIMARY KEY,
    artifact_type TEXT NOT NULL,
    first_used DATETIME,
    last_used DATETIME,
    deploy_count INTEGER DEFAULT 0,
    update_count INTEGER DEFAULT 0,
    sync_count INTEGER DEFAULT 0,
    remove_count INTEGER DEFAULT 0,
    search_count INTEGER DEFAULT 0,
    total_events INTEGER DEFAULT 0
)""",
        "CREATE INDEX IF NOT EXISTS idx_last_used ON usage_summary(last_used)",
        "CREATE INDEX IF NOT EXISTS idx_total_events ON usage_summary(total_events)",
        "CREATE INDEX IF NOT EXISTS idx_usage_artifact_type ON usage_summary(artifact_type)",
        # The ledger that tools of version 1 read.
        """
CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    applied_at DATETIME DEFAULT CURRENT_TIMESTAMP
)""",
        "INSERT INTO migrations (version) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM migrations WHERE version = 1)",
    ),
)


def _milliseconds(text: str) -> str:
    """Return SQL that turns a timestamp text into milliseconds since 1970, 0 where it is none.

    The pattern keeps out what SQLite would take for a time as well: ``now``, ``12:00``, Julian day numbers.
    """
    return (
        f"CASE WHEN typeof({text}) = 'text' AND trim({text}) GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' "
        f"THEN COALESCE(CAST(ROUND((julianday(trim({text})) - 2440587.5) * 86400000.0) AS INTEGER), 0) ELSE 0 END"
    )


def _status(metadata: str) -> str:
    """Return SQL that reads how an operation of version 1 ended from its metadata."""
    return (
        f"CASE WHEN json_valid({metadata}) THEN CASE WHEN json_extract({metadata}, '$.result') = 'error' "
        f"OR json_type({metadata}, '$.success') = 'false' THEN 'error' ELSE 'ok' END ELSE 'ok' END"
    )


def _category(event_type: str) -> str:
    return f"CASE WHEN {event_type} IN ('deploy', 'update', 'sync', 'remove', 'search') THEN 'usage' ELSE 'custom' END"


def _remainder(column: str, condition: str) -> str:
    """Return SQL for what a merged row of version 1 counted beyond the events that are still there."""
    return (
        f"MAX(COALESCE(s.{column}, 0) - (SELECT COUNT(*) FROM events AS e "
        f"WHERE e.artifact_name = s.artifact_name AND {condition}), 0) AS {column}"
    )


_COUNTED: Final = ("deploy", "update", "sync", "remove", "search")
_TEXT_OF_MS: Final = "strftime('%Y-%m-%d %H:%M:%S', {0} / 1000.0, 'unixepoch')"

_V1_TRIGGER: Final = f"""
CREATE TRIGGER events_v1_insert AFTER INSERT ON events WHEN NEW.ts_ms IS NULL
BEGIN
    UPDATE events SET ts_ms = {_milliseconds("NEW.timestamp")}, status = {_status("NEW.metadata")},
        category = {_category("NEW.event_type")}
    WHERE id = NEW.id;
END"""

# The columns of version 2 and the daily metrics are lost with it; events and counts stay. Counts of artifacts of one
# name become one row, under the type that was used most: version 1 has no room for two.
_V2_DOWN: Final = (
    "DROP TRIGGER events_v1_insert",
    "DROP TRIGGER events_v1_update",
    "DROP INDEX idx_events_ts_ms",
    *(f"ALTER TABLE events DROP COLUMN {column}" for column in reversed(V2_COLUMNS["events"])),
    """
CREATE TEMP TABLE usagetrace_merged AS
SELECT artifact_name, MIN(most_used) AS artifact_type, MIN(first_used) AS first_used, MAX(last_used) AS last_used,
    SUM(deploy_count) AS deploy_count, SUM(update_count) AS update_count, SUM(sync_count) AS sync_count,
    SUM(remove_count) AS remove_count, SUM(search_count) AS search_count, SUM(total_events) AS total_events
FROM (
    SELECT *, FIRST_VALUE(artifact_type) OVER (
        PARTITION BY artifact_name ORDER BY total_events DESC, artifact_type) AS most_used
    FROM usage_summary
) GROUP BY artifact_name""",
    "DROP TABLE usage_summary",
    *_V1.up[6:10],
    f"INSERT INTO usage_summary ({', '.join(V1_COLUMNS['usage_summary'])}) "
    f"SELECT {', '.join(V1_COLUMNS['usage_summary'])} FROM usagetrace_merged ORDER BY artifact_name",
    "DROP TABLE temp.usagetrace_merged",
    "DROP TABLE metric_daily",
    "DROP TABLE usagetrace_state",
)

_V2: Final = Migration(
    2,
    "time in milliseconds, outcome and origin of events; summary by type and name; daily metrics",
    (
        "ALTER TABLE events ADD COLUMN ts_ms INTEGER",
        "ALTER TABLE events ADD COLUMN duration_ms REAL",
        "ALTER TABLE events ADD COLUMN status TEXT NOT NULL DEFAULT 'ok'",
        "ALTER TABLE events ADD COLUMN error_type TEXT",
        "ALTER TABLE events ADD COLUMN category TEXT NOT NULL DEFAULT 'custom'",
        "ALTER TABLE events ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal'",
        "ALTER TABLE events ADD COLUMN session_id TEXT",
        "ALTER TABLE events ADD COLUMN service_name TEXT",
        "ALTER TABLE events ADD COLUMN trace_id TEXT",
        "ALTER TABLE events ADD COLUMN span_id TEXT",
        "ALTER TABLE events ADD COLUMN item INTEGER",
        f"UPDATE events SET ts_ms = {_milliseconds('timestamp')}, status = {_status('metadata')}, "
        f"category = {_category('event_type')}",
        "CREATE INDEX idx_events_ts_ms ON events(ts_ms)",
        # What each row of version 1 counted beyond the events that are still there: retention took those.
        f"""
CREATE TEMP TABLE usagetrace_carried AS
SELECT s.artifact_name, s.artifact_type,
    {_milliseconds("s.first_used")} AS first_ms, {_milliseconds("s.last_used")} AS last_ms,
    {", ".join(_remainder(f"{kind}_count", f"e.event_type = '{kind}'") for kind in _COUNTED)},
    {_remainder("total_events", "1")},
    (SELECT COUNT(DISTINCT e.artifact_type) FROM events AS e
     WHERE e.artifact_name = s.artifact_name AND e.artifact_type <> s.artifact_type) AS others
FROM usage_summary AS s""",
        "DROP TABLE usage_summary",
        """
CREATE TABLE usage_summary (
    artifact_name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    first_used DATETIME,
    last_used DATETIME,
    deploy_count INTEGER NOT NULL DEFAULT 0,
    update_count INTEGER NOT NULL DEFAULT 0,
    sync_count INTEGER NOT NULL DEFAULT 0,
    remove_count INTEGER NOT NULL DEFAULT 0,
    search_count INTEGER NOT NULL DEFAULT 0,
    total_events INTEGER NOT NULL DEFAULT 0,
    error_count INTEGER NOT NULL DEFAULT 0,
    first_ms INTEGER,
    last_ms INTEGER,
    PRIMARY KEY (artifact_type, artifact_name)
) WITHOUT ROWID""",
        # A row whose name other types share, and which lost nothing, has no time of its own to add.
        f"""
INSERT INTO usage_summary
SELECT artifact_name, artifact_type,
    {_TEXT_OF_MS.format("MIN(first_ms)")}, {_TEXT_OF_MS.format("MAX(last_ms)")},
    {", ".join(f"SUM({kind}_count)" for kind in _COUNTED)}, SUM(total_events), SUM(error_count),
    MIN(first_ms), MAX(last_ms)
FROM (
    SELECT artifact_name, artifact_type, NULLIF(ts_ms, 0) AS first_ms, NULLIF(ts_ms, 0) AS last_ms,
        {", ".join(f"event_type = '{kind}' AS {kind}_count" for kind in _COUNTED)},
        1 AS total_events, status = 'error' AS error_count
    FROM events
    UNION ALL
    SELECT artifact_name, artifact_type,
        CASE WHEN others = 0 OR total_events > 0 THEN NULLIF(first_ms, 0) END,
        CASE WHEN others = 0 OR total_events > 0 THEN NULLIF(last_ms, 0) END,
        {", ".join(f"{kind}_count" for kind in _COUNTED)}, total_events, 0
    FROM usagetrace_carried
    WHERE artifact_name IS NOT NULL
        AND (others = 0 OR total_events > 0 OR {" OR ".join(f"{kind}_count > 0" for kind in _COUNTED)}
            OR EXISTS (SELECT 1 FROM events AS e WHERE e.artifact_name = usagetrace_carried.artifact_name
                AND e.artifact_type = usagetrace_carried.artifact_type))
)
GROUP BY artifact_type, artifact_name""",
        "DROP TABLE temp.usagetrace_carried",
        "CREATE INDEX idx_last_used ON usage_summary(last_used)",
        "CREATE INDEX idx_total_events ON usage_summary(total_events)",
        "CREATE INDEX idx_usage_artifact_type ON usage_summary(artifact_type)",
        # Tools of version 1 go on with their own INSERT and UPDATE: the columns they don't know follow.
        _V1_TRIGGER,
        f"""
CREATE TRIGGER events_v1_update AFTER UPDATE OF timestamp ON events
BEGIN
    UPDATE events SET ts_ms = {_milliseconds("NEW.timestamp")} WHERE id = NEW.id;
END""",
        """
CREATE TABLE metric_daily (
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    service_name TEXT NOT NULL,
    attributes TEXT NOT NULL,
    kind TEXT NOT NULL,
    bounds TEXT NOT NULL,
    unit TEXT NOT NULL,
    count INTEGER NOT NULL,
    sum REAL NOT NULL,
    min REAL,
    max REAL,
    bucket_counts TEXT NOT NULL,
    PRIMARY KEY (day, name, service_name, attributes, kind, bounds)
) WITHOUT ROWID""",
        "CREATE TABLE usagetrace_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    _V2_DOWN,
)

_V3_TRIGGER: Final = schema_rollups.counting_trigger(
    _milliseconds("NEW.timestamp"), _status("NEW.metadata"), _category("NEW.event_type")
)

_V3: Final = Migration(
    3,
    "daily rollups, sessions, positions in the spool",
    (*schema_rollups.TABLES, *schema_rollups.FILLS, "DROP TRIGGER events_v1_insert", _V3_TRIGGER),
    ("DROP TRIGGER events_v1_insert", _V1_TRIGGER, *schema_rollups.DOWN),
)

_V4: Final = Migration(4, "operations that have begun", schema_starts.UP)

_V5: Final = Migration(
    5, "deliveries to endpoints, what received metrics added", schema_delivery.UP, schema_delivery.DOWN
)

_V6: Final = Migration(
    6, "invocations: totals, counters, durations, sessions", schema_invocations.up(_V3_TRIGGER),
    schema_invocations.down(_V3_TRIGGER),
)  # fmt: skip

MIGRATIONS: Final = (_V1, _V2, _V3, _V4, _V5, _V6)
LATEST: Final = MIGRATIONS[-1].version
# The last migration whose time grows with the events, and the last one whose time grows with the invocations among
# them; others only make tables.
LAST_LONG: Final = 3
LAST_LONG_INVOCATIONS: Final = 6
# Key of usagetrace_state: when a damaged database was last replaced, in milliseconds since 1970 UTC.
RECOVERED: Final = "recovered_ms"
# Key of usagetrace_state: a random text, another one after each copy that was put in the database's place.
RESTORED: Final = "restored"
# Key of usagetrace_state: when the first events came from another process by OTLP, in milliseconds since 1970 UTC.
RECEIVED: Final = "received"
# Key of usagetrace_state: a random text that names the store; events without ids of their own get theirs from it.
STORE_ID: Final = "store_id"
# The row of spool_positions that keeps what was lost and damaged in segments that are gone.
FINISHED: Final = "finished"

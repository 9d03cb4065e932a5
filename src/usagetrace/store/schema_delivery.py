"""Version 5 of the schema: what is still to be delivered, and what was received.

This module owns SQL text alone, as :mod:`usagetrace.store.schema` does. A row on a damaged page is told from those of
other tables by the number and types of its values: no two tables may have the same.
"""

from __future__ import annotations

from typing import Final

# Columns that version 5 adds.
V5_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "deliveries": ("endpoint", "last_id", "delivered", "updated_ms"),
    "undelivered": ("endpoint", "event_id", "reason", "updated_ms"),
    "metric_streams": (
        "stream", "start_ns", "time_ns", "count", "sum", "min", "max", "bounds", "bucket_counts", "updated_ms",
    ),
    "metric_seen": ("stream", "start_ns", "time_ns", "updated_ms"),
}  # fmt: skip

UP: Final = (
    """
CREATE TABLE deliveries (
    endpoint TEXT NOT NULL PRIMARY KEY,
    last_id INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) WITHOUT ROWID""",
    """
CREATE TABLE undelivered (
    endpoint TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (endpoint, event_id)
) WITHOUT ROWID""",
    """
CREATE TABLE metric_streams (
    stream BLOB NOT NULL,
    start_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum REAL NOT NULL,
    min REAL,
    max REAL,
    bounds TEXT NOT NULL,
    bucket_counts TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, start_ns)
) WITHOUT ROWID""",
    "CREATE INDEX idx_metric_streams_updated ON metric_streams(updated_ms)",
    """
CREATE TABLE metric_seen (
    stream BLOB NOT NULL,
    start_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, start_ns, time_ns)
) WITHOUT ROWID""",
    "CREATE INDEX idx_metric_seen_updated ON metric_seen(updated_ms)",
)

# Events and counts stay. Coming forward again, every event is delivered anew: a receiver knows it by its ids.
DOWN: Final = tuple(f"DROP TABLE {name}" for name in V5_COLUMNS)

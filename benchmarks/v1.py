"""The first version of the store, by the plain SQL of its requirements: what many tools write for themselves.

It needs nothing but the standard library, so that it runs in every environment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

EVENTS = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    collection_name TEXT,
    project_path TEXT,
    timestamp DATETIME DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT
);
CREATE INDEX idx_event_type ON events(event_type);
CREATE INDEX idx_artifact_name ON events(artifact_name);
CREATE INDEX idx_timestamp ON events(timestamp);
CREATE INDEX idx_collection ON events(collection_name);
CREATE INDEX idx_artifact_type_name ON events(artifact_type, artifact_name);
"""
SUMMARY = """
CREATE TABLE usage_summary (
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
);
CREATE INDEX idx_last_used ON usage_summary(last_used);
CREATE INDEX idx_total_events ON usage_summary(total_events);
CREATE INDEX idx_usage_artifact_type ON usage_summary(artifact_type);
"""
INSERT = """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, metadata)
VALUES (?, ?, ?, ?, ?, ?)"""
INSERT_AT = """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
COUNT = """
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, {0}_count, total_events)
VALUES (?, ?, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1, 1)
ON CONFLICT (artifact_name) DO UPDATE SET last_used = CURRENT_TIMESTAMP, {0}_count = {0}_count + 1,
    total_events = total_events + 1"""


class Naive:
    """A store that commits each event as it comes: one connection, write-ahead log, no wait for the disk.

    That is the fast way to do the slow thing: opening a connection an event, or the rollback journal, costs more.

    Args:
        path: The file to make.
    """

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.executescript(EVENTS + SUMMARY)

    def record(
        self, event_type: str, name: str, kind: str, collection: str, project: str, metadata: Mapping[str, object]
    ) -> None:
        """Record one event and count it."""
        with self.connection:
            self.connection.execute(INSERT, (event_type, name, kind, collection, project, json.dumps(metadata)))
            self.connection.execute(COUNT.format(event_type), (name, kind))

    def close(self) -> int:
        """Close the file; return how many events are in it, and counted."""
        query = "SELECT COUNT(*), (SELECT SUM(total_events) FROM usage_summary) FROM events"
        events, counted = self.connection.execute(query).fetchone()
        self.connection.close()
        if events != counted:
            raise SystemExit(f"{events} events, {counted} counted")
        return int(events)

"""P3: events from the spool into SQLite, with all that the store keeps, against raw inserts of the same rows."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.harness import BenchmarkError, Figure, Row, turns
from benchmarks.made import batches, events
from benchmarks.world import expect
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store.drain import drain
from usagetrace.store.store import Store

EVENTS = 10_240
BATCH = 512
ROUNDS = 9
COLUMNS = (
    "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp", "metadata", "ts_ms",
    "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name", "trace_id", "span_id",
    "item",
)  # fmt: skip
INSERT = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def through_spool(made: list[Event]) -> float:
    """Return events a second from the spool, one record an event, into the store."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "analytics.db"
        directory = spool_directory(database)
        spool = Spool(directory)
        written = sum(spool.append([event]) for event in made)
        spool.close()
        with Store(database) as store:
            store.write(made[:1])
            began = time.perf_counter()
            report = drain(store, directory, batch_events=BATCH)
            took = time.perf_counter() - began
        if written != EVENTS or report.events != EVENTS or not report.complete:
            raise BenchmarkError(f"the drain of {EVENTS} events says {report}")
        expect(
            database, "SELECT COUNT(*), COUNT(DISTINCT span_id), (SELECT SUM(total_events) FROM usage_summary), "
            "(SELECT SUM(events) FROM usage_daily), (SELECT SUM(operations) FROM duration_daily) FROM events",
            EVENTS + 1, EVENTS, *[EVENTS + 1] * 3,
        )  # fmt: skip
    return EVENTS / took


def raw(made: list[Event]) -> float:
    """Return events a second by executemany alone, into the same table with the same indexes and no triggers."""
    rows = [
        (
            e.event_type, e.artifact_name, e.artifact_type, e.collection_name, e.project_path, e.timestamp(),
            e.metadata_json(), e.ts_ms, e.duration_ms, e.status, e.error_type, e.category, e.priority, e.session_id,
            e.service_name, e.trace_id, e.span_id, e.item,
        )
        for e in made
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "analytics.db"
        with Store(database) as store:
            store.write(made[:1])
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f'DROP TRIGGER "{name}"')
            began = time.perf_counter()
            for batch in batches(rows, BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(INSERT, batch)
                connection.execute("COMMIT")
            took = time.perf_counter() - began
        expect(database, "SELECT COUNT(*) FROM events", EVENTS + 1)
    return EVENTS / took


def measure() -> list[Figure]:
    """Return the figure of P3."""
    made = list(events(EVENTS))
    ours, theirs = turns(lambda: through_spool(made), lambda: raw(made), rounds=ROUNDS)
    row = Row(
        "P3", "spool to SQLite, summary, rollups, exactly once",
        "raw `executemany` of the same rows, same indexes, batches of the same size", "events/s",
    )  # fmt: skip
    return [row.rate(ours, theirs, at_least=0.60)]


ROWS = {"P3": measure}

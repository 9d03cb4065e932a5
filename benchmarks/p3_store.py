"""P3: events into SQLite, with the summary in the same transaction, against raw inserts of the same rows."""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Figure, interleaved, rate_ratio
from usagetrace.events import Event
from usagetrace.store.store import Store

EVENTS = 10_240
BATCH = 512
ROUNDS = 7
COLUMNS = (
    "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp", "metadata", "ts_ms",
    "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name", "trace_id", "span_id",
    "item",
)  # fmt: skip


def made_events() -> list[Event]:
    """Return events such as a tool with 200 artifacts makes in a month, the same ones each time."""
    draw = random.Random(7)
    return [
        Event(
            event_type=draw.choice(("deploy", "update", "sync", "remove", "search")),
            artifact_name=f"artifact-{int(draw.paretovariate(1.1)) % 200}",
            artifact_type=draw.choice(("skill", "command", "agent")),
            ts_ms=1_790_000_000_000 + number * 250,
            collection_name="default",
            project_path="~/projects/shop",
            metadata={"version": "1.2.0", "sha": f"{draw.getrandbits(64):016x}", "success": True},
            duration_ms=draw.expovariate(0.1),
            status="ok" if draw.random() > 0.05 else "error",
            category="usage",
            service_name="bench",
            trace_id=f"{draw.getrandbits(128):032x}",
            span_id=f"{draw.getrandbits(64):016x}",
        )
        for number in range(EVENTS)
    ]


def batches(items: list[Event]) -> Iterator[list[Event]]:
    """Yield the events in batches."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def through_store(events: list[Event]) -> float:
    """Return events a second through the store's writer."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "analytics.db") as store:
        store.write(events[:1])
        began = time.perf_counter()
        for batch in batches(events):
            store.write(batch)
        took = time.perf_counter() - began
        (total,) = store.connection.execute("SELECT SUM(total_events) FROM usage_summary").fetchone()
    if total != EVENTS + 1:
        sys.exit(f"P3: the summary counts {total} events")
    return EVENTS / took


def raw(events: list[Event]) -> float:
    """Return events a second by executemany alone, into the same table with the same indexes and no triggers."""
    rows = [
        (
            e.event_type, e.artifact_name, e.artifact_type, e.collection_name, e.project_path, e.timestamp(),
            e.metadata_json(), e.ts_ms, e.duration_ms, e.status, e.error_type, e.category, e.priority, e.session_id,
            e.service_name, e.trace_id, e.span_id, e.item,
        )
        for e in events
    ]  # fmt: skip
    insert = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "analytics.db"
        with Store(database) as store:
            store.write(events[:1])
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f'DROP TRIGGER "{name}"')
            began = time.perf_counter()
            for start in range(0, EVENTS, BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, rows[start : start + BATCH])
                connection.execute("COMMIT")
            took = time.perf_counter() - began
    return EVENTS / took


def measure() -> list[Figure]:
    """Return the figure of P3."""
    events = made_events()
    ours, theirs = interleaved(lambda: through_store(events), lambda: raw(events), ROUNDS)
    return [rate_ratio("P3  events into SQLite with summary", "events/s", ours, theirs, at_least=0.60)]


if __name__ == "__main__":
    for figure in measure():
        print(figure.line())

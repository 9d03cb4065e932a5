"""P4d: what a day of events takes on the disk, against the rows of the first version and their indexes alone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from benchmarks import v1
from benchmarks.harness import BenchmarkError, Figure, Row
from benchmarks.made import BUSY_DAY, DAY_MS, batches, events
from benchmarks.world import expect
from usagetrace.store.store import Store

# A day has a million events; a fifth of them tells as much in a fifth of the time. USAGETRACE_BENCH_DAY says otherwise.
DEFAULT = 200_000
BATCH = 512
# The day begins at midnight, UTC.
MIDNIGHT_MS = 1_790_035_200_000


def ours(count: int, folder: Path) -> int:
    """Return the bytes that the store takes with a number of events."""
    database = folder / "ours.db"
    with Store(database) as store:
        for batch in batches(events(count, every_ms=DAY_MS / BUSY_DAY, from_ms=MIDNIGHT_MS), BATCH):
            store.write(batch)
    expect(
        database, "SELECT COUNT(*), (SELECT SUM(total_events) FROM usage_summary), "
        "(SELECT SUM(events) FROM usage_daily), (SELECT COUNT(DISTINCT day) FROM usage_daily) FROM events",
        count, count, count, 1,
    )  # fmt: skip
    return size(database)


def theirs(count: int, folder: Path) -> int:
    """Return the bytes that rows of the first version and their indexes take, with nothing beside them."""
    database = folder / "v1.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode=WAL;{v1.EVENTS}")
        for batch in batches(events(count, every_ms=DAY_MS / BUSY_DAY, from_ms=MIDNIGHT_MS), BATCH):
            connection.execute("BEGIN")
            connection.executemany(
                v1.INSERT_AT,
                [
                    (
                        e.event_type, e.artifact_name, e.artifact_type, e.collection_name, e.project_path,
                        e.timestamp(), e.metadata_json(),
                    )
                    for e in batch
                ],
            )  # fmt: skip
            connection.execute("COMMIT")
    expect(database, "SELECT COUNT(*) FROM events", count)
    return size(database)


def size(database: Path) -> int:
    """Return the bytes of a database once its write-ahead log is empty."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    wal = database.with_name(f"{database.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise BenchmarkError(f"{wal}: {wal.stat().st_size} bytes are left in it")
    return database.stat().st_size


def measure() -> list[Figure]:
    """Return the figures of P4d: bytes an event, for all events and for half of them."""
    count = int(os.environ.get("USAGETRACE_BENCH_DAY", DEFAULT))
    sizes: list[tuple[float, float]] = []
    for number in (count // 2, count):
        with tempfile.TemporaryDirectory() as folder:
            sizes.append((ours(number, Path(folder)) / number, theirs(number, Path(folder)) / number))
    half, whole = sizes
    what = f"bytes an event on disk, {count:,} of a day's 1 M"
    row = Row("P4d", what, "the V1 rows and their indexes alone", "bytes")
    linear = Row("P4d", f"bytes an event, {count:,} events", f"with {count // 2:,} events", "bytes")
    return [
        row.ratio([whole[0]], [whole[1]], at_most=1.35),
        linear.ratio([whole[0]], [half[0]]),
    ]


ROWS = {"P4d": measure}

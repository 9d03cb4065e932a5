"""Removes old events and gives their space back.

This module owns retention. It knows connections and times, no settings and no threads.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

from usagetrace.store.connection import atomic
from usagetrace.store.queries import DAY_MS

# Events that one transaction removes: other writers wait for one batch, not for the whole work.
BATCH: Final = 500
_LAST_RETENTION: Final = "retention_ran_ms"


def cleanup_old_events(
    connection: sqlite3.Connection,
    path: str,
    days: int = 90,
    *,
    now_ms: int,
    may_go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Remove events that began more than so many days ago. The summary keeps what they counted.

    An event whose time is unknown (``ts_ms`` 0, from another tool's row) stays.

    Args:
        connection: A connection that may write.
        path: The file, for messages.
        days: Age in days of 24 hours; 0 keeps everything.
        now_ms: The present, in milliseconds since 1970 UTC.
        may_go_on: Asked before each batch; the work ends early where it says no.

    Returns:
        How many events were removed.

    Raises:
        ValueError: ``days`` is negative.
        StoreUnavailableError: The lock for writing could not be had.
    """
    if days < 0:
        raise ValueError(f"days must be non-negative, not {days}")
    removed = 0
    while days and may_go_on():
        with atomic(connection, path):
            count = connection.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE ts_ms < ? AND ts_ms <> 0 "
                "ORDER BY ts_ms, id LIMIT ?)",
                (now_ms - days * DAY_MS, BATCH),
            ).rowcount
        removed += count
        if count < BATCH:
            break
        # SQLite's locks know no queue: without a pause the next batch takes the lock before anyone who waits.
        time.sleep(0.001)
    return removed


def retention_due(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Return whether a day has passed since automatic retention ran, in any process.

    A time in the future (the clock was set back) counts as long ago.
    """
    row = connection.execute("SELECT value FROM usagetrace_state WHERE key = ?", (_LAST_RETENTION,)).fetchone()
    return row is None or not 0 <= now_ms - int(row[0]) < DAY_MS


def run_retention(
    connection: sqlite3.Connection, path: str, days: int, *, now_ms: int, may_go_on: Callable[[], bool]
) -> int:
    """Remove old events unless that was done within the last day.

    Args:
        connection: A connection that may write.
        path: The file, for messages.
        days: Age in days; 0 keeps everything.
        now_ms: The present, in milliseconds since 1970 UTC.
        may_go_on: Asked before each batch; what it leaves is done a day later.

    Returns:
        How many events were removed.
    """
    if not days or not retention_due(connection, now_ms):
        return 0
    with atomic(connection, path):
        # Asked again under the lock: one process a day does this.
        if not retention_due(connection, now_ms):
            return 0
        connection.execute(
            "INSERT INTO usagetrace_state (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (_LAST_RETENTION, str(now_ms)),
        )
    return cleanup_old_events(connection, path, days, now_ms=now_ms, may_go_on=may_go_on)


def vacuum(connection: sqlite3.Connection) -> None:
    """Rewrite the file without its free pages, and bring it back to its smallest size.

    Raises:
        sqlite3.Error: Another process holds a lock, or a transaction is open.
    """
    connection.execute("VACUUM")
    # The rewritten pages are in the journal until they are put back; the file shrinks only then.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

"""Whether a database's cursors of endpoints can be right, and what becomes of them where they can't.

This module owns the judgement, for the check, the rebuild and the restoring of copies; moving cursors on is the
deliveries'. Whatever is in doubt is delivered again: a receiver knows an event by its ids.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Final

from usagetrace.store.connection import atomic
from usagetrace.store.schema import RESTORED

# The table of the cursors.
TABLE: Final = "deliveries"

# What no cursor can be.
_IMPOSSIBLE: Final = (
    "SELECT endpoint, last_id FROM deliveries WHERE typeof(last_id) <> 'integer' OR last_id < 0 OR last_id > ? "
    "ORDER BY endpoint"
)
_PUT_BACK: Final = "UPDATE deliveries SET last_id = 0 WHERE endpoint = ?"
NEWEST: Final = "SELECT MAX(id) FROM events"
_SEQUENCE: Final = "SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'events'"
_COUNTS_UP: Final = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"


def impossible(connection: sqlite3.Connection) -> list[tuple[str, Any]]:
    """Return the endpoints that seem to have more events than there ever were, with the id of their last one."""
    return [tuple(row) for row in connection.execute(_IMPOSSIBLE, (newest_id(connection),))]


def put_back(connection: sqlite3.Connection, path: str, endpoint: str) -> None:
    """Have all events delivered to an endpoint once more, if it still seems to have more than there ever were.

    Args:
        connection: A connection to the store that may write.
        path: The file, for messages.
        endpoint: The endpoint.

    Raises:
        StoreUnavailableError: The lock for writing could not be had.
    """
    with atomic(connection, path):
        # Looked at again under the lock: events may have come since.
        if endpoint in (each for each, _ in impossible(connection)):
            connection.execute(_PUT_BACK, (endpoint,))
            connection.execute("DELETE FROM undelivered WHERE endpoint = ?", (endpoint,))


def renew(connection: sqlite3.Connection, path: str) -> None:
    """Note that the content of a database is a copy's now: what was read before moves no cursor any more.

    Args:
        connection: A connection to the database, of any schema, that may write.
        path: The file, for messages.

    Raises:
        StoreUnavailableError: The lock for writing could not be had.
    """
    with atomic(connection, path):
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone() is None:
            return
        connection.execute(
            "INSERT OR REPLACE INTO usagetrace_state (key, value) VALUES (?, ?)", (RESTORED, os.urandom(8).hex())
        )
        # An answer that came between the copy and this: ids beyond the copy's are those of other events from now on.
        connection.execute("UPDATE deliveries SET last_id = MIN(last_id, ?)", (newest_id(connection),))


def newest_id(connection: sqlite3.Connection) -> int:
    """Return the highest id that an event has, or ever had as far as SQLite remembers."""
    newest = connection.execute(NEWEST).fetchone()[0] or 0
    if connection.execute(_COUNTS_UP).fetchone() is None:
        return int(newest)
    return int(max(newest, connection.execute(_SEQUENCE).fetchone()[0] or 0))

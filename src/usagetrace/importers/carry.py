"""Adds what another tool's summary counts beyond the events that are left of it, once for each artifact.

Right once and only once: before the first event of a source is imported, in one transaction with the note that it was
done. What such a summary counts more later is told and not added: it may as well be events that were imported, and that
the other tool has removed since.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from usagetrace.events import Event, timestamp_text
from usagetrace.importers.fitting import fitted
from usagetrace.importers.ledger import Keys, remember, remembered
from usagetrace.importers.model import Carried

_ADD: Final = """
INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, update_count, sync_count,
    remove_count, search_count, total_events, error_count, first_ms, last_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
ON CONFLICT (artifact_type, artifact_name) DO UPDATE SET
    first_used = MIN(COALESCE(first_used, excluded.first_used), COALESCE(excluded.first_used, first_used)),
    last_used = MAX(COALESCE(last_used, excluded.last_used), COALESCE(excluded.last_used, last_used)),
    deploy_count = deploy_count + excluded.deploy_count,
    update_count = update_count + excluded.update_count,
    sync_count = sync_count + excluded.sync_count,
    remove_count = remove_count + excluded.remove_count,
    search_count = search_count + excluded.search_count,
    total_events = total_events + excluded.total_events,
    first_ms = MIN(COALESCE(first_ms, excluded.first_ms), COALESCE(excluded.first_ms, first_ms)),
    last_ms = MAX(COALESCE(last_ms, excluded.last_ms), COALESCE(excluded.last_ms, last_ms))"""
_DONE: Final = "carried"


def fresh(connection: sqlite3.Connection | None, keys: Keys, carried: Sequence[Carried]) -> list[tuple[int, Carried]]:
    """Return what was not carried before, each with its key.

    Args:
        connection: A connection to a store with a ledger; None where nothing was imported yet.
        keys: Of the format.
        carried: What a source says.
    """
    made = [
        (keys.ids(keys.base(f"{_DONE}\0{each.artifact_type}\0{each.artifact_name}"), 0).key, each) for each in carried
    ]
    known = remembered(connection, [key for key, _ in made]) if connection is not None and made else set()
    return [(key, each) for key, each in made if key not in known]


def add(connection: sqlite3.Connection, wanted: Sequence[tuple[int, Carried]]) -> None:
    """Add what :func:`fresh` gave, redacted. The caller holds a transaction open for writing, and the ledger is there.

    Raises:
        RedactionError: A name can't be redacted.
        sqlite3.Error: Nothing was added; the caller rolls back.
    """
    for _, each in wanted:
        # As the event that it stands for would be: under the same name.
        event = fitted(Event("use", each.artifact_name, each.artifact_type, 0))
        times = [None if ms is None else timestamp_text(ms) for ms in (each.first_ms, each.last_ms)]
        connection.execute(
            _ADD,
            (event.artifact_name, event.artifact_type, *times, *each.counts, each.total, each.first_ms, each.last_ms),
        )
    remember(connection, [key for key, _ in wanted])

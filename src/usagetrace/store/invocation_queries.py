"""What may be asked about invocations: metrics a skill, a summary, one skill's timeline, a search of the paths.

This module reads the rollups of :mod:`usagetrace.store.schema_invocations`, and events where single invocations are
asked for. It changes nothing; the index that a search keeps is :mod:`usagetrace.store.search`'s.
"""

# ruff: noqa: S608 -- what is put into a statement is a constant of this package, or question marks

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from usagetrace.store import schema_invocations as texts
from usagetrace.store.connection import named_errors
from usagetrace.store.invocations import is_completed, said

if TYPE_CHECKING:
    from usagetrace.store.store import Store

# Columns of a result that are JSON objects of counts in the views.
_COUNTERS: Final = ("workflow_paths", "common_errors", "follow_up_actions")
# Of a skill with more invocations the newest are found by going back in time, of others by its name.
_MANY: Final = 20_000
_FIELDS: Final = (
    "SELECT id, artifact_name, ts_ms, metadata, duration_ms, status, error_type, session_id, "
    f"{texts.when(texts.TIME)} AS invoked_at FROM events"
)


def metrics(store: Store, skill_name: str | None = None) -> list[dict[str, Any]]:
    """Return what the invocations of each skill counted, by name: the columns of the view ``skill_metrics``.

    Invocations that retention removed are in it. Paths, errors and follow-up actions are dicts of counts, the most
    frequent first.

    Args:
        store: The store.
        skill_name: Only this skill; all of them by default.

    Raises:
        StoreError: The store can't be read.
    """
    query = f"{texts.SKILL_METRICS}{'' if skill_name is None else ' AND t.artifact_name = ?'} ORDER BY t.artifact_name"
    with _asked(store) as connection:
        rows = connection.execute(query, () if skill_name is None else (skill_name,)).fetchall()
    found = [dict(row) for row in rows]
    for each in found:
        for name in _COUNTERS:
            each[name] = json.loads(each[name])
    return found


def summary(store: Store) -> dict[str, Any]:
    """Return what the invocations of all skills counted.

    Returns:
        ``total_skills``, ``total_invocations``, ``completed_invocations``, ``abandoned_invocations``,
        ``total_duration_seconds``, ``overall_completion_rate`` (percent), ``avg_duration_seconds`` (of completed ones
        that have a duration), ``first_invoked``, ``last_invoked``, ``total_sessions``, and ``most_used``: the five
        skills with the most invocations, as dicts with ``skill_name`` and ``total_invocations``.

    Raises:
        StoreError: The store can't be read.
    """
    with _asked(store) as connection:
        found = dict(connection.execute(texts.SUMMARY).fetchone())
        found["total_sessions"] = connection.execute(texts.SESSIONS).fetchone()[0]
        found["most_used"] = [dict(row) for row in connection.execute(texts.MOST_USED)]
    durations = found.pop("durations")
    total = found["total_invocations"]
    found["overall_completion_rate"] = found["completed_invocations"] * 100 / total if total else 0.0
    found["avg_duration_seconds"] = found["total_duration_seconds"] / durations if durations else 0.0
    return found


def timeline(
    store: Store, skill_name: str, since_ms: int, until_ms: int | None = None, limit: int | None = 100
) -> list[dict[str, Any]]:
    """Return the invocations of a skill that began in a window and are still there, newest first.

    Args:
        store: The store.
        skill_name: The skill.
        since_ms: Begin of the window, in milliseconds since 1970 UTC.
        until_ms: Its end, which is not in it; None for no end.
        limit: How many at most; None for all.

    Returns:
        The columns of the view ``skill_invocation``; ``completed`` is a bool, ``follow_up_actions`` a list.

    Raises:
        StoreError: The store can't be read.
    """
    with _asked(store) as connection:
        count = connection.execute(
            "SELECT invocations FROM invocation_totals WHERE artifact_type = ? AND artifact_name = ?",
            (texts.SKILL, skill_name),
        ).fetchone()
        # A plus takes a column out of the choice of an index.
        types = "event_type = ? AND artifact_type = ? AND artifact_name = ?"
        names = f"+{types.replace('artifact', '+artifact')}" if count and count[0] > _MANY else f"+{types}"
        until = "" if until_ms is None else " AND ts_ms < ?"
        rows = connection.execute(
            f"{_FIELDS} WHERE {names} AND ts_ms >= ?{until} ORDER BY ts_ms DESC, id DESC LIMIT ?",
            (
                texts.INVOKE, texts.SKILL, skill_name, since_ms, *(() if until_ms is None else (until_ms,)),
                -1 if limit is None else limit,
            ),
        ).fetchall()  # fmt: skip
    return [invocation(row) for row in rows]


def search(store: Store, text: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return the invocations whose workflow path has some words, newest first; see :mod:`usagetrace.store.search`.

    Args:
        store: The store.
        text: Words; ``"words in quotes"`` stand side by side; ``word*`` begins a word. All of them must be there.
        limit: How many at most.

    Returns:
        As :func:`timeline`, for all skills.

    Raises:
        StoreError: The store can't be read.
    """
    # Imported here: the others do without an index.
    from usagetrace.store import search as searching

    return searching.search(store, text, limit)


def by_ids(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the invocations of skills with some numbers, by number; those that are not there are left out."""
    rows = connection.execute(
        f"{_FIELDS} WHERE id IN ({', '.join('?' * len(ids))}) AND +event_type = ? AND +artifact_type = ?",
        (*ids, texts.INVOKE, texts.SKILL),
    )
    return {row["id"]: invocation(row) for row in rows}


def scan(connection: sqlite3.Connection, condition: str, values: Sequence[object], limit: int) -> list[dict[str, Any]]:
    """Return the newest invocations of skills that meet a condition in SQL, without an index."""
    rows = connection.execute(
        f"{_FIELDS} WHERE event_type = ? AND artifact_type = ? AND {condition} ORDER BY ts_ms DESC, id DESC LIMIT ?",
        (texts.INVOKE, texts.SKILL, *values, limit),
    ).fetchall()
    return [invocation(row) for row in rows]


def invocation(row: sqlite3.Row) -> dict[str, Any]:
    """Return an event as a row of the view ``skill_invocation``; its metadata may be another tool's, of any kind."""
    metadata = row["metadata"] if isinstance(row["metadata"], str) else None
    told = said(metadata)
    duration_ms = row["duration_ms"]
    return {
        "id": row["id"],
        "skill_name": row["artifact_name"],
        "invoked_at": row["invoked_at"],
        "workflow_path": told.path,
        "completed": is_completed(row["status"], told),
        "duration_seconds": duration_ms / 1000 if isinstance(duration_ms, float) else None,
        "error_type": row["error_type"] or told.error,
        "session_id": row["session_id"],
        "follow_up_actions": list(told.actions),
        "schema_version": texts.VIEW_VERSION,
    }


@contextmanager
def _asked(store: Store) -> Iterator[sqlite3.Connection]:
    with named_errors(store.path), store._using() as connection:
        yield connection

"""Reads events and their summary.

This module owns the SQL that reads. Reports use the same texts on other databases: times are bounds on the integer
``ts_ms`` (from included, until excluded), no date function is called, integers are not divided, every order has a
tie-break. Values are parameters, and column names come from this module.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from usagetrace.store import migrations

DAY_MS: Final = 86_400_000
_SUMMARY_COLUMNS: Final = (
    "artifact_name, artifact_type, first_used, last_used, deploy_count, update_count, sync_count, remove_count, "
    "search_count, total_events, error_count, first_ms, last_ms"
)
_COUNTED: Final = ("deploy", "update", "sync", "remove", "search")
# What events may be grouped by, and the SQL that gives it.
GROUPS: Final[Mapping[str, str]] = {
    "day": f"ts_ms - ((ts_ms % {DAY_MS}) + {DAY_MS}) % {DAY_MS}",
    "event_type": "event_type",
    "artifact_type": "artifact_type",
    "artifact_name": "artifact_name",
    "collection_name": "collection_name",
    "status": "status",
    "error_type": "error_type",
    "service_name": "service_name",
}

# What rows may be chosen by, and the SQL that says so.
_CONDITIONS: Final[Mapping[str, str]] = {
    "event_type": "event_type = ?",
    "artifact_name": "artifact_name = ?",
    "artifact_type": "artifact_type = ?",
    "not_named": "artifact_name <> ?",
    "collection_name": "collection_name = ?",
    "since_ms": "ts_ms >= ?",
    "until_ms": "ts_ms < ?",
    "project_path": "project_path = ?",
    "status": "status = ?",
    "session_id": "session_id = ?",
    "service_name": "service_name = ?",
}
# The same where the newest rows are wanted. Joined with nothing, a column's own index is left out: one value of these
# has many events, and sorting them all costs more than walking back in time to the first hundred (325 ms and 1 ms of
# 200,000 events).
_FROM_THE_NEWEST: Final[Mapping[str, str]] = {
    **_CONDITIONS,
    "event_type": "event_type || '' = ?",
    "artifact_type": "artifact_type || '' = ?",
    "collection_name": "collection_name || '' = ?",
}

Rows = list[dict[str, Any]]


def _where(conditions: Mapping[str, str], **values: object) -> tuple[str, list[object]]:
    """Return a WHERE clause of the conditions whose value is given, not None, and those values in its order."""
    given = {conditions[name]: value for name, value in values.items() if value is not None}
    return (f" WHERE {' AND '.join(given)}" if given else ""), list(given.values())


def _rows(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> Rows:
    cursor = connection.execute(sql, tuple(values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def get_events(
    connection: sqlite3.Connection,
    event_type: str | None = None,
    artifact_name: str | None = None,
    artifact_type: str | None = None,
    collection_name: str | None = None,
    limit: int | None = 100,
    offset: int = 0,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    project_path: str | None = None,
    status: str | None = None,
    session_id: str | None = None,
    service_name: str | None = None,
) -> Rows:
    """Return events that meet every condition given, newest first, the later id first among equal times.

    Args:
        connection: A connection to the store.
        event_type: The type, for example ``deploy``.
        artifact_name: The artifact.
        artifact_type: The kind of the artifact.
        collection_name: The collection.
        limit: At most so many; None or a negative number for all.
        offset: Leave out so many first.
        since_ms: Not before, in milliseconds since 1970 UTC.
        until_ms: Before, in milliseconds since 1970 UTC.
        project_path: The project, in its redacted form.
        status: ``ok``, ``error`` or ``abandoned``.
        session_id: The session.
        service_name: The tool.

    Returns:
        One dict a row with every column of ``events``; ``metadata`` is JSON text or None.
    """
    where, values = _where(
        _FROM_THE_NEWEST, event_type=event_type, artifact_name=artifact_name, artifact_type=artifact_type,
        collection_name=collection_name, since_ms=since_ms, until_ms=until_ms, project_path=project_path,
        status=status, session_id=session_id, service_name=service_name,
    )  # fmt: skip
    sql = f"SELECT * FROM events{where} ORDER BY ts_ms DESC, id DESC LIMIT ? OFFSET ?"  # noqa: S608 -- texts of this module
    return _rows(connection, sql, [*values, -1 if limit is None else limit, offset])


def get_usage_summary(
    connection: sqlite3.Connection, artifact_name: str | None = None, artifact_type: str | None = None
) -> Rows:
    """Return the summary of each artifact that meets the conditions, the most used first.

    Retention removes events; what they counted stays here.
    """
    where, values = _where(_CONDITIONS, artifact_name=artifact_name, artifact_type=artifact_type)
    sql = (
        f"SELECT {_SUMMARY_COLUMNS} FROM usage_summary{where} "  # noqa: S608 -- texts of this module
        "ORDER BY total_events DESC, artifact_type, artifact_name"
    )
    return _rows(connection, sql, values)


def get_top_artifacts(
    connection: sqlite3.Connection,
    artifact_type: str | None = None,
    limit: int = 10,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    event_type: str | None = None,
) -> Rows:
    """Return the most used artifacts; events without an artifact don't count.

    Args:
        connection: A connection to the store.
        artifact_type: Only artifacts of this kind.
        limit: At most so many.
        since_ms: Count events not before, in milliseconds since 1970 UTC.
        until_ms: Count events before, in milliseconds since 1970 UTC.
        event_type: Count events of this type alone.

    Returns:
        Rows as of the summary. With a time or an event type they are counted from the events that are still
        there; otherwise they are the summary's, which counts removed events too.
    """
    if since_ms is None and until_ms is None and event_type is None:
        where, values = _where(_CONDITIONS, not_named="", artifact_type=artifact_type)
        source = f"SELECT {_SUMMARY_COLUMNS} FROM usage_summary{where}"  # noqa: S608 -- texts of this module
    else:
        where, values = _where(
            _CONDITIONS, not_named="", artifact_type=artifact_type, since_ms=since_ms, until_ms=until_ms,
            event_type=event_type,
        )  # fmt: skip
        counts = ", ".join(
            f"SUM(CASE WHEN event_type = '{kind}' THEN 1 ELSE 0 END) AS {kind}_count" for kind in _COUNTED
        )
        source = (
            "SELECT artifact_name, artifact_type, MIN(timestamp) AS first_used, MAX(timestamp) AS last_used, "  # noqa: S608 -- texts of this module
            f"{counts}, COUNT(*) AS total_events, SUM(CASE WHEN status = 'error' THEN 1 ELSE 0 END) AS error_count, "
            f"MIN(ts_ms) AS first_ms, MAX(ts_ms) AS last_ms FROM events{where} GROUP BY artifact_type, artifact_name"
        )
    sql = f"{source} ORDER BY total_events DESC, artifact_type, artifact_name LIMIT ?"
    return _rows(connection, sql, [*values, limit])


def count_events(
    connection: sqlite3.Connection,
    by: Sequence[str],
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    event_type: str | None = None,
    artifact_type: str | None = None,
    artifact_name: str | None = None,
    status: str | None = None,
) -> Rows:
    """Count events in groups.

    Args:
        connection: A connection to the store.
        by: Names out of :data:`GROUPS`; none for one total. ``day`` is a day in UTC.
        since_ms: Not before, in milliseconds since 1970 UTC.
        until_ms: Before, in milliseconds since 1970 UTC.
        event_type: Only this type.
        artifact_type: Only this kind of artifact.
        artifact_name: Only this artifact.
        status: Only this outcome.

    Returns:
        One dict a group, in the groups' order: the names given (``day`` as ``YYYY-MM-DD``), ``events``, ``errors``,
        ``timed`` (how many have a duration) and ``duration_ms`` (their sum, or None).

    Raises:
        ValueError: A name in ``by`` is none of :data:`GROUPS`.
    """
    unknown = [name for name in by if name not in GROUPS]
    if unknown:
        raise ValueError(f"events can't be grouped by {', '.join(unknown)}: expected {', '.join(GROUPS)}")
    where, values = _where(
        _CONDITIONS, since_ms=since_ms, until_ms=until_ms, event_type=event_type, artifact_type=artifact_type,
        artifact_name=artifact_name, status=status,
    )  # fmt: skip
    keys = "".join(f"{GROUPS[name]} AS group_{name}, " for name in by)
    grouped = ", ".join(f"group_{name}" for name in by)
    sql = (
        f"SELECT {keys}COUNT(*) AS events, SUM(CASE WHEN status = 'error' THEN 1 ELSE 0 END) AS errors, "  # noqa: S608 -- texts of this module
        f"COUNT(duration_ms) AS timed, SUM(duration_ms) AS duration_ms FROM events{where}"
        + (f" GROUP BY {grouped} ORDER BY {grouped}" if by else "")
    )
    rows = _rows(connection, sql, values)
    return [{**_group(row, by), "events": row["events"], "errors": row["errors"] or 0, "timed": row["timed"],
             "duration_ms": row["duration_ms"]} for row in rows]  # fmt: skip


def _group(row: Mapping[str, Any], by: Sequence[str]) -> dict[str, Any]:
    return {name: _day(row["group_day"]) if name == "day" else row[f"group_{name}"] for name in by}


def _day(start_ms: int) -> str:
    return datetime.fromtimestamp(start_ms / 1000, timezone.utc).strftime("%Y-%m-%d")


def get_totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many events were ever counted, and how many are known to be lost.

    Both are sums over far fewer rows than there are events: those of artifacts, and of segments.
    """
    counted = connection.execute("SELECT COALESCE(SUM(total_events), 0) FROM usage_summary").fetchone()[0]
    lost = connection.execute("SELECT COALESCE(SUM(lost), 0) FROM spool_positions").fetchone()[0]
    return counted, lost


def get_stats(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return what the store holds.

    Returns:
        ``total_events``, ``total_artifacts`` (in the summary, those without a name left out),
        ``event_type_counts`` and ``artifact_type_counts`` (events by type), ``oldest_event`` and ``newest_event``
        (UTC text of events whose time is known, or None), ``db_size_bytes``, ``schema_version``.
    """

    def one(sql: str) -> Any:
        row = connection.execute(sql).fetchone()
        return None if row is None else row[0]

    def counts(column: str) -> dict[str, int]:
        sql = f"SELECT {column}, COUNT(*) FROM events GROUP BY {column} ORDER BY COUNT(*) DESC, {column}"  # noqa: S608 -- two names, below
        return {row[0]: row[1] for row in connection.execute(sql)}

    return {
        "total_events": one("SELECT COUNT(*) FROM events"),
        "total_artifacts": one("SELECT COUNT(*) FROM usage_summary WHERE artifact_name <> ''"),
        "event_type_counts": counts("event_type"),
        "artifact_type_counts": counts("artifact_type"),
        "oldest_event": one("SELECT timestamp FROM events WHERE ts_ms <> 0 ORDER BY ts_ms, id LIMIT 1"),
        "newest_event": one("SELECT timestamp FROM events WHERE ts_ms <> 0 ORDER BY ts_ms DESC, id DESC LIMIT 1"),
        "db_size_bytes": one("PRAGMA page_count") * one("PRAGMA page_size"),
        "schema_version": migrations.schema_version(connection),
    }

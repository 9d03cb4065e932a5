"""The most used artifacts of a window, from the summary, or the daily rollups and the events at the window's edges.

The numbers are those of :func:`usagetrace.store.queries.get_top_artifacts`, which counts the events one by one.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from usagetrace.reports.wholedays import WholeDays, bounds, whole_days
from usagetrace.reports.window import ALL, Window
from usagetrace.store import counted, queries
from usagetrace.store.queries import DAY_MS

Rows = list[dict[str, Any]]

_KINDS: Final = ("deploy", "update", "sync", "remove", "search")
_COLUMNS: Final = (
    "artifact_type", "artifact_name", "total_events", "error_count", *(f"{kind}_count" for kind in _KINDS), "first_ms",
    "last_ms",
)  # fmt: skip
# Up to that many events, an artifact's own index finds its first one sooner than a walk through a day does.
_FEW: Final = 200
# What is joined with nothing is not looked for in an index.
_NO_INDEX: Final = " || ''"


@dataclass(slots=True)
class _Use:
    """One artifact while it is counted."""

    events: int = 0
    errors: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    # First and last time, where they lie in an edge.
    times: list[int] = field(default_factory=list)
    # First and last whole day with events.
    first_day: int | None = None
    last_day: int = 0


def top_artifacts(
    connection: sqlite3.Connection,
    window: Window,
    limit: int,
    *,
    artifact_type: str | None = None,
    event_type: str | None = None,
) -> tuple[Rows, int]:
    """Return the most used artifacts of a window, and how many different ones had events.

    Args:
        connection: A connection to the store.
        window: Which events count; all that are there, where it is open.
        limit: At most so many rows.
        artifact_type: Only artifacts of this kind.
        event_type: Count events of this type alone.

    Returns:
        Rows with ``artifact_type``, ``artifact_name``, ``total_events``, ``error_count``, ``deploy_count`` and so on,
        ``first_ms``, ``last_ms``; artifacts without a name are left out.
    """
    return rank(connection, window, whole_days(connection, window), limit, _Narrow(artifact_type, event_type))


@dataclass(frozen=True, slots=True)
class _Narrow:
    """Conditions on the events that count."""

    artifact_type: str | None = None
    event_type: str | None = None

    def sql(self, suffix: str = "") -> str:
        """Return the conditions, with a text after each column."""
        given = (("artifact_type", self.artifact_type), ("event_type", self.event_type))
        return "".join(f" AND {name}{suffix} = ?" for name, value in given if value is not None)

    def values(self) -> list[str]:
        return [value for value in (self.artifact_type, self.event_type) if value is not None]


_ANY: Final = _Narrow()


def rank(
    connection: sqlite3.Connection, window: Window, span: WholeDays | None, limit: int, narrow: _Narrow = _ANY
) -> tuple[Rows, int]:
    """Return what :func:`top_artifacts` does, for a window that was taken apart already."""
    if window == ALL and narrow == _ANY and (count := _summed(connection)) is not None:
        rows = queries.get_top_artifacts(connection, limit=limit)
        return [{name: row[name] for name in _COLUMNS} for row in rows], count
    edges = (bounds(window),) if span is None else span.edges
    found: dict[tuple[str, str], _Use] = {}
    for edge in edges:
        _count_edge(connection, edge, narrow, found)
    if span is not None:
        _count_days(connection, span, narrow, found)
    best = sorted(found, key=lambda key: (-found[key].events, key))[:limit]
    return [_row(connection, key, found[key], narrow) for key in best], len(found)


def _summed(connection: sqlite3.Connection) -> int | None:
    """Return how many artifacts the summary has; None where it counts others than are there or were sampled away."""
    events = connection.execute("SELECT COUNT(*) FROM events").fetchone()[0] + counted.total(connection)
    total = connection.execute("SELECT COALESCE(SUM(total_events), 0) FROM usage_summary").fetchone()[0]
    if total != events:
        return None
    return int(connection.execute("SELECT COUNT(*) FROM usage_summary WHERE artifact_name <> ''").fetchone()[0])


def _count_edge(
    connection: sqlite3.Connection, edge: tuple[int, int], narrow: _Narrow, found: dict[tuple[str, str], _Use]
) -> None:
    sql = (
        "SELECT artifact_type, artifact_name, event_type, COUNT(*), SUM(CASE WHEN status = 'error' THEN 1 ELSE 0 END), "
        f"MIN(ts_ms), MAX(ts_ms) FROM events WHERE ts_ms >= ? AND ts_ms < ? AND artifact_name <> ''{narrow.sql()} "
        "GROUP BY artifact_type, artifact_name, event_type"
    )
    for kind, name, event_type, events, errors, first, last in connection.execute(sql, (*edge, *narrow.values())):
        use = found.setdefault((kind, name), _Use())
        _add(use, event_type, events, errors)
        use.times += (first, last)


def _count_days(
    connection: sqlite3.Connection, span: WholeDays, narrow: _Narrow, found: dict[tuple[str, str], _Use]
) -> None:
    sql = (
        "SELECT artifact_type, artifact_name, event_type, SUM(events), SUM(errors), MIN(day), MAX(day) "
        f"FROM usage_daily WHERE day >= ? AND day < ? AND artifact_name <> ''{narrow.sql()} "
        "GROUP BY artifact_type, artifact_name, event_type"
    )
    for kind, name, event_type, events, errors, first, last in connection.execute(sql, (*span.days, *narrow.values())):
        use = found.setdefault((kind, name), _Use())
        _add(use, event_type, events, errors)
        use.first_day = first if use.first_day is None else min(use.first_day, first)
        use.last_day = max(use.last_day, last)


def _add(use: _Use, event_type: str, events: int, errors: int) -> None:
    use.events += events
    use.errors += errors
    use.by_type[event_type] = use.by_type.get(event_type, 0) + events


def _row(connection: sqlite3.Connection, key: tuple[str, str], use: _Use, narrow: _Narrow) -> dict[str, Any]:
    times = list(use.times)
    if use.first_day is not None:
        # An edge may have an earlier one; the least and the greatest of all are taken.
        times += _times(connection, key, use, narrow)
        if not times:
            # Sampling took all of them away: the days are known.
            times = [use.first_day * DAY_MS, use.last_day * DAY_MS]
    return {
        "artifact_type": key[0],
        "artifact_name": key[1],
        "total_events": use.events,
        "error_count": use.errors,
        **{f"{kind}_count": use.by_type.get(kind, 0) for kind in _KINDS},
        "first_ms": min(times),
        "last_ms": max(times),
    }


def _times(connection: sqlite3.Connection, key: tuple[str, str], use: _Use, narrow: _Narrow) -> Iterator[int]:
    """Yield the first time of the first whole day of an artifact, and the last of the last."""
    few = use.events <= _FEW
    names, time = ("", "ts_ms + 0") if few else (_NO_INDEX, "ts_ms")
    for day, order in ((use.first_day or 0, "ASC"), (use.last_day, "DESC")):
        sql = (
            f"SELECT ts_ms FROM events WHERE artifact_type{names} = ? AND artifact_name{names} = ? "
            f"AND {time} >= ? AND {time} < ?{narrow.sql(_NO_INDEX)} ORDER BY {time} {order} LIMIT 1"
        )
        values = (*key, day * DAY_MS, (day + 1) * DAY_MS, *narrow.values())
        row = connection.execute(sql, values).fetchone()
        if row is not None:
            yield row[0]

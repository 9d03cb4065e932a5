"""Operations, days, percentiles and failures of a window: from the daily rollups, and one pass over the events.

The numbers are those of :mod:`usagetrace.reports.queries`, which asks the events one question at a time. The rollups
know events, durations and buckets; what they don't know is read in the one pass: failures, the few rows that tell
operations from events, and the durations that lie in the bucket of a percentile.
"""
# ruff: noqa: S608 -- every text that is put into a statement is a constant of this module

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from usagetrace.reports import queries
from usagetrace.reports.ranking import rank
from usagetrace.reports.wholedays import WholeDays, bounds, whole_days
from usagetrace.reports.window import Window
from usagetrace.store.queries import DAY_MS
from usagetrace.store.rollups import DURATION_END_MS, RELATIVE_ERROR, bucket, bucket_ms

Rows = list[dict[str, Any]]
# Day (None: unknown) and event type.
Cell = tuple[int | None, str]

# Ends of a bucket, from the value that stands for it; a little wider than it is, for rounding.
_BELOW: Final = 1 / (1 + RELATIVE_ERROR) - 1e-9
_ABOVE: Final = 1 / (1 - RELATIVE_ERROR) + 1e-9
# Percentiles to look for in one pass: SQLite before 3.32 takes at most 999 values in a statement.
_MOST_RANKS: Final = 200
_OPERATION: Final = "(item IS NULL OR item = 0)"


@dataclass(slots=True)
class _Counts:
    """Everything that is counted.

    Attributes:
        cells: Operations, events and failed operations.
        failures: Operations and last known time by error type and event type.
        buckets: Operations by event type and bucket of duration.
        near: Durations that lie in a bucket where a percentile is, by event type.
    """

    cells: dict[Cell, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    failures: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    buckets: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    near: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def overview_rows(
    connection: sqlite3.Connection, window: Window, top: int, percents: tuple[int, ...]
) -> dict[str, Any]:
    """Return what :func:`usagetrace.reports.build_overview` is made from.

    Args:
        connection: A connection to the store, in a transaction: the answers are of one moment.
        window: Which events count.
        top: How many artifacts.
        percents: Percentiles of durations, from 1 to 100.
    """
    span = whole_days(connection, window)
    artifacts, artifact_count = rank(connection, window, span, top)
    rows = None if span is None else _counted(connection, window, span, percents)
    if rows is None:
        rows = {
            "totals": queries.totals(connection, window),
            "types": queries.types(connection, window),
            "percentiles": queries.percentiles(connection, window, percents),
            "days": queries.days(connection, window),
            "failures": queries.failures(connection, window),
        }
    return {"artifacts": artifacts, "artifact_count": artifact_count, **rows}


def _counted(
    connection: sqlite3.Connection, window: Window, span: WholeDays, percents: tuple[int, ...]
) -> dict[str, Any] | None:
    """Return the rows by way of the rollups; None where they can't say: another tool changed durations, for example."""
    counts = _Counts()
    _count_days(connection, span, counts)
    for edge in span.edges:
        _count_edge(connection, edge, counts)
    ranks = _ranks(counts.buckets, percents)
    if len(ranks) > _MOST_RANKS:
        return None
    _pass(connection, window, span, ranks, counts)
    percentiles = _percentiles(ranks, counts, sampled=span.counted > 0)
    if percentiles is None:
        return None
    return {
        "totals": _totals(connection, window, counts),
        "types": _types(counts),
        "percentiles": percentiles,
        "days": _days(counts),
        "failures": _failures(counts),
    }


# --- counting ----------------------------------------------------------------------------------------------


def _count_days(connection: sqlite3.Connection, span: WholeDays, counts: _Counts) -> None:
    """Count the whole days: as if each row without an item of its own were an operation."""
    usage = (
        "SELECT day, event_type, SUM(events), SUM(durations) FROM usage_daily WHERE day >= ? AND day < ? "
        "GROUP BY day, event_type"
    )
    for day, event_type, events, durations in connection.execute(usage, span.days):
        cell = counts.cells[day * DAY_MS, event_type]
        cell[0] += events - durations
        cell[1] += events
    # Two questions: grouped by day and bucket at once, a hundred thousand rows would come here.
    timed = (
        "SELECT day, event_type, SUM(operations) FROM duration_daily WHERE day >= ? AND day < ? "
        "GROUP BY day, event_type"
    )
    for day, event_type, operations in connection.execute(timed, span.days):
        counts.cells[day * DAY_MS, event_type][0] += operations
    buckets = (
        "SELECT event_type, bucket, SUM(operations) FROM duration_daily WHERE day >= ? AND day < ? "
        "GROUP BY event_type, bucket"
    )
    for event_type, number, operations in connection.execute(buckets, span.days):
        counts.buckets[event_type][number] += operations


def _count_edge(connection: sqlite3.Connection, edge: tuple[int, int], counts: _Counts) -> None:
    """Count a part of a day, or of days before the first whole one, from the events."""
    sql = "SELECT ts_ms, event_type, status, item, duration_ms FROM events WHERE ts_ms >= ? AND ts_ms < ?"
    for ts_ms, event_type, status, item, duration_ms in connection.execute(sql, edge):
        cell = counts.cells[ts_ms // DAY_MS * DAY_MS if ts_ms else None, event_type]
        cell[1] += 1
        if item:
            continue
        cell[0] += 1
        cell[2] += status == "error"
        if _is_duration(duration_ms):
            counts.buckets[event_type][bucket(duration_ms)] += 1


def _is_duration(value: object) -> bool:
    """Return whether a value is a duration: another tool may have stored a text."""
    return isinstance(value, int | float) and abs(value) < DURATION_END_MS


def _ranks(buckets: Mapping[str, Mapping[int, int]], percents: Iterable[int]) -> list[tuple[str, int, int, int]]:
    """Return for each percentile its event type, its percent, its bucket, and its place among those in the bucket."""
    found = []
    for event_type in sorted(buckets):
        operations = buckets[event_type]
        for percent in percents:
            # Rounded up without a fraction: the least rank that covers so many per cent.
            rank = -(-percent * sum(operations.values()) // 100)
            for number in sorted(operations):
                if rank <= operations[number]:
                    found.append((event_type, percent, number, rank))
                    break
                rank -= operations[number]
    return found


def _pass(
    connection: sqlite3.Connection,
    window: Window,
    span: WholeDays,
    ranks: Iterable[tuple[str, int, int, int]],
    counts: _Counts,
) -> None:
    """Read once what the rollups don't tell."""
    wanted = {(event_type, number) for event_type, _, number, _ in ranks}
    stretches = _stretches(number for _, number in wanted)
    # Asking for the event type as well would cost a comparison of texts a row: a third of the time of the pass.
    near = " OR duration_ms BETWEEN ? AND ?" * len(stretches)
    limits = [(name, moment) for name, moment in (("ts_ms >= ?", window.since_ms), ("ts_ms < ?", window.until_ms))]
    inside_window = "".join(f"{name} AND " for name, moment in limits if moment is not None)
    sql = (
        "SELECT ts_ms, event_type, status, error_type, item, duration_ms FROM events "
        f"WHERE {inside_window}(status = 'error' OR (item > 0 AND duration_ms IS NULL){near})"
    )
    values: list[float] = [moment for _, moment in limits if moment is not None]
    values += (end for stretch in stretches for end in stretch)
    begin_ms, end_ms = span.first * DAY_MS, span.end * DAY_MS
    for ts_ms, event_type, status, error_type, item, duration_ms in connection.execute(sql, values):
        inside = begin_ms <= ts_ms < end_ms
        if item:
            if duration_ms is None and inside:
                # Counted as an operation, for want of knowing better.
                counts.cells[ts_ms // DAY_MS * DAY_MS, event_type][0] -= 1
            continue
        if status == "error":
            if inside:
                counts.cells[ts_ms // DAY_MS * DAY_MS, event_type][2] += 1
            failure = counts.failures.setdefault((error_type or "", event_type), [0, 0])
            failure[0] += 1
            failure[1] = max(failure[1] or ts_ms, ts_ms) if ts_ms else failure[1]
        if _is_duration(duration_ms) and (event_type, bucket(duration_ms)) in wanted:
            counts.near[event_type].append(duration_ms)


def _stretches(numbers: Iterable[int]) -> list[tuple[float, float]]:
    """Return the stretches of durations that some buckets cover, and perhaps a little of their neighbours."""
    merged: list[tuple[float, float]] = []
    for number in sorted(set(numbers)):
        middle = bucket_ms(number)
        low, high = (middle * _BELOW, middle * _ABOVE) if middle else (-math.inf, 0.0)
        if merged and low <= merged[-1][1]:
            low = merged.pop()[0]
        merged.append((low, high))
    return merged


# --- rows --------------------------------------------------------------------------------------------------


def _totals(connection: sqlite3.Connection, window: Window, counts: _Counts) -> dict[str, Any]:
    operations, events, errors = (sum(cell[place] for cell in counts.cells.values()) for place in range(3))
    sql = "SELECT ts_ms FROM events WHERE ts_ms >= ? AND ts_ms < ? AND ts_ms <> 0 ORDER BY ts_ms {} LIMIT 1"
    first, last = (connection.execute(sql.format(order), bounds(window)).fetchone() for order in ("ASC", "DESC"))
    return {
        "operations": operations,
        "events": events,
        "errors": errors,
        "first_ms": None if first is None else first[0],
        "last_ms": None if last is None else last[0],
    }


def _types(counts: _Counts) -> Rows:
    types: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (_, event_type), cell in counts.cells.items():
        types[event_type] = [a + b for a, b in zip(types[event_type], cell, strict=True)]
    ordered = sorted(types, key=lambda name: (-types[name][0], name))
    return [{"event_type": name, **_named(types[name])} for name in ordered]


def _days(counts: _Counts) -> Rows:
    days: dict[int | None, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (start_ms, _), cell in counts.cells.items():
        days[start_ms] = [a + b for a, b in zip(days[start_ms], cell, strict=True)]
    ordered = sorted(days, key=lambda start_ms: (start_ms is None, start_ms or 0))
    return [{"start_ms": start_ms, **_named(days[start_ms])} for start_ms in ordered]


def _named(cell: list[int]) -> dict[str, int]:
    return dict(zip(("operations", "events", "errors"), cell, strict=True))


def _percentiles(ranks: Iterable[tuple[str, int, int, int]], counts: _Counts, *, sampled: bool) -> Rows | None:
    """Return the durations at their places; None where the rollups and the events differ.

    Where sampling took some of a bucket away it is the value that stands for the bucket, within 1 %.
    """
    rows = []
    for event_type, percent, number, place in ranks:
        inside = sorted(value for value in counts.near[event_type] if bucket(value) == number)
        missing = counts.buckets[event_type][number] - len(inside)
        if missing and (missing < 0 or not sampled):
            return None
        duration_ms = bucket_ms(number) if missing else inside[place - 1]
        rows.append({"event_type": event_type, "percent": percent, "duration_ms": duration_ms})
    return rows


def _failures(counts: _Counts) -> Rows:
    ordered = sorted(counts.failures, key=lambda key: (-counts.failures[key][0], key))
    return [
        {
            "error_type": key[0],
            "event_type": key[1],
            "operations": counts.failures[key][0],
            "last_ms": counts.failures[key][1] or None,
        }
        for key in ordered
    ]

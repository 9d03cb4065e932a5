"""Metric points from other processes: what each adds to what is known of its stream, so that none counts twice.

This module owns the tables ``metric_streams`` (the last point of each cumulative stream) and ``metric_seen`` (which
points of delta streams came already). It knows no OpenTelemetry: what a stream is, whoever receives points decides.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from usagetrace.store import metrics
from usagetrace.store.metrics import HISTOGRAM, MetricPoint

_DAY_MS: Final = 86_400_000
# How long it is known which points of a delta stream came, in milliseconds: a sender delivers again for so long.
SEEN_MS: Final = 7 * _DAY_MS
# How long the last point of a cumulative stream is kept, in milliseconds. Longer: a process may sleep for days, and
# counts on from there. Afterwards its next point is taken for a stream's first.
STREAM_MS: Final = 30 * _DAY_MS
# Rows that are forgotten in one transaction, at least; with many points twice as many as points come.
_FORGET: Final = 64
# The last nanosecond that SQLite's numbers hold: the year 2262.
_LAST_NS: Final = 2**63 - 1

_SEE: Final = "INSERT OR IGNORE INTO metric_seen (stream, start_ns, time_ns, updated_ms) VALUES (?, ?, ?, ?)"
_SEE_AGAIN: Final = "UPDATE metric_seen SET updated_ms = ? WHERE stream = ? AND start_ns = ? AND time_ns = ?"
_LAST: Final = (
    "SELECT time_ns, count, sum, min, max, bounds, bucket_counts FROM metric_streams WHERE stream = ? AND start_ns = ?"
)
_KEEP: Final = """
INSERT OR REPLACE INTO metric_streams
    (stream, start_ns, time_ns, count, sum, min, max, bounds, bucket_counts, updated_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FORGET_SEEN: Final = """
DELETE FROM metric_seen WHERE (stream, start_ns, time_ns) IN (
    SELECT stream, start_ns, time_ns FROM metric_seen WHERE updated_ms < ? ORDER BY updated_ms LIMIT ?)"""
_FORGET_STREAMS: Final = """
DELETE FROM metric_streams WHERE (stream, start_ns) IN (
    SELECT stream, start_ns FROM metric_streams WHERE updated_ms < ? ORDER BY updated_ms LIMIT ?)"""


@dataclass(frozen=True, slots=True)
class ReceivedPoint:
    """A metric point as a process sent it.

    Attributes:
        stream: 16 bytes that name the time series: what measured it, and its attributes.
        start_ns: Since when it counts, in nanoseconds since 1970 UTC; 0 where that is unknown.
        time_ns: Until when.
        cumulative: Whether it says what was counted since ``start_ns`` by one process, and later points say that again;
            otherwise what was counted in between the two times.
        point: What was counted.
    """

    stream: bytes
    start_ns: int
    time_ns: int
    cumulative: bool
    point: MetricPoint


def add(connection: sqlite3.Connection, points: Sequence[ReceivedPoint], now_ms: int) -> list[bool]:
    """Add what points say beyond what is known of their streams. The caller holds a transaction open for writing.

    A delta point that came before adds nothing. A cumulative one adds what it has more than the last one of the same
    stream and start; one that is not newer adds nothing; one that has less than the last one began anew.

    Args:
        connection: A connection inside a transaction.
        points: The points, in any order.
        now_ms: The present, in milliseconds since 1970 UTC.

    Returns:
        Of each point whether it was new, in the order of the points.

    Raises:
        sqlite3.Error: A row could not be written; the caller rolls back.
        ValueError, ArithmeticError: A point can't be kept; the caller rolls back.
    """
    if not points:
        return []
    new = [False] * len(points)
    gained: list[MetricPoint] = []
    # In the order of their times: what came late in one batch is counted on its own day.
    for place in sorted(range(len(points)), key=lambda place: points[place].time_ns):
        received = points[place]
        if not received.cumulative:
            new[place] = _see(connection, received, now_ms)
            gained += [received.point] if new[place] else []
            continue
        last = _last(connection, received)
        if last is not None and _bound(received.time_ns) <= last[0]:
            continue
        new[place] = True
        _keep(connection, received, now_ms)
        gain = received.point if last is None else _gain(last[1], received.point)
        gained += [gain] if gain.count and (gain.kind == HISTOGRAM or gain.sum) else []
    metrics.write_metrics(connection, gained)
    _forget(connection, len(points), now_ms)
    return new


def _bound(moment_ns: int) -> int:
    return min(max(moment_ns, 0), _LAST_NS)


def _see(connection: sqlite3.Connection, received: ReceivedPoint, now_ms: int) -> bool:
    """Note a delta point; return whether it had not come before."""
    key = (received.stream, _bound(received.start_ns), _bound(received.time_ns))
    if connection.execute(_SEE, (*key, now_ms)).rowcount:
        return True
    # Who sends it again now may do so once more.
    connection.execute(_SEE_AGAIN, (now_ms, *key))
    return False


def _last(connection: sqlite3.Connection, received: ReceivedPoint) -> tuple[int, MetricPoint] | None:
    """Return time and content of the last point of a stream, None where there was none."""
    row = connection.execute(_LAST, (received.stream, _bound(received.start_ns))).fetchone()
    if row is None:
        return None
    bounds, counts = tuple(json.loads(row[5])), tuple(json.loads(row[6]))
    # Its kind is that of its buckets: a point of another kind under the same name is no continuation.
    point = replace(
        received.point, kind=HISTOGRAM if counts else metrics.SUM, count=row[1], sum=row[2], min=row[3], max=row[4],
        bounds=bounds, bucket_counts=counts,
    )  # fmt: skip
    return row[0], point


def _keep(connection: sqlite3.Connection, received: ReceivedPoint, now_ms: int) -> None:
    point = received.point
    shape = (json.dumps([float(bound) for bound in point.bounds]), json.dumps(point.bucket_counts))
    connection.execute(
        _KEEP,
        (received.stream, _bound(received.start_ns), _bound(received.time_ns), point.count, point.sum, point.min,
         point.max, *shape, now_ms),
    )  # fmt: skip


def _gain(last: MetricPoint, point: MetricPoint) -> MetricPoint:
    """Return what a cumulative point has more than the last one; all of it where that can't be."""
    if point.kind != last.kind or tuple(map(float, point.bounds)) != last.bounds:
        return point
    if point.kind != HISTOGRAM:
        return replace(point, sum=point.sum - last.sum) if point.sum >= last.sum else point
    buckets = tuple(now - before for now, before in zip(point.bucket_counts, last.bucket_counts, strict=True))
    if point.count < last.count or min(buckets) < 0:
        return point
    return replace(
        point,
        count=point.count - last.count,
        sum=point.sum - last.sum,
        # Of what lies between only a new extreme is known.
        min=point.min if point.min is not None and (last.min is None or point.min < last.min) else None,
        max=point.max if point.max is not None and (last.max is None or point.max > last.max) else None,
        bucket_counts=buckets,
    )


def _forget(connection: sqlite3.Connection, came: int, now_ms: int) -> None:
    """Remove what is too old to be asked for; a bounded number of rows, and more than come."""
    most = max(_FORGET, 2 * came)
    connection.execute(_FORGET_SEEN, (now_ms - SEEN_MS, most))
    connection.execute(_FORGET_STREAMS, (now_ms - STREAM_MS, most))

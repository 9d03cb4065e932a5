"""Metric points of a day, merged.

This module owns :class:`MetricPoint` and its table. Points are deltas: what a day has is their sum. Where they come
from is not known here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from usagetrace.events import clean_text

HISTOGRAM: Final = "histogram"
SUM: Final = "sum"


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """What one time series gained within a day.

    Attributes:
        day: The day in UTC, ``YYYY-MM-DD``.
        name: Name of the metric.
        unit: Its unit, as in UCUM; ``s`` or ``{event}``.
        service_name: The tool.
        attributes: JSON text of an object with sorted keys.
        kind: ``histogram`` or ``sum``.
        count: Number of measurements of a histogram; number of points of a sum.
        sum: Sum of the measurements.
        min: Smallest measurement, or None where unknown.
        max: Largest measurement, or None where unknown.
        bounds: Upper bounds of the buckets but the last, ascending.
        bucket_counts: Measurements in each bucket: one more than there are bounds; none for a sum.
    """

    day: str
    name: str
    unit: str
    service_name: str
    attributes: str
    kind: str
    count: int
    sum: float
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    bucket_counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in (HISTOGRAM, SUM):
            raise ValueError(f"metric {self.name}: kind must be {HISTOGRAM} or {SUM}, not {self.kind!r}")
        buckets = len(self.bounds) + 1 if self.kind == HISTOGRAM else 0
        if len(self.bucket_counts) != buckets:
            raise ValueError(f"metric {self.name}: expected {buckets} bucket counts, not {len(self.bucket_counts)}")

    def key(self) -> tuple[str, ...]:
        """Return what makes two points one: day, name, service, attributes, kind and bounds."""
        texts = (self.day, self.name, self.service_name, self.attributes, self.kind)
        return (*(clean_text(text) for text in texts), json.dumps([float(bound) for bound in self.bounds]))


def attributes_text(attributes: dict[str, Any]) -> str:
    """Return attributes in the one text form that makes equal sets equal: JSON with sorted keys."""
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)


def merge(one: MetricPoint, other: MetricPoint) -> MetricPoint:
    """Return two points of the same key as one."""
    lows = [low for low in (one.min, other.min) if low is not None]
    highs = [high for high in (one.max, other.max) if high is not None]
    return replace(
        one,
        count=one.count + other.count,
        sum=one.sum + other.sum,
        min=min(lows, default=None),
        max=max(highs, default=None),
        bucket_counts=tuple(a + b for a, b in zip(one.bucket_counts, other.bucket_counts, strict=True)),
    )


_FIND: Final = """
SELECT count, sum, min, max, bucket_counts FROM metric_daily
WHERE day = ? AND name = ? AND service_name = ? AND attributes = ? AND kind = ? AND bounds = ?"""
_PUT: Final = """
INSERT OR REPLACE INTO metric_daily (day, name, service_name, attributes, kind, bounds, unit, count, sum, min, max,
    bucket_counts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def write_metrics(connection: sqlite3.Connection, points: Iterable[MetricPoint]) -> None:
    """Add points to their days. The caller holds a transaction open for writing.

    Raises:
        sqlite3.Error: The rows could not be written; the caller rolls back.
    """
    merged: dict[tuple[str, ...], MetricPoint] = {}
    for point in points:
        key = point.key()
        merged[key] = merge(merged[key], point) if key in merged else point
    for key, point in merged.items():
        row = connection.execute(_FIND, key).fetchone()
        whole = point
        if row is not None:
            stored = replace(
                point, count=row[0], sum=row[1], min=row[2], max=row[3], bucket_counts=tuple(json.loads(row[4]))
            )
            whole = merge(stored, point)
        numbers = (whole.count, whole.sum, whole.min, whole.max, json.dumps(whole.bucket_counts))
        connection.execute(_PUT, (*key, clean_text(whole.unit), *numbers))


def get_metrics(
    connection: sqlite3.Connection, name: str | None = None, since_day: str | None = None, until_day: str | None = None
) -> list[MetricPoint]:
    """Return the days' points, in the order of their keys.

    Args:
        connection: A connection to the store.
        name: Only this metric.
        since_day: Not before this day, ``YYYY-MM-DD``.
        until_day: Before this day.
    """
    given: Sequence[tuple[str, str | None]] = (
        ("name = ?", name),
        ("day >= ?", since_day),
        ("day < ?", until_day),
    )
    conditions = [condition for condition, value in given if value is not None]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        "SELECT day, name, unit, service_name, attributes, kind, count, sum, min, max, bounds, bucket_counts "  # noqa: S608 -- texts of this module
        f"FROM metric_daily{where} ORDER BY day, name, service_name, attributes, kind, bounds",
        tuple(value for _, value in given if value is not None),
    ).fetchall()
    return [_point(row) for row in rows]


def _point(row: sqlite3.Row) -> MetricPoint:
    fields = dict(row)
    for name in ("bounds", "bucket_counts"):
        fields[name] = tuple(json.loads(fields[name]))
    return MetricPoint(**fields)

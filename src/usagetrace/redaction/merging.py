"""Data points that redaction has made equal, joined into one: two points of one series are not valid OTLP.

Two raw values of an attribute may become the same marker. What they counted is added up, as if the attribute had never
told them apart. Pure functions of the SDK's data points; this module knows no redactor and no exporter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Gauge,
    Histogram,
    Sum,
)
from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint as ExponentialPoint
from opentelemetry.sdk.metrics.export import HistogramDataPoint as HistogramPoint
from opentelemetry.sdk.metrics.export import NumberDataPoint as NumberPoint

from usagetrace.redaction.buckets import join_explicit, join_exponential

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from opentelemetry.util.types import Attributes

_KINDS: Final = (Sum, Gauge, Histogram, ExponentialHistogram)


def series_key(attributes: Attributes) -> Hashable:
    """Return what two data points of one series have in common; 1, 1.0 and True are different values."""
    return _key(attributes or {})


def _key(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((name, _key(member)) for name, member in value.items())
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(_key(member) for member in value)
    return (type(value).__name__, value)


def merge_points(data: Any) -> Any:
    """Return the data of a metric with one point a series; the same object where no two points were equal.

    Args:
        data: A sum, gauge, histogram or exponential histogram of the SDK; anything else comes back as it is.
    """
    if not isinstance(data, _KINDS):
        return data
    series: dict[Hashable, list[Any]] = {}
    for point in data.data_points:
        series.setdefault(series_key(point.attributes), []).append(point)
    if len(series) == len(data.data_points):
        return data
    join = cast("Callable[[Any, Any], Any]", _JOIN[type(data)])
    points = []
    for equal in series.values():
        joined = equal[0]
        for point in equal[1:]:
            joined = join(joined, point)
        points.append(joined)
    return replace(cast("Any", data), data_points=points)


def same_stream(left: Any, right: Any) -> bool:
    """Return whether the data of two metrics can be one metric's: same kind, temporality and monotony."""
    if type(left) is not type(right) or not isinstance(left, _KINDS):
        return False
    facts = ("aggregation_temporality", "is_monotonic")
    return all(getattr(left, fact, None) == getattr(right, fact, None) for fact in facts)


def _sums(left: NumberPoint, right: NumberPoint) -> NumberPoint:
    return replace(left, value=left.value + right.value, **_span(left, right))


def _gauges(left: NumberPoint, right: NumberPoint) -> NumberPoint:
    """Return the later of two measurements; of two at the same moment the one that came second."""
    latest = right if right.time_unix_nano >= left.time_unix_nano else left
    return replace(latest, exemplars=_exemplars(left, right))


def _histograms(left: HistogramPoint, right: HistogramPoint) -> HistogramPoint:
    bounds, counts = join_explicit(left.explicit_bounds, left.bucket_counts, right.explicit_bounds, right.bucket_counts)
    return replace(left, explicit_bounds=bounds, bucket_counts=counts, **_totals(left, right), **_span(left, right))


def _exponentials(left: ExponentialPoint, right: ExponentialPoint) -> ExponentialPoint:
    scale, positive, negative = join_exponential(
        left.scale, left.positive, left.negative, right.scale, right.positive, right.negative
    )
    return replace(
        left,
        scale=scale,
        positive=positive,
        negative=negative,
        zero_count=left.zero_count + right.zero_count,
        flags=left.flags | right.flags,
        **_totals(left, right),
        **_span(left, right),
    )


_JOIN: Final = {Sum: _sums, Gauge: _gauges, Histogram: _histograms, ExponentialHistogram: _exponentials}


def _totals(left: Any, right: Any) -> dict[str, Any]:
    return {
        "count": left.count + right.count,
        "sum": left.sum + right.sum,
        "min": _known(min, left.min, right.min),
        "max": _known(max, left.max, right.max),
    }


def _known(choose: Callable[[Iterable[float]], float], *values: float | None) -> float | None:
    """Return the least or greatest of what was recorded: an aggregation may keep neither."""
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _span(left: Any, right: Any) -> dict[str, Any]:
    starts = [start for start in (left.start_time_unix_nano, right.start_time_unix_nano) if start is not None]
    return {
        "start_time_unix_nano": min(starts) if starts else None,
        "time_unix_nano": max(left.time_unix_nano, right.time_unix_nano),
        "exemplars": _exemplars(left, right),
    }


def _exemplars(left: Any, right: Any) -> list[Any]:
    return [*(left.exemplars or ()), *(right.exemplars or ())]

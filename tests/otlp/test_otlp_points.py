"""Metric points: which are kept, what tells them apart, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.otlp.otlp_requests import NOW_NS, decoder, put
from usagetrace.otlp.decode import METRICS, Limits, TooManyError


def metric(request: ExportMetricsServiceRequest, scope: str = "usagetrace", **resource: Any) -> Any:
    """Add a metric of a process to a request."""
    group = request.resource_metrics.add()
    put(group.resource, {"service.name": "shop", **resource})
    scoped = group.scope_metrics.add()
    scoped.scope.name = scope
    return scoped.metrics.add(name="usage.events", unit="{event}")


def counter(made: Any, value: float = 3, temporality: int = 2, monotonic: bool = True, **fields: Any) -> Any:
    """Add a point of a counter to a metric."""
    made.sum.aggregation_temporality, made.sum.is_monotonic = temporality, monotonic
    kind = {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return made.sum.data_points.add(**{"time_unix_nano": NOW_NS, "start_time_unix_nano": 1, **kind, **fields})


def histogram(made: Any, **fields: Any) -> Any:
    """Add a point of a histogram to a metric."""
    made.histogram.aggregation_temporality = 1
    usual = {"time_unix_nano": NOW_NS, "count": 3, "sum": 4.5, "bucket_counts": [1, 2], "explicit_bounds": [1.5]}
    return made.histogram.data_points.add(**{**usual, **fields})


MANY = "a point, or its resource, has more than 256 attributes"
BUCKETS = "the buckets of a histogram do not fit each other, or are too many"
BOUNDS = "the bounds of a histogram do not ascend"
SUM = "a histogram has no sum, or counts more than can be kept"


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (lambda m: counter(m, temporality=0), "a metric is neither delta nor cumulative"),
        (lambda m: counter(m, time_unix_nano=0), "a point has no time"),
        (lambda m: counter(m, float("nan")), "a point has no finite value"),
        (lambda m: counter(m, float("inf")), "a point has no finite value"),
        (lambda m: counter(m, -1), "a counter is below zero"),
        (lambda m: counter(m).ClearField("as_int"), "a point has no finite value"),
        (lambda m: put(counter(m), dict.fromkeys(map(str, range(300)), 1)), MANY),
        (lambda m: histogram(m, bucket_counts=[3]), BUCKETS),
        (lambda m: histogram(m, count=4), BUCKETS),
        (lambda m: histogram(m, bucket_counts=[0] * 1000 + [3], explicit_bounds=list(range(1000))), BUCKETS),
        (lambda m: histogram(m, bucket_counts=[1, 1, 1], explicit_bounds=[2, 1]), BOUNDS),
        (lambda m: histogram(m, explicit_bounds=[float("nan")]), BOUNDS),
        (lambda m: histogram(m).ClearField("sum"), SUM),
        (lambda m: histogram(m, sum=float("nan")), SUM),
        (lambda m: histogram(m, count=2**63, bucket_counts=[2**62, 2**62]), SUM),
    ],
)
def test_points_that_can_not_be_added_up(fill: Callable[[Any], Any], reason: str) -> None:
    """Each with its reason; the others of the request are kept."""
    request = ExportMetricsServiceRequest()
    fill(metric(request))
    counter(metric(request, pid=2))
    decoded = decoder().read(METRICS, request)
    assert (len(decoded.points), decoded.rejected, decoded.reasons) == (1, 1, (f"{reason} (1)",))


def test_a_resource_with_too_many_attributes() -> None:
    """Its points are refused."""
    request = ExportMetricsServiceRequest()
    counter(metric(request, **{f"a{n}": n for n in range(300)}))
    assert decoder().read(METRICS, request).rejected == 1


def test_points_that_are_not_kept() -> None:
    """Gauges, summaries, sums that go up and down, exponential histograms, other scopes, and signs of an end."""
    request = ExportMetricsServiceRequest()
    metric(request).gauge.data_points.add(time_unix_nano=1, as_int=1)
    metric(request).summary.data_points.add(time_unix_nano=1)
    metric(request).exponential_histogram.data_points.add(time_unix_nano=1)
    counter(metric(request), monotonic=False)
    counter(metric(request, scope="other"))
    counter(metric(request), flags=1)
    metric(request)
    decoded = decoder().read(METRICS, request)
    assert (decoded.points, decoded.ignored, decoded.rejected) == ([], 6, 0)


def test_what_tells_points_apart() -> None:
    """Each of: resource, scope, name, unit, attributes, kind, temporality; start and time stand beside the stream."""
    makers: list[Callable[[Any], Any]] = [
        lambda r: counter(metric(r)),
        lambda r: counter(metric(r, pid=2)),
        lambda r: counter(metric(r), temporality=1),
        lambda r: put(counter(metric(r)), {"usage.event.type": "deploy"}),
        lambda r: histogram(metric(r)),
    ]

    def other(change: Callable[[Any], None]) -> Callable[[Any], Any]:
        def make(request: Any) -> None:
            counter(metric(request))
            change(request.resource_metrics[0].scope_metrics[0])

        return make

    makers.append(other(lambda scoped: setattr(scoped.scope, "version", "2")))
    makers.append(other(lambda scoped: setattr(scoped.metrics[0], "unit", "1")))
    makers.append(other(lambda scoped: setattr(scoped.metrics[0], "name", "usage.other")))
    streams = []
    for make in makers:
        request = ExportMetricsServiceRequest()
        make(request)
        streams.append(decoder().read(METRICS, request).points[0].stream)
    assert len(set(streams)) == len(makers)


def test_a_point_that_stands_there_twice_counts_once() -> None:
    """A Collector may put two deliveries into one request; two times of one series are two points."""
    request = ExportMetricsServiceRequest()
    for n in (0, 0, 1):
        put(counter(metric(request), time_unix_nano=NOW_NS + n), {"b": 1, "a": 2} if n else {"a": 2, "b": 1})
    points = decoder().read(METRICS, request).points
    assert [point.time_ns - NOW_NS for point in points] == [0, 1]
    assert len({point.stream for point in points}) == 1


def test_a_histogram_without_buckets_has_one() -> None:
    """OTLP leaves both lists out then."""
    request = ExportMetricsServiceRequest()
    histogram(metric(request), bucket_counts=[], explicit_bounds=[], min=0.5, max=float("nan"))
    (point,) = decoder().read(METRICS, request).points
    assert (point.point.bounds, point.point.bucket_counts) == ((), (3,))
    assert (point.point.min, point.point.max) == (0.5, None)


def test_more_points_than_a_request_may_have() -> None:
    """Of all kinds together."""
    request = ExportMetricsServiceRequest()
    for _ in range(3):
        counter(metric(request, scope="other"))
    with pytest.raises(TooManyError, match="2 points, not 3"):
        decoder(limits=Limits(members=2)).read(METRICS, request)

"""Metrics: redacted before they are aggregated, or at the exporter, and in both cases one point a series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ConsoleMetricExporter,
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from usagetrace.errors import RedactionError
from usagetrace.redaction import Redactor
from usagetrace.redaction.buckets import MAX_BUCKETS, join_explicit, join_exponential
from usagetrace.redaction.instruments import RedactingMeterProvider
from usagetrace.redaction.merging import merge_points
from usagetrace.redaction.metrics import MetricRedactor

TOKENS = ["ghp" + "_" + f"Canary7{number}" * 5 for number in range(3)]
MARK = "[redacted:gh-token]"


def metrics_of(data: MetricsData | None) -> list[Metric]:
    assert data is not None
    return [m for group in data.resource_metrics for scope in group.scope_metrics for m in scope.metrics]


def encoded(data: MetricsData | None) -> bytes:
    assert data is not None
    return encode_metrics(data).SerializeToString()


def collected(*views: View, raw: bool = False) -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader({})
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource({}),
        shutdown_on_exit=False,
        views=views,
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    return provider, reader


def record(meter: Any) -> None:
    """Record three times by each kind of instrument, each time with another token."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(number + 1, {"key": token}) for number, token in enumerate(TOKENS)]

    def generate() -> Iterator[Any]:
        options = yield
        while options is not None:
            options = yield observe(options)

    meter.create_observable_counter("oc", [observe])
    meter.create_observable_up_down_counter("oud", [generate()])
    meter.create_observable_gauge("og", [observe])
    counter, updown = meter.create_counter("c"), meter.create_up_down_counter("ud")
    gauge, histogram = meter.create_gauge("g"), meter.create_histogram("h")
    exponential = meter.create_histogram("e")
    for number, token in enumerate(TOKENS):
        attributes = {"key": token, "n": 1}
        counter.add(number + 1, attributes)
        updown.add(number - 1, attributes)
        gauge.set(number, attributes)
        histogram.record(10.0**number, attributes)
        exponential.record(10.0**number, attributes)
        exponential.record(0.0, attributes)


EXPONENTIAL = View(instrument_name="e", aggregation=ExponentialBucketHistogramAggregation())


def facts(data: MetricsData | None) -> dict[str, list[Any]]:
    """Return, by metric, attributes and numbers of each point."""
    found: dict[str, list[Any]] = {}
    for metric in metrics_of(data):
        for point in metric.data.data_points:
            numbers: Any = point
            if isinstance(point, NumberDataPoint):
                said: tuple[Any, ...] = (point.value,)
            else:
                said = (numbers.count, numbers.sum, numbers.min, numbers.max)
            found.setdefault(metric.name, []).append((dict(point.attributes or {}), *said))
    return found


EXPECTED = {
    "oc": [({"key": MARK}, 6)],
    "oud": [({"key": MARK}, 6)],
    "og": [({"key": MARK}, 3)],
    "c": [({"key": MARK, "n": 1}, 6)],
    "ud": [({"key": MARK, "n": 1}, 0)],
    "g": [({"key": MARK, "n": 1}, 2)],
    "h": [({"key": MARK, "n": 1}, 3, 111.0, 1.0, 100.0)],
    "e": [({"key": MARK, "n": 1}, 6, 111.0, 0.0, 100.0)],
}


def test_attributes_are_redacted_before_they_are_aggregated(redactor: Redactor) -> None:
    """By the wrapped provider each instrument has one series where raw values would have made three."""
    provider, reader = collected(EXPONENTIAL)
    record(RedactingMeterProvider(provider, redactor).get_meter("m"))
    data = reader.get_metrics_data()
    assert facts(data) == EXPECTED
    assert b"Canary7" not in encoded(data)
    provider.shutdown()


def test_a_unit_that_becomes_longer_is_cut(redactor: Redactor) -> None:
    """A unit that was valid before never raises at the program that makes the instrument."""
    reader = InMemoryMetricReader()
    provider = RedactingMeterProvider(MeterProvider([reader]), redactor)
    provider.get_meter("app").create_counter("calls", ("a" + "@" + "b.io ") * 9).add(1)
    data = reader.get_metrics_data()
    assert data is not None
    unit = data.resource_metrics[0].scope_metrics[0].metrics[0].unit
    assert unit.startswith("[redacted:email]")
    assert len(unit) == 63


def test_series_that_become_equal_are_joined_at_the_exporter(redactor: Redactor) -> None:
    """Redacted only when exported, the same measurements give the same points, and the exemplars are clean."""
    provider, reader = collected(EXPONENTIAL)
    record(provider.get_meter("m"))
    raw = reader.get_metrics_data()
    assert {3} == {len(metric.data.data_points) for metric in metrics_of(raw)}
    assert raw is not None
    redacted = MetricRedactor(redactor).data(raw)
    assert facts(redacted) == EXPECTED
    assert b"Canary7" in encoded(raw)
    assert b"Canary7" not in encoded(redacted)
    provider.shutdown()


def test_joined_points_keep_their_exemplars_and_times(redactor: Redactor) -> None:
    """A joined point begins with the first of its parts, ends with the last, and has the exemplars of all."""
    provider, reader = collected()
    record(provider.get_meter("m"))
    raw = reader.get_metrics_data()
    assert raw is not None
    for before, after in zip(metrics_of(raw), metrics_of(MetricRedactor(redactor).data(raw)), strict=True):
        parts: list[Any] = list(before.data.data_points)
        (point,) = after.data.data_points
        whole: Any = point
        assert len(whole.exemplars) == sum(len(part.exemplars) for part in parts)
        assert whole.time_unix_nano == max(part.time_unix_nano for part in parts)
        starts = [part.start_time_unix_nano for part in parts if part.start_time_unix_nano is not None]
        assert whole.start_time_unix_nano == (min(starts) if starts else None)
    provider.shutdown()


def test_the_attribute_that_a_view_drops_is_no_exemplar(redactor: Redactor) -> None:
    """What a view filters out of the attributes comes out redacted in the exemplars."""
    provider, reader = collected(View(instrument_name="*", attribute_keys=set()))
    provider.get_meter("m").create_counter("c").add(1, {"key": TOKENS[0], "db.password": "Canary7Canary7"})
    raw = reader.get_metrics_data()
    assert b"Canary7" in encoded(raw)
    assert raw is not None
    redacted = MetricRedactor(redactor).data(raw)
    assert b"Canary7" not in encoded(redacted)
    assert "Canary7" not in repr(redacted)
    provider.shutdown()


def gauge_metric(name: str, unit: str, *points: tuple[dict[str, Any], float, int]) -> Metric:
    made = [NumberDataPoint(attributes, 0, moment, value) for attributes, value, moment in points]
    return Metric(name, "", unit, Gauge(made))


def packed(*metrics: Metric, scope: str = "s", url: str = "") -> ScopeMetrics:
    return ScopeMetrics(InstrumentationScope(scope, schema_url=url), list(metrics), url)


def test_of_equal_gauges_the_latest_measurement_stays(redactor: Redactor) -> None:
    """Whichever comes first in the collection, the later in time is what the gauge says."""
    metric = gauge_metric("g", "1", ({"k": TOKENS[0]}, 7.0, 20), ({"k": TOKENS[1]}, 5.0, 10), ({"k": "x"}, 1.0, 5))
    data = MetricsData([ResourceMetrics(Resource({}), [packed(metric)], "")])
    assert facts(MetricRedactor(redactor).data(data))["g"] == [({"k": MARK}, 7.0), ({"k": "x"}, 1.0)]


def test_metrics_scopes_and_resources_that_become_equal_are_joined(redactor: Redactor) -> None:
    """The encoder of OTLP keeps one scope of each name: nothing is lost by what redaction makes equal."""
    groups = [
        ResourceMetrics(
            Resource({"key": token}),
            [
                packed(
                    gauge_metric(f"of {token}", "1", ({"k": token}, 1.0, at)), scope=token, url=f"https://{token}@h/1"
                )
            ],
            f"https://u:{token}@h/1",
        )
        for at, token in enumerate(TOKENS)
    ]
    redacted = MetricRedactor(redactor).data(MetricsData(groups))
    (group,) = redacted.resource_metrics
    (scope,) = group.scope_metrics
    (metric,) = scope.metrics
    assert metric.name == "of_redacted_gh-token"
    assert len(metric.data.data_points) == 1
    assert b"Canary7" not in encoded(redacted)
    assert "Canary7" not in redacted.to_json()


def test_two_metrics_of_one_name_stay_two_where_redaction_did_not_make_them_so(redactor: Redactor) -> None:
    """What an application calls alike, or what differs in kind or unit, is not joined."""
    twice = [gauge_metric("g", "1", ({"k": "x"}, 1.0, 1)), gauge_metric("g", "1", ({"k": "x"}, 2.0, 1))]
    other = [gauge_metric(f"g {TOKENS[0]}", "s", ({}, 1.0, 1)), gauge_metric(f"g {TOKENS[1]}", "By", ({}, 1.0, 1))]
    for metrics in (twice, other):
        data = MetricsData([ResourceMetrics(Resource({}), [packed(*metrics)], "")])
        assert len(metrics_of(MetricRedactor(redactor).data(data))) == 2


@pytest.mark.parametrize("value", [1, 1.0, True, "1"], ids=repr)
def test_attributes_of_different_types_are_different_series(redactor: Redactor, value: object) -> None:
    """1, 1.0, True and "1" are not the same value, whatever Python says of them."""
    others = [other for other in (1, 1.0, True, "1") if type(other) is not type(value)]
    points = [({"n": each, "k": TOKENS[0]}, 1.0, 1) for each in (value, *others)]
    data = MetricsData([ResourceMetrics(Resource({}), [packed(gauge_metric("g", "1", *points))], "")])
    assert len(facts(MetricRedactor(redactor).data(data))["g"]) == 4


def test_an_instrument_with_a_secret_in_its_name_still_works(redactor: Redactor) -> None:
    """Its name is redacted in letters that the SDK accepts, unit and description too, and the scope."""
    provider, reader = collected()
    meter = RedactingMeterProvider(provider, redactor).get_meter(TOKENS[0], TOKENS[1], None, {"a": TOKENS[2]})
    meter.create_counter(f"calls.{TOKENS[0]}", "1", f"by {TOKENS[1]}").add(1)
    data = reader.get_metrics_data()
    (metric,) = metrics_of(data)
    assert (metric.name, metric.description) == ("calls._redacted_gh-token", f"by {MARK}")
    assert b"Canary7" not in encoded(data)
    provider.shutdown()


class Broken(Redactor):
    """An engine that can't redact a value."""

    def redact(self, key: str, value: object) -> object:
        raise RedactionError("broken on purpose")


def test_a_measurement_that_cannot_be_redacted_is_not_recorded() -> None:
    """Nothing is raised into the application; the measurements are counted; those without attributes pass."""
    provider, reader = collected()
    wrapped = RedactingMeterProvider(provider, Broken(home=""))
    record(wrapped.get_meter("m"))
    wrapped.get_meter("m").create_counter("bare").add(1)
    assert "Canary7" not in repr(reader.get_metrics_data())
    # Three times five instruments, the exponential one twice, and three observations of three.
    assert wrapped.dropped == 3 * 6 + 9
    assert wrapped.force_flush() is True
    wrapped.shutdown()


def test_the_console_can_write_what_was_redacted(redactor: Redactor, capsys: pytest.CaptureFixture[str]) -> None:
    """A redacted collection goes through the standard console exporter, and no canary is on the screen."""
    import sys

    provider, reader = collected()
    record(provider.get_meter("m"))
    raw = reader.get_metrics_data()
    assert raw is not None
    ConsoleMetricExporter(out=sys.stdout).export(MetricRedactor(redactor).data(raw))
    out = capsys.readouterr().out
    assert MARK in out
    assert "Canary7" not in out
    provider.shutdown()


def explicit(values: list[float], bounds: list[float]) -> list[int]:
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[sum(bound < value for bound in bounds)] += 1
    return counts


numbers = st.lists(st.integers(-50, 50).map(float), max_size=12)
bounds = st.lists(st.integers(-40, 40).map(float), max_size=6, unique=True).map(sorted)


@given(numbers, numbers, bounds, bounds)
@settings(max_examples=60)
def test_joined_explicit_buckets_equal_those_of_all_values(
    left: list[float], right: list[float], left_bounds: list[float], right_bounds: list[float]
) -> None:
    """Joining two histograms gives what one histogram with the common bounds would have counted."""
    shared, counts = join_explicit(
        left_bounds, explicit(left, left_bounds), right_bounds, explicit(right, right_bounds)
    )
    assert list(shared) == sorted(set(left_bounds) & set(right_bounds))
    assert counts == explicit(left + right, list(shared))


def buckets(values: list[float], scale: int) -> Buckets:
    """Return exponential buckets by their definition: index i holds (base**i, base**(i+1)]."""
    factor = 2.0**scale
    at = [math.ceil(math.log2(value) * factor) - 1 for value in values]
    return Buckets(min(at), [at.count(i) for i in range(min(at), max(at) + 1)]) if at else Buckets(0, [])


powers = st.lists(st.integers(-60, 60).map(lambda exponent: 2.0**exponent * 1.1), max_size=8)


@given(powers, powers, st.integers(-2, 6), st.integers(-2, 6))
@settings(max_examples=60)
def test_joined_exponential_buckets_equal_those_of_all_values(
    left: list[float], right: list[float], left_scale: int, right_scale: int
) -> None:
    """Joining two exponential histograms gives what one at the joined scale would have counted, within the limit."""
    none = Buckets(0, [])
    scale, positive, negative = join_exponential(
        left_scale, buckets(left, left_scale), none, right_scale, buckets(right, right_scale), none
    )
    assert positive == buckets(left + right, scale)
    assert negative == none
    assert len(positive.bucket_counts) <= MAX_BUCKETS
    assert scale <= min(left_scale, right_scale)


def test_histograms_without_buckets_are_joined_by_their_totals() -> None:
    """Where one of two keeps no buckets, the joined one keeps count, sum, least and greatest."""
    points = [
        HistogramDataPoint({}, 1, 5, 2, 3.0, [1, 1], [1.0], 1.0, 2.0),
        HistogramDataPoint({}, 2, 4, 1, 4.0, [], [], 4.0, 4.0),
    ]
    (joined,) = merge_points(Histogram(points, AggregationTemporality.DELTA)).data_points
    assert HistogramDataPoint({}, 1, 5, 3, 7.0, (), (), 1.0, 4.0, []) == joined


def test_what_has_one_point_a_series_comes_back_as_it_is() -> None:
    """Joining makes no copy where nothing is equal, and leaves kinds alone that it does not know."""
    data = Sum([NumberDataPoint({"a": n}, 0, 1, 1) for n in range(3)], AggregationTemporality.CUMULATIVE, True)
    unknown = object()
    assert merge_points(data) is data
    assert merge_points(unknown) is unknown

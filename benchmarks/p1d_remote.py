"""P1d: what one tracked call costs with OTLP and metrics on, against a bare span, histogram and counter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

import usagetrace
from benchmarks.harness import LEAD, BenchmarkError, Figure, Row, per_call, turns
from benchmarks.p1_call import CALLS, ROUNDS, deploy
from benchmarks.world import Nowhere, bare_sdk, expect, flush, home

EVENTS = (ROUNDS + 1) * (LEAD + CALLS)
AGAINST = "a bare span, histogram record and counter add, exporters that do nothing"
# Nobody is there, and nobody is asked.
ENDPOINT = "http://127.0.0.1:9"


@dataclass
class Taken:
    """What exporters that do nothing were given: spans, and calls that the histograms of one collection count."""

    spans: int = 0
    measured: int = 0


def measured(data: MetricsData) -> int:
    """Return how many values the histograms of a collection hold."""
    return sum(
        point.count
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    )


class NoMetrics(MetricExporter):
    """Takes metrics and does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.measured = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Note how many values there are."""
        self.measured = measured(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Do nothing."""


@contextlib.contextmanager
def metrics(exporter: MetricExporter) -> Iterator[MeterProvider]:
    """Give a provider of meters of the bare SDK."""
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], shutdown_on_exit=False)
    try:
        yield provider
    finally:
        provider.shutdown()


@contextlib.contextmanager
def standard_exporters(taken: Taken) -> Iterator[None]:
    """Have the standard OTLP exporters take what they are given, and send nothing."""

    def spans(_: OTLPSpanExporter, batch: Sequence[ReadableSpan]) -> SpanExportResult:
        taken.spans += len(batch)
        return SpanExportResult.SUCCESS

    def collection(_: OTLPMetricExporter, data: MetricsData, *__: object, **___: object) -> MetricExportResult:
        taken.measured = measured(data)
        return MetricExportResult.SUCCESS

    with (
        mock.patch.object(OTLPSpanExporter, "export", spans),
        mock.patch.object(OTLPMetricExporter, "export", collection),
    ):
        yield


def bare(provider: TracerProvider, meters: MeterProvider) -> Callable[[], None]:
    """Return a call that makes a span and records what tracked calls record as metrics."""
    tracer, meter = provider.get_tracer("bare"), meters.get_meter("bare")
    duration, count = meter.create_histogram("bare.duration", "s"), meter.create_counter("bare.events")
    attributes = {f"bare.attribute.{number}": f"value {number}" for number in range(8)}
    few = {"event": "deploy", "kind": "skill", "outcome": "success"}

    def call() -> None:
        with tracer.start_as_current_span("deploy", attributes=attributes):
            pass
        duration.record(0.001, few)
        count.add(1, few)

    return call


def compare(row: Row, database: Path, taken: Callable[[], tuple[int, int]], goal: float | None) -> Figure:
    """Time tracked calls, as they are configured now, against the bare SDK.

    Raises:
        BenchmarkError: A span or a measurement is missing at the exporters, or an event in the store.
    """
    with bare_sdk() as provider, metrics(NoMetrics()) as meters:

        def tracked() -> bool:
            return deploy("canvas", "skill", "default", "/srv/shop", "1.2.0")

        ours, theirs = turns(
            per_call(tracked, CALLS, flush), per_call(bare(provider, meters), CALLS, provider.force_flush),
            rounds=ROUNDS,
        )  # fmt: skip
    usagetrace.shutdown()
    expect(database, "SELECT COUNT(*) FROM events", EVENTS)
    if taken() != (EVENTS, EVENTS):
        raise BenchmarkError(f"{taken()} spans and measurements at the exporters, {EVENTS} expected of each")
    return row.ratio(ours, theirs, at_most=goal)


def composed() -> list[Figure]:
    """Return the figure of P1d: the pipeline that an endpoint makes, with the standard exporters sending nothing."""
    taken = Taken()
    with home() as folder, standard_exporters(taken):
        database = folder / "analytics.db"
        usagetrace.configure(
            service_name="bench", db_path=database, enabled=True, otlp_endpoint=ENDPOINT, otlp_protocol="http/protobuf"
        )
        row = Row("P1d", "a tracked call, OTLP and metrics on", AGAINST, "us")
        return [compare(row, database, lambda: (taken.spans, taken.measured), 1.10)]


def own_providers() -> list[Figure]:
    """Return the figure of P1d': the application's own providers, local file on."""
    spans, values = Nowhere(), NoMetrics()
    with home() as folder, bare_sdk(spans) as provider, metrics(values) as meters:
        database = folder / "analytics.db"
        usagetrace.configure(
            service_name="bench", db_path=database, enabled=True, tracer_provider=provider, meter_provider=meters
        )

        def taken() -> tuple[int, int]:
            provider.force_flush()
            meters.force_flush()
            return spans.spans, values.measured

        row = Row("P1d'", "a tracked call into an application's providers", AGAINST, "us")
        return [compare(row, database, taken, None)]


ROWS = {"P1d": composed, "P1d'": own_providers}

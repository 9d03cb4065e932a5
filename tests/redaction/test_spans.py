"""One canary in every channel of a span and of a metric: none reaches what is exported, down to the OTLP bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState

from usagetrace.errors import RedactionError
from usagetrace.redaction import RedactingMetricExporter, RedactingSpanExporter, RedactingSpanProcessor, Redactor
from usagetrace.redaction.policy import Policy

CANARY = "ghp" + "_" + "Canary7" * 6
CONTEXT = SpanContext(1, 2, False, TraceFlags(1), TraceState([("vendor", CANARY), ("ok", "1")]))

Fill = Callable[[Any], None]
CHANNELS: dict[str, Fill] = {
    "name": lambda span: span.update_name(f"do {CANARY}"),
    "attribute": lambda span: span.set_attribute("a", CANARY),
    "attribute list": lambda span: span.set_attribute("a", ["x", CANARY]),
    "attribute map": lambda span: span.set_attribute("a", {"x": {"y": [CANARY]}}),
    "attribute bytes": lambda span: span.set_attribute("a", b"\xff" + CANARY.encode()),
    "attribute key": lambda span: span.set_attribute(f"a.{CANARY}", 1),
    "map key": lambda span: span.set_attribute("a", {CANARY: 1}),
    "secret key": lambda span: span.set_attribute("db.password", "Canary7Canary7"),
    "event name": lambda span: span.add_event(CANARY),
    "event attribute": lambda span: span.add_event("e", {"a": CANARY}),
    "exception": lambda span: span.record_exception(ValueError(f"bad {CANARY} in /home/Canary7/x")),
    "link attribute": lambda span: span.add_link(SpanContext(3, 4, False), {"a": CANARY}),
    "link trace state": lambda span: span.add_link(CONTEXT),
    "status": lambda span: span.set_status(Status(StatusCode.ERROR, f"ValueError: {CANARY}")),
}


def simple(exporter: SpanExporter, redactor: Redactor) -> SpanProcessor:
    return RedactingSpanProcessor(SimpleSpanProcessor(exporter), redactor)


def batch(exporter: SpanExporter, redactor: Redactor) -> SpanProcessor:
    return RedactingSpanProcessor(BatchSpanProcessor(exporter), redactor)


def at_exporter(exporter: SpanExporter, redactor: Redactor) -> SpanProcessor:
    return SimpleSpanProcessor(RedactingSpanExporter(exporter, redactor))


WAYS = [simple, batch, at_exporter]


def exported(
    way: Callable[[SpanExporter, Redactor], SpanProcessor],
    redactor: Redactor,
    fill: Fill,
    resource: Mapping[str, Any] | None = None,
    scope: tuple[str, str | None, Mapping[str, Any] | None] = ("test", None, None),
    parent: SpanContext | None = None,
) -> ReadableSpan:
    """Run one span through real processors; return what the exporter got."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(dict(resource or {})), shutdown_on_exit=False)
    provider.add_span_processor(way(memory, redactor))
    tracer = provider.get_tracer(scope[0], scope[1], attributes=scope[2])
    context = set_span_in_context(NonRecordingSpan(parent)) if parent else None
    with tracer.start_as_current_span("deploy", context=context) as span:
        fill(span)
    provider.force_flush()
    provider.shutdown()
    (result,) = memory.get_finished_spans()
    return result


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_channel_lets_a_secret_out(
    redactor: Redactor, channel: str, way: Callable[[SpanExporter, Redactor], SpanProcessor]
) -> None:
    """The encoded OTLP bytes hold no part of the canary, whichever channel it went in by."""
    span = exported(way, redactor, CHANNELS[channel])
    assert b"Canary7" not in encode_spans([span]).SerializeToString()


@pytest.mark.parametrize(
    "where",
    [
        {"resource": {"process.command_args": ["tool", "--token", "Canary7"]}},
        {"resource": {"process.executable.path": "/home/Canary7/bin/python"}},
        {"resource": {"note": CANARY}},
        {"scope": (f"scope {CANARY}", None, None)},
        {"scope": ("s", CANARY, None)},
        {"scope": ("s", "1", {"a": CANARY})},
        {"parent": CONTEXT},
    ],
    ids=str,
)
def test_resource_scope_and_trace_state_let_no_secret_out(redactor: Redactor, where: dict[str, Any]) -> None:
    """What all spans of a process share is redacted too."""
    span = exported(simple, redactor, lambda span: None, **where)
    assert b"Canary7" not in encode_spans([span]).SerializeToString()


def test_what_is_not_private_survives(redactor: Redactor) -> None:
    """Identity, times, kind, counts of dropped things, types and harmless values are those of the original."""
    memory, raw = InMemorySpanExporter(), InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1)
    provider = TracerProvider(resource=Resource({"service.name": "s"}), span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(simple(memory, redactor))
    provider.add_span_processor(SimpleSpanProcessor(raw))
    links = [Link(SpanContext(5, 6, False), {"n": 1}), Link(SpanContext(7, 8, False))]
    with provider.get_tracer("t", "1.0").start_as_current_span("sync", links=links) as span:
        span.set_attributes({"gone": 1, "n": 2.5, "path": "/home/ada/x"})
        span.add_event("first")
        span.add_event("second", {"ok": True})
    provider.shutdown()
    (redacted,), (original,) = memory.get_finished_spans(), raw.get_finished_spans()

    def facts(span: ReadableSpan) -> list[object]:
        return [
            span.context,
            span.parent,
            span.kind,
            span.start_time,
            span.end_time,
            span.name,
            span.dropped_attributes,
            span.dropped_events,
            span.dropped_links,
            span.status.status_code,
            span.resource,
            span.instrumentation_scope,
            [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events],
            [(link.context, dict(link.attributes or {})) for link in span.links],
        ]

    assert facts(original) == facts(redacted)
    assert (redacted.dropped_attributes, redacted.dropped_events, redacted.dropped_links) == (1, 1, 1)
    assert dict(redacted.attributes or {}) == {"n": 2.5, "path": "~/x"}
    assert dict(original.attributes or {}) == {"n": 2.5, "path": "/home/ada/x"}


def test_schema_urls_let_no_secret_out(redactor: Redactor) -> None:
    """The schema URLs of resource and scope keep host and path, and lose credentials."""
    url = "https://ada:" + "Canary7pw" + "@example.org/schemas/1"
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"a": "b"}, url), shutdown_on_exit=False)
    provider.add_span_processor(simple(memory, redactor))
    provider.get_tracer("t", schema_url=url).start_span("s").end()
    provider.shutdown()
    (resource,) = encode_spans(memory.get_finished_spans()).resource_spans
    clean = "https://[redacted:url-credentials]@example.org/schemas/1"
    assert [clean, clean] == [resource.schema_url, resource.scope_spans[0].schema_url]
    assert b"Canary7" not in resource.SerializeToString()


def test_counts_times_and_types_of_events_and_links_survive(redactor: Redactor) -> None:
    """Beside a redacted value, dropped counts, times and the types of all others are those of the original."""
    memory = InMemorySpanExporter()
    limits = SpanLimits(max_event_attributes=4, max_link_attributes=1)
    provider = TracerProvider(resource=Resource({}), span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(simple(memory, redactor))
    values = {"gone": 1, "a": CANARY, "bytes": b"\x00\xff", "mixed": (1, 2.5, True, None, "x"), "map": {"n": 1}}
    with provider.get_tracer("t").start_as_current_span("s") as span:
        span.add_event("e", values, timestamp=7)
        span.add_link(SpanContext(3, 4, False), {"gone": 1, "a": CANARY})
    provider.shutdown()
    (ended,) = memory.get_finished_spans()
    (event,), (link,) = ended.events, ended.links
    kept = {**values, "a": "[redacted:gh-token]"}
    del kept["gone"]
    assert (event.timestamp, event.dropped_attributes, link.dropped_attributes) == (7, 1, 1)
    assert repr(dict(event.attributes or {})) == repr(kept)
    (span_pb,) = encode_spans([ended]).resource_spans[0].scope_spans[0].spans
    assert (span_pb.events[0].dropped_attributes_count, span_pb.links[0].dropped_attributes_count) == (1, 1)


POLICIES = {"drop": Policy(mode="drop"), "hash": Policy(mode="hash"), "only": Policy(only=("kept",))}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_policy_opens_a_channel_of_a_span(channel: str, policy: str) -> None:
    """Dropped, hashed or not on the list: whatever a policy wants, the encoded bytes hold no canary."""
    redactor = Redactor(home="/home/ada", user_name="ada", host_name="h", policy=POLICIES[policy])
    span = exported(simple, redactor, CHANNELS[channel], parent=CONTEXT)
    assert b"Canary7" not in encode_spans([span]).SerializeToString()
    assert span.status.description is None or "redacted" in span.status.description or "~h:" in span.status.description


def test_a_harmless_span_is_passed_as_it_is(redactor: Redactor) -> None:
    """Where nothing is private, the wrapped processor gets the very same object."""
    seen: list[ReadableSpan] = []

    class Keep(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            seen.append(span)

    provider = TracerProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False)
    provider.add_span_processor(RedactingSpanProcessor(Keep(), redactor))
    provider.add_span_processor(Keep())
    with provider.get_tracer("t").start_as_current_span("deploy") as span:
        span.set_attributes({"usage.artifact.name": "canvas", "n": 1, "tags": ["a", "b"]})
        span.add_event("e", {"a": "b"})
        span.add_link(SpanContext(3, 4, False), {"a": 1})
    provider.shutdown()
    assert seen[0] is seen[1]


class BrokenRedactor(Redactor):
    """An engine that can't redact anything."""

    def text(self, text: str) -> str:
        raise RedactionError("broken on purpose")


def test_a_span_that_cannot_be_redacted_is_dropped_and_counted() -> None:
    """Nothing unredacted is passed on and nothing is raised into the host, at either door."""
    memory = InMemorySpanExporter()
    processor = RedactingSpanProcessor(SimpleSpanProcessor(memory), BrokenRedactor(home=""))
    exporter = RedactingSpanExporter(memory, BrokenRedactor(home=""))
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("t").start_as_current_span("deploy"):
        pass
    provider.shutdown()
    assert memory.get_finished_spans() == ()
    assert (processor.dropped, exporter.dropped) == (1, 1)


class Failing(SpanProcessor):
    """A processor whose every method raises."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise OSError("start")

    def _on_ending(self, span: Any) -> None:
        raise OSError("ending")

    def on_end(self, span: Any) -> None:
        raise OSError("end")

    def shutdown(self) -> None:
        raise OSError("shutdown")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise OSError("flush")


def test_a_failing_wrapped_processor_does_not_reach_the_host(redactor: Redactor) -> None:
    """Exceptions of what comes after end here; a failed flush says so."""
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(RedactingSpanProcessor(Failing(), redactor))
    with provider.get_tracer("t").start_as_current_span("deploy") as span:
        span.set_attribute("a", 1)
    assert provider.force_flush() is False
    provider.shutdown()


class Recorder(MetricExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(preferred_temporality={}, preferred_aggregation={})
        self.data: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.data.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        return None


def test_no_channel_of_a_metric_lets_a_secret_out(redactor: Redactor) -> None:
    """Attributes, keys, description, unit, scope and resource of every kind of metric are clean in the OTLP bytes."""
    reader = InMemoryMetricReader({})
    provider = MeterProvider(
        metric_readers=[reader], resource=Resource({"path": "/home/Canary7/x"}), shutdown_on_exit=False
    )
    meter = provider.get_meter("m", attributes={"a": CANARY})
    meter.create_counter("c", description=f"of {CANARY}").add(1, {"a": CANARY, f"k.{CANARY}": "x", "n": 3})
    meter.create_histogram("h").record(1.5, {"token": "Canary7Canary7"})
    meter.create_gauge("g").set(2, {"p": "/home/Canary7/x"})
    data = reader.get_metrics_data()
    assert data is not None
    recorder = Recorder()
    assert MetricExportResult.SUCCESS is RedactingMetricExporter(recorder, redactor).export(data)
    (redacted,) = recorder.data
    assert b"Canary7" in encode_metrics(data).SerializeToString()
    assert b"Canary7" not in encode_metrics(redacted).SerializeToString()
    names = {
        metric.name for group in redacted.resource_metrics for scope in group.scope_metrics for metric in scope.metrics
    }
    assert {"c", "g", "h"} == names
    provider.shutdown()


def test_a_metric_that_cannot_be_redacted_is_dropped_and_counted() -> None:
    """A metric exporter fails closed too, and keeps the wrapped exporter's preferences."""
    reader = InMemoryMetricReader({})
    provider = MeterProvider(metric_readers=[reader], resource=Resource({}), shutdown_on_exit=False)
    provider.get_meter("m").create_counter("c").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    recorder = Recorder()
    recorder._preferred_temporality = {int: AggregationTemporality.DELTA}
    exporter = RedactingMetricExporter(recorder, BrokenRedactor(home=""))
    exporter.export(data)
    assert exporter.dropped == 1
    assert [
        m for kept in recorder.data for g in kept.resource_metrics for s in g.scope_metrics for m in s.metrics
    ] == []
    assert {int: AggregationTemporality.DELTA} == exporter._preferred_temporality
    provider.shutdown()

"""Requests as real senders make them: the SDK's own encoders, and JSON as a Collector's file exporter writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

import usagetrace
from tests.otlp.otlp_requests import BASE, NOW_NS, SPAN_ID, TRACE_ID, decoder, traces
from usagetrace import semconv, track
from usagetrace.events import Event
from usagetrace.exporters.convert import events_from_span
from usagetrace.otlp.decode import LOGS, METRICS, TRACES
from usagetrace.redaction import default_redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime


@pytest.fixture
def logs() -> Iterator[InMemoryLogRecordExporter]:
    """Log records of the runtime in force, which has a logger."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "shelf"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    yield exporter, provider.get_logger(semconv.SCOPE_NAME)
    provider.shutdown()


def test_tracked_calls_arrive_as_their_own_rows(spans: Any) -> None:
    """Calls, failures and searches, encoded by the SDK: the rows are those that the local exporter would write."""

    @track.deploy
    def deploy(artifact_name: str, artifact_type: str, version: str) -> None:
        if version == "bad":
            raise ValueError("planted")

    @track.search(each="$result", artifact_name="$item", metadata={"rank": "$rank", "tags": ["a", 1, None]})
    def search(query: str) -> list[str]:
        return query.split()

    deploy("canvas", "skill", "1.2")
    with pytest.raises(ValueError, match="planted"):
        deploy("easel", "skill", "bad")
    search("one two three")
    track.sync(outcome="conflict", artifact_name="easel")(lambda: None)()
    body = encode_spans(spans.finished).SerializeToString()
    decoded = decoder().decode(TRACES, body)
    events = [event for span in spans.finished for event in events_from_span(span, "")]
    # The resource of this provider says no service.
    assert decoded.rows == [tuple(event._replace(service_name=None)) for event in events]
    assert [(row[1], row[8], row[16]) for row in decoded.rows] == [
        ("canvas", "ok", None), ("easel", "error", None),
        ("one", "ok", 0), ("two", "ok", 1), ("three", "ok", 2), ("easel", "ok", None),
    ]  # fmt: skip


def test_log_events_arrive_as_the_local_rows(spans: Any, logs: Any) -> None:
    """A point in time, sent as a log event by the SDK, is the row that was written here, its id included."""
    exporter, logger = logs
    rows: list[Any] = []

    def keep(new: Any) -> bool:
        rows.extend(new)
        return True

    arguments: dict[str, Any] = {"logger": logger, "clock": lambda: NOW_NS, "record": keep, "service_name": "shelf"}
    runtime.install(Runtime(spans.tracer, spans.meter, default_redactor(), **arguments))
    with spans.tracer.start_as_current_span("request"):
        assert usagetrace.record_event("deploy", "canvas", "skill", metadata={"size": 3})
    assert usagetrace.record_event("remove", "easel", "skill", outcome=OSError("planted"))
    decoded = decoder().decode(LOGS, encode_logs(exporter.get_finished_logs()).SerializeToString())
    assert [row[:15] for row in decoded.rows] == [tuple(row)[:15] for row in rows]
    assert [row[15] for row in decoded.rows] == [row[15] for row in rows]


@pytest.mark.parametrize("delta", [True, False])
def test_metrics_arrive_as_points(delta: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters and histograms of our scope are kept, with what tells them apart; gauges and other scopes are not."""
    from opentelemetry.sdk.metrics import Counter, Histogram
    from opentelemetry.sdk.metrics.export import AggregationTemporality

    kind = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    reader = InMemoryMetricReader(preferred_temporality={Counter: kind, Histogram: kind})
    provider = MeterProvider([reader], Resource({"service.name": "shelf"}), shutdown_on_exit=False)
    meter = provider.get_meter(semconv.SCOPE_NAME)
    meter.create_counter("usage.events", unit="{event}").add(3, {"usage.event.type": "deploy"})
    duration = meter.create_histogram("usage.operation.duration", unit="s", explicit_bucket_boundaries_advisory=[1, 5])
    for seconds in (0.5, 2, 9):
        duration.record(seconds, {"usage.event.type": "deploy"})
    meter.create_up_down_counter("level").add(-2)
    meter.create_gauge("heat").set(3)
    provider.get_meter("other").create_counter("requests").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    body = encode_metrics(data).SerializeToString()
    provider.shutdown()
    decoded = decoder().decode(METRICS, body)
    assert (decoded.ignored, decoded.rejected, decoded.reasons) == (3, 0, ())
    counter, histogram = decoded.points
    assert (counter.point.name, counter.point.unit, counter.point.service_name) == ("usage.events", "{event}", "shelf")
    assert (counter.point.kind, counter.point.sum, counter.cumulative) == ("sum", 3.0, not delta)
    assert counter.point.attributes == '{"usage.event.type":"deploy"}'
    assert (histogram.point.count, histogram.point.sum, histogram.point.min) == (3, 11.5, 0.5)
    assert (histogram.point.bounds, histogram.point.bucket_counts) == ((1.0, 5.0), (1, 1, 1))
    assert len({counter.stream, histogram.stream}) == 2
    assert [len(counter.stream), counter.start_ns > 0, counter.time_ns >= counter.start_ns] == [16, True, True]
    assert decoder().decode(METRICS, body).points == decoded.points


def otlp_json(span: dict[str, Any]) -> bytes:
    """Return a line of a Collector's file exporter with one span of ours."""
    attributes = [
        {"key": "usage.event.type", "value": {"stringValue": "deploy"}},
        {"key": "usage.artifact.name", "value": {"stringValue": "canvas"}},
        {"key": "usage.metadata.size", "value": {"intValue": "3"}},
        {"key": "usage.metadata.ratio", "value": {"doubleValue": 0.5}},
        {"key": "usage.metadata.dry", "value": {"boolValue": False}},
        {"key": "usage.metadata.raw", "value": {"bytesValue": "aGk="}},
        {
            "key": "usage.metadata.list",
            "value": {"arrayValue": {"values": [{"intValue": 1}, {}, {"stringValue": "b"}]}},
        },
        {
            "key": "usage.metadata.map",
            "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}},
        },
    ]
    whole = {
        "traceId": TRACE_ID.hex(), "spanId": SPAN_ID.hex(), "parentSpanId": "", "flags": 257, "name": "deploy",
        "kind": 1, "startTimeUnixNano": str(NOW_NS), "endTimeUnixNano": str(NOW_NS + 2_500_000),
        "attributes": attributes, "status": {}, "events": [{"name": "unread", "timeUnixNano": "x"}], **span,
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    scoped = {"scope": {"name": "usagetrace", "version": "1"}, "spans": [whole], "schemaUrl": "https://x"}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}).encode()


EXPECTED = Event(
    "deploy", "canvas", "", NOW_NS // 1_000_000, None, None,
    {"size": 3, "ratio": 0.5, "dry": False, "raw": "hi", "list": [1, None, "b"], "map": {"k": True}}, 2.5, "ok", None,
    "usage", "normal", None, "shop", TRACE_ID.hex(), SPAN_ID.hex(), None,
)  # fmt: skip


@pytest.mark.parametrize(
    "span",
    [
        {},
        {"startTimeUnixNano": NOW_NS, "endTimeUnixNano": float(NOW_NS + 2_500_096)},
        {"kind": "SPAN_KIND_INTERNAL", "unknownField": [{}], "traceState": None, "links": "unread"},
        {"traceId": TRACE_ID.hex().upper(), "status": {"code": "STATUS_CODE_OK", "message": "x"}},
        {"start_time_unix_nano": str(NOW_NS), "dropped_attributes_count": 3},
    ],
)
def test_json_in_the_forms_that_senders_write(span: dict[str, Any]) -> None:
    """Numbers as texts and as numbers, enums by name, names as in the protobuf files, what is unknown passed over."""
    (row,) = decoder().decode(TRACES, otlp_json(span), json=True).rows
    assert (*row[:7], round(row[7], 3), *row[8:]) == tuple(EXPECTED)


def test_json_says_of_logs_and_metrics_what_protobuf_says() -> None:
    """Log events and points in JSON."""
    record = {
        "timeUnixNano": str(NOW_NS), "severityNumber": "SEVERITY_NUMBER_ERROR", "eventName": "usage.deploy",
        "body": {"stringValue": "unread"}, "attributes": [{"key": "error.type", "value": {"stringValue": "OSError"}}],
    }  # fmt: skip
    scoped = {"scope": {"name": "any"}, "logRecords": [record]}
    (row,) = decoder().decode(LOGS, json.dumps({"resourceLogs": [{"scopeLogs": [scoped]}]}).encode(), json=True).rows
    assert (row[0], row[8], row[9], row[13]) == ("deploy", "error", "OSError", None)
    point = {"timeUnixNano": str(NOW_NS), "asInt": "4", "startTimeUnixNano": 7}
    metric = {"name": "usage.events", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}}
    group = {"scopeMetrics": [{"scope": {"name": "usagetrace"}, "metrics": [metric]}]}
    (got,) = decoder().decode(METRICS, json.dumps({"resourceMetrics": [group]}).encode(), json=True).points
    assert (got.start_ns, got.time_ns, got.cumulative, got.point.sum, got.point.day) == (
        7,
        NOW_NS,
        True,
        4.0,
        "2023-11-14",
    )


def test_a_request_that_was_parsed_already() -> None:
    """A standard message gives what its bytes give."""
    request = traces(BASE)
    assert decoder().read(TRACES, request) == decoder().decode(TRACES, request.SerializeToString())


@pytest.mark.parametrize("scope", ["usagetrace", "somebody", ""])
def test_any_language_may_send_events(scope: str) -> None:
    """The attributes make the event, whatever scope they come in."""
    assert len(decoder().decode(TRACES, traces(BASE, scope=scope).SerializeToString()).rows) == 1


def test_the_category_is_known_where_nobody_says_it() -> None:
    """Of a type that is known by name."""
    made = [
        decoder().read(TRACES, traces({**BASE, "usage.event.type": kind})).rows[0][10] for kind in ("sync", "paint")
    ]
    assert made == ["usage", "custom"]

"""OTLP requests with secrets planted in every place that has attributes or free text, as no package of ours sends them.

They go straight to a Collector or a receiver. This module knows nothing of what takes them.
"""

from __future__ import annotations

import base64

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from tests.support.otlp_sink import usage_request

# What must come out nowhere.
PLANTED = "planted-" + "8f3a"
# Stands where something may pass; put together here.
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9"
# As a file of OTLP's JSON has bytes that begin so.
PLANTED_BYTES = base64.b64encode(PLANTED.encode()[:9])


def pair(key: str, value: AnyValue | str) -> KeyValue:
    """Return an attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value) if isinstance(value, str) else value)


def secret(place: str) -> KeyValue:
    """Return an unknown attribute with a secret that says where it was planted."""
    return pair(f"unknown.{place}", f"{PLANTED}-{place}")


def planted_traces() -> ExportTraceServiceRequest:
    """Return spans with a secret in every place that has attributes or free text: all of them, one, or a link."""
    request = usage_request([1, 2, 3])
    (resource,) = request.resource_spans
    resource.resource.attributes.append(secret("resource"))
    (scope,) = resource.scope_spans
    scope.scope.attributes.append(secret("scope"))
    span, linked, plain = scope.spans
    # What has nothing below it must be looked at as well.
    plain.attributes.append(secret("plain"))
    nested = KeyValueList(values=[pair("deep", f"{PLANTED}-nested")])
    array = ArrayValue(values=[AnyValue(string_value=f"{PLANTED}-array")])
    span.attributes.extend(
        [
            secret("span"),
            pair("unknown.map", AnyValue(kvlist_value=nested)),
            pair("unknown.array", AnyValue(array_value=array)),
            pair("unknown.bytes", AnyValue(bytes_value=f"{PLANTED}-bytes".encode())),
            # Keys that look known, or are the processors' own.
            pair("usage.event.type.more", f"{PLANTED}-suffix"),
            pair("my.usage.event.type", f"{PLANTED}-prefix"),
            pair("usage.metadata", f"{PLANTED}-no-key"),
            pair(f"usage.metadata.a b/{PLANTED}", "in the key"),
            pair("redaction.masked.keys", f"{PLANTED}-own-key"),
            pair("usagetrace.collector.name", f"{PLANTED}-name-key"),
        ]
    )
    span.status.message, span.trace_state = f"{PLANTED}-status", f"vendor={PLANTED}-state"
    event = span.events.add()
    event.name = "an event"
    event.attributes.append(secret("event"))
    link = linked.links.add()
    link.trace_id, link.span_id = b"1" * 16, b"2" * 8
    link.attributes.append(secret("link"))
    return request


def planted_metrics() -> ExportMetricsServiceRequest:
    """Return a sum and a histogram with secrets among the attributes of points and exemplars."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.extend([pair("service.name", "load"), secret("resource")])
    scope = resource.scope_metrics.add()
    scope.scope.name = "usagetrace"
    scope.scope.attributes.append(secret("scope"))
    total = scope.metrics.add()
    total.name, total.sum.is_monotonic, total.sum.aggregation_temporality = "usage.events", True, 2
    total.metadata.append(secret("metric"))
    point = total.sum.data_points.add()
    point.as_int = 1
    point.attributes.extend([pair("usage.event.type", "deploy"), secret("sum")])
    histogram = scope.metrics.add()
    histogram.name, histogram.histogram.aggregation_temporality = "usage.operation.duration", 2
    bars = histogram.histogram.data_points.add()
    bars.count, bars.sum = 1, 0.5
    bars.bucket_counts.extend([1, 0])
    bars.explicit_bounds.append(1.0)
    bars.attributes.append(secret("histogram"))
    exemplar = bars.exemplars.add()
    exemplar.as_double = 0.5
    exemplar.filtered_attributes.append(secret("exemplar"))
    return request


def planted_logs() -> ExportLogsServiceRequest:
    """Return log records with secrets in attributes and in bodies of each kind."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.append(secret("resource"))
    scope = resource.scope_logs.add()
    scope.scope.name = "usagetrace"
    scope.scope.attributes.append(secret("scope"))
    nested = KeyValueList(values=[pair("deep", f"{PLANTED}-body-map")])
    bodies = (
        AnyValue(string_value=f"{PLANTED}-body"),
        AnyValue(kvlist_value=nested),
        AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=f"{PLANTED}-body-array")])),
        AnyValue(bytes_value=f"{PLANTED}-body-bytes".encode()),
    )
    scope.log_records.add().attributes.append(secret("plain"))
    for body in bodies:
        record = scope.log_records.add()
        record.event_name, record.severity_text = "usage.note", f"{PLANTED} severity"
        record.body.CopyFrom(body)
        record.attributes.extend([pair("usage.event.type", "noted"), secret("log")])
    return request

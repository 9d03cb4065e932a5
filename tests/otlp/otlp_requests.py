"""Requests as senders make them, for the tests of the decoder: of the standard messages, not of ours."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from usagetrace.otlp.decode import Decoder
from usagetrace.otlp.values import fill
from usagetrace.redaction import Redactor

TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))
# 2023-11-14 22:13:20 UTC.
NOW_NS = 1_700_000_000_000_000_000
BASE = {"usage.event.type": "deploy", "usage.artifact.name": "canvas", "usage.artifact.type": "skill"}


def redactor() -> Redactor:
    """Return an engine that knows no machine."""
    return Redactor(home="", user_name="", host_name="")


def decoder(**how: Any) -> Decoder:
    """Return a decoder whose redaction knows no machine."""
    return Decoder(redactor=how.pop("redactor", None) or redactor(), **how)


def put(target: Any, attributes: dict[str, Any]) -> None:
    """Add attributes to a message that has some."""
    for key, value in attributes.items():
        pair = target.attributes.add(key=key)
        fill(pair.value, value)
        pair.value.SetInParent()


def traces(
    attributes: dict[str, Any] | None = None,
    *,
    scope: str = "usagetrace",
    service: str | None = "shop",
    resource: dict[str, Any] | None = None,
    status: int = 0,
    **fields: Any,
) -> ExportTraceServiceRequest:
    """Return a request with one span."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    put(group.resource, {**({} if service is None else {"service.name": service}), **(resource or {})})
    scoped = group.scope_spans.add()
    scoped.scope.name = scope
    start = fields.pop("start", NOW_NS)
    span = scoped.spans.add(
        **{
            "trace_id": TRACE_ID,
            "span_id": SPAN_ID,
            "name": "deploy",
            "start_time_unix_nano": start,
            "end_time_unix_nano": fields.pop("end", start + 2_500_000),
            **fields,
        }
    )
    span.status.code = status  # type: ignore[assignment]  # any number may come
    put(span, BASE if attributes is None else attributes)
    return request


def logs(
    attributes: dict[str, Any] | None = None,
    *,
    scope: str = "usagetrace",
    service: str | None = "shop",
    body: Any = None,
    **fields: Any,
) -> ExportLogsServiceRequest:
    """Return a request with one log record."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    put(group.resource, {} if service is None else {"service.name": service})
    scoped = group.scope_logs.add()
    scoped.scope.name = scope
    record = scoped.log_records.add(
        **{"time_unix_nano": NOW_NS, "event_name": "usage.deploy", "severity_number": 9, **fields}
    )
    fill(record.body, body)
    put(record, BASE if attributes is None else attributes)
    return request

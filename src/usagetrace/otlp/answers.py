"""What a receiver answers: that it has taken a request, wholly or in part, or why it has not."""

from __future__ import annotations

import json as jsonlib
from typing import Any, Final

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from usagetrace.otlp.signals import LOGS, METRICS, TRACES

# By signal: the message, and what it calls the number of what was refused, in protobuf and in JSON.
_ANSWERS: Final[dict[str, tuple[Any, str, str]]] = {
    TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
}


def answer(signal: str, decoded_rejected: int, message: str) -> Any:
    """Return the message that says a request was taken, as gRPC wants it. Arguments as for :func:`response`."""
    kind, name, _ = _ANSWERS[signal]
    made = kind()
    if decoded_rejected or message:
        setattr(made.partial_success, name, decoded_rejected)
        made.partial_success.error_message = message
    return made


def response(signal: str, decoded_rejected: int, message: str, *, json: bool) -> bytes:
    """Return the body that says a request was taken.

    Args:
        signal: Which request.
        decoded_rejected: How many of its spans, records or points were refused.
        message: Why, or a warning; redacted.
        json: Whether it is to be JSON.
    """
    if not json:
        return bytes(answer(signal, decoded_rejected, message).SerializeToString())
    if not decoded_rejected and not message:
        return b"{}"
    # 64-bit numbers are texts in JSON.
    partial = {_ANSWERS[signal][2]: str(decoded_rejected), "errorMessage": message}
    return jsonlib.dumps({"partialSuccess": partial}).encode()


def status(code: int, message: str, *, json: bool) -> bytes:
    """Return the body of an answer to a request that was not taken: a ``google.rpc.Status``.

    Args:
        code: One of gRPC's codes, such as 3 for an invalid argument.
        message: What is wrong, redacted.
        json: Whether it is to be JSON.
    """
    if json:
        return jsonlib.dumps({"code": code, "message": message}).encode()
    return bytes(Status(code=code, message=message).SerializeToString())

"""Answers of a receiver, read back as a sender reads them."""

from __future__ import annotations

import json

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from usagetrace.otlp.decode import LOGS, METRICS, TRACES, answer, response, status

KINDS = [
    (TRACES, ExportTraceServiceResponse, "rejectedSpans"),
    (METRICS, ExportMetricsServiceResponse, "rejectedDataPoints"),
    (LOGS, ExportLogsServiceResponse, "rejectedLogRecords"),
]


@pytest.mark.parametrize(("signal", "kind", "name"), KINDS)
def test_what_was_refused_is_told(signal: str, kind: type, name: str) -> None:
    """How many and why; nothing where all was taken, as the protocol wants it."""
    read = kind.FromString(response(signal, 3, "no time (3)", json=False))
    (number,) = [value for field, value in read.partial_success.ListFields() if field.name.startswith("rejected")]
    assert (number, read.partial_success.error_message) == (3, "no time (3)")
    assert read == answer(signal, 3, "no time (3)")
    assert response(signal, 0, "", json=False) == b""
    assert not answer(signal, 0, "").HasField("partial_success")
    said = json.loads(response(signal, 3, "no time (3)", json=True))
    assert said == {"partialSuccess": {name: "3", "errorMessage": "no time (3)"}}
    assert response(signal, 0, "", json=True) == b"{}"
    assert kind.FromString(response(signal, 0, "a warning", json=False)).partial_success.error_message == "a warning"


def test_an_error_is_a_status() -> None:
    """In both forms."""
    read = Status.FromString(status(3, "what is wrong", json=False))
    assert (read.code, read.message) == (3, "what is wrong")
    assert json.loads(status(3, "what is wrong", json=True)) == {"code": 3, "message": "what is wrong"}

"""Whatever bytes come, a request is taken, malformed, or too large: never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.otlp.otlp_requests import BASE, NOW_NS, decoder, logs, put, traces
from usagetrace.events import Event
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Decoded, Limits, MalformedError, TooManyError
from usagetrace.otlp.mapping import mappings_of

SIGNALS = st.sampled_from([TRACES, METRICS, LOGS])
ENTRY = {"event": "$kind", "artifact_name": "$name", "metadata": {"a": "$a", "b": "$resource.b"}}
MAPPINGS = mappings_of({"receiver": {"map": [ENTRY]}}, "t", [])
DECODER = decoder(mappings=MAPPINGS, limits=Limits(members=50, rows=100, artifacts=20, attributes=30, repeated=10_000))
RICH = {
    **BASE, "usage.item.artifact.name": ["a", "b"], "usage.item.metadata.rank": [1, None],
    "usage.item.outcome": ["error"], "usage.item.index": [3, 5], "usage.metadata.table": {"a": [1.5, {"b": b"c"}]},
    "log.record.uid": "1" * 16, "kind": "x",
}  # fmt: skip


def metrics() -> Any:
    """Return a request with a counter and a histogram."""
    request = ExportMetricsServiceRequest()
    scoped = request.resource_metrics.add().scope_metrics.add()
    scoped.scope.name = "usagetrace"
    counter, histogram = scoped.metrics.add(name="usage.events"), scoped.metrics.add(name="usage.operation.duration")
    counter.sum.aggregation_temporality, counter.sum.is_monotonic = 2, True
    point = counter.sum.data_points.add(time_unix_nano=NOW_NS, start_time_unix_nano=1, as_int=3)
    put(point, {"usage.event.type": "deploy"})
    histogram.histogram.aggregation_temporality = 1
    histogram.histogram.data_points.add(
        time_unix_nano=NOW_NS, count=3, sum=4.5, min=1, max=2, bucket_counts=[1, 2], explicit_bounds=[1.5]
    )
    return request


VALID = {
    TRACES: traces(RICH).SerializeToString(),
    LOGS: logs(RICH, body={"a": [1]}).SerializeToString(),
    METRICS: metrics().SerializeToString(),
}


def decoded(signal: str, body: bytes, as_json: bool = False) -> Decoded | None:
    """Return what a request holds, checked to be what may be stored; None where it is refused whole."""
    try:
        found = DECODER.decode(signal, body, json=as_json)
    except (MalformedError, TooManyError):
        return None
    for row in found.rows:
        event = Event._make(row)
        assert event.event_type
        assert len(bytes.fromhex(event.span_id or "")) == 8
        assert isinstance(event.ts_ms, int)
        json.loads((event.metadata_json() or "{}").encode())
    for point in found.points:
        point.point.key()
        assert (len(point.stream), point.time_ns > 0) == (16, True)
    assert found.rejected >= len(found.reasons)
    return found


@settings(max_examples=4000)
@given(SIGNALS, st.binary(max_size=200), st.booleans())
def test_any_bytes(signal: str, body: bytes, as_json: bool) -> None:
    """Noise of any kind, in both forms."""
    decoded(signal, body, as_json)


@settings(max_examples=4000)
@given(SIGNALS, st.data())
def test_damaged_requests(signal: str, data: Any) -> None:
    """A valid request with bytes changed, left out, repeated or put in."""
    body = bytearray(VALID[signal])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(start + 9, len(body))))
        body[start:end] = data.draw(st.binary(max_size=6) | st.just(bytes(body[start:end] * 3)))
    decoded(signal, bytes(body))


WORDS = """resourceSpans scopeSpans spans resourceLogs scopeLogs logRecords resourceMetrics scopeMetrics metrics resource
scope name attributes key value stringValue intValue doubleValue arrayValue kvlistValue values traceId spanId status code
timeUnixNano startTimeUnixNano eventName severityNumber body sum histogram dataPoints asInt bucketCounts isMonotonic"""
words = st.sampled_from(WORDS.split())
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["usagetrace", "usage.event.type", "01" * 16, "02" * 8, str(NOW_NS), 1, 2])
)  # fmt: skip
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=15
)


@settings(max_examples=4000)
@given(SIGNALS, trees)
def test_any_json(signal: str, tree: Any) -> None:
    """Trees of the words that requests are made of, at every level of one."""
    for wrapped in (
        tree,
        {"resourceSpans": [tree], "resourceLogs": [tree], "resourceMetrics": [tree]},
        {
            "resourceSpans": [{"scopeSpans": [{"spans": [tree]}]}],
            "resourceLogs": [{"scopeLogs": [{"logRecords": [tree]}]}],
        },
        {"resourceMetrics": [{"scopeMetrics": [{"scope": {"name": "usagetrace"}, "metrics": [tree]}]}]},
    ):
        decoded(signal, json.dumps(wrapped).encode(), as_json=True)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=4000)
@given(st.dictionaries(st.sampled_from([*RICH, "usage.outcome", "session.id", "usage.metadata.x"]), values))
def test_any_value_anywhere(attributes: dict[str, Any]) -> None:
    """Each of our attributes with values of every type: an event, or refused, never an error."""
    for signal, request in ((TRACES, traces({**BASE, **attributes})), (LOGS, logs({**BASE, **attributes}))):
        found = decoded(signal, request.SerializeToString())
        assert found is None or bool(found.rows) is not bool(found.rejected)


@pytest.mark.parametrize("signal", [TRACES, METRICS, LOGS])
def test_every_cut(signal: str) -> None:
    """A request that ends anywhere."""
    whole = decoded(signal, VALID[signal])
    assert whole is not None
    assert len(whole.rows) + len(whole.points) == 2
    for end in range(len(VALID[signal])):
        decoded(signal, VALID[signal][:end])

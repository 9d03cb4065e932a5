"""How each artifact ended, on its way out of the process: as OTLP and back, and in the rows of local mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode

from tests.track.test_track_items import ANYTHING, OUTCOME, brief, deploy, thing
from usagetrace import track
from usagetrace.exporters.convert import events_from_span
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime


def test_outcomes_come_back_from_real_otlp_bytes(spans: Any) -> None:
    """Encoded as OTLP and decoded again, a call with differing artifacts is the same events."""
    done = [thing("a", version="1"), thing("b"), thing("c")]
    done[1].errors = ["planted"]
    track.deploy(
        each="$result", requested="$names", outcome=OUTCOME, metadata={"version": "$item.version", "shelf": "main"},
        **ANYTHING,
    )(lambda names: done)(["a", "b", "c", "d"])  # fmt: skip
    (span,) = spans.finished
    request = ExportTraceServiceRequest.FromString(encode_spans([span]).SerializeToString())
    (sent,) = request.resource_spans[0].scope_spans[0].spans

    def value(any_value: Any) -> Any:
        kind = any_value.WhichOneof("value")
        if kind == "array_value":
            return tuple(value(each) for each in any_value.array_value.values)
        return None if kind is None else getattr(any_value, kind)

    back = ReadableSpan(
        name=sent.name,
        context=span.context,
        attributes={pair.key: value(pair.value) for pair in sent.attributes},
        status=Status(StatusCode.ERROR if sent.status.code == 2 else StatusCode.UNSET),
        start_time=sent.start_time_unix_nano,
        end_time=sent.end_time_unix_nano,
    )
    assert events_from_span(back, "t") == events_from_span(span, "t")
    assert [(row[0], row[1]) for row in brief(spans)] == [("a", "ok"), ("b", "error"), ("c", "ok"), ("d", "error")]


@pytest.mark.parametrize("word", ["nonsense", 5, None, ["error"]])
def test_foreign_outcomes_are_no_outcomes(spans: Any, word: Any) -> None:
    """A span of somebody else's whose array holds other words says nothing of how an artifact ended."""
    deploy(["a"], ["a"])
    (span,) = spans.finished
    attributes = {**span.attributes, "usage.item.outcome": [word], "usage.item.error.type": ["Planted"]}
    strange = ReadableSpan(name="deploy", context=span.context, attributes=attributes, start_time=1, end_time=2)
    assert [(e.status, e.error_type) for e in events_from_span(strange, "t")] == [("ok", None)]
    assert json.loads(events_from_span(strange, "t")[0].metadata_json() or "{}") == {"success": True}


def test_the_rows_of_local_mode_say_the_same(capture: Any) -> None:
    """Without a span, the rows hold each artifact's own status and error type."""
    spans = capture()
    runtime.install(Runtime(None, None, spans.runtime.redactor, record=spans.take, service_name="t"))
    with pytest.raises(OSError, match="planted"):
        deploy(["a"], error=OSError("planted"))
    deploy(["a", "b"], ["a"])
    assert [(row[1], row[8], row[9]) for row in spans.rows] == [
        ("a", "error", "OSError"), ("a", "ok", None), ("b", "error", "_OTHER")
    ]  # fmt: skip

"""Operations that are sent as spans: each equals the span that the SDK itself would have made of the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState

from tests.conftest import PassThrough
from usagetrace import record_event, track
from usagetrace.events import Event
from usagetrace.exporters.finished import FinishedExporter, Sender
from usagetrace.redaction import default_redactor
from usagetrace.testing import FixedClock
from usagetrace.track import operation, runtime
from usagetrace.track.runtime import Runtime


class Kept(SpanExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep a batch."""
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


class Sent:
    """What was sent, and what was written locally."""

    def __init__(self, redactor: Any = None) -> None:
        self.kept, self.rows = Kept(), list[tuple[Any, ...]]()
        self.processor = BatchSpanProcessor(FinishedExporter(self.kept, Resource({"service.name": "t"})))
        clock = FixedClock()
        self.runtime = Runtime(
            None, None, redactor or PassThrough(), record=self.take, export=Sender(self.processor), service_name="t",
            clock=clock.wall_ns, ticks=clock.tick_ns,
        )  # fmt: skip

    def take(self, rows: list[tuple[Any, ...]]) -> bool:
        """Take rows."""
        self.rows.extend(rows)
        return True

    @property
    def spans(self) -> list[ReadableSpan]:
        """Spans that were sent so far."""
        assert self.processor.force_flush()
        return self.kept.spans


@pytest.fixture
def sent() -> Iterator[Sent]:
    """Send what is tracked to a list."""
    made = Sent()
    with runtime.hold(made.runtime):
        yield made
    made.processor.shutdown()
    assert operation._running.get() is None
    assert otel_context.get_current() == {}


@track.deploy(metadata={"version": "$version", "nested": {"a": 1}, "list": [1, 2], "none": None})
def deploy(artifact_name: str, version: object = "1.2") -> None:
    """Deploy."""


@track.search(each="$result", artifact_name="$item", artifact_type="skill", metadata={"score": "$index"})
def search(query: str) -> list[str]:
    """Search."""
    return ["a", "b", "c"]


@track.sync
def fail(artifact_name: str) -> None:
    """Fail."""
    raise ValueError("planted")


@track("x", outcome="cancelled")
def cancel() -> None:
    """Be cancelled."""


@track.invoke
def invoke(artifact_name: str) -> None:
    """Run another operation inside."""
    deploy("inner")


def _failing() -> None:
    with pytest.raises(ValueError, match="planted"):
        fail("canvas")


def _block() -> None:
    with track.sync(artifact_name="canvas") as running:
        running.set(result="conflict", conflicts_detected=3)


CALLS: dict[str, Callable[[], object]] = {
    "deploy": lambda: deploy("canvas"),
    "odd values": lambda: deploy("canvas", {"deep": [1, {"x": 2.5}]}),
    "bytes": lambda: deploy("canvas", b"\xff\x00"),
    "long": lambda: deploy("x" * 5000, "y" * 9000),
    "search": lambda: search("q"),
    "failing": _failing,
    "cancelled": cancel,
    "block": _block,
    "point in time": lambda: record_event("deploy", "canvas", "skill", metadata={"a": 1}),
    "inside": lambda: invoke("outer"),
}


def shape(span: ReadableSpan) -> dict[str, Any]:
    """Return a span as plain values, without its ids and resource."""
    told: dict[str, Any] = json.loads(span.to_json())
    for key in ("context", "parent_id", "resource"):
        del told[key]
    return told


@pytest.mark.parametrize("call", CALLS)
def test_what_is_sent_is_the_span_of_the_sdk(sent: Sent, call: str) -> None:
    """Name, kind, attributes, status and times equal those of a span that the SDK made and ended."""
    CALLS[call]()
    ours = [shape(span) for span in sent.spans]
    reference, clock = Kept(), FixedClock()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(reference))
    tracer = provider.get_tracer("t")
    with runtime.hold(Runtime(tracer, None, PassThrough(), clock=clock.wall_ns, ticks=clock.tick_ns)):
        CALLS[call]()
    provider.shutdown()
    assert ours == [shape(span) for span in reference.spans]
    assert ours


def test_its_ids_are_those_of_its_events(sent: Sent) -> None:
    """The rows of an operation have the ids of its span, and so are found again where the span was sent."""
    search("q")
    (span,) = sent.spans
    ids = {(row.trace_id, row.span_id) for row in map(Event._make, sent.rows)}
    assert span.context is not None
    assert ids == {(f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")}
    assert span.context.trace_flags & TraceFlags.RANDOM_TRACE_ID
    assert len(sent.rows) == 3


def test_an_operation_inside_is_its_child(sent: Sent) -> None:
    """What runs inside an operation has its span as parent, and no other."""
    invoke("outer")
    deploy("after")
    inner, outer, after = sent.spans
    assert inner.parent == outer.context
    assert outer.parent is after.parent is None


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_the_programs_span_is_its_parent(sent: Sent, flags: int) -> None:
    """Inside a span of the program's own, local or from elsewhere, sampled or not, it is that span's child."""
    around = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(flags), trace_state=TraceState([("k", "v")]))
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(around)))
    try:
        deploy("canvas")
    finally:
        otel_context.detach(token)
    (span,) = sent.spans
    assert span.parent == around
    assert span.context is not None
    assert (span.context.trace_id, span.context.trace_state) == (5, TraceState([("k", "v")]))
    # All of them are sent: whether the program's trace is sampled says nothing of usage.
    assert span.context.trace_flags == (flags & TraceFlags.RANDOM_TRACE_ID) | TraceFlags.SAMPLED


def test_the_context_carries_it(sent: Sent) -> None:
    """While it runs, what the program propagates names it; afterwards nothing does."""
    seen: list[SpanContext] = []
    track.remove(artifact_name="x")(lambda: seen.append(trace.get_current_span().get_span_context()))()
    (span,) = sent.spans
    assert seen == [span.context]
    assert not trace.get_current_span().get_span_context().is_valid


def test_what_is_set_after_the_end_is_not_sent(sent: Sent) -> None:
    """An operation that ended is what it was: the thread that sends may come to it later."""
    with track.sync(artifact_name="canvas") as running:
        running.set(sync_type="pull")
    running.set(sync_type="push", more="x")
    (span,) = sent.spans
    assert (span.attributes or {})["usage.metadata.sync_type"] == "pull"
    assert "usage.metadata.more" not in (span.attributes or {})


def test_the_sdks_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard variables for the number and the length of attributes are heard."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4")
    made = Sent()
    with runtime.hold(made.runtime):
        deploy("canvas")
    (span,) = made.spans
    made.processor.shutdown()
    assert len(span.attributes or {}) == 3
    assert span.dropped_attributes > 0
    assert all(len(value) <= 4 for value in (span.attributes or {}).values() if isinstance(value, str))
    assert [Event._make(row).artifact_name for row in made.rows] == ["canvas"]


def test_an_exporter_that_fails_costs_nothing_else(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an operation can't be queued, the call and its event are as they were."""

    def fail_to_queue(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(BatchSpanProcessor, "on_end", fail_to_queue)
    assert search("q") == ["a", "b", "c"]
    assert len(sent.rows) == 3


def test_values_are_redacted_before_they_are_queued() -> None:
    """What waits to be sent is redacted already."""
    made = Sent(default_redactor())
    with runtime.hold(made.runtime):
        deploy("token ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9")
    (span,) = made.spans
    made.processor.shutdown()
    assert "aB3dE6gH9" not in span.to_json()

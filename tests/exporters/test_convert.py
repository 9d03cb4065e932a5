"""From finished spans to events: also from spans that others made, with values that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from usagetrace.events import METADATA_LIMIT, NAME_LIMIT, TEXT_LIMIT, Event
from usagetrace.exporters.convert import events_from_span

BASE = {"usage.event.type": "deploy", "usage.artifact.name": "canvas", "usage.artifact.type": "skill"}


def span_of(attributes: dict[str, Any], *, failed: bool = False, start: int = 5_000_000, end: int = 7_500_000) -> Any:
    """Return a real finished span with these attributes."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("test").start_span("deploy", attributes=attributes, start_time=start)
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end(end)
    (finished,) = exporter.get_finished_spans()
    return finished


def one(attributes: dict[str, Any], **how: Any) -> Event:
    """Return the only event of a span."""
    (event,) = events_from_span(span_of(attributes, **how), "shop")
    return event


def test_a_span_of_others_is_no_event() -> None:
    """Without the event's type a span is not ours."""
    assert events_from_span(span_of({"http.route": "/x"}), "shop") == []
    assert events_from_span(ReadableSpan("GET"), "shop") == []


def test_times_are_milliseconds_and_a_point_has_no_duration() -> None:
    """The event's time is the span's start; a span without length has no duration."""
    event = one(BASE)
    assert (event.ts_ms, event.duration_ms) == (5, 2.5)
    assert one(BASE, end=5_000_000).duration_ms is None


def test_a_failed_span_has_its_error_type_and_others_none() -> None:
    """The status decides; an error type on a span that did not fail says nothing."""
    attributes = {**BASE, "error.type": "ValueError"}
    assert (one(attributes, failed=True).status, one(attributes, failed=True).error_type) == ("error", "ValueError")
    assert (one(attributes).status, one(attributes).error_type) == ("ok", None)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"usage.item.artifact.name": ["a", "b"]}, [("a", "skill", {}), ("b", "skill", {})]),
        (
            {"usage.item.artifact.name": ["a", "b"], "usage.item.artifact.type": ["agent"]},
            [("a", "agent", {}), ("b", "skill", {})],
        ),
        (
            {"usage.item.artifact.name": ["a", "b"], "usage.item.metadata.score": [1.5, None]},
            [("a", "skill", {"score": 1.5}), ("b", "skill", {})],
        ),
        ({"usage.item.artifact.name": []}, [("canvas", "skill", {})]),
        ({"usage.item.artifact.name": "a"}, [("canvas", "skill", {})]),
    ],
)
def test_arrays_become_rows(arrays: dict[str, Any], expected: list[tuple[str, str, dict[str, Any]]]) -> None:
    """One row an item; where an array is too short or none, the call's own value stands in."""
    events = events_from_span(span_of({**BASE, **arrays}), "shop")
    assert [(e.artifact_name, e.artifact_type, dict(e.metadata or {})) for e in events] == expected


def test_outcome_is_kept_where_the_status_does_not_say_it() -> None:
    """A conflict is metadata, unless the operation told its result already."""
    assert one({**BASE, "usage.outcome": "conflict"}).metadata == {"outcome": "conflict"}
    told = one({**BASE, "usage.outcome": "conflict", "usage.metadata.result": "conflict"})
    assert told.metadata == {"result": "conflict"}


def test_long_texts_are_cut_and_marked() -> None:
    """Names, texts and texts inside containers have their limits."""
    event = one(
        {**BASE, "usage.artifact.name": "n" * 9000, "usage.metadata.t": "t" * 9000, "usage.metadata.l": ["x" * 9000]}
    )
    assert event.metadata is not None
    assert len(event.artifact_name) == NAME_LIMIT
    assert [len(event.metadata["t"]), len(event.metadata["l"][0])] == [TEXT_LIMIT, TEXT_LIMIT]
    assert event.artifact_name.endswith("[cut from 9000 characters]")


def test_metadata_that_does_not_fit_is_left_out_and_named() -> None:
    """What is too much is named; what came before it is kept."""
    many = {f"usage.metadata.k{number:02}": "x" * 4000 for number in range(30)}
    event = one({**BASE, **many})
    assert event.metadata is not None
    assert len(json.dumps(dict(event.metadata))) < METADATA_LIMIT + 2000
    assert event.metadata["usagetrace_left_out"] == [f"k{number:02}" for number in range(16, 30)]


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
), max_size=6))  # fmt: skip
def test_any_metadata_is_valid_json(metadata: dict[str, Any]) -> None:
    """Whatever a span holds, the event's metadata is JSON that any reader takes."""
    event = one({**BASE, **{f"usage.metadata.{key}": value for key, value in metadata.items()}})
    text = event.metadata_json()

    def refuse(constant: str) -> Callable[[], None]:
        raise AssertionError(f"{constant} is no JSON")

    read = {} if text is None else json.loads(text.encode("utf-8"), parse_constant=refuse)
    assert set(read) == set(event.metadata or {})

"""What is refused, and what is let pass: single spans with a reason, whole requests with an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.otlp.otlp_requests import BASE, NOW_NS, SPAN_ID, TRACE_ID, decoder, logs, traces
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Decoded, Limits, MalformedError, TooManyError


def refused(decoded: Decoded) -> tuple[int, int, int, tuple[str, ...]]:
    """Return how many rows there are, what was ignored, what was refused, and why."""
    return len(decoded.rows), decoded.ignored, decoded.rejected, decoded.reasons


@pytest.mark.parametrize("trace_id", [b"", bytes(16), TRACE_ID[:15], TRACE_ID + b"x"])
def test_a_span_without_a_valid_trace_id(trace_id: bytes) -> None:
    """It could not be told from others."""
    assert refused(decoder().read(TRACES, traces(trace_id=trace_id))) == (
        0, 0, 1, ("a trace id is not 16 bytes, or all zero (1)",),
    )  # fmt: skip


@pytest.mark.parametrize("span_id", [b"", bytes(8), SPAN_ID[:7], SPAN_ID + b"x"])
def test_a_span_without_a_valid_span_id(span_id: bytes) -> None:
    """It could not be told from others."""
    assert refused(decoder().read(TRACES, traces(span_id=span_id))) == (
        0, 0, 1, ("a span id is not 8 bytes, or all zero (1)",),
    )  # fmt: skip


def test_times() -> None:
    """A span without a beginning happened when it ended; without both, and a log event without both of its times, there
    is nothing that each delivery could be told by."""
    read = decoder().read
    (row,) = read(TRACES, traces(start=0, end=NOW_NS)).rows
    assert (row[3], row[7]) == (NOW_NS // 1_000_000, None)
    (row,) = read(TRACES, traces(start=NOW_NS, end=0)).rows
    assert (row[3], row[7]) == (NOW_NS // 1_000_000, None)
    (row,) = read(LOGS, logs(time_unix_nano=0, observed_time_unix_nano=NOW_NS)).rows
    assert row[3] == NOW_NS // 1_000_000
    (row,) = read(TRACES, traces(start=2**64 - 1, end=2**64 - 1)).rows
    assert row[3] == (2**64 - 1) // 1_000_000
    assert refused(read(TRACES, traces(start=0, end=0))) == (0, 0, 1, ("an event has no time (1)",))
    assert refused(read(LOGS, logs(time_unix_nano=0))) == (0, 0, 1, ("an event has no time (1)",))


@pytest.mark.parametrize("kind", ["", " \t", None])
def test_an_event_without_a_type(kind: Any) -> None:
    """Of our scope, or with the attribute that says it is an event."""
    assert refused(decoder().read(TRACES, traces({"usage.event.type": kind}))) == (
        0,
        0,
        1,
        ("an event has no type (1)",),
    )
    assert refused(decoder().read(TRACES, traces({}))) == (0, 0, 1, ("an event has no type (1)",))
    assert refused(decoder().read(LOGS, logs({}, event_name="usage."))) == (0, 0, 1, ("an event has no type (1)",))


def test_what_is_somebody_elses_is_let_pass() -> None:
    """Neither kept nor refused, even with ids that are none; its attributes are not looked at."""
    foreign = traces({"http.route": "/x"}, scope="http", trace_id=b"")
    assert refused(decoder().read(TRACES, foreign)) == (0, 1, 0, ())
    assert refused(decoder().read(LOGS, logs({"a": 1}, scope="http", event_name="exception"))) == (0, 1, 0, ())


def test_one_bad_span_does_not_cost_the_others() -> None:
    """The rest of the request is taken; the reasons are counted, the most frequent first."""
    request = traces()
    spans = request.resource_spans[0].scope_spans[0].spans
    for n in range(3):
        spans.add().CopyFrom(spans[0])
        spans[-1].span_id = bytes(8) if n else b"x"
    spans.add().CopyFrom(spans[0])
    spans[-1].start_time_unix_nano = spans[-1].end_time_unix_nano = 0
    decoded = decoder().read(TRACES, request)
    assert refused(decoded) == (
        1, 0, 4, ("a span id is not 8 bytes, or all zero (3)", "an event has no time (1)"),
    )  # fmt: skip


def test_a_call_with_too_many_artifacts() -> None:
    """Up to the limit each is an event."""
    many = {**BASE, "usage.item.artifact.name": ["a"] * 5}
    assert len(decoder(limits=Limits(artifacts=5)).read(TRACES, traces(many)).rows) == 5
    assert refused(decoder(limits=Limits(artifacts=4)).read(TRACES, traces(many))) == (
        0, 0, 1, ("a call has more than 4 artifacts (1)",),
    )  # fmt: skip


def test_what_is_repeated_for_each_artifact_is_bounded() -> None:
    """A small request can't become a huge one: of one call, and of all together."""
    wide = {**BASE, "usage.item.artifact.name": ["a"] * 100, "usage.metadata.text": "x" * 4000}
    request = traces(wide)
    spans = request.resource_spans[0].scope_spans[0].spans
    assert refused(decoder(limits=Limits(repeated=300_000)).read(TRACES, request)) == (
        0, 0, 1, ("what a call's artifacts have in common is too large to be repeated for each (1)",),
    )  # fmt: skip
    for _ in range(2):
        spans.add().CopyFrom(spans[0])
    assert len(decoder(limits=Limits(repeated=1_000_000)).read(TRACES, request).rows) == 300
    with pytest.raises(TooManyError, match="too large"):
        decoder(limits=Limits(repeated=500_000)).read(TRACES, request)


def test_attributes_beyond_the_limit_are_left_out_and_told() -> None:
    """The first ones are kept."""
    many = {**BASE, **{f"usage.metadata.k{n}": n for n in range(10)}}
    (row,) = decoder(limits=Limits(attributes=5)).read(TRACES, traces(many)).rows
    assert row[6] == {"k0": 0, "k1": 1, "usagetrace_left_out": ["8 attributes"]}


@pytest.mark.parametrize("limits", [Limits(members=2), Limits(rows=2)])
def test_more_than_a_request_may_have(limits: Limits) -> None:
    """It is refused whole: sent in parts it would be taken."""
    request = traces()
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add().CopyFrom(spans[0])
    assert len(decoder(limits=limits).read(TRACES, request).rows) == 2
    spans.add().CopyFrom(spans[0])
    with pytest.raises(TooManyError, match=r"a request may (have|become) 2"):
        decoder(limits=limits).read(TRACES, request)


@pytest.mark.parametrize("signal", [TRACES, METRICS, LOGS])
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05", b"not protobuf", b"\x0a\x02\x12\x7f"])
def test_what_can_not_be_parsed(signal: str, body: bytes) -> None:
    """Whichever signal, and the text says nothing of what stood there."""
    with pytest.raises(MalformedError) as caught:
        decoder().decode(signal, body)
    assert "not a valid" in str(caught.value)


def test_damage_inside_an_attribute_is_damage_of_the_request() -> None:
    """Also where the parser of the request did not look into it."""
    body = traces().SerializeToString()
    broken = body.replace(b"usage.artifact.name\x12\x08\x0a\x06", b"usage.artifact.name\x12\x08\x0a\x60")
    assert broken != body
    with pytest.raises(MalformedError):
        decoder().decode(TRACES, broken)
    with pytest.raises(MalformedError):
        decoder().decode(TRACES, body.replace(b"canvas", b"can\xff\xfes"))


def test_an_empty_request_holds_nothing() -> None:
    """That is how endpoints are tried out."""
    for signal in (TRACES, METRICS, LOGS):
        assert decoder().decode(signal, b"") == Decoded()
        assert decoder().decode(signal, b"{}", json=True) == Decoded()


def test_another_signal() -> None:
    """A mistake of the caller's."""
    with pytest.raises(ValueError, match="profiles"):
        decoder().decode("profiles", b"")


def test_texts_that_are_too_long_to_be_looked_at() -> None:
    """They are left out, wherever they stand, with a note of their length; the event is kept."""
    long = "x " * 200_000
    attributes = {**BASE, "usage.artifact.name": long, "usage.metadata.a": long, "usage.metadata.b": [{"c": long}]}
    (row,) = decoder().read(TRACES, traces(attributes, service=long)).rows
    note = "[left out: 400000 characters]"
    assert (row[1], row[6], row[13]) == (note, {"a": note, "b": [{"c": note}]}, note)
    items = {**BASE, "usage.item.artifact.name": ["a", long], f"usage.metadata.{long}": 1}
    assert [(row[1], row[6]) for row in decoder().read(TRACES, traces(items)).rows] == [
        ("a", {note: 1}),
        (note, {note: 1}),
    ]

"""Rows to OTLP and back: what arrives is what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.otlp.otlp_requests import decoder, redactor
from usagetrace.errors import RedactionError
from usagetrace.events import Event
from usagetrace.otlp.decode import LOGS, TRACES
from usagetrace.otlp.encode import Encoded, encode
from usagetrace.redaction import Redactor
from usagetrace.redaction.shared import ClosedRedactor
from usagetrace.store.deliveries import StoredEvent

REDACTOR = redactor()
DECODER = decoder(redactor=REDACTOR)
EVENT = Event(
    "deploy", "canvas", "skill", 1_700_000_000_123, "main", "~/shop", {"version": "1.2"}, 2.5, "ok", None, "usage",
    "normal", "s-1", "shop", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", None,
)  # fmt: skip

words = st.text("abcdefghijklmnopqrstuvwxyzäößλ -", max_size=12).map(str.strip).filter(lambda w: REDACTOR.text(w) == w)
keys = st.sampled_from(["version", "sha", "query", "rank", "result", "outcome", "x y", "größe", "a.b"])
some_words = words.filter(bool)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | numbers | words
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner | st.none(), max_size=3) | st.dictionaries(keys, inner | st.none(), max_size=3),
    max_leaves=6,
)
outcomes = st.sampled_from(["conflict", "cancelled", "success", "error", "other"])
ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
trace_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")


def metadata(of: Any) -> Any:
    """Return tables of metadata with such values."""
    return st.none() | st.dictionaries(keys, of | outcomes, min_size=1, max_size=4)


@st.composite
def some_calls(draw: Any) -> list[tuple[Any, ...]]:
    """Return the rows of one call, as tracking makes them."""
    kind = draw(st.sampled_from(["one", "many", "gaps"]))
    status = draw(st.sampled_from(["ok", "error", "abandoned"]))
    duration = None if status == "abandoned" else draw(st.none() | st.integers(1, 10**15).map(lambda ns: ns / 1e6))
    shared = (draw(some_words), draw(st.integers(1, 10**13)))
    last = (
        draw(some_words), draw(some_words), draw(st.none() | some_words), draw(st.none() | words),
        draw(trace_ids), draw(ids),
    )  # fmt: skip

    def row(own: dict[str, Any] | None, item: int | None, ended: str) -> tuple[Any, ...]:
        failed = draw(st.none() | some_words) if ended == "error" else None
        return (
            shared[0], draw(words), draw(words), shared[1], draw(st.none() | some_words), draw(st.none() | some_words),
            own, duration, ended, failed, *last, item,
        )  # fmt: skip

    if kind == "one":
        return [row(draw(metadata(values | st.none())), None, status)]
    places = draw(st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True).map(sorted))
    if kind == "many":
        places = list(range(len(places)))
    ends = st.just(status) if status == "abandoned" else st.sampled_from(["ok", "error"])
    return [row(draw(metadata(values)), place, draw(ends)) for place in places]


def sent(rows: list[tuple[Any, ...]], store_id: str = "store") -> Encoded:
    """Return the requests for some rows."""
    return encode([StoredEvent(n, row) for n, row in enumerate(rows, 1)], store_id=store_id, redactor=REDACTOR)


def received(encoded: Encoded) -> list[tuple[Any, ...]]:
    """Return what a receiver makes of requests: the spans' rows, then those of log events."""
    rows: list[tuple[Any, ...]] = []
    for signal, body in ((TRACES, encoded.traces), (LOGS, encoded.logs)):
        decoded = DECODER.decode(signal, body or b"")
        assert (decoded.ignored, decoded.rejected, decoded.reasons) == (0, 0, ())
        rows += decoded.rows
    return rows


def told_apart(rows: list[tuple[Any, ...]]) -> list[str]:
    """Return rows in a fixed order and form, in which True is not 1, nor 1 1.0."""
    return sorted(
        repr([dict(sorted(each.items())) if isinstance(each, dict) else each for each in row]) for row in rows
    )


@settings(max_examples=3000)
@given(st.lists(some_calls(), max_size=4))
def test_rows_come_back_as_they_were(calls: list[list[tuple[Any, ...]]]) -> None:
    """Whatever calls there are: one artifact or many, some missing, with or without duration, abandoned or failed."""
    # Each call has an id of its own.
    rows = [(*row[:15], f"{n:016x}", row[16]) for n, call in enumerate(calls, 1) for row in call]
    assert told_apart(received(sent(rows))) == told_apart(rows)


@settings(max_examples=3000)
@given(some_calls(), st.text(max_size=40), st.dictionaries(st.text(min_size=1, max_size=20), st.text(), max_size=3))
def test_what_was_redacted_once_comes_back_as_it_is(call: Any, text: str, table: dict[str, str]) -> None:
    """Any text: what a receiver made of it, it makes of it again."""
    rows = [(*row[:1], text, *row[2:6], {**(row[6] or {}), **table} or None, *row[7:]) for row in call]
    once = received(sent(rows))
    assert told_apart(received(sent(once))) == told_apart(once)


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        (None, "b7ad6b7169203331"),
        (None, None),
        ("0af7651916cd43dd8448eb211c80319c", None),
        ("no id", "zz"),
        ("0" * 32, "0" * 16),
    ],
)
@pytest.mark.parametrize("duration", [2.5, None])
def test_ids_that_are_missing_are_the_same_at_each_delivery(trace_id: Any, span_id: Any, duration: Any) -> None:
    """They are made of what the event has, or of the store's id and its own; two events never share them."""
    event = EVENT._replace(trace_id=trace_id, span_id=span_id, duration_ms=duration)
    (first,), (again,) = received(sent([event])), received(sent([event]))
    assert first == again
    assert first[:14] == tuple(event)[:14]
    other_store = received(sent([event], "other"))[0]
    known = span_id is not None and len(span_id) == 16 and int(span_id, 16)
    assert (first[15] == span_id) is bool(known)
    assert (other_store[14:] == first[14:]) is bool(known)
    assert bytes.fromhex(first[15])
    assert (first[14] is None) is (duration is None and trace_id is None)
    two = received(sent([event, event._replace(ts_ms=event.ts_ms + 1)]))
    assert (two[0][15] == two[1][15]) is bool(known)


def test_a_span_is_what_tracking_would_have_sent() -> None:
    """Of the scope, the resource, the kind and the names that the reference page tells."""
    encoded = sent([EVENT._replace(status="error", error_type="ValueError", metadata={"outcome": "conflict"})])
    (group,) = ExportTraceServiceRequest.FromString(encoded.traces or b"").resource_spans
    (scope,), (pair,) = group.scope_spans, group.resource.attributes
    assert (pair.key, pair.value.string_value) == ("service.name", "shop")
    assert (scope.scope.name, scope.schema_url[:28]) == ("usagetrace", "https://opentelemetry.io/sch")
    (span,) = scope.spans
    assert (span.name, span.kind, span.status.code) == ("deploy", 1, 2)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1_700_000_000_123_000_000,
        1_700_000_000_125_500_000,
    )
    assert {pair.key: pair.value.string_value for pair in span.attributes} == {
        "usage.event.type": "deploy",
        "usage.event.category": "usage",
        "usage.event.priority": "normal",
        "usage.artifact.name": "canvas",
        "usage.artifact.type": "skill",
        "usage.collection.name": "main",
        "usage.project.path": "~/shop",
        "usage.outcome": "conflict",
        "session.id": "s-1",
        "error.type": "ValueError",
    }
    assert (encoded.spans, encoded.records, encoded.logs, encoded.left_out) == (1, 0, None, ())


def test_a_point_in_time_is_a_log_event() -> None:
    """Named after its type, with its own id, and of no trace where the row is of none."""
    encoded = sent([EVENT._replace(duration_ms=None, trace_id=None, status="abandoned")])
    (group,) = ExportLogsServiceRequest.FromString(encoded.logs or b"").resource_logs
    (record,) = group.scope_logs[0].log_records
    said = {pair.key: pair.value.string_value for pair in record.attributes}
    assert (record.event_name, record.trace_id, record.severity_text) == ("usage.deploy", b"", "INFO")
    assert (said["log.record.uid"], said["usage.outcome"]) == ("b7ad6b7169203331", "abandoned")
    assert (encoded.spans, encoded.records, encoded.traces) == (0, 1, None)


def test_services_have_resources_of_their_own() -> None:
    """Events of several tools, and of none, keep apart."""
    rows = [
        EVENT._replace(service_name=name, span_id=f"{n:016x}") for n, name in enumerate(["a", "b", None, "", "a"], 1)
    ]
    encoded = sent([tuple(row) for row in rows])
    assert len(ExportTraceServiceRequest.FromString(encoded.traces or b"").resource_spans) == 4
    assert told_apart(received(encoded)) == told_apart([tuple(row) for row in rows])


@pytest.mark.parametrize("value", [2**63, -(2**70), float("nan"), float("inf"), b"\xff\x00bytes", ("a", 1), object])
def test_values_that_no_row_of_ours_has_are_sent_as_something(value: Any) -> None:
    """Another tool's database may hold anything; whatever it is, it does not stop the rest."""
    ((event),) = received(sent([EVENT._replace(metadata={"odd": value, "even": 2})]))
    assert event[6]["even"] == 2
    assert isinstance(event[6]["odd"], str | list)


def test_an_event_that_can_not_be_redacted_is_left_out_and_named() -> None:
    """The others are sent."""

    class Choosy(Redactor):
        def walk(self, key: str, value: object, care: Any) -> object:
            if value == "planted":
                raise RedactionError("planted")
            return super().walk(key, value, care)

    rows = [EVENT._replace(artifact_name="planted"), EVENT._replace(metadata={"of": ["planted"]}), EVENT]
    encoded = encode([StoredEvent(n, row) for n, row in enumerate(rows, 1)], store_id="s", redactor=Choosy("", "", ""))
    assert encoded.left_out == (1,)
    assert [row[1] for row in received(encoded)] == ["canvas", "canvas"]
    closed = encode([StoredEvent(7, EVENT)], store_id="s", redactor=ClosedRedactor())
    assert (closed.traces, closed.logs, closed.left_out) == (None, None, (7,))


def test_artifacts_are_redacted_one_by_one() -> None:
    """A name that looks like a flag says nothing of the next artifact's."""
    rows = [tuple(EVENT._replace(artifact_name=name, item=n)) for n, name in enumerate(["--token", "canvas"])]
    assert received(sent(rows)) == rows

"""An event as JSON text: it comes back, values that JSON has not are defined, broken texts are told with the place."""

from __future__ import annotations

import json
import math
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.errors import EventError
from usagetrace.events import CATEGORIES, Category, Event, Priority, Status

from .payload_strategies import JSON, KEYS  # isort: skip

# Lone surrogates as well: an event should have none, and its text has to hold them nevertheless.
TEXT = st.text('aZ09 "\\/\n\0\u00e9\u2028\U0001f600\ud800', max_size=10)
MAYBE = st.none() | TEXT
EVENTS = st.builds(
    Event,
    event_type=st.sampled_from(sorted(CATEGORIES)) | TEXT,
    artifact_name=TEXT,
    artifact_type=TEXT,
    ts_ms=st.integers(),
    collection_name=MAYBE,
    project_path=MAYBE,
    metadata=st.none() | st.dictionaries(KEYS | TEXT, JSON, max_size=4),
    duration_ms=st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(min_value=0),
    status=st.sampled_from([member.value for member in Status]),
    error_type=MAYBE,
    category=st.sampled_from([member.value for member in Category]),
    priority=st.sampled_from([member.value for member in Priority]),
    session_id=MAYBE,
    service_name=MAYBE,
    trace_id=MAYBE,
    span_id=MAYBE,
    item=st.none() | st.integers(min_value=0),
)


@given(event=EVENTS)
def test_an_event_comes_back_from_its_text(event: Event) -> None:
    """The text is one line of ASCII that reads back to an equal event, from text or bytes."""
    text = event.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert Event.from_json(text) == event == Event.from_json(text.encode())
    assert Event.from_json(text).to_json() == text
    # Strict JSON: no NaN, no infinity.
    json.loads(text, parse_constant=pytest.fail)


def test_what_has_its_default_is_left_out() -> None:
    """A plain event is a short text, and empty metadata is not the same as none."""
    assert Event("deploy", "canvas", "skill", 1).to_json() == (
        '{"event_type":"deploy","artifact_name":"canvas","artifact_type":"skill","ts_ms":1}'
    )
    empty = Event("deploy", "canvas", "skill", 1, metadata={})
    assert Event.from_json(empty.to_json()).metadata == {}


class Size(Enum):
    """An enum of somebody's own."""

    LARGE = "large"


class Named:
    """An object with a text of its own."""

    def __str__(self) -> str:
        return "a name"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        ([-math.inf, 1.5], ["-inf", 1.5]),
        ((1, (2,)), [1, [2]]),
        (set("usagetrace"), sorted(set("usagetrace"))),
        (Size.LARGE, "large"),
        (PurePosixPath("/srv/app"), "/srv/app"),
        (b"caf\xc3\xa9 \xff", "caf\u00e9 \ufffd"),
        (Named(), "a name"),
        (1j, "1j"),
        ({1: {None: True}, Size.LARGE: 2}, {"1": {"None": True}, "large": 2}),
        (10**30, 10**30),
        pytest.param(10**5000, "16610-bit number", id="too long to write out"),
    ],
)
def test_values_that_json_has_not_become_texts_and_lists(value: Any, expected: Any) -> None:
    """What any other object becomes is defined, and comes back unchanged from then on."""
    once = Event.from_json(Event("x", "a", "b", 0, metadata={"value": value}).to_json())
    assert once.metadata == {"value": expected}
    assert Event.from_json(once.to_json()) == once


@pytest.mark.parametrize("duration", [math.nan, math.inf, -math.inf])
def test_a_duration_that_is_not_finite_is_unknown(duration: float) -> None:
    """No duration is written where it is no number."""
    assert Event.from_json(Event("x", "a", "b", 0, duration_ms=duration).to_json()).duration_ms is None


def test_metadata_that_holds_itself_ends_somewhere() -> None:
    """A table that is its own value is written to a depth that nobody needs."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    text = Event("x", "a", "b", 0, metadata=loop).to_json()
    assert text.endswith('"dict of 1"' + "}" * 101)
    assert Event.from_json(text).to_json() == text


PLAIN = Event("deploy", "canvas", "skill", 1, metadata={"a": [1]}).to_json()
SECRET = "zq" + "x7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: not JSON"),
        (PLAIN[:-9], "line 1, column"),
        (PLAIN.replace(",", ",\n,", 1), "line 2, column 1: not JSON"),
        (PLAIN.replace("[1]", "NaN"), "not JSON: NaN is no number"),
        (PLAIN.replace("[1]", "-Infinity"), "not JSON: -Infinity is no number"),
        (PLAIN.replace("[1]", "1" * 5000), "a number is too long"),
        ("[" * 100_000, "nested too deeply"),
        (b'{"event_type": "\xff"}', "byte 16: not UTF-8"),
        ("[1]", "expected an object, got list"),
        ("null", "expected an object, got NoneType"),
        ("{}", "event_type: missing; artifact_name: missing; artifact_type: missing; ts_ms: missing"),
    ],
)
def test_what_is_no_event_is_told_with_the_place(text: str | bytes, message: str) -> None:
    """A text that is cut, or not JSON, or another object, gives an error that says where or what."""
    with pytest.raises(EventError) as caught:
        Event.from_json(text)
    assert message in str(caught.value)


WRONG = {
    "event_type": 1, "artifact_name": None, "artifact_type": [SECRET], "ts_ms": 1.5, "collection_name": {SECRET: 1},
    "metadata": [SECRET], "duration_ms": SECRET, "status": SECRET, "category": [], "priority": None, "trace_id": True,
    "item": False,
}  # fmt: skip


def test_every_field_that_is_wrong_is_named_and_no_value_is_shown() -> None:
    """One error names all the fields with what was expected; keys that an event has not are counted."""
    with pytest.raises(EventError) as caught:
        Event.from_json(json.dumps({**WRONG, SECRET: 1, SECRET * 2: 2}))
    said = str(caught.value)
    assert [name for name in WRONG if f"{name}: expected " in said] == list(WRONG)
    assert "2 of its keys are no fields of an event" in said
    assert SECRET not in said


@given(text=st.text('{}[]":,0123456789truefalsnx \\', max_size=30))
def test_any_text_gives_an_event_or_an_error_of_ours(text: str) -> None:
    """Nothing but an EventError comes out of a text that is no event."""
    with pytest.raises(EventError):
        Event.from_json(text)

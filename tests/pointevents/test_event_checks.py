"""``usagetrace.event``: what is recorded of an event that fits its type, and what becomes of one that does not."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

import usagetrace
from usagetrace import payloads, point_events
from usagetrace.events import Event
from usagetrace.payloads import Business, BusinessMetric, ErrorPayload
from usagetrace.redaction import default_redactor
from usagetrace.testing import capture_events
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

TOKENS = Business(BusinessMetric.INPUT_TOKENS, 1200, "tokens", model="small")
NOW_S = 1_800_000_000.0


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Catch what is recorded."""
    with capture_events() as caught:
        yield caught


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """Return the warnings so far, as texts."""
    caplog.set_level(logging.WARNING, "usagetrace")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """Stop the clock that times are checked against."""
    monkeypatch.setattr(point_events, "time_ns", lambda: int(NOW_S * 1e9))
    return NOW_S


def test_a_payload_becomes_metadata(events: list[Event], said: Any) -> None:
    """All fields arrive in their columns; the payload's keys are metadata, and keys of its own go before them."""
    assert usagetrace.event(
        "tokens_consumed",
        TOKENS,
        artifact_name="small",
        artifact_type="model",
        collection_name="chat",
        project_path="/srv/shop",
        session_id="s1",
        metadata={"model": "large", "request": 7},
    )
    (event,) = events
    assert (event.event_type, event.category, event.priority) == ("tokens_consumed", "business", "high")
    assert (event.artifact_name, event.artifact_type, event.collection_name) == ("small", "model", "chat")
    assert (event.project_path, event.session_id, event.duration_ms, event.status) == ("shop", "s1", None, "ok")
    assert event.metadata == {
        "metric_type": "input_tokens", "value": 1200, "unit": "tokens", "model": "large", "request": 7,
    }  # fmt: skip
    assert said() == []


def test_a_mapping_does_as_well(events: list[Event], said: Any) -> None:
    """A payload may be given by its keys; a member of an enum may name the type."""

    class Kind(str, Enum):
        TOKENS = "tokens_consumed"

    assert usagetrace.event(Kind.TOKENS, payloads.to_metadata(TOKENS))
    assert [(event.event_type, (event.metadata or {})["value"]) for event in events] == [("tokens_consumed", 1200)]
    assert said() == []


@pytest.mark.parametrize("strict", [None, False, True])
def test_an_unknown_type(events: list[Event], said: Any, strict: bool | None) -> None:
    """It is recorded as a custom one, or refused where the call is strict; one warning says which, and names it."""
    results = [usagetrace.event("page_opened", {"page": "start"}, strict=strict) for _ in range(3)]
    assert results == [strict is not True] * 3
    assert [event.category for event in events] == ([] if strict else ["custom"] * 3)
    (warning,) = said()
    assert "page_opened" in warning
    assert ("it is refused" in warning) is bool(strict)


class Odd:
    """An object that has neither a truth nor a text, as an array has no truth."""

    def __bool__(self) -> bool:
        raise ValueError("planted")

    def __str__(self) -> str:
        raise ValueError("planted")


@dataclass
class Knot:
    """A payload of somebody's own that may hold itself."""

    name: str
    inside: list[Any] = field(default_factory=list)


def test_one_odd_value_does_not_cost_the_event(events: list[Event]) -> None:
    """What a payload holds beside a key or a value that can't be read is recorded, of an error as well."""
    knot = Knot("a")
    knot.inside.append(knot)
    assert usagetrace.event("error_occurred", {"error_type": Odd(), "code": "E1", "message": "m"})
    assert usagetrace.event("error_occurred", {"error_type": Odd(), "code": Odd(), "message": "m"})
    assert usagetrace.event("page_opened", {Odd(): 1, "page": "start"})
    assert usagetrace.event("page_opened", knot)
    found = [(event.error_type, (event.metadata or {})) for event in events]
    assert [error for error, _ in found] == ["E1", "_OTHER", None, None]
    assert [metadata.get("message") for _, metadata in found[:2]] == ["m", "m"]
    assert found[2][1] == {"page": "start"}
    assert found[3][1]["name"] == "a"
    assert found[3][1]["inside"][0]["name"] == "a"


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"metric_type": "input_tokens", "value": "planted", "unit": "tokens"}, "value: expected a number, got str"),
        ({"metric_type": "input_tokens", "value": 3}, "unit: missing"),
        (Business("planted", 3, "tokens"), "metric_type: expected one of"),  # type: ignore[arg-type]
        (ErrorPayload("E1", "planted"), "payload: expected Business, got ErrorPayload"),
        (object(), "payload: expected a payload or a mapping, got object"),
    ],
)
def test_a_payload_that_does_not_fit(
    events: list[Event], said: Any, payload: object, field: str, strict: bool | None
) -> None:
    """It is recorded all the same, unless the call is strict; one warning names type and field, and no value."""
    results = [usagetrace.event("tokens_consumed", payload, strict=strict) for _ in range(2)]
    assert results == [not strict] * 2
    assert len(events) == (0 if strict else 2)
    warnings = [warning for warning in said() if field.partition(":")[0] in warning]
    assert len(warnings) == 1
    assert f"tokens_consumed: {field}" in warnings[0]
    assert not any("planted" in warning for warning in said())


class Broken(Mapping[str, Any]):
    """A mapping that raises when somebody looks into it."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("planted")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("planted")

    def __len__(self) -> int:
        return 1


def test_a_payload_that_can_not_be_read(events: list[Event], said: Any) -> None:
    """It costs its keys, and not the event; metadata beside it stays."""
    assert usagetrace.event("tokens_consumed", Broken(), metadata={"request": 7})
    assert [event.metadata for event in events] == [{"request": 7}]
    assert usagetrace.event("tokens_consumed", TOKENS, metadata=Broken())
    assert (events[1].metadata or {})["value"] == 1200
    assert not any("planted" in warning for warning in said())


@pytest.mark.parametrize("name", ["", "  ", "x" * 600, None, 3, b"deploy"])
def test_what_is_no_name_is_refused(events: list[Event], said: Any, name: Any) -> None:
    """With one warning, and without an exception."""
    assert usagetrace.event(name) is False
    assert events == []
    (warning,) = said()
    assert "expected the name of an event type" in warning


@pytest.mark.parametrize(
    ("ahead_s", "recorded"), [(59, True), (61, False), (86_400 * 3, False), (-86_400 * 6, True), (-86_400 * 8, True)]
)
def test_times(events: list[Event], said: Any, now: float, ahead_s: float, recorded: bool) -> None:
    """A time is kept; one in the future beyond what clocks differ is refused with the difference shown; one that is
    older than a week is told and kept."""
    moment = now + ahead_s
    assert usagetrace.event("feature_used", timestamp=moment) is recorded
    aware = datetime.fromtimestamp(moment, timezone(timedelta(hours=-5)))
    assert usagetrace.event("feature_used", timestamp=aware) is recorded
    assert usagetrace.event("feature_used", timestamp=aware.astimezone().replace(tzinfo=None)) is recorded
    assert [event.ts_ms for event in events] == [int(moment * 1000)] * (3 if recorded else 0)
    expected = [] if recorded and ahead_s > -86_400 * 7 else [True]
    assert ["in the future" in text or "days ago" in text for text in said()] == expected
    if not recorded:
        assert ("1.0 minutes" in said()[0] or "61 s" in said()[0]) is (ahead_s == 61)
        assert "60 s" in said()[0]


@pytest.mark.parametrize(
    "timestamp", ["2026-01-01", True, float("nan"), float("inf"), -5, 1e300, 10**400, datetime.min, object()]
)
def test_what_is_no_time_is_refused(events: list[Event], said: Any, timestamp: Any) -> None:
    """With one warning, and without an exception."""
    assert usagetrace.event("feature_used", timestamp=timestamp) is False
    assert events == []
    (warning,) = said()
    assert "feature_used: timestamp: " in warning


@pytest.mark.parametrize(
    ("event_type", "outcome", "expected"),
    [
        ("error_occurred", None, ("error", "E_QUOTA")),
        ("error_occurred", "success", ("ok", None)),
        ("error_occurred", KeyError("planted"), ("error", "KeyError")),
        ("warning_raised", None, ("ok", None)),
        ("warning_raised", False, ("error", "_OTHER")),
        ("feature_used", None, ("ok", None)),
    ],
)
def test_events_of_errors(
    events: list[Event], event_type: str, outcome: object, expected: tuple[str, str | None]
) -> None:
    """One of a type that is a failure has its status, and its type of error; what only looks wrong has not."""
    payload: Any = {"feature": "a", "action": "b"} if event_type == "feature_used" else ErrorPayload("E_QUOTA", "m")
    assert usagetrace.event(event_type, payload, outcome=outcome)
    (event,) = events
    assert (event.status, event.error_type) == expected


def test_everything_is_redacted(events: list[Event]) -> None:
    """Keys and values of the payload, the type of an error, and every field."""
    mail = "bo@" + "example.org"
    assert usagetrace.event(
        "error_occurred", {"code": f"for {mail}", "message": mail, mail: 1}, artifact_name=mail, session_id=mail
    )
    (event,) = events
    assert mail not in repr(event)
    assert event.error_type == "for [redacted:email]"


def test_it_counts_inside_an_operation(events: list[Event]) -> None:
    """A point in time is no part of what it happens in: both are recorded."""
    with usagetrace.track("feature_used", artifact_name="a"):
        assert usagetrace.event("feature_used", {"feature": "f", "action": "b"})
    assert len(events) == 2


def _strict(rows: list[Any]) -> Runtime:
    def take(new: list[Any]) -> bool:
        rows.extend(new)
        return True

    return Runtime(None, None, default_redactor(), record=take, strict=True)


def test_the_setting_and_the_argument(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    """``events.strict`` refuses unknown types in every call; ``strict=False`` says otherwise for one."""
    monkeypatch.setenv("USAGETRACE_STRICT_EVENTS", "true")
    rows: list[Any] = []
    with runtime.hold(_strict(rows)):
        assert usagetrace.event("page_opened") is False
        assert usagetrace.record_event("page_opened", "start", "page") is False
        assert usagetrace.event("page_opened", strict=False) is True
        assert usagetrace.record_event("page_opened", "start", "page") is False
        assert usagetrace.event("deploy") is True
    assert [row[0] for row in rows] == ["page_opened", "deploy"]
    assert len([warning for warning in said() if "refused" in warning]) == 1


@pytest.mark.parametrize("variable", ["DO_NOT_TRACK", "OTEL_SDK_DISABLED"])
def test_off_is_off(monkeypatch: pytest.MonkeyPatch, said: Any, variable: str, tmp_path: Any) -> None:
    """Nothing is recorded, and nobody is warned of what would not fit."""
    monkeypatch.setenv(variable, "true")
    assert usagetrace.event("page_opened", object(), timestamp="x") is False
    assert said() == []
    assert not list((tmp_path / "home").iterdir())

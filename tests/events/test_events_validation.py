"""Validation: what makes an event unusable, what is only odd, and that no message shows a value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.event_types import EventType
from usagetrace.events import CATEGORIES
from usagetrace.payloads import Business, Usage
from usagetrace.validation import Validation, time_problems, validate

NOW = 1_700_000_000_000
DAY = 86_400_000


@pytest.mark.parametrize(
    ("ts_ms", "expected"),
    [
        (None, Validation()),
        (NOW, Validation()),
        (NOW + 60_000, Validation()),
        (NOW + 60_001, Validation(("timestamp: 60.001 s in the future; clocks may differ by 60 s at most",))),
        (NOW + 3 * 3_600_000, Validation(("timestamp: 3.0 hours in the future; clocks may differ by 60 s at most",))),
        (NOW + 40 * DAY, Validation(("timestamp: 40.0 days in the future; clocks may differ by 60 s at most",))),
        (NOW - 7 * DAY, Validation()),
        (NOW - 7 * DAY - 1, Validation((), ("timestamp: 7.0 days ago, more than 7 days",))),
        (NOW - 30.5 * DAY, Validation((), ("timestamp: 30.5 days ago, more than 7 days",))),
        (-(10**15), Validation(("timestamp: expected a moment of the years 1 to 9999, in milliseconds since 1970",))),
        ("now", Validation(("timestamp: expected milliseconds since 1970, got str",))),
        (True, Validation(("timestamp: expected milliseconds since 1970, got bool",))),
        (float("nan"), Validation(("timestamp: expected milliseconds since 1970, got a number that is not finite",))),
        (float("inf"), Validation(("timestamp: expected milliseconds since 1970, got a number that is not finite",))),
    ],
)
def test_the_future_is_an_error_and_the_distant_past_a_warning(ts_ms: Any, expected: Validation) -> None:
    """How far an event lies in the future is said, beside what is allowed; seven days are not old, more are."""
    assert time_problems(ts_ms, now_ms=NOW) == expected
    found = validate("deploy", ts_ms=ts_ms, now_ms=NOW)
    assert (found, found.valid) == (expected, not expected.errors)


@given(ahead_ms=st.integers(-10_000_000, 10_000_000), skew_s=st.floats(0, 5000))
def test_the_allowance_decides_what_is_the_future(ahead_ms: int, skew_s: float) -> None:
    """An event is refused if and only if it lies further ahead than clocks may differ."""
    found = time_problems(NOW + ahead_ms, now_ms=NOW, clock_skew_s=skew_s)
    assert found.valid is (ahead_ms / 1000 <= skew_s)


def test_limits_are_arguments() -> None:
    """Skew and age are what the caller says."""
    assert validate("deploy", ts_ms=NOW + 90_000, now_ms=NOW, clock_skew_s=120).valid
    assert validate("deploy", ts_ms=NOW - 2 * DAY, now_ms=NOW, max_age_days=1).warnings != ()
    assert validate("deploy", ts_ms=NOW - 20 * DAY, now_ms=NOW, max_age_days=30).warnings == ()


@pytest.mark.parametrize(
    ("event_type", "payload", "errors", "warnings"),
    [
        (3, None, ("event type: expected its name, got int",), ()),
        (" ", None, ("event type: expected a name, got an empty text",), ()),
        ("deploy", 3, ("payload: expected a payload or a mapping, got int",), ()),
        ("deploy", {1: 2}, ("payload: expected text as every key",), ()),
        ("nobody_knows", {"any": "key"}, (), ()),
        ("nobody_knows", Usage("a", "b"), (), ()),
        ("cost_incurred", Business("cost_usd", "much", "USD"), (),  # type: ignore[arg-type]
         ("cost_incurred: value: expected a number, got str",)),
        (EventType("mine", payload=Usage), {"action": "b"}, (), ("mine: feature: missing; expected text",)),
    ],
)  # fmt: skip
def test_types_are_errors_and_payloads_that_do_not_fit_are_warnings(
    event_type: Any, payload: Any, errors: tuple[str, ...], warnings: tuple[str, ...]
) -> None:
    """A wrong type makes an event unusable; a payload that does not fit is said with type and field."""
    assert validate(event_type, payload, now_ms=NOW) == Validation(errors, warnings)


_SECRET = "zq" + "x7"


@given(
    name=st.sampled_from(sorted(CATEGORIES)),
    payload=st.dictionaries(
        st.sampled_from(["metric", "value", "unit", "tags", "code", "message", "feature", "user_id", "size_bytes",
                         "metric_type", "severity", "success", _SECRET]),
        st.sampled_from([_SECRET, [_SECRET], {_SECRET: _SECRET}, 1, None, {_SECRET: 1}]),
    ),
)  # fmt: skip
def test_no_message_shows_a_value_or_a_key_of_somebody_s_own(name: str, payload: dict[str, Any]) -> None:
    """Messages are made of declared names and types alone, whatever was given."""
    found = validate(name, payload, _SECRET, now_ms=NOW)  # type: ignore[arg-type]
    assert _SECRET not in " ".join((*found.errors, *found.warnings))
    assert not found.valid

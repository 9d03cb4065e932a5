"""Kind of callable x outcome x mode: what a tracked call gives its caller is what the bare call gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from tests.track.kinds import KINDS
from tests.track.modes import LOCAL, MODES, NOT_DRIVEN
from tests.track.transcripts import told
from usagetrace import track

RETURNED = object()


class Planted(BaseException):
    """An exception that no `except Exception` catches."""


def _returns() -> Any:
    return RETURNED


def _returns_nothing() -> None:
    return None


def _raises(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def _raises_from() -> Callable[[], Any]:
    planted = ValueError("planted", 2)

    def act() -> Any:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise planted from inner

    return act


# Outcome -> (makes what happens in the body, error.type or None).
OUTCOMES: dict[str, tuple[Callable[[], Callable[[], Any]], str | None]] = {
    "returns": (lambda: _returns, None),
    "returns nothing": (lambda: _returns_nothing, None),
    "raises": (lambda: _raises(ValueError("planted", 1)), "ValueError"),
    "raises from another": (_raises_from, "ValueError"),
    "raises a BaseException": (lambda: _raises(Planted("planted")), "tests.track.test_track_matrix.Planted"),
    "interrupted": (lambda: _raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "exits with 0": (lambda: _raises(SystemExit(0)), None),
    "exits without code": (lambda: _raises(SystemExit()), None),
    "exits with 3": (lambda: _raises(SystemExit(3)), "SystemExit"),
    "exits with a text": (lambda: _raises(SystemExit("failed")), "SystemExit"),
    "cancelled": (lambda: _raises(asyncio.CancelledError("planted")), "asyncio.exceptions.CancelledError"),
}


def transcript(call: Callable[[Any], Any], act: Callable[[], Any]) -> Any:
    """Call inside an exception handler, so that what is raised has a context, and tell what came out."""
    seen: list[BaseException] = []

    def noting() -> Any:
        try:
            return act()
        except BaseException as error:
            seen.append(error)
            raise

    try:
        raise LookupError("being handled")
    except LookupError:
        try:
            result = call(noting)
        except BaseException as error:
            frames = []
            traceback = error.__traceback__
            while traceback is not None:
                frames.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
            return "raised", told(error, seen[0]), frames[-2:]
        return "returned", result is RETURNED, result is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_caller_sees_no_difference(in_mode: Any, kind: str, mode: str) -> None:
    """Return value, exception identity, arguments, cause, context and innermost frames equal those of the bare call."""
    bare = KINDS[kind](lambda function: function)
    expected = {name: transcript(bare, make()) for name, (make, _error) in OUTCOMES.items()}
    with in_mode(mode):
        tracked = KINDS[kind](track("x"))
        actual = {name: transcript(tracked, make()) for name, (make, _error) in OUTCOMES.items()}
    assert actual == expected


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_is_one_span_that_tells_the_outcome(spans: Any, kind: str) -> None:
    """One call is one span; status and error.type say how it ended, and SystemExit(0) is success."""
    tracked = KINDS[kind](track("x"))
    actual, expected = {}, {}
    for name, (make, error_type) in OUTCOMES.items():
        transcript(tracked, make())
        span = spans.one()
        spans.clear()
        actual[name] = (span.name, span.status.status_code, span.attributes.get("error.type"))
        expected[name] = ("x", StatusCode.UNSET if error_type is None else StatusCode.ERROR, error_type)
    assert actual == expected


@pytest.mark.parametrize("mode", ["redactor raises", "meter raises"])
def test_a_failing_part_costs_no_event(in_mode: Any, mode: str) -> None:
    """Where the redactor or the metrics fail, the values or metrics are lost, the event is not."""

    @track.deploy
    def deploy(artifact_name: str) -> None: ...

    with in_mode(mode) as captured:
        deploy("secret name")
        assert captured.names == ["deploy"]
        assert ("secret" in captured.one().to_json()) is (mode == "meter raises")


def test_a_redactor_that_fails_at_keys_costs_no_event(in_mode: Any) -> None:
    """Where a metadata key can't be redacted, that key is dropped, the event is not."""

    @track.deploy(metadata="$options")
    def deploy(artifact_name: str, options: dict[str, str]) -> None: ...

    with in_mode("redactor raises") as captured:
        deploy("canvas", {"a": "b"})
        assert captured.names == ["deploy"]


def test_off_records_nothing(in_mode: Any) -> None:
    """Off, suppressed, and without a working tracer no span appears and no metric."""

    @track.deploy
    def deploy(artifact_name: str) -> None: ...

    recorded = {}
    for mode in MODES:
        with in_mode(mode) as captured:
            deploy("canvas")
            recorded[mode] = (len(captured.finished) + len(captured.rows), len(captured.counts()))
    silent = dict.fromkeys(NOT_DRIVEN, (0, 0))
    assert {mode: recorded[mode] for mode in silent} == silent
    # A row that can't be written is no reason not to count it in the metrics.
    assert [recorded[mode] for mode in LOCAL] == [(1, 1), (1, 1), (0, 1)]
    assert recorded["on"] == (1, 1)
    # Nor is a sampler or a processor that fails when the span starts.
    assert recorded["tracer raises"] == (0, 1)
    # A call that is sampled away still counts.
    assert recorded["unsampled"] == (0, 1)

"""Generators, asynchronous generators and coroutines, driven step by step: tracked ones behave as bare ones do.

Each law runs the same program under the same script twice and compares the transcripts: values, return values,
exceptions with class, arguments and chain, and what the program itself saw.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import assume, example, given, settings

from tests.track.modes import MODES
from tests.track.transcripts import drive, drive_async, generate, generate_async, pause, programs, run, scripts, work
from usagetrace import track

EXAMPLES = settings(max_examples=60)


def closes(script: list[Any]) -> bool:
    """Return whether a script closes, in one way or another."""
    return any(step == "close" or value == "exit generator" for step, value in script)


@pytest.mark.parametrize("mode", MODES)
def test_generator_transcripts_are_equal(in_mode: Any, mode: str) -> None:
    """A tracked generator yields, receives, raises, returns and closes at each step as the bare one does."""

    @EXAMPLES
    @given(program=programs, script=scripts)
    @example(program=[("yield", 1, "none")], script=[("next", None), ("throw", "stop")])
    @example(program=[("raise", "stop", "none")], script=[("next", None)])
    def law(program: list[Any], script: list[Any]) -> None:
        bare_log: list[Any] = []
        tracked_log: list[Any] = []
        expected = drive(generate(program, bare_log), script, bare_log)
        assert drive(track("x")(generate)(program, tracked_log), script, tracked_log) == expected

    with in_mode(mode):
        law()


CLOSING = {
    "ignores being closed, then goes on": ([("yield", 1, "swallow"), ("yield", 2, "none")], "close"),
    "yields while it is closed": ([("yield", 1, "yield")], "close"),
    "returns a value when told to exit": ([("yield", 1, "return")], "exit generator"),
    "goes on when told to exit": ([("yield", 1, "swallow"), ("yield", 2, "none")], "exit generator"),
    "raises another exception when closed": ([("yield", 1, "replace")], "close"),
    "is closed after its end": ([("return", 1, "none")], "close"),
    "just ends": ([("yield", 1, "none")], "close"),
}
# What `await` does differently: it closes the inner coroutine and ends, whatever the inner one does.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CLOSING)
def test_a_generator_that_is_closed_does_the_same(in_mode: Any, mode: str, case: str) -> None:
    """close() and throw(GeneratorExit) reach the generator's body alike, whether or not it obeys."""
    program, how = CLOSING[case]
    step = ("close", None) if how == "close" else ("throw", how)
    script = [("next", None), step, ("next", None), ("next", None)]
    bare_log: list[Any] = []
    tracked_log: list[Any] = []
    expected = drive(generate(program, bare_log), script, bare_log)
    with in_mode(mode):
        assert drive(track("x")(generate)(program, tracked_log), script, tracked_log) == expected


@pytest.mark.parametrize("mode", MODES)
def test_asynchronous_generator_transcripts_are_equal(in_mode: Any, mode: str) -> None:
    """A tracked asynchronous generator answers asend, athrow and aclose at each step as the bare one does."""

    @EXAMPLES
    @given(program=programs, script=scripts)
    @example(program=[("yield", 1, "none")], script=[("next", None), ("throw", "async stop")])
    @example(program=[("yield", 1, "swallow")], script=[("next", None), ("close", None), ("next", None)])
    @example(program=[("yield", 1, "yield")], script=[("next", None), ("close", None), ("next", None)])
    @example(program=[("yield", 1, "return")], script=[("next", None), ("throw", "exit generator")])
    def law(program: list[Any], script: list[Any]) -> None:
        bare_log: list[Any] = []
        tracked_log: list[Any] = []
        expected = drive_async(generate_async(program, bare_log), script, bare_log)
        assert drive_async(track("x")(generate_async)(program, tracked_log), script, tracked_log) == expected

    with in_mode(mode):
        law()


@pytest.mark.parametrize("mode", MODES)
def test_coroutine_transcripts_are_equal(in_mode: Any, mode: str) -> None:
    """A tracked coroutine suspends, resumes, raises and returns at each step as the bare one does."""

    @EXAMPLES
    @given(program=programs, script=scripts)
    def law(program: list[Any], script: list[Any]) -> None:
        assume(not closes(script))
        begun = [("next", None), *script]
        bare_log: list[Any] = []
        tracked_log: list[Any] = []
        expected = drive(work(program, bare_log), begun, bare_log)
        assert drive(track("x")(work)(program, tracked_log), begun, tracked_log) == expected

    with in_mode(mode):
        law()


@pytest.mark.parametrize("case", CLOSING)
def test_a_coroutine_that_is_closed_does_the_same(spans: Any, case: str) -> None:
    """close() and throw(GeneratorExit) reach a coroutine's body alike, whether or not it obeys."""
    program, how = CLOSING[case]
    step = ("close", None) if how == "close" else ("throw", how)
    script = [("next", None), step, ("next", None)]
    bare_log: list[Any] = []
    tracked_log: list[Any] = []
    expected = drive(work(program, bare_log), script, bare_log)
    assert drive(track("x")(work)(program, tracked_log), script, tracked_log) == expected


def test_a_generator_that_runs_already_says_so(spans: Any) -> None:
    """Stepping a generator from inside itself raises the ValueError that a bare one raises."""

    def reenter(box: list[Any]) -> Generator[Any, None, None]:
        yield next(box[0])

    def message(function: Any) -> str:
        box: list[Any] = []
        box.append(function(box))
        with pytest.raises(ValueError, match="already executing") as caught:
            next(box[0])
        return str(caught.value)

    assert message(track("x")(reenter)) == message(reenter)


def test_generator_state_is_what_inspect_expects(spans: Any) -> None:
    """inspect.getgeneratorstate tells the same of a tracked generator in each of its states."""

    def states(function: Any) -> list[str]:
        generator = function([("yield", 1, "none")], [])
        seen = [inspect.getgeneratorstate(generator)]
        for _ in range(2):
            next(generator, None)
            seen.append(inspect.getgeneratorstate(generator))
        return seen

    assert states(track("x")(generate)) == states(generate) == ["GEN_CREATED", "GEN_SUSPENDED", "GEN_CLOSED"]


def test_objects_carry_the_names_of_their_functions(spans: Any) -> None:
    """Generators and coroutines of tracked functions are called what those of the bare function are called."""
    for function in (generate, generate_async, work):
        bare, tracked = function([], []), track("x")(function)([], [])
        assert (tracked.__name__, tracked.__qualname__) == (bare.__name__, bare.__qualname__)
        assert type(tracked) is type(bare)
        if function is work:
            for machine in (bare, tracked):
                run(machine)


@pytest.mark.parametrize("mode", MODES)
def test_thrown_exceptions_reach_an_awaiting_body(in_mode: Any, mode: str) -> None:
    """An exception thrown while an asynchronous generator awaits arrives inside it, the same object."""

    async def body(seen: list[BaseException]) -> Any:
        try:
            await pause("deep")
        except ValueError as error:
            seen.append(error)
        yield "after"

    def throw(function: Any) -> tuple[bool, Any]:
        seen: list[BaseException] = []
        machine = function(seen)
        steps = machine.__anext__()
        assert steps.send(None) == "deep"
        planted = ValueError("planted")
        with pytest.raises(StopIteration) as stop:
            steps.throw(planted)
        run(machine.aclose())
        return seen[0] is planted, stop.value.value

    with in_mode(mode):
        assert throw(track("x")(body)) == throw(body) == (True, "after")

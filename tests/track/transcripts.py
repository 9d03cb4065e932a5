"""Small programs for generators and coroutines, and the transcript of what happens when they are driven.

A program is a list of ``(action, value, handler)``; a script is a list of steps. The same program, bare and tracked,
must give the same transcript under the same script.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from hypothesis import strategies as st

ERRORS = {
    "value": lambda: ValueError("planted", 1),
    "stop": lambda: StopIteration(7),
    "async stop": lambda: StopAsyncIteration("planted"),
    "exit generator": lambda: GeneratorExit(),
    "interrupt": lambda: KeyboardInterrupt("planted"),
    "exit": lambda: SystemExit(3),
    "cancel": lambda: asyncio.CancelledError("planted"),
}
HANDLERS = ("none", "swallow", "replace", "return", "yield")

_errors = st.sampled_from(sorted(ERRORS))
_handlers = st.sampled_from(HANDLERS)
_actions = st.one_of(
    st.tuples(st.just("yield"), st.integers(0, 9), _handlers),
    st.tuples(st.just("raise"), _errors, _handlers),
    st.tuples(st.just("return"), st.integers(0, 9), st.just("none")),
    st.tuples(st.just("delegate"), st.integers(0, 3), _handlers),
)
programs = st.lists(_actions, max_size=5)
_steps = st.one_of(
    st.tuples(st.just("next"), st.none()),
    st.tuples(st.just("send"), st.integers(0, 9)),
    st.tuples(st.just("throw"), _errors),
    st.tuples(st.just("close"), st.none()),
)
scripts = st.lists(_steps, max_size=7)


@types.coroutine
def pause(value: Any) -> Generator[Any, Any, Any]:
    """Suspend whoever awaits this, as a future does."""
    return (yield value)


def handled(handler: str, error: BaseException, log: list[Any]) -> bool:
    """Note an exception and do as the handler says; return whether the program goes on."""
    log.append(("caught", type(error).__name__, error.args))
    if handler == "replace":
        raise KeyError("replaced") from error
    return handler == "swallow"


def generate(program: list[Any], log: list[Any]) -> Generator[Any, Any, Any]:
    """Run a program as a generator."""
    for action, value, handler in program:
        try:
            if action == "yield":
                log.append(("received", (yield value)))
            elif action == "raise":
                raise ERRORS[value]()
            elif action == "return":
                return value
            else:
                yield from range(value)
        except BaseException as error:
            if handled(handler, error, log):
                continue
            if handler == "return":
                return "early"
            if handler == "yield":
                log.append(("received in handler", (yield "handling")))
            raise
    return "end"


async def generate_async(program: list[Any], log: list[Any]) -> AsyncGenerator[Any, Any]:
    """Run a program as an asynchronous generator; ``delegate`` awaits."""
    for action, value, handler in program:
        try:
            if action == "yield":
                log.append(("received", (yield value)))
            elif action == "raise":
                raise ERRORS[value]()
            elif action == "return":
                return
            else:
                for number in range(value):
                    log.append(("awaited", await pause(number)))
        except BaseException as error:
            if handled(handler, error, log):
                continue
            if handler == "return":
                return
            if handler == "yield":
                log.append(("received in handler", (yield "handling")))
            raise


async def work(program: list[Any], log: list[Any]) -> Any:
    """Run a program as a coroutine; ``yield`` awaits once, ``delegate`` often."""
    for action, value, handler in program:
        try:
            if action == "raise":
                raise ERRORS[value]()
            if action == "return":
                return value
            for number in range(value if action == "delegate" else 1):
                log.append(("awaited", await pause(number)))
        except BaseException as error:
            if handled(handler, error, log):
                continue
            if handler == "return":
                return "early"
            if handler == "yield":
                log.append(("awaited in handler", await pause("handling")))
            raise
    return "end"


def told(error: BaseException | None, thrown: BaseException | None, depth: int = 4) -> Any:
    """Return what can be said of an exception: class, arguments, whether it is the thrown one, and its chain."""
    if error is None or depth == 0:
        return None
    chain = (told(error.__cause__, thrown, depth - 1), told(error.__context__, thrown, depth - 1))
    return (type(error), error.args, error is thrown, error.__suppress_context__, chain)


def drive(machine: Any, script: list[Any], log: list[Any]) -> list[Any]:
    """Drive a generator or coroutine through a script and return what happened at each step."""
    transcript: list[Any] = []
    for step, value in script:
        thrown = ERRORS[value]() if step == "throw" else None
        try:
            if step == "next":
                outcome = ("value", machine.send(None))
            elif step == "send":
                outcome = ("value", machine.send(value))
            elif thrown is not None:
                outcome = ("value", machine.throw(thrown))
            else:
                outcome = ("closed", machine.close())
        except StopIteration as stop:
            outcome = ("stop", (stop.value, stop is thrown))
        except BaseException as error:
            outcome = ("error", told(error, thrown))
        transcript.append((step, value, outcome, list(log)))
    finish(lambda: machine.send(None), machine.close)
    return transcript


def drive_async(machine: AsyncGenerator[Any, Any], script: list[Any], log: list[Any]) -> list[Any]:
    """Drive an asynchronous generator through a script and return what happened at each step."""
    transcript: list[Any] = []
    for step, value in script:
        thrown = ERRORS[value]() if step == "throw" else None
        if step == "next":
            awaitable: Any = machine.__anext__()
        elif step == "send":
            awaitable = machine.asend(value)
        else:
            awaitable = machine.athrow(thrown) if thrown is not None else machine.aclose()
        transcript.append((step, value, awaited(awaitable, thrown), list(log)))
    finish(lambda: run(machine.__anext__()), lambda: run(machine.aclose()))
    return transcript


def awaited(awaitable: Any, thrown: BaseException | None) -> Any:
    """Run an awaitable to its end and return what it paused for and how it ended."""
    pauses: list[Any] = []
    try:
        return ("value", run(awaitable, pauses), pauses)
    except BaseException as error:
        return ("error", told(error, thrown), pauses)


def run(awaitable: Any, pauses: list[Any] | None = None) -> Any:
    """Run an awaitable to its end without an event loop, as far as it awaits :func:`pause` alone."""
    steps = awaitable.__await__()
    while True:
        try:
            paused = next(steps)
        except StopIteration as stop:
            return stop.value
        if pauses is not None:
            pauses.append(paused)


def finish(step: Callable[[], Any], close: Callable[[], Any]) -> None:
    """Run a machine to its end, so that nothing is left for the garbage collector to report."""
    for _ in range(30):
        try:
            step()
        except BaseException:
            break
    with contextlib.suppress(BaseException):
        close()

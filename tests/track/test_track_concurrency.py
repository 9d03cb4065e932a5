"""Tasks, threads, contexts and interleaving: what runs beside a tracked call is not mixed up with it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from tests.track.modes import MODES
from usagetrace import track

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def current() -> str:
    """Return the name of the current span, or nothing."""
    return getattr(trace.get_current_span(), "name", "")


# --- cancellation ----------------------------------------------------------------------------------------------


async def cancel_outcome(function: Callable[..., Any]) -> list[Any]:
    """Cancel a task that waits in the function; tell what the function and its waiter saw."""
    seen: list[Any] = []

    async def waits() -> None:
        await function(seen)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        seen.append(("waiter", error.args))
    return [*seen, task.cancelled()]


@pytest.mark.parametrize("mode", MODES)
async def test_cancellation_arrives_as_it_would_without_us(in_mode: Any, mode: str) -> None:
    """A cancelled task raises CancelledError at the await inside the function, with its message."""

    async def wait(seen: list[Any]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(("body", error.args))
            raise

    expected = await cancel_outcome(wait)
    with in_mode(mode):
        assert await cancel_outcome(track("x")(wait)) == expected


async def test_cancelled_call_is_an_error_of_its_own_type(spans: Any) -> None:
    """A cancelled call ends its span with error.type CancelledError."""

    @track("x")
    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spans.attributes()["error.type"] == "asyncio.exceptions.CancelledError"


async def test_swallowed_cancellation_is_swallowed(spans: Any) -> None:
    """A function that answers a cancellation with a value returns that value."""

    @track("x")
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "still here"
        return "never"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "still here"
    assert "error.type" not in spans.attributes()


async def test_timeouts_work(spans: Any) -> None:
    """asyncio.wait_for stops a tracked coroutine and raises TimeoutError."""

    @track("x")
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(wait(), 0.01)
    assert spans.names == ["x"]


# --- context variables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_variable_set_in_a_function_is_seen_by_its_caller(in_mode: Any, mode: str) -> None:
    """A context variable that a tracked function sets keeps its value afterwards, as without us."""

    @track("x")
    def put() -> None:
        VARIABLE.set("by function")

    with in_mode(mode):
        contextvars.copy_context().run(lambda: (put(), _expect("by function")))


def _expect(value: str) -> None:
    assert VARIABLE.get() == value


@pytest.mark.parametrize("mode", MODES)
async def test_variable_set_in_a_coroutine_is_seen_by_its_awaiter(in_mode: Any, mode: str) -> None:
    """A context variable set before and after a suspension is seen by the awaiter in the same task."""
    seen = []

    @track("x")
    async def put() -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("first")
        await asyncio.sleep(0)
        seen.append(VARIABLE.get())
        VARIABLE.set("second")

    with in_mode(mode):
        VARIABLE.set("outer")
        await put()
    assert [*seen, VARIABLE.get()] == ["outer", "first", "second"]


@pytest.mark.parametrize("mode", MODES)
def test_variable_passes_both_ways_at_each_step_of_a_generator(in_mode: Any, mode: str) -> None:
    """Generator and consumer share one context: each sees what the other set."""

    def body() -> Iterator[str]:
        while True:
            yield VARIABLE.get()
            VARIABLE.set("generator")

    def play(function: Any) -> list[str]:
        generator = function()
        seen = []
        for value in ("one", "two", "three"):
            VARIABLE.set(value)
            seen.append(next(generator))
            seen.append(VARIABLE.get())
        return seen

    expected = contextvars.copy_context().run(play, body)
    with in_mode(mode):
        assert contextvars.copy_context().run(play, track("x")(body)) == expected


# --- the current span ------------------------------------------------------------------------------------------


def test_span_is_current_in_a_generator_and_not_in_its_consumer(spans: Any) -> None:
    """While a generator is suspended, its consumer's span is the current one."""

    @track("inner")
    def numbers() -> Iterator[str]:
        for _ in range(3):
            yield current()

    @track("outer")
    def consume() -> list[tuple[str, str]]:
        return [(inside, current()) for inside in numbers()]

    assert consume() == [("inner", "outer")] * 3
    assert current() == ""


async def test_span_is_current_in_an_asynchronous_generator_and_not_in_its_consumer(spans: Any) -> None:
    """While an asynchronous generator is suspended at a yield, its consumer's span is the current one."""

    @track("inner")
    async def numbers() -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield current()

    seen = []
    with track("outer"):
        async for inside in numbers():
            await asyncio.sleep(0)
            seen.append((inside, current()))
    assert seen == [("inner", "outer")] * 3
    assert current() == ""


def test_interleaved_generators_do_not_see_each_other(spans: Any) -> None:
    """Two generators stepped in turn each see their own span and have the same parent."""

    def numbers() -> Iterator[str]:
        for _ in range(3):
            yield current()

    with track("outer"):
        pair = zip(track("a")(numbers)(), track("b")(numbers)(), strict=True)
        assert list(pair) == [("a", "b")] * 3
    by_name = {span.name: span for span in spans.finished}
    outer = by_name["outer"].context.span_id
    assert [by_name[name].parent.span_id for name in ("a", "b")] == [outer, outer]


def test_generator_that_is_dropped_is_counted_as_success(spans: Any) -> None:
    """A consumer that had enough is no failure: the span ends without error when the generator is collected."""

    @track("x")
    def numbers() -> Iterator[int]:
        yield from range(10)

    generator = numbers()
    next(generator)
    del generator
    gc.collect()
    assert spans.names == ["x"]
    assert "error.type" not in spans.attributes()


async def test_asynchronous_generator_closed_by_another_task(spans: Any) -> None:
    """An asynchronous generator begun in one task and closed in another ends its span, and nothing complains."""

    @track("x")
    async def numbers() -> AsyncIterator[int]:
        for number in range(10):
            yield number

    generator: Any = numbers()
    assert await asyncio.create_task(_next(generator)) == 0
    await asyncio.create_task(_close(generator))
    assert spans.names == ["x"]
    assert current() == ""


async def _next(generator: Any) -> Any:
    return await generator.__anext__()


async def _close(generator: Any) -> None:
    await generator.aclose()


# In a process of its own: what goes wrong here would be reported in whatever test runs next.
LEFT_OPEN = """
import asyncio, gc
from tests.conftest import Captured
from usagetrace import track

captured = Captured().install()

@track("x")
async def numbers():
    for number in range(10):
        yield number

async def main():
    generators = [numbers() for _ in range(30)]
    for generator in generators:
        await generator.__anext__()
    return generators

asyncio.run(main())
gc.collect()
print(len(captured.finished))
"""


def test_asynchronous_generators_left_open_end_with_the_loop() -> None:
    """asyncio closes asynchronous generators that were not finished: every span ends and nothing complains."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("30", "")


# --- tasks and threads -----------------------------------------------------------------------------------------


async def test_tasks_nest_for_themselves(spans: Any) -> None:
    """Coroutines under gather are children of what started them, not of each other, and all are counted."""

    @track("inner")
    async def inner(number: int) -> str:
        await asyncio.sleep(0.001 * (3 - number))
        return current()

    @track("outer")
    async def outer() -> list[str]:
        return list(await asyncio.gather(*(inner(number) for number in range(3))))

    assert await outer() == ["inner"] * 3
    outer_id = next(span.context.span_id for span in spans.finished if span.name == "outer")
    assert [span.parent.span_id for span in spans.finished if span.name == "inner"] == [outer_id] * 3


async def test_calls_of_one_type_in_sibling_tasks_are_counted_each(spans: Any) -> None:
    """Tasks side by side are not nested: each call of the same type is an event of its own."""

    @track.deploy
    async def deploy(artifact_name: str) -> None:
        await asyncio.sleep(0)

    await asyncio.gather(*(deploy(f"a{number}") for number in range(5)))
    names = sorted(span.attributes["usage.artifact.name"] for span in spans.finished)
    assert names == ["a0", "a1", "a2", "a3", "a4"]


def test_threads_nest_for_themselves(spans: Any) -> None:
    """A thread started inside a tracked call begins afresh: its calls are counted and have no parent."""
    barrier = threading.Barrier(4)

    @track.deploy
    def deploy(artifact_name: str) -> None:
        barrier.wait(10)

    threads = [threading.Thread(target=deploy, args=(f"a{number}",)) for number in range(4)]
    with track.deploy(artifact_name="main"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(span.attributes["usage.artifact.name"] for span in spans.finished) == ["a0", "a1", "a2", "a3", "main"]
    assert [span.parent for span in spans.finished] == [None] * 5
    assert sum(spans.counts().values()) == 5


def test_recursion_is_one_event(spans: Any) -> None:
    """A function that calls itself is one operation, whatever its depth, and gives its result."""

    @track("x")
    def factorial(number: int) -> int:
        return 1 if number == 0 else number * factorial(number - 1)

    assert factorial(50) == __import__("math").factorial(50)
    assert spans.names == ["x"]
    assert sum(spans.counts().values()) == 1


@pytest.mark.parametrize("mode", MODES)
def test_recursion_limit_is_the_hosts_own_error(in_mode: Any, mode: str) -> None:
    """A function that never stops calling itself ends in RecursionError, nothing else."""

    @track("x")
    def endless() -> int:
        return endless() + 1

    with in_mode(mode), pytest.raises(RecursionError):
        endless()


async def test_generator_based_coroutines_can_be_awaited(spans: Any) -> None:
    """A function made awaitable by types.coroutine can be awaited when it is tracked."""

    @track("x")
    @types.coroutine
    def step() -> Iterator[None]:
        yield

    await step()  # type: ignore[misc]  # the decorator makes it awaitable
    assert spans.names == ["x"]

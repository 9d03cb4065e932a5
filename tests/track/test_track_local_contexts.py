"""Local mode across contexts: what is a part of what, what is left running, and what is kept alive."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from usagetrace import track
from usagetrace.events import Event
from usagetrace.track import operation, tracker
from usagetrace.track.operation import Operation


@track.deploy
def deploy(artifact_name: str, act: Callable[[], Any] | None = None) -> Any:
    """Deploy, and do something inside."""
    return None if act is None else act()


@track.remove(artifact_name="$name")
def remove(name: str, act: Callable[[], Any] | None = None) -> Any:
    """Remove, and do something inside."""
    return None if act is None else act()


def events_of(captured: Any) -> list[Event]:
    """Return what was recorded."""
    return [Event._make(row) for row in captured.rows]


def depth() -> int:
    """Return how many operations the running one knows around it, itself included."""
    found, running = 0, operation._running.get()
    while running is not None:
        found, running = found + 1, running.parent
    return found


@pytest.mark.parametrize("mode", ["local", "on"])
def test_a_timer_that_sets_itself_anew_makes_no_chain(in_mode: Any, mode: str) -> None:
    """Each call begins in a copy of the context of the one before, which has ended; it is not kept for that."""
    depths: list[int] = []

    async def poll() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        @track.deploy
        def tick(artifact_name: str) -> None:
            depths.append(depth())
            if len(depths) < 100:
                loop.call_soon(tick, "canvas")
            else:
                done.set_result(None)

        tick("canvas")
        await done

    with in_mode(mode) as captured:
        asyncio.run(poll())
        counted = len(captured.rows) if mode == "local" else len(captured.finished)
    assert counted == 100
    assert max(depths) == 2


def test_blocks_of_such_a_timer_make_no_chain(in_mode: Any) -> None:
    """What holds for operations holds for the record of blocks that are open."""
    depths: list[int] = []

    async def poll() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tick() -> None:
            with track.sync(artifact_name="canvas", artifact_type="skill"):
                found, block = 0, tracker._innermost.get()
                while block is not None:
                    found, block = found + 1, block.below
                depths.append(found)
                if len(depths) < 100:
                    loop.call_soon(tick)
                else:
                    done.set_result(None)

        tick()
        await done

    with in_mode("local") as captured:
        asyncio.run(poll())
        assert len(captured.rows) == 100
    assert set(depths) == {1}


@pytest.mark.parametrize("mode", ["local", "on"])
def test_a_context_that_outlives_calls_keeps_no_object_of_the_program(in_mode: Any, mode: str) -> None:
    """Instance, arguments, result and exception are let go of, though a copy of the context knows the operation."""

    class Thing:
        """An object of the program."""

        artifact_name = "canvas"

    kept: list[contextvars.Context] = []
    seen: list[weakref.ref[Any]] = []

    def made(kind: type[Any]) -> Any:
        thing = kind()
        seen.append(weakref.ref(thing))
        return thing

    @track.deploy(artifact_name="$thing.artifact_name", metadata={"result": "$result.artifact_name"})
    def returns(thing: Any) -> Any:
        kept.append(contextvars.copy_context())
        return made(Thing)

    class OwnError(Exception):
        """An exception that can be referred to."""

    @track.deploy(skip_if="$result.skipped", outcome="$error")
    def fails(thing: Any) -> Any:
        kept.append(contextvars.copy_context())
        returns(thing)
        raise made(OwnError)

    with in_mode(mode):
        returns(made(Thing))
        with pytest.raises(OwnError):
            fails(made(Thing))
    gc.collect()
    assert len(kept) == 3
    assert [thing() for thing in seen] == [None] * 5


@pytest.mark.parametrize("mode", ["local", "on"])
@pytest.mark.parametrize("around", [False, True])
def test_what_turns_out_to_be_none_leaves_its_parts_as_they_would_be(in_mode: Any, mode: str, around: bool) -> None:
    """An operation that is skipped after all: its direct parts count, with theirs inside and the outcome they told."""

    @track.sync(outcome="$result", skip_within=("add",), metadata={"strategy": "merge"})
    def innermost(artifact_name: str) -> str:
        return "cancelled"

    @track.sync(outcome="$result", skip_within=("add",))
    def inner(artifact_name: str) -> str:
        innermost(artifact_name)
        return "conflict"

    @track.sync(skip_if="$result")
    def outer(artifact_name: str) -> bool:
        inner("inner")
        return True

    @track("add", artifact_name="$artifact_name")
    def add(artifact_name: str) -> None:
        outer("outer")

    with in_mode(mode) as captured:
        (add if around else outer)("all")
        if mode == "local":
            found = [(event.event_type, event.artifact_name) for event in events_of(captured)]
            results = [(event.metadata or {}).get("result") for event in events_of(captured)]
        else:
            texts = [span.attributes or {} for span in captured.finished]
            found = [(span["usage.event.type"], span["usage.artifact.name"]) for span in texts]
            results = [span.get("usage.metadata.result") for span in texts]
    # Inside `add` they are parts of that one.
    assert found == ([("add", "all")] if around else [("sync", "inner")])
    if not around:
        assert results == ["conflict"]


def test_an_operation_inside_a_part_is_of_the_outer_ones_trace(in_mode: Any) -> None:
    """What is a part of another has no ids of its own; what runs inside it finds those of the outermost."""

    @track.deploy(skip_if="$result.skipped")
    def outer(artifact_name: str) -> None:
        deploy("part", lambda: remove("inside"))

    with in_mode("local") as captured:
        outer("all")
        inside, whole = events_of(captured)
    assert (inside.event_type, whole.event_type) == ("remove", "deploy")
    assert inside.trace_id == whole.trace_id


def test_a_block_of_a_generator_that_another_thread_closes_ends_itself(in_mode: Any) -> None:
    """Of two blocks of one tracker the one whose generator is closed ends, not the one opened last."""

    def opened() -> Iterator[None]:
        with track.sync as block:
            block.set(artifact_name="generator")
            yield

    def other(generator: Any) -> None:
        with track.sync as block:
            block.set(artifact_name="thread")
            generator.close()
            block.set(late=1)

    with in_mode("local") as captured:
        # In a copy of the context, which may stay as it is when the block ends elsewhere.
        generator = opened()
        contextvars.copy_context().run(next, generator)
        thread = threading.Thread(target=other, args=(generator,))
        thread.start()
        thread.join()
        first, second = events_of(captured)
    assert (first.artifact_name, (first.metadata or {}).get("late")) == ("generator", None)
    assert (second.artifact_name, (second.metadata or {}).get("late")) == ("thread", 1)


def interrupted_at(number: int, act: Callable[[], Any]) -> bool:
    """Run with an interrupt at the given line of the package's tracking; return whether it got that far."""
    seen = 0

    def trace_lines(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if f"{os.sep}usagetrace{os.sep}track{os.sep}" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == number:
                raise KeyboardInterrupt
        return trace_lines

    before = sys.gettrace()
    sys.settrace(trace_lines)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return seen >= number


@pytest.mark.skipif(sys.gettrace() is not None, reason="a measurement of coverage or a debugger traces already")
def test_an_interrupt_at_any_line_of_a_call_leaves_nothing_running(in_mode: Any) -> None:
    """Control-C may come at any moment of a call that succeeds; what follows is recorded by itself all the same."""
    with in_mode("local") as captured:
        act = lambda: deploy("outer", lambda: remove("inner"))  # noqa: E731 -- named once, used twice
        act()
        number, lost = 0, []
        while interrupted_at(number := number + 1, act):
            if operation._running.get() is not None:
                lost.append(number)
                operation._running.set(None)
        captured.rows.clear()
        act()
        assert [event.event_type for event in events_of(captured)] == ["remove", "deploy"]
    assert number > 50
    assert lost == []


class Foreign(trace.NonRecordingSpan):
    """A span of another library's that does not keep to the API."""

    def __init__(self) -> None:
        """Make one."""

    def get_span_context(self) -> trace.SpanContext:
        """Fail."""
        raise LookupError("planted")


def test_a_span_that_fails_costs_no_event(in_mode: Any) -> None:
    """Where the program's current span can't be asked for its trace, the operation is of none."""
    with in_mode("local") as captured:
        token = otel_context.attach(trace.set_span_in_context(Foreign()))
        deploy("canvas")
        otel_context.detach(token)
        (event,) = events_of(captured)
    assert (event.artifact_name, event.trace_id) == ("canvas", None)


def test_a_thread_may_say_more_while_the_block_ends(in_mode: Any) -> None:
    """Fields that another thread sets never cost the event, however late they come."""
    with in_mode("local") as captured:
        for _ in range(200):
            with track.sync(artifact_name="canvas", artifact_type="skill") as block:
                assert isinstance(block, Operation)
                before = block.attributes
                block.set(more=1)
                # The table that is gone through at the end is never the one that is written to.
                assert block.attributes is not before
                assert "usage.metadata.more" not in before
            block.set(late=1)
        found = events_of(captured)
    assert len(found) == 200
    assert [event for event in found if "late" in (event.metadata or {})] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_call_in_a_forked_child_is_no_part_of_the_parents(in_mode: Any) -> None:
    """A child may never come to the end of the operation it began in: what it tracks counts by itself."""
    read_end, write_end = os.pipe()
    with in_mode("local") as captured:

        def fork_inside() -> None:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                return
            try:
                deploy("child")
                os.write(write_end, ",".join(event.artifact_name for event in events_of(captured)).encode())
            finally:
                os._exit(0)

        deploy("parent", fork_inside)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            assert pipe.read() == "child"
        assert [event.artifact_name for event in events_of(captured)] == ["parent"]

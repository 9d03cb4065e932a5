"""``with track...``: blocks of code as operations, also shared, nested, interleaved and in other threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from tests.track.modes import MODES
from usagetrace import track


@pytest.mark.parametrize("mode", MODES)
def test_block_passes_exceptions_on(in_mode: Any, mode: str) -> None:
    """What is raised in a block leaves it, the same object, in every mode."""
    planted = ValueError("planted")
    with in_mode(mode), pytest.raises(ValueError, match="planted") as caught, track.sync(artifact_name="a"):
        raise planted
    assert caught.value is planted
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("mode", MODES)
def test_operation_takes_anything(in_mode: Any, mode: str) -> None:
    """set() never raises, whatever it is given, in every mode."""

    class Hostile:
        def __str__(self) -> str:
            raise LookupError("planted")

        __repr__ = __str__

    with in_mode(mode), track.sync(artifact_name="a") as operation:
        operation.set(result=Hostile(), artifact_type=Hostile(), outcome=Hostile(), metadata=Hostile())
        operation.set(metadata={Hostile(): 1, "k": Hostile()})


def test_block_with_fields_set_inside(spans: Any) -> None:
    """Fields given at the start and set inside end up on one span; unknown names become metadata."""
    with track.sync(artifact_name="canvas", artifact_type="skill") as operation:
        operation.set(result="conflict", conflicts_detected=3, collection_name="default", metadata={"k": "v"})
    attributes = spans.attributes()
    assert attributes["usage.artifact.name"] == "canvas"
    assert attributes["usage.collection.name"] == "default"
    assert attributes["usage.outcome"] == "conflict"
    assert spans.metadata() == {"result": "conflict", "conflicts_detected": 3, "k": "v"}


def test_fields_of_a_block_are_taken_as_they_are(spans: Any) -> None:
    """A block has no parameters: a text that starts with a dollar is that text."""
    with track("x", artifact_name="$HOME/thing"):
        pass
    assert spans.attributes()["usage.artifact.name"] == "$HOME/thing"


def test_block_that_raises_is_an_error(spans: Any) -> None:
    """A block that raises has status ERROR and error.type; SystemExit(0) is success."""
    with contextlib.suppress(KeyError), track("x"):
        raise KeyError("planted")
    with contextlib.suppress(SystemExit), track("y"):
        raise SystemExit(0)
    told = [(s.name, s.status.status_code, s.attributes.get("error.type")) for s in spans.finished]
    assert told == [("x", StatusCode.ERROR, "KeyError"), ("y", StatusCode.UNSET, None)]


def test_tracker_may_be_entered_again_inside_itself(spans: Any) -> None:
    """One tracker entered recursively is one operation, as with functions; the inner block fills what lacks."""
    tracker = track.deploy(artifact_type="skill")
    with tracker as outer, tracker as inner:
        outer.set(artifact_name="outer")
        inner.set(artifact_name="inner", collection_name="default")
    attributes = spans.attributes()
    assert (attributes["usage.artifact.name"], attributes["usage.collection.name"]) == ("outer", "default")


async def test_asynchronous_blocks_in_tasks(spans: Any) -> None:
    """``async with`` works, and tasks that share one tracker each have their own operation."""
    tracker = track.deploy(artifact_type="skill")

    async def block(number: int) -> None:
        async with tracker as operation:
            operation.set(artifact_name=f"a{number}")
            await asyncio.sleep(0.001 * (3 - number))

    await asyncio.gather(*(block(number) for number in range(3)))
    assert sorted(span.attributes["usage.artifact.name"] for span in spans.finished) == ["a0", "a1", "a2"]


def test_threads_may_share_a_tracker(spans: Any) -> None:
    """Threads that are in one tracker's block at a time each have their own operation."""
    tracker = track.deploy(artifact_type="skill")
    barrier = threading.Barrier(3)

    def block(number: int) -> None:
        with tracker as operation:
            operation.set(artifact_name=f"a{number}")
            barrier.wait(10)

    threads = [threading.Thread(target=block, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(span.attributes["usage.artifact.name"] for span in spans.finished) == ["a0", "a1", "a2"]


def _block(tracker: Any, name: str) -> Iterator[None]:
    with tracker as operation:
        operation.set(artifact_name=name)
        yield


@pytest.mark.parametrize("shared", [True, False])
def test_interleaved_blocks_each_end_their_own_operation(spans: Any, shared: bool) -> None:
    """Blocks in two generators, left in the order in which they were entered, are two events with the right names."""
    tracker = track("x", nested=True)
    first = _block(tracker, "first")
    second = _block(tracker if shared else track("y"), "second")
    next(first)
    next(second)
    assert list(first) == []
    named = [span.attributes["usage.artifact.name"] for span in spans.finished]
    assert list(second) == []
    named += [span.attributes["usage.artifact.name"] for span in spans.finished[len(named) :]]
    assert named == ["first", "second"]


def test_block_left_in_another_thread_is_counted(spans: Any) -> None:
    """A block entered in one thread and left in another is still one event."""
    stack = contextlib.ExitStack()
    thread = threading.Thread(target=lambda: stack.enter_context(track("x")))
    thread.start()
    thread.join()
    stack.close()
    assert spans.names == ["x"]


def test_span_is_current_in_the_block_alone(spans: Any) -> None:
    """The block's span is current inside and the former one afterwards."""
    before = trace.get_current_span()
    with track("x"):
        assert trace.get_current_span().name == "x"
    assert trace.get_current_span() is before


def test_block_turned_off_midway_ends_quietly(spans: Any) -> None:
    """A block that began while tracking was on ends without trouble after it was switched off."""
    from usagetrace.track import runtime

    with track("x"):
        runtime.install(runtime.OFF)
    assert spans.names == ["x"]


def test_wrong_selector_in_a_block_does_not_depend_on_consent(in_mode: Any) -> None:
    """What a block with a selector that can't work does to the host is the same on and off."""

    def enter() -> str:
        try:
            with track.deploy(each="$nope[", artifact_name="a"):
                return "ran"
        except ValueError:
            return "raised"

    with in_mode("off"):
        off = enter()
    with in_mode("on"):
        assert enter() == off

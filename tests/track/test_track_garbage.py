"""What a call took and gave is not kept alive by its having been tracked."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.track.kinds import KINDS
from tests.track.modes import MODES
from usagetrace import track


class Planted(Exception):
    """An exception that can be referred to weakly."""


class Thing:
    """Something that can be referred to weakly."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cached function"])
def test_arguments_and_results_are_let_go(in_mode: Any, kind: str, mode: str) -> None:
    """Once a call is over, arguments and result die by reference count alone, without the garbage collector."""
    with in_mode(mode):
        call = KINDS[kind](track.deploy(artifact_name="$result.name", metadata=lambda _call: {}))
        references: list[weakref.ref[Any]] = []

        def use() -> None:
            thing = Thing()

            def act() -> Any:
                result = Thing()
                references.append(weakref.ref(result))
                references.append(weakref.ref(thing))
                return result

            references.append(weakref.ref(act))
            call(act)

        assert collected_without_gc(use, references) == [True] * 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cached function"])
def test_exceptions_are_let_go(in_mode: Any, kind: str, mode: str) -> None:
    """An exception that was handled dies with its frames by reference count alone: nothing of ours makes a cycle."""
    with in_mode(mode):
        call = KINDS[kind](track.sync(artifact_name="$error.name"))
        references: list[weakref.ref[Any]] = []

        def act() -> Any:
            local = Thing()
            references.append(weakref.ref(local))
            planted = Planted("planted")
            references.append(weakref.ref(planted))
            try:
                raise planted
            finally:
                # The frame must not refer to the exception that refers to it; that cycle would be the test's own.
                del planted

        def use() -> None:
            with contextlib.suppress(Planted):
                call(act)

        assert collected_without_gc(use, references) == [True] * 2


def collected_without_gc(use: Callable[[], None], references: list[weakref.ref[Any]]) -> list[bool]:
    """Run a function with the garbage collector off; tell of each reference whether it is dead."""
    gc.disable()
    try:
        use()
        return [reference() is None for reference in references]
    finally:
        gc.enable()


def test_a_context_that_outlives_the_call_keeps_nothing(spans: Any) -> None:
    """A task or callback that was started inside a call keeps a context; the call's arguments die all the same."""

    @track.deploy
    def deploy(artifact_name: Any) -> contextvars.Context:
        return contextvars.copy_context()

    thing = Thing()
    reference = weakref.ref(thing)
    context = deploy(thing)
    del thing
    gc.collect()
    assert reference() is None
    assert context is not None


async def test_a_finished_task_keeps_nothing(spans: Any) -> None:
    """The arguments of a tracked coroutine die with the task, although other tasks were started inside it."""

    @track.deploy
    async def deploy(artifact_name: Any) -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(0.01))

    thing = Thing()
    reference = weakref.ref(thing)
    task = await deploy(thing)
    del thing
    gc.collect()
    assert reference() is None
    await task


def test_a_suspended_generator_keeps_no_item(spans: Any) -> None:
    """A tracked generator that waits does not keep what it yielded or was sent."""

    @track("x")
    def things() -> Iterator[Thing]:
        while True:
            yield Thing()

    generator: Any = things()
    yielded = weakref.ref(next(generator))
    sent = Thing()
    reference = weakref.ref(sent)
    generator.send(sent)
    del sent
    next(generator)
    assert (yielded(), reference()) == (None, None)
    generator.close()


def test_an_outcome_given_as_exception_is_let_go(spans: Any) -> None:
    """An exception that a block gives as its outcome does not live on in the context."""
    planted = Planted("planted")
    reference = weakref.ref(planted)
    with track("x") as operation:
        operation.set(outcome=planted)
        context = contextvars.copy_context()
    del planted, operation
    gc.collect()
    assert spans.attributes()["error.type"] == "tests.track.test_track_garbage.Planted"
    assert reference() is None, context

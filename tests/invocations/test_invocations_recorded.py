"""What an invocation records, whoever completes it, how often and where."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import usagetrace
from usagetrace import invocations, track
from usagetrace.events import Event
from usagetrace.invocations import Invocation, track_invocation
from usagetrace.track import operation, runtime
from usagetrace.track.runtime import Runtime


class Refused(Exception):
    """What the code inside a block raises."""


def told(event: Event) -> tuple[str, str | None, dict[str, Any]]:
    """Return how an invocation ended: status, error type and metadata."""
    return event.status, event.error_type, dict(event.metadata or {})


ENDINGS: dict[str, tuple[dict[str, Any], tuple[str, str | None, dict[str, Any]]]] = {
    "completed": ({}, ("ok", None, {"completed": True})),
    "with what followed": (
        {"follow_up_actions": ["git commit", "git push"]},
        ("ok", None, {"completed": True, "follow_up_actions": ["git commit", "git push"]}),
    ),
    "one text that followed": (
        {"follow_up_actions": "git commit"},
        ("ok", None, {"completed": True, "follow_up_actions": ["git commit"]}),
    ),
    "nothing that followed": ({"follow_up_actions": None}, ("ok", None, {"completed": True})),
    "a number that followed": ({"follow_up_actions": 7}, ("ok", None, {"completed": True, "follow_up_actions": ["7"]})),
    "failed": ({"completed": False, "error_type": "ValueError"}, ("error", "ValueError", {"completed": False})),
    "failed with an exception": (
        {"completed": False, "error_type": KeyError("x")},
        ("error", "KeyError", {"completed": False}),
    ),
    "failed with a class": ({"completed": False, "error_type": OSError}, ("error", "OSError", {"completed": False})),
    "failed namelessly": (
        {"completed": False, "error_type": ""},
        ("ok", None, {"completed": False, "outcome": "cancelled"}),
    ),
    "cancelled": ({"completed": False}, ("ok", None, {"completed": False, "outcome": "cancelled"})),
    "completed in spite of an error": (
        {"error_type": "TimeoutError"},
        ("ok", None, {"completed": True, "error_type": "TimeoutError"}),
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_invocation_ends_as_its_completer_says(recorded: Any, ending: str) -> None:
    """Status, error and metadata follow from the arguments, and the duration is that of a clock which only goes on."""
    arguments, expected = ENDINGS[ending]
    invocation = track_invocation("review", "comprehensive", "s-1", metadata={"model": "small"})
    recorded.clock.advance(250)
    invocation.completer(**arguments)
    event = recorded.one()
    status, error_type, metadata = expected
    assert told(event) == (status, error_type, {"workflow_path": "comprehensive", "model": "small", **metadata})
    assert (event.event_type, event.artifact_name, event.artifact_type) == ("invoke", "review", "skill")
    assert (event.session_id, event.duration_ms, event.service_name) == ("s-1", 250.0, "tool")
    assert (event.category, event.priority) == ("usage", "normal")


def test_what_has_begun_is_known_as_what_it_becomes_if_it_never_ends(recorded: Any) -> None:
    """Its beginning is recorded at once, with name, path and session, as the same operation that ends later."""
    invocation = track_invocation("review", "quick", "s-1", artifact_type="command")
    begun = recorded.begun[0]
    assert (begun.status, begun.duration_ms, begun.artifact_type) == ("abandoned", None, "command")
    assert (begun.artifact_name, begun.session_id, begun.metadata) == ("review", "s-1", {"workflow_path": "quick"})
    assert recorded.events == []
    invocation.completer()
    ended = recorded.one()
    assert (ended.trace_id, ended.span_id, ended.ts_ms) == (begun.trace_id, begun.span_id, begun.ts_ms)
    assert len(recorded.begun) == 1


@pytest.mark.parametrize("first", ["completer", "call", "block", "block that raised"])
def test_the_first_completion_counts(recorded: Any, first: str) -> None:
    """Whatever comes after the first completion does nothing."""
    invocation = track_invocation("review")
    expected: tuple[str, str | None, dict[str, Any]] = ("ok", None, {"completed": True})
    if first == "completer":
        invocation.completer()
    elif first == "call":
        invocation(completed=True)
    elif first == "block":
        with invocation:
            pass
    else:
        expected = ("error", f"{__name__}.Refused", {"completed": False})
        with pytest.raises(Refused), invocation:
            raise Refused
    invocation.completer(completed=False, error_type="ValueError")
    invocation(completed=False)
    with invocation:
        pass
    assert told(recorded.one()) == expected


def test_of_threads_that_complete_at_once_one_does(recorded: Any) -> None:
    """Sixteen threads complete each of twenty invocations: each is recorded once."""
    barrier = threading.Barrier(16)
    open_ones = [track_invocation(f"skill {number}") for number in range(20)]

    def complete() -> None:
        for invocation in open_ones:
            barrier.wait()
            invocation.completer()

    threads = [threading.Thread(target=complete) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event.artifact_name for event in recorded.events) == sorted(f"skill {n}" for n in range(20))


def _in_thread(complete: Callable[[], None]) -> None:
    thread = threading.Thread(target=complete)
    thread.start()
    thread.join()


def _in_task(complete: Callable[[], None]) -> None:
    async def task() -> None:
        complete()

    async def main() -> None:
        await asyncio.create_task(task())

    asyncio.run(main())


def _in_a_new_context(complete: Callable[[], None]) -> None:
    contextvars.Context().run(complete)


@pytest.mark.parametrize("place", [_in_thread, _in_task, _in_a_new_context])
def test_it_may_be_completed_anywhere(recorded: Any, place: Callable[[Callable[[], None]], None]) -> None:
    """Begun inside another operation's block, it is completed elsewhere, after that block has ended."""
    with track.deploy(artifact_name="canvas", artifact_type="skill"):
        invocation = contextvars.copy_context().run(track_invocation, "review", None, "s-1")
    place(invocation.completer)
    assert [event.artifact_name for event in recorded.events] == ["canvas", "review"]
    assert recorded.events[0].trace_id == recorded.events[1].trace_id
    assert operation._running.get() is None


RAISED: dict[str, tuple[BaseException, tuple[str, str | None, dict[str, Any]]]] = {
    "an exception": (Refused("no"), ("error", f"{__name__}.Refused", {"completed": False})),
    "an interrupt": (KeyboardInterrupt(), ("error", "KeyboardInterrupt", {"completed": False})),
    "a bad exit": (SystemExit(2), ("error", "SystemExit", {"completed": False})),
    "a good exit": (SystemExit(0), ("ok", None, {"completed": True})),
}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("kind", RAISED)
def test_a_block_lets_its_exception_through_and_records_it(recorded: Any, kind: str, asynchronous: bool) -> None:
    """The exception comes out untouched, and is how the invocation ended."""
    error, expected = RAISED[kind]

    async def in_task() -> None:
        async with track_invocation("review"):
            raise error

    def in_block() -> None:
        with track_invocation("review"):
            raise error

    run = (lambda: in_task().send(None)) if asynchronous else in_block
    with pytest.raises(type(error)) as raised:
        run()
    assert raised.value is error
    assert told(recorded.one()) == expected


def test_each_of_nested_invocations_counts(recorded: Any) -> None:
    """Also of one and the same skill; what is tracked inside a block is of its trace, and outside of it is not."""
    with track_invocation("review") as outer:
        with track_invocation("review"):
            usagetrace.record_event("deploy", "canvas", "skill")
        inner = track_invocation("plan")
        outer.completer(follow_up_actions=["plan"])
        inner.completer()
    usagetrace.record_event("deploy", "other", "skill")
    names = [event.artifact_name for event in recorded.events]
    assert names == ["canvas", "review", "review", "plan", "other"]
    assert len({event.trace_id for event in recorded.events[:4]}) == 1
    assert recorded.events[4].trace_id is None


def test_only_a_block_makes_it_the_one_that_runs(recorded: Any) -> None:
    """What is tracked after a mere call is no part of the invocation."""
    invocation = track_invocation("review")
    usagetrace.record_event("deploy", "canvas", "skill")
    invocation.completer()
    assert recorded.events[0].trace_id is None


def test_its_values_are_redacted_like_any(recorded: Any) -> None:
    """No name, path, action or error shows a secret, not in what has begun either."""
    secret = "ghp_" + "a1B2" * 9
    invocation = track_invocation(f"use {secret}", f"path {secret}", metadata={"note": secret})
    invocation.completer(completed=False, follow_up_actions=[f"export TOKEN={secret}"], error_type=f"Error {secret}")
    assert recorded.one().status == "error"
    assert secret not in repr([recorded.events, recorded.begun])


class Awkward:
    """Fails whatever is asked of it."""

    def __str__(self) -> str:
        raise LookupError("planted")

    __repr__ = __str__

    def __iter__(self) -> Any:
        raise LookupError("planted")

    def __bool__(self) -> bool:
        raise LookupError("planted")

    def __eq__(self, other: object) -> bool:
        raise LookupError("planted")

    __hash__ = object.__hash__


@pytest.mark.parametrize("argument", ["skill_name", "workflow_path", "session_id", "artifact_type", "metadata"])
def test_what_can_not_be_read_costs_the_host_nothing(recorded: Any, argument: str) -> None:
    """An argument that raises when it is looked at raises nothing here; the rest is recorded where it can be."""
    awkward: Any = {argument: Awkward()}
    track_invocation(**{"skill_name": "review", **awkward}).completer()
    assert recorded.one().artifact_name == ("" if argument == "skill_name" else "review")
    assert recorded.one().metadata == {"completed": True}


@pytest.mark.parametrize("argument", ["completed", "follow_up_actions", "error_type"])
def test_a_completer_never_raises(recorded: Any, argument: str) -> None:
    """Whatever it is given; the invocation is completed by it, or by the next call."""
    awkward: Any = {argument: Awkward()}
    invocation = track_invocation("review")
    invocation.completer(**awkward)
    invocation.completer()
    assert (recorded.one().status, recorded.one().metadata["completed"]) == ("ok", True)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_what_holds_an_invocation_can_be_copied_and_pickled(recorded: Any, copied: Callable[[Any], Any]) -> None:
    """As where nothing is recorded. A copy is the invocation itself; one that was pickled completes nothing."""
    invocation = track_invocation("review")
    other = copied({"running": invocation})["running"]
    other.completer(completed=False)
    with other:
        pass
    pickled = other is not invocation
    assert len(recorded.events) == (0 if pickled else 1)
    invocation.completer()
    assert recorded.one().metadata["completed"] is pickled


def test_a_store_that_fails_costs_the_host_nothing() -> None:
    """Neither the beginning nor the end of an invocation shows that nothing could be written."""

    def fail(*arguments: Any) -> bool:
        raise OSError("planted")

    runtime.install(Runtime(None, redactor=None, record=fail, record_start=fail))
    with track_invocation("review", "quick") as invocation:
        invocation.completer()


@pytest.mark.parametrize("variable", ["DO_NOT_TRACK", "USAGETRACE_DISABLED"])
def test_under_a_no_nothing_is_done_and_nothing_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, variable: str
) -> None:
    """The object is there, takes everything and does nothing; no file appears."""
    monkeypatch.setenv(variable, "1")
    before = sorted(tmp_path.rglob("*"))
    invocation = track_invocation("review", "quick")
    assert isinstance(invocation, Invocation)
    with invocation as same:
        assert same is invocation
        usagetrace.record_event("deploy", "canvas", "skill")
    invocation.completer(completed=False, error_type="ValueError")
    invocation(completed=True)
    with pytest.raises(Refused), track_invocation("other"):
        raise Refused
    usagetrace.shutdown()
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_a_span_of_an_applications_provider(spans: Any) -> None:
    """With a provider of its own an application finds invocations among its spans, with the same attributes."""
    with track_invocation("review", "quick", "s-1") as invocation:
        usagetrace.record_event("deploy", "canvas", "skill")
        invocation.completer(completed=False, error_type="ValueError")
    deploy, span = spans.finished
    assert deploy.parent.span_id == span.context.span_id
    assert {key: span.attributes[key] for key in ("usage.artifact.name", "session.id", "error.type")} == {
        "usage.artifact.name": "review",
        "session.id": "s-1",
        "error.type": "ValueError",
    }
    assert span.attributes["usage.metadata.completed"] is False
    assert span.attributes["usage.metadata.workflow_path"] == "quick"


def test_every_name_can_be_had() -> None:
    """What the package offers can be imported from it, and nothing else is offered."""
    for name in invocations.__all__:
        assert getattr(invocations, name).__name__ in (name, "use")
    assert sorted(invocations.__all__) == invocations.__all__ == dir(invocations)
    with pytest.raises(AttributeError, match="no_such_name"):
        invocations.no_such_name  # noqa: B018 -- the access is what is tested

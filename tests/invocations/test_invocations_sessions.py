"""Which session a call, an event and an invocation belong to: fields, then context, then environment, then process."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from tests.support.process import run_python
from usagetrace import track
from usagetrace.events import Event
from usagetrace.invocations import session, track_invocation
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up
from usagetrace.track import session as sessions


@track.deploy
def deploy(artifact_name: str, act: Any = None) -> Any:
    """Deploy, and do something inside."""
    return act() if act is not None else None


@track.sync(artifact_name="$name", session_id="$session")
def sync(name: str, session: str | None = None) -> None:
    """Sync, with a session of its own."""


@track.update(artifact_name="$name", session_id="$result.session")
def update(name: str, result: Any) -> Any:
    """Update, with a session that its result says."""
    return result


@track.search(each="$result", artifact_name="$item")
def search(query: str) -> list[str]:
    """Find two things."""
    return ["one", "two"]


def test_without_any_there_is_none_but_for_invocations(recorded: Any) -> None:
    """A call has no session; invocations share the one that is made for their process."""
    deploy("canvas")
    track_invocation("review").completer()
    track_invocation("plan").completer()
    first, second, third = recorded.sessions()
    assert first is None
    assert second == third == sessions.process_session()
    assert len(second) == 32


KINDS: dict[str, Any] = {
    "call": lambda: deploy("canvas"),
    "event": lambda: usagetrace.record_event("deploy", "canvas", "skill"),
    "search": lambda: search("x"),
    "invocation": lambda: track_invocation("review").completer(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_goes_before_the_environment(recorded: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Inside a block its session holds, the innermost one's; outside of all of them that of the environment."""
    monkeypatch.setenv("USAGETRACE_SESSION_ID", "from outside")
    KINDS[kind]()
    with session("outer"):
        with session("inner"):
            KINDS[kind]()
        with session(None), session(""):
            KINDS[kind]()
    KINDS[kind]()
    each = 2 if kind == "search" else 1
    expected = [name for name in ("from outside", "inner", "outer", "from outside") for _ in range(each)]
    assert recorded.sessions() == expected


def test_the_environment_is_read_when_tracking_starts(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program puts into it afterwards is for its children, and for what it starts anew."""
    monkeypatch.setenv("USAGETRACE_SESSION_ID", "first")
    deploy("canvas")
    monkeypatch.setenv("USAGETRACE_SESSION_ID", "second")
    deploy("canvas")
    assert recorded.sessions() == ["first", "first"]


def test_a_field_goes_before_the_context(recorded: Any) -> None:
    """What the call's own fields say holds, from its arguments, its result or its block; where they say none, it does
    not."""
    with session("context"):
        sync("a", "own")
        sync("b")
        update("c", {"session": "told"})
        update("d", {})
        usagetrace.record_event("deploy", "e", "skill", session_id="given")
        with track.remove(artifact_name="f") as operation:
            operation.set(session_id="set")
        with track.remove(artifact_name="g", session_id="literal"):
            pass
        track_invocation("h", session_id="invoked").completer()
    assert recorded.sessions() == ["own", "context", "told", "context", "given", "set", "literal", "invoked"]


def test_a_part_may_say_the_session_of_its_host(recorded: Any) -> None:
    """What a nested call of the same type knows fills what the outer one lacks, before any context."""

    @track.deploy(artifact_name="$name", session_id="inner")
    def inner(name: str) -> None:
        """Deploy as a part."""

    with session("context"):
        deploy("canvas", lambda: inner("canvas"))
    assert recorded.sessions() == ["inner"]


def test_the_session_is_that_in_which_a_call_began(recorded: Any) -> None:
    """A generator that goes on elsewhere, and an invocation completed elsewhere, keep theirs."""

    @track.deploy(artifact_name="canvas")
    def produce() -> Iterator[int]:
        yield 1

    with session("begun"):
        produced = produce()
        next(produced)
        invocation = track_invocation("review")
    with session("other"):
        list(produced)
        invocation.completer()
    assert recorded.sessions() == ["begun", "begun"]


def test_tasks_take_it_along_and_threads_do_not(recorded: Any) -> None:
    """Tasks of asyncio that begin inside a block are of its session, each of its own where it names one."""

    async def work(name: str) -> None:
        with session(name):
            await asyncio.sleep(0)
            deploy(name)
        deploy("after")

    async def main() -> None:
        with session("all"):
            await asyncio.gather(*(work(f"task {number}") for number in range(5)))

    asyncio.run(main())
    assert sorted((event.artifact_name, event.session_id) for event in recorded.events) == [
        *[("after", "all")] * 5,
        *((f"task {number}", f"task {number}") for number in range(5)),
    ]
    recorded.events.clear()
    with session("outer"):
        for start in (deploy, lambda name: contextvars.copy_context().run(deploy, name)):
            thread = threading.Thread(target=start, args=("canvas",))
            thread.start()
            thread.join()
    # From 3.14 on a thread may begin with a copy of the context of who started it.
    inherits = bool(getattr(sys.flags, "thread_inherit_context", False))
    assert recorded.sessions() == ["outer" if inherits else None] * 2


def test_blocks_may_end_in_any_order(recorded: Any) -> None:
    """The session is that of the innermost block that is still open; ending one twice, or elsewhere, does nothing."""
    first, second, third = session("1"), session("2"), session("3")
    for block in (first, second, third):
        block.__enter__()
    second.__exit__(None, None, None)
    deploy("canvas")
    third.__exit__(None, None, None)
    contextvars.Context().run(first.__exit__, None, None, None)
    deploy("canvas")
    first.__exit__(None, None, None)
    first.__exit__(None, None, None)
    deploy("canvas")
    with first, first:
        deploy("canvas")
    deploy("canvas")
    assert recorded.sessions() == ["3", "1", None, "1", None]


def test_it_is_redacted_like_any_value(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret that somebody used as a session is recorded, wherever it came from."""
    secret = "ghp_" + "a1B2" * 9
    monkeypatch.setenv("USAGETRACE_SESSION_ID", secret)
    deploy("canvas")
    with session(secret):
        track_invocation("review").completer()
    assert len(recorded.events) == 2
    assert secret not in repr([recorded.events, recorded.begun])
    assert all(event.session_id for event in recorded.events)


class Unreadable:
    """No text can be had of it."""

    def __str__(self) -> str:
        raise LookupError("planted")

    __bool__ = __eq__ = __str__  # type: ignore[assignment]
    __hash__ = object.__hash__


def test_one_that_can_not_be_read_is_none(recorded: Any) -> None:
    """The call goes on and is recorded without a session."""
    with session(Unreadable()):
        deploy("canvas")
        track_invocation("review").completer()
    assert recorded.sessions() == [None, None]


PROGRAM = """
import os, sys, threading
import usagetrace
from usagetrace.invocations import session, track_invocation
from usagetrace.track.session import process_session

usagetrace.configure(db_path=sys.argv[1] if len(sys.argv) > 1 else "a.db")
own = set()
threads = [threading.Thread(target=lambda: own.add(process_session())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert own == {process_session()}
track_invocation("parent").completer()
usagetrace.record_event("deploy", "parent", "skill")
pid = os.fork()
if not pid:
    track_invocation("child").completer()
    assert process_session() not in own
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def _stored(path: Path) -> list[Event]:
    catch_up(path)
    with Store(path) as store:
        return [Event(**{key: row[key] for key in Event._fields}) for row in store.get_events(limit=None)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_has_one_and_its_children_others(tmp_path: Path) -> None:
    """All threads of a process share it; a forked child has another one. Mere events have none."""
    done = run_python(PROGRAM, tmp_path / "own")
    assert (done.code, done.err) == (0, "")
    found = _stored(tmp_path / "own" / "a.db")
    assert sorted(event.artifact_name for event in found) == ["child", "parent", "parent"]
    assert len({event.session_id for event in found if event.event_type == "invoke"}) == 2
    assert [event.session_id for event in found if event.event_type == "deploy"] == [None]


@pytest.mark.e2e
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_environments_is_shared_by_all(tmp_path: Path) -> None:
    """Where the environment names one it is that of every process and every kind of event."""
    program = PROGRAM.replace("assert process_session() not in own", "")
    done = run_python(program, tmp_path / "own", {"USAGETRACE_SESSION_ID": "shift-7"})
    assert (done.code, done.err) == (0, "")
    assert {event.session_id for event in _stored(tmp_path / "own" / "a.db")} == {"shift-7"}

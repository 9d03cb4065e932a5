"""Parts of an operation: where the outer one names nothing, the artifacts that its parts were about are its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import track
from usagetrace.exporters.convert import events_from_span


def rows(spans: Any) -> list[tuple[str, str, str, str | None, dict[str, Any]]]:
    """Return type, artifact, status, error type and metadata of each event, in order."""
    return [
        (e.event_type, e.artifact_name, e.status, e.error_type, dict(e.metadata or {}))
        for span in spans.finished
        for e in events_from_span(span, "t")
    ]


def brief(spans: Any) -> list[tuple[str, str, str | None]]:
    """Return artifact, status and error type of each event, in order."""
    return [(name, status, error) for _type, name, status, error, _metadata in rows(spans)]


@track.deploy(artifact_type="skill")
def deploy(name: str, version: str | None = None, fails: bool = False, collection: str | None = None) -> str:
    """Deploy one thing."""
    if fails:
        raise KeyError("planted")
    return name


@track.deploy
def deploy_all(*calls: dict[str, Any], last: BaseException | None = None, source: str | None = None) -> None:
    """Deploy several, whatever becomes of each; then fail where told so."""
    for call in calls:
        try:
            deploy(**call)
        except KeyError:
            continue
    if last is not None:
        raise last


def test_parts_become_artifacts(spans: Any) -> None:
    """Three parts of three names are three events of one span, each with its own metadata, outcome and error."""
    deploy_all({"name": "a", "version": "1"}, {"name": "b", "fails": True}, {"name": "c", "collection": "x"})
    assert rows(spans) == [
        ("deploy", "a", "ok", None, {"version": "1", "success": True}),
        ("deploy", "b", "error", "KeyError", {"success": False}),
        ("deploy", "c", "ok", None, {"success": True}),
    ]
    assert len(spans.finished) == 1
    assert [e.collection_name for e in events_from_span(spans.finished[0], "t")] == [None, None, "x"]
    attributes = spans.attributes()
    assert attributes["usage.item.outcome"] == ("success", "error", "success")
    assert attributes["usage.item.error.type"] == (None, "KeyError", None)
    assert spans.finished[0].status.is_ok or spans.finished[0].status.is_unset
    assert spans.counts() == {
        (("usage.artifact.type", "skill"), ("usage.event.type", "deploy"), ("usage.outcome", "success")): 2,
        (
            ("error.type", "KeyError"),
            ("usage.artifact.type", "skill"),
            ("usage.event.type", "deploy"),
            ("usage.outcome", "error"),
        ): 1,
    }


def test_what_the_outer_knows_holds_for_all(spans: Any) -> None:
    """Metadata of the outer call itself is that of each artifact; what one part knows is not another's."""
    outer = track.deploy(metadata={"source": "$source"})(
        lambda source: deploy_all({"name": "a", "version": "1"}, {"name": "b"})
    )
    outer("local")
    assert [(name, metadata) for _t, name, _s, _e, metadata in rows(spans)] == [
        ("a", {"version": "1", "source": "local", "success": True}),
        ("b", {"source": "local", "success": True}),
    ]


def test_artifacts_that_all_end_alike_say_nothing(spans: Any) -> None:
    """Where every artifact ended like the call there is no array of outcomes."""
    deploy_all({"name": "a"}, {"name": "b"})
    assert [key for key in spans.attributes() if key.startswith("usage.item.")] == [
        "usage.item.artifact.name", "usage.item.artifact.type"
    ]  # fmt: skip
    assert brief(spans) == [("a", "ok", None), ("b", "ok", None)]


def test_all_failed(spans: Any) -> None:
    """A call all of whose artifacts failed, failed, although it returned."""
    deploy_all({"name": "a", "fails": True}, {"name": "b", "fails": True})
    assert brief(spans) == [("a", "error", "KeyError"), ("b", "error", "KeyError")]
    assert (spans.finished[0].status.is_ok, spans.attributes()["error.type"]) == (False, "KeyError")
    assert "usage.item.outcome" not in spans.attributes()


def test_the_part_that_the_outer_failed_by(spans: Any) -> None:
    """What was done before the outer call raised was done; the part that it raised by is the failure."""

    @track.deploy
    def outer() -> None:
        deploy("a")
        deploy("b", fails=True)

    with pytest.raises(KeyError):
        outer()
    assert brief(spans) == [("a", "ok", None), ("b", "error", "KeyError")]
    assert spans.attributes()["error.type"] == "KeyError"


def test_a_failure_of_no_part_is_counted(spans: Any) -> None:
    """Where the outer call raised and none of its parts did, the failure is an event without a name."""
    with pytest.raises(OSError, match="planted"):
        deploy_all({"name": "a", "version": "1"}, {"name": "b"}, last=OSError("planted"))
    assert rows(spans) == [
        ("deploy", "a", "ok", None, {"version": "1", "success": True}),
        ("deploy", "b", "ok", None, {"success": True}),
        ("deploy", "", "error", "OSError", {"success": False}),
    ]


@pytest.mark.parametrize("calls", [[], [{"name": "a"}], [{"name": "a"}, {"name": "a", "version": "2"}]])
def test_fewer_than_two_artifacts_fill(spans: Any, calls: list[dict[str, Any]]) -> None:
    """No part, one part, or several about one artifact fill the outer operation, which stays one event."""
    deploy_all(*calls)
    assert [name for name, _status, _error in brief(spans)] == [calls[0]["name"] if calls else ""]
    assert "usage.item.artifact.name" not in spans.attributes()


def test_a_name_of_its_own_keeps_the_outer_one_event(spans: Any) -> None:
    """An outer operation that names its artifact, before or after the call, is about that one."""
    early = track.deploy(artifact_name="$name")(lambda name: deploy_all({"name": "a"}, {"name": "b"}))
    late = track.deploy(artifact_name="$result")(lambda: deploy_all({"name": "a"}, {"name": "b"}) or "whole")
    early("whole")
    late()
    assert brief(spans) == [("whole", "ok", None), ("whole", "ok", None)]


def test_artifacts_of_its_own_come_first(spans: Any) -> None:
    """An outer operation with artifacts of its own keeps those; one whose each leads nowhere takes its parts'."""
    outer = track.deploy(each="$names", artifact_name="$item")(lambda names: deploy_all({"name": "a"}, {"name": "b"}))
    outer(["x", "y"])
    outer([])
    outer(None)
    assert [name for name, _s, _e in brief(spans)] == ["x", "y", "a", "b", "a", "b"]


def test_an_artifact_tried_twice_ended_as_it_did_last(spans: Any) -> None:
    """A part that failed and was tried again is one artifact, with how it ended last and all that is known of it."""
    deploy_all({"name": "a", "fails": True, "version": "1"}, {"name": "b"}, {"name": "a", "collection": "x"})
    deploy_all({"name": "a"}, {"name": "b"}, {"name": "a", "fails": True})
    assert brief(spans) == [("a", "ok", None), ("b", "ok", None), ("a", "error", "KeyError"), ("b", "ok", None)]
    assert rows(spans)[0][4] == {"version": "1", "success": True}


def test_parts_of_parts(spans: Any) -> None:
    """What a part calls fills that part, and not its sisters; a group inside a group gives its artifacts."""
    link = track.deploy(fill_only=True, metadata={"link": "$target"})(lambda target: None)

    @track.deploy
    def one(name: str) -> None:
        link(f"/srv/{name}")
        deploy("other name of " + name, version=name + "1")

    @track.deploy
    def group(*names: str) -> None:
        for name in names:
            one(name)

    @track.deploy
    def everything() -> None:
        group("a", "b")
        group("c")

    everything()
    assert [(row[1], row[4]) for row in rows(spans)] == [
        (name, {"link": f"/srv/{name}", "version": name + "1", "success": True}) for name in "abc"
    ]


def test_parts_with_several_artifacts(spans: Any) -> None:
    """A part that touched several artifacts gives all of them; those that it says twice stay two."""
    several = track.deploy(each="$names", artifact_name="$item", outcome={"$item == 'bad'": "error"})(
        lambda names: None
    )

    @track.deploy
    def outer() -> None:
        several(["a", "a"])
        several(["bad", "c"])

    outer()
    assert [(name, status) for name, status, _error in brief(spans)] == [
        ("a", "ok"), ("a", "ok"), ("bad", "error"), ("c", "ok")
    ]  # fmt: skip


def test_parts_of_another_type_fill_only(spans: Any) -> None:
    """What skip_within makes a part of an operation of another type is none of its artifacts."""
    remove = track.remove(skip_within=("add",))(lambda name: None)
    track("add")(lambda: [remove("a"), remove("b")])()
    assert [row[:2] for row in rows(spans)] == [("add", "a")]


def test_outcomes_that_parts_tell(spans: Any) -> None:
    """A conflict of one sync of several is that one's."""
    sync = track.sync(lambda name, result: {"result": result})

    @track.sync
    def both() -> None:
        sync("a", "conflict")
        sync("b", "success")

    both()
    assert [(row[1], row[2], row[4]["result"]) for row in rows(spans)] == [
        ("a", "ok", "conflict"), ("b", "ok", "success")
    ]  # fmt: skip


def test_the_message_of_a_failed_sync_is_its_own(spans: Any) -> None:
    """The text that a failed part raised with stands at that artifact alone."""

    @track.sync
    def sync(name: str) -> None:
        if name == "b":
            raise OSError("planted")

    def both() -> None:
        for name in "ab":
            sync(name)

    with pytest.raises(OSError, match="planted"):
        track.sync(both)()
    assert [(row[1], row[2], row[4].get("error_message")) for row in rows(spans)] == [
        ("a", "ok", None), ("b", "error", "planted")
    ]  # fmt: skip


def test_redacted_names_are_different_artifacts(capture: Any) -> None:
    """Names that redaction turns into the same marker are counted all the same."""

    class Marks:
        def redact(self, key: str, value: Any) -> Any:
            return "[redacted:email]" if key == "usage.artifact.name" else value

        def key(self, key: str) -> str:
            return key

    spans = capture(redactor=Marks())
    deploy_all({"name": "ada@example.org"}, {"name": "bob@example.org"}, {"name": "ada@example.org"})
    assert [name for name, _s, _e in brief(spans)] == ["[redacted:email]"] * 2


def test_many_parts_are_bounded(spans: Any) -> None:
    """Of endlessly many parts a bounded number become artifacts."""
    deploy_all(*({"name": str(number)} for number in range(1500)))
    assert len(rows(spans)) == 1000


async def test_tasks(spans: Any) -> None:
    """Tasks that the outer call waits for are its parts, in the order in which they end."""

    @track.deploy
    async def one(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if name == "b":
            raise KeyError("planted")

    @track.deploy
    async def outer() -> None:
        await asyncio.gather(one("a", 0.03), one("b", 0), one("c", 0.01), return_exceptions=True)

    await outer()
    assert sorted(brief(spans)) == [("a", "ok", None), ("b", "error", "KeyError"), ("c", "ok", None)]


def test_threads(spans: Any) -> None:
    """Parts that end at once in many threads are all there, each once."""

    @track.deploy
    def outer(names: list[str]) -> None:
        gate = threading.Barrier(len(names))

        def work(name: str) -> None:
            gate.wait()
            deploy(name)

        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work, name), daemon=True) for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    names = [f"n{number:02}" for number in range(24)]
    outer(names)
    assert sorted(row[1] for row in rows(spans)) == names
    assert len(spans.finished) == 1


async def test_a_part_that_outlives_the_outer_is_counted_by_itself(spans: Any) -> None:
    """A part that began inside and ends after the outer operation is an event of its own, once."""
    go_on = asyncio.Event()

    @track.deploy
    async def one(name: str) -> None:
        if name == "late":
            await go_on.wait()

    @track.deploy
    async def outer() -> Any:
        late = asyncio.create_task(one("late"))
        await asyncio.sleep(0)
        await one("a")
        await one("b")
        return late

    late = await outer()
    go_on.set()
    await late
    assert brief(spans) == [("a", "ok", None), ("b", "ok", None), ("late", "ok", None)]


def test_parts_of_an_operation_that_turns_out_to_be_none(spans: Any) -> None:
    """Parts of a call that is skipped late, or all of whose artifacts are left out, are events of their own."""
    late = track.deploy(skip_if="$result")(lambda: deploy_all({"name": "a"}, {"name": "b"}) or True)
    left_out = track.deploy(each="$names", artifact_name="$item", skip_if="$item")(lambda names: deploy(names[0]))
    late()
    left_out(["c"])
    assert brief(spans) == [("a", "ok", None), ("b", "ok", None), ("c", "ok", None)]


async def test_parts_of_every_kind(spans: Any) -> None:
    """Blocks, coroutines, generators and those that are thrown away are parts like functions, each once."""
    coroutine = track.deploy(later)
    generator = track.deploy(numbers)
    async_generator = track.deploy(later_numbers)

    @track.deploy
    async def outer() -> None:
        with track.deploy(artifact_name="block") as block:
            # Inside a block that has a name: parts of that.
            going = generator("generator")
            next(going)
            deploy("function", version="1")
            block.set(version="2")
        await coroutine("coroutine")
        assert [number async for number in async_generator("async generator")] == [1]
        left = generator("left")
        next(left)
        left.close()
        assert list(going) == [2]

    await outer()
    found = {row[1]: row[4].get("version") for row in rows(spans)}
    assert found == {
        "block": "2", "coroutine": None, "async generator": None, "left": None
    }  # fmt: skip


async def later(name: str) -> None:
    """Suspend once."""
    await asyncio.sleep(0)


def numbers(name: str) -> Iterator[int]:
    """Yield two numbers."""
    yield 1
    yield 2


async def later_numbers(name: str) -> AsyncIterator[int]:
    """Yield a number."""
    yield 1


@given(calls=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=8))
def test_each_named_part_is_an_event_once(capture: Any, calls: list[tuple[str, bool]]) -> None:
    """Whatever parts run in whatever order, each artifact is one event that ended as it did last."""
    spans = capture()
    deploy_all(*({"name": name, "fails": fails} for name, fails in calls))
    last = {name: ("error", "KeyError") if fails else ("ok", None) for name, fails in calls}
    first = list(last.items())[:1]
    alone = [(first[0][0] if first else "", "ok", None)]
    assert brief(spans) == ([(name, *end) for name, end in last.items()] if len(last) > 1 else alone)

"""Calls inside calls: what is part of another operation, what is counted, and what the inner one fills in."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from typing import Any

import pytest

from usagetrace import track
from usagetrace.track import parts


@track.remove
def remove(name: str, reason: str = "cleanup", collection: str = "default") -> None:
    """Remove something."""


@track("add", artifact_name="$name")
def add(name: str) -> None:
    """Replace what is there: remove and add."""
    remove(name)


@track.deploy
def inner(artifact_name: str, artifact_type: str = "skill", collection: str = "default", version: str = "v1") -> None:
    """Deploy."""


def test_same_type_inside_is_part_of_the_outer(spans: Any) -> None:
    """An inner call of the same type makes no span and no count; its fields fill what the outer lacks."""

    @track.deploy
    def outer(artifact_name: str) -> None:
        inner("inner name")

    outer("outer name")
    attributes = spans.attributes()
    assert attributes["usage.artifact.name"] == "outer name"
    assert (attributes["usage.artifact.type"], attributes["usage.collection.name"]) == ("skill", "default")
    assert spans.metadata()["version"] == "v1"
    assert sum(spans.counts().values()) == 1


def test_first_inner_call_fills(spans: Any) -> None:
    """Of several inner calls the first that has a field fills it."""

    @track.deploy
    def outer() -> None:
        inner("first", version=None)  # type: ignore[arg-type]
        inner("second", version="v2")

    outer()
    assert spans.attributes()["usage.artifact.name"] == "first"
    assert spans.metadata()["version"] == "v2"


def test_result_of_an_inner_sync_is_the_outers(spans: Any) -> None:
    """A conflict that an inner sync reports is the outer one's outcome where that says nothing."""
    inner_sync = track.sync(lambda name: {"result": "conflict", "conflicts_detected": 2})
    track.sync(lambda: inner_sync("canvas") and None)()
    assert (spans.attributes()["usage.outcome"], spans.metadata()["conflicts_detected"]) == ("conflict", 2)


def test_inner_failure_that_is_handled_is_no_failure(spans: Any) -> None:
    """An inner call that raised, and was handled by the outer, leaves the outer a success."""

    @track.deploy
    def fails() -> None:
        raise KeyError("planted")

    @track.deploy
    def outer(artifact_name: str) -> None:
        with pytest.raises(KeyError):
            fails()

    outer("canvas")
    assert "error.type" not in spans.attributes()


def test_nested_true_counts(spans: Any) -> None:
    """nested=True makes an inner call of the same type an event of its own, a child of the outer span."""

    @track.deploy(nested=True)
    def dependency(artifact_name: str) -> None: ...

    @track.deploy
    def outer(artifact_name: str) -> None:
        dependency("dependency")

    outer("outer")
    by_name = {span.attributes["usage.artifact.name"]: span for span in spans.finished}
    assert by_name["dependency"].parent.span_id == by_name["outer"].context.span_id


def test_skip_within_other_types(spans: Any) -> None:
    """skip_within makes a call part of a running operation of another type; alone it counts."""

    @track.remove(skip_within=("add",))
    def quiet_remove(name: str) -> None: ...

    track("add", artifact_name="$name")(lambda name: quiet_remove(name))("canvas")
    assert spans.names == ["add"]
    quiet_remove("canvas")
    assert spans.names == ["add", "remove"]


def test_other_types_are_counted_inside(spans: Any) -> None:
    """Without skip_within an inner operation of another type is an event of its own."""
    add("canvas")
    assert sorted(spans.names) == ["add", "remove"]


def test_part_of_an_operation_further_out(spans: Any) -> None:
    """An operation of another type between two of one type does not separate them."""

    @track.update
    def middle(name: str) -> None:
        inner("inner")

    @track.deploy
    def outer(artifact_name: str) -> None:
        middle("middle")

    outer("outer")
    assert sorted(spans.names) == ["deploy", "update"]


async def test_nesting_across_await(spans: Any) -> None:
    """An inner coroutine that suspends is still part of the outer call, also in tasks that the outer waits for."""

    @track.deploy
    async def dependency(artifact_name: str, version: str) -> None:
        await asyncio.sleep(0)

    @track.deploy
    async def outer(artifact_name: str) -> None:
        await dependency("a", "v1")
        await asyncio.gather(dependency("b", "v2"), dependency("c", "v3"))

    await outer("outer")
    assert (spans.attributes()["usage.artifact.name"], spans.metadata()["version"]) == ("outer", "v1")


async def test_task_that_outlives_the_outer_call_is_counted(spans: Any) -> None:
    """A call that begins after the outer one ended is no part of it, although its context says so."""
    begin = asyncio.Event()

    @track.deploy
    async def later(artifact_name: str) -> None: ...

    async def wait() -> None:
        await begin.wait()
        await later("later")

    @track.deploy
    async def outer(artifact_name: str) -> Any:
        return asyncio.create_task(wait())

    task = await outer("outer")
    begin.set()
    await task
    assert [span.attributes["usage.artifact.name"] for span in spans.finished] == ["outer", "later"]


def test_skip_if_early_and_late(spans: Any) -> None:
    """skip_if is read before the call where it can be, else after it; a skipped call leaves no span and no count."""
    early = track.deploy(skip_if="$dry_run")(lambda name, dry_run: {"skipped": False})
    late = track.deploy(skip_if="$result.skipped")(lambda name, skipped: {"skipped": skipped})
    called = track.deploy(skip_if=lambda call: call.arguments["name"] == "b")(lambda name: None)
    early("a", True)
    early("b", False)
    late("c", True)
    late("d", False)
    called("b")
    called("e")
    assert [span.attributes["usage.artifact.name"] for span in spans.finished] == ["b", "d", "e"]
    assert sum(spans.counts().values()) == 3


@pytest.mark.parametrize("skip", [True, 1, "yes"])
def test_skip_if_literals(spans: Any, skip: Any) -> None:
    """A true literal skips every call; the call itself runs."""
    assert track.deploy(skip_if=skip)(lambda name: name)("canvas") == "canvas"
    assert spans.names == []


def test_calls_inside_a_skipped_call_count(spans: Any) -> None:
    """A call inside one that was skipped before it began is an event of its own."""
    track.deploy(skip_if=True)(lambda: inner("inner"))()
    assert spans.attributes()["usage.artifact.name"] == "inner"


def test_calls_inside_a_call_that_is_skipped_late_count(spans: Any) -> None:
    """A call inside one that turns out not to be recorded is not lost with it."""
    track.deploy(skip_if="$result")(lambda: inner("inner") or True)()
    assert spans.attributes()["usage.artifact.name"] == "inner"


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"artefact": 1}, "unknown field 'artefact'"),
        ({"skip_within": "add"}, "skip_within: takes a tuple"),
        ({"skip_within": (1,)}, "skip_within: takes a tuple"),
    ],
)
def test_wrong_fields_raise_at_decoration(fields: dict[str, Any], part: str) -> None:
    """A field that there is not, or a skip_within that is no tuple, raises TypeError naming function and field."""

    def named(name: str) -> None: ...

    for tracker in (track.deploy(**fields), track("deploy", **fields)):
        with pytest.raises(TypeError, match=part) as caught:
            tracker(named)
        assert "named" in str(caught.value)


@pytest.mark.parametrize("fields", [{"artefact": 1}, {"skip_within": "add"}])
@pytest.mark.parametrize("mode", ["on", "off"])
def test_wrong_fields_of_a_block_raise_on_and_off(in_mode: Any, fields: dict[str, Any], mode: str) -> None:
    """A block with a field that there is not raises TypeError, whether or not the user said no."""
    with in_mode(mode), pytest.raises(TypeError), track.deploy(**fields):
        pass


@pytest.mark.parametrize("name", ["", "  ", None, 5, "x" * 513])
def test_wrong_event_types_raise(name: Any) -> None:
    """An event type is a text that is not empty and not endless."""
    with pytest.raises(ValueError, match="event type"):
        track(name)


@pytest.mark.parametrize("metadata", ["strategy", 5, ["strategy"]])
def test_metadata_that_has_no_effect_is_refused(metadata: Any) -> None:
    """A metadata field that can't lead to a mapping raises at decoration instead of doing nothing."""
    with pytest.raises((TypeError, ValueError)):
        track.deploy(metadata=metadata)(lambda name: None)


def test_decorating_nothing_is_refused() -> None:
    """None where a function is expected, as from a getattr that found nothing, raises TypeError."""
    with pytest.raises(TypeError):
        track.deploy(None)  # type: ignore[call-overload]


def test_first_parts_that_end_at_once(spans: Any) -> None:
    """Of parts that end in many threads at the same moment, none is lost, and nothing of them is held afterwards."""
    keys = [f"key{number}" for number in range(8)]

    def work(gate: threading.Barrier, key: str) -> None:
        with track.deploy(metadata={key: 1}):
            gate.wait()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _round in range(20):
            gate = threading.Barrier(len(keys))
            with track.deploy(artifact_name="canvas", artifact_type="skill"):
                contexts = [contextvars.copy_context() for _key in keys]
                threads = [
                    threading.Thread(target=context.run, args=(work, gate, key), daemon=True)
                    for context, key in zip(contexts, keys, strict=True)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert spans.metadata() == {"success": True, **dict.fromkeys(keys, 1)}
            spans.clear()
    finally:
        sys.setswitchinterval(interval)
    assert parts._being_made == {}

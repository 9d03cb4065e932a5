"""What parts give to the operation that they run inside: ``fill_only``, artifact by artifact, and what is missing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from tests.track.test_track_parts import brief, rows
from usagetrace import track


def test_fill_only_is_never_an_event(spans: Any) -> None:
    """fill_only gives what it knows to the operation that it runs inside, of its type or of skip_within."""
    version = track.deploy(fill_only=True, artifact_name="$name", metadata={"version": "$result"})(lambda name: "1.2")
    within = track("probe", fill_only=True, skip_within=("deploy",), metadata={"sha": "$sha"})(lambda sha: None)

    @track.deploy(artifact_type="skill")
    def outer(artifact_name: str) -> None:
        version("inner a")
        version("inner b")
        within("abc")

    version("alone")
    within("alone")
    track.update(lambda name: version(name))("other")
    outer("canvas")
    assert [row[:2] for row in rows(spans)] == [("update", "other"), ("deploy", "canvas")]
    assert rows(spans)[1][4] == {"version": "1.2", "sha": "abc", "success": True}


def test_fill_only_names_but_makes_no_artifacts(spans: Any) -> None:
    """Of an operation without a name, fill_only gives the name, however many it is called with."""
    told = track.deploy(fill_only=True)(lambda name: None)
    track.deploy(lambda: [told("a"), told("b")])()
    assert brief(spans) == [("a", "ok", None)]


def test_fill_only_inside_what_turns_out_to_be_none(spans: Any) -> None:
    """What only fills is lost with the operation that it filled."""
    told = track.deploy(fill_only=True)(lambda name: None)
    track.deploy(skip_if="$result")(lambda: told("a") or True)()
    assert spans.names == []


async def test_fill_only_of_every_kind(spans: Any) -> None:
    """A coroutine and a generator that only fill do so too, wherever they were made."""

    @track.deploy(fill_only=True)
    async def later(version: str) -> None:
        await asyncio.sleep(0)

    @track.deploy(fill_only=True)
    def numbers(sha: str) -> Any:
        yield 1

    waiting, going = later("1.2"), numbers("abc")

    @track.deploy
    async def outer(artifact_name: str) -> None:
        await waiting
        list(going)

    await later("alone")
    await outer("canvas")
    assert rows(spans) == [("deploy", "canvas", "ok", None, {"version": "1.2", "sha": "abc", "success": True})]


def test_fill_only_alone_starts_nothing() -> None:
    """A program in which only a function that fills is called starts no pipeline, and reads none of its arguments."""
    program = (
        "import sys\nfrom usagetrace import track\n"
        "told = track.deploy(fill_only=True)(lambda name: name)\n"
        "assert told('a') == 'a'\n"
        "print([name for name in sys.modules if name in ('usagetrace.pipeline', 'usagetrace.track.operation')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("fields", [{"fill_only": True, "nested": True}])
def test_fill_only_has_to_have_something_to_fill(fields: Any) -> None:
    """A function that is a part of nothing has nothing to fill."""
    with pytest.raises(TypeError, match="field fill_only"):
        track.deploy(**fields)(lambda name: None)
    track.deploy(skip_within=("add",), **fields)(lambda name: None)


@pytest.mark.parametrize("fill_only", [True, False])
def test_a_part_that_names_an_artifact_fills_that_one(spans: Any, fill_only: bool) -> None:
    """Of an operation with artifacts by each, a part gives what it knows to the artifact that it names, or to none."""
    told = track.update(
        fill_only=fill_only, artifact_type="package", metadata={"before": "$before", "hint": "$hint"}
    )(lambda name, before=None, hint=None: None)  # fmt: skip

    @track.update(each="$names", artifact_name="$item", metadata={"hint": "$own"})
    def update(names: list[str], own: str | None = None) -> None:
        told("b", before="1.0")
        told("b", before="0.9", hint="of b")
        told("other", before="5.0")
        told(None, hint="of all")

    update(["a", "b"])
    update(["b", "c"], "own")
    assert [(row[1], row[4].get("before"), row[4].get("hint")) for row in rows(spans)] == [
        ("a", None, "of all"), ("b", "1.0", "of b"), ("b", "1.0", "own"), ("c", None, "own")
    ]  # fmt: skip


def test_what_only_fills_fills_the_part_of_its_name(spans: Any) -> None:
    """Where the artifacts are parts, what only fills gives its sister of the same name what it knows."""
    told = track.deploy(fill_only=True, metadata={"version": "$version"})(lambda name, version: None)
    one = track.deploy(artifact_type="skill")(lambda name: None)

    @track.deploy
    def everything() -> None:
        for name in "ab":
            told(name, name + "1")
            one(name)
        told("c", "c1")
        one("d")

    everything()
    assert [(row[1], row[4].get("version")) for row in rows(spans)] == [("a", "a1"), ("b", "b1"), ("d", None)]


def test_names_that_became_one_marker_are_not_filled(capture: Any) -> None:
    """Where nobody knows which artifact is meant, none gets what is told of one."""

    class Marks:
        def redact(self, key: str, value: Any) -> Any:
            return "[redacted:email]" if key == "usage.artifact.name" else value

        def key(self, key: str) -> str:
            return key

    spans = capture(redactor=Marks())
    told = track.deploy(fill_only=True, metadata={"version": "$version"})(lambda name, version: None)
    track.deploy(each="$names", artifact_name="$item")(lambda names: told(names[0], "1"))(["a", "b"])
    assert [row[4] for row in rows(spans)] == [{"success": True}] * 2


@pytest.mark.parametrize(
    ("asked", "done", "expected"),
    [
        (["a", "b"], "ab", [("a", "ok", None), ("b", "ok", None)]),
        (["c", "a", "c"], "a", [("a", "ok", None), ("c", "error", "_OTHER")]),
        (["a"], "", [("a", "error", "_OTHER")]),
        (["a"], "a", [("a", "ok", None)]),
        ([], "", [("", "ok", None)]),
        (["b"], "a", [("a", "ok", None), ("b", "error", "_OTHER")]),
    ],
)
def test_what_was_asked_for_and_is_no_part_failed(spans: Any, asked: list[str], done: str, expected: Any) -> None:
    """Without each, what was asked for is held against the parts."""
    one = track("download", artifact_name="$name")(lambda name: None)

    @track("download", requested="$names", artifact_type="package")
    def download(names: list[str]) -> None:
        for name in done:
            one(name)
        names.clear()

    download(asked)
    assert brief(spans) == expected


def test_where_the_call_raised_what_is_no_part_failed_so(spans: Any) -> None:
    """Parts that were done stay done where the call raised; the rest of what was asked for failed with it."""
    one = track("download", artifact_name="$name")(lambda name: None)

    @track("download", requested="$names")
    def download(names: list[str]) -> None:
        one(names[0])
        raise OSError("planted")

    with pytest.raises(OSError, match="planted"):
        download(["a", "b"])
    assert brief(spans) == [("a", "ok", None), ("b", "error", "OSError")]

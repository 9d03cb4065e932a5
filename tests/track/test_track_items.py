"""What is said of each artifact of a call: its own outcome, that it is left out, that it was asked for and not done."""

from __future__ import annotations

import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import track
from usagetrace.errors import SelectorError
from usagetrace.exporters.convert import events_from_span

ANYTHING = {"artifact_name": "$item.name | $item", "artifact_type": "skill"}


def thing(name: str, **more: Any) -> Any:
    """Return something that was worked on."""
    return types.SimpleNamespace(name=name, skipped=False, errors=None, error=None, **more)


def brief(spans: Any) -> list[tuple[str, str, str | None]]:
    """Return artifact, status and error type of each event, in order."""
    return [(e.artifact_name, e.status, e.error_type) for span in spans.finished for e in events_from_span(span, "t")]


def status(spans: Any) -> tuple[str, Any, Any]:
    """Return the status of the only span, its error type and its outcomes."""
    attributes = spans.attributes()
    return (
        spans.finished[0].status.status_code.name, attributes.get("error.type"), attributes.get("usage.item.outcome")
    )  # fmt: skip


# --- outcome of each artifact ----------------------------------------------------------------------------------

OUTCOME = {"$item.skipped": "cancelled", "$item.error": "$item.error", "$item.errors": "error"}


def test_outcome_of_each_artifact(spans: Any) -> None:
    """Each artifact ends as cases with $item say; an exception gives its name, a word alone gives _OTHER."""
    done = [thing("a"), thing("b"), thing("c"), thing("d")]
    done[1].skipped, done[2].errors, done[3].error = True, ["planted"], OSError("planted")
    track.deploy(each="$result", outcome=OUTCOME, **ANYTHING)(lambda: done)()
    assert brief(spans) == [
        ("a", "ok", None), ("b", "ok", None), ("c", "error", "_OTHER"), ("d", "error", "OSError")
    ]  # fmt: skip
    assert status(spans) == ("UNSET", None, ("success", "cancelled", "error", "error"))
    assert spans.attributes()["usage.item.error.type"] == (None, None, "_OTHER", "OSError")
    told = [dict(e.metadata or {}) for e in events_from_span(spans.finished[0], "t")]
    assert told == [
        {"success": True},
        {"success": False, "outcome": "cancelled"},
        {"success": False},
        {"success": False},
    ]
    counted = {tuple(value for _key, value in key): number for key, number in spans.counts().items()}
    assert counted == {
        ("skill", "deploy", "success"): 1,
        ("skill", "deploy", "cancelled"): 1,
        ("_OTHER", "skill", "deploy", "error"): 1,
        ("OSError", "skill", "deploy", "error"): 1,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ok", "ok"], ("UNSET", None, None)),
        (["failed", "failed"], ("ERROR", "_OTHER", None)),
        (["failed", "ok"], ("UNSET", None, ("error", "success"))),
        (["conflict", "conflict"], ("UNSET", None, None)),
        (["conflict", "failed"], ("UNSET", None, ("conflict", "error"))),
        ([None, None], ("UNSET", None, None)),
        ([None, "failed"], ("UNSET", None, ("success", "error"))),
    ],
)
def test_the_call_fails_where_all_of_its_artifacts_do(spans: Any, words: list[Any], expected: Any) -> None:
    """What all artifacts ended with is the call's outcome, and then no array says it; else the call succeeded."""
    track.update(each="$result", outcome="$item.word", artifact_name="$rank")(
        lambda: [types.SimpleNamespace(word=word) for word in words]
    )()
    assert status(spans) == expected
    assert [row[1] for row in brief(spans)] == ["error" if word == "failed" else "ok" for word in words]
    if words == ["conflict", "conflict"]:
        assert spans.attributes()["usage.outcome"] == "conflict"


def test_exceptions_of_one_class_are_the_calls(spans: Any) -> None:
    """Where all artifacts failed with one class of exception, it is the call's error type; with several, _OTHER."""
    deploy = track.deploy(each="$errors", outcome="$item", artifact_name="$rank")(lambda errors: None)
    deploy([OSError("a"), OSError("b")])
    deploy([OSError("a"), KeyError("b")])
    assert [span.attributes["error.type"] for span in spans.finished] == ["OSError", "_OTHER"]
    assert [row[2] for row in brief(spans)] == ["OSError", "OSError", "OSError", "KeyError"]


def test_a_call_without_artifacts_is_not_judged_by_them(spans: Any) -> None:
    """An outcome of each artifact says nothing of a call that touched none."""
    track.deploy(each="$result", outcome="not $item", artifact_name="$item")(lambda found: found)([])
    track.deploy(each="$result", outcome={"not $item.ok": "error"}, artifact_name="$item")(lambda: None)()
    assert [row[1] for row in brief(spans)] == ["ok", "ok"]


def test_results_of_a_sync_are_its_artifacts_own(spans: Any) -> None:
    """The metadata key result of a sync is each artifact's outcome."""
    track.sync(each="$words", artifact_name="$rank", outcome="$item")(lambda words: None)(["conflict", "success"])
    assert [dict(e.metadata or {}) for e in events_from_span(spans.finished[0], "t")] == [
        {"result": "conflict"}, {"result": "success"}
    ]  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"skip_if": "not $error"}])
def test_artifacts_that_parameters_tell_failed_with_the_call(spans: Any, fields: Any) -> None:
    """A call that raised failed for each artifact that is known all the same; with each of the result, for itself."""

    def fails(names: list[str]) -> None:
        raise OSError("planted")

    for each in ("$names", "$result"):
        with pytest.raises(OSError, match="planted"):
            track.deploy(each=each, artifact_name="$item", **fields)(fails)(["a", "b"])
    assert brief(spans) == [("a", "error", "OSError"), ("b", "error", "OSError"), ("", "error", "OSError")]


def test_outcome_of_each_artifact_where_the_call_raised(spans: Any) -> None:
    """Artifacts that say so were done, also where the call raised; the others failed with what it raised."""

    @track.update(each="$things", artifact_name="$item.name", outcome={"$item.done": "success", "else": "error"})
    def install(things: list[Any]) -> None:
        things[0].done = True
        raise OSError("planted")

    with pytest.raises(OSError, match="planted"):
        install([types.SimpleNamespace(name=name, done=False) for name in "ab"])
    assert brief(spans) == [("a", "ok", None), ("b", "error", "OSError")]
    assert status(spans) == ("ERROR", "OSError", ("success", "error"))


# --- artifacts that are left out ---------------------------------------------------------------------------------


def test_an_artifact_may_be_left_out(spans: Any) -> None:
    """skip_if with $item leaves that artifact out; the others keep their order and rank."""
    track.deploy(each="$names", artifact_name="$item", skip_if="$item == 'b'", metadata={"rank": "$rank"})(
        lambda names: None
    )(["a", "b", "c"])
    assert [row[0] for row in brief(spans)] == ["a", "c"]
    assert spans.attributes()["usage.item.metadata.rank"] == (1, 2)


@pytest.mark.parametrize(("names", "events"), [(["x", "x"], 0), ([], 1), (None, 1)])
def test_all_left_out_is_no_event(spans: Any, names: Any, events: int) -> None:
    """Where every artifact is left out there is no event; a call that touched none is one."""
    track.deploy(each="$names", artifact_name="$item", skip_if="$item == 'x' or $dry_run")(
        lambda names, dry_run=False: None
    )(names)
    assert len(brief(spans)) == events


def test_an_artifact_whose_condition_can_not_be_judged_stays(spans: Any) -> None:
    """A condition that fails for an artifact leaves it in."""
    track.deploy(each="$names", artifact_name="$item", skip_if="$item < 5")(lambda names: None)(["a", "b"])
    assert len(brief(spans)) == 2


# --- what was asked for ------------------------------------------------------------------------------------------


@track.deploy(each="$result", requested="$names", **ANYTHING)
def deploy(names: Any, result: Any = (), error: BaseException | None = None) -> Any:
    """Deploy what is asked for, as far as it goes."""
    if error is not None:
        raise error
    return result


def test_what_was_asked_for_and_not_done_failed(spans: Any) -> None:
    """Done ones come first, then the missing ones in the order asked, each once, as failures."""
    deploy(["c", "a", "b", "c", "d", "b"], [thing("a", version="1"), thing("extra")])
    assert brief(spans) == [
        ("a", "ok", None), ("extra", "ok", None), ("c", "error", "_OTHER"), ("b", "error", "_OTHER"),
        ("d", "error", "_OTHER"),
    ]  # fmt: skip
    assert status(spans)[:2] == ("UNSET", None)
    assert spans.attributes()["usage.item.artifact.type"] == ("skill",) * 5


def test_all_done_says_nothing_of_outcomes(spans: Any) -> None:
    """Where all that was asked for was done, the span is what it would be without."""
    deploy(["a", "b"], [thing("b"), thing("a")])
    assert (brief(spans), status(spans)) == ([("b", "ok", None), ("a", "ok", None)], ("UNSET", None, None))


def test_nothing_done_is_a_failure(spans: Any) -> None:
    """Where nothing was done of what was asked for, the call failed."""
    deploy(["a", "b"], [])
    assert (brief(spans), status(spans)[:2]) == (
        [("a", "error", "_OTHER"), ("b", "error", "_OTHER")], ("ERROR", "_OTHER")
    )  # fmt: skip


def test_a_result_that_says_nothing_makes_no_failures(spans: Any) -> None:
    """Where the result can't be gone through, nobody knows what was done, and nothing is said of it."""
    deploy(["a", "b"], None)
    assert brief(spans) == [("", "ok", None)]


def test_where_the_call_raised_all_failed(spans: Any) -> None:
    """A call that raised failed for each artifact that it was asked for, with the exception's type."""
    with pytest.raises(OSError, match="planted"):
        deploy(["a", "b", "a"], error=OSError("planted"))
    assert brief(spans) == [("a", "error", "OSError"), ("b", "error", "OSError")]
    assert status(spans) == ("ERROR", "OSError", None)


def test_what_is_known_to_be_done_was_done(spans: Any) -> None:
    """Where the call raised, artifacts that are known to be done are no failures."""

    class Shelf:
        def __init__(self) -> None:
            self.done: list[str] = []

        @track.deploy(each="$self.done", requested="$names", **ANYTHING)
        def deploy(self, names: list[str], bad: str = "") -> None:
            for name in names:
                if name == bad:
                    raise KeyError(name)
                self.done.append(name)

    with pytest.raises(KeyError):
        Shelf().deploy(["a", "b", "c"], "b")
    assert brief(spans) == [("a", "ok", None), ("b", "error", "KeyError"), ("c", "error", "KeyError")]
    assert status(spans) == ("ERROR", "KeyError", ("success", "error", "error"))


def test_a_failure_after_all_was_done_is_counted(spans: Any) -> None:
    """A call that raised after everything was done is one failure more, without a name."""

    @track.deploy(each="$names", requested="$names", **ANYTHING)
    def all_but(names: list[str]) -> None:
        raise KeyError("planted")

    with pytest.raises(KeyError):
        all_but(["a"])
    assert brief(spans) == [("a", "ok", None), ("", "error", "KeyError")]


NAMED: dict[str, Any] = {
    "a fallback chain": "$item.name | $item.split('==')[0].split('>')[0].lower()",
    "a callable": lambda call: (
        getattr(call.item, "name", None) or call.item.partition("=")[0].partition(">")[0].lower()
    ),
}


@pytest.mark.parametrize("way", NAMED)
def test_requested_by_more_than_its_name(spans: Any, way: str) -> None:
    """Where what is asked for is written otherwise than what is done, artifact_name brings both to one form."""
    fields: dict[str, Any] = {"artifact_name": NAMED[way], "artifact_type": "package"}
    track.deploy(each="$result", requested="$names", **fields)(lambda names: [thing("alpha"), thing("beta")])(
        ["alpha==1.0", "Beta>2", "gamma==3.1"]
    )
    assert brief(spans) == [("alpha", "ok", None), ("beta", "ok", None), ("gamma", "error", "_OTHER")]


def test_requested_is_read_before_the_call(spans: Any) -> None:
    """A function that uses up the list that it was given is asked for all of it still."""

    @track.deploy(each="$result", requested="$names", **ANYTHING)
    def uses_up(names: list[str]) -> list[str]:
        return [names.pop(0)] if names.pop() else []

    uses_up(["a", "b", "c"])
    assert [row[:2] for row in brief(spans)] == [("a", "ok"), ("b", "error"), ("c", "error")]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("a", ["a"]), (("a", "b"), ["a", "b"]), ({"k": "a"}, ["a"]), ({"a"}, ["a"]), ([thing("a")], ["a"]), (None, []),
     (5, ["5"]), ([None, "a"], ["a"]), (iter("ab"), [])],
)  # fmt: skip
def test_forms_of_requested(spans: Any, asked: Any, expected: list[str]) -> None:
    """One name, a list, a mapping's values, a set or things that have names; an iterator is the program's."""
    deploy(asked, ["x"])
    assert [row[0] for row in brief(spans)] == ["x", *expected]


def test_left_out_is_not_missing(spans: Any) -> None:
    """An artifact that skip_if leaves out was seen: it is no failure, and none that was not touched is."""
    done = [thing("a"), thing("b")]
    done[1].skipped = True
    track.deploy(each="$result", requested="$names", skip_if="$item.skipped or $item == 'no'", **ANYTHING)(
        lambda names: done
    )(["a", "b", "no"])
    assert brief(spans) == [("a", "ok", None)]


def test_redacted_names_are_compared_as_they_were(capture: Any) -> None:
    """Names that become the same marker are told apart."""

    class Marks:
        def redact(self, key: str, value: Any) -> Any:
            return "[redacted:email]" if key == "usage.artifact.name" else value

        def key(self, key: str) -> str:
            return key

    spans = capture(redactor=Marks())
    deploy(["ada@example.org", "bob@example.org"], ["ada@example.org"])
    assert [row[1] for row in brief(spans)] == ["ok", "error"]


def test_what_was_asked_for_is_bounded(spans: Any) -> None:
    """Done and missing artifacts together are at most a thousand."""
    deploy([str(number) for number in range(3000)], [f"x{number}" for number in range(400)])
    assert len(brief(spans)) == 1000


def test_a_slice_of_what_was_done(spans: Any) -> None:
    """A slice at the end of each limits what is shown, not what is known to be done."""
    track.deploy(each="$result[:1]", requested="$names", **ANYTHING)(lambda names: ["a", "b"])(["a", "b", "c"])
    assert brief(spans) == [("a", "ok", None), ("c", "error", "_OTHER")]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"requested": "$names", "artifact_name": "$names"}, "artifact_name has to read of"),
        ({"requested": "$names", "each": "$result", "artifact_name": "$names"}, "artifact_name has to read of"),
        ({"requested": "$item.names", "each": "$result"}, "none of them is in hand"),
        ({"requested": "$nam", "each": "$result"}, "no parameter 'nam'"),
    ],
)
def test_requested_needs_what_it_is_held_against(fields: Any, part: str) -> None:
    """requested without a name of each artifact, or by an artifact itself, raises at decoration."""
    with pytest.raises(SelectorError, match=part) as caught:
        track.deploy(**fields)(lambda names: names)
    assert "field requested: " in str(caught.value)


@given(asked=st.lists(st.sampled_from("abcdef"), max_size=8), done=st.lists(st.sampled_from("abcdefgh"), max_size=8))
def test_every_artifact_asked_for_is_an_event(capture: Any, asked: list[str], done: list[str]) -> None:
    """Done ones are successes in their order, the others of those asked for failures, each once, in theirs."""
    spans = capture()
    deploy(asked, done)
    missing = [name for name in dict.fromkeys(asked) if name not in done]
    expected = [(name, "ok", None) for name in done] + [(name, "error", "_OTHER") for name in missing]
    assert brief(spans) == (expected or [("", "ok", None)])


def test_fields_of_a_block(spans: Any) -> None:
    """In a block, requested is a list, and artifacts are named by a callable; set() takes a key of that name."""
    with track.deploy(each=["a"], requested=["a", "b"], artifact_name=lambda call: call.item) as operation:
        operation.set(requested="metadata")
    assert [row[:2] for row in brief(spans)] == [("a", "ok"), ("b", "error")]
    assert spans.metadata()["requested"] == "metadata"

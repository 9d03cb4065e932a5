"""The five operations: every listed metadata key, the conventions that find fields, defaults, and outcomes."""

from __future__ import annotations

import enum
import pathlib
import types
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from usagetrace import track

# Operation -> (the keys of the requirements, with a value each; keys that exceptions do not give).
KEYS: dict[str, dict[str, Any]] = {
    "deploy": {"version": "v1.0.0", "sha": "abc123", "success": True},
    "update": {
        "strategy": "merge", "version_before": "v1", "version_after": "v2", "conflicts_detected": 2,
        "user_choice": "proceed", "rollback": True,
    },
    "sync": {
        "sync_type": "fork", "result": "conflict", "sha_before": "a1", "sha_after": "b2", "conflicts_detected": 3,
        "error_message": "two hunks",
    },
    "remove": {"reason": "cleanup", "from_project": True},
    "search": {"query": "design", "search_type": "both", "total_results": 5},
}  # fmt: skip
PAIRS = [(operation, key) for operation, keys in KEYS.items() for key in keys]


def by_parameter(operation: str, key: str, value: Any) -> Any:
    namespace: dict[str, Any] = {}
    exec(f"def call(name, {key}=None): return None", namespace)
    return getattr(track, operation)(namespace["call"])("canvas", value)


def by_result_attribute(operation: str, key: str, value: Any) -> Any:
    return getattr(track, operation)(lambda name: types.SimpleNamespace(**{key: value}))("canvas")


def by_result_key(operation: str, key: str, value: Any) -> Any:
    return getattr(track, operation)(lambda name: {key: value})("canvas")


def by_set(operation: str, key: str, value: Any) -> Any:
    with getattr(track, operation)(artifact_name="canvas") as running:
        running.set(**{key: value})


def by_metadata(operation: str, key: str, value: Any) -> Any:
    return getattr(track, operation)(metadata={key: "$value"})(lambda name, value: None)("canvas", value)


@pytest.mark.parametrize("way", [by_parameter, by_result_attribute, by_result_key, by_set, by_metadata])
@pytest.mark.parametrize(("operation", "key"), PAIRS)
def test_every_listed_key_is_recorded(spans: Any, operation: str, key: str, way: Callable[..., Any]) -> None:
    """Each listed key is found as a parameter, an attribute or key of the result, set() in a block, or metadata."""
    value = KEYS[operation][key]
    way(operation, key, value)
    recorded = spans.metadata()[key]
    assert (recorded, type(recorded)) == (value, type(value))


def test_parameters_win_over_the_result(spans: Any) -> None:
    """Where parameter and result both name a key, the parameter counts; an explicit mapping wins over both."""
    track.deploy(lambda name, version, sha: {"version": "result", "sha": "result"})("canvas", "parameter", None)
    assert (spans.metadata()["version"], spans.metadata()["sha"]) == ("parameter", "result")
    spans.clear()
    track.deploy(metadata={"version": "literal"})(lambda name, version: {"version": "result"})("canvas", "parameter")
    assert spans.metadata()["version"] == "literal"


DEFAULTS: dict[str, dict[str, Any]] = {
    "deploy": {"success": True},
    "update": {"rollback": False},
    "sync": {"result": "success"},
    "remove": {"reason": "user_action", "from_project": False},
    "search": {"total_results": 0},
    "invoke": {},
}


@pytest.mark.parametrize("operation", DEFAULTS)
def test_defaults_of_success(spans: Any, operation: str) -> None:
    """Where nothing says them, the keys that follow from the ending are filled in, and no others."""
    getattr(track, operation)(lambda name: [] if operation == "search" else None)("canvas")
    assert spans.metadata() == DEFAULTS[operation]


FAILED: dict[str, dict[str, Any]] = {
    "deploy": {"success": False},
    "update": {"rollback": False},
    "sync": {"result": "error", "error_message": "planted"},
    "remove": {"reason": "user_action", "from_project": False},
    "search": {},
}


@pytest.mark.parametrize("operation", FAILED)
def test_defaults_of_failure(spans: Any, operation: str) -> None:
    """A call that raised says so in its own terms: deploy by success, sync by result and error_message."""

    @getattr(track, operation)  # type: ignore[misc]
    def call(name: str) -> None:
        raise OSError("planted")

    with pytest.raises(OSError, match="planted"):
        call("canvas")
    assert spans.metadata() == FAILED[operation]
    assert (spans.one().status.status_code, spans.attributes()["error.type"]) == (StatusCode.ERROR, "OSError")


def test_an_exception_may_carry_keys(spans: Any) -> None:
    """An exception's own attributes give keys where they can't mean something else; `reason` can and does not."""

    class ConflictError(Exception):
        conflicts_detected = 4
        reason = "ordinal not in range"

    def fail(name: str) -> None:
        raise ConflictError("planted")

    for operation in (track.sync, track.remove):
        with pytest.raises(ConflictError):
            operation(fail)("canvas")
    told = {span.name: dict(span.attributes) for span in spans.finished}
    assert told["sync"]["usage.metadata.conflicts_detected"] == 4
    assert told["remove"]["usage.metadata.reason"] == "user_action"


def test_removing_from_a_project_says_so(spans: Any) -> None:
    """from_project is true where the removal names a project."""
    track.remove(lambda name, project_path: None)("canvas", pathlib.PurePosixPath("/p"))
    assert spans.metadata()["from_project"] is True


def test_an_exception_without_text_costs_no_event(spans: Any) -> None:
    """A sync that raises an exception whose __str__ fails is recorded, without the message."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError("planted")

    @track.sync
    def sync(name: str) -> None:
        raise Mute

    with pytest.raises(Mute):
        sync("canvas")
    assert spans.metadata()["result"] == "error"


# --- outcome ---------------------------------------------------------------------------------------------------

OUTCOMES: list[tuple[Any, str | None, str | None]] = [
    (True, None, None), (None, None, None), ("success", None, None), ("ok", None, None), ("SUCCESS", None, None),
    (False, None, "_OTHER"), ("error", None, "_OTHER"), ("Failed", None, "_OTHER"),
    ("conflict", "conflict", None), (" Conflict ", "conflict", None),
    ("cancelled", "cancelled", None), ("canceled", "cancelled", None), ("aborted", "cancelled", None),
    (KeyError("planted"), None, "KeyError"),
    (enum.Enum("Result", {"BAD": "error"}).BAD, None, "_OTHER"),  # type: ignore[attr-defined]
    (enum.Enum("Result", {"SPLIT": "conflict"}).SPLIT, "conflict", None),  # type: ignore[attr-defined]
]  # fmt: skip


@pytest.mark.parametrize("way", ["selector", "callable", "set"])
@pytest.mark.parametrize("number", range(len(OUTCOMES)))
def test_outcomes(spans: Any, number: int, way: str) -> None:
    """An outcome is told by bool, word in any case, enum or exception; it sets status, error.type and usage.outcome."""
    said, outcome, error_type = OUTCOMES[number]
    if way == "set":
        with track("x") as operation:
            operation.set(outcome=said)
    else:
        field: Any = "$result.said" if way == "selector" else (lambda call: call.result.said)
        track("x", outcome=field)(lambda: types.SimpleNamespace(said=said))()
    attributes = spans.attributes()
    status = StatusCode.UNSET if error_type is None else StatusCode.ERROR
    assert (attributes.get("usage.outcome"), attributes.get("error.type")) == (outcome, error_type)
    assert spans.one().status.status_code is status


def test_what_was_raised_wins_over_the_outcome_field(spans: Any) -> None:
    """A call that raised is an error, whatever its outcome field says."""

    @track("x", outcome="success")
    def fail() -> None:
        raise KeyError("planted")

    with pytest.raises(KeyError):
        fail()
    assert spans.attributes()["error.type"] == "KeyError"


@pytest.mark.parametrize(("operation", "result", "outcome"), [
    ("sync", {"result": "conflict"}, "conflict"), ("sync", {"result": "cancelled"}, "cancelled"),
    ("sync", {"result": "error"}, "error"), ("sync", {"result": "whatever"}, "success"),
    ("deploy", {"success": False}, "error"), ("deploy", {"success": True}, "success"),
])  # fmt: skip
def test_operations_tell_their_outcome_by_metadata(spans: Any, operation: str, result: Any, outcome: str) -> None:
    """A sync's result and a deploy's success are the outcome on the metric and in the span's status."""
    getattr(track, operation)(lambda name: result)("canvas")
    assert [dict(key)["usage.outcome"] for key in spans.counts()] == [outcome]
    assert (spans.one().status.status_code is StatusCode.ERROR) == (outcome == "error")


# --- conventions -----------------------------------------------------------------------------------------------


class Kind(enum.Enum):
    """A kind of artifact."""

    SKILL = "skill"


ARTIFACT = types.SimpleNamespace(name="canvas", type=Kind.SKILL, collection="default")
COLLECTION = types.SimpleNamespace(name="default")
PROJECT = types.SimpleNamespace(path=pathlib.PurePosixPath("/p"))
WANTED = ("canvas", "skill", "default", "/p")
SIGNATURES: dict[str, tuple[str, tuple[Any, ...], tuple[Any, ...]]] = {
    "the contract's names": (
        "artifact_name, artifact_type, collection_name, project_path", ("canvas", "skill", "default", "/p"), WANTED),
    "short names": ("name, kind, collection, project", ("canvas", Kind.SKILL, "default", "/p"), WANTED),
    "objects": ("artifact, collection, project", (ARTIFACT, COLLECTION, PROJECT), WANTED),
    "artifact alone": ("artifact", (ARTIFACT,), ("canvas", "skill", "default", None)),
    "artifact as text": ("artifact", ("canvas",), ("canvas", None, None, None)),
    "kind in the name": ("skill_name, project_root", ("canvas", PROJECT.path), ("canvas", "skill", None, "/p")),
    "nothing known": ("a, b", (1, 2), (None, None, None, None)),
}  # fmt: skip


@pytest.mark.parametrize("case", SIGNATURES)
def test_fields_are_found_by_the_names_of_parameters(spans: Any, case: str) -> None:
    """Name, type, collection and project are found under the usual names, as text, enum, path or object."""
    parameters, args, expected = SIGNATURES[case]
    namespace: dict[str, Any] = {}
    exec(f"def deploy({parameters}): return None", namespace)
    track.deploy(namespace["deploy"])(*args)
    found = spans.attributes()
    names = ("artifact.name", "artifact.type", "collection.name", "project.path")
    assert tuple(found.get(f"usage.{name}") for name in names) == expected


def test_fields_are_found_on_the_result(spans: Any) -> None:
    """Where parameters say nothing, the result's attributes or keys do."""
    track.deploy(lambda path: types.SimpleNamespace(artifact_name="canvas", artifact_type="skill"))("x")
    track.deploy(lambda path: {"artifact_name": "canvas", "artifact_type": "skill"})("x")
    told = [(s.attributes["usage.artifact.name"], s.attributes["usage.artifact.type"]) for s in spans.finished]
    assert told == [("canvas", "skill")] * 2


class Shelf:
    """Has a collection of its own."""

    collection_name = "of self"

    @track.deploy
    def deploy(self, path: str) -> Any:
        """Return what names the artifact."""
        return types.SimpleNamespace(artifact_name="of result", artifact_type="skill")


def test_fields_are_found_on_self(spans: Any) -> None:
    """Where parameters say nothing, the instance's attributes do."""
    Shelf().deploy("x")
    assert spans.attributes()["usage.collection.name"] == "of self"


def test_fields_of_methods_are_found_on_the_result(spans: Any) -> None:
    """A method whose parameters and instance say nothing takes its fields from the result, as a function does."""
    Shelf().deploy("x")
    assert spans.attributes()["usage.artifact.name"] == "of result"


class Broken:
    """Every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("planted")


@pytest.mark.parametrize("where", ["result", "artifact", "item"])
def test_a_property_that_raises_costs_no_event(spans: Any, where: str) -> None:
    """An object whose properties raise costs the field that they would have given, not the event."""
    calls: dict[str, Callable[[], Any]] = {
        "result": lambda: track.deploy(lambda name: Broken())("canvas"),
        "artifact": lambda: track.deploy(lambda artifact: None)(Broken()),
        "item": lambda: track.search(lambda query: [Broken()])("q"),
    }
    calls[where]()
    assert len(spans.finished) == 1


# --- values ----------------------------------------------------------------------------------------------------


def test_values_of_every_kind(spans: Any) -> None:
    """Enums give their value, paths their text, dates ISO 8601; nested metadata stays nested."""
    moment = datetime(2025, 11, 16, 12, 30, tzinfo=timezone.utc)
    with track("x", artifact_name=pathlib.PurePosixPath("a/b"), artifact_type=Kind.SKILL) as operation:
        operation.set(when=moment, kind=Kind.SKILL, deep={"path": pathlib.PurePosixPath("p"), "list": [Kind.SKILL]})
        operation.set(none=None, text=b"bytes")
    attributes = spans.attributes()
    assert (attributes["usage.artifact.name"], attributes["usage.artifact.type"]) == ("a/b", "skill")
    metadata = spans.metadata()
    nested = metadata.pop("deep")
    assert (nested["path"], list(nested["list"])) == ("p", ["skill"])
    assert metadata == {"when": "2025-11-16T12:30:00+00:00", "kind": "skill", "text": "bytes"}


NASTY = {"long": "n" * 10_000, "nul": "a\0b", "surrogate": "a\ud800b", "newlines": "a\nb\r\tc", "escape": "\x1b[31mred"}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_names_are_recorded_safely(spans: Any, name: str) -> None:
    """A name of 10 kB, with NUL, surrogates or newlines, is bounded, marked as cut, and encodable."""
    track.deploy(lambda artifact_name, version: None)(NASTY[name], NASTY[name])
    recorded, metadata = spans.attributes()["usage.artifact.name"], spans.metadata()["version"]
    for text, limit in ((recorded, 512), (metadata, 4096)):
        text.encode("utf-8")
        assert "\0" not in text
        assert len(text) <= limit
        assert (name == "long") == text.endswith("cut from 10000 characters]")


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(2**63),
        [1, "a", None, 2.5],
        {"a": [{"b": True}], "c": {}},
        [],
        float("nan"),
        NASTY,
    ],
    ids=["large", "smallest", "mixed", "nested", "empty", "nan", "nasty"],
)
def test_whatever_is_recorded_can_be_encoded_for_otlp(spans: Any, value: Any) -> None:
    """No metadata value is lost, or makes a batch of spans unsendable, when it is encoded."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    with track("x") as operation:
        operation.set(key=value)
    encoded = encode_spans(spans.finished).resource_spans[0].scope_spans[0].spans[0]
    assert "usage.metadata.key" in [attribute.key for attribute in encoded.attributes]

"""Values of the program's own kinds in local mode: none costs an event, and none gets past redaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import pytest

from usagetrace import record_event, track
from usagetrace.events import NAME_LIMIT, Event
from usagetrace.redaction import default_redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def local() -> list[Event]:
    """Record in local mode, redacted as in a program; the list fills with events."""
    found: list[Event] = []

    def take(rows: list[tuple[Any, ...]]) -> bool:
        found.extend(map(Event._make, rows))
        return True

    runtime.install(Runtime(None, None, default_redactor(), record=take, service_name="t"))
    return found


class Refuses(Mapping[str, Any]):
    """A table that can't be looked into."""

    def __getitem__(self, key: str) -> Any:
        raise LookupError("planted")

    def __iter__(self) -> Iterator[str]:
        raise LookupError("planted")

    def __len__(self) -> int:
        return 1


class BreaksOff(list[Any]):
    """A list that fails while somebody goes through it, after its first element."""

    def __iter__(self) -> Iterator[Any]:
        yield {"name": "first"}
        raise LookupError("planted")


class Lazy:
    """A result whose matches are looked up late, and fail."""

    @property
    def matches(self) -> Any:
        """Fail."""
        raise LookupError("planted")


class Undecided:
    """Like an array: neither true nor false, and without a text."""

    def __bool__(self) -> bool:
        raise ValueError("planted")

    def __str__(self) -> str:
        raise ValueError("planted")


class Nameless(type):
    """A class of classes that won't say their names."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__"):
            raise LookupError("planted")
        return super().__getattribute__(name)


class NamelessError(Exception, metaclass=Nameless):
    """An exception of such a class."""


def returns(value: Any) -> Callable[..., Any]:
    """Return a function that takes a name and returns a value."""
    return lambda name: value


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "table before the call": (
        lambda: track.deploy(metadata="$options")(lambda name, options: None)("canvas", Refuses()), "canvas",
    ),
    "table after the call": (
        lambda: track.deploy(metadata="$result")(lambda name: Refuses())("canvas"), "canvas",
    ),
    "matches of a search": (lambda: track.search(lambda query: Lazy())("words"), ""),
    "artifacts that break off": (lambda: track.search(lambda query: BreaksOff())("words"), "first"),
    "outcome": (lambda: track.sync(outcome="$result")(returns(Undecided()))("canvas"), "canvas"),
    "skip_if before the call": (
        lambda: track.sync(skip_if="$value")(lambda name, value: None)("canvas", Undecided()), "canvas",
    ),
    "skip_if after the call": (lambda: track.sync(skip_if="$result")(returns(Undecided()))("canvas"), "canvas"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_costs_no_event(local: list[Event], case: str) -> None:
    """An object of the program's that fails when it is looked into costs what it would have said, never the event."""
    act, name = HOSTILE[case]
    act()
    assert [(event.artifact_name, event.status) for event in local] == [(name, "ok")]


def test_a_class_that_has_no_name_is_an_error_of_no_name(local: list[Event]) -> None:
    """An exception whose class does not say its name is recorded all the same, and reaches the caller."""

    @track.deploy
    def deploy(name: str) -> None:
        raise NamelessError

    with pytest.raises(NamelessError):
        deploy("canvas")
    assert [(event.status, event.error_type) for event in local] == [("error", "_OTHER")]


def test_the_name_of_an_error_is_redacted_clean_and_short(local: list[Event]) -> None:
    """What a class made at run time calls itself is redacted as everything is."""
    made = type("Failed", (Exception,), {"__module__": f"plugin_{TOKEN}", "__qualname__": "\ud800" + "x" * 5000})

    @track.deploy
    def deploy(name: str) -> None:
        raise made

    with pytest.raises(made):
        deploy("canvas")
    (event,) = local
    text = event.error_type or ""
    assert TOKEN not in text
    assert "\ud800" not in text
    assert len(text) <= NAME_LIMIT


def test_keys_of_a_block_are_redacted_clean_and_short(local: list[Event]) -> None:
    """A key that a program hands on from somewhere, by `set(**table)`, passes redaction like those of a table."""
    table = {TOKEN: 1, "ada@example.org": 2, "lone\ud800": 3, "nul\0": 4, "k" * 5000: 5, "plain": 6}
    with track.sync(artifact_name="canvas", artifact_type="skill") as operation:
        operation.set(**table)
    with track.sync(artifact_name="canvas", artifact_type="skill") as operation:
        operation.set(metadata=table)
    by_name, by_table = (event.metadata or {} for event in local)
    assert by_name == by_table
    keys = "\n".join(by_name)
    assert by_name["plain"] == 6
    assert [part for part in (TOKEN, "ada@", "\ud800", "\0") if part in keys] == []
    assert max(map(len, by_name)) <= NAME_LIMIT


def test_an_event_type_of_the_programs_is_redacted(local: list[Event]) -> None:
    """The name of an event type comes from the program, and may hold what a name must not."""
    assert record_event(f"used {TOKEN}", "canvas", "skill")
    with track("x\ud800\0", artifact_name="canvas", artifact_type="skill"):
        pass
    assert [event.event_type for event in local] == ["used [redacted:gh-token]", "x\ufffd\u2400"]


class Kind(str, Enum):
    """An enum of texts."""

    DEPLOY = "deploy"


class Said(str):
    """A text that gives itself as its own text, and lies about its length."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def __len__(self) -> int:
        return 3


def test_texts_of_a_subclass_become_plain_texts(local: list[Event]) -> None:
    """What is recorded has none of the program's classes in it, whatever they derive from."""
    assert record_event(Kind.DEPLOY, Said("canvas"), Kind.DEPLOY, metadata={Said("key"): Said("value" * 99)})
    (event,) = local
    assert event[:3] == ("deploy", "canvas", "deploy")
    values = [*event, *(event.metadata or {}), *(event.metadata or {}).values()]
    assert {type(value) for value in values if isinstance(value, str)} == {str}


def test_a_secret_number_is_masked_after_others_were_let_through(local: list[Event]) -> None:
    """Numbers pass without redaction only below the attribute where that was found to be right."""
    for _ in range(3):
        with track.sync(artifact_name="canvas", artifact_type="skill") as operation:
            operation.set(size=7, password=1234567, phone=5550100, retries=2.5, done=True)
    for event in local:
        found = event.metadata or {}
        assert (found["size"], found["retries"], found["done"]) == (7, 2.5, True)
        assert 1234567 not in found.values()


def test_one_attribute_may_hold_values_of_changing_types(local: list[Event]) -> None:
    """What was remembered of an attribute's numbers and texts says nothing of the next value's kind."""
    values: list[Any] = [1, "1", True, 1.0, float("nan"), 2**70, -(2**63), TOKEN, 1, "1", [TOKEN], {"a": TOKEN}, b"1"]
    deploy = track.deploy(metadata={"value": "$value"})(lambda name, value: None)
    for value in values * 2:
        deploy("canvas", value)
    found = [(event.metadata or {})["value"] for event in local]
    masked = "[redacted:gh-token]"
    once = [1, "1", True, 1.0, "nan", str(2**70), -(2**63), masked, 1, "1", [masked], {"a": masked}, "1"]
    assert found == once * 2
    assert [type(value) for value in found] == [type(value) for value in once * 2]

"""Event types from code: what one may be, how it is registered, and what becomes of two of the same name."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from usagetrace import event_types, events
from usagetrace.errors import EventError
from usagetrace.event_types import EventType, Sampling, all_types, lookup, register
from usagetrace.events import Category, Priority, category_of, priority_of, sampling_of
from usagetrace.track import track


@dataclass(frozen=True)
class Page:
    """A payload of somebody's own."""

    title: str
    words: int = 0


def test_a_registered_type_is_known_everywhere(spans: Any) -> None:
    """Category, priority, sampling and payload are those that were given, on tracked calls as well."""
    register(EventType("page_opened", "usage", "high", Sampling(0.5, 5, 30), Page, "A page was opened."))
    found = lookup("page_opened")
    assert found is not None
    assert (found.category, found.priority, found.payload, found.payload_kind) == ("usage", "high", Page, "Page")
    assert (category_of("page_opened"), priority_of("page_opened")) == (Category.USAGE, Priority.HIGH)
    assert sampling_of("page_opened") == found.sampling == (0.5, 5, 30.0)
    assert all_types()[-1] is found
    with track("page_opened", artifact_name="intro", artifact_type="page"):
        pass
    (span,) = spans.exporter.get_finished_spans()
    assert (span.attributes["usage.event.category"], span.attributes["usage.event.priority"]) == ("usage", "high")


def test_without_more_a_type_is_custom_and_keeps_everything() -> None:
    """A type of which only the name is said is a custom one of normal priority, with any keys."""
    plain = EventType("page_opened")
    assert (plain.category, plain.priority, plain.sampling, plain.payload) == (
        Category.CUSTOM, Priority.NORMAL, (1.0, 1, 60.0), None,
    )  # fmt: skip
    assert EventType("slow", "performance").sampling == (0.1, 10, 60.0)


def test_an_equal_type_may_be_registered_again(caplog: pytest.LogCaptureFixture) -> None:
    """A module that is run twice does no harm and causes no warning; a built-in type as it is neither."""
    changed: list[str] = []
    events.CHANGED.append(changed.append)
    try:
        for _ in range(3):
            register(EventType("page_opened", "usage", payload=Page))
    finally:
        events.CHANGED.remove(changed.append)
    deploy = lookup("deploy")
    assert deploy is not None
    register(deploy)
    assert (changed, caplog.records) == (["page_opened"], [])


def test_of_two_definitions_the_later_counts_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The later definition takes the earlier one's place, and the type is named once."""
    with caplog.at_level(logging.WARNING, "usagetrace"):
        for category in ("usage", "system", "usage", "business"):
            register(EventType("page_opened", category))
    assert category_of("page_opened") is Category.BUSINESS
    (said,) = [record.getMessage() for record in caplog.records]
    assert "page_opened" in said


def test_a_built_in_type_can_not_be_redefined_and_nothing_of_that_call_counts() -> None:
    """Whoever redefines a built-in type gets an error that names it; the types beside it are not registered either."""
    with pytest.raises(EventError, match="event type deploy: it is built in"):
        register(EventType("page_opened", "usage"), EventType("deploy", "system"))
    with pytest.raises(EventError, match="expected an EventType"):
        register(EventType("page_opened", "usage"), "page_closed")  # type: ignore[arg-type]
    assert (lookup("page_opened"), category_of("deploy")) == (None, Category.USAGE)


class Plain:
    """No dataclass."""


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"name": 1}, "name: expected text"),
    "empty": ({"name": ""}, "name: expected at most 128"),
    "a digit first": ({"name": "1st"}, "name: expected at most 128"),
    "a space": ({"name": "page opened"}, "name: expected at most 128"),
    "beyond ASCII": ({"name": "größe"}, "name: expected at most 128"),
    "a line break": ({"name": "page\n"}, "name: expected at most 128"),
    "too long": ({"name": "x" * 129}, "name: expected at most 128"),
    "a category that is none": ({"category": "fun"}, "category: expected one of usage, performance"),
    "a priority that is none": ({"priority": 1}, "priority: expected one of low, normal"),
    "a rate above one": ({"sampling": Sampling(1.5)}, "rate: expected a number from 0.0 to 1.0"),
    "a rate that is no number": ({"sampling": Sampling(float("nan"))}, "rate: expected a number"),
    "a rate that is a text": ({"sampling": ("1", 1, 60)}, "rate: expected a number"),
    "a minimum below zero": ({"sampling": Sampling(1, -1)}, "minimum: expected a whole number"),
    "half a minimum": ({"sampling": Sampling(1, 0.5)}, "minimum: expected a whole number"),  # type: ignore[arg-type]
    "no window": ({"sampling": Sampling(1, 1, 0)}, "window_s: expected seconds"),
    "an endless window": ({"sampling": Sampling(1, 1, float("inf"))}, "window_s: expected seconds"),
    "half a sampling": ({"sampling": (1.0,)}, "sampling: expected a Sampling"),
    "a payload that is no dataclass": ({"payload": Plain}, "payload: expected a dataclass"),
    "a payload that is an instance": ({"payload": Page("a")}, "payload: expected a dataclass"),
    "a description that is no text": ({"description": 3}, "description: expected text"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_can_not_be_a_type_is_refused_with_the_field(kind: str) -> None:
    """The error names the field and what was expected."""
    arguments, message = BAD[kind]
    with pytest.raises(EventError, match=message):
        EventType(**{"name": "page_opened", **arguments})


@pytest.mark.parametrize("name", ["a", "page_opened", "acme.page-opened.v2", "PageOpened", "x" * 128])
def test_names_that_others_use_are_taken(name: str) -> None:
    """Words with underscores, dots, hyphens and capitals are names."""
    assert EventType(name).name == name


@pytest.mark.parametrize("found", [EventType("page_opened", "usage", payload=Page), lookup("deploy"), lookup("view")])
def test_a_type_can_not_change_and_comes_back_from_pickle(found: EventType) -> None:
    """It refuses assignment, equals its copies, and can be a key."""
    with pytest.raises(AttributeError):
        found.name = "other"
    with pytest.raises(AttributeError):
        del found.name
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    assert len({found, copy.copy(found), EventType("other")}) == 2
    assert found != "page_opened"
    assert found.name in repr(found)


def test_threads_may_register_at_once() -> None:
    """Types that twenty threads register are all there, each with what its thread said."""
    start = threading.Barrier(20)

    def add(number: int) -> None:
        start.wait()
        register(*(EventType(f"page_{number}_{step}", sampling=(1.0, number, 60)) for step in range(20)))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {known.name: known.sampling.minimum for known in all_types() if known.name.startswith("page_")}
    assert found == {f"page_{number}_{step}": number for number in range(20) for step in range(20)}


def test_who_keeps_what_was_asked_is_told_of_changes() -> None:
    """A function that is to be told gets the name of each type that is new or different; one that fails costs none."""
    told: list[str] = []

    def fails(name: str) -> None:
        raise RuntimeError(name)

    watchers = [fails, told.append]
    events.CHANGED.extend(watchers)
    try:
        register(EventType("page_opened"), EventType("page_closed"))
        register(EventType("page_opened"))
        event_types.forget()
    finally:
        for watcher in watchers:
            events.CHANGED.remove(watcher)
    assert told == ["page_opened", "page_closed"] * 2

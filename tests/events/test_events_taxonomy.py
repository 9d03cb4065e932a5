"""The built-in event types: the required ones are there, and everything is known of each."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import events
from usagetrace.event_type_table import BUILT_IN
from usagetrace.event_types import EventType, Sampling, all_types, default_sampling, lookup
from usagetrace.events import CATEGORIES, PRIORITIES, Category, Priority, category_of, priority_of, sampling_of
from usagetrace.payloads import AIBlockUsed, Business, ChapterVisit, ErrorEvent, ErrorPayload, Performance, Usage

# The taxonomy that is required, written out once more: a type that is lost is a type that nobody finds.
REQUIRED = {
    Category.USAGE: "deploy update sync remove search invoke download view compile ai_block_used chapter_visit "
    "session_started session_ended mission_created mission_completed mission_failed mission_cancelled "
    "command_executed feature_used backend_selected tool_invoked",
    Category.PERFORMANCE: "response_latency memory_usage cpu_usage disk_usage network_latency cache_hit cache_miss",
    Category.ERROR: "error_event error_occurred warning_raised panic_caught validation_failed timeout_occurred "
    "retry_attempted",
    Category.BUSINESS: "tokens_consumed cost_incurred quota_checked budget_alerted",
    Category.SECURITY: "auth_attempted permission_denied sensitive_data_accessed",
    Category.SYSTEM: "config_changed plugin_loaded plugin_unloaded update_available system_started system_shutdown",
}
BUILT_IN_TYPES = st.sampled_from(sorted(CATEGORIES))


def test_every_required_type_is_built_in_with_its_category() -> None:
    """Each type of the requirements has its category, and there is none beside them."""
    required = {name: category for category, names in REQUIRED.items() for name in names.split()}
    assert required == dict(CATEGORIES)
    assert set(required) == set(BUILT_IN)
    assert {found.name for found in all_types()} == set(required)


@given(name=BUILT_IN_TYPES)
def test_every_type_has_category_priority_sampling_and_payload_kind(name: str) -> None:
    """What is known of a type is the same whoever is asked: the light tables, or the type itself."""
    found = lookup(name)
    assert found is not None
    assert (found.category, found.priority, found.sampling) == (
        category_of(name), priority_of(name), sampling_of(name),
    )  # fmt: skip
    assert isinstance(found.category, Category)
    assert isinstance(found.priority, Priority)
    assert found.category is not Category.CUSTOM
    assert 0.0 <= found.sampling.rate <= 1.0
    assert found.description.endswith(".")
    kind = found.payload
    assert found.payload_kind == ("key_value" if kind is None else kind.__name__)
    assert kind is None or dataclasses.is_dataclass(kind)


@given(name=st.text("abe_.-X0\u00e9\0 ", max_size=20).filter(lambda name: name not in CATEGORIES))
def test_any_other_type_is_a_custom_one_of_normal_priority(name: str) -> None:
    """Every text has a category, a priority and a sampling; a type that nobody knows is not found."""
    assert (category_of(name), priority_of(name)) == (Category.CUSTOM, Priority.NORMAL)
    assert sampling_of(name) == default_sampling("custom")
    assert lookup(name) is None


@pytest.mark.parametrize("category", Category)
def test_default_sampling_is_the_required_one(category: Category) -> None:
    """Performance keeps a tenth and ten a minute; errors and security all and a hundred; the rest all and one."""
    required = {
        Category.PERFORMANCE: (0.1, 10, 60.0), Category.ERROR: (1.0, 100, 60.0), Category.SECURITY: (1.0, 100, 60.0),
    }  # fmt: skip
    assert default_sampling(category) == default_sampling(category.value) == required.get(category, (1.0, 1, 60.0))
    assert Sampling() == (1.0, 1, 60.0)


def test_what_may_be_sampled_away_by_default_is_of_low_priority() -> None:
    """No type whose priority forbids it has a rate below one; every type with such a rate is a low one."""
    assert {priority_of(name) for name in CATEGORIES if sampling_of(name)[0] < 1.0} == {Priority.LOW}
    assert set(PRIORITIES) <= set(CATEGORIES)
    assert Priority.NORMAL not in PRIORITIES.values()


@pytest.mark.parametrize(
    ("name", "priority"),
    [
        ("panic_caught", Priority.CRITICAL),
        ("error_occurred", Priority.HIGH),
        ("auth_attempted", Priority.HIGH),
        ("cost_incurred", Priority.HIGH),
        ("warning_raised", Priority.NORMAL),
        ("deploy", Priority.NORMAL),
        ("cpu_usage", Priority.LOW),
        ("view", Priority.LOW),
    ],
)
def test_priorities(name: str, priority: Priority) -> None:
    """A type's priority is the one that the table gives a reason for."""
    assert priority_of(name) is priority


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (REQUIRED[Category.PERFORMANCE], Performance),
        (REQUIRED[Category.ERROR].removeprefix("error_event "), ErrorPayload),
        (REQUIRED[Category.BUSINESS], Business),
        (REQUIRED[Category.USAGE].partition("chapter_visit ")[2], Usage),
        ("error_event", ErrorEvent),
        ("chapter_visit", ChapterVisit),
        ("ai_block_used", AIBlockUsed),
        ("deploy update sync remove search invoke auth_attempted config_changed", None),
    ],
)
def test_payload_kinds(names: str, kind: type | None) -> None:
    """Types have the payload of their category, or one of their own; security and system events take any keys."""
    found = [lookup(name) for name in names.split()]
    assert [known.payload for known in found if known is not None] == [kind] * len(names.split())


def test_a_built_in_type_is_made_once() -> None:
    """Asking twice gives the same object, and the tables hold texts that the store and the wire write as they are."""
    assert lookup("deploy") is lookup("deploy")
    assert isinstance(lookup("deploy"), EventType)
    assert events.CATEGORIES["deploy"].value == "usage"

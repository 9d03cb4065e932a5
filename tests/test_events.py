"""The event record, its texts, and what is known of event types."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from usagetrace import events
from usagetrace.events import (
    NAME_LIMIT,
    TEXT_LIMIT,
    Category,
    Event,
    Priority,
    bound_text,
    category_of,
    clean_text,
    priority_of,
    timestamp_text,
)  # fmt: skip

ANY_TEXT = st.text(st.characters(codec=None, categories=None) | st.sampled_from("\0\ud800\udfff\ufeff"), max_size=50)


@given(text=ANY_TEXT)
@example(text="\ud83d\ude00 pair")
@example(text="\ufeff\ud800")
def test_clean_text_can_be_encoded_and_changes_nothing_else(text: str) -> None:
    """A cleaned text has no NUL and no lone surrogate, is not longer, and is left alone by a second pass."""
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert len(cleaned) <= len(text)
    assert clean_text(cleaned) == cleaned


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_clean_text_returns_clean_texts_as_they_are(text: str) -> None:
    """A text without NUL and lone surrogates is returned itself."""
    assert clean_text(text) is text or clean_text(text) == text


@given(text=st.text(max_size=3 * NAME_LIMIT), limit=st.sampled_from([64, NAME_LIMIT, TEXT_LIMIT]))
@example(text="x" * NAME_LIMIT, limit=NAME_LIMIT)
@example(text="x" * (NAME_LIMIT + 1), limit=NAME_LIMIT)
def test_bound_text_keeps_the_limit_and_says_what_was_cut(text: str, limit: int) -> None:
    """A text within the limit is the same; a longer one has at most the limit and ends with its length."""
    bounded = bound_text(text, limit)
    if len(text) <= limit:
        assert bounded is text
    else:
        assert len(bounded) <= limit
        assert bounded.endswith(f"[cut from {len(text)} characters]")
        assert text.startswith(bounded.split("\u2026[cut")[0])


def test_the_fields_that_run_are_the_typed_ones() -> None:
    """The tuple that is made without loading `typing` has the fields and the defaults of the one that is typed."""
    tree = ast.parse(Path(events.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "_Fields"]
    declared = [node for node in typed.body if isinstance(node, ast.AnnAssign)]
    names = [ast.unparse(node.target) for node in declared]
    defaults = {ast.unparse(node.target): ast.literal_eval(node.value) for node in declared if node.value is not None}
    assert (tuple(names), defaults) == (Event._fields, Event._field_defaults)


def test_events_are_frozen_and_slotted() -> None:
    """An event can't be changed, has no dict, and equals one of the same values."""
    event = Event("deploy", "canvas", "skill", 0)
    with pytest.raises(AttributeError):
        event.event_type = "other"  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
    assert event == Event("deploy", "canvas", "skill", 0)


@pytest.mark.parametrize(
    ("ts_ms", "expected"),
    [(0, "1970-01-01 00:00:00"), (1763296245999, "2025-11-16 12:30:45"), (951782400000, "2000-02-29 00:00:00")],
)
def test_timestamps_are_utc_text(ts_ms: int, expected: str) -> None:
    """Time is UTC text with whole seconds, as SQLite writes it."""
    assert timestamp_text(ts_ms) == expected
    assert Event("x", "a", "b", ts_ms).timestamp() == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(metadata=st.dictionaries(st.text(), _JSON, max_size=4))
def test_metadata_is_json_and_comes_back(metadata: dict[str, object]) -> None:
    """Metadata is JSON text that reads back as it was; none gives None."""
    text = Event("x", "a", "b", 0, metadata=metadata).metadata_json()
    assert (None if text is None else json.loads(text)) == (metadata or None)


def test_categories_and_priorities() -> None:
    """The five operations and invoke are usage events of normal priority; a type that nobody knows is a custom one."""
    for event_type in ("deploy", "update", "sync", "remove", "search", "invoke"):
        assert (category_of(event_type), priority_of(event_type)) == (Category.USAGE, Priority.NORMAL)
    assert (category_of("page_opened"), priority_of("page_opened")) == (Category.CUSTOM, Priority.NORMAL)

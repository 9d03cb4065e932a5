"""Which operation a name tells."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.autoinstrument.verbs import VERBS, operation_of, words_of

OPERATIONS = {"deploy", "update", "sync", "remove", "search"}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_each_operation_tells_itself(operation: str) -> None:
    """The five words themselves are verbs of full weight."""
    assert VERBS[operation] == (operation, 1.0)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("install", "deploy"),
        ("ls", "search"),
        ("remote add", "deploy"),
        ("search index rebuild", "sync"),
        ("UpgradeCommand", "update"),
        ("HTTPFetch", "sync"),
        ("/skills/{id}/delete", "remove"),
        ("papis.commands.rm:run", "remove"),
        ("store-delete", "remove"),
        ("add_search_index", "deploy"),
        ("find_and_remove", "search"),
        ("importdb", "deploy"),
        ("addto", "deploy"),
        ("metasync_collection", "sync"),
        ("uninstall", "remove"),
    ],
)
def test_what_a_name_tells(name: str, operation: str) -> None:
    """Functions, classes, commands with their groups, and routes are read alike."""
    assert operation_of(name) == operation


@pytest.mark.parametrize(
    "name",
    ["", "run", "check-updates", "is_installed", "get_search_path", "on_delete", "async_main", "blacklist", "{}", "42"],
)
def test_what_tells_nothing(name: str) -> None:
    """What asks, answers, prepares, or merely ends like a verb is no operation."""
    assert operation_of(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("snake_case", ("snake", "case")),
        ("CamelCase", ("camel", "case")),
        ("with-dashes", ("with", "dashes")),
        ("HTTPServer2", ("http", "server", "2")),
        ("", ()),
    ],
)
def test_how_a_name_falls_into_words(name: str, words: tuple[str, ...]) -> None:
    """However words are joined, they are the same words."""
    assert words_of(name) == words


@settings(max_examples=30)
@given(st.text())
def test_any_text_is_a_name(name: str) -> None:
    """No text makes it fail, and the answer is one of the five operations or none."""
    assert operation_of(name) in OPERATIONS | {None}

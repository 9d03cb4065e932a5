"""What has no text of its own, and answers that are no list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace import track
from usagetrace.track.values import to_text, to_value


class Plain:
    """A class without a text."""

    def method(self) -> None:
        """Do nothing."""


class Said:
    """A class with one."""

    def __str__(self) -> str:
        return "said"


class Shown:
    """A class that shows itself."""

    def __repr__(self) -> str:
        return "Shown()"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Plain(), None), (Plain, "Plain"), (Plain().method, None), (len, None), ("x".upper, None), (lambda: None, None),
        (Said(), "said"), (Shown(), "Shown()"), (3, "3"), (Path("a"), "a"),
    ],
)  # fmt: skip
def test_an_object_without_a_text_gives_none(value: object, text: str | None) -> None:
    """Its place in memory is another one at each run: no name, and no metadata."""
    assert to_text(value) == text
    if text != "3":
        assert to_value(value) == text


@pytest.mark.parametrize(
    ("result", "names"),
    [(("a", "b"), ["a", "b"]), (["a", 2], ["a", "2"]), ((Path("/srv/a"), "found by name"), None), (("a", 2), None)],
)
def test_a_search_that_answers_with_several_sides_is_one_event(
    capture: Callable[..., Any], result: Any, names: list[str] | None
) -> None:
    """A list, and a tuple of things of one kind, are what was found; a tuple of different things is one answer."""
    caught = capture()

    @track.search
    def find(query: str) -> Any:
        return result

    find("x")
    found = caught.attributes().get("usage.item.artifact.name")
    assert (None if found is None else list(found)) == names


def test_what_was_asked_for_and_not_found_has_no_rank(capture: Callable[..., Any]) -> None:
    """It is no result, and is not counted as one."""
    caught = capture()

    @track.search(each="$result", artifact_name="$item", requested="$names")
    def find(names: list[str]) -> list[str]:
        return names[:1]

    find(["a", "no"])
    attributes = caught.attributes()
    assert list(attributes["usage.item.artifact.name"]) == ["a", "no"]
    assert list(attributes["usage.item.metadata.rank"]) == [1, None]
    assert attributes["usage.metadata.total_results"] == 1

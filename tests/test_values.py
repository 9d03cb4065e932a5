"""From any object to values that spans and rows can hold."""

from __future__ import annotations

import collections
import enum
import json
import pathlib
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.track.values import bounded, cleaned, qualified_name, to_text, to_value


class Color(enum.Enum):
    """An enum."""

    RED = "red"
    PATH = pathlib.PurePosixPath("a/b")


class Level(enum.IntEnum):
    """An enum that is a number."""

    HIGH = 3


class Word(str):
    """A text of its own class."""

    __slots__ = ()


VALUES: list[tuple[Any, Any]] = [
    (None, None), (True, True), (5, 5), (2.5, 2.5), ("text", "text"), (Word("w"), "w"), (b"bytes", "bytes"),
    (bytearray(b"b"), "b"), (b"\xff", "\ufffd"), (Color.RED, "red"), (Color.PATH, "a/b"), (Level.HIGH, 3),
    (pathlib.PurePosixPath("/a"), "/a"), (datetime(2025, 1, 2, 3, tzinfo=timezone.utc), "2025-01-02T03:00:00+00:00"),
    (date(2025, 1, 2), "2025-01-02"), (time(1, 2), "01:02:00"), (timedelta(minutes=1), 60.0), (Decimal("1.5"), "1.5"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"), (ValueError("why"), "why"),
    (float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf"),
    ([1, Color.RED], [1, "red"]), ((1, 2), [1, 2]), ({3, 1, 2}, [1, 2, 3]), (frozenset("ba"), ["a", "b"]),
    ({1: Color.RED, Color.RED: {"x": (1,)}}, {"1": "red", "red": {"x": [1]}}),
    (collections.OrderedDict(a=1), {"a": 1}), (collections.deque([1]), "deque([1])"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_values_become_plain(number: int) -> None:
    """Each kind of value becomes the JSON value that stands for it, of that exact class."""
    given_value, expected = VALUES[number]
    value = to_value(given_value)
    assert (value, type(value)) == (expected, type(expected))


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
    | st.sampled_from(Color),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers() | st.text(), inner, max_size=4)
    | st.frozensets(st.integers(), max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=_ANY)
def test_every_value_is_json_once_cleaned(value: Any) -> None:
    """Whatever was given can be written as strict JSON in UTF-8, bounded, and is left alone by a second pass."""
    plain = cleaned(to_value(value))
    json.dumps(plain, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert to_value(plain) == plain
    assert cleaned(plain) == plain
    assert _longest(bounded(plain, 64)) <= 512


def _longest(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return max((_longest(item) for item in value), default=0)
    if isinstance(value, dict):
        return max((max(len(key), _longest(item)) for key, item in value.items()), default=0)
    return 0


def test_containers_are_copies() -> None:
    """What the host changes later changes nothing that was recorded."""
    inner = [1]
    value = to_value({"a": inner})
    inner.append(2)
    assert value == {"a": [1]}


def test_depth_and_width_are_bounded() -> None:
    """A value that contains itself, or a million others, becomes a bounded one."""
    endless: list[Any] = []
    endless.append(endless)
    assert len(json.dumps(to_value(endless))) < 200
    assert len(to_value(list(range(10**6)))) == len(to_value({n: n for n in range(1000)})) == 200


def _leaves(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value
    return sum(_leaves(child) for child in children) if isinstance(value, list | dict) else 1


def test_size_as_a_whole_is_bounded() -> None:
    """Wide containers inside wide containers do not multiply: more than metadata can hold is never walked."""
    assert _leaves(to_value([[[0] * 100] * 100] * 20)) <= 65536


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("a", "a"), (Word("w"), "w"), (5, "5"), (Color.RED, "red"), (b"x", "x"), (Color.PATH, "a/b")],
)
def test_texts(value: Any, text: str | None) -> None:
    """Names, types, paths and ids become texts; None stays None."""
    assert to_text(value) == text
    assert type(to_text(value)) in (str, type(None), Word)


def test_qualified_names() -> None:
    """A class is named with its module; a builtin without."""
    assert [qualified_name(kind) for kind in (KeyError, json.JSONDecodeError)] == [
        "KeyError", "json.decoder.JSONDecodeError"
    ]  # fmt: skip

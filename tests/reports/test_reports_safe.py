"""No text of unknown origin does anything on a screen but be read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.reports import visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canvas", "canvas"),
        ("Übersicht 概要 🎨", "Übersicht 概要 🎨"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"),
        ("a\u202eb\u2066c\u200e", "a\\u202eb\\u2066c\\u200e"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028break", "line\\u2028break"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        (None, ""),
        (7, "7"),
    ],
)
def test_what_has_no_look_of_its_own_becomes_an_escape(text: object, expected: str) -> None:
    """Letters and symbols stay; controls, format characters, fillers and surrogates are written out."""
    assert visible(text) == expected


@given(st.text(st.characters(), max_size=80), st.none() | st.integers(min_value=3, max_value=40))
def test_the_result_holds_nothing_unseen_and_fits(text: str, limit: int | None) -> None:
    """For any text: printable, encodable, within the limit, and left alone by a second pass."""
    shown = visible(text, limit)
    assert all(unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in shown)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert limit is None or len(shown) <= limit


def test_a_cut_is_shown() -> None:
    """A name of 10 kB takes the room it was given, and says that it goes on."""
    assert visible("a" * 10_000, 20) == "a" * 17 + "..."

"""How much of a long text is searched, so that no text takes longer than its length in ordinary prose would.

A sign that may begin a finding costs many times what a letter costs. A long text that is made of such signs is searched
up to a cost; the rest becomes one marker, because what was not looked at does not leave. The cost is counted, not
timed: the same text always gives the same result. This module knows no rule.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.rules import MARKER, marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

# Shorter texts, in characters, are searched whole whatever they are made of.
LONG: Final = 65_536
# What searching one text may cost, in nanoseconds of a slow machine.
COST_LIMIT: Final = 50_000_000
# What a character costs that begins nothing.
_LETTER: Final = 30
# What a sign costs on top of that, measured on texts that consist of little else.
_PRICES: Final = (
    ("/\\", 750), (":", 600), ("@", 2500), ("=", 500), ("%", 400), ("<-&", 300), (".+($", 225),
    ("0123456789", 260), ("[", 160), ("'\"", 100), ("_,", 40), (" ", 20),
)  # fmt: skip
_SIGNS: Final = {sign: price for signs, price in _PRICES for sign in signs}
# What each character costs where there are full-width forms: they are read as what they stand for.
_FULL_WIDTH: Final = lazy("[\uff0d-\uff5a]")
_WIDE: Final = 300
_CHUNK: Final = 16_384
# The text is cut at white space, if there is some this close before the limit: no word is torn.
_WORD: Final = 4096
_MARKER: Final = marker("dense")
# What a marker costs that stands in the text already: less than what it stands for did.
_MARKED: Final = 300
# What may be added, as a part of the limit, where a text was cut already: some findings cost less than their markers.
_AGAIN: Final = 4


# How far behind the beginning of such an end is read on, in characters, because findings may overlap.
_BEHIND: Final = 8192


class Announced:
    """A search that is only made in a text that holds one of some words.

    Attributes:
        words: In lower case.
        rate: What the search costs for each character of the whole text, in nanoseconds.
        each: What it costs more where one of the words is.
    """

    __slots__ = ("each", "rate", "words")

    def __init__(self, words: tuple[str, ...], rate: int, each: int) -> None:
        self.words = words
        self.rate = rate
        self.each = each


def bounded(text: str, searches: tuple[Announced, ...] = ()) -> str:
    """Return a text that can be searched within the limit: itself, or its beginning and a marker.

    Args:
        text: Any text; one that was bounded before comes back as it is.
        searches: What else is to be made of it than the usual.
    """
    left = COST_LIMIT
    if text.endswith(_MARKER):
        left += left // _AGAIN
    waiting, made = list(searches), []
    rate = _LETTER
    marked = "[redacted:" in text
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        if marked:
            # What stands for findings must not cost more than they did, or a second pass would cut off more.
            chunk, markers = MARKER.subn("", chunk)
            left -= markers * _MARKED
        low = chunk.lower()
        letters = letters_of(low)
        if not low.isascii() and _FULL_WIDTH.search(low) is not None:
            left -= len(low) * _WIDE
        for sign in letters & _SIGNS.keys():
            left -= low.count(sign) * _SIGNS[sign]
        for search in waiting[:]:
            if present(search.words, low, letters):
                waiting.remove(search)
                made.append(search)
                rate += search.rate
                left -= search.rate * start
        for search in made:
            if search.each:
                left -= sum([low.count(word) for word in search.words if letters.issuperset(word)]) * search.each
        left -= len(chunk) * rate
        if left < 0 and text[start:] != _MARKER:
            return text[: _end(text, start)] + _MARKER
    return text


def before_dense(text: str, low: str, found: list[tuple[int, int, str]]) -> tuple[str, str]:
    """Return a text, and the same in lower case, without an end that is masked whole: it need not be searched.

    Args:
        text: Any text.
        low: The same in lower case.
        found: What was found in it; the last may be such an end.
    """
    if not found or found[-1][2] != "dense" or len(text) <= found[-1][0] + _BEHIND:
        return text, low
    text = text[: found[-1][0] + _BEHIND]
    return text, text.lower()


def letters_of(low: str) -> frozenset[str]:
    """Return the characters of ASCII that a text holds: others are slow to tell apart, and few words have them."""
    return frozenset(low if low.isascii() else low.encode("ascii", "ignore").decode())


def present(words: Collection[str], low: str, letters: frozenset[str], brief: str | None = None) -> bool:
    """Say whether a long text holds one of some words; most are ruled out by a letter that it has not.

    Args:
        words: In lower case.
        low: The text in lower case.
        letters: What :func:`letters_of` says of it.
        brief: Each run between its white space once, where that is known.
    """
    for word in words:
        # White space may be within a word of ours, and then it is in no run.
        if (letters.issuperset(word) or not word.isascii()) and word in (
            low if brief is None or word.split() != [word] else brief
        ):
            return True
    return False


def _end(text: str, limit: int) -> int:
    for at in range(limit, max(0, limit - _WORD), -1):
        if text[at - 1].isspace():
            return at
    return limit

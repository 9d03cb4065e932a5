"""What a search of workflow paths looks for: words, phrases and beginnings of words, read from what somebody typed.

This module is pure: it knows neither files nor tables. :mod:`usagetrace.store.search` says what can be asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from usagetrace.events import TEXT_LIMIT, clean_text

_MOST_WORDS: Final = 64


class Term(NamedTuple):
    """A word or phrase that is looked for, and whether its last word may go on."""

    text: str
    begins: bool


_TERM: Final = re.compile(r'"([^"]*)(?:"|$)(\*?)|([^\s"]+)')


def terms(text: str) -> list[Term]:
    """Return what a text looks for, each once; nothing for a text without letters and digits."""
    found: dict[Term, None] = {}
    for match in _TERM.finditer(clean_text(text[:TEXT_LIMIT])):
        word = match[1] if match[3] is None else match[3]
        begins = match[2] == "*" if match[3] is None else word.endswith("*")
        word = word.strip("*").strip()
        if any(map(str.isalnum, word)):
            found[Term(word, begins)] = None
    return list(found)[:_MOST_WORDS]


def expression(wanted: Sequence[Term]) -> str:
    """Return what FTS5 is asked: each term is a text in quotes, so that nothing in it means anything."""
    return " ".join(f'"{term.text}"{" *" if term.begins else ""}' for term in wanted)


def matches(path: str, wanted: Sequence[Term]) -> bool:
    """Return whether a path has all terms, as the index would say."""
    words = _words(path)
    return all(_is_in(words, _words(term.text), begins=term.begins) for term in wanted)


def _words(text: str) -> list[str]:
    """Return a text's words without capitals and accents."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return re.findall(r"[^\W_]+", plain.lower())


def _is_in(words: Sequence[str], phrase: Sequence[str], *, begins: bool) -> bool:
    *whole, last = phrase
    for at in range(len(words) - len(whole)):
        end = words[at + len(whole)]
        if list(words[at : at + len(whole)]) == whole and (end.startswith(last) if begins else end == last):
            return True
    return False

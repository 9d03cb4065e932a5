"""The names of this machine and its user, masked in a text that holds one. It knows no rule for secrets."""

from __future__ import annotations

from usagetrace.redaction.finder import _replaced
from usagetrace.redaction.invisible import between_escapes
from usagetrace.redaction.rules import MARKER, marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from usagetrace.redaction.rules import Form


def mask_names(text: str, names: Sequence[tuple[str, str, re.Pattern[str]]], form: Form | None = None) -> str:
    """Return a text with each name replaced by its rule's marker.

    Args:
        text: Any text; a terminal's sequences in it are boundaries of words.
        names: Rule, name in lower case, and pattern of the name as a word.
        form: Says what stands in a name's place; without it, the marker does.
    """
    if "\x1b[" in text:
        return between_escapes(text, lambda piece: _masked(piece, names, form))
    return _masked(text, names, form)


def _masked(text: str, names: Sequence[tuple[str, str, re.Pattern[str]]], form: Form | None) -> str:
    low = text.lower()
    for rule, name, pattern in names:
        if name in low:
            text = _mask_words(text, pattern, rule, form)
    return text


def _mask_words(text: str, words: re.Pattern[str], name: str, form: Form | None) -> str:
    """Return a text with each match of a pattern replaced, existing markers left alone."""
    if form is None and ("[redacted:" not in text or not _may_touch_a_marker(text, words)):
        return words.sub(marker(name), text)
    found = [(*match.span(), name) for match in words.finditer(text)]
    return _replaced(text, found, form) if found else text


def _may_touch_a_marker(text: str, words: re.Pattern[str]) -> bool:
    """Say whether one of some words may be a part of a text's markers."""
    return any(words.search(each) is not None for each in set(MARKER.findall(text)))

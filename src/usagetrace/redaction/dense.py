"""How much of a long text is searched, so that no text takes longer than its length in ordinary prose would.

A sign that may begin a finding costs many times what a letter costs. A long text that is made of such signs is searched
up to a cost; the rest becomes one marker, because what was not looked at does not leave. The cost is counted, not
timed: the same text always gives the same result. This module knows no rule.
"""

from __future__ import annotations

from usagetrace.redaction.rules import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Shorter texts, in characters, are searched whole whatever they are made of.
LONG: Final = 65_536
# What searching one text may cost, in nanoseconds of a slow machine.
COST_LIMIT: Final = 60_000_000
# What a character costs that begins nothing.
_LETTER: Final = 40
# What a sign costs on top of that, measured on texts that consist of little else.
_SIGNS: Final = (
    ("/", 800), ("\\", 700), (":", 600), ("=", 500), ("@", 500), ("<", 300), ("-", 300), (".", 250), ("%", 400),
    ("&", 300), (" ", 30), ("_", 40), ("+", 200), ("(", 200), ("[", 150), ("$", 200), (",", 50), ("'", 100), ('"', 100),
    *((digit, 160) for digit in "0123456789"),
)  # fmt: skip
_CHUNK: Final = 16_384
# The text is cut at white space, if there is some this close before the limit: no word is torn.
_WORD: Final = 4096
_MARKER: Final = marker("dense")


def bounded(text: str) -> str:
    """Return a text that can be searched within the limit: itself, or its beginning and a marker.

    Args:
        text: Any text; one that was bounded before comes back as it is.
    """
    left = COST_LIMIT
    if text.endswith(_MARKER):
        # The marker's own signs: without them the first pass ended here.
        left += len(_MARKER) * 1000
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        left -= len(chunk) * _LETTER
        for sign, cost in _SIGNS:
            left -= chunk.count(sign) * cost
        if left < 0:
            return text[: _end(text, start)] + _MARKER
    return text


def _end(text: str, limit: int) -> int:
    for at in range(limit, max(0, limit - _WORD), -1):
        if text[at - 1].isspace():
            return at
    return limit

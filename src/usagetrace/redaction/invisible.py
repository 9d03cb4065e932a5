"""Texts with characters that have no width: searched as they are read, without them."""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import UNSEEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

HAS_UNSEEN: Final = lazy("[" + "".join(map(chr, UNSEEN)) + "]")


def visible(text: str) -> tuple[str, list[int]]:
    """Return a text without characters that nobody sees, and where each of its characters stood; the end comes last.

    Args:
        text: Any text.
    """
    places = [at for at, letter in enumerate(text) if ord(letter) not in UNSEEN]
    seen = "".join([text[at] for at in places])
    places.append(len(text))
    return seen, places

"""Texts with characters that nobody sees, of no width or a terminal's: searched as they are read, without them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import UNSEEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

HAS_UNSEEN: Final = lazy("[" + "".join(map(chr, UNSEEN)) + "]")
# What a terminal takes for colours and for moving about.
ESCAPES: Final = lazy(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")
_ESCAPES_KEPT: Final = lazy(r"(\x1b\[[0-9;?]{0,16}[A-Za-z])")
_UNSEEN_RUN: Final = lazy("([" + "".join(map(chr, UNSEEN)) + "]+)")


class Places:
    """Where the characters of a text stood before those without a width were taken out.

    Args:
        lengths: Of the visible pieces and of what was between them, in turn.
    """

    __slots__ = ("_before", "_seen")

    def __init__(self, lengths: list[int]) -> None:
        self._seen = [0, *accumulate(lengths[::2])]
        self._before = [0, *list(accumulate(lengths))[1::2]]

    def __getitem__(self, at: int) -> int:
        """Return where the character stood."""
        piece = bisect_right(self._seen, at, 0, len(self._before)) - 1
        return self._before[piece] + at - self._seen[piece]


def between_escapes(text: str, change: Callable[[str], str]) -> str:
    """Return a text changed between a terminal's sequences, each of which is a boundary and stays."""
    pieces = _ESCAPES_KEPT.split(text)
    pieces[::2] = map(change, pieces[::2])
    return "".join(pieces)


def visible(text: str) -> tuple[str, Places]:
    """Return a text without characters that nobody sees, and where each of its characters stood.

    Args:
        text: Any text.
    """
    pieces = _UNSEEN_RUN.split(text)
    return "".join(pieces[::2]), Places(list(map(len, pieces)))

"""Where in a long text something may be assigned to the name of a secret or a person. It knows no rule."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Final

# How far before the sign of an assignment its name may begin, in characters.
_BEFORE_SIGN: Final = 200


class Named:
    """Searches for the signs of assignments that stand behind a name which may be a secret's or a person's.

    From word to word, and from there to the next sign: all others cost next to nothing, in a log most of them.

    Args:
        sign: Finds the sign.
        words: Finds the words, in lower case.
    """

    __slots__ = ("_sign", "_words", "begin")

    def __init__(self, sign: re.Pattern[str], words: re.Pattern[str]) -> None:
        self._sign = sign.search
        self._words = words.search
        # Where the name of the sign that was found may begin.
        self.begin = 0

    def search(self, low: str, position: int) -> re.Match[str] | None:
        """Return the first such sign from a position on, where its name begins at the position or behind it."""
        word = self._words(low, position)
        while word is not None:
            sign = self._sign(low, word.end())
            if sign is None:
                return None
            at = sign.start()
            start = max(position, at - _BEFORE_SIGN)
            # A name has no white space in it.
            before = low[start:at].rstrip()
            name = before.rsplit(None, 1)[-1] if before else ""
            self.begin = start + len(before) - len(name)
            if word.start() >= self.begin or self._words(name) is not None:
                return sign
            position = at + 1
            word = self._words(low, position)
        return None

"""Patterns that are compiled when they are first used.

Redaction's rules hold some fifty patterns. Compiling them all costs 60 ms, more than everything else that a short
command of the host does with this package; most values need two or three of them.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Final

# Texts that are searched for words one by one, before a pattern of all of them pays for its being compiled.
_FEW: Final = 100


class _Lazy:
    """Stands for a compiled pattern; takes on its methods when one of them is first asked for."""

    def __init__(self, source: str | Callable[[], str], flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        source = self._source if isinstance(self._source, str) else self._source()
        compiled = re.compile(source, self._flags)
        # From here on an attribute of this object's own: as fast as the pattern's.
        self.__dict__.update({each: getattr(compiled, each) for each in dir(compiled) if not each.startswith("__")})
        return getattr(compiled, name)


class _AnyOf(_Lazy):
    """Stands for a pattern that is only asked whether it is in a text; the first few texts are not worth it."""

    def __init__(self, words: Collection[str]) -> None:
        super().__init__(lambda: trie(tuple(words)), 0)
        self._words = words
        self._left = _FEW

    def search(self, text: str) -> object:
        """Return something that is not None where one of the words is in a text."""
        self._left -= 1
        if self._left < 0:
            return self.__getattr__("search")(text)
        return next((word for word in self._words if word in text), None)


def any_of(words: Collection[str]) -> re.Pattern[str]:
    """Return what finds out, by its ``search`` alone, whether one of some literals is in a text.

    Args:
        words: Literals, none of them empty.
    """
    pattern: Any = _AnyOf(words)
    found: re.Pattern[str] = pattern
    return found


def lazy(source: str | Callable[[], str], flags: int = 0) -> re.Pattern[str]:
    """Return a pattern that is compiled when it is first used.

    Args:
        source: The pattern's text, or a function that makes it.
        flags: Flags of the module :mod:`re`.
    """
    pattern: Any = _Lazy(source, flags)
    found: re.Pattern[str] = pattern
    return found


def trie(words: tuple[str, ...]) -> str:
    """Return a pattern that matches the longest of some literals, with shared beginnings tried once.

    A flat alternation of a hundred literals costs a hundred comparisons at each position.
    """
    ends = "" in words
    branches: dict[str, list[str]] = {}
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
    if not branches:
        return ""
    parts = [re.escape(first) + trie(tuple(rest)) for first, rest in sorted(branches.items())]
    if len(parts) == 1 and not ends:
        return parts[0]
    return f"(?:{'|'.join(parts)}){'?' if ends else ''}"

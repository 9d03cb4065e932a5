"""Patterns that are compiled when they are first used.

Redaction's rules hold some fifty patterns. Compiling them all costs 60 ms, more than everything else that a short
command of the host does with this package; most values need two or three of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast


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


def lazy(source: str | Callable[[], str], flags: int = 0) -> re.Pattern[str]:
    """Return a pattern that is compiled when it is first used.

    Args:
        source: The pattern's text, or a function that makes it.
        flags: Flags of the module :mod:`re`.
    """
    return cast("re.Pattern[str]", _Lazy(source, flags))

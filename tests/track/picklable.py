"""Tracked functions at the top of a module, where pickle finds them by name."""

from __future__ import annotations

import functools
from typing import Any

from usagetrace import track


def bare(first: int, second: str = "two", *rest: Any, third: float = 3.0, **more: Any) -> dict[str, int]:
    """Say what was passed.

    >>> bare(1)
    {'first': 1}
    """
    return {"first": first}


@track("x")
def tracked(first: int, second: str = "two", *rest: Any, third: float = 3.0, **more: Any) -> dict[str, int]:
    """Say what was passed.

    >>> tracked(1)
    {'first': 1}
    """
    return {"first": first}


class Shelf:
    """Holds a name and tracked methods."""

    def __init__(self, name: str) -> None:
        self.name = name

    @track("x")
    def label(self, suffix: str = "") -> str:
        """Return the name."""
        return self.name + suffix

    def plain(self, suffix: str = "") -> str:
        """Return the name."""
        return self.name + suffix

    @track("x")
    @classmethod
    def make(cls) -> str:
        """Return the class's name."""
        return cls.__name__

    @track("x")
    @staticmethod
    def double(number: int) -> int:
        """Return twice the number."""
        return 2 * number

    @functools.cached_property
    @track("x")
    def cached(self) -> list[str]:
        """Return the name in a list, once."""
        return [self.name]

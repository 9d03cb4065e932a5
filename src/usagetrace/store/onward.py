"""Who sends events on from a store, as a recorder knows them: by two words, and nothing of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from usagetrace.guard import guard


class Onward(Protocol):
    """Somebody who sends events on from the store, on a thread of their own."""

    def look(self, brought: int) -> None:
        """Take notice of how many events were brought in so far; return at once."""

    def stop(self) -> None:
        """End what is under way, within a moment."""


class Later:
    """Somebody who is made at the first look: until then nothing of theirs is loaded.

    Args:
        make: Makes them.
    """

    def __init__(self, make: Callable[[], Onward]) -> None:
        self._make = make
        self._made: Onward | None = None

    def look(self, brought: int) -> None:
        """Have them take notice. On one thread at a time."""
        if self._made is None:
            self._made = self._make()
        self._made.look(brought)

    def stop(self) -> None:
        """End what they have under way; nothing where they never came to look."""
        if self._made is not None:
            self._made.stop()


class Several:
    """Some of them, as one.

    Args:
        parts: Told in this order; one that fails costs the others nothing.
    """

    def __init__(self, parts: Sequence[Onward]) -> None:
        self._parts = parts

    def look(self, brought: int) -> None:
        """Have each take notice."""
        for part in self._parts:
            guard(part.look)(brought)

    def stop(self) -> None:
        """End what each has under way."""
        for part in self._parts:
            guard(part.stop)()

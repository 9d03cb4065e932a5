"""What of a request is refused while the rest is taken, and why."""

from __future__ import annotations


class RefusedError(Exception):
    """Something of ours that can't be kept; the text says why, in words of this package alone."""


class Refused:
    """Counts what is refused, by reason.

    Args:
        limit: Most reasons that are told.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_reason: dict[str, int] = {}

    def add(self, reason: str, number: int = 1) -> None:
        """Count something that is refused."""
        if number:
            self._by_reason[reason] = self._by_reason.get(reason, 0) + number

    @property
    def count(self) -> int:
        """How much was refused."""
        return sum(self._by_reason.values())

    def reasons(self) -> tuple[str, ...]:
        """Return the reasons, the most frequent first, each with how often it held."""
        ordered = sorted(self._by_reason.items(), key=lambda each: (-each[1], each[0]))
        return tuple(f"{reason} ({number})" for reason, number in ordered[: self._limit])

"""What a server has taken since it began, by signal, for any number of threads."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Count:
    """What became of one signal's items.

    Attributes:
        requests: Requests that were answered with success.
        refused: Requests that were refused.
        added: Events, or points of metrics, that were new.
        duplicates: Ones that were here already.
        ignored: Items that are not of this package and that no mapping is for.
        rejected: Items that could not be kept, which partial_success told.
    """

    requests: int = 0
    refused: int = 0
    added: int = 0
    duplicates: int = 0
    ignored: int = 0
    rejected: int = 0


class Counts:
    """Counts by signal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signals: dict[str, Count] = {}

    def taken(self, signal: str, added: int, duplicates: int, ignored: int, rejected: int) -> None:
        """Count a request that was answered with success."""
        with self._lock:
            count = self._signals.setdefault(signal, Count())
            count.requests += 1
            count.added += added
            count.duplicates += duplicates
            count.ignored += ignored
            count.rejected += rejected

    def refused(self, signal: str) -> None:
        """Count a request that was refused."""
        with self._lock:
            self._signals.setdefault(signal, Count()).refused += 1

    def shape(self) -> dict[str, dict[str, int]]:
        """Return the counts as JSON can hold them, by signal."""
        with self._lock:
            return {signal: asdict(count) for signal, count in sorted(self._signals.items())}

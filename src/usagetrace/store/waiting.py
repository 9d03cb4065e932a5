"""Events that wait in memory because nothing could take them yet: bounded, and counted where they go.

This module knows neither spool nor store: it keeps rows, in order, and gives them out in batches.
"""

from __future__ import annotations

import threading
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from usagetrace.spool.layout import Row

    # Of events that sampling took away: how many of the type are kept in a window, and its length in milliseconds. None
    # of events that are kept in any case.
    Share: TypeAlias = tuple[int, int] | None


class Waiting:
    """A bounded queue of events, safe for threads and for signal handlers in the middle of its methods.

    Args:
        limit: Events that may wait, beside a batch that was taken out; beyond it the oldest go.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Re-entrant: a signal handler or a finalizer may come here while this thread is in here.
        self._lock = threading.RLock()
        # Public for the hot path, which only asks whether it is empty.
        self.rows: deque[tuple[Row, Share]] = deque()
        self._out = 0

    def __len__(self) -> int:
        """Return how many events wait, those in a batch on its way among them."""
        with self._lock:
            return len(self.rows) + self._out

    def keep(self, rows: list[Row], share: Share = None) -> int:
        """Add events; return how many of the oldest had to go."""
        with self._lock:
            self.rows.extend([(row, share) for row in rows])
            return self._trim()

    def take(self, most: int) -> tuple[list[Row], Share]:
        """Take out the oldest events that are of one share, and the share.

        Each batch is ended by :meth:`arrived` or :meth:`give_back`.
        """
        with self._lock:
            rows: list[Row] = []
            share = self.rows[0][1] if self.rows else None
            while self.rows and len(rows) < most and self.rows[0][1] == share:
                rows.append(self.rows.popleft()[0])
            self._out += len(rows)
            return rows, share

    def arrived(self, count: int) -> None:
        """Forget a batch: it waits no longer."""
        with self._lock:
            self._out -= count

    def give_back(self, rows: list[Row], share: Share = None) -> int:
        """Put a batch back to where it was; return how many of the oldest had to go."""
        with self._lock:
            self._out -= len(rows)
            self.rows.extendleft([(row, share) for row in reversed(rows)])
            return self._trim()

    def clear(self) -> int:
        """Drop what waits, but for a batch on its way; return how many events that were."""
        with self._lock:
            count = len(self.rows)
            self.rows.clear()
            return count

    def _trim(self) -> int:
        excess = max(len(self.rows) - self._limit, 0)
        for _ in range(excess):
            self.rows.popleft()
        return excess

"""A bound on how many bytes a second are sent, kept by pauses between requests. Pure: it neither sleeps nor sends."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rate:
    """Bytes a second, on the average of what was sent: each request is paid for before the next one.

    Args:
        bytes_per_s: The bound; None for none.
        clock: The present in seconds, from any beginning; it never goes back.

    Raises:
        ValueError: The bound is not above zero.
    """

    def __init__(self, bytes_per_s: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        if bytes_per_s is not None and not bytes_per_s > 0:
            raise ValueError(f"a rate of {bytes_per_s} bytes a second: expected more than 0")
        self.bytes_per_s = bytes_per_s
        self._clock = clock
        # When all that was sent is paid for.
        self._paid_at = clock()

    def pause(self) -> float:
        """Return the seconds to wait before the next request."""
        return max(self._paid_at - self._clock(), 0.0)

    def spend(self, size: int) -> None:
        """Note that so many bytes were sent. Time in which nothing was sent is not saved up."""
        if self.bytes_per_s is not None:
            self._paid_at = max(self._paid_at, self._clock()) + size / self.bytes_per_s

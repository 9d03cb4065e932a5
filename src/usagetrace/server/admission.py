"""Who may wait: the bytes and the requests that are under way are counted, and more than the bounds are refused.

Nothing waits here for room: an exporter that is told to come again does so by itself, and a queue of its own is
where data waits best.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

from usagetrace.server.bounds import Bounds
from usagetrace.server.refusal import BUSY, RefusalError, stopping

# After how many seconds somebody who was refused for a lack of room may come again.
_ROOM_S: Final = 1


class Ticket:
    """One request that is under way; leaving gives back what it holds."""

    __slots__ = ("_admission", "size")

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission
        self.size = 0

    def grow(self, count: int) -> None:
        """Hold so many more bytes.

        Raises:
            RefusalError: There is no room for them.
        """
        if self._admission is not None:
            self._admission.reserve(count)
            self.size += count

    def hold(self, size: int) -> None:
        """Hold so many bytes in all; more than there is room for, where they are here already."""
        if self._admission is not None:
            self._admission.change(size - self.size)
            self.size = size

    def leave(self) -> None:
        """Give back what is held; a second time does nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.dismiss(self.size)

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()


class Admission:
    """Counts what is under way, for any number of threads.

    Args:
        bounds: The bounds of the server.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._requests = 0
        self._bytes = 0
        self._closed = False

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests that are under way, and their bytes."""
        with self._lock:
            return self._requests, self._bytes

    def enter(self) -> Ticket:
        """Let a request in.

        Raises:
            RefusalError: The server is stopping, or too many are under way.
        """
        with self._lock:
            if self._closed:
                raise stopping()
            if self._requests >= self._bounds.waiting_requests:
                raise RefusalError(BUSY, "too many requests are waiting", retry_after_s=_ROOM_S)
            self._requests += 1
        return Ticket(self)

    def close(self) -> None:
        """Let nobody in any more."""
        with self._lock:
            self._closed = True

    def reserve(self, count: int) -> None:
        """Count bytes that are about to come.

        Raises:
            RefusalError: There is no room for them.
        """
        with self._lock:
            if self._bytes + count > self._bounds.waiting_bytes:
                raise RefusalError(BUSY, "too many bytes are waiting", retry_after_s=_ROOM_S)
            self._bytes += count

    def change(self, count: int) -> None:
        """Count bytes that are here, or are gone."""
        with self._lock:
            self._bytes += count

    def dismiss(self, size: int) -> None:
        """Let a request out, and its bytes."""
        with self._lock:
            self._requests -= 1
            self._bytes -= size

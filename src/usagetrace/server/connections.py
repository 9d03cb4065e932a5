"""A connection of HTTP/1.1 with the bounds that uvicorn leaves out: how many, and how long one may say nothing.

uvicorn closes a connection that rests after an answer, and waits for ever for the first line of a new one, and for the
end of a body that was answered before it was read.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from usagetrace.server.bounds import Bounds


class BoundedProtocol(H11Protocol):
    """One connection, as uvicorn speaks it."""

    def __init__(self, *args: Any, bounds: Bounds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is no request yet has to become one in time."""
        super().data_received(data)
        if self._is_answering():
            # How long a body may take is for who reads it.
            self._forget()
        elif self._patience is None:
            self._wait()

    def _is_answering(self) -> bool:
        # uvicorn has no type for the time before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self._bounds.head_s, self._give_up)

    def _forget(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()


def protocol(bounds: Bounds) -> Any:
    """Return what uvicorn makes a connection with."""
    return partial(BoundedProtocol, bounds=bounds)

"""Bodies of requests, read within a size and a time; what is left when the server stops is cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from starlette.requests import ClientDisconnect

from usagetrace.server.refusal import MALFORMED, SLOW, TOO_LARGE, RefusalError, stopping

if TYPE_CHECKING:
    from starlette.requests import Request

    from usagetrace.server.admission import Ticket
    from usagetrace.server.bounds import Bounds


class Bodies:
    """Reads bodies; all of it happens in the event loop's thread.

    Args:
        bounds: The bounds of the server.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._scopes: set[anyio.CancelScope] = set()
        self._until: float | None = None

    def hurry(self, seconds: float) -> None:
        """Let no body take longer than so many seconds from now."""
        self._until = anyio.current_time() + seconds
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, self._until)

    async def read(self, request: Request, ticket: Ticket) -> bytes:
        """Return the body of a request as it is sent.

        Args:
            request: The request.
            ticket: Counts the bytes.

        Raises:
            RefusalError: It is longer than it may be, does not come in time, or there is no room for it.
            ClientDisconnect: Whoever sends it went away.
        """
        self._require_length(request.headers.get("content-length"))
        deadline = anyio.current_time() + self._bounds.body_s
        if self._until is not None:
            deadline = min(deadline, self._until)
        parts: list[bytes] = []
        with anyio.CancelScope(deadline=deadline) as scope:
            self._scopes.add(scope)
            try:
                async for part in request.stream():
                    ticket.grow(len(part))
                    if ticket.size > self._bounds.body:
                        raise self._too_large()
                    parts.append(part)
            finally:
                self._scopes.discard(scope)
            return b"".join(parts)
        if self._until is not None:
            raise stopping()
        raise RefusalError(SLOW, f"the body did not come within {self._bounds.body_s:g} s")

    def _require_length(self, length: str | None) -> None:
        """Refuse what says beforehand that it is too long."""
        if length is None:
            return
        if not (length.isascii() and length.isdigit()):
            raise RefusalError(MALFORMED, "Content-Length: expected a number of bytes")
        if len(length) > 18 or int(length) > self._bounds.body:
            raise self._too_large()

    def _too_large(self) -> RefusalError:
        return RefusalError(TOO_LARGE, f"the body is longer than {self._bounds.body} bytes: send smaller batches")


__all__ = ["Bodies", "ClientDisconnect"]

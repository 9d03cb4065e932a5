"""The route that says whether the server can do its work: ``GET /health``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import JSONResponse
from starlette.routing import Route

from usagetrace.guard import said

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from usagetrace.server.state import State


def routes() -> list[Route]:
    """Return the route."""
    return [Route("/health", _health, methods=["GET"])]


async def _health(request: Request) -> Response:
    server: State = request.app.state.server
    # It waits for the thread that writes.
    trouble = await anyio.to_thread.run_sync(server.receiver.trouble)
    hidden = "the store can't be written now"
    if trouble is None:
        trouble, hidden = server.receiver.unread(), "requests can't be read now"
    known = server.access.knows(request.headers.get("authorization"))
    shape: dict[str, Any] = {"status": "ok"}
    if trouble is not None:
        # The reason names the file: that is for who may send, and redacted all the same.
        shape = {"status": "unavailable", "reason": said(trouble) if known else hidden}
    if known:
        shape.update(server.receiver.shape())
    return JSONResponse(shape, 200 if trouble is None else 503, headers={"Cache-Control": "no-store"})

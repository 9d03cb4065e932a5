"""The application: routes of several modules over one state, one lifespan, one form of errors.

A further part of the server, such as an API that reads, is a module with ``routes()`` that is named here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from usagetrace.server import answers, health, ingest
from usagetrace.server.access import Access
from usagetrace.server.bodies import Bodies
from usagetrace.server.refusal import RefusalError
from usagetrace.server.state import State

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from usagetrace.server.receiver import Receiver


class _HostRule:
    """Answers only requests that are for this server."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            try:
                self._access.require_host(request.headers.get("host"))
            except RefusalError as refusal:
                await answers.refused(refusal, request)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(receiver: Receiver, access: Access | None = None, *, more: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application of a server.

    Args:
        receiver: Takes what is sent; started when the application starts, stopped when it ends.
        access: Who may send; by default whoever is on this machine.
        more: Further routes.
    """
    rule = Access() if access is None else access
    state = State(receiver, rule, Bodies(receiver.bounds))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        receiver.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(receiver.stop, receiver.bounds.stop_s / 2)

    app = Starlette(
        routes=[*ingest.routes(), *health.routes(), *more],
        middleware=[Middleware(_HostRule, access=rule)],
        exception_handlers={RefusalError: _answer, HTTPException: _answer, Exception: _answer},
        lifespan=lifespan,
    )
    app.state.server = state
    # A path with a slash at its end is unknown: a redirect would have the body sent twice.
    app.router.redirect_slashes = False
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return answers.of_exception(request, error)

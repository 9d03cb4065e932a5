"""The routes of OTLP/HTTP: ``POST /v1/traces``, ``/v1/metrics`` and ``/v1/logs``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from usagetrace.otlp.decode import LOGS, METRICS, TRACES
from usagetrace.server import answers
from usagetrace.server.compression import require_known
from usagetrace.server.refusal import UNSUPPORTED, RefusalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from usagetrace.server.state import State

_PATHS: Final = {"/v1/traces": TRACES, "/v1/metrics": METRICS, "/v1/logs": LOGS}
_TYPES: Final = f"{answers.PROTOBUF}, {answers.JSON}"


def routes() -> list[Route]:
    """Return the routes of the three signals."""
    return [Route(path, _endpoint(signal), methods=["POST"]) for path, signal in _PATHS.items()]


def _endpoint(signal: str) -> Callable[[Request], Awaitable[Response]]:
    async def export(request: Request) -> Response:
        return await _export(request.app.state.server, signal, request)

    return export


async def _export(server: State, signal: str, request: Request) -> Response:
    server.access.require_token(request.headers.get("authorization"))
    json = _is_json(request)
    encoding = require_known(request.headers.get("content-encoding", ""))
    with server.receiver.admission.enter() as ticket:
        try:
            body = await server.bodies.read(request, ticket)
        except ClientDisconnect:
            # Nobody is there to be answered.
            return Response(status_code=400)
        outcome = await asyncio.wrap_future(server.receiver.submit(ticket, signal, body, encoding, json=json))
    return answers.success(signal, outcome, json=json)


def _is_json(request: Request) -> bool:
    kind = answers.media_type(request)
    if kind == answers.JSON:
        return True
    if kind == answers.PROTOBUF:
        return False
    raise RefusalError(
        UNSUPPORTED, f"this Content-Type is not spoken; expected one of {_TYPES}", headers=(("Accept-Post", _TYPES),)
    )

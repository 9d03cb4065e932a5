"""Answers of HTTP: success and refusals of OTLP in the form of the request, and what every refusal becomes.

Source: the OTLP specification 1.x, "OTLP/HTTP response": the body of an error is a ``google.rpc.Status``, of success an
``Export<signal>ServiceResponse``, in the request's own form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from usagetrace.guard import guard, said
from usagetrace.otlp import decode
from usagetrace.server.refusal import FAULT, MALFORMED, METHOD, UNKNOWN_PATH, Kind, RefusalError

if TYPE_CHECKING:
    from starlette.requests import Request

    from usagetrace.server.receiver import Outcome

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_KNOWN: Final[dict[int, tuple[Kind, str]]] = {
    404: (UNKNOWN_PATH, "there is nothing at this path; OTLP is taken at /v1/traces, /v1/metrics and /v1/logs"),
    405: (METHOD, "this path is not for this method"),
}


def media_type(request: Request) -> str:
    """Return a request's content type without its parameters, in lower case; empty where it has none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def success(signal: str, outcome: Outcome, *, json: bool) -> Response:
    """Return the answer to a request that was taken."""
    body = decode.response(signal, outcome.rejected, outcome.message, json=json)
    return Response(body, 200, media_type=JSON if json else PROTOBUF)


def refused(refusal: RefusalError, request: Request) -> Response:
    """Return the answer to a request that was not taken, in the form that it was in; in JSON where that is unknown."""
    json = media_type(request) != PROTOBUF
    headers = dict(refusal.headers)
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    # Whatever a message repeats of what was sent, a secret is not among it.
    message = str(said(refusal.message))
    body = decode.status(refusal.kind.grpc, message, json=json)
    return Response(body, refusal.kind.http, headers=headers, media_type=JSON if json else PROTOBUF)


def of_exception(request: Request, error: Exception) -> Response:
    """Return the answer where a route raised."""
    if isinstance(error, RefusalError):
        return refused(error, request)
    if isinstance(error, HTTPException):
        kind, message = _KNOWN.get(error.status_code, (MALFORMED, "this request can't be answered"))
        headers = tuple((error.headers or {}).items())
        return refused(RefusalError(kind, message, headers=headers), request)
    guard.note(error)
    return refused(RefusalError(FAULT, f"a fault of this server: {type(error).__name__}"), request)

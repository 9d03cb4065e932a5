"""Events over HTTP, for an application of FastAPI: a router with ``/api/telemetry/log`` and ``/api/telemetry/health``.

::

    from usagetrace.server.telemetry_router import router

    app.include_router(router)

This module owns what may be sent and what is answered. An event is recorded as :mod:`usagetrace.event_logger` records
it; who may send is the application's to say, by dependencies or middleware of its own. It needs FastAPI, which is in no
extra: an application that includes a router of FastAPI has it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, Literal

from usagetrace.event_logger import AnalyticsEvent, record
from usagetrace.events import NAME_LIMIT
from usagetrace.server.telemetry_health import measure

try:
    import anyio
    from anyio.lowlevel import RunVar
    from anyio.to_thread import run_sync
    from fastapi import APIRouter, HTTPException, Request
    from pydantic import BaseModel, ConfigDict, Field, ValidationError
    from starlette.requests import ClientDisconnect
except ImportError as error:
    raise ImportError("usagetrace.server.telemetry_router needs FastAPI: pip install fastapi") from error

__all__ = ["EventLogRequest", "EventLogResponse", "TelemetryHealthResponse", "router"]

# Bytes of a body, and levels of tables and lists in it: many times what an event has.
MAX_BODY: Final = 64 * 1024
MAX_DEPTH: Final = 20
# Seconds in which a body must have come.
BODY_S: Final = 15.0
# Threads of an event loop that record, and that measure. They are not those that its other work shares: a lock that is
# held keeps nothing waiting but this.
_RECORDING: Final = 4
_MEASURING: Final = 1
# Requests that may wait for one of them.
MAX_WAITING: Final = 256

_JSON: Final = "application/json"


class EventLogRequest(BaseModel):
    """The body of ``POST /api/telemetry/log``. No other keys are taken.

    Attributes:
        event_type: ``ai_block_used``, ``chapter_visit``, ``error_event``, or any other type.
        payload: Keys and values; none by default.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    event_type: str = Field(min_length=1, max_length=NAME_LIMIT)
    payload: dict[str, Any] | None = None


class EventLogResponse(BaseModel):
    """The answer of ``POST /api/telemetry/log``.

    Attributes:
        recorded: False when telemetry is off, or the event was refused.
        event_type: As it was sent.
        timestamp: When the event happened: when the request was read, in UTC.
    """

    recorded: bool
    event_type: str
    timestamp: datetime


class TelemetryHealthResponse(BaseModel):
    """The answer of ``GET /api/telemetry/health``.

    Attributes:
        status: ``healthy``; ``off`` where nothing is recorded; ``degraded`` where something keeps events from the
            store.
        events_logged: Events that the store has ever counted, by all processes that share it; None where telemetry is
            off, where nothing is stored locally, and where the store can't be read.
        events_waiting: Events that wait in this process's memory.
        events_lost: Events that are lost, as far as the store or this process knows.
        reasons: Why it is degraded, in words that name no file.
    """

    status: Literal["healthy", "degraded", "off"]
    events_logged: int | None
    events_waiting: int
    events_lost: int
    reasons: list[str]


router = APIRouter(prefix="/api/telemetry", tags=["telemetry"])

# The body is read here, and not by FastAPI, which reads one of any length and answers with the values that do not fit.
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {_JSON: {"schema": EventLogRequest.model_json_schema()}}}
}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "The body was cut short."},
    408: {"description": f"The body did not come within {BODY_S:g} s."},
    413: {"description": f"The body is longer than {MAX_BODY} bytes."},
    415: {"description": f"The body is not {_JSON}."},
    422: {"description": "The body is no JSON, nested too deeply, or does not fit; the answer holds no value of it."},
    503: {"description": "Too many events wait to be recorded; send it again later."},
}


@router.post("/log", responses=_REFUSALS, openapi_extra=_BODY)
async def log_event(request: Request) -> EventLogResponse:
    """Record an event, now."""
    body = await _read(request)
    limiter = _limiter(_recording, _RECORDING)
    if limiter.statistics().tasks_waiting >= MAX_WAITING:
        raise HTTPException(503, "too many events wait to be recorded", headers={"Retry-After": "1"})
    # Appending may wait for a lock, which must not be the event loop's to wait for.
    return await run_sync(_log, body, limiter=limiter)


@router.get("/health")
async def telemetry_health() -> TelemetryHealthResponse:
    """Say whether events are recorded, and how many were."""
    found = await run_sync(measure, limiter=_limiter(_measuring, _MEASURING))
    return TelemetryHealthResponse(
        status=found.status,
        events_logged=found.events_logged,
        events_waiting=found.events_waiting,
        events_lost=found.events_lost,
        reasons=list(found.reasons),
    )


_recording: Final[RunVar[anyio.CapacityLimiter]] = RunVar("usagetrace-recording")
_measuring: Final[RunVar[anyio.CapacityLimiter]] = RunVar("usagetrace-measuring")


def _limiter(kept: RunVar[anyio.CapacityLimiter], threads: int) -> anyio.CapacityLimiter:
    """Return the bound on threads of the event loop that runs, made at its first use."""
    found = kept.get(None)
    if found is None:
        found = anyio.CapacityLimiter(threads)
        kept.set(found)
    return found


async def _read(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: It is too long, does not come, or is no JSON by its own word.
    """
    # A web page of somebody else may send other types without asking: browsers ask first for this one.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"expected a body of the type {_JSON}")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > MAX_BODY):
        raise _too_long()
    body = bytearray()
    with anyio.move_on_after(BODY_S):
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY:
                    raise _too_long()
        except ClientDisconnect:
            raise HTTPException(400, "the body was cut short") from None
        return bytes(body)
    raise HTTPException(408, f"the body did not come within {BODY_S:g} s")


def _too_long() -> HTTPException:
    return HTTPException(413, f"the body is longer than {MAX_BODY} bytes")


def _log(body: bytes) -> EventLogResponse:
    sent = _parse(body)
    happened = AnalyticsEvent(sent.event_type, sent.payload)
    return EventLogResponse(recorded=record(happened), event_type=sent.event_type, timestamp=happened.timestamp)


def _parse(body: bytes) -> EventLogRequest:
    """Return what was sent.

    Raises:
        HTTPException: It does not fit; what is said of it holds no value and no key of it.
    """
    try:
        # Decoded here: JSON is UTF-8, and json would guess others.
        found = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _unfit("json_invalid", "expected JSON, in UTF-8") from None
    if _is_deep(found):
        raise _unfit("too_deep", f"expected at most {MAX_DEPTH} levels of tables and lists")
    try:
        return EventLogRequest.model_validate(found)
    except ValidationError as error:
        faults = [
            _fault(fault["type"], fault["msg"], *(part for part in fault["loc"][:1] if part in _FIELDS))
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    raise HTTPException(422, faults)


_FIELDS: Final = frozenset(EventLogRequest.model_fields)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _is_deep(found: object) -> bool:
    """Return whether tables and lists lie in one another more often than they may."""
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(MAX_DEPTH):
        below = (item for each in level for item in (each.values() if isinstance(each, dict) else each))
        level = [item for item in below if isinstance(item, dict | list)]
    return bool(level)


def _fault(kind: str, message: str, *place: object) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", *place], "msg": message}


def _unfit(kind: str, message: str) -> HTTPException:
    return HTTPException(422, [_fault(kind, message)])

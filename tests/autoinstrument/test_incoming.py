"""One trace by headers: requests that come in with one, and requests that an operation sends."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.routing import APIRoute
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider

from usagetrace import track
from usagetrace.autoinstrument import propagation
from usagetrace.events import Event
from usagetrace.redaction import default_redactor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

from .conftest import Write
from .frameworks_kit import in_force, load
from .frameworks_kit import recorded as recorded_by_spans

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"
API = """
from fastapi import APIRouter, FastAPI
from opentelemetry import trace

app, router = FastAPI(), APIRouter()
SEEN = []

def look():
    found = trace.get_current_span().get_span_context()
    SEEN.append((format(found.trace_id, "032x"), found.trace_state.to_header()) if found.is_valid else None)

@app.post("/skills/{name}")
async def deploy_skill(name: str):
    look()
    return name

@app.delete("/skills/{name}")
def remove_skill(name: str):
    look()
    if name == "broken":
        raise ValueError(name)
    return name

@app.get("/health")
def health():
    look()
    return "fine"

@router.put("/{name}")
async def update_shelf(name: str):
    look()
    return name

app.include_router(router, prefix="/shelf")
"""


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """Catch the events of what runs inside, as they are recorded where no span is wanted."""
    events: list[Event] = []

    def take(rows: list[tuple[Any, ...]]) -> bool:
        events.extend(Event(*row) for row in rows)
        return True

    with runtime.hold(Runtime(None, None, default_redactor(), record=take, service_name="test")):
        yield events


def request(app: Any, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> BaseException | None:
    """Send one request with headers; return what the application raised."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"test"), *headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        return None

    async def run() -> BaseException | None:
        try:
            await asyncio.wait_for(app(scope, receive, send), 20)
        except ValueError as error:
            return error
        return None

    return asyncio.run(run())


def answered(api: Any, method: str, path: str, *headers: tuple[bytes, bytes]) -> tuple[list[Event], Any]:
    """Return the events of one request, and what was current in the endpoint."""
    api.SEEN.clear()
    with recorded() as events:
        request(api.app, method, path, list(headers))
    assert trace.get_current_span().get_span_context().is_valid is False
    return events, api.SEEN[-1]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/skills/a"), ("DELETE", "/skills/a"), ("DELETE", "/skills/broken"), ("PUT", "/shelf/a")],
)
def test_a_request_that_names_a_trace_is_of_it(write: Write, method: str, path: str) -> None:
    """Coroutines and functions, of the application and of a router, also where they raise; for that request alone."""
    write(api=API)
    with in_force("fastapi", "api:app"):
        api = load("api")
        (with_trace,), current = answered(api, method, path, (b"traceparent", HEADER.encode()), (b"tracestate", b"a=1"))
        (without,), bare = answered(api, method, path)
    assert (with_trace.trace_id, without.trace_id) == (TRACE, None)
    assert (current, bare) == ((TRACE, "a=1"), None)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"nonsense")],
        [(b"traceparent", f"00-{'0' * 32}-{SPAN}-01".encode())],
        [(b"traceparent", b"\xff\xfe")],
        [(b"traceparent", HEADER.encode())] * 2,
        [(b"tracestate", b"a=1")],
    ],
)
def test_a_header_that_says_nothing_is_ignored(write: Write, headers: list[tuple[bytes, bytes]]) -> None:
    """As the W3C has it: invalid ones, several of them, a state alone."""
    write(api=API)
    with in_force("fastapi", "api:app"):
        (event,), current = answered(load("api"), "POST", "/skills/a", *headers)
    assert (event.trace_id, current) == (None, None)


def test_what_is_not_tracked_stays_as_it_is(write: Write) -> None:
    """A route that is no operation, and every route once nothing is in force any more."""
    write(api=API)
    with in_force("fastapi", "api:app"):
        api = load("api")
        assert answered(api, "GET", "/health", (b"traceparent", HEADER.encode())) == ([], None)
    assert answered(api, "POST", "/skills/a", (b"traceparent", HEADER.encode())) == ([], None)


def test_routes_that_are_added_later(write: Write) -> None:
    """An application that had no route yet when it was put in force."""
    write(late="from fastapi import FastAPI\napp = FastAPI()\nSEEN = [None]\n")
    with in_force("fastapi", "late:app"):
        late = load("late")

        async def deploy_skill(name: str) -> str:
            return name

        late.app.post("/skills/{name}")(deploy_skill)
        with recorded() as events:
            request(late.app, "POST", "/skills/a", [(b"traceparent", HEADER.encode())])
    assert [event.trace_id for event in events] == [TRACE]


def test_a_span_of_the_programs_own_goes_first(write: Write) -> None:
    """Where the program, or its instrumentation, has made a span of the request, operations are below that one."""
    write(api=API)
    provider = TracerProvider(shutdown_on_exit=False)
    with in_force("fastapi", "api:app"):
        api = load("api")
        app = api.app

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            with provider.get_tracer("test").start_as_current_span("request"):
                await app(scope, receive, send)

        api.app = outer
        (event,), current = answered(api, "POST", "/skills/a", (b"traceparent", HEADER.encode()))
    assert event.trace_id == current[0]
    assert event.trace_id not in (None, TRACE)


def test_operations_that_are_spans_are_below_the_senders(write: Write) -> None:
    """Where spans are wanted the sender's is their parent."""
    write(api=API)
    with in_force("fastapi", "api:app"):
        api = load("api")
        with recorded_by_spans() as events:
            request(api.app, "POST", "/skills/a", [(b"traceparent", HEADER.encode())])
            request(api.app, "POST", "/skills/b", [])
    assert events[0].trace_id == TRACE != events[1].trace_id


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older versions keep frames elsewhere as well, and show ours")
def test_an_error_looks_as_it_does_without_us(write: Write) -> None:
    """The exception is the endpoint's own, and its traceback goes through no frame of ours."""
    write(api=API)
    header = [(b"traceparent", HEADER.encode())]
    bare = request(load("api").app, "DELETE", "/skills/broken", header)
    with in_force("fastapi", "api:app"), recorded():
        error = request(load("api").app, "DELETE", "/skills/broken", header)
    assert repr(error) == repr(bare) == "ValueError('broken')"
    assert frames(error) == frames(bare)


def frames(error: BaseException | None) -> list[str]:
    """Return the functions that an exception went through."""
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_router_classes_of_other_applications_are_as_before(write: Write) -> None:
    """After the last target has gone, the framework's class is what it was."""
    write(api=API)
    before = APIRoute.handle
    with in_force("fastapi", "api:app"):
        load("api")
        assert APIRoute.handle is not before
    assert APIRoute.handle is before


# --- requests that are sent --------------------------------------------------------------------------------------


@pytest.fixture
def propagating() -> Iterator[None]:
    """Propagation in force in this process, which was started in no trace."""
    propagation.begin({})
    yield
    propagation.end()


@track.deploy
def deploy(name: str, context: Any = None) -> dict[str, str]:
    """Return the headers that a client would send."""
    headers: dict[str, str] = {}
    propagate.inject(headers, context)
    return headers


def test_an_operation_is_named_in_the_headers_that_it_sends(propagating: None) -> None:
    """Although it is no span: who answers is of its trace, and below it."""
    with recorded() as events:
        headers = deploy("a")
    (event,) = events
    assert headers == {"traceparent": f"00-{event.trace_id}-{event.span_id}-01"}


def test_headers_outside_of_operations_and_of_spans_are_as_before(propagating: None) -> None:
    """Nothing runs, a span of the program's is current, or the caller names a context: nothing of ours is in it."""
    outside: dict[str, str] = {}
    propagate.inject(outside)
    provider = TracerProvider(shutdown_on_exit=False)
    with recorded(), provider.get_tracer("test").start_as_current_span("own") as span:
        inside = deploy("a")
    with recorded():
        named = deploy("a", Context())
    own = span.get_span_context()
    assert outside == named == {}
    assert inside == {"traceparent": f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}"}


def test_without_propagation_nothing_is_named() -> None:
    """Before it is in force, and afterwards."""
    propagation.begin({})
    propagation.end()
    with recorded():
        assert deploy("a") == {}

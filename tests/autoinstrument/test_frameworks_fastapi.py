"""Routes of FastAPI: what is recorded of them, however they are included, and that the application is what it was."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from usagetrace.autoinstrument.active import ACTIVE, FAILED

from .conftest import Write
from .frameworks_kit import in_force, load, recorded, told

API = """
from typing import Annotated
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

class Skill(BaseModel):
    name: str
    version: str = "1.0"

def user(token: str = "anonymous") -> str:
    return token

def closing():
    yield "session"

router = APIRouter(prefix="/shelf", tags=["shelf"])
app = FastAPI(title="Shelf")

@app.post("/skills", response_model=Skill, status_code=201)
async def create_skill(skill: Skill, who: Annotated[str, Depends(user)]):
    '''Put a skill in its place.'''
    return {"name": skill.name, "version": skill.version, "secret": who}

@app.delete("/skills/{skill_id}")
def delete_skill(skill_id: str, force: bool = False, session: str = Depends(closing)):
    if skill_id == "missing":
        raise HTTPException(404, "no such skill")
    if skill_id == "broken":
        raise ValueError(skill_id)
    if skill_id == "denied":
        return JSONResponse({"detail": "no"}, status_code=403)
    return {"deleted": skill_id, "force": force}

@app.get("/search")
async def lookup_skills(q: str, limit: int = 3):
    return [Skill(name=name) for name in ("fox", "hen")][:limit]

@app.post("/skills/{name}/sync")
async def run_it(name: str, later: BackgroundTasks, response: Response):
    response.headers["x-name"] = name
    return name

@app.get("/skills/{name}/export")
async def export(name: str):
    async def lines():
        yield "a"
        yield "b"
    return StreamingResponse(lines())

@app.get("/health")
def health():
    return "fine"

@router.put("/{name}")
async def update_shelf(name: str):
    return name

app.include_router(router, prefix="/v1")

@router.post("/{name}/pull")
def pull(name: str):
    return name

other = FastAPI()

@other.post("/{name}")
def upload(name: str):
    return name

app.mount("/other", other)
"""

# Method, path and body of a request, and the events that it makes.
REQUESTS: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {
    ("POST", "/skills", '{"name": "canvas"}'): [("deploy", "canvas", "ok")],
    ("POST", "/skills", '{"title": "canvas"}'): [],
    ("POST", "/skills", "{"): [],
    ("DELETE", "/skills/canvas?force=1", ""): [("remove", "canvas", "ok")],
    ("DELETE", "/skills/missing", ""): [("remove", "missing", "fastapi.exceptions.HTTPException")],
    ("DELETE", "/skills/broken", ""): [("remove", "broken", "ValueError")],
    ("DELETE", "/skills/denied", ""): [("remove", "denied", "_OTHER")],
    ("GET", "/search?q=red", ""): [("search", "fox", "ok"), ("search", "hen", "ok")],
    ("GET", "/search", ""): [],
    ("POST", "/skills/canvas/sync", ""): [("sync", "canvas", "ok")],
    ("GET", "/skills/canvas/export", ""): [("deploy", "canvas", "ok")],
    ("GET", "/health", ""): [],
    ("GET", "/nowhere", ""): [],
    ("GET", "/skills", ""): [],
    ("PUT", "/v1/shelf/main", ""): [("update", "main", "ok")],
    ("POST", "/other/canvas", ""): [("deploy", "canvas", "ok")],
}


def request(app: Any, method: str, path: str, body: str = "") -> tuple[object, ...]:
    """Send one request to an application; return status, headers, body, and what the application raised."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(b"host", b"test"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[Any] = []

    async def run() -> str:
        asked = iter([{"type": "http.request", "body": body.encode(), "more_body": False}])
        done = asyncio.Event()

        async def receive() -> Any:
            given = next(asked, None)
            if given is None:
                await done.wait()
            return given or {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            await asyncio.wait_for(app(scope, receive, send), 20)
        except Exception as error:
            return repr(error)
        finally:
            done.set()
        return ""

    raised = asyncio.run(run())
    bodies = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], sorted(sent[0]["headers"]), bodies, raised


@pytest.mark.parametrize("way", ["at import", "afterwards", "after a request"])
def test_a_request_is_answered_as_it_was_and_recorded(write: Write, way: str) -> None:
    """Status, headers and body of each response, and the OpenAPI document, are those of the bare application."""
    write(shelf_api=API, bare_api=API)
    bare = load("bare_api").app
    document = json.dumps(bare.openapi())
    answers = {asked: request(bare, *asked) for asked in REQUESTS}
    if way != "at import":
        load("shelf_api")
    if way == "after a request":
        # FastAPI makes some of what answers requests when the first one comes.
        for asked in REQUESTS:
            request(load("shelf_api").app, *asked)
    instrumented, events_of = {}, {}
    # A route without a name, or of a model, is told by its parameters.
    with in_force("fastapi", "shelf_api:app", artifact_name="$name | $skill_id | $skill.name") as instrumentation:
        app = load("shelf_api").app
        (state,) = instrumentation.states()
        assert state.state == ACTIVE
        for asked in REQUESTS:
            with recorded() as events:
                instrumented[asked] = request(app, *asked)
            events_of[asked] = told(events)
        app.openapi_schema = None
        assert json.dumps(app.openapi()) == document
    assert instrumented == answers
    # With a name for the artifacts of all routes, a search's own are not looked for.
    assert events_of == {**REQUESTS, ("GET", "/search?q=red", ""): [("search", "", "ok")]}


def test_fields_are_found_by_convention(write: Write) -> None:
    """A path's parameter is the artifact, a search's artifacts are its result, and its query is found."""
    write(shelf_api=API)
    with in_force("fastapi", "shelf_api:app", metadata={"forced": "$force"}), recorded() as events:
        app = load("shelf_api").app
        request(app, "DELETE", "/skills/canvas?force=1")
        request(app, "GET", "/search?q=red&limit=2")
    shown = [
        (e.event_type, e.artifact_name, (e.metadata or {}).get("forced"), (e.metadata or {}).get("query"))
        for e in events
    ]
    assert shown == [
        ("remove", "canvas", True, None),
        ("search", "fox", None, "red"),
        ("search", "hen", None, "red"),
    ]


def test_events_say_what_names_do_not(write: Write) -> None:
    """A route that ``events`` names is of that type: by its endpoint, its path, or its method and path."""
    write(shelf_api=API)
    named = {
        "health": "check",
        "PUT /v1/shelf/{name}": "publish",
        "/skills/{skill_id}": "",
        "/skills/{name}/sync": "pull",
    }
    with in_force("fastapi", "shelf_api:app", named), recorded() as events:
        app = load("shelf_api").app
        for asked in REQUESTS:
            if asked[1] in ("/health", "/v1/shelf/main", "/skills/canvas?force=1", "/skills/canvas/sync"):
                assert request(app, *asked)[0] == 200
    assert [event.event_type for event in events] == ["pull", "check", "publish"]


def test_routes_that_are_added_later_are_tracked(write: Write) -> None:
    """Routes and routers that an application gets after its module was executed count for its target."""
    write(
        base_api="from fastapi import FastAPI\napp = FastAPI()\n",
        more_api="from base_api import app\n@app.post('/{name}')\nasync def deploy(name: str): return name\n",
    )
    with in_force("fastapi", "base_api:app") as instrumentation, recorded() as events:
        app = load("base_api").app
        load("more_api")
        router = APIRouter()

        @router.delete("/late/{name}")
        def remove(name: str) -> str:
            return name

        app.include_router(router)
        unrelated = FastAPI()

        @unrelated.post("/{name}")
        def publish(name: str) -> str:
            return name

        assert request(app, "POST", "/canvas")[0] == 200
        assert request(app, "DELETE", "/late/canvas")[0] == 200
        assert request(unrelated, "POST", "/canvas")[0] == 200
        (state,) = instrumentation.states()
        assert state.calls == 2
    assert told(events) == [("deploy", "canvas", "ok"), ("remove", "canvas", "ok")]


@pytest.mark.parametrize("way", ["included before", "included after", "included in another module"])
def test_a_router_is_tracked_wherever_it_is_included(write: Write, way: str) -> None:
    """A target may name a router: its routes are tracked in each application, and count once."""
    write(
        pk__init="",
        pk__routes="""
        from fastapi import APIRouter, FastAPI
        router = APIRouter()
        @router.post("/{name}")
        async def deploy(name: str): return name
        app = FastAPI()
        app.include_router(router, prefix="/v1")
        """,
        pk__main="""
        from fastapi import FastAPI
        from pk.routes import router
        app = FastAPI()
        app.include_router(router, prefix="/v1")
        """,
    )
    if way == "included in another module":
        # Its first request has been answered.
        request(load("pk.main").app, "POST", "/v1/canvas")
    with in_force("fastapi", "pk.routes:router"), recorded() as events:
        if way == "included after":
            app = FastAPI()
            app.include_router(load("pk.routes").router, prefix="/v1")
        else:
            app = load("pk.main" if way == "included in another module" else "pk.routes").app
        assert request(app, "POST", "/v1/canvas")[0] == 200
    assert told(events) == [("deploy", "canvas", "ok")]
    with recorded() as events:
        assert request(app, "POST", "/v1/canvas")[0] == 200
    assert events == []


def test_everything_is_given_back(write: Write) -> None:
    """Endpoints look like those that they wrap; afterwards routes and FastAPI's classes are what they were."""
    write(shelf_api=API)
    api = load("shelf_api")
    routes = [route for route in (*api.app.routes, *api.router.routes) if hasattr(route, "dependant")]
    kept = [(route.endpoint, route.dependant.call) for route in routes]
    before = dict(vars(APIRouter))
    with in_force("fastapi", "shelf_api:app"):
        changed = [route.endpoint for route in routes]
        names = {a.__name__ for a, b in zip(changed, kept, strict=True) if a is not b[0]}
        # A route that a router got after it was included: older versions of FastAPI have copied the router by then.
        names.discard("pull")
        assert names == {"create_skill", "delete_skill", "lookup_skills", "run_it", "export", "update_shelf"}
        assert [(f.__name__, f.__doc__, inspect.signature(f), inspect.iscoroutinefunction(f)) for f in changed] == [
            (f.__name__, f.__doc__, inspect.signature(f), inspect.iscoroutinefunction(f)) for f, _call in kept
        ]
    assert all(
        a is b
        for route, pair in zip(routes, kept, strict=True)
        for a, b in zip((route.endpoint, route.dependant.call), pair, strict=True)
    )
    assert dict(vars(APIRouter)) == before


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("plain_api:app", "no route of it is an operation; there are health."),
        ("plain_api:health", "health is no FastAPI application or router: it is a function"),
    ],
)
def test_what_does_not_fit_is_told(write: Write, caplog: pytest.LogCaptureFixture, function: str, message: str) -> None:
    """A target that can't be applied says why, in one warning, and the application answers."""
    write(plain_api="from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health(): return 1\n")
    with caplog.at_level(logging.WARNING, "usagetrace"), in_force("fastapi", function) as instrumentation:
        assert request(load("plain_api").app, "GET", "/health")[2] == b"1"
        (state,) = instrumentation.states()
    assert (state.state, message in state.message) == (FAILED, True), state.message
    assert len([record for record in caplog.records if record.name == "usagetrace"]) == 1

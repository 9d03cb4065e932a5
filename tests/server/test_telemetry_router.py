"""``usagetrace.server.telemetry_router``: what may be sent, what is answered, and what the store holds then."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

import usagetrace
from usagetrace import pipeline
from usagetrace.events import Event
from usagetrace.invocations import session
from usagetrace.server import telemetry_health, telemetry_router
from usagetrace.server.telemetry_router import MAX_BODY, MAX_DEPTH, router
from usagetrace.store.catchup import catch_up
from usagetrace.store.recorder import Recorder
from usagetrace.store.schema import LATEST
from usagetrace.store.store import Store
from usagetrace.track import runtime

ROOT = Path(__file__).resolve().parents[2]
LOG, HEALTH = "/api/telemetry/log", "/api/telemetry/health"
JSON = {"Content-Type": "application/json"}
MAIL = "bo@" + "example.org"
VISIT = {"event_type": "chapter_visit", "payload": {"user_id": "u", "chapter_id": "c1"}}
EVENTS: dict[str, Any] = {
    "chapter_visit": (VISIT["payload"], ("chapter", "c1", "ok", None), {"user_id": "u", "chapter_id": "c1"}),
    "ai_block_used": (
        {"user_id": 7, "chapter_id": "c", "section_id": "s", "block_type": "quiz", "query": f"who is {MAIL}?"},
        ("ai_block", "quiz", "ok", None),
        {"user_id": 7, "chapter_id": "c", "section_id": "s", "block_type": "quiz", "query": "who is [redacted:email]?"},
    ),
    "error_event": (
        {"error_type": "ValueError", "error_message": "no", "chapter_id": "c"},
        ("chapter", "c", "error", "ValueError"),
        {"error_type": "ValueError", "error_message": "no", "chapter_id": "c"},
    ),
    "a type of nobody's": ({"n": [1, {"k": None}]}, ("", "", "ok", None), {"n": [1, {"k": None}]}),
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for whoever drains, however busy the machine is."""
    monkeypatch.setattr(telemetry_health, "_BUDGET_S", 60.0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Configure a store, and return its file."""
    path = tmp_path / "a.db"
    usagetrace.configure(service_name="book", db_path=path)
    return path


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Serve the router."""
    app = FastAPI()
    app.include_router(router)
    with TestClient(app) as found:
        yield found


def rows(database: Path) -> list[dict[str, Any]]:
    """Return the events of a store, as far as there is one."""
    if catch_up(database, budget=60) is None:
        return []
    with closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM events ORDER BY id")]


@pytest.mark.parametrize("event_type", EVENTS)
def test_what_is_sent_is_recorded_as_the_logger_records_it(client: TestClient, database: Path, event_type: str) -> None:
    """About its artifact, redacted, at the time that the answer says."""
    payload, about, metadata = EVENTS[event_type]
    answer = client.post(LOG, json={"event_type": event_type, "payload": payload})
    said = answer.json()
    assert (answer.status_code, said["recorded"], said["event_type"]) == (200, True, event_type)
    (row,) = rows(database)
    assert (row["event_type"], *(row[name] for name in ("artifact_type", "artifact_name", "status", "error_type"))) == (
        event_type,
        *about,
    )
    assert json.loads(row["metadata"]) == metadata
    since = datetime.fromisoformat(said["timestamp"].replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert row["ts_ms"] == since // timedelta(milliseconds=1)


@pytest.mark.parametrize("sent", [{"event_type": "nobody's"}, {"event_type": "chapter_visit", "payload": {"k": 1}}])
def test_what_does_not_fit_is_refused_where_the_settings_say_so(
    client: TestClient, tmp_path: Path, sent: dict[str, Any]
) -> None:
    """The answer says that it was not recorded; without that setting it is."""
    found = []
    for strict in (True, False):
        path = tmp_path / f"{strict}.db"
        usagetrace.configure(service_name="book", db_path=path, event_strict=strict)
        found.append((client.post(LOG, json=sent).json()["recorded"], len(rows(path))))
    assert found == [(False, 0), (True, 1)]


def nested(levels: int) -> bytes:
    """Return a body of so many levels, those of the body and of the payload among them."""
    return b'{"event_type": "e", "payload": {"k": ' + b"[" * (levels - 2) + b"]" * (levels - 2) + b"}}"


def long_body(size: int) -> bytes:
    """Return a body of a size."""
    return b'{"event_type": "e"}'.ljust(size)


REFUSED: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "no JSON": (422, b"planted", JSON),
    "nothing": (422, b"", JSON),
    "cut short": (422, b'{"event_type": "planted"', JSON),
    "no UTF-8": (422, b'{"event_type": "planted\xff"}', JSON),
    "no character": (422, b'{"event_type": "planted\\ud800"}', JSON),
    "no number": (422, b'{"event_type": "planted", "payload": {"k": NaN}}', JSON),
    "endless digits": (422, b'{"event_type": "planted", "payload": {"k": ' + b"7" * 9999 + b"}}", JSON),
    "a list": (422, b'["planted"]', JSON),
    "no type": (422, b'{"payload": {"planted": 1}}', JSON),
    "a type that is empty": (422, b'{"event_type": ""}', JSON),
    "a type that is too long": (422, b'{"event_type": "' + b"planted" * 80 + b'"}', JSON),
    "a type that is a number": (422, b'{"event_type": 7654321}', JSON),
    "a payload that is a text": (422, b'{"event_type": "e", "payload": "planted"}', JSON),
    "a further key": (422, b'{"event_type": "e", "planted": 1}', JSON),
    "too deep": (422, nested(MAX_DEPTH + 1), JSON),
    "too deep for a parser": (422, b"[" * MAX_BODY, JSON),
    "too long": (413, long_body(MAX_BODY + 1), JSON),
    "said to be too long": (413, b"{}", {**JSON, "Content-Length": "9" * 30}),
    "a form": (415, b"event_type=planted", {"Content-Type": "application/x-www-form-urlencoded"}),
    "a text": (415, b'{"event_type": "planted"}', {"Content-Type": "text/plain"}),
    "nothing said": (415, b'{"event_type": "planted"}', {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_taken(client: TestClient, database: Path, case: str) -> None:
    """The status says why; nothing that was sent is in the answer, and nothing in the store."""
    status, body, headers = REFUSED[case]
    answer = client.post(LOG, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert not any(word in answer.text for word in ("planted", "7654321"))
    assert rows(database) == []


@pytest.mark.parametrize("body", [nested(MAX_DEPTH), long_body(MAX_BODY)], ids=["deep", "long"])
def test_as_much_as_may_be_is_taken(client: TestClient, database: Path, body: bytes) -> None:
    """The bounds themselves are within; with or without a length that is said beforehand."""
    answers = [client.post(LOG, content=content, headers=JSON) for content in (body, iter([body[:9], body[9:]]))]
    assert [answer.json().get("recorded") for answer in answers] == [True, True]
    assert len(rows(database)) == 2


def test_a_long_body_without_a_length_is_read_up_to_the_bound(client: TestClient, database: Path) -> None:
    """It is refused all the same."""
    parts = iter([b" " * MAX_BODY, b" "])
    assert client.post(LOG, content=parts, headers=JSON).status_code == 413


def test_faults_name_the_place(client: TestClient, database: Path) -> None:
    """In the form of FastAPI, all of them at once, without what was sent."""
    answer = client.post(LOG, json={"event_type": 3, "payload": [], "more": 1})
    found = [(fault["type"], fault["loc"], sorted(fault)) for fault in answer.json()["detail"]]
    keys = ["loc", "msg", "type"]
    assert found == [
        ("string_type", ["body", "event_type"], keys),
        ("dict_type", ["body", "payload"], keys),
        ("extra_forbidden", ["body"], keys),
    ]


@pytest.mark.parametrize(("first", "status"), [("http.disconnect", 400), (None, 408)])
async def test_a_body_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch, database: Path, first: str | None, status: int
) -> None:
    """Whoever goes away, or sends nothing for too long, is not waited for; nothing is raised into the application."""
    if first is None:
        monkeypatch.setattr(telemetry_router, "BODY_S", 0.01)
    app = FastAPI()
    app.include_router(router)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if first is None:
            await asyncio.Event().wait()
        return {"type": first}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": LOG, "headers": headers, "query_string": b"", "root_path": ""}
    await app(scope, receive, send)
    assert sent[0]["status"] == status


async def test_the_event_loop_waits_for_no_lock(database: Path) -> None:
    """While another thread holds the spool, other endpoints answer; the event is recorded when it may be."""
    app = FastAPI()
    app.include_router(router)
    assert runtime.current().active
    recorder = pipeline.active().recorder  # type: ignore[union-attr]  # it was configured
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        with recorder._spool._lock:  # type: ignore[union-attr]  # as above
            logging = asyncio.create_task(client.post(LOG, json=VISIT))
            other = await client.get("/openapi.json")
            assert (other.status_code, logging.done()) == (200, False)
        assert (await logging).json()["recorded"] is True
    assert len(rows(database)) == 1


async def test_many_at_once_are_all_recorded(database: Path) -> None:
    """More than there are threads for; no answer is another one's."""
    app = FastAPI()
    app.include_router(router)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://here") as client:
        sent = [{"event_type": f"type-{n}", "payload": {"n": n}} for n in range(40)]
        answers = await asyncio.gather(*(client.post(LOG, json=body) for body in sent))
    assert [answer.json()["event_type"] for answer in answers] == [body["event_type"] for body in sent]
    found = {row["event_type"]: json.loads(row["metadata"])["n"] for row in rows(database)}
    assert found == {f"type-{n}": n for n in range(40)}


def test_too_many_that_wait_are_told_to_come_again(
    client: TestClient, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a lock which is never given back costs no more memory than so many."""
    monkeypatch.setattr(telemetry_router, "MAX_WAITING", 0)
    answer = client.post(LOG, json=VISIT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_no_is_heeded(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints answer; nothing is recorded, and no file is made or opened."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    usagetrace.configure(service_name="book", db_path=tmp_path / "a.db")
    before = sorted(tmp_path.rglob("*"))
    assert client.post(LOG, json=VISIT).json()["recorded"] is False
    assert client.get(HEALTH).json() == {
        "status": "off", "events_logged": None, "events_waiting": 0, "events_lost": 0, "reasons": [],
    }  # fmt: skip
    assert client.post(LOG, content=b"{", headers=JSON).status_code == 422
    assert sorted(tmp_path.rglob("*")) == before


def health(client: TestClient) -> tuple[Any, ...]:
    """Return what the route of health says, in the order of its fields."""
    answer = client.get(HEALTH)
    assert answer.status_code == 200
    return tuple(answer.json().values())


def test_events_are_counted_over_all_workers(client: TestClient, database: Path) -> None:
    """Also those that only lie in a spool yet, of this process or another; without any, there is no store to make."""
    assert health(client) == ("healthy", 0, 0, 0, [])
    assert not database.exists()
    client.post(LOG, json=VISIT)
    other = Recorder(database)
    assert other.submit([Event("deploy", "a", "skill", 1)])
    client.post(LOG, json=VISIT)
    assert health(client) == ("healthy", 3, 0, 0, [])
    other.close(60)


def test_what_sampling_took_away_was_logged(client: TestClient, tmp_path: Path) -> None:
    """It is counted, though no event of it is kept."""
    usagetrace.configure(db_path=tmp_path / "a.db", sampling={"chapter_visit": {"rate": 0, "minimum": 0}})
    for _ in range(3):
        client.post(LOG, json=VISIT)
    assert health(client) == ("healthy", 3, 0, 0, [])
    assert rows(tmp_path / "a.db") == []


def test_what_is_not_stored_is_not_counted(client: TestClient) -> None:
    """Without a local store there is nothing to count in; that is no fault."""
    usagetrace.configure(local=False, otlp_endpoint="http://127.0.0.1:9", otlp_delivery="direct", exit_timeout=0.01)
    assert health(client) == ("healthy", None, 0, 0, [])


def newer(path: Path) -> None:
    """Make a store of a version that is not known yet."""
    store = Store(path)
    store.write([Event("deploy", "a", "skill", 1)])
    store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO schema_migrations VALUES (?, '', '', '')", (LATEST + 1,))


@pytest.mark.parametrize("spoil", [Path.mkdir, newer], ids=["a folder", "a newer store"])
def test_a_store_that_cannot_be_read_degrades(client: TestClient, database: Path, spoil: Any) -> None:
    """The answer is none of a fault, and names no file; events are recorded all the same, and wait in the spool."""
    spoil(database)
    assert health(client) == ("degraded", None, 0, 0, [telemetry_health.UNREADABLE])
    assert client.post(LOG, json=VISIT).json()["recorded"] is True
    assert health(client) == ("degraded", None, 0, 0, [telemetry_health.SPOOLED, telemetry_health.UNREADABLE])


def test_what_waits_in_memory_degrades(client: TestClient, database: Path) -> None:
    """Where neither the spool nor the store can be written, events are kept, and counted as waiting."""
    database.mkdir()
    database.with_name("a.db.spool").write_text("no folder")
    assert client.post(LOG, json=VISIT).json()["recorded"] is True
    status, logged, waiting, lost, reasons = health(client)
    assert (status, logged, waiting, lost) == ("degraded", None, 1, 0)
    assert telemetry_health.IN_MEMORY in reasons
    usagetrace.shutdown(0)


def test_what_is_lost_degrades_and_is_counted_once(client: TestClient, database: Path) -> None:
    """Before the store was told of it, and afterwards."""
    client.post(LOG, json=VISIT)
    recorder = pipeline.active().recorder  # type: ignore[union-attr]  # the request has started it
    recorder._spool.count_lost(3)  # type: ignore[union-attr]  # as above
    expected = ("degraded", 1, 0, 3, [telemetry_health.LOST])
    assert health(client) == expected
    client.post(LOG, json=VISIT)
    assert health(client) == ("degraded", 2, *expected[2:])
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT SUM(lost) FROM spool_positions").fetchone() == (3,)


def test_the_application_says_which_session_it_is(database: Path) -> None:
    """By a dependency of its own; the router takes nobody's word for it."""

    async def signed_in() -> AsyncIterator[None]:
        with session("s-1"):
            yield

    app = FastAPI()
    app.include_router(router, dependencies=[Depends(signed_in)])
    with TestClient(app) as client:
        client.post(LOG, json=VISIT)
    assert [row["session_id"] for row in rows(database)] == ["s-1"]


def test_without_fastapi_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in no extra."""
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "usagetrace.server.telemetry_router")
    with pytest.raises(ImportError, match="pip install fastapi"):
        __import__("usagetrace.server.telemetry_router")


def test_every_answer_is_documented(client: TestClient) -> None:
    """In the schema that the application offers, and on the page."""
    paths = client.get("/openapi.json").json()["paths"]
    statuses = set(paths[LOG]["post"]["responses"])
    assert statuses == {"200", "400", "408", "413", "415", "422", "503"}
    assert set(paths[HEALTH]["get"]["responses"]) == {"200"}
    page = (ROOT / "docs/how-to/record-events.md").read_text("utf-8")
    assert {status for status in statuses if f"| {status} |" in page} == statuses

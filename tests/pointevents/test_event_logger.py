"""``usagetrace.event_logger``: an application's event logger, its three types, and what becomes of what is private."""

from __future__ import annotations

import json
import logging
import sqlite3
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import usagetrace
from usagetrace.event_logger import AnalyticsEvent, EventLogger, event_logger
from usagetrace.events import Event
from usagetrace.payloads import ChapterVisit
from usagetrace.store.catchup import catch_up
from usagetrace.testing import capture_events

MAIL = "bo@" + "example.org"
# The calls of the plan that these names come from, as it has them.
CALLS = {
    "ai_block_used": """
        from app.analytics.event_logger import event_logger

        # In each AI block endpoint:
        event_logger.log("ai_block_used", {
            "user_id": "user_123",  # Placeholder
            "chapter_id": chapter_id,
            "section_id": section_id,
            "block_type": "ask-question",
            "query": request.question
        })
    """,
    "chapter_visit": """
        from app.analytics.event_logger import event_logger

        # TODO: Add chapter visit tracking
        event_logger.log("chapter_visit", {
            "user_id": "user_123",  # Placeholder
            "chapter_id": chapter_id
        })
    """,
    "error_event": """
        from app.analytics.event_logger import event_logger

        # TODO: Add error event tracking
        event_logger.log("error_event", {
            "error_type": "ValueError",
            "error_message": str(e),
            "chapter_id": chapter_id
        })
    """,
}
EXPECTED: dict[str, Any] = {
    "ai_block_used": {
        "artifact": ("ai_block", "ask-question"), "category": "usage", "status": "ok", "error_type": None,
        "metadata": {"user_id": "user_123", "chapter_id": "c1", "section_id": "s2", "block_type": "ask-question",
                     "query": "what does [redacted:email] mean?"},
    },
    "chapter_visit": {
        "artifact": ("chapter", "c1"), "category": "usage", "status": "ok", "error_type": None,
        "metadata": {"user_id": "user_123", "chapter_id": "c1"},
    },
    "error_event": {
        "artifact": ("chapter", "c1"), "category": "error", "status": "error", "error_type": "ValueError",
        "metadata": {"error_type": "ValueError", "error_message": "no page for [redacted:email]", "chapter_id": "c1"},
    },
}  # fmt: skip


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Catch what is recorded."""
    with capture_events() as caught:
        yield caught


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """Return the warnings so far, as texts."""
    caplog.set_level(logging.WARNING, "usagetrace")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("event_type", CALLS)
def test_the_calls_of_the_plan(events: list[Event], said: Any, event_type: str) -> None:
    """They run as they are, but for the import; each is an event about its artifact, checked and redacted."""
    source = textwrap.dedent(CALLS[event_type]).replace("app.analytics.event_logger", "usagetrace.event_logger")
    around = {
        "chapter_id": "c1",
        "section_id": "s2",
        "request": SimpleNamespace(question=f"what does {MAIL} mean?"),
        "e": ValueError(f"no page for {MAIL}"),
    }
    exec(source, around)
    (event,) = events
    found = {
        "artifact": (event.artifact_type, event.artifact_name), "category": event.category, "status": event.status,
        "error_type": event.error_type, "metadata": event.metadata,
    }  # fmt: skip
    assert (event.event_type, found) == (event_type, EXPECTED[event_type])
    assert said() == []


def test_a_payload_that_does_not_fit_is_told(events: list[Event], said: Any) -> None:
    """By type and field; the event is there all the same."""
    event_logger.log("chapter_visit", {"chapter_id": ["planted"]})
    assert len(events) == 1
    assert {text.partition("chapter_visit: ")[2].partition(":")[0] for text in said()} == {"user_id", "chapter_id"}
    assert not any("planted" in text for text in said())


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [(None, None), ([], {}), ("", {}), ("deploy", object()), (3, 3), ("chapter_visit", None), ("ai_block_used", [])],
)
def test_it_never_raises(events: list[Event], event_type: Any, payload: Any) -> None:
    """Whatever it is given, and it returns nothing."""
    assert EventLogger().log(event_type, payload) is None  # type: ignore[func-returns-value]


def test_what_is_no_event_type_is_told(events: list[Event], said: Any) -> None:
    """Also what can't be looked up in a table: one warning says what it is, and nothing is recorded."""
    EventLogger().log([], {})  # type: ignore[arg-type]  # what it is about
    assert events == []
    (warning,) = said()
    assert "got list" in warning


def test_an_event_made_before_has_its_time(events: list[Event]) -> None:
    """``AnalyticsEvent`` says type, payload and time, the present by default; payload objects do as well."""
    moment = datetime.now(timezone.utc) - timedelta(hours=3)
    event_logger.log_event(AnalyticsEvent("chapter_visit", ChapterVisit("u", "c"), moment))
    event_logger.log_event(AnalyticsEvent("chapter_visit", {"user_id": "u", "chapter_id": "c"}))
    early, late = events
    assert early.ts_ms == int(moment.timestamp() * 1000)
    assert early._replace(ts_ms=0, span_id=None, trace_id=None) == late._replace(ts_ms=0, span_id=None, trace_id=None)
    assert late.ts_ms >= early.ts_ms + 3 * 3_600_000


def stored(path: Path) -> list[dict[str, Any]]:
    """Return the metadata of all events of a store."""
    assert catch_up(path) is not None
    with closing(sqlite3.connect(path)) as connection:
        return [json.loads(row[0]) for row in connection.execute("SELECT metadata FROM events ORDER BY id")]


def test_threads_share_one(tmp_path: Path) -> None:
    """What any number of threads log at once is all there."""
    path = tmp_path / "a.db"
    usagetrace.configure(service_name="book", db_path=path)
    begin = threading.Barrier(4)

    def visit(number: int) -> None:
        begin.wait()
        for page in range(60):
            event_logger.log("chapter_visit", {"user_id": f"u{number}", "chapter_id": f"c{page}"})

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usagetrace.shutdown()
    found = {(each["user_id"], each["chapter_id"]) for each in stored(path)}
    assert found == {(f"u{number}", f"c{page}") for number in range(4) for page in range(60)}


def test_who_it_was_can_be_hashed_and_what_was_asked_left_out(tmp_path: Path) -> None:
    """By default an id that an application made up stays, and what reads as private in a query does not; the policy
    says otherwise: the same person has the same hash, and the query is nowhere."""
    path = tmp_path / "a.db"
    usagetrace.configure(service_name="book", db_path=path, redaction={"keys": {"user_id": "hash", "query": "drop"}})
    for user in ("user_123", "user_123", "user_7"):
        block = {"user_id": user, "chapter_id": "c", "section_id": None, "block_type": "quiz", "query": "planted"}
        event_logger.log("ai_block_used", block)
    usagetrace.shutdown()
    found = stored(path)
    assert ["query" in each for each in found] == [False] * 3
    one, again, other = (each["user_id"] for each in found)
    assert one == again != other
    assert one.startswith("~h:")

"""The example with a web application: every endpoint is asked, and the store holds what was done."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.ports import free_port
from tests.support.process import clean_environment
from usagetrace.store.catchup import catch_up

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "telemetry-api"
READER = {"X-User-Id": "user_123"}
SECTION = {"chapter_id": "intro", "section_id": "first-steps"}
SHORT = "Each page of it has one owner."
# Block -> what is asked, what is answered.
BLOCKS: dict[str, tuple[str, dict[str, str]]] = {
    "ask-question": ("who is the owner of a page?", {"answer": SHORT}),
    "explain-like-10": ("", {"explanation": SHORT}),
    "quiz": ("", {"question": "A _____ keeps what a team wrote down.", "answer": "shelf"}),
    "diagram": ("", {"diagram": "graph TD\n    intro --> first-steps\n    intro --> words"}),
}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Serve the example, with a database of this test."""
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("app", "book"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)
    import app

    with TestClient(app.create_app(tmp_path / "a.db"), raise_server_exceptions=False) as found:
        yield found
    for name in ("app", "book"):
        del sys.modules[name]


def stored(folder: Path) -> list[tuple[Any, ...]]:
    """Return the events of the store, with their metadata."""
    assert catch_up(folder / "a.db", budget=60) is not None
    sql = "SELECT event_type, artifact_type, artifact_name, status, error_type, metadata FROM events ORDER BY id"
    with closing(sqlite3.connect(folder / "a.db")) as db:
        return [(*row[:-1], json.loads(row[-1])) for row in db.execute(sql)]


def hashed(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata without the reader, who must not be known from it."""
    assert metadata["user_id"].startswith("~h:")
    return {key: value for key, value in metadata.items() if key != "user_id"}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_answers_and_is_logged(client: TestClient, tmp_path: Path, block: str) -> None:
    """Each of the four."""
    question, expected = BLOCKS[block]
    answer = client.post(f"/api/ai/{block}", json={**SECTION, "question": question}, headers=READER)
    assert (answer.status_code, answer.json()) == (200, expected)
    ((*about, metadata),) = stored(tmp_path)
    assert about == ["ai_block_used", "ai_block", block, "ok", None]
    assert hashed(metadata) == {**SECTION, "block_type": block, "query": question}


def test_a_visit_is_logged(client: TestClient, tmp_path: Path) -> None:
    """With the chapter; the same reader is the same hash in each event."""
    answer = client.get("/api/chapters/intro", headers=READER)
    assert (answer.status_code, sorted(answer.json()["sections"])) == (200, ["first-steps", "words"])
    client.get("/api/chapters/care", headers=READER)
    found = stored(tmp_path)
    assert [(row[:4], hashed(row[5])) for row in found] == [
        (("chapter_visit", "chapter", name, "ok"), {"chapter_id": name}) for name in ("intro", "care")
    ]
    assert found[0][5]["user_id"] == found[1][5]["user_id"]


def test_what_fails_is_logged_by_the_global_handler(client: TestClient, tmp_path: Path) -> None:
    """With what the request was about; the answer says nothing of it."""
    answer = client.post("/api/ai/quiz", json={"chapter_id": "care", "section_id": "thanks"}, headers=READER)
    assert (answer.status_code, answer.json()) == (500, {"detail": "something failed here; it was logged"})
    used, failed = stored(tmp_path)
    assert used[:3] == ("ai_block_used", "ai_block", "quiz")
    assert failed == (
        "error_event", "chapter", "care", "error", "ValueError",
        {"error_type": "ValueError", "error_message": "no word to ask for in care/thanks", "chapter_id": "care",
         "section_id": "thanks"},
    )  # fmt: skip


def test_what_is_not_there_is_no_event(client: TestClient, tmp_path: Path) -> None:
    """Neither a use nor an error of the application."""
    asked = {"chapter_id": "intro", "section_id": "nowhere"}
    found = [client.get("/api/chapters/nowhere"), *(client.post(f"/api/ai/{b}", json=asked) for b in BLOCKS)]
    assert {answer.status_code for answer in found} == {404}
    assert catch_up(tmp_path / "a.db", budget=60) is None


def test_browsers_send_events_themselves(client: TestClient, tmp_path: Path) -> None:
    """The router of the package is one of the application."""
    sent = {"event_type": "chapter_visit", "payload": {"user_id": "user_123", "chapter_id": "care"}}
    assert client.post("/api/telemetry/log", json=sent).json()["recorded"] is True
    client.get("/api/chapters/care", headers=READER)
    said = client.get("/api/telemetry/health").json()
    assert (said["status"], said["events_logged"]) == ("healthy", 2)
    first, second = stored(tmp_path)
    assert first == second


@pytest.mark.e2e
def test_it_runs_as_its_page_says(tmp_path: Path) -> None:
    """As a process, over a port; the database stays in the folder, whole when the process was told to end."""
    port = free_port()
    command = [sys.executable, FOLDER / "app.py", tmp_path, str(port)]
    env = {**clean_environment(tmp_path / "home"), "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/chapters/intro") as answer:
                        assert answer.status == 200
                    break
                except urllib.error.URLError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
        finally:
            server.terminate()
    assert catch_up(tmp_path / "analytics.db", budget=60) is not None
    with closing(sqlite3.connect(tmp_path / "analytics.db")) as db:
        assert db.execute("SELECT event_type, artifact_name FROM events").fetchall() == [("chapter_visit", "intro")]

"""Shared parts of the store's tests: files of schema version 1, other processes, events."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from tests.support.recording import MakeRecorder, eventually, our_threads
from usagetrace.events import Event
from usagetrace.guard import forget_warnings
from usagetrace.store import Recorder, background
from usagetrace.store import recorder as recorder_module

V1_SQL = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    collection_name TEXT,
    project_path TEXT,
    timestamp DATETIME DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT
);
CREATE INDEX idx_event_type ON events(event_type);
CREATE INDEX idx_artifact_name ON events(artifact_name);
CREATE INDEX idx_timestamp ON events(timestamp);
CREATE INDEX idx_collection ON events(collection_name);
CREATE INDEX idx_artifact_type_name ON events(artifact_type, artifact_name);
CREATE TABLE usage_summary (
    artifact_name TEXT PRIMARY KEY,
    artifact_type TEXT NOT NULL,
    first_used DATETIME,
    last_used DATETIME,
    deploy_count INTEGER DEFAULT 0,
    update_count INTEGER DEFAULT 0,
    sync_count INTEGER DEFAULT 0,
    remove_count INTEGER DEFAULT 0,
    search_count INTEGER DEFAULT 0,
    total_events INTEGER DEFAULT 0
);
CREATE INDEX idx_last_used ON usage_summary(last_used);
CREATE INDEX idx_total_events ON usage_summary(total_events);
CREATE INDEX idx_usage_artifact_type ON usage_summary(artifact_type);
CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at DATETIME DEFAULT CURRENT_TIMESTAMP);
INSERT INTO migrations (version) VALUES (1);
"""


@pytest.fixture(autouse=True)
def _each_warning_anew() -> Iterator[None]:
    forget_warnings()
    yield
    forget_warnings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database lies; nothing is there yet."""
    return tmp_path / "store" / "analytics.db"


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Return a function that makes an event out of the fields that matter to a test."""

    def make(event_type: str = "deploy", name: str = "canvas", kind: str = "skill", **fields: Any) -> Event:
        return Event(event_type, name, kind, fields.pop("ts_ms", 1_700_000_000_000), **fields)

    return make


@pytest.fixture
def sql() -> Callable[..., list[tuple[Any, ...]]]:
    """Return a function that runs one statement on a connection of its own, as another tool would."""

    def run(path: Path, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    return run


@pytest.fixture
def v1(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a database of version 1, with events and what its tool would have counted."""

    def make(
        events: Sequence[tuple[str, str, str, object, str | None]] = (),
        summary: Sequence[tuple[Any, ...]] = (),
    ) -> Path:
        path = tmp_path / "v1.db"
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(V1_SQL)
            connection.executemany(
                "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) "
                "VALUES (?, ?, ?, ?, ?)",
                events,
            )
            connection.executemany(f"INSERT INTO usage_summary VALUES ({', '.join('?' * 10)})", summary)
        return path

    return make


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts another Python process, with pipes for its input and output."""
    started: list[subprocess.Popen[str]] = []
    source = Path(usagetrace.__file__).parents[1]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(source)}

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield start  # type: ignore[misc]  # a generator fixture is typed by what it yields
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
connection.close()
print("released", flush=True)
"""


@pytest.fixture
def locked(
    python: Callable[..., subprocess.Popen[str]],
) -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """Return a context manager inside which another process holds a database's lock."""

    @contextlib.contextmanager
    def hold(path: Path) -> Iterator[None]:
        process = python(HOLD_LOCK, path)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "released\n"

    return hold


@pytest.fixture
def recorder() -> Iterator[MakeRecorder]:
    """Return a function that makes a recorder that tries again at once; it is closed after the test."""
    made: list[Recorder] = []

    def make(path: Path, **settings: Any) -> Recorder:
        settings.setdefault("jitter", lambda longest: min(longest, 0.02))
        # The events of these tests are old.
        settings.setdefault("retention_days", 0)
        made.append(Recorder(path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close(0.5)
    assert eventually(lambda: not our_threads())


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process be old enough for the thread, which looks often and ends soon."""
    monkeypatch.setattr(recorder_module, "_YOUNG", 0.0)
    monkeypatch.setattr(background, "_INTERVAL", 0.01)
    monkeypatch.setattr(background, "_IDLE", 0.1)

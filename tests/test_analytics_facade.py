"""Tools written against AnalyticsManager and AnalyticsDB run as they are."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

import usagetrace
from usagetrace.analytics import AnalyticsDB, AnalyticsManager
from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import METADATA_LIMIT, NAME_LIMIT, Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store.schema import LATEST

SECRET = "hunter2-not-so-secret"
NO = {
    "DO_NOT_TRACK": "1",
    "USAGETRACE_DISABLED": "true",
    "OTEL_SDK_DISABLED": "true",
    "USAGETRACE_ENABLED": "false",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own, and no opinion of the user's."""
    for name in (*NO, "XDG_CONFIG_HOME", "XDG_DATA_HOME", "USAGETRACE_DB_PATH"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database lies; nothing is there yet."""
    return tmp_path / "data" / "analytics.db"


@pytest.fixture
def db(path: Path) -> Iterator[AnalyticsDB]:
    """An open database."""
    with AnalyticsDB(db_path=path) as db:
        yield db


@pytest.fixture
def config(path: Path) -> Any:
    """A tool's own configuration that says yes."""
    return SimpleNamespace(
        is_analytics_enabled=lambda: True,
        get_analytics_retention_days=lambda: 90,
        get_analytics_db_path=lambda: path,
    )


def stored(path: Path) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]


# --- AnalyticsDB -------------------------------------------------------------------------------------------


def test_opens_at_once(db: AnalyticsDB, path: Path) -> None:
    """Making one opens the file, and rows of its connection are read by name."""
    assert path.exists()
    assert db.db_path == path
    assert db.connection is not None
    row = db.connection.execute("SELECT COUNT(*) AS count FROM events").fetchone()
    assert row["count"] == 0


def test_default_path(home: Path) -> None:
    """Without a path the settings' own file is used."""
    with AnalyticsDB() as db:
        assert db.db_path.is_relative_to(home)
        assert db.db_path.exists()


def test_ids_and_rows(db: AnalyticsDB) -> None:
    """Recording returns the new id; events come back as dicts, newest first, metadata as JSON text."""
    first = db.record_event("deploy", "canvas", "skill", "default", metadata={"version": "v1.0.0", "success": True})
    second = db.record_event(event_type="search", artifact_name="review", artifact_type="command")
    assert (first, second) == (1, 2)
    rows = db.get_events()
    assert [row["id"] for row in rows] == [2, 1]
    assert type(rows[0]) is dict
    assert json.loads(rows[1]["metadata"]) == {"version": "v1.0.0", "success": True}
    assert rows[0]["metadata"] is None
    assert rows[1]["collection_name"] == "default"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("explode", "a", "skill"), "Invalid event_type"), (("deploy", "a", "thing"), "Invalid artifact_type")],
)
def test_strict(path: Path, arguments: tuple[str, str, str], words: str) -> None:
    """With strict, other types are refused with the accepted ones; without, any type is accepted."""
    with AnalyticsDB(path, strict=True) as db:
        with pytest.raises(ValueError, match=words) as caught:
            db.record_event(*arguments)
        assert "deploy" in str(caught.value) or "skill" in str(caught.value)
        assert db.get_stats()["total_events"] == 0
    with AnalyticsDB(path) as db:
        assert db.record_event(*arguments) == 1


def test_strict_with_own_types(path: Path) -> None:
    """What strict accepts can be given."""
    with AnalyticsDB(path, strict=True, valid_event_types={"bake"}, valid_artifact_types=("bread",)) as db:
        assert db.record_event("bake", "rye", "bread") == 1
        with pytest.raises(ValueError, match="expected one of bread"):
            db.record_event("bake", "rye", "skill")


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"event_type": "sync"}, ["b"]),
        ({"artifact_name": "c"}, ["c"]),
        ({"artifact_type": "agent"}, ["c"]),
        ({"collection_name": "team"}, ["d"]),
        ({"limit": 2}, ["d", "c"]),
        ({"limit": 2, "offset": 1}, ["c", "b"]),
        ({"event_type": "deploy", "artifact_type": "skill"}, ["d", "a"]),
    ],
)
def test_get_events(db: AnalyticsDB, conditions: dict[str, Any], names: list[str]) -> None:
    """Events are narrowed by each condition, and paged."""
    db.record_event("deploy", "a", "skill")
    db.record_event("sync", "b", "skill")
    db.record_event("deploy", "c", "agent")
    db.record_event("deploy", "d", "skill", "team")
    assert [row["artifact_name"] for row in db.get_events(**conditions)] == names


def test_summary_and_top(db: AnalyticsDB) -> None:
    """The summary counts by type; a skill and a command of one name are two; the top goes by total."""
    for event_type in ("deploy", "update", "sync", "remove", "search", "deploy"):
        db.record_event(event_type, "canvas", "skill")
    db.record_event("deploy", "canvas", "command")
    (row,) = db.get_usage_summary(artifact_name="canvas", artifact_type="skill")
    counts = [row[f"{kind}_count"] for kind in ("deploy", "update", "sync", "remove", "search")]
    assert (counts, row["total_events"]) == ([2, 1, 1, 1, 1], 6)
    assert len(db.get_usage_summary(artifact_name="canvas")) == 2
    assert [row["artifact_type"] for row in db.get_top_artifacts()] == ["skill", "command"]
    assert [row["artifact_type"] for row in db.get_top_artifacts(artifact_type="command", limit=5)] == ["command"]
    assert len(db.get_top_artifacts(limit=1)) == 1


def test_own_sql_and_cleanup(db: AnalyticsDB) -> None:
    """A tool's own UPDATE with commit(), as its tests do, moves an event to the past, and cleanup removes it."""
    event = db.record_event("deploy", "old", "skill")
    db.record_event("deploy", "new", "skill")
    connection = db.connection
    assert connection is not None
    connection.execute("UPDATE events SET timestamp = datetime('now', '-100 days') WHERE id = ?", (event,))
    connection.commit()
    assert db.cleanup_old_events(days=0) == 0
    assert db.cleanup_old_events() == 1
    assert [row["artifact_name"] for row in db.get_events()] == ["new"]
    assert len(db.get_usage_summary()) == 2
    with pytest.raises(ValueError, match="non-negative"):
        db.cleanup_old_events(days=-1)


def test_own_sql_that_is_not_committed(db: AnalyticsDB, path: Path) -> None:
    """A statement left open is committed with the next event, or undone by rollback(): sqlite3's usual ways."""
    connection = db.connection
    assert connection is not None
    insert = "INSERT INTO events (event_type, artifact_name, artifact_type) VALUES ('deploy', ?, 'skill')"
    connection.execute(insert, ("undone",))
    assert connection.in_transaction
    connection.rollback()
    connection.execute(insert, ("left open",))
    db.record_event("deploy", "canvas", "skill")
    assert not connection.in_transaction
    assert [row["artifact_name"] for row in stored(path)] == ["left open", "canvas"]
    connection.execute(insert, ("again",))
    db.vacuum()
    assert db.get_stats()["total_events"] == 3


def test_stats(db: AnalyticsDB) -> None:
    """Statistics have the documented keys, and the schema's version."""
    db.record_event("deploy", "canvas", "skill")
    stats = db.get_stats()
    assert stats["total_events"] == stats["total_artifacts"] == 1
    assert stats["event_type_counts"] == {"deploy": 1}
    assert stats["artifact_type_counts"] == {"skill": 1}
    assert stats["oldest_event"] == stats["newest_event"] == db.get_events()[0]["timestamp"]
    assert stats["db_size_bytes"] > 0
    assert stats["schema_version"] == LATEST


def test_close(path: Path) -> None:
    """Closing twice is fine; afterwards there is no connection, and methods say so."""
    db = AnalyticsDB(path)
    db.close()
    db.close()
    assert db.connection is None
    for call in (db.get_stats, db.vacuum, lambda: db.record_event("deploy", "a", "skill")):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_context_manager_lets_errors_through(path: Path) -> None:
    """Leaving the context closes the database and hides no error."""
    with pytest.raises(KeyError), AnalyticsDB(path) as db:
        raise KeyError
    assert db.connection is None


def test_unusable_path(tmp_path: Path) -> None:
    """A path that can't be used raises an error with the path in it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"analytics\.db"):
        AnalyticsDB(tmp_path / "file" / "analytics.db")


def test_threads(db: AnalyticsDB) -> None:
    """Threads may share one database."""
    threads = [
        threading.Thread(target=lambda: [db.record_event("deploy", "canvas", "skill") for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.get_usage_summary("canvas")[0]["total_events"] == 100


# --- redaction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["db", "manager"])
def test_nothing_unredacted_on_disk(path: Path, config: Any, home: Path, door: str) -> None:
    """Paths and secrets in any field, at any depth, are on no page of the file or its journal."""
    project = home / "projects" / "my-app"
    metadata = {
        "password": SECRET,
        "path": str(project),
        "nested": {"list": [f"see {project}/x.py", {"api_key": SECRET}]},
        str(project): "as key",
        "query": "client/server patterns",
        "count": 3,
    }
    fields: dict[str, Any] = {
        "event_type": "sync",
        "artifact_name": f"{project}/canvas",
        "artifact_type": "skill",
        "collection_name": str(home),
        "project_path": str(project),
        "metadata": metadata,
    }
    before = json.dumps(metadata)
    with AnalyticsDB(path) if door == "db" else AnalyticsManager(config) as recorder:
        recorder.record_event(**fields)
        raw = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    (row,) = stored(path)
    assert row["project_path"] == "~/projects/my-app"
    assert row["artifact_name"] == "~/projects/my-app/canvas"
    assert row["collection_name"] == "~"
    kept = json.loads(row["metadata"])
    assert (kept["query"], kept["count"], kept["path"]) == ("client/server patterns", 3, "~/projects/my-app")
    assert SECRET.encode() not in raw
    assert str(home).encode() not in raw
    assert json.dumps(metadata) == before


def test_huge_values_are_bounded(db: AnalyticsDB) -> None:
    """A name or metadata of any size is stored, cut or left out with a mark."""
    db.record_event(
        "deploy", "n" * 10_000 + "\x00\ud800\n", "skill", metadata={f"k{n}": "v " * 3000 for n in range(40)}
    )
    (row,) = db.get_events()
    assert len(row["artifact_name"]) == NAME_LIMIT
    assert "cut" in row["artifact_name"]
    assert len(row["metadata"]) < METADATA_LIMIT + 5000
    assert json.loads(row["metadata"])["usagetrace_left_out"]


@pytest.mark.parametrize(
    ("metadata", "status"), [({"result": "error"}, "error"), ({"success": False}, "error"), ({}, "ok")]
)
def test_status(db: AnalyticsDB, metadata: dict[str, Any], status: str) -> None:
    """An event that tells of a failure is an error in reports."""
    db.record_event("sync", "canvas", "skill", metadata=metadata)
    assert db.get_events()[0]["status"] == status
    assert db.get_usage_summary()[0]["error_count"] == (status == "error")


# --- AnalyticsManager --------------------------------------------------------------------------------------

DOCUMENTED = {
    "sync": {"sync_type": "merge", "result": "conflict", "sha_before": "abc123", "sha_after": "def456",
             "conflicts_detected": 3, "error_message": "boom"},
    "update": {"strategy": "prompt", "version_before": "v1.0.0", "version_after": "v2.0.0", "conflicts_detected": 0,
               "user_choice": "proceed", "rollback": False},
    "deploy": {"version": "v1.0.0", "sha": "abc123", "success": True},
    "remove": {"reason": "user_action", "from_project": False},
    "search": {"query": "design patterns", "search_type": "both", "score": 8.5, "rank": 1, "total_results": 5},
}  # fmt: skip


@pytest.mark.parametrize("event_type", DOCUMENTED)
def test_documented_events(config: Any, path: Path, event_type: str) -> None:
    """Each of the five operations' events is recorded with all of its metadata."""
    with AnalyticsManager(config) as manager:
        assert manager.record_event(
            event_type=event_type,
            artifact_name="canvas",
            artifact_type="skill",
            collection_name="default",
            metadata=DOCUMENTED[event_type],
        )
    (row,) = stored(path)
    assert json.loads(row["metadata"]) == DOCUMENTED[event_type]
    assert (row["event_type"], row["collection_name"], row["project_path"]) == (event_type, "default", None)


def test_without_configuration(home: Path) -> None:
    """Without a configuration the settings of this package are used."""
    with AnalyticsManager() as manager:
        assert manager.record_event("deploy", "canvas", "skill") is True
        assert manager.db is not None
        assert manager.db.db_path.is_relative_to(home)


@pytest.mark.parametrize("answer", [False, None, "false", "no", 0, 1, "maybe", MagicMock()])
def test_disabled_touches_nothing(config: Any, path: Path, home: Path, answer: object) -> None:
    """Anything but a plain yes is a no: nothing is recorded, no file or directory is made."""
    config.is_analytics_enabled = lambda: answer
    with AnalyticsManager(config) as manager:
        assert manager.db is None
        assert manager.record_event("deploy", "canvas", "skill") is False
    assert not path.parent.exists()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", NO)
def test_the_users_no_wins(config: Any, path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A no of the user's beats a tool's yes, and the database works in memory alone."""
    monkeypatch.setenv(name, NO[name])
    for manager in (AnalyticsManager(config), AnalyticsManager()):
        with manager:
            assert manager.record_event("deploy", "canvas", "skill") is False
    with AnalyticsDB(path) as db:
        assert db.record_event("deploy", "canvas", "skill") == 1
    assert not path.parent.exists()
    assert list(home.iterdir()) == []


def test_a_users_file_that_says_no_wins(config: Any, path: Path, home: Path) -> None:
    """A no in the user's own settings file beats a tool's yes."""
    from usagetrace import places

    file = places.config_file({"HOME": str(home)})
    file.parent.mkdir(parents=True)
    file.write_text("[analytics]\nenabled = false\n")
    with AnalyticsManager(config) as manager:
        assert manager.record_event("deploy", "canvas", "skill") is False
    assert not path.parent.exists()


@pytest.mark.parametrize("broken", ["is_analytics_enabled", "get_analytics_retention_days", "get_analytics_db_path"])
def test_broken_configuration(config: Any, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """A configuration that fails means off, with a warning, and never an exception."""

    def fail() -> None:
        raise RuntimeError("no settings today")

    setattr(config, broken, fail)
    with AnalyticsManager(config) as manager:
        assert manager.record_event("deploy", "canvas", "skill") is False
    assert "no settings today" in caplog.text


def test_database_unavailable(config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database that can't be opened gives a warning and False, and the tool runs on."""
    (tmp_path / "file").write_text("")
    config.get_analytics_db_path = lambda: tmp_path / "file" / "analytics.db"
    with AnalyticsManager(config) as manager:
        assert manager.db is None
        assert manager.record_event("deploy", "canvas", "skill") is False
    assert "unavailable" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("disk on fire"), sqlite3.OperationalError("database is locked")])
def test_database_error(config: Any, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """An error of the database is False and a line at DEBUG that does not quote it."""
    caplog.set_level(logging.DEBUG, logger="usagetrace")
    with AnalyticsManager(config) as manager:
        assert manager.db is not None
        manager.db.record_event = MagicMock(side_effect=error)  # type: ignore[method-assign]  # as a tool's test would
        assert manager.record_event("deploy", "canvas", "skill") is False
    line = next(record for record in caplog.records if "was not recorded" in record.getMessage())
    assert line.levelno == logging.DEBUG
    assert str(error) not in line.getMessage()


@pytest.mark.parametrize("bad", [{"event_type": None}, {"metadata": 3}, {"artifact_name": object()}])
def test_odd_arguments_never_raise(config: Any, bad: dict[str, Any]) -> None:
    """Whatever a tool hands over, it gets a bool."""
    fields = {"event_type": "deploy", "artifact_name": "canvas", "artifact_type": "skill", **bad}
    with AnalyticsManager(config) as manager:
        assert manager.record_event(**fields) in (True, False)


HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let another process hold the lock of a database."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.communicate("\n", timeout=30)


@pytest.mark.parametrize("opened", ["before the lock", "under the lock"])
def test_locked_database_keeps_events(config: Any, path: Path, opened: str) -> None:
    """While another process holds the lock, events are accepted quickly and kept; afterwards they are stored."""
    make: Callable[[], AnalyticsManager] = lambda: AnalyticsManager(config)  # noqa: E731 -- called in two places
    if opened == "before the lock":
        manager = make()
        with locked(path):
            began = time.monotonic()
            answers = [manager.record_event("deploy", f"a{n}", "skill") for n in range(5)]
    else:
        path.parent.mkdir()
        with locked(path):
            manager = make()
            began = time.monotonic()
            answers = [manager.record_event("deploy", f"a{n}", "skill") for n in range(5)]
    assert answers == [True] * 5
    assert time.monotonic() - began < 10
    manager.close()
    assert sorted(row["artifact_name"] for row in stored(path)) == [f"a{n}" for n in range(5)]


def test_a_manager_for_each_event(config: Any, path: Path) -> None:
    """The documented pattern, a manager around each event, stores each event once."""
    for _ in range(3):
        with AnalyticsManager(config) as analytics:
            analytics.record_event("search", "canvas", "skill")
    assert len(stored(path)) == 3


def test_retention(config: Any, path: Path) -> None:
    """Closing removes events beyond the configured age, once a day."""
    with AnalyticsDB(path) as db:
        db.record_event("deploy", "old", "skill")
        assert db.connection is not None
        db.connection.execute("UPDATE events SET timestamp = datetime('now', '-31 days')")
        db.connection.commit()
    config.get_analytics_retention_days = lambda: 30
    with AnalyticsManager(config) as manager:
        manager.record_event("deploy", "new", "skill")
    assert [row["artifact_name"] for row in stored(path)] == ["new"]


def test_closed_manager(config: Any) -> None:
    """A closed manager answers False, and may be closed again."""
    manager = AnalyticsManager(config)
    manager.close()
    manager.close()
    assert manager.record_event("deploy", "canvas", "skill") is False


def test_context_does_not_swallow(config: Any) -> None:
    """An error inside the manager's context goes through."""
    with pytest.raises(KeyError), AnalyticsManager(config):
        raise KeyError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{home}/projects/my-app", "~/projects/my-app"),
        ("{home}", "~"),
        ("/opt/tools/my-app", "my-app"),
        ("my-app", "my-app"),
        ("", None),
        (None, None),
    ],
)
def test_redact_path(config: Any, home: Path, given: str | None, expected: str | None) -> None:
    """Home becomes ~, other directories go, names stay."""
    config.is_analytics_enabled = lambda: False
    manager = AnalyticsManager(config)
    assert manager._redact_path(given and given.format(home=home)) == expected


def test_redact_paths(config: Any, home: Path) -> None:
    """Nested metadata is redacted too, and the original stays as it was."""
    config.is_analytics_enabled = lambda: False
    metadata = {"path": f"{home}/a", "nested": {"path": "/etc/tool/conf"}, "n": 1, "query": "client/server"}
    manager = AnalyticsManager(config)
    assert manager._redact_paths(metadata) == {
        "path": "~/a",
        "nested": {"path": "conf"},
        "n": 1,
        "query": "client/server",
    }
    assert metadata["path"] == f"{home}/a"


def test_what_a_policy_leaves_out_is_null(config: Any, path: Path) -> None:
    """Neither the word None nor an empty text stands where a column can be empty; names that can't be stay marked."""
    usagetrace.configure(redaction={"mode": "drop", "keys": {"collection.name": "drop"}})
    mail = "bob" + "@" + "example.com"
    with AnalyticsManager(config) as manager:
        assert manager.record_event("deploy", mail, mail, "shelf", f"of {mail}", {"by": mail, mail: 1, "n": 2})
        assert manager._redact_path(f"of {mail}") is None
        assert manager._redact_path(None) is None
    with AnalyticsDB(path) as database:
        (row,) = database.get_events()
    assert (row["artifact_name"], row["collection_name"], row["project_path"]) == ("[redacted:email]", None, None)
    assert row["artifact_type"] in ("", "[redacted:email]")
    assert json.loads(row["metadata"]) == {"n": 2}


def test_redaction_that_fails(config: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be redacted is not stored: the path becomes a word, the event is dropped."""
    with AnalyticsManager(config) as manager:
        monkeypatch.setattr("usagetrace.analytics_event.redact", MagicMock(side_effect=RuntimeError))
        assert manager._redact_path("/home/x/y") == "redacted"
        assert manager.record_event("deploy", "canvas", "skill") is False
    assert stored(path) == []


# --- the spool ---------------------------------------------------------------------------------------------


def leave(path: Path, *names: str, ts_ms: int | None = None) -> None:
    """Leave events in the spool of a database, as tracked calls do."""
    spool = Spool(spool_directory(path))
    at = time.time_ns() // 1_000_000 if ts_ms is None else ts_ms
    assert spool.append([Event("deploy", name, "skill", at) for name in names])
    spool.close()


READS: dict[str, Callable[[AnalyticsDB], int]] = {
    "get_events": lambda db: len(db.get_events()),
    "get_usage_summary": lambda db: sum(row["total_events"] for row in db.get_usage_summary()),
    "get_top_artifacts": lambda db: sum(row["total_events"] for row in db.get_top_artifacts()),
    "get_stats": lambda db: int(db.get_stats()["total_events"]),
}


@pytest.mark.parametrize("method", READS)
def test_reading_finds_what_tracked_calls_left(db: AnalyticsDB, path: Path, method: str) -> None:
    """Whichever method reads, what waits in the spool is in its answer, once, also what comes while it is open."""
    db.record_event("deploy", "canvas", "skill")
    leave(path, "canvas", "review")
    assert READS[method](db) == 3
    leave(path, "review")
    assert READS[method](db) == 4
    assert READS[method](db) == 4


def test_cleanup_removes_what_waits_too(db: AnalyticsDB, path: Path) -> None:
    """Events that are too old and still in the spool go with the others."""
    leave(path, "old", ts_ms=1_000_000_000_000)
    leave(path, "new")
    assert db.cleanup_old_events(90) == 1
    assert [row["artifact_name"] for row in db.get_events()] == ["new"]
    assert not list(Path(spool_directory(path)).glob("*.seg"))


def test_a_tools_own_transaction_is_left_alone(db: AnalyticsDB, path: Path) -> None:
    """Reading inside it neither waits for it nor ends it; what waited is there afterwards."""
    leave(path, "new")
    assert db.connection is not None
    db.connection.execute("INSERT INTO usagetrace_state (key, value) VALUES ('mine', '1')")
    began = time.monotonic()
    assert db.get_events() == []
    assert time.monotonic() - began < 1.5
    assert db.connection.in_transaction
    db.connection.rollback()
    assert [row["artifact_name"] for row in db.get_events()] == ["new"]


def test_reading_while_another_process_writes(db: AnalyticsDB, path: Path) -> None:
    """What is in the database is the answer; nothing is raised, and what waits comes later."""
    db.record_event("deploy", "old", "skill")
    leave(path, "new")
    with locked(path):
        assert [row["artifact_name"] for row in db.get_events()] == ["old"]
    assert sorted(row["artifact_name"] for row in db.get_events()) == ["new", "old"]


@pytest.mark.parametrize("name", NO)
def test_a_no_leaves_the_spool_alone(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A tool that runs under a no touches no file; a spool from before stays as it is."""
    leave(path, "before")
    kept = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    monkeypatch.setenv(name, NO[name])
    with AnalyticsDB(path) as db:
        assert db.get_events() == []
        assert db.cleanup_old_events() == 0
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == kept

"""Which database a command looks at, and what happens when it is not one."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.schema import LATEST, MIGRATIONS

NOW = 1_793_534_400_000
REPORTS = ["report", "top", "events"]


def one(name: str) -> Event:
    return Event("deploy", name, "skill", NOW)


def artifact_in(home: Any, line: str) -> list[str]:
    return [a["artifact_name"] for a in home.json(line)["artifacts"]]


def make_v1(path: Path, *, wal: bool = False) -> None:
    """Make the database of another tool in the first schema, by plain SQL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    for statement in MIGRATIONS[0].up:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) VALUES (?, ?, ?, ?, ?)",
        [("deploy", "canvas", "skill", "2026-11-01 10:00:00", '{"success":false}'),
         ("sync", "canvas", "skill", "no time", "no json")],
    )  # fmt: skip
    connection.execute(
        "INSERT INTO usage_summary (artifact_name, artifact_type, deploy_count, total_events) "
        "VALUES ('canvas', 'skill', 7, 9)"
    )
    connection.commit()
    connection.close()


def test_the_only_store_is_taken(home: Any) -> None:
    """One tool has recorded: nobody has to name it."""
    home.record(one("only"))
    assert artifact_in(home, "top") == ["only"]


@pytest.mark.parametrize("command", [*REPORTS, "db stats", "db prune", "db vacuum"])
def test_of_several_stores_one_must_be_named(home: Any, command: str) -> None:
    """The message has the exact commands, and each of them works."""
    home.record(one("a"), service="alpha")
    home.record(one("b"), service="be ta")
    result = home.run(command, code=2)
    assert f"usagetrace --service alpha {command}" in result.stderr
    assert f"usagetrace --service be_ta {command}" in result.stderr
    assert result.stdout == ""
    home.run(f"--service be_ta {command}")


def test_options_beat_the_setting_which_beats_the_place(home: Any) -> None:
    """--db and --service first, then db-path of the settings, also while recording is off, then the default place."""
    home.record(one("a"), service="alpha")
    set_path = home.record(one("b"), service="beta")
    home.write_settings(f"[analytics]\nenabled = false\ndb-path = '{set_path}'\n")
    assert artifact_in(home, "top") == ["b"]
    assert artifact_in(home, "--service alpha top") == ["a"]
    assert artifact_in(home, f"--db {home.store_path('alpha')} top") == ["a"]
    home.environ["USAGETRACE_DB_PATH"] = str(home.store_path("alpha"))
    assert artifact_in(home, "top") == ["a"]


def test_a_fault_in_the_settings_is_told_where_they_name_the_database(home: Any) -> None:
    """A report of another database than the one that was meant must not pass without a word."""
    home.record(one("a"))
    home.write_settings("[analytics]\ndb-path = 7\n")
    assert "config --check" in home.run("top").stderr
    assert home.run("--service shelf top").stderr == ""


@pytest.mark.parametrize("wal", [False, True])
def test_another_tools_database_is_shown_and_left_alone(home: Any, wal: bool) -> None:
    """A file in the first schema is read from a migrated copy: numbers right, file untouched."""
    path = home.path / "other.db"
    make_v1(path, wal=wal)
    before = path.read_bytes()
    report = home.json(f"--db {path} report")
    assert (report["totals"]["events"], report["totals"]["errors"]) == (2, 1)
    assert [d["day"] for d in report["days"]] == ["2026-11-01", None]
    assert home.json(f"--db {path} top")["artifacts"][0]["events"] == 9
    assert [e["time"] for e in home.json(f"--db {path} events")["events"]] == ["2026-11-01T10:00:00.000Z", None]
    home.run(f"--db {path} status")
    assert path.read_bytes() == before


def test_a_large_database_in_an_older_schema_names_the_command_that_adopts_it(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what is copied to memory, the message is a command; that command works, and reports do afterwards."""
    from usagetrace.cli import stores

    path = home.path / "other.db"
    make_v1(path)
    monkeypatch.setattr(stores, "COPY_LIMIT", 10)
    result = home.run(f"--db {path} report", code=1)
    assert f"usagetrace --db {path} db stats" in result.stderr
    adopted = home.run(f"--db {path} db stats --format json")
    assert f"brought to schema version {LATEST}" in adopted.stderr
    assert home.json(f"--db {path} report")["totals"]["events"] == 2


def test_a_directory_that_can_not_be_written_is_read_all_the_same(home: Any) -> None:
    """SQLite itself refuses to read a database with a write-ahead log there."""
    path = home.record(one("a"))
    for journal in path.parent.glob("analytics.db-*"):
        journal.unlink()
    # Root may write anywhere, unless that one capability is given up.
    as_anybody = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    command = [*as_anybody, sys.executable, "-m", "usagetrace", "--db", str(path), "db", "stats", "--format", "json"]
    path.parent.chmod(0o500)
    try:
        told = subprocess.run(command, env=dict(home.process_environ()), capture_output=True, text=True, check=False)
    finally:
        path.parent.chmod(0o700)
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["total_events"] == 1


def test_an_empty_file_is_an_empty_store(home: Any) -> None:
    """A file that was made and never written to holds no events, and stays as it is."""
    path = home.path / "empty.db"
    path.touch()
    assert home.json(f"--db {path} report")["totals"]["events"] == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "command", [*REPORTS, "db stats", "db drain", "db prune --days 3", "db prune --days 3 --dry-run", "db vacuum"]
)
@pytest.mark.parametrize("kind", ["noise", "folder", "foreign", "newer"])
def test_what_is_no_store_is_told_in_one_line_and_left_alone(home: Any, command: str, kind: str) -> None:
    """Exit code 1, the file's name, no traceback; not a byte changes."""
    path = home.path / "file.db"
    if kind == "noise":
        path.write_bytes(b"\x93noise" * 300)
    elif kind == "folder":
        path.mkdir()
    else:
        with Store(path) as store:
            store.write([one("a")])
            sql = {
                "foreign": "ALTER TABLE events RENAME COLUMN event_type TO kind",
                "newer": "INSERT INTO schema_migrations VALUES (99, '', '', '')",
            }[kind]
            store.connection.execute(sql)
            store.settle()
    before = None if kind == "folder" else path.read_bytes()
    result = home.run(f"--db {path} {command}", code=1)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "file.db" in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert kind == "folder" or path.read_bytes() == before


def test_a_report_is_of_one_moment(home: Any) -> None:
    """What another process commits while a report is made does not get into a part of it."""
    from usagetrace.cli.stores import open_for_reading

    path = home.record(one("a"))
    with open_for_reading(path) as store:
        assert store.get_stats()["total_events"] == 1
        home.record(one("b"))
        assert store.count_events()[0]["events"] == 1
    assert home.json("report")["totals"]["events"] == 2

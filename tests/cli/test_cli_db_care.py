"""``db migrate|rollback|check|backup|restore|rebuild``: the whole database, by hand."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.schema import LATEST

NOW = 1_793_534_400_000  # 2026-11-01 12:00 UTC
DAY = 86_400_000


@pytest.fixture
def path(home: Any) -> Path:
    """The database of a home, with an event on each of two days."""
    recorded: Path = home.record(*(Event("deploy", "canvas", "skill", NOW - day * DAY) for day in (0, 1)))
    return recorded


def run_sql(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def version(path: Path) -> int:
    return int(run_sql(path, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations")[0][0])


@pytest.mark.parametrize("to", range(LATEST))
def test_rollback_copies_first_and_migrate_comes_forward(home: Any, path: Path, to: int) -> None:
    """The schema goes back after a backup, is told, and comes forward again with every event."""
    lines = home.run(f"db rollback --to {to}").stdout.splitlines()
    (copy,) = (path.parent / "backups").iterdir()
    assert lines == [f"{path}: copied to {copy}", f"{path}: schema version {to}"]
    assert version(path) == to
    assert version(copy) == LATEST
    assert home.run("db migrate").stdout == f"{path}: schema version {LATEST}\n"
    assert home.json("db stats")["total_events"] == 2


def test_migrate_stops_where_it_is_told(home: Any, path: Path) -> None:
    """With a version given, the schema stops there."""
    home.run("db rollback --to 0")
    assert home.run("db migrate --to 2").stdout == f"{path}: schema version 2\n"
    assert version(path) == 2


@pytest.mark.parametrize("line", [
    "rollback", "rollback --to 99", "migrate --to 99", "migrate --to 0", "restore", "restore --from nothing.db",
    "rebuild --date yesterday", "backup --keep 0",
])  # fmt: skip
def test_wrong_usage(home: Any, path: Path, line: str) -> None:
    """A version, a file, a date or a number that is none is wrong usage, and nothing happens."""
    before = path.read_bytes()
    home.run(f"db {line}", code=2)
    assert path.read_bytes() == before


def test_check_of_a_sound_one(home: Any, path: Path) -> None:
    """A sound database is told to be."""
    assert home.run("db check").stdout == f"{path}: sound\n"


def test_check_tells_each_fault(home: Any, path: Path) -> None:
    """Faults go to standard output, their number to standard error, and the exit code is 1; nothing is repaired."""
    run_sql(path, "DROP INDEX idx_timestamp")
    run_sql(path, "UPDATE usage_summary SET total_events = 0")
    for _ in range(2):
        result = home.run("db check", code=1)
        assert [line.split(": ")[1] for line in result.stdout.splitlines()] == [
            "the index idx_timestamp is missing", "usage_summary",
        ]  # fmt: skip
        assert "2 faults" in result.stderr


def test_check_of_noise(home: Any, path: Path) -> None:
    """A file that is no database any more is one fault, by its name."""
    path.write_bytes(b"noise" * 5000)
    assert "not an SQLite database" in home.run("db check", code=1).stdout


def test_backup_beside_it_and_elsewhere(home: Any, path: Path) -> None:
    """Copies go beside the database unless a folder is given, and so many stay."""
    home.run("db backup")
    assert [each.name for each in (path.parent / "backups").iterdir()] == ["analytics-20261101T120000Z.db"]
    folder = home.work / "my copies"
    for _ in range(4):
        home.run(f"db backup --to {shlex.quote(str(folder))} --keep 2")
        home.now_ms += 1000
    assert sorted(each.name for each in folder.iterdir()) == [
        "analytics-20261101T120002Z.db", "analytics-20261101T120003Z.db",
    ]  # fmt: skip


def test_restore_sets_aside(home: Any, path: Path) -> None:
    """The copy takes the database's place, and both files are told."""
    home.run("db backup")
    (copy,) = (path.parent / "backups").iterdir()
    with Store(path) as store:
        store.record_event("deploy", "later", "skill")
    result = home.run(["db", "restore", "--from", str(copy)])
    aside = path.with_name("analytics.before-restore-20261101T120000Z.db")
    assert result.stdout.splitlines() == [
        f"{path}: restored from {copy}", f"{path}: what was there is {aside} now",
    ]  # fmt: skip
    assert home.json("db stats")["total_events"] == 2
    assert run_sql(aside, "SELECT COUNT(*) FROM events") == [(3,)]


def test_restore_of_no_store(home: Any, path: Path) -> None:
    """A file that is no copy is refused in one line, and the database is as it was."""
    letter = home.work / "letter.txt"
    letter.write_text("dear diary, " * 500)
    result = home.run(["db", "restore", "--from", str(letter)], code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "letter.txt" in result.stderr
    assert home.json("db stats")["total_events"] == 2


def test_restore_into_nothing(home: Any, path: Path) -> None:
    """With no database anywhere the command asks which one; named, it is made."""
    home.run("db backup")
    (copy,) = (path.parent / "backups").iterdir()
    kept = Path(copy.rename(home.work / "kept.db"))
    path.unlink()
    assert "--service" in home.run(["db", "restore", "--from", str(kept)], code=1).stderr
    home.run(["--service", "shelf", "db", "restore", "--from", str(kept)])
    assert home.json("db stats")["total_events"] == 2


def test_rebuild_tells_what_it_does(home: Any, path: Path) -> None:
    """Each value is told before it is put right; a dry run changes nothing; afterwards there is nothing to tell."""
    run_sql(path, "UPDATE usage_summary SET total_events = 0")
    line = "usage_summary (skill, canvas) total_events: 0 instead of 2"
    dry, wet, again = (home.run(f"db rebuild {option}").stdout.splitlines() for option in ("--dry-run", "", ""))
    assert dry == [line, f"{path}: 1 value to put right; counting more than the events that are left: 0 rows"]
    assert wet == [line, f"{path}: 1 value put right; counting more than the events that are left: 0 rows"]
    assert again == [f"{path}: 0 values put right; counting more than the events that are left: 0 rows"]


def test_rebuild_of_a_day(home: Any, path: Path) -> None:
    """With a date, that day's rollups alone are counted again."""
    run_sql(path, "DELETE FROM usage_daily")
    home.run("db rebuild --date 2026-11-01")
    assert run_sql(path, "SELECT day FROM usage_daily") == [(NOW // DAY,)]


def test_rebuild_of_very_much(home: Any) -> None:
    """Of many differences the first are told one by one, the others as a number."""
    path = home.record(*(Event("deploy", f"a{n}", "skill", NOW) for n in range(30)))
    run_sql(path, "UPDATE usage_summary SET deploy_count = 0")
    lines = home.run("db rebuild").stdout.splitlines()
    assert (len(lines), lines[-2]) == (22, "and 10 more")


@pytest.mark.parametrize("command", ["migrate", "rollback --to 2", "check", "backup", "rebuild", "rebuild --dry-run"])
def test_nothing_yet(home: Any, command: str) -> None:
    """No database yet: said, exit code 0, no file."""
    assert "nothing recorded yet" in home.run(f"db {command}").stderr
    assert [each.name for each in home.path.rglob("*")] == ["work"]

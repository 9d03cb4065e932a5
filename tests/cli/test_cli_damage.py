"""A damaged database: every command replaces it by what can be read of it, and says so, also where nothing waits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from usagetrace.cli.app import app
from usagetrace.cli.context import Cli
from usagetrace.events import Event
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store

NOW = 1_793_534_400_000
EVENTS = 600


def asides(path: Path) -> list[Path]:
    return sorted(
        each for each in path.parent.glob("analytics.db.damaged-*") if not each.name.endswith(("-wal", "-shm"))
    )


def ended(home: Any, command: str) -> Result:
    """Run a command that may fail."""
    arguments = tuple(command.split())
    cli = Cli(environ=home.environ, cwd=home.work, now_ms=lambda: home.now_ms, arguments=arguments)
    return CliRunner().invoke(app, arguments, prog_name="usagetrace", obj=cli)


def make(home: Any, damage: str) -> tuple[Path, bytes]:
    """Record events, spoil the file, and return its path and what it holds then."""
    path: Path = home.record(*(Event("deploy", f"a{n}", "skill", NOW - n) for n in range(EVENTS)))
    data = bytearray(path.read_bytes())
    if damage == "head":
        data[:4096] = os.urandom(4096)
    else:
        data[8192:40960] = b"\x93" * 32768
    path.write_bytes(data)
    return path, bytes(data)


PARTS = ["head", "middle"]
LOOKING = ["report", "top", "events", "db stats", "status"]
CHANGING = ["db prune --days 3", "db vacuum", "db backup", "db rebuild", "db migrate", "db rollback --to 3"]


@pytest.mark.parametrize("command", LOOKING)
def test_a_database_whose_head_is_gone_is_replaced_before_it_is_looked_at(home: Any, command: str) -> None:
    """Nothing waits in the spool: the answer is of all that could be read, and the file that was set aside is told."""
    path, data = make(home, "head")
    result = home.run(f"{command} --format json")
    assert result.stderr.count(f"the database was damaged: {EVENTS} events saved; it is ") == 1
    (aside,) = asides(path)
    assert str(aside) in result.stderr
    assert aside.read_bytes() == data
    assert home.json("report")["totals"]["events"] == EVENTS
    shown = json.loads(result.stdout)
    counted = {
        "report": lambda: shown["totals"]["events"],
        "db stats": lambda: shown["total_events"],
        "status": lambda: shown["stores"][0]["events"],
    }
    assert counted.get(command, lambda: EVENTS)() == EVENTS


@pytest.mark.parametrize(
    ("command", "damage"),
    [*((command, "middle") for command in LOOKING), *((command, part) for command in CHANGING for part in PARTS)],
)
def test_a_command_given_twice_finds_a_sound_database(home: Any, command: str, damage: str) -> None:
    """A command may be cut short by damage that opening does not meet, and then says to give it again: once."""
    path, data = make(home, damage)
    first = ended(home, command)
    assert first.exit_code == 0 or "give it again" in first.stderr
    assert ended(home, command).exit_code == 0
    found = asides(path)
    assert [each.read_bytes() for each in found] == [data] * len(found)
    assert len(found) == 1 or (damage == "middle" and not found)
    # A rollback left it in an older schema, which is a fault too.
    home.run("db migrate")
    home.run("db check", code=0 if found else 1)
    assert home.run("db check").stdout == f"{path}: sound\n"


@pytest.mark.parametrize("damage", PARTS)
def test_check_tells_damage_then_replaces_the_file(home: Any, damage: str) -> None:
    """The exit code is 1 and each fault is told; what waits in the spool is in the new database; the next is sound."""
    path, data = make(home, damage)
    home.leave(Event("deploy", "new", "skill", NOW))
    result = home.run("db check", code=1)
    assert "fault" in result.stderr
    assert "the database was damaged" in result.stderr
    assert [each.read_bytes() for each in asides(path)] == [data]
    assert home.run("db check").stdout == f"{path}: sound\n"
    assert [event["artifact_name"] for event in home.json("events --limit 1")["events"]] == ["new"]


@pytest.mark.parametrize("command", [*LOOKING, "db check", *CHANGING])
def test_a_file_that_never_was_a_store_is_left_alone(home: Any, command: str) -> None:
    """Without a mark in the spool directory there is nothing to show that the noise was a database of ours."""
    path = home.path / "letter.db"
    path.write_bytes(b"dear diary, " * 900)
    home.run(f"--db {path} {command}", code=0 if command == "status" else 1)
    assert path.read_bytes() == b"dear diary, " * 900
    assert list(home.path.glob("letter.db.damaged-*")) == []


@pytest.mark.parametrize(
    ("command", "waits"),
    [
        *((command, False) for command in [*LOOKING, "db drain", "db check", *CHANGING]),
        *((command, True) for command in ["report", "status", "db drain", "db check", "db rollback --to 3"]),
    ],
)
def test_a_repair_that_was_killed_is_gone_on_with(home: Any, command: str, waits: bool) -> None:
    """Between setting aside and replacing there is no database, only a note: nobody says that nothing was recorded."""
    path: Path = home.record(Event("deploy", "a", "skill", NOW))
    aside = path.with_name("analytics.db.damaged-20261101T115900Z")
    path.rename(aside)
    (Path(spool_directory(path)) / "recovery").write_text(aside.name)
    if waits:
        home.leave(Event("deploy", "new", "skill", NOW))
    result = home.run(command)
    assert "nothing recorded yet" not in result.output
    assert aside.exists()
    assert home.json("events --limit 9")["events"][-1]["artifact_name"] == "a"
    assert home.json("db stats")["total_events"] == 1 + waits
    assert list(Path(spool_directory(path)).glob("recovery")) == []


def test_a_file_of_noise_is_told_to_have_given_nothing(home: Any) -> None:
    """Where nothing is left to count by, no number of lost events is made up."""
    path: Path = home.record(Event("deploy", "a", "skill", NOW))
    path.write_bytes(os.urandom(9000))
    result = home.run("report --format json")
    assert "the database was damaged: nothing of it could be read; it is " in result.stderr
    assert json.loads(result.stdout)["totals"]["events"] == 0


def test_status_says_what_became_of_each_of_several(home: Any) -> None:
    """One tool's damage is no other tool's."""
    path, _ = make(home, "head")
    home.record(Event("deploy", "tea", "note", NOW), service="other")
    result = home.run("status")
    assert str(path) in result.stderr
    assert f"{EVENTS} events" in result.stdout
    assert "can't be read" not in result.stdout


def test_a_damaged_one_can_be_restored_over(home: Any) -> None:
    """A copy takes the place of a damaged database as of a sound one; what waits in the spool is added to it."""
    path: Path = home.record(*(Event("deploy", f"a{n}", "skill", NOW - n) for n in range(3)))
    home.run("db backup")
    (copy,) = (path.parent / "backups").iterdir()
    path.write_bytes(os.urandom(8192))
    home.leave(Event("deploy", "new", "skill", NOW))
    home.run(["db", "restore", "--from", str(copy)])
    assert home.json("report")["totals"]["events"] == 4
    assert list(Path(spool_directory(path)).glob("*.seg")) == []
    with Store(path) as store:
        assert store.check() == []

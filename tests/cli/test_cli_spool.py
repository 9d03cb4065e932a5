"""What tools left in their spools is in every answer, and what can't be moved in is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from binascii import crc32
from pathlib import Path
from typing import Any

import pytest

from usagetrace.cli import waiting
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import MAGIC, segment_name, spool_directory
from usagetrace.store import Store

NOW = 1_793_534_400_000
DAY = 86_400_000
OFF = ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED", "settings file"]


def one(name: str, ts_ms: int = NOW) -> Event:
    return Event("deploy", name, "skill", ts_ms)


def names(found: Any) -> list[str]:
    return [event["artifact_name"] for event in found["events"]]


def files(path: Path) -> list[Path]:
    return list(Path(spool_directory(path)).glob("*.seg"))


def without_rights(arguments: list[str]) -> list[str]:
    """Return a command that may write only what its permissions allow, also for root."""
    as_anybody = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    return [*as_anybody, *arguments]


COUNTS = {
    "report": lambda found: found["totals"]["events"],
    "top": lambda found: sum(artifact["events"] for artifact in found["artifacts"]),
    "events": lambda found: len(found["events"]),
    "status": lambda found: sum(store["events"] for store in found["stores"]),
    "db stats": lambda found: found["total_events"],
    "db drain": lambda found: found["events"],
}


@pytest.mark.parametrize("database", ["absent", "there"])
@pytest.mark.parametrize("command", COUNTS)
def test_every_answer_has_what_waited_in_the_spool(home: Any, command: str, database: str) -> None:
    """A tool has ended and left its events in the spool alone: the first command to look moves them in, once."""
    before = 0
    if database == "there":
        home.record(one("old"))
        before = command != "db drain"
    path = home.leave(one("canvas"), one("review"))
    home.leave(one("canvas"))
    result = home.run(f"{command} --format json")
    assert COUNTS[command](json.loads(result.stdout)) == before + 3
    assert result.stderr == ""
    assert files(path) == []
    assert home.json("db stats")["total_events"] == (database == "there") + 3


@pytest.mark.parametrize("command", ["db backup", "db rebuild", "db rebuild --dry-run", "db vacuum", "db check"])
def test_upkeep_has_it_too(home: Any, command: str) -> None:
    """After any work on the database nothing waits beside it."""
    home.record(one("old"))
    path = home.leave(one("new"))
    home.run(command)
    assert files(path) == []
    assert home.json("db stats")["total_events"] == 2


def test_a_copy_holds_what_waited(home: Any) -> None:
    """A backup is of everything that tools had recorded when it was asked for."""
    home.record(one("old"))
    path = home.leave(one("new"))
    home.run("db backup")
    (copy,) = (path.parent / "backups").iterdir()
    assert home.json(f"--db {copy} db stats")["total_events"] == 2


def test_old_events_that_wait_are_removed_as_well(home: Any) -> None:
    """Pruning promises that nothing older is left: the spool is no hiding place."""
    home.record(one("a", NOW - 100 * DAY))
    path = home.leave(one("b", NOW - 100 * DAY), one("c"))
    assert "would remove 2 events" in home.run("db prune --days 90 --dry-run").stdout
    home.leave(one("d", NOW - 100 * DAY))
    assert "removed 3 events" in home.run("db prune --days 90").stdout
    assert names(home.json("events")) == ["c"]
    assert files(path) == []


def test_a_tool_that_has_a_spool_alone_is_a_tool(home: Any) -> None:
    """Of two tools one must be named, though neither has a database yet; an empty folder is no tool."""
    home.leave(one("a"), service="alpha")
    home.leave(one("b"), service="beta")
    Path(spool_directory(home.store_path("gamma"))).mkdir(parents=True)
    result = home.run("report", code=2)
    assert "--service alpha" in result.stderr
    assert "--service beta" in result.stderr
    assert "gamma" not in result.stderr
    assert [Path(store["path"]).parent.name for store in home.json("status")["stores"]] == ["alpha", "beta"]
    assert names(home.json("--service beta events")) == ["b"]


@pytest.mark.parametrize("off", OFF)
def test_a_no_to_recording_is_none_to_looking(home: Any, off: str) -> None:
    """Who asks while recording is off sees what was recorded before, the waiting events included."""
    home.leave(one("canvas"))
    if off == "settings file":
        home.write_settings("[analytics]\nenabled = false\n")
    else:
        home.environ[off] = "1"
    assert names(home.json("events")) == ["canvas"]


def test_databases_of_one_folder_have_spools_of_their_own(home: Any) -> None:
    """Draining one leaves the other's events to the other."""
    first, second = home.path / "a.db", home.path / "b.db"
    home.leave(one("a"), path=first)
    home.leave(one("b"), path=second)
    assert names(home.json(f"--db {first} events")) == ["a"]
    assert len(files(second)) == 1
    assert names(home.json(f"--db {second} events")) == ["b"]


def test_a_tool_at_work_is_shown_and_left_its_file(home: Any) -> None:
    """Its events so far are in the answer; it goes on in the same file, and nothing is counted twice."""
    path = home.store_path()
    spool = Spool(spool_directory(path))
    assert spool.append([one("a")])
    assert names(home.json("events")) == ["a"]
    state = home.json("db stats")["spool"]
    assert (state["segments"], state["writers"], state["waiting_events"], state["waiting_bytes"]) == (1, 1, 0, 0)
    assert "a process uses it now" in home.run("status").stdout
    assert spool.append([one("b")])
    assert names(home.json("events")) == ["b", "a"]
    spool.close()
    assert home.json("db stats")["spool"]["writers"] == 0


def test_losses_and_damage_stay_counted_when_their_files_are_gone(home: Any) -> None:
    """What was damaged in a segment is told by the drain that met it, and by every status afterwards."""
    path = home.leave(one("a"), one("b"))
    home.leave(one("c"))
    victim = min(files(path))
    data = bytearray(victim.read_bytes())
    data[-3] ^= 0xFF
    victim.write_bytes(data)
    drained = home.json("db drain")
    assert (drained["events"], drained["damaged"], drained["complete"]) == (1, 1, True)
    assert files(path) == []
    for _ in range(2):
        assert home.json("db stats")["spool"]["damaged"] == 1
        assert home.json("status")["stores"][0]["spool"]["damaged"] == 1
    assert "damaged: 1" in home.run("status").stdout


def test_drain_tells_what_it_did(home: Any) -> None:
    """How many events, and that nothing is left; a second time there is nothing to do."""
    path = home.leave(one("a"), one("b"))
    text = home.run("db drain").stdout
    assert text.splitlines() == [f"{path}: 2 events moved in", "nothing is left"]
    assert home.run("db drain").stdout.splitlines()[0] == f"{path}: 0 events moved in"


def test_drain_of_nothing_makes_nothing(home: Any) -> None:
    """No tool has recorded: said, exit code 0, no file."""
    assert "nothing recorded yet" in home.run("db drain").stderr
    assert [path.name for path in home.path.rglob("*")] == ["work"]


@pytest.mark.parametrize("budget", ["0", "-1", "soon"])
def test_a_budget_is_a_time(home: Any, budget: str) -> None:
    """Anything else is wrong usage."""
    assert "--budget" in home.run(f"db drain --budget {budget}", code=2).stderr


def test_what_a_budget_leaves_is_told_and_drained_later(home: Any) -> None:
    """A drain that runs out of time says what waits; nothing is lost, and nothing is counted twice."""
    many = 12_000
    for _ in range(4):
        home.leave(*(one(f"a{n % 7}") for n in range(many // 4)))
    first = home.json("db drain --budget 0.000001")
    assert not first["complete"]
    assert first["events"] + first["spool"]["waiting_events"] == many
    assert first["spool"]["waiting_events"] > 0
    assert "left: " in home.run("db drain --budget 0.000001").stdout
    home.run("db drain")
    assert home.json("db stats")["total_events"] == many


def test_a_report_goes_on_with_what_is_there_when_its_time_is_over(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that is in the database is shown, and standard error says that more waits and what to do."""
    for _ in range(4):
        home.leave(*(one("a") for _ in range(3000)))
    monkeypatch.setattr(waiting.bring_in, "__defaults__", (0.000001,))
    result = home.run("report --format json")
    shown = json.loads(result.stdout)["totals"]["events"]
    assert 0 <= shown < 12_000
    assert f"{12_000 - shown} events" in result.stderr
    assert "usagetrace db drain" in result.stderr
    monkeypatch.undo()
    assert home.json("report")["totals"]["events"] == 12_000


def _locked(home: Any) -> Path:
    home.record(one("old"))
    return home.leave(one("new"))  # type: ignore[no-any-return]


def test_a_locked_database_is_shown_as_it_is(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes for long: reports show what is in the database, and say what waits."""
    path = _locked(home)
    short = waiting.BUDGET_S / 10
    monkeypatch.setattr(waiting.bring_in, "__defaults__", (short,))
    with Store(path) as other, other.atomic():
        result = home.run("events --format json")
        told = home.run("db drain --budget 0.5", code=1)
    assert names(json.loads(result.stdout)) == ["old"]
    assert "1 event (" in result.stderr
    assert spool_directory(path) in result.stderr
    assert "lock" in told.stderr
    assert "left: 1 event" in told.stdout
    assert names(home.json("events")) == ["new", "old"]


@pytest.mark.parametrize("database", ["there", "absent"])
def test_a_directory_that_can_not_be_written_is_told(home: Any, database: str) -> None:
    """What is in the database is shown; standard error says how much waits; `db drain` says why and fails."""
    if database == "there":
        path = home.record(one("old"))
        for journal in path.parent.glob("analytics.db-*"):
            journal.unlink()
    path = home.leave(one("new"))
    env = dict(home.process_environ())
    base = [sys.executable, "-m", "usagetrace", "--db", str(path)]
    if database == "there":
        path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        shown, drained = (
            subprocess.run(
                without_rights([*base, *words]), env=env, cwd=home.work, capture_output=True, text=True, check=False
            )
            for words in (["report", "--format", "json"], ["db", "drain"])
        )
    finally:
        path.parent.chmod(0o700)
        if database == "there":
            path.chmod(0o600)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["totals"]["events"] == (database == "there")
    assert "1 event (" in shown.stderr
    assert drained.returncode == 1
    assert str(path) in drained.stderr
    assert "Traceback" not in shown.stderr + drained.stderr
    assert home.json(f"--db {path} report")["totals"]["events"] == 1 + (database == "there")


def test_a_spool_that_can_not_be_looked_into_is_told(home: Any) -> None:
    """Something else lies where the spool should: the database is shown, and every answer says so."""
    path = home.record(one("old"))
    folder = Path(spool_directory(path))
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("not a directory", "utf-8")
    result = home.run("events --format json")
    assert names(json.loads(result.stdout)) == ["old"]
    assert str(folder) in result.stderr
    found = home.json("db stats")["spool"]
    assert str(folder) in found["problem"]
    assert found["writers"] is None
    assert str(folder) in home.run("status").stdout


def test_a_segment_of_a_newer_version_is_told_and_left(home: Any) -> None:
    """What this version can't read stays for the one that can; the rest is in the answer."""
    path = home.leave(one("a"))
    newer = Path(spool_directory(path)) / segment_name(NOW, 1, b"newer..!")
    body = MAGIC + (99).to_bytes(4, "little") + b"newer..!"
    newer.write_bytes(body + crc32(body).to_bytes(4, "little") + b"what a newer version wrote")
    result = home.run("events --format json")
    assert names(json.loads(result.stdout)) == ["a"]
    assert "upgrade usagetrace" in result.stderr
    assert newer.exists()
    assert "upgrade usagetrace" in home.json("db stats")["spool"]["problem"]
    assert "upgrade usagetrace" in home.run("status").stdout


def test_what_never_ended_is_told_by_the_drain_that_found_it(home: Any) -> None:
    """An operation whose process is gone is one event, abandoned; the next drain has nothing to tell."""
    code = (
        "import os, usagetrace\n"
        "usagetrace.configure(service_name='shelf')\n"
        "@usagetrace.track.invoke(artifact_name='nightly', artifact_type='job')\n"
        "def work(): os._exit(3)\n"
        "work()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(home.process_environ()), check=False, timeout=60)
    assert done.returncode == 3
    assert "1 operation abandoned" in home.run("db drain").stdout
    assert "abandoned" not in home.run("db drain").stdout
    assert [(event["event_type"], event["status"]) for event in home.json("events")["events"]] == [
        ("invoke", "abandoned"),
    ]  # fmt: skip
    assert names(home.json("events --status abandoned")) == ["nightly"]


def test_a_report_heals_a_damaged_database_and_says_so(home: Any) -> None:
    """What waits needs a place: the damaged file is set aside, what can be read is in the new one, and it is told."""
    path = home.record(*(one(f"a{n}") for n in range(2000)))
    data = bytearray(path.read_bytes())
    data[8192:40960] = b"\x93" * 32768
    path.write_bytes(data)
    home.leave(one("new"))
    command = [sys.executable, "-m", "usagetrace", "--db", str(path), "report", "--format", "json"]
    result = subprocess.run(command, env=dict(home.process_environ()), capture_output=True, text=True, check=True)
    assert "damaged" in result.stderr
    assert len(list(path.parent.glob("analytics.db.damaged-*"))) >= 1
    assert 1 <= json.loads(result.stdout)["totals"]["events"] <= 2001
    assert "sound" in home.run("db check").stdout
    assert "new" in names(home.json("events"))


def test_a_rollback_takes_what_waits_along(home: Any) -> None:
    """An earlier release knows no spool: the schema goes back with everything in the database."""
    path = home.record(one("old"))
    home.leave(one("new"))
    home.run("db rollback --to 2")
    assert files(path) == []
    with Store(path) as store:
        assert store.get_stats()["total_events"] == 2

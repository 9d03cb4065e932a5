"""The example with a killed program says what the database says, and fails where that is not what it promises."""

from __future__ import annotations

import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from usagetrace.events import Event
from usagetrace.store import Store

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "survives.py"


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the example in a home of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT", "TMPDIR") if name in os.environ}
    env = {**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT / "src"), **more}
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def example() -> ModuleType:
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location("survives_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_call_that_returned_is_there_once_and_the_killed_one_is_abandoned(tmp_path: Path) -> None:
    """Two runs into one folder: each tells of its own calls alone, and the database has both."""
    told = []
    for _ in range(2):
        done = run(tmp_path, str(tmp_path / "kept"))
        assert (done.returncode, done.stderr) == (0, "")
        found = re.match(
            r"killed when (\d+) calls had returned\n"
            r"in the database: (\d+) of them, 0 more than once\n"
            r"returned, but not told any more: ([01])\n"
            r"abandoned: invoke run-\d+, begun [-\d]+ [:\d]+ UTC\n\Z",
            done.stdout,
        )
        assert found is not None, done.stdout
        assert found[1] == found[2]
        assert int(found[1]) >= 500
        told.append(int(found[1]) + int(found[3]))
    with closing(sqlite3.connect(tmp_path / "kept" / "analytics.db")) as db:
        counts = db.execute("SELECT event_type, status, COUNT(*) FROM events GROUP BY 1, 2 ORDER BY 1").fetchall()
    assert counts == [("deploy", "ok", sum(told)), ("invoke", "abandoned", 2)]


@pytest.mark.parametrize("fault", ["none", "lost", "twice", "no abandoned call", "too many untold"])
def test_a_database_that_says_otherwise_fails(example: ModuleType, tmp_path: Path, fault: str) -> None:
    """The comparison is no formality: what is missing, doubled or unaccounted for is a failure."""
    names = [f"run-1-skill-{number}" for number in range(5)]
    deploys = {"lost": names[1:], "twice": [*names, names[0]], "too many untold": [*names, "run-1-a", "run-1-b"]}
    path = tmp_path / "analytics.db"
    rows = [Event("deploy", name, "skill", 1) for name in [*deploys.get(fault, names), "run-2-skill-0"]]
    ended = "ok" if fault == "no abandoned call" else "abandoned"
    with Store(path) as store:
        store.write([*rows, Event("invoke", "run-1", "job", 1, status=ended)])
    assert example.compare(path, "run-1", names) == (fault == "none")


def test_a_no_is_heeded(tmp_path: Path) -> None:
    """Under a no the program is killed all the same, nothing lies anywhere, and the example says why."""
    own = tmp_path / "own"
    own.mkdir()
    done = run(own, str(own / "kept"), DO_NOT_TRACK="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nothing was recorded")
    assert list(own.rglob("*")) == []


def test_nothing_stays_without_a_folder(tmp_path: Path) -> None:
    """What was recorded is removed with the temporary folder."""
    temporary = tmp_path / "own" / "tmp"
    temporary.mkdir(parents=True)
    done = run(tmp_path / "own", TMPDIR=str(temporary), TEMP=str(temporary))
    assert done.returncode == 0, done.stderr
    assert list(temporary.parent.rglob("*")) == [temporary]

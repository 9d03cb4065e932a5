"""The example with an agent's skills prints what its page says, and leaves nothing behind."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "invocations"


def promised() -> str:
    """Return what the page says that the program prints."""
    block = (FOLDER / "README.md").read_text("utf-8").split("```console\n")[1].split("```")[0]
    return block.split("$ python agent.py\n")[1]


def test_it_prints_what_its_page_says(tmp_path: Path) -> None:
    """Completed, failed, broken off and killed skills are told apart; the sessions are those that it named."""
    env = {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    done = run([sys.executable, FOLDER / "agent.py", tmp_path / "kept"], tmp_path / "home", env)
    # A busy machine may make a query slow, which is told of.
    told = [line for line in done.err.splitlines() if "Slow query" not in line]
    assert (done.code, told, done.out) == (0, [], promised())
    with closing(sqlite3.connect(tmp_path / "kept" / "analytics.db")) as db:
        found = db.execute(
            "SELECT session_id, SUM(invocation_count) FROM session_skill GROUP BY 1 ORDER BY 1"
        ).fetchall()
        abandoned = db.execute("SELECT artifact_name FROM events WHERE status = 'abandoned'").fetchall()
    assert found == [("monday", 4), ("tuesday", 2)]
    assert abandoned == [("train",)]


@pytest.mark.e2e
def test_a_no_is_heeded(tmp_path: Path) -> None:
    """Under a no it runs all the same, and nothing lies anywhere."""
    temporary = tmp_path / "home" / "tmp"
    temporary.mkdir(parents=True)
    env = {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "DO_NOT_TRACK": "1", "TMPDIR": str(temporary)}
    done = run([sys.executable, FOLDER / "agent.py"], tmp_path / "home", env)
    assert done.code == 0, done.err
    assert "0 skills, 0.0% completed" in done.out
    assert list((tmp_path / "home").rglob("*")) == [temporary]

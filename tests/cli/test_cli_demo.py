"""``demo``: a real tool runs, its report is shown, and nothing outside the demo's folder is touched."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from usagetrace.store import Store

# What the demo's tool does, counted in its source by hand: calls and failures by type.
CALLS = {"deploy": (8, 1), "search": (3, 0), "update": (4, 1), "sync": (4, 0), "remove": (2, 1)}


def test_the_report_counts_what_the_tool_did(home: Any) -> None:
    """Every call is there, with its failures, a conflict and a search without results."""
    folder = home.path / "kept"
    result = home.run(f"demo --keep {folder}")
    database = folder / "analytics.db"
    found = home.json(f"--db {database} report")
    assert {t["event_type"]: (t["operations"], t["errors"]) for t in found["types"]} == CALLS
    assert "21 operations, 3 failed" in result.stdout
    assert str(database) in result.stdout
    with Store(database, read_only=True) as store:
        rows = store.get_events(limit=None)
    assert [row["artifact_name"] for row in rows if '"result":"conflict"' in (row["metadata"] or "")] == ["canvas"]
    assert [row["artifact_name"] for row in rows if '"total_results":0' in (row["metadata"] or "")] == [""]
    assert str(home.path) not in database.read_bytes().decode("latin-1")


def test_what_it_says_to_do_next_works(home: Any) -> None:
    """The printed command is a command."""
    output = home.run(f"demo --keep {home.path / 'kept'}").stdout
    (line,) = [line for line in output.splitlines() if line.startswith("Look into it:")]
    arguments = shlex.split(line.partition(":")[2])
    assert arguments[0] == "usagetrace"
    assert "canvas" in home.run(arguments[1:]).stdout


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED"])
def test_it_runs_while_recording_is_off_and_says_so(home: Any, name: str) -> None:
    """An explicit wish, told in one line; the user's own places stay untouched."""
    home.environ[name] = "1"
    result = home.run(f"demo --keep {home.path / 'kept'}")
    assert len([line for line in result.stderr.splitlines() if "Recording is off" in line and name in line]) == 1
    assert "21 operations" in result.stdout
    assert sorted(path.name for path in home.path.iterdir()) == ["kept", "work"]


def test_no_setting_sends_it_elsewhere(home: Any, tmp_path: Path) -> None:
    """Endpoints, paths and project files of the user have no effect on the demo."""
    elsewhere = tmp_path / "elsewhere.db"
    home.environ |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "USAGETRACE_DB_PATH": str(elsewhere),
        "USAGETRACE_LOCAL": "false",
    }
    home.write_settings(f"[analytics]\ndb-path = '{elsewhere}'\n")
    (home.work / "usagetrace.toml").write_text("[analytics]\nlocal = false\n", "utf-8")
    result = home.run(f"demo --keep {home.work / 'kept'}")
    assert "21 operations" in result.stdout
    assert "OTLP" not in result.output
    assert not elsewhere.exists()


def test_without_a_folder_it_takes_a_temporary_one(home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs share nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    first, second = home.run("demo").stdout, home.run("demo").stdout
    assert "21 operations" in first
    assert "21 operations" in second
    assert len(list((tmp_path / "temporary").glob("usagetrace-demo-*/analytics.db"))) == 2


def test_a_folder_with_something_in_it_is_refused(home: Any) -> None:
    """Nobody's files are mixed with the demo's."""
    result = home.run(f"demo --keep {home.path}", code=2)
    assert "not empty" in result.stderr
    assert [path.name for path in home.path.rglob("*")] == ["work"]

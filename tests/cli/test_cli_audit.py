"""``usagetrace audit``: what it prints, what it never prints, and how it ends."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event

TOKEN = "ghp_" + "7aB3dE6gH9jK2mN5pQ8s" + "1vW4yZ7aB3dE6gH9"
NOW = 1_793_534_400_000


def planted(home: Any, sample: Any) -> Path:
    path: Path = home.record(*sample())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE events SET metadata = ? WHERE id = 3", (f'{{"note": "{TOKEN}"}}',))
    connection.commit()
    connection.close()
    return path


def test_a_clean_store_is_called_clean(home: Any, sample: Any) -> None:
    """Events of a day, and what waits in the spool, which stays there."""
    home.record(*sample())
    home.leave(Event("deploy", "canvas", "skill", NOW))
    shown = home.run("audit --fail").stdout
    assert "Clean: nothing that redaction would have removed." in shown
    assert "1 event in the spool, looked at there" in shown
    assert home.json("audit")["waiting_events"] == 1


@pytest.mark.parametrize("form", ["table", "json"])
def test_it_says_where_and_never_what(home: Any, sample: Any, form: str) -> None:
    """File, table, column, rule and row."""
    planted(home, sample)
    result = home.run(f"audit --format {form}")
    assert TOKEN not in result.output
    if form == "json":
        assert TOKEN[:8] not in result.output
        found = home.json("audit")
        assert not found["clean"]
        told = [
            [each[key] for key in ("file", "area", "table", "column", "rule", "count")] for each in found["findings"]
        ]
        assert ["analytics.db", "row", "events", "metadata", "github-token", 1] in told
    else:
        line = next(line for line in result.stdout.splitlines() if " row " in line and "metadata" in line)
        assert line.split()[:6] == ["analytics.db", "row", "events", "metadata", "github-token", "1"]
        assert "row 3" in line


@pytest.mark.parametrize(("options", "code"), [("", 0), ("--fail", 1), ("--fail --format json", 1)])
def test_with_fail_a_finding_ends_it_with_1(home: Any, sample: Any, options: str, code: int) -> None:
    """Without it the command has done its work."""
    planted(home, sample)
    home.run(f"audit {options}", code)


def test_with_fail_a_clean_store_ends_it_with_0_and_wrong_usage_with_2(home: Any, sample: Any) -> None:
    """Three codes, as everywhere."""
    home.record(*sample())
    home.run("audit --fail", 0)
    home.run("audit --fast", 2)


def test_any_database_can_be_named_before_and_behind_the_command(home: Any, tmp_path: Path) -> None:
    """One of another tool, of any schema, in which nothing of ours is looked for."""
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (body TEXT)")
    connection.execute("INSERT INTO notes VALUES ('call ada@example.org')")
    connection.commit()
    connection.close()
    expected = [("notes", "body", "email")]
    for line in (["--db", str(path), "audit", "--format", "json"], ["audit", "--db", str(path), "--format", "json"]):
        found = json.loads(home.run(line).stdout)
        assert [(each["table"], each["column"], each["rule"]) for each in found["findings"]] == expected


@pytest.mark.parametrize("form", ["table", "json"])
def test_nothing_recorded_yet_is_said(home: Any, form: str) -> None:
    """No database, no folder: nothing is made."""
    result = home.run(f"audit --fail --format {form}")
    assert "nothing recorded yet" in result.stderr
    assert not list(home.path.rglob("*.db"))


def test_the_demo_is_clean(home: Any, tmp_path: Path) -> None:
    """What the demo records is redacted, and none of it looks like a secret."""
    home.run(["demo", "--keep", str(tmp_path / "demo")])
    home.run(["audit", "--db", str(tmp_path / "demo" / "analytics.db"), "--fail"])

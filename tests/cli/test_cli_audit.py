"""``usagetrace audit``: what it prints, what it never prints, and how it ends."""

from __future__ import annotations

import json
import os
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
        assert ["analytics.db", "row", "events", "metadata", "gh-token", 1] in told
    else:
        line = next(line for line in result.stdout.splitlines() if " row " in line and "metadata" in line)
        assert line.split()[:6] == ["analytics.db", "row", "events", "metadata", "gh-token", "1"]
        assert "row 3" in line


@pytest.mark.parametrize(("options", "code"), [("", 0), ("--fail", 1), ("--fail --format json", 1)])
def test_with_fail_a_finding_ends_it_with_1(home: Any, sample: Any, options: str, code: int) -> None:
    """Without it the command has done its work."""
    planted(home, sample)
    result = home.run(f"audit {options}", code)
    assert (result.exit_code, "gh-token" in result.stdout) == (code, True)


def test_with_fail_a_clean_store_ends_it_with_0_and_wrong_usage_with_2(home: Any, sample: Any) -> None:
    """Three codes, as everywhere."""
    home.record(*sample())
    assert "Clean" in home.run("audit --fail", 0).stdout
    assert "--fast" in home.run("audit --fast", 2).stderr


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
    result = home.run(["audit", "--db", str(tmp_path / "demo" / "analytics.db"), "--fail", "--format", "json"])
    assert json.loads(result.stdout)["clean"] is True


@pytest.mark.parametrize("fail", ["", " --fail"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_named_file_that_does_not_exist_is_not_green(home: Any, fail: str, form: str) -> None:
    """A slip of the pen must not look like a clean store."""
    for line in (f"audit --db absent.db --format {form}{fail}", f"--db absent.db audit --format {form}{fail}"):
        result = home.run(line, 1)
        assert "there is no such file" in result.stdout
        assert "nothing recorded yet" in result.stderr
    assert form == "table" or not json.loads(result.stdout)["clean"]


@pytest.mark.parametrize(("options", "code"), [("", 0), (" --fail", 1)])
def test_a_named_service_that_has_recorded_nothing_fails_where_that_is_asked_for(
    home: Any, options: str, code: int
) -> None:
    """It may be one that has not run yet, or a slip of the pen."""
    assert "there is no such file" in home.run(f"--service absent audit{options}", code).stdout


@pytest.mark.parametrize("name", ["", ".", os.devnull])
def test_what_is_no_file_is_a_problem(home: Any, name: str) -> None:
    """An empty variable of a script names the working directory."""
    assert "and no file" in home.run(["audit", "--db", name, "--fail"], 1).stdout
    assert "and no file" in home.run(["audit", "--db", name]).stdout


def test_what_the_settings_let_stand_is_not_reported_and_what_they_look_for_is(home: Any, sample: Any) -> None:
    """The same policy as for what is recorded."""
    planted(home, sample)
    home.run("audit --fail", 1)
    home.config_file.parent.mkdir(parents=True)
    home.config_file.write_text(f"[redaction]\nvalues = ['{TOKEN}']\n", "utf-8")
    home.run("audit --fail", 0)
    home.config_file.write_text("[[redaction.rules]]\nname = 'thing'\npattern = 'skill-2'\n", "utf-8")
    assert {each["rule"] for each in home.json("audit")["findings"]} == {"gh-token", "thing"}


def test_settings_with_faults_are_a_problem(home: Any, sample: Any) -> None:
    """What they would look for is not known."""
    home.record(*sample())
    home.config_file.parent.mkdir(parents=True)
    home.config_file.write_text("[redaction]\nmode = 'some'\n", "utf-8")
    assert "the settings have faults" in home.run("audit --fail", 1).stdout

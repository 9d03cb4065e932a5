"""``usagetrace targets``: what it lists, checks and proposes, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from usagetrace.spool import Spool
from usagetrace.spool.calls import Calls
from usagetrace.spool.layout import spool_directory

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DAY_MS = 86_400_000
GOOD = '[track]\ndeploy = "shelf_tool:deploy"\n[[targets]]\nfunction = "shelf_tool:find"\nevent = "search"\n'


@pytest.fixture
def project(home: Any) -> Path:
    """A project with a tool and two targets that fit it."""
    (home.work / "shelf_tool.py").write_text(
        "print('imported')\ndef deploy(name): ...\ndef find(query): return []\ndef remove(name):\n    open(name, 'w')\n"
    )
    (home.work / "usagetrace.toml").write_text(GOOD)
    return Path(home.work)


def leave_calls(home: Any, service: str, *told: Calls) -> None:
    spool = Spool(spool_directory(home.store_path(service)))
    for calls in told:
        assert spool.append_calls(calls)
    spool.close()


def test_check_says_that_all_is_good(home: Any, project: Path) -> None:
    """One line, exit code 0, and nothing that the tool printed."""
    done = home.run("targets check")
    assert (done.stdout, done.stderr) == ("2 targets checked: 0 faults, 0 warnings\n", "")


def test_check_tells_every_fault_with_file_and_key_and_fails(home: Any, project: Path) -> None:
    """Faults of form, of functions and of fields, each on a line of its own, and the exit code is 1."""
    path = project / "usagetrace.toml"
    path.write_text(
        GOOD + 'artifact_name = "$qery"\n[[targets]]\nfunction = ["shelf_tool:gone", "shelf_tol:f"]\nevent = "sync"\n'
        '[[targets]]\nfunction = "shelf_tool:remove"\nevnt = "remove"\n'
        '[[targets]]\nfunction = "shelf_tool:old"\nevent = "remove"\noptional = true\n'
    )
    done = home.run("targets check", code=1)
    roots = "there are $query, $self, $cls, $result and $error"
    assert done.stdout.splitlines() == [
        f"fault: {path}: targets[3] (shelf_tool:remove): event: is missing; expected the name of an event type, such "
        "as 'deploy'",
        f"fault: {path}: targets[3] (shelf_tool:remove): evnt: unknown field; did you mean 'event'?",
        f"fault: {path}: targets[1] (shelf_tool:find): artifact_name: no parameter 'qery'; {roots}, at position 0 in "
        "'$qery'; did you mean $query?",
        f"fault: {path}: targets[2] (shelf_tool:gone): shelf_tool has no gone",
        f"warning: {path}: targets[4] (shelf_tool:old): shelf_tool has no old",
        f"fault: {path}: targets[2] (shelf_tol:f): no module shelf_tol; did you mean shelf_tool?",
        "5 targets checked: 5 faults, 1 warning",
    ]
    value = home.json("targets check", code=1)
    assert (value["targets"], value["faults"], value["warnings"], len(value["findings"])) == (5, 5, 1, 6)
    assert value["findings"][3] == {
        "severity": "fault", "where": f"{path}: targets[2] (shelf_tool:gone)", "function": "shelf_tool:gone",
        "message": "shelf_tool has no gone",
    }  # fmt: skip


def test_check_tells_of_a_file_that_is_no_toml(home: Any, project: Path) -> None:
    """With line and column, and exit code 1."""
    (project / "usagetrace.toml").write_text("[track\n")
    (line, end) = home.run("targets check", code=1).stdout.splitlines()
    assert line.startswith(f"fault: {project / 'usagetrace.toml'}: not valid TOML: ")
    assert "line 1" in line
    assert end == "0 targets checked: 1 fault, 0 warnings"


def test_check_looks_at_the_modules_that_are_named(home: Any, project: Path) -> None:
    """Also those of a package; a name that no target has is wrong usage."""
    (project / "usagetrace.toml").write_text(GOOD + '[[targets]]\nfunction = "pack.core:f"\nevent = "sync"\n')
    assert home.run("targets check shelf_tool").stdout == "2 targets checked: 0 faults, 0 warnings\n"
    assert "no module pack" in home.run("targets check pack", code=1).stdout
    assert "no target names a function in shelf" in home.run("targets check shelf", code=2).stderr


def test_a_file_of_targets_stands_for_the_projects(home: Any, project: Path) -> None:
    """`--config` names it, for `check` and for `list`; the setting of the environment is the same."""
    other = project / "other.toml"
    other.write_text('[track]\nremove = "shelf_tool:remove"\n')
    assert home.run(f"targets check --config {other}").stdout == "1 target checked: 0 faults, 0 warnings\n"
    (target,) = home.json(f"targets list --config {other}")["targets"]
    assert (target["function"], target["where"]) == ("shelf_tool:remove", f"{other}: track.remove")
    home.run("targets list --config none.toml", code=2)


@pytest.mark.parametrize("command", ["check", "list"])
def test_without_targets_the_commands_say_how_to_get_some(home: Any, command: str) -> None:
    """That is no failure."""
    done = home.run(f"targets {command}")
    assert done.stdout == ""
    assert "usagetrace targets suggest PACKAGE" in done.stderr


def test_list_shows_how_often_each_fired(home: Any, project: Path) -> None:
    """In all, today, and when last; of every tool's database; what never fired as well."""
    name = "shelf_tool.deploy"
    now = home.now_ms
    leave_calls(home, "shelf", Calls(now - 3 * DAY_MS, "shelf", {name: 4}), Calls(now, "shelf", {name: 2, "x.y": 9}))
    leave_calls(home, "other", Calls(now - 9 * DAY_MS, "other", {name: 1}))
    value = home.json("targets list")
    shown = [(t["function"], t["event"], t["calls"], t["calls_today"], t["last_day"]) for t in value["targets"]]
    assert shown == [
        ("shelf_tool:deploy", "deploy", 7, 2, "2026-11-01"), ("shelf_tool:find", "search", 0, 0, None)
    ]  # fmt: skip
    assert value["stores"] == [str(home.store_path("other")), str(home.store_path("shelf"))]
    assert value["faults"] == []
    (alone, _) = home.json("--service other targets list")["targets"]
    assert (alone["calls"], alone["calls_today"], alone["last_day"]) == (1, 0, "2026-10-23")
    text = home.run("targets list").stdout
    assert [line.split()[:5] for line in text.splitlines()[1:]] == [
        ["shelf_tool:deploy", "deploy", "7", "2", "2026-11-01"], ["shelf_tool:find", "search", "0", "0", "never"]
    ]  # fmt: skip
    assert f"{project / 'usagetrace.toml'}: targets[1]" in text


def test_list_shows_targets_of_all_kinds(home: Any, project: Path) -> None:
    """Cases of events, those that only fill, frameworks; faults go to standard error."""
    (project / "usagetrace.toml").write_text(
        '[[targets]]\nfunction = "m:cases"\nevent = { "$up" = "update", else = "deploy" }\n'
        '[[targets]]\nfunction = "m:fills"\nevent = "sync"\nfill_only = true\n'
        '[[targets]]\nclick = "m:cli"\n[[targets]]\nfastapi = "m:api"\n[[targets]]\nfunction = "m:bad"\n'
    )
    done = home.run("targets list")
    lines = [line.split("  ")[1:] for line in done.stdout.splitlines()[1:]]
    events = [next(filter(None, map(str.strip, cells))) for cells in lines]
    assert events == ["update or deploy", "sync (fills only)", "by click command", "by route"]
    assert "targets[5] (m:bad): event: is missing" in done.stderr


def test_list_tells_of_a_project_that_is_not_trusted_by_itself(home: Any, project: Path) -> None:
    """Its targets are listed, with the ways in which they count."""
    assert home.json("targets list")["untrusted"] == [str(project / "usagetrace.toml")]
    assert "it counts under `usagetrace run`" in home.run("targets list").stderr


def test_suggest_writes_targets_that_check_accepts(home: Any, project: Path) -> None:
    """TOML to standard output; the package is not imported."""
    done = home.run("targets suggest shelf_tool")
    assert tomllib.loads(done.stdout)["track"] == {"remove": "shelf_tool:remove"}
    assert "shelf_tool:find" in home.run("targets suggest shelf_tool --all").stdout
    assert "shelf_tool" not in sys.modules
    (project / "usagetrace.toml").write_text(done.stdout)
    assert " 0 faults" in home.run("targets check").stdout


def test_suggest_says_where_there_is_no_such_package(home: Any) -> None:
    """One line, exit code 1."""
    done = home.run("targets suggest no_such_package_anywhere", code=1)
    assert done.stdout == ""
    assert "no_such_package_anywhere" in done.stderr


def test_check_in_a_process_of_its_own(home: Any, project: Path) -> None:
    """As it is typed: standard output has the result alone, and the tool's module is found in the working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "usagetrace", "targets", "check"],
        cwd=project, env=dict(home.process_environ()), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 targets checked: 0 faults, 0 warnings\n", "")

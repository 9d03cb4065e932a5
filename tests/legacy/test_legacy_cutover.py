"""Comparing, cutting over and going back: by command, whole, and as often as it is asked for."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import legacy_json
from usagetrace.invocations import JsonMetricsTracker, SkillMetricsStore
from usagetrace.store.store import Store


def shape(content: dict[str, Any]) -> dict[str, Any]:
    """Return a file's content without the time of its last change."""
    return {name: value for name, value in content.items() if name != "last_updated"}


def change(place: Any, **totals: Any) -> None:
    """Have the file say something else of one skill."""
    content = place.content()
    content["skills"]["crackerjack-run"].update(totals)
    place.json.write_text(json.dumps(content, indent=2), "utf-8")


def test_the_sample_goes_into_the_store_and_comes_back_as_it_was(place: Any) -> None:
    """The same members, order, digits and indentation: a diff shows the time of the last change alone."""
    before = place.json.read_text("utf-8")
    place.run(f"import skills {place.json}")
    back = place.json.with_name("back.json")
    place.run(f"skills rollback {back}")
    lines = list(zip(before.splitlines(), back.read_text("utf-8").splitlines(), strict=True))
    assert [old.split(":")[0] for old, new in lines if old != new] == ['  "last_updated"']


def test_a_large_file_comes_back_with_the_totals_that_it_had(place: Any) -> None:
    """List and totals are equal to the last digit, whatever ended how, and the legacy reader's own rules hold."""
    content = legacy_json.write(place.json, 400, seed=7)
    place.run(f"import skills {place.json}")
    back = place.json.with_name("back.json")
    assert "400 invocations of 20 skills" in place.run(f"skills rollback {back}").stdout
    made = json.loads(back.read_text("utf-8"))
    assert shape(made) == shape(content)
    tracker = JsonMetricsTracker(back)
    assert {name: each.to_dict() for name, each in tracker.get_all_metrics().items()} == content["skills"]


def test_a_rollback_after_retention_keeps_the_totals(place: Any) -> None:
    """The list is shorter than they are; averages, rates and counters are those of everything that was counted."""
    content = legacy_json.write(place.json, 150, seed=3)
    place.run(f"import skills {place.json}")
    with Store(place.database) as store:
        middle = store.connection.execute("SELECT ts_ms FROM events ORDER BY ts_ms LIMIT 1 OFFSET 100").fetchone()[0]
        assert store.cleanup_old_events(30, now_ms=middle + 30 * 86_400_000) == 100
    place.run(f"skills rollback {place.json} --force")
    made = place.content()
    assert len(made["invocations"]) == 50
    left = {each["invoked_at"] for each in made["invocations"]}
    for name, skill in content["skills"].items():
        found = made["skills"][name]
        # What never ended is told from what ended by the event alone, which is gone.
        lost = sum(
            each["duration_seconds"] is None and each["skill_name"] == name and each["invoked_at"] not in left
            for each in content["invocations"]
        )
        assert found["total_invocations"] == skill["total_invocations"] + lost
        assert found["completed_invocations"] == skill["completed_invocations"]
        assert found["common_errors"] == skill["common_errors"]
        assert found["total_duration_seconds"] == pytest.approx(skill["total_duration_seconds"])


def test_a_rollback_has_no_key_that_the_legacy_tool_does_not_know(place: Any) -> None:
    """That tool takes a file with any other for an empty one, and overwrites it."""
    content = place.content()
    members = list(content["invocations"][0])
    for each in content["invocations"]:
        each.update(session_id="s-1", model="large")
    place.json.write_text(json.dumps(content), "utf-8")
    told = place.run(f"import skills {place.json}").stderr
    assert "the key invocations[].model (3 times) is not one of the legacy tool's" in told
    place.run(f"skills rollback {place.json} --force")
    assert [list(each) for each in place.content()["invocations"]] == [members] * 3
    assert list(place.content()["skills"]["session-checkpoint"]) == list(content["skills"]["session-checkpoint"])


def test_compare_tells_each_difference_and_fails(place: Any) -> None:
    """Exit code 1, skill, column and both values; without a difference exit code 0."""
    place.run(f"import skills {place.json}")
    assert "2 skills, 3 invocations: no difference" in place.run(f"skills compare {place.json}").stdout
    change(place, total_invocations=5, completion_rate=20.0)
    shown = place.run(f"skills compare {place.json}", code=1)
    assert "crackerjack-run: total_invocations is 5 in the JSON, 2 in the database" in shown.stdout
    assert "crackerjack-run: completion_rate is 20.0 in the JSON, 50.0 in the database" in shown.stdout
    found = json.loads(place.run(f"skills compare {place.json} --format json", code=1).stdout)
    assert found["differences"] == [
        {"skill_name": "crackerjack-run", "column": "total_invocations", "json": 5, "database": 2},
        {"skill_name": "crackerjack-run", "column": "completion_rate", "json": 20.0, "database": 50.0},
    ]
    assert "no difference" in place.run(f"skills compare {place.json} --recount").stdout


def test_compare_without_a_database_says_that_everything_is_missing(place: Any) -> None:
    """Nothing is made by looking."""
    shown = place.run(f"skills compare {place.json}", code=1)
    assert "session-checkpoint: total_invocations is 1 in the JSON, 0 in the database" in shown.stdout
    assert not place.database.exists()


def test_a_cutover_imports_compares_copies_and_notes(place: Any) -> None:
    """What was left of the file is in the database, a copy of it and a note beside it; given again it does nothing."""
    shown = place.run(f"skills cutover {place.json}").stdout
    assert "3 imported, 0 known already, 0 skipped" in shown
    note = json.loads(place.json.with_name("skill_metrics.json.cutover").read_text("utf-8"))
    copy = Path(note["copy"])
    assert (note["database"], note["invocations"], copy.read_bytes()) == (
        str(place.database), 3, place.json.read_bytes(),
    )  # fmt: skip
    listed = sorted(each.name for each in place.json.parent.iterdir())
    assert "cut over already" in place.run(f"skills cutover {place.json}").stdout
    assert sorted(each.name for each in place.json.parent.iterdir()) == listed
    refused = place.run(f"import skills {place.json}", code=1)
    assert "it was cut over: the database alone counts" in refused.stderr


def test_a_cutover_of_no_file_leaves_nothing(place: Any) -> None:
    """Neither a lock nor a database: the name was a slip."""
    place.json.unlink()
    before = sorted(place.json.parent.iterdir())
    assert "No such file" in place.run(f"skills cutover {place.json}", code=1).stderr
    assert sorted(place.json.parent.iterdir()) == before


def test_nothing_is_cut_over_while_the_two_differ(place: Any) -> None:
    """The differences are told, no note and no copy is left; ``--recount`` leaves the surplus behind."""
    change(place, total_invocations=5)
    refused = place.run(f"skills cutover {place.json}", code=1)
    assert "total_invocations is 5 in the JSON, 2 in the database" in refused.stdout
    assert "not cut over" in refused.stderr
    assert [each.name for each in place.json.parent.glob("skill_metrics.json.c*")] == []
    assert "cut over to" in place.run(f"skills cutover {place.json} --recount").stdout


def test_an_invocation_that_never_ended_is_abandoned_at_the_cutover(place: Any) -> None:
    """However young it is: the tool has stopped."""
    content = place.content()
    began = datetime.fromtimestamp(place.now_ms / 1000) - timedelta(minutes=5)
    begun = {"invoked_at": began.isoformat(), "duration_seconds": None, "error_type": None}
    content["invocations"].append({**content["invocations"][1], **begun})
    place.json.write_text(json.dumps(content), "utf-8")
    assert "1 skipped" in place.run(f"import skills {place.json}").stdout
    assert "1 imported, 3 known already, 0 skipped" in place.run(f"skills cutover {place.json}").stdout
    skill = json.loads(place.run("skills show crackerjack-run --format json").stdout)["skill"]
    assert skill["abandoned_invocations"] == 2


def test_a_file_that_was_written_after_its_cutover_is_named(place: Any) -> None:
    """What somebody still writes there would be lost in silence."""
    place.run(f"skills cutover {place.json}")
    change(place, total_invocations=3)
    assert "has been changed since" in place.run(f"skills cutover {place.json}", code=1).stderr


def test_a_rollback_overwrites_nothing_unasked(place: Any) -> None:
    """Without ``--force`` it is refused; with it the old file is set aside under a name that nothing has."""
    place.run(f"skills cutover {place.json}")
    before = place.json.read_bytes()
    assert "--force sets it aside" in place.run(f"skills rollback {place.json}", code=1).stderr
    place.run(f"skills rollback {place.json} --force")
    place.run(f"skills rollback {place.json} --force")
    aside = sorted(place.json.parent.glob("skill_metrics.json.aside-*"))
    assert [each.read_bytes() == before for each in aside] == [True, False]
    assert not place.json.with_name("skill_metrics.json.cutover").exists()


def test_what_was_tracked_after_the_cutover_is_in_the_file_and_not_imported_again(place: Any) -> None:
    """The way there, back, and there again counts every invocation once."""
    place.run(f"skills cutover {place.json}")
    with SkillMetricsStore(place.database) as store:
        store.track_invocation("new-skill", "daily").completer(completed=True, follow_up_actions=["git push"])
        store.track_invocation("new-skill").completer(completed=False, error_type="ValueError")
    place.run(f"skills rollback {place.json} --force")
    made = place.content()
    assert [each["skill_name"] for each in made["invocations"]].count("new-skill") == 2
    assert made["skills"] == legacy_json.totals(made["invocations"])
    JsonMetricsTracker(place.json).track_invocation("new-skill", "quick")(completed=True)
    place.now_ms += 10**9
    assert "1 imported, 5 known already" in place.run(f"skills cutover {place.json}").stdout
    listed = json.loads(place.run("skills list --format json").stdout)["skills"]
    assert {each["skill_name"]: each["total_invocations"] for each in listed} == {
        "crackerjack-run": 2, "new-skill": 3, "session-checkpoint": 1,
    }  # fmt: skip


def test_the_user_s_no_stops_what_writes(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a cutover nor a rollback writes anything."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    before = sorted(each.name for each in place.json.parent.iterdir())
    for command in ("cutover", "rollback"):
        assert "nothing is written, because" in place.run(f"skills {command} {place.json}", code=1).stderr
    assert sorted(each.name for each in place.json.parent.iterdir()) == before


# --- the reports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "code"),
    [
        ("skill", "skills show crackerjack-run", 0),
        ("skill_timeline", "skills timeline crackerjack-run --window all", 0),
        ("skill_search", "skills search quick", 0),
        ("skills", "skills list", 0),
        ("skills_compare", "skills compare {} ", 1),
    ],
)
def test_json_of_skills_has_the_documented_shape(full: Any, name: str, command: str, code: int) -> None:
    """Every key, its type and its place."""
    from tests.cli.test_cli_documented import mismatches, shapes

    found = json.loads(full.run(f"{command.format(full.json)} --format json", code).stdout)
    assert mismatches(shapes()[name], found, name) == []


@pytest.fixture
def full(place: Any) -> Any:
    """A place whose database has the sample, and one skill with texts that want care."""
    content = place.content()
    content["invocations"].append({**content["invocations"][0], "skill_name": "=1+1", "workflow_path": "a\x1b[31m/b"})
    place.json.write_text(json.dumps({"invocations": content["invocations"]}), "utf-8")
    place.run(f"import skills {place.json}")
    return place


@pytest.mark.parametrize(
    ("command", "report", "names"),
    [
        ("skills list", "skills", ["=1+1", "crackerjack-run", "session-checkpoint"]),
        ("skills timeline crackerjack-run --window all", "skill_timeline", ["crackerjack-run"] * 2),
        ("skills timeline crackerjack-run --window all --limit 1", "skill_timeline", ["crackerjack-run"]),
        ("skills timeline crackerjack-run --window 24h", "skill_timeline", []),
        ("skills timeline nobody", "skill_timeline", []),
        ("skills search compre*", "skill_search", ["crackerjack-run"]),
        ("skills search nothing", "skill_search", []),
    ],
)
def test_reports_say_the_same_in_each_form(full: Any, command: str, report: str, names: list[str]) -> None:
    """JSON names the report and the database, CSV has a line a row, the table has every name."""
    import csv

    found = json.loads(full.run(f"{command} --format json").stdout)
    rows = found["skills" if report == "skills" else "invocations"]
    assert (found["report"], found["store"], [each["skill_name"] for each in rows]) == (
        report, str(full.database), names,
    )  # fmt: skip
    read = list(csv.DictReader(io.StringIO(full.run(f"{command} --format csv").stdout)))
    assert [row["skill_name"].removeprefix("'") for row in read] == names
    assert all(row["skill_name"].startswith("'") == (row["skill_name"].removeprefix("'")[0] == "=") for row in read)
    table = full.run(command).stdout
    assert all(name in table for name in names)
    assert "none" in table or names


def test_one_skill_is_shown_with_everything_counted_of_it(full: Any) -> None:
    """Totals, durations, paths, errors, actions; nothing that moves a terminal's cursor; else a message."""
    shown = full.run("skills show crackerjack-run").stdout
    assert all(text in shown for text in ("2 invocations: 1 completed", "comprehensive", "ValueError", "git push"))
    assert "\x1b" not in full.run("skills show =1+1").stdout
    skill = json.loads(full.run("skills show crackerjack-run --format json").stdout)["skill"]
    assert (skill["completion_rate"], skill["first_invoked"]) == (50.0, "2026-11-21T01:24:26.227Z")
    assert "no invocation of a skill of this name" in full.run("skills show nobody", code=1).stderr


def test_a_window_that_names_no_time_is_wrong_usage(place: Any) -> None:
    """Exit code 2, and what was expected."""
    assert "--window" in place.run("skills timeline review --window soon", code=2).stderr


def test_no_report_makes_a_database(place: Any) -> None:
    """Where nothing is recorded yet the lists are empty."""
    assert json.loads(place.run("skills list --format json").stdout)["skills"] == []
    assert place.run("skills list").stdout == ""
    assert not place.database.exists()


def test_a_killed_rollback_leaves_the_old_file(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way, the file is there, and the cutover stands."""
    from usagetrace.invocations import cutover

    place.run(f"skills cutover {place.json}")
    before = place.json.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(place.json))

    for step in ("replace", "_remember"):
        with monkeypatch.context() as patch:
            patch.setattr(cutover, step, full)
            place.run(f"skills rollback {place.json} --force", code=1)
        assert place.json.read_bytes() == before
        assert place.json.with_name("skill_metrics.json.cutover").exists()
        assert [each.name for each in place.json.parent.iterdir() if "rollback" in each.name] == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_is_written_is_private(place: Any) -> None:
    """The copy and the note have the permissions of the file or stricter ones; a new file is its owner's alone."""
    place.json.chmod(0o600)
    place.run(f"skills cutover {place.json}")
    place.run(f"skills rollback {place.json.with_name('new.json')}")
    modes = {each.name: each.stat().st_mode & 0o077 for each in place.json.parent.iterdir() if each.is_file()}
    assert {name: mode for name, mode in modes.items() if mode} == {}


def test_a_rollback_does_not_hold_the_database(place: Any) -> None:
    """When it has ended others can write at once."""
    place.run(f"skills cutover {place.json}")
    place.run(f"skills rollback {place.json} --force")
    with contextlib.closing(sqlite3.connect(place.database, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()

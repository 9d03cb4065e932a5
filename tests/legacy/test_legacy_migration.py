"""Moving the history of a legacy file into the database: whole, once, and through any interruption."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import legacy_json
from usagetrace.errors import ImportFileError
from usagetrace.invocations import DataMigrator, SkillMetricsStore, get_store
from usagetrace.store.store import Store

ROOT = Path(__file__).parents[2]
COUNTS = ("total_invocations", "completed_invocations", "abandoned_invocations")
COUNTERS = ("workflow_paths", "common_errors", "follow_up_actions")


def recount(invocations: list[dict[str, Any]]) -> dict[str, Any]:
    """Count a list as the database does: what never ended is abandoned, and took its path."""
    skills: dict[str, Any] = {}
    for each in invocations:
        skill = skills.setdefault(each["skill_name"], {name: Counter() for name in (*COUNTERS, *COUNTS, "seconds")})
        skill["total_invocations"]["n"] += 1
        skill["completed_invocations" if each["completed"] else "abandoned_invocations"]["n"] += 1
        if each["completed"]:
            skill["seconds"]["n"] += each["duration_seconds"]
        skill["workflow_paths"].update([each["workflow_path"]] if each["workflow_path"] else [])
        skill["common_errors"].update([each["error_type"]] if each["error_type"] else [])
        skill["follow_up_actions"].update(each["follow_up_actions"])
    return skills


def require_equal(found: list[dict[str, Any]], invocations: list[dict[str, Any]]) -> None:
    """Compare the database's metrics with a recount of a file's list, skill by skill."""
    expected = recount(invocations)
    assert sorted(each["skill_name"] for each in found) == sorted(expected)
    for each in found:
        counted = expected[each["skill_name"]]
        assert {name: each[name] for name in COUNTS} == {name: counted[name]["n"] for name in COUNTS}
        assert {name: each[name] for name in COUNTERS} == {name: dict(counted[name]) for name in COUNTERS}
        assert each["total_duration_seconds"] == pytest.approx(counted["seconds"]["n"])
        share = counted["completed_invocations"]["n"] / counted["total_invocations"]["n"] * 100
        assert each["completion_rate"] == pytest.approx(share)


def metrics(database: Path) -> list[dict[str, Any]]:
    """Return what a database says of every skill."""
    with SkillMetricsStore(database) as store:
        return store.get_all_metrics()


def test_migration_from_json(temp_db: SkillMetricsStore, place: Any) -> None:
    """The document's own example: no errors of validation, and something migrated."""
    json_path = place.json
    migrator = DataMigrator(json_path, temp_db)
    stats = migrator.migrate_all_data()

    assert stats["validation_errors"] == 0
    assert stats["invocations_migrated"] > 0


def test_the_documents_second_phase(place: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Its code as it stands there, with the store of tracked calls and a path relative to the working directory."""
    monkeypatch.setenv("USAGETRACE_DB_PATH", str(place.database))
    monkeypatch.chdir(place.json.parent)
    Path(".session-buddy").mkdir()
    place.json.rename(".session-buddy/skill_metrics.json")
    store = get_store()
    migrator = DataMigrator(json_path=Path(".session-buddy/skill_metrics.json"), db_store=store)
    stats = migrator.migrate_all_data()
    print(f"Migrated {stats['invocations_migrated']} invocations")
    assert capsys.readouterr().out == "Migrated 3 invocations\n"
    assert store.get_skill_metrics("crackerjack-run")["completion_rate"] == 50.0
    store.close()


def test_the_sample_is_in_the_database_as_it_is_in_the_file(temp_db: SkillMetricsStore, place: Any) -> None:
    """Every total, every counter, every duration; a second run finds nothing new."""
    migrator = DataMigrator(place.json, temp_db)
    first, second = migrator.migrate_all_data(), migrator.migrate_all_data()
    assert (first["invocations_migrated"], first["invocations_known"], first["skills_migrated"]) == (3, 0, 2)
    assert (second["invocations_migrated"], second["invocations_known"]) == (0, 3)
    content = place.content()
    require_equal(temp_db.get_all_metrics(), content["invocations"])
    for each in temp_db.get_all_metrics():
        said = content["skills"][each["skill_name"]]
        columns = (*COUNTS, *COUNTERS)
        assert [each[name] for name in columns] == [said[name] for name in columns]
        assert each["avg_duration_seconds"] == pytest.approx(said["avg_duration_seconds"])


def test_what_was_added_to_the_file_comes_with_the_next_run(temp_db: SkillMetricsStore, place: Any) -> None:
    """Also an invocation equal to one that is there: each of them counts."""
    migrator = DataMigrator(place.json, temp_db)
    migrator.migrate_all_data()
    content = place.content()
    content["invocations"] += [content["invocations"][0]] * 2
    place.json.write_text(json.dumps(content), "utf-8")
    stats = migrator.migrate_all_data()
    assert (stats["invocations_migrated"], stats["invocations_known"], stats["validation_errors"]) == (2, 3, 5)
    assert temp_db.get_skill_metrics("crackerjack-run")["total_invocations"] == 4


def test_a_file_with_a_fault_leaves_the_database_as_it_is(place: Any, temp_db: SkillMetricsStore) -> None:
    """The fault is in the last record; not one of those before it is imported, and the file is not touched."""
    content = place.content()
    content["invocations"].append({**content["invocations"][0], "duration_seconds": -1})
    place.json.write_text(json.dumps(content), "utf-8")
    before = place.json.read_bytes()
    with pytest.raises(ImportFileError, match=r"invocations\[3\]\.duration_seconds"):
        DataMigrator(place.json, temp_db).migrate_all_data()
    assert (temp_db.get_all_metrics(), place.json.read_bytes()) == ([], before)


def test_retention_does_not_make_a_second_run_count_twice(place: Any, temp_db: SkillMetricsStore) -> None:
    """What was imported is remembered after its events are gone."""
    migrator = DataMigrator(place.json, temp_db)
    migrator.migrate_all_data()
    with Store(place.database) as store:
        assert store.cleanup_old_events(1, now_ms=place.now_ms) == 3
    assert migrator.migrate_all_data()["invocations_migrated"] == 0
    require_equal(temp_db.get_all_metrics(), place.content()["invocations"])


def test_nothing_is_migrated_where_the_user_said_no(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made, and the reason is among what is returned."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    with SkillMetricsStore(place.database) as store:
        stats = DataMigrator(place.json, store).migrate_all_data()
    assert (stats["invocations_migrated"], stats["reasons"]) == (0, {"telemetry is off": 1})
    assert not place.database.parent.exists()


INVOCATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "skill_name": st.sampled_from(["review", "run", "prüfen"]),
            "invoked_at": st.datetimes(min_value=legacy_json.BEGIN, max_value=legacy_json.BEGIN.replace(month=6)).map(
                lambda moment: moment.isoformat()
            ),
            "workflow_path": st.sampled_from([None, "", "quick", "daily/all"]),
            "completed": st.booleans(),
            "duration_seconds": st.floats(0, 1e5),
            "follow_up_actions": st.lists(st.sampled_from(["git push", "git commit"]), max_size=3),
            "error_type": st.sampled_from([None, "ValueError", "shelf.NotFound"]),
        }
    ),
    max_size=30,
)


@settings(max_examples=3)
@given(INVOCATIONS)
def test_any_list_is_counted_in_the_database_as_in_plain_python(
    tmp_path_factory: pytest.TempPathFactory, invocations: list[dict[str, Any]]
) -> None:
    """Whatever its order, its repetitions and its kinds of ending."""
    folder = tmp_path_factory.mktemp("list")
    path = folder / "metrics.json"
    path.write_text(json.dumps({"invocations": invocations}), "utf-8")
    with SkillMetricsStore(folder / "analytics.db") as store:
        stats = DataMigrator(path, store).migrate_all_data()
        assert stats["invocations_migrated"] == len(invocations)
        require_equal(store.get_all_metrics(), invocations)


def killed_import(path: Path, database: Path, batches: int) -> None:
    """Import in a process of its own, and kill it in the middle of the batch that follows so many."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.legacy.importing", str(path), str(database)],
        cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(batches):
            assert process.stdout.readline() != ""
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    assert process.returncode != 0


@pytest.mark.e2e
def test_an_import_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """SIGKILL between two batches or inside one: the second run adds the rest, and every total is right."""
    path, database = tmp_path / "metrics.json", tmp_path / "analytics.db"
    content = legacy_json.write(path, 2500)
    killed_import(path, database, 1)
    with SkillMetricsStore(database) as store:
        there = sum(each["total_invocations"] for each in store.get_all_metrics())
        stats = DataMigrator(path, store).migrate_all_data()
        assert 1000 <= there < 2500
        assert (stats["invocations_known"], stats["invocations_migrated"]) == (there, 2500 - there)
        require_equal(store.get_all_metrics(), content["invocations"])


@pytest.mark.e2e
def test_two_hundred_thousand_invocations(tmp_path: Path) -> None:
    """Totals a skill are equal, a second run adds nothing, and runs that are killed at random change nothing of it."""
    path, database = tmp_path / "metrics.json", tmp_path / "analytics.db"
    content = legacy_json.write(path, 200_000)
    chance = random.Random(time.time_ns())
    for _ in range(4):
        killed_import(path, database, chance.randrange(1, 40))
    with SkillMetricsStore(database) as store:
        stats = DataMigrator(path, store).migrate_all_data()
        assert 0 < stats["invocations_migrated"] < 200_000
        require_equal(store.get_all_metrics(), content["invocations"])
        assert DataMigrator(path, store).migrate_all_data()["invocations_migrated"] == 0
    whole = tmp_path / "whole.db"
    with SkillMetricsStore(whole) as store:
        began = time.monotonic()
        assert DataMigrator(path, store).migrate_all_data()["invocations_migrated"] == 200_000
        # Nothing is asserted of it: how long it takes depends on what else the machine does.
        print(f"200,000 invocations imported in {time.monotonic() - began:.1f} s")
        require_equal(store.get_all_metrics(), content["invocations"])

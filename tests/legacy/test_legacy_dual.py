"""Both systems at once: the JSON decides, the database never fails the tool, and each invocation counts once."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.errors import StoreUnavailableError
from usagetrace.importers.dual_written import DualWritten, _whole
from usagetrace.invocations import (
    DataMigrator,
    DualReadMetricsTracker,
    DualWriteMetricsTracker,
    JsonMetricsTracker,
    SkillMetricsStore,
)
from usagetrace.invocations.dual import Difference


class OwnTracker:
    """A tool's own tracker, as tools have it: a function ends an invocation, rates are methods, no times are told."""

    def __init__(self, path: Path) -> None:
        self.metrics_file = path
        self.invocations: list[dict[str, Any]] = []

    def track_invocation(self, skill_name: str, workflow_path: str | None = None) -> Callable[..., None]:
        record: dict[str, Any] = {
            "skill_name": skill_name, "invoked_at": datetime.now().isoformat(), "workflow_path": workflow_path,
            "completed": False, "duration_seconds": None, "follow_up_actions": [], "error_type": None,
        }  # fmt: skip
        self.invocations.append(record)

        def completer(
            *, completed: bool = True, follow_up_actions: list[str] | None = None, error_type: str | None = None
        ) -> None:
            record.update(completed=completed, follow_up_actions=follow_up_actions or [], error_type=error_type)
            record["duration_seconds"] = 0.25
            self.metrics_file.write_text(json.dumps({"invocations": self.invocations}), "utf-8")

        return completer

    def get_skill_metrics(self, skill_name: str) -> Any:
        ended = [
            each for each in self.invocations
            if each["skill_name"] == skill_name and each["duration_seconds"] is not None
        ]  # fmt: skip
        done = sum(each["completed"] for each in ended)
        paths = [each["workflow_path"] for each in ended if each["workflow_path"]]
        return ended and SimpleNamespace(
            total_invocations=len(ended),
            completed_invocations=done,
            abandoned_invocations=len(ended) - done,
            workflow_paths={path: paths.count(path) for path in paths},
            common_errors={},
            follow_up_actions={},
            completion_rate=lambda: done / len(ended) * 100,
        )


class BrokenStore:
    """A database that can't be had."""

    def track_invocation(self, *_: object, **__: object) -> Any:
        raise StoreUnavailableError("/srv/metrics.db: the disk is full: free some space")

    def get_skill_metrics(self, _: str) -> dict[str, Any]:
        raise StoreUnavailableError("/srv/metrics.db: the disk is full: free some space")


@pytest.fixture(params=["ours", "own"])
def json_tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Our tracker of the JSON, and a tool's own."""
    path = tmp_path / "dual.json"
    return JsonMetricsTracker(path) if request.param == "ours" else OwnTracker(path)


def test_both_are_written_and_an_import_adds_nothing(json_tracker: Any, temp_db: SkillMetricsStore) -> None:
    """What was written to both is known by the import of the file, whoever wrote that; what only the JSON has comes."""
    json_tracker.track_invocation("review", "daily")(completed=True)
    tracker = DualWriteMetricsTracker(json_tracker, temp_db)
    for number in range(6):
        begun = tracker.track_invocation("review", workflow_path="quick", session_id="s-1")
        begun(completed=number % 2 == 0) if number % 3 else begun.completer(completed=number % 2 == 0)
    json_tracker.track_invocation("review", "daily")(completed=True)
    migrator = DataMigrator(json_tracker.metrics_file, temp_db)
    stats = migrator.migrate_all_data()
    assert (stats["invocations_migrated"], stats["invocations_known"], stats["skipped"]) == (2, 6, 0)
    assert migrator.migrate_all_data()["invocations_migrated"] == 0
    found = temp_db.get_skill_metrics("review")
    assert (found["total_invocations"], found["completed_invocations"]) == (8, 5)
    assert found["workflow_paths"] == {"quick": 6, "daily": 2}
    assert tracker.get_skill_metrics("review").total_invocations == 8
    assert temp_db.conn.execute("SELECT DISTINCT session_id FROM session_skill").fetchall()[0][0] == "s-1"


def test_threads_that_write_both_are_counted_once(tmp_path: Path, temp_db: SkillMetricsStore) -> None:
    """Their moments overlap, and each invocation of the file still finds its own event."""
    json_tracker = JsonMetricsTracker(tmp_path / "dual.json")
    tracker = DualWriteMetricsTracker(json_tracker, temp_db)

    def work() -> None:
        for _ in range(8):
            tracker.track_invocation("review")(completed=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = DataMigrator(json_tracker.metrics_file, temp_db).migrate_all_data()
    assert (stats["invocations_migrated"], stats["invocations_known"]) == (0, 32)
    assert temp_db.get_skill_metrics("review")["total_invocations"] == 32


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.integers(0, 12)), max_size=12), st.randoms())
def test_each_invocation_finds_an_event_whatever_the_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, begun: list[tuple[int, int, int]], chance: Any
) -> None:
    """However spans overlap: there are as many matches as invocations, and no event is found twice."""

    def moment(second: int) -> str:
        return (datetime(2026, 1, 1) + timedelta(seconds=second)).isoformat()

    written = DualWritten(None)
    written._spans = {"review": [(_whole(moment(at)), _whole(moment(at + b + a))) for at, b, a in begun]}
    invocations = [("review", moment(at + before)) for at, before, _ in begun]
    chance.shuffle(invocations)
    written.match(invocations)
    assert [written.takes(*each) for each in invocations] == [True] * len(begun)
    assert not any(written.takes(*each) for each in invocations)


class DocumentsTracker:
    """The tracker that the document writes out, with its arguments filled in."""

    def __init__(self, json_tracker: Any, db_store: Any) -> None:
        self.json_tracker = json_tracker
        self.db_store = db_store

    def track_invocation(self, skill_name: str, workflow_path: str) -> Callable[..., None]:
        json_completer = self.json_tracker.track_invocation(skill_name, workflow_path)
        db_completer = self.db_store.track_invocation(skill_name, workflow_path)

        def dual_complete(**kwargs: Any) -> None:
            json_completer(**kwargs)
            db_completer(**kwargs)

        return dual_complete

    def get_skill_metrics(self, skill_name: str) -> Any:
        db_metrics = self.db_store.get_skill_metrics(skill_name)
        json_metrics = self.json_tracker.get_skill_metrics(skill_name)
        assert db_metrics["total_invocations"] == json_metrics.total_invocations
        return db_metrics


def test_the_documents_own_tracker_works_with_both(json_tracker: Any, temp_db: SkillMetricsStore) -> None:
    """Its two phases as written there: both completers take the same arguments, and both sides the same counts."""
    tracker = DocumentsTracker(json_tracker, temp_db)
    tracker.track_invocation("review", "quick")(completed=True, follow_up_actions=["git push"])
    tracker.track_invocation("review", "quick")(completed=False, error_type="ValueError")
    assert tracker.get_skill_metrics("review")["completion_rate"] == 50.0


# One invocation that its process does not live to end, listed by the end of another one.
KILLED = """
import os, signal, sys
from usagetrace.invocations import DualWriteMetricsTracker, JsonMetricsTracker, SkillMetricsStore

tracker = DualWriteMetricsTracker(JsonMetricsTracker(sys.argv[1]), SkillMetricsStore(sys.argv[2]))
tracker.track_invocation("review", "quick")
tracker.track_invocation("review", "daily")(completed=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.e2e
def test_a_killed_process_leaves_both_in_agreement(place: Any) -> None:
    """What it had begun is abandoned in the database, listed in the JSON, and counted once."""
    place.json.unlink()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", KILLED, str(place.json), str(place.database)]
    assert subprocess.run(command, env=environ, check=False).returncode != 0
    assert "0 imported, 2 known already, 0 skipped" in place.run(f"skills cutover {place.json}").stdout
    skill = json.loads(place.run("skills show review --format json").stdout)["skill"]
    assert (skill["total_invocations"], skill["abandoned_invocations"]) == (2, 1)


def test_a_database_that_fails_does_not_fail_the_tool(json_tracker: Any, caplog: Any) -> None:
    """The JSON has everything; the failure is told once, counted each time, and kept."""
    tracker = DualReadMetricsTracker(json_tracker, BrokenStore())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            tracker.track_invocation("review")(completed=True)
        answer = tracker.get_skill_metrics("review")
    assert (answer["total_invocations"], answer["completion_rate"]) == (3, 100.0)
    assert tracker.database_failures == 4
    assert isinstance(tracker.last_database_error, StoreUnavailableError)
    assert len([each for each in caplog.records if "the disk is full" in each.getMessage()]) == 1


def test_what_the_json_raises_is_raised(temp_db: SkillMetricsStore) -> None:
    """It is the source of truth: without the database the tool would have met it as well."""

    class Broken(OwnTracker):
        def track_invocation(self, skill_name: str, workflow_path: str | None = None) -> Callable[..., None]:
            raise PermissionError(13, "denied")

    tracker = DualWriteMetricsTracker(Broken(Path("nowhere.json")), temp_db)
    with pytest.raises(PermissionError):
        tracker.track_invocation("review")
    assert temp_db.get_skill_metrics("review")["total_invocations"] == 0


def test_reading_gives_the_databases_answer_and_names_what_differs(
    json_tracker: Any, temp_db: SkillMetricsStore, caplog: Any
) -> None:
    """Counts that are not equal, and rates that are more than 0.01 apart: skill, column and both values."""
    tracker = DualReadMetricsTracker(json_tracker, temp_db)
    tracker.track_invocation("review", "quick")(completed=True)
    assert tracker.get_skill_metrics("review")["total_invocations"] == 1
    assert tracker.differences == []
    temp_db.track_invocation("review", "quick").completer(completed=False)
    with caplog.at_level(logging.WARNING):
        assert tracker.get_skill_metrics("review")["total_invocations"] == 2
        assert tracker.get_skill_metrics("review")["total_invocations"] == 2
    assert tracker.differences == [
        Difference("review", "total_invocations", 1, 2),
        Difference("review", "abandoned_invocations", 0, 1),
        Difference("review", "workflow_paths", {"quick": 1}, {"quick": 2}),
        Difference("review", "completion_rate", 100.0, 50.0),
    ]
    told = [each.getMessage() for each in caplog.records if "skill metrics differ" in each.getMessage()]
    assert len(told) == 4
    assert "review: total_invocations is 1 in the JSON, 2 in the database" in told[0]
    json_tracker.track_invocation("review", "quick")(completed=False)
    tracker.get_skill_metrics("review")
    assert tracker.differences == []


@pytest.mark.parametrize(("rate", "differs"), [(50.0, False), (50.009, False), (49.991, False), (50.02, True)])
def test_rates_may_differ_by_a_hundredth(rate: float, differs: bool) -> None:
    """The tolerance of the document, on both sides."""
    counts = {"total_invocations": 2, "completed_invocations": 1, "abandoned_invocations": 1}
    tracker = DualReadMetricsTracker(
        SimpleNamespace(get_skill_metrics=lambda _: SimpleNamespace(**counts, completion_rate=rate)),  # type: ignore[arg-type]
        SimpleNamespace(get_skill_metrics=lambda _: {**counts, "completion_rate": 50.0}),  # type: ignore[arg-type]
    )
    tracker.get_skill_metrics("review")
    assert [each.column for each in tracker.differences] == (["completion_rate"] if differs else [])


def test_what_never_ended_is_no_difference(tmp_path: Path, temp_db: SkillMetricsStore) -> None:
    """The file lists it and counts it not; the database counts it as abandoned."""
    path = tmp_path / "dual.json"
    began = {
        "skill_name": "review", "invoked_at": "2026-01-01T00:00:00", "workflow_path": "quick", "completed": False,
        "duration_seconds": None, "follow_up_actions": [], "error_type": None,
    }  # fmt: skip
    path.write_text(json.dumps({"invocations": [began]}), "utf-8")
    json_tracker = JsonMetricsTracker(path)
    json_tracker.track_invocation("review", "quick")(completed=True)
    assert DataMigrator(path, temp_db).migrate_all_data()["invocations_migrated"] == 2
    tracker = DualReadMetricsTracker(json_tracker, temp_db)
    found = tracker.get_skill_metrics("review")
    assert (found["total_invocations"], found["abandoned_invocations"]) == (2, 1)
    assert tracker.differences == []


def test_after_a_cutover_the_json_is_left_alone(place: Any, temp_db: SkillMetricsStore) -> None:
    """Trackers that run on write and read the database alone, and go back when it is undone."""
    json_tracker = JsonMetricsTracker(place.json)
    tracker = DualWriteMetricsTracker(json_tracker, temp_db)
    place.run(f"skills cutover {place.json}")
    before = place.json.read_bytes()
    tracker.track_invocation("crackerjack-run", "quick")(completed=True)
    assert (tracker.cut_over, place.json.read_bytes()) == (True, before)
    found = tracker.get_skill_metrics("crackerjack-run")
    # The tool goes on as it is: it reads attributes, and calls the rates.
    assert (found["total_invocations"], found.total_invocations) == (3, 3)
    assert (
        found.completion_rate()
        == found["completion_rate"]
        == temp_db.get_skill_metrics("crackerjack-run")["completion_rate"]
    )
    assert found.to_dict() == temp_db.get_skill_metrics("crackerjack-run")
    assert not hasattr(found, "no_such_number")
    place.run(f"skills rollback {place.json} --force")
    tracker.track_invocation("crackerjack-run", "quick")(completed=True)
    assert tracker.cut_over is False
    assert tracker.get_skill_metrics("crackerjack-run").total_invocations == 4
    assert temp_db.get_skill_metrics("crackerjack-run")["total_invocations"] == 4
    assert DataMigrator(place.json, temp_db).migrate_all_data()["invocations_migrated"] == 0

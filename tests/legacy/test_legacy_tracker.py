"""``JsonMetricsTracker``: the legacy file as the legacy tool writes it, without what that tool may destroy."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import legacy_json
from usagetrace.errors import ImportFileError
from usagetrace.invocations import JsonMetricsTracker
from usagetrace.invocations import legacy as legacy_module

MEMBERS = [
    "skill_name", "invoked_at", "workflow_path", "completed", "duration_seconds", "follow_up_actions", "error_type",
]  # fmt: skip


def content(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_the_file_has_the_members_of_the_sample_in_their_order(place: Any, tmp_path: Path) -> None:
    """List, totals and time of the last change, indented by two: the legacy tool takes nothing else."""
    tracker = JsonMetricsTracker(tmp_path / "new" / "metrics.json")
    tracker.track_invocation("review", "quick")(completed=True, follow_up_actions=["git push"])
    tracker.track_invocation("review")(completed=False, error_type="ValueError")
    made, sample = content(tracker.metrics_file), place.content()
    assert list(made) == list(sample)
    assert [list(each) for each in made["invocations"]] == [MEMBERS] * 2
    assert list(made["skills"]["review"]) == list(sample["skills"]["crackerjack-run"])
    assert made["skills"] == legacy_json.totals(made["invocations"])
    assert tracker.metrics_file.read_text("utf-8") == json.dumps(made, indent=2)
    assert os.name != "posix" or tracker.metrics_file.stat().st_mode & 0o777 == 0o600


def test_totals_go_on_from_those_of_the_file(place: Any) -> None:
    """A file of the tool's is read, added to, and read again, by attributes as the tool has them."""
    tracker = JsonMetricsTracker(place.json)
    before = tracker.get_skill_metrics("crackerjack-run")
    assert before is not None
    assert (before.total_invocations, before.completion_rate, before.completion_rate()) == (2, 50.0, 50.0)
    tracker.track_invocation("crackerjack-run", "quick")(completed=True)
    after = JsonMetricsTracker(place.json).get_skill_metrics("crackerjack-run")
    assert after is not None
    assert (after.total_invocations, after.completed_invocations, after.workflow_paths) == (
        3, 2, {"comprehensive": 1, "quick": 2},
    )  # fmt: skip
    assert place.content()["skills"] == legacy_json.totals(place.content()["invocations"])
    assert tracker.get_skill_metrics("no such skill") is None


def test_what_has_begun_is_listed_and_in_no_total_until_it_ends(tmp_path: Path) -> None:
    """As the tool has it; it keeps its place, and ending it twice counts once."""
    tracker = JsonMetricsTracker(tmp_path / "metrics.json")
    first = tracker.track_invocation("review")
    tracker.track_invocation("review", "quick")()
    listed = content(tracker.metrics_file)
    assert [each["duration_seconds"] is None for each in listed["invocations"]] == [True, False]
    assert (listed["skills"]["review"]["total_invocations"], tracker.never_ended("review")) == (1, 1)
    first(completed=True)
    first(completed=False)
    ended = content(tracker.metrics_file)
    assert [(each["workflow_path"], each["completed"]) for each in ended["invocations"]] == [
        (None, True),
        ("quick", True),
    ]
    assert (ended["skills"]["review"]["total_invocations"], tracker.never_ended("review")) == (2, 0)


def test_threads_and_trackers_lose_nothing(tmp_path: Path) -> None:
    """Two trackers of one file, each used by several threads: one lock, one file that is put in place whole."""
    trackers = [JsonMetricsTracker(tmp_path / "metrics.json", lock_timeout_s=120) for _ in range(2)]

    def work(tracker: JsonMetricsTracker) -> None:
        for _ in range(5):
            tracker.track_invocation("review")()

    threads = [threading.Thread(target=work, args=(tracker,)) for tracker in trackers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = content(tmp_path / "metrics.json")
    assert (len(made["invocations"]), made["skills"]["review"]["total_invocations"]) == (20, 20)


def track(path: str) -> None:
    """Track in a process of its own."""
    tracker = JsonMetricsTracker(path, lock_timeout_s=120)
    for _ in range(5):
        tracker.track_invocation("review")()


@pytest.mark.e2e
def test_processes_lose_nothing(tmp_path: Path) -> None:
    """Each reads what the others wrote, under one lock, and puts the file in place whole."""
    path = str(tmp_path / "metrics.json")
    processes = [multiprocessing.get_context("spawn").Process(target=track, args=(path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    made = content(Path(path))
    assert (len(made["invocations"]), made["skills"]["review"]["total_invocations"]) == (10, 10)
    assert sorted(each.name for each in tmp_path.glob("*metrics*")) == ["metrics.json", "metrics.json.lock"]


@pytest.mark.parametrize("spoilt", [b'{"invocations": [', b"\xff\xfe", b'{"invocations": [{"skill_name": 7}]}'])
def test_a_file_that_cannot_be_read_is_never_written(tmp_path: Path, spoilt: bytes, caplog: Any) -> None:
    """The tool's call goes on, it is told once, and what ended is written once the file can be read again."""
    path = tmp_path / "metrics.json"
    path.write_bytes(spoilt)
    tracker = JsonMetricsTracker(path)
    with caplog.at_level(logging.WARNING):
        tracker.track_invocation("review")()
        tracker.track_invocation("review")()
    assert path.read_bytes() == spoilt
    assert tracker.unsaved == 2
    assert len([each for each in caplog.records if "is kept until the next one" in each.getMessage()]) == 1
    with pytest.raises(ImportFileError):
        tracker.get_skill_metrics("review")
    path.unlink()
    tracker.track_invocation("review")()
    assert (tracker.unsaved, content(path)["skills"]["review"]["total_invocations"]) == (0, 3)


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """While the file can't be written the newest are kept, and it is told once that older ones are lost."""
    monkeypatch.setattr(legacy_module, "_MOST_WAITING", 3)
    path = tmp_path / "metrics.json"
    path.write_bytes(b"{")
    tracker = JsonMetricsTracker(path)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            tracker.track_invocation(f"skill-{number}")()
    assert tracker.unsaved == 3
    assert len([each for each in caplog.records if "are lost" in each.getMessage()]) == 1
    path.unlink()
    tracker.track_invocation("last")()
    assert sorted(content(path)["skills"]) == ["last", "skill-4", "skill-5"]


def test_an_invocation_that_would_spoil_the_file_is_left_out(tmp_path: Path, caplog: Any) -> None:
    """A name of a megabyte is told and dropped; the others are written."""
    tracker = JsonMetricsTracker(tmp_path / "metrics.json")
    with caplog.at_level(logging.WARNING):
        tracker.track_invocation("x" * 2**20)()
    tracker.track_invocation("review")()
    assert list(content(tracker.metrics_file)["skills"]) == ["review"]
    assert "left out of the skill metrics" in caplog.text


def test_writing_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes between, the file is the old or the new one, and nothing else is left."""
    tracker = JsonMetricsTracker(tmp_path / "metrics.json")
    tracker.track_invocation("review")()
    before = tracker.metrics_file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(legacy_module, "replace", full)
        tracker.track_invocation("review")()
    assert (tracker.metrics_file.read_bytes(), tracker.unsaved) == (before, 1)
    tracker.track_invocation("review")()
    assert content(tracker.metrics_file)["skills"]["review"]["total_invocations"] == 3

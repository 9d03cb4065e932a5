"""What threads, processes and killed processes invoked is counted exactly, and as a recount in plain Python says."""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.invocations.counting import SKILLS, Meant, meant
from tests.support.process import run
from usagetrace.invocations import SkillMetricsStore

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def _text(ts_ms: int) -> str:
    whole, rest = divmod(ts_ms, 1000)
    return f"{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%d %H:%M:%S}.{rest:03}"


def _rank(durations: list[float], percent: int) -> float | None:
    """Return a percentile by nearest rank."""
    return sorted(durations)[math.ceil(len(durations) * percent / 100) - 1] if durations else None


def recount(skill: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the view of metrics is to say of a skill, from its events alone."""
    said = [(event, json.loads(event["metadata"] or "{}")) for event in events]
    completed = [event for event, metadata in said if event["status"] != "abandoned" and metadata["completed"]]
    durations = [event["duration_ms"] / 1000 for event in completed]
    errors = [event["error_type"] or metadata.get("error_type") for event, metadata in said]
    return {
        "skill_name": skill,
        "total_invocations": len(events),
        "completed_invocations": len(completed),
        "abandoned_invocations": len(events) - len(completed),
        "total_duration_seconds": pytest.approx(math.fsum(durations), rel=1e-9),
        "workflow_paths": Counter(metadata["workflow_path"] for _, metadata in said if metadata.get("workflow_path")),
        "common_errors": Counter(error for error in errors if error),
        "follow_up_actions": Counter(
            action for _, metadata in said for action in metadata.get("follow_up_actions", ())
        ),
        "first_invoked": _text(min(event["ts_ms"] for event in events)),
        "last_invoked": _text(max(event["ts_ms"] for event in events)),
        "completion_rate": pytest.approx(len(completed) * 100 / len(events)),
        "avg_duration_seconds": pytest.approx(math.fsum(durations) / len(durations), rel=1e-9),
        "schema_version": 1,
        "min_duration_seconds": min(durations),
        "max_duration_seconds": max(durations),
        **{
            f"p{percent}_duration_seconds": pytest.approx(_rank(durations, percent), rel=0.01)
            for percent in (50, 95, 99)
        },
    }


def sessions(events: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what the view of sessions is to say, from the events alone."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        groups[event["session_id"], event["artifact_name"]].append(event)
    return [
        (
            *key,
            len(group),
            _text(min(event["ts_ms"] for event in group)),
            _text(max(event["ts_ms"] for event in group)),
            pytest.approx(
                math.fsum(
                    event["duration_ms"] / 1000
                    for event in group
                    if event["duration_ms"] and json.loads(event["metadata"] or "{}").get("completed")
                )
            ),
        )
        for key, group in sorted(groups.items())
    ]


def compare_totals(events: list[dict[str, Any]], workers: int, each: int) -> None:
    """See that what was invoked by those that were not killed is there, each once, and says what it is to say."""
    expected: Counter[Meant] = Counter()
    for kind in ("thread", "process"):
        for worker in range(workers):
            expected.update(meant(f"{kind}-{worker}", number) for number in range(each))
    found: Counter[Meant] = Counter()
    for event in events:
        if event["session_id"].startswith("killed"):
            continue
        metadata = json.loads(event["metadata"])
        found[
            Meant(
                event["artifact_name"],
                metadata.get("workflow_path"),
                event["session_id"],
                metadata["completed"],
                event["error_type"] or metadata.get("error_type"),
                tuple(metadata.get("follow_up_actions", ())),
            )
        ] += 1
    assert found.total() == 2 * workers * each
    assert found == expected


def compare_killed(events: list[dict[str, Any]], said: dict[str, str]) -> None:
    """See that of the killed ones all that they said is there, at most one beginning and one end beyond it."""
    for worker, text in said.items():
        own = [event for event in events if event["session_id"].rpartition("-")[0] == worker]
        begun, ended = len(own), sum(event["status"] != "abandoned" for event in own)
        assert text.count("+") <= begun <= text.count("+") + 1
        assert text.count("-") <= ended <= text.count("-") + 1


@pytest.mark.parametrize(
    ("workers", "each", "killed"), [(3, 40, 1), pytest.param(10, 1000, 5, marks=pytest.mark.e2e)], ids=["few", "many"]
)
def test_totals_are_exact(tmp_path: Path, workers: int, each: int, killed: int) -> None:
    """Every column of the metrics equals a recount, percentiles within 1 %; nothing is lost, and nothing twice."""
    path = tmp_path / "own" / "skills.db"
    program = [sys.executable, "-m", "tests.invocations.counting", str(path), str(workers), str(each), str(killed)]
    done = run([*program], tmp_path / "home", {"PYTHONPATH": str(ROOT)}, timeout=300)
    assert (done.code, done.err) == (0, "")
    said: dict[str, str] = json.loads(done.out)
    assert len(said) == killed
    with SkillMetricsStore(path) as store:
        metrics = store.get_all_metrics()
        summary = store.get_summary()
        events = [dict(row) for row in store.conn.execute("SELECT * FROM events ORDER BY id")]
        view = [tuple(row) for row in store.conn.execute("SELECT * FROM session_skill ORDER BY session_id, skill_name")]
        listed = store.conn.execute("SELECT COUNT(*), SUM(completed) FROM skill_invocation").fetchone()
    compare_totals(events, workers, each)
    compare_killed(events, said)
    assert any(event["status"] == "abandoned" for event in events)
    by_skill = {skill: [event for event in events if event["artifact_name"] == skill] for skill in SKILLS}
    expected = [recount(skill, by_skill[skill]) for skill in sorted(SKILLS)]
    assert metrics == expected
    assert view == sessions(events)
    completed = sum(each["completed_invocations"] for each in metrics)
    assert (summary["total_skills"], summary["total_invocations"]) == (len(SKILLS), len(events))
    assert summary["overall_completion_rate"] == pytest.approx(completed * 100 / len(events))
    assert tuple(listed) == (len(events), completed)

"""A tool that was written against the required classes runs after changing one import.

The calls are those that such a tool makes: each is made as it is written there, in the same order, with the same
arguments, and what it looks at afterwards is what it looks at there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from usagetrace.invocations import SkillMetricsStore, get_store, reader

SKILL = "crackerjack-run"


@pytest.fixture
def temp_db(tmp_path: Path) -> Iterator[SkillMetricsStore]:
    """Return a store of its own file."""
    store = SkillMetricsStore(tmp_path / "skill_metrics.db")
    yield store
    store.close()


@pytest.fixture
def store() -> Iterator[SkillMetricsStore]:
    """Return the shared store, of a home that is the test's own."""
    store = get_store()
    yield store
    store.close()


def complete_one(store: SkillMetricsStore) -> None:
    """Track one invocation as a tool does."""
    result = store.track_invocation(skill_name=SKILL, workflow_path="comprehensive", session_id="session-abc123")
    result.completer(completed=True, follow_up_actions=["git commit", "git push"])


def test_an_invocation_is_tracked_and_completed(store: SkillMetricsStore) -> None:
    """Pattern 1: begin with name, path and session; complete with what followed; the metrics show it at once."""
    complete_one(store)
    metrics = store.get_skill_metrics(SKILL)
    counts = [metrics[f"{name}_invocations"] for name in ("total", "completed", "abandoned")]
    assert counts == [1, 1, 0]
    assert metrics["workflow_paths"] == {"comprehensive": 1}
    assert metrics["follow_up_actions"] == {"git commit": 1, "git push": 1}
    sessions = store.conn.execute("SELECT session_id, skill_name, invocation_count FROM session_skill").fetchall()
    assert list(map(tuple, sessions)) == [("session-abc123", SKILL, 1)]


def test_access_may_be_concurrent(store: SkillMetricsStore) -> None:
    """Pattern 2: the method for concurrent access does the same."""
    result = store.track_invocation_concurrent(SKILL)
    result.completer(completed=True)
    assert store.get_skill_metrics(SKILL)["completed_invocations"] == 1


@pytest.mark.parametrize("tracked", [True, False])
def test_queries_answer_what_a_tool_prints(store: SkillMetricsStore, tracked: bool) -> None:
    """Pattern 3: metrics, all metrics, summary, timeline and search; also where nothing was tracked yet."""
    if tracked:
        complete_one(store)
    metrics = store.get_skill_metrics(SKILL)
    all_metrics = store.get_all_metrics()
    summary = store.get_summary()
    timeline = store.get_skill_timeline(SKILL, time_window="7 days")
    results = store.search_workflow_paths("comprehensive")
    rate = "100.0" if tracked else "0.0"
    assert f"Completion: {metrics['completion_rate']:.1f}%" == f"Completion: {rate}%"
    assert all_metrics == ([metrics] if tracked else [])
    assert f"Total skills: {summary['total_skills']}" == f"Total skills: {int(tracked)}"
    assert f"Overall completion: {summary['overall_completion_rate']:.1f}%" == f"Overall completion: {rate}%"
    assert summary["total_invocations"] == int(tracked)
    assert [row["skill_name"] for row in timeline] == [SKILL] * tracked
    assert [row["workflow_path"] for row in results] == ["comprehensive"] * tracked


def test_track_invocation(temp_db: SkillMetricsStore) -> None:
    """The unit test of such a tool passes as it is."""
    result = temp_db.track_invocation("test-skill")
    result.completer(completed=True)

    metrics = temp_db.get_skill_metrics("test-skill")
    assert metrics["total_invocations"] == 1
    assert metrics["completion_rate"] == 100.0


def test_concurrent_access(temp_db: SkillMetricsStore) -> None:
    """The integration test of such a tool passes as it is."""

    def track_skill() -> None:
        result = temp_db.track_invocation("test-skill")
        result.completer(completed=True)

    threads = [threading.Thread(target=track_skill) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    metrics = temp_db.get_skill_metrics("test-skill")
    assert metrics["total_invocations"] == 10


def check_database_health(store: SkillMetricsStore) -> dict[str, Any]:
    """Look at a database as a tool does that has a check of its own."""
    return {
        "database_size_mb": store.db_path.stat().st_size / (1024 * 1024),
        "total_invocations": store.conn.execute("SELECT COUNT(*) FROM skill_invocation").fetchone()[0],
        "total_skills": store.conn.execute("SELECT COUNT(*) FROM skill_metrics").fetchone()[0],
        "schema_version": store.conn.execute("SELECT MAX(version) FROM schema_migrations").fetchone()[0],
    }


@pytest.mark.parametrize("tracked", [True, False])
def test_a_tools_own_health_check_runs(temp_db: SkillMetricsStore, tracked: bool) -> None:
    """File, views and version are where it looks for them, also before the first invocation."""
    if tracked:
        temp_db.track_invocation("test-skill").completer()
    health = check_database_health(temp_db)
    assert health["database_size_mb"] > 0
    assert (health["total_invocations"], health["total_skills"]) == (int(tracked), int(tracked))
    assert health["schema_version"] >= 6


def test_a_slow_query_is_told_of(
    temp_db: SkillMetricsStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A tool that measures queries itself finds them quick; one that takes more than 100 ms is in the log."""
    now, step = [0], [0]

    def clock() -> int:
        now[0] += step[0]
        return now[0]

    monkeypatch.setattr(reader, "_ticks", clock)
    temp_db.get_skill_metrics(SKILL)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    step[0] = 123_000_000
    start = time.time()
    metrics = temp_db.get_skill_metrics(SKILL)
    duration_ms = (time.time() - start) * 1000
    assert metrics["total_invocations"] == 0
    assert duration_ms >= 0
    temp_db.get_summary()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [
        "usagetrace: Slow query: get_skill_metrics took 123ms",
        "usagetrace: Slow query: get_summary took 123ms",
    ]


def test_a_completer_may_be_called_where_two_are_kept(temp_db: SkillMetricsStore) -> None:
    """A tool that writes to two stores calls what it was given as a completer."""
    db_completer = temp_db.track_invocation("test-skill", "quick")
    db_completer(completed=False, error_type="ValueError")
    metrics = temp_db.get_skill_metrics("test-skill")
    assert (metrics["completion_rate"], metrics["common_errors"]) == (0.0, {"ValueError": 1})

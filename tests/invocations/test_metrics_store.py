"""The store of skill metrics: what it reads, where it writes, and what it never does to its host."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import usagetrace
from tests.support.process import run_python
from tests.support.recording import obstruct, warnings
from usagetrace import track
from usagetrace.errors import ConfigurationError, StoreError
from usagetrace.invocations import SkillMetricsStore, check_database_health, get_store, session, track_invocation
from usagetrace.track import rates


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a store's own file is to be."""
    return tmp_path / "own" / "skills.db"


@pytest.fixture
def store(path: Path) -> Iterator[SkillMetricsStore]:
    """Return a store of a file of its own."""
    made = SkillMetricsStore(path)
    yield made
    made.close()


@pytest.fixture
def shared() -> Iterator[SkillMetricsStore]:
    """Return the shared store."""
    made = get_store()
    yield made
    made.close()


def total(store: SkillMetricsStore, skill_name: str = "review") -> int:
    """Return how often a skill was invoked."""
    return int(store.get_skill_metrics(skill_name)["total_invocations"])


def test_a_store_counts_what_its_invocations_say(store: SkillMetricsStore) -> None:
    """Totals, counters and rate of a skill, all skills and the summary, and the rows of the timeline, newest first."""
    with session("s-1"):
        store.track_invocation("review", "full").completer(follow_up_actions=["commit", "push"])
        store.track_invocation("review", "quick").completer(completed=False, error_type="ValueError")
        store.track_invocation_concurrent("review", "full", "s-2").completer(follow_up_actions=["commit"])
        store.track_invocation("plan").completer(completed=False)
        store.track_invocation("tidy", artifact_type="command").completer()
    review = store.get_skill_metrics("review")
    assert {key: review[key] for key in list(review)[:8] if "duration" not in key} == {
        "skill_name": "review",
        "total_invocations": 3,
        "completed_invocations": 2,
        "abandoned_invocations": 1,
        "workflow_paths": {"full": 2, "quick": 1},
        "common_errors": {"ValueError": 1},
        "follow_up_actions": {"commit": 2, "push": 1},
    }
    assert review["completion_rate"] == pytest.approx(200 / 3)
    assert [row["skill_name"] for row in store.get_all_metrics()] == ["plan", "review"]
    summary = store.get_summary()
    assert (summary["total_skills"], summary["total_invocations"], summary["overall_completion_rate"]) == (2, 4, 50.0)
    timeline = store.get_skill_timeline("review")
    assert [row["workflow_path"] for row in timeline] == ["full", "quick", "full"]
    assert [row["session_id"] for row in timeline] == ["s-2", "s-1", "s-1"]
    assert [row["workflow_path"] for row in store.search_workflow_paths("quick")] == ["quick"]


def test_a_skill_that_was_never_invoked_has_zeros(store: SkillMetricsStore) -> None:
    """It has the columns of any other, so that a tool can print them."""
    store.track_invocation("review").completer()
    unknown, known = store.get_skill_metrics("other"), store.get_skill_metrics("review")
    assert list(unknown) == list(known)
    assert unknown["schema_version"] == known["schema_version"]
    assert {key for key, value in unknown.items() if value} == {"skill_name", "schema_version"}
    cancelled = store.track_invocation("plan")
    cancelled.completer(completed=False)
    plan = store.get_skill_metrics("plan")
    assert [plan[key] for key in plan if "duration" in key] == [unknown[key] for key in unknown if "duration" in key]


def test_a_read_sees_what_was_completed_before_it(store: SkillMetricsStore) -> None:
    """One after the other, with nothing flushed; what was begun and not completed is not counted yet."""
    for number in range(1, 4):
        store.track_invocation("review").completer()
        begun = store.track_invocation("review")
        assert total(store) == number * 2 - 1
        begun.completer()
        assert total(store) == number * 2
        assert store.conn.execute("SELECT COUNT(*) FROM skill_invocation").fetchone()[0] == number * 2


def test_a_read_that_lacks_something_says_so_once(
    store: SkillMetricsStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another writer holds the database for longer than a read waits: what waits in the spool is not counted yet."""
    store.track_invocation("review").completer()
    assert (total(store), warnings(caplog)) == (1, [])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("usagetrace.invocations.reader.BUDGET_S", 0.05)
        store.track_invocation("review").completer()
        assert [total(store), total(store)] == [1, 1]
        other.execute("ROLLBACK")
    assert [text for text in warnings(caplog) if "not all that was recorded" in text and "db drain" in text] != []
    assert len([text for text in warnings(caplog) if "not all that was recorded" in text]) == 1
    monkeypatch.undo()
    assert total(store) == 2


def test_the_shared_store_is_that_of_tracked_calls(shared: SkillMetricsStore, tmp_path: Path) -> None:
    """It reads what any door recorded, and follows configure() to another file."""
    assert get_store() is shared
    track_invocation("review").completer()
    shared.track_invocation("review").completer()
    with track.invoke(artifact_name="review", artifact_type="skill"):
        pass
    assert total(shared) == 3
    before = shared.db_path
    usagetrace.configure(db_path=tmp_path / "other" / "a.db")
    assert (shared.db_path, total(shared)) == (tmp_path / "other" / "a.db", 0)
    shared.track_invocation("review").completer()
    assert total(shared) == 1
    assert (before.name, before.exists()) == ("analytics.db", True)


def test_a_file_of_its_own_is_nobody_elses(store: SkillMetricsStore, shared: SkillMetricsStore, path: Path) -> None:
    """What one store records the other does not read; the path is as it was given."""
    store.track_invocation("review").completer()
    shared.track_invocation("plan").completer()
    assert [row["skill_name"] for row in store.get_all_metrics()] == ["review"]
    assert [row["skill_name"] for row in shared.get_all_metrics()] == ["plan"]
    assert store.db_path == path
    with SkillMetricsStore(path) as second:
        assert total(second) == 1


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that changes its directory afterwards writes and reads the same file."""
    with SkillMetricsStore("skills.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.track_invocation("review").completer()
        assert total(store) == 1
        assert store.db_path == Path("skills.db")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_it_works_in_memory() -> None:
    """A tool's own tests may have no file at all."""
    with SkillMetricsStore(":memory:") as store:
        store.track_invocation("review").completer()
        assert (total(store), check_database_health(store)["total_invocations"]) == (1, 0)
    assert list(Path.cwd().iterdir()) == []


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    """Files appear with the first invocation, or the first read."""
    before = sorted(tmp_path.rglob("*"))
    get_store().close()
    SkillMetricsStore(tmp_path / "own" / "skills.db").close()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_file_is_there_for_who_asks_for_it(store: SkillMetricsStore) -> None:
    """Its path can be looked at before anything was recorded."""
    assert store.db_path.stat().st_size > 0


def test_what_waits_in_memory_is_read_too(store: SkillMetricsStore, path: Path) -> None:
    """Where the spool can't be written, a read brings in what is kept for it."""
    obstacle = obstruct(path)
    store.track_invocation("review").completer()
    obstacle.unlink()
    assert total(store) == 1


def test_a_damaged_database_is_replaced_by_what_can_be_read_of_it(
    store: SkillMetricsStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The host sees one warning; what comes afterwards counts."""
    store.track_invocation("review").completer()
    assert total(store) == 1
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:16] + os.urandom(size))
    store.track_invocation("review").completer()
    assert total(store) >= 1
    assert len(warnings(caplog)) == 1


def test_its_connection_reads_alone_and_holds_nothing_back(store: SkillMetricsStore) -> None:
    """SQL of the tool's own can't change the database, and a result that is read to half leaves others up to date."""
    for _ in range(3):
        store.track_invocation("review").completer()
    half = store.conn.execute("SELECT id FROM events")
    assert half.fetchone()[0] == 1
    for statement in ("DELETE FROM events", "UPDATE usage_summary SET artifact_name = ''", "CREATE TABLE t (a)"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.conn.execute(statement)
    store.track_invocation("review").completer()
    assert total(store) == 4
    assert [row["id"] for row in half] == [2, 3]


def test_a_timeline_takes_a_window_as_people_write_it(store: SkillMetricsStore) -> None:
    """Each of these has the present in it."""
    store.track_invocation("review").completer()
    windows = [
        "7 days",
        "7d",
        "24h",
        "24 hours",
        "1 hour",
        "30m",
        "5 minutes",
        "2 weeks",
        "4w",
        " 7 DAYS ",
        "2020-01-01",
    ]
    found = {window: len(store.get_skill_timeline("review", time_window=window)) for window in windows}
    assert found == dict.fromkeys(windows, 1)
    assert len(store.get_skill_timeline("review")) == len(store.get_skill_timeline("review", "all")) == 1


def test_a_timeline_ends_where_its_window_begins(store: SkillMetricsStore) -> None:
    """What began before the window is not in it."""
    store.track_invocation("review").completer()
    assert store.get_skill_timeline("review", "2999-01-01") == []


@pytest.mark.parametrize("window", ["", "soon", "7", "7 moons", "-7d", "d", "7d7d"])
def test_a_window_that_names_no_time_is_refused(store: SkillMetricsStore, window: str) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueError, match=r"time_window: .*expected a date"):
        store.get_skill_timeline("review", time_window=window)


@pytest.mark.parametrize("own", [True, False])
def test_what_sampling_takes_away_is_counted_all_the_same(
    monkeypatch: pytest.MonkeyPatch, path: Path, own: bool
) -> None:
    """Events are kept at the rate of the settings, failures always; the metrics are exact."""
    monkeypatch.setenv("USAGETRACE_SAMPLING", "invoke=0.1/0/60")
    try:
        with SkillMetricsStore(path if own else None) as store:
            for number in range(200):
                store.track_invocation("review", "quick").completer(completed=number >= 10, error_type="ValueError")
            review = store.get_skill_metrics("review")
            kept = store.conn.execute("SELECT COUNT(*), SUM(NOT completed) FROM skill_invocation").fetchone()
    finally:
        rates.forget()
    assert (review["total_invocations"], review["completed_invocations"]) == (200, 190)
    assert (review["workflow_paths"], review["common_errors"]) == ({"quick": 200}, {"ValueError": 200})
    # 19 of 190 are expected beside the failures; so many or so few are kept once in 10^9 runs.
    assert 10 < kept[0] < 60
    assert kept[1] == 10


def test_a_closed_store_reads_nothing_and_loses_nothing(path: Path) -> None:
    """Reading says so; what is completed afterwards is recorded all the same; the next shared store is a new one."""
    store = SkillMetricsStore(path)
    late = store.track_invocation("review")
    store.track_invocation("review").completer()
    store.close()
    store.close()
    late.completer()
    for read in (store.get_all_metrics, store.get_summary, lambda: store.conn, lambda: store.db_path):
        with pytest.raises(StoreError, match="is closed"):
            read()
    with SkillMetricsStore(path) as again:
        assert total(again) == 2
    first = get_store()
    first.close()
    assert get_store() is not first
    get_store().close()


def test_under_a_no_nothing_is_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every method answers as if nothing had ever been invoked; no file is made, or opened."""
    with SkillMetricsStore(tmp_path / "own" / "there.db") as store:
        store.track_invocation("review").completer()
        assert total(store) == 1
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for path in (None, tmp_path / "own" / "there.db", tmp_path / "own" / "new.db"):
        with SkillMetricsStore(path) as store:
            store.track_invocation("review").completer(completed=False, error_type="ValueError")
            assert (total(store), store.get_all_metrics(), store.search_workflow_paths("x")) == (0, [], [])
            assert (store.get_summary()["total_skills"], store.get_skill_timeline("review")) == (0, [])
            assert check_database_health(store)["total_invocations"] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_settings_with_a_fault_mean_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Recording does nothing, with one warning; only asking for the default file says what is wrong."""
    monkeypatch.setenv("USAGETRACE_RETENTION_DAYS", "soon")
    with SkillMetricsStore(tmp_path / "own" / "a.db") as named, SkillMetricsStore() as unnamed:
        for store in (named, unnamed):
            store.track_invocation("review").completer()
        assert len(warnings(caplog)) == 1
        assert not (tmp_path / "own").exists()
        assert total(named) == 0
        with pytest.raises(ConfigurationError, match="RETENTION_DAYS"):
            unnamed.get_summary()


def test_health_says_what_a_database_holds(store: SkillMetricsStore) -> None:
    """Size, counts, version, and what SQLite's own check finds."""
    store.track_invocation("review").completer()
    found = check_database_health(store)
    assert found.pop("database_size_mb") > 0
    assert found.pop("schema_version") >= 6
    assert found == {"total_invocations": 1, "total_skills": 1, "integrity": "ok"}


def test_who_only_records_loads_no_library_of_the_databases(tmp_path: Path) -> None:
    """Neither SQLite nor OpenTelemetry nor what reads is imported by an invocation, whichever store it goes to."""
    done = run_python(
        """
        import sys
        import wrapt
        before = set(sys.modules)
        from usagetrace.invocations import SkillMetricsStore, get_store, track_invocation

        track_invocation("review").completer()
        get_store().track_invocation("review").completer()
        store = SkillMetricsStore("a.db")
        store.track_invocation("review").completer()
        heavy = {"sqlite3", "opentelemetry", "asyncio", "multiprocessing", "json", "logging"}
        print(sorted(heavy & (set(sys.modules) - before)), "usagetrace.store.store" in sys.modules)
        """,
        tmp_path / "own",
    )
    assert (done.code, done.err, done.out) == (0, "", "[] False\n")


def test_a_command_that_only_records_leaves_no_pile(tmp_path: Path) -> None:
    """A process that has the database's library loaded brings its events in when it ends, also without close()."""
    done = run_python(
        """
        import sqlite3
        from usagetrace.invocations import SkillMetricsStore

        SkillMetricsStore("a.db").track_invocation("review").completer()
        """,
        tmp_path / "own",
    )
    assert (done.code, done.err) == (0, "")
    with closing(sqlite3.connect(tmp_path / "own" / "a.db")) as db:
        assert db.execute("SELECT skill_name, completed FROM skill_invocation").fetchall() == [("review", 1)]

"""What invocations count is what a recount in plain Python says, whatever came in between."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usagetrace.errors import NotAStoreError
from usagetrace.events import Event, clean_text
from usagetrace.store import Store, invocation_queries, invocations, writer
from usagetrace.store.connection import MEMORY
from usagetrace.store.schema import LATEST

Sql = Callable[..., list[tuple[Any, ...]]]

DAY = 86_400_000
NOON = 1_763_294_400_000
TABLES = ("invocation_totals", "invocation_counts", "invocation_durations", "invocation_sessions")
METRICS = (
    "skill_name", "total_invocations", "completed_invocations", "abandoned_invocations", "total_duration_seconds",
    "workflow_paths", "common_errors", "follow_up_actions", "first_invoked", "last_invoked", "completion_rate",
    "avg_duration_seconds", "schema_version", "min_duration_seconds", "max_duration_seconds", "p50_duration_seconds",
    "p95_duration_seconds", "p99_duration_seconds",
)  # fmt: skip
INVOCATION = (
    "id", "skill_name", "invoked_at", "workflow_path", "completed", "duration_seconds", "error_type", "session_id",
    "follow_up_actions", "schema_version",
)  # fmt: skip
SESSION = (
    "session_id", "skill_name", "invocation_count", "first_invoked_at", "last_invoked_at", "total_duration_seconds",
)  # fmt: skip

texts = st.sampled_from(("", "a", "quick/fix", "caf\u00e9", "half\ud800", 'q"uo\\te', "zero\0", "\ufffd\n"))
anything = st.one_of(texts, st.none(), st.sampled_from((1, 0, 2.5, True, float("nan"), ["a"], {"b": 1})))
metadata = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "completed": st.sampled_from((True, False, True, False, 1, 0, None, "yes", 0.5)),
            "outcome": st.sampled_from(("success", "cancelled", None, 1)),
            "workflow_path": anything,
            "error_type": anything,
            "follow_up_actions": st.one_of(anything, st.lists(anything, max_size=3)),
            "else": anything,
        },
    ),
)
histories = st.lists(
    st.builds(
        lambda **fields: Event(**fields),
        event_type=st.sampled_from(("invoke", "invoke", "invoke", "invoke", "deploy")),
        artifact_name=st.sampled_from(("run", "check", "")),
        artifact_type=st.sampled_from(("skill", "skill", "skill", "command")),
        ts_ms=st.one_of(st.integers(NOON - 200 * DAY, NOON), st.sampled_from((0, -1, NOON))),
        metadata=metadata,
        duration_ms=st.one_of(
            st.none(), st.floats(1e-3, 1e7), st.sampled_from((0.0, -3.0, 7, math.nan, math.inf, 1e300))
        ),
        status=st.sampled_from(("ok", "ok", "error", "abandoned")),
        error_type=st.one_of(st.none(), texts),
        session_id=st.sampled_from((None, "s1", "s2")),
    ),
    max_size=12,
)


# --- the recount -------------------------------------------------------------------------------------------


class Invoked:
    """What one event says, read in plain Python."""

    def __init__(self, event: Event) -> None:
        told = event.metadata or {}
        # What JSON can't say makes the whole text none.
        if "NaN" in json.dumps(told):
            told = {}
        self.event = event
        completed = told.get("completed")
        if event.status == "abandoned":
            self.completed = False
        elif isinstance(completed, (bool, int)):
            self.completed = completed != 0
        else:
            self.completed = event.status == "ok" and told.get("outcome") in (None, "success")
        duration = event.duration_ms
        self.seconds = None
        if self.completed and duration is not None and abs(duration) < 1e18:
            self.seconds = duration / 1000
        escaped = "\\u0000" in json.dumps(told)
        self.path = self._text(told.get("workflow_path"), escaped) or None
        self.error = clean_text(event.error_type or "") or self._text(told.get("error_type"), escaped) or None
        actions = told.get("follow_up_actions")
        given = [self._text(each, escaped) for each in actions] if isinstance(actions, list) else []
        self.actions = [each for each in given if each is not None]
        self.when = event.ts_ms or None

    @staticmethod
    def _text(value: object, escaped: bool) -> str | None:
        if not isinstance(value, str):
            return None
        shown = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        # What not every program can read stands as it does in JSON.
        return json.dumps(shown, ensure_ascii=False)[1:-1] if escaped or "\ufffd" in shown else shown


def utc(ts_ms: int | None) -> str | None:
    """Return a time as the views have it."""
    if ts_ms is None:
        return None
    return datetime.fromtimestamp(ts_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def exact(seconds: Sequence[float], percent: int) -> float:
    """Return a percentile by nearest rank."""
    return sorted(seconds)[-(-len(seconds) * percent // 100) - 1]


def recount(events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each skill, counted from its events in plain Python."""
    groups = defaultdict(list)
    for event in events:
        if event.event_type == "invoke" and event.artifact_type == "skill":
            groups[event.artifact_name].append(Invoked(event))
    found = {}
    for name, group in groups.items():
        done = [each.seconds for each in group if each.seconds is not None]
        times = [each.when for each in group if each.when is not None]
        completed = sum(each.completed for each in group)
        found[name] = {
            "skill_name": name,
            "total_invocations": len(group),
            "completed_invocations": completed,
            "abandoned_invocations": len(group) - completed,
            "total_duration_seconds": pytest.approx(math.fsum(done), abs=1e-9),
            "workflow_paths": Counter(each.path for each in group if each.path),
            "common_errors": Counter(each.error for each in group if each.error),
            "follow_up_actions": Counter(action for each in group for action in each.actions),
            "first_invoked": utc(min(times, default=None)),
            "last_invoked": utc(max(times, default=None)),
            "completion_rate": pytest.approx(100 * completed / len(group)),
            "avg_duration_seconds": pytest.approx(math.fsum(done) / len(done) if done else 0.0, abs=1e-9),
            "schema_version": 1,
            "min_duration_seconds": pytest.approx(min(done)) if done else None,
            "max_duration_seconds": pytest.approx(max(done)) if done else None,
            # A negative one is 0 in its bucket.
            **{
                f"p{percent}_duration_seconds": pytest.approx(max(exact(done, percent), 0.0), rel=0.01 + 1e-9)
                if done
                else None
                for percent in (50, 95, 99)
            },
        }
    return found


def shown(path: Path | Store) -> dict[str, dict[str, Any]]:
    """Return the view ``skill_metrics`` by skill, as any program reads it."""
    if isinstance(path, Store):
        rows = path.connection.execute("SELECT * FROM skill_metrics").fetchall()
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM skill_metrics").fetchall()
    found = [dict(row) for row in rows]
    for each in found:
        for name in ("workflow_paths", "common_errors", "follow_up_actions"):
            each[name] = json.loads(each[name])
    return {each["skill_name"]: each for each in found}


def contents(store: Store, table: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in order, with sums to the digits that their order can't change."""
    rows = store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
    return [tuple(round(value, 6) if isinstance(value, float) else value for value in row) for row in rows]


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(histories, min_size=1, max_size=3), retained=st.booleans(), counted=histories)
def test_every_column_equals_a_recount(
    batches: Sequence[Sequence[Event]], retained: bool, counted: Sequence[Event]
) -> None:
    """Whatever batches came, with retention in between, sampled ones among them: each column is a plain recount's."""
    _equals_a_recount(batches, retained, counted)


@pytest.mark.e2e
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(histories, min_size=1, max_size=5), retained=st.booleans(), counted=histories)
def test_every_column_equals_a_recount_at_length(
    batches: Sequence[Sequence[Event]], retained: bool, counted: Sequence[Event]
) -> None:
    """The same, with many more histories."""
    _equals_a_recount(batches, retained, counted)


def _equals_a_recount(batches: Sequence[Sequence[Event]], retained: bool, counted: Sequence[Event]) -> None:
    with Store(MEMORY) as store:
        for batch in batches:
            store.write(batch)
            if retained:
                store.cleanup_old_events(90, now_ms=NOON)
        with store.atomic():
            writer.count(store.connection, counted)
        everything = [*(event for batch in batches for event in batch), *counted]
        expected = recount(everything)
        assert shown(store) == expected
        assert {each["skill_name"]: each for each in invocation_queries.metrics(store)} == expected
        assert store.rebuild().differences == []
        assert shown(store) == expected


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(histories, min_size=1, max_size=3))
def test_counted_by_the_writer_by_a_rebuild_and_by_the_migration(batches: Sequence[Sequence[Event]]) -> None:
    """The writer in Python, a rebuild and the migration in SQL make the same rows of the same events."""
    with Store(MEMORY) as store:
        for batch in batches:
            store.write(batch)
        before = {table: contents(store, table) for table in TABLES}
        for table in TABLES:
            store.connection.execute(f"DELETE FROM {table}")
        store.rebuild()
        assert {table: contents(store, table) for table in TABLES} == before
        store.rollback(LATEST - 1)
        store.migrate()
        assert {table: contents(store, table) for table in TABLES} == before


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(events=histories)
def test_single_invocations_and_sessions(events: Sequence[Event]) -> None:
    """Each event is a row of its view, with what it says; a session's row counts those of one skill in it."""
    skills = [
        Invoked(event) for event in events if (event.event_type, event.artifact_type) == ("invoke", "skill")
    ]  # fmt: skip
    with Store(MEMORY) as store:
        store.write(events)
        rows = [dict(row) for row in store.connection.execute("SELECT * FROM skill_invocation ORDER BY id")]
        assert [(row["skill_name"], row["completed"], row["invoked_at"], row["session_id"]) for row in rows] == [
            (each.event.artifact_name, each.completed, utc(each.when), each.event.session_id) for each in skills
        ]
        # What not every program can read is shown as SQLite has it.
        plain = [
            (row, each) for row, each in zip(rows, skills, strict=True) if "\\u0000" not in str(each.event.metadata)
        ]
        for row, each in plain:
            if "\ufffd" not in f"{each.path}{each.error}" and "\\" not in f"{each.path}{each.error}":
                assert (row["workflow_path"], row["error_type"]) == (each.path, each.error)
        found = {
            (row["session_id"], row["skill_name"]): dict(row)
            for row in store.connection.execute("SELECT * FROM session_skill")
        }
    sessions = defaultdict(list)
    for each in skills:
        if each.event.session_id is not None:
            sessions[each.event.session_id, each.event.artifact_name].append(each)
    assert found == {
        (session, name): {
            "session_id": session,
            "skill_name": name,
            "invocation_count": len(group),
            "first_invoked_at": utc(min((each.when for each in group if each.when), default=None)),
            "last_invoked_at": utc(max((each.when for each in group if each.when), default=None)),
            "total_duration_seconds": pytest.approx(math.fsum(each.seconds or 0.0 for each in group), abs=1e-9),
        }
        for (session, name), group in sessions.items()
    }


# --- the views ---------------------------------------------------------------------------------------------


def run(number: int, **fields: Any) -> Event:
    """Return an invocation a second after the one before."""
    told = {"workflow_path": "quick", "completed": True, "follow_up_actions": ["git commit"], **fields.pop("told", {})}
    fields = {"duration_ms": 1000.0, "session_id": "s", **fields}
    return Event("invoke", fields.pop("name", "run"), "skill", NOON + number * 1000, metadata=told, **fields)


def test_columns_that_others_rely_on(path: Path) -> None:
    """The views have the required columns, in their order, and a program without any function of ours reads them."""
    with Store(path) as store:
        store.write([run(0), run(1, told={"completed": False}, error_type="ValueError", status="error")])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for view, columns in (("skill_metrics", METRICS), ("skill_invocation", INVOCATION), ("session_skill", SESSION)):
            cursor = connection.execute(f"SELECT * FROM {view}")
            assert tuple(column[0] for column in cursor.description) == columns
            assert cursor.fetchall()
        assert connection.execute("SELECT * FROM skill_invocation ORDER BY id DESC").fetchone() == (
            2, "run", "2025-11-16 12:00:01.000", "quick", 0, 1.0, "ValueError", "s", '["git commit"]', 1,
        )  # fmt: skip
        # Texts of times compare as those of SQLite's own functions do.
        since = "SELECT COUNT(*) FROM skill_invocation WHERE invoked_at >= datetime('2025-11-23 12:00:01', '-7 days')"
        assert connection.execute(since).fetchone() == (1,)


# All of them in SQLite 3.25, with its extension for JSON: nothing of this package, and no mathematics.
FUNCTIONS = {
    "coalesce", "json_extract", "json_group_object", "json_type", "json_valid", "nullif", "strftime", "sum", "typeof",
}  # fmt: skip


def test_functions_that_every_program_has(path: Path) -> None:
    """The views use no function that an earlier SQLite, or one without this package, lacks."""
    with Store(path) as store:
        store.write([run(0)])
    used = set()

    def note(action: int, _: str | None, name: str | None, *rest: str | None) -> int:
        del rest
        if action == sqlite3.SQLITE_FUNCTION and name is not None:
            used.add(name)
        return sqlite3.SQLITE_OK

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.set_authorizer(note)
        for view in ("skill_metrics", "skill_invocation", "session_skill"):
            assert connection.execute(f"SELECT * FROM {view}").fetchall()
    # A release may count one among operators.
    assert used <= FUNCTIONS
    assert {"json_extract", "json_group_object", "strftime"} <= used


def test_the_mean_is_over_what_was_measured(path: Path) -> None:
    """Abandoned and failed invocations have no part in durations; without any the mean and the rate are 0.0."""
    with Store(path) as store:
        store.write([run(0, status="abandoned", duration_ms=None, told={"completed": False})])
        (only,) = invocation_queries.metrics(store, "run")
        assert [only[name] for name in METRICS[1:5]] == [1, 0, 1, 0.0]
        assert (only["completion_rate"], only["avg_duration_seconds"]) == (0.0, 0.0)
        assert [only[name] for name in METRICS[-5:]] == [None] * 5
        store.write([run(1, duration_ms=3000.0), run(2, duration_ms=None), run(3, duration_ms=9e9, status="error",
                                                                              told={"completed": False})])  # fmt: skip
        (only,) = invocation_queries.metrics(store, "run")
        assert (only["avg_duration_seconds"], only["max_duration_seconds"]) == (3.0, 3.0)
        assert invocation_queries.metrics(store, "walk") == []


def test_most_frequent_first(path: Path) -> None:
    """Paths, errors and actions come with the most frequent first, those alike in their own order."""
    with Store(path) as store:
        store.write([run(n, told={"workflow_path": each}) for n, each in enumerate("cabbac")])
        store.write([run(9, told={"workflow_path": "b"})])
        (only,) = invocation_queries.metrics(store)
    assert list(only["workflow_paths"].items()) == [("b", 3), ("a", 2), ("c", 2)]


def test_summary_of_all(path: Path) -> None:
    """The summary adds up the skills, and names the most used ones; of nothing it is all zeros."""
    with Store(path) as store:
        empty = invocation_queries.summary(store)
        assert (empty["total_skills"], empty["overall_completion_rate"], empty["first_invoked"]) == (0, 0.0, None)
        store.write([run(n, name=f"skill-{n % 7}", session_id=f"s{n % 3}") for n in range(20)])
        store.write([run(20, name="skill-3", told={"completed": False}), Event("invoke", "x", "command", NOON)])
        assert invocation_queries.summary(store) == {
            "total_skills": 7,
            "total_invocations": 21,
            "completed_invocations": 20,
            "abandoned_invocations": 1,
            "total_duration_seconds": 20.0,
            "first_invoked": "2025-11-16 12:00:00.000",
            "last_invoked": "2025-11-16 12:00:20.000",
            "total_sessions": 4,
            "most_used": [
                {"skill_name": f"skill-{n}", "total_invocations": count}
                for n, count in ((3, 4), (0, 3), (1, 3), (2, 3), (4, 3))
            ],
            "overall_completion_rate": 2000 / 21,
            "avg_duration_seconds": 1.0,
        }


@pytest.mark.parametrize("many", [0, 10**9])
def test_timeline_of_a_window(path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """A timeline is of one skill, newest first, later rows of one moment first, from its begin to before its end."""
    monkeypatch.setattr(invocation_queries, "_MANY", many)
    with Store(path) as store:
        store.write([run(n // 2, name=("run", "walk")[n % 5 == 0]) for n in range(40)])
        store.write([Event("deploy", "run", "skill", NOON + 5000), Event("invoke", "run", "command", NOON + 5000)])

        def ids(*window: Any, **more: Any) -> list[int]:
            return [row["id"] for row in invocation_queries.timeline(store, "run", *window, **more)]

        expected = [n + 1 for n in reversed(range(40)) if n % 5]
        assert ids(0, limit=None) == expected
        assert ids(0, limit=3) == expected[:3]
        assert ids(NOON + 5000, NOON + 8000) == [n for n in expected if 11 <= n <= 16]
        first = invocation_queries.timeline(store, "run", 0, limit=1)[0]
    assert first == {
        "id": 40, "skill_name": "run", "invoked_at": "2025-11-16 12:00:19.000", "workflow_path": "quick",
        "completed": True, "duration_seconds": 1.0, "error_type": None, "session_id": "s",
        "follow_up_actions": ["git commit"], "schema_version": 1,
    }  # fmt: skip


def test_many_different_paths_are_all_counted(path: Path) -> None:
    """However many paths, errors and actions there are, none is put together with others."""
    with Store(path) as store:
        store.write([run(n, told={"workflow_path": f"p{n}", "follow_up_actions": [f"a{n}"]}) for n in range(3000)])
        (only,) = invocation_queries.metrics(store)
    assert (len(only["workflow_paths"]), set(only["workflow_paths"].values())) == (3000, {1})
    assert len(only["follow_up_actions"]) == 3000


def test_batches_without_invocations_ask_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of other types never come to the counting of invocations."""
    made: list[object] = []
    monkeypatch.setattr(invocations, "_Batch", lambda: made.append(1))
    with Store(path) as store:
        store.write([Event("deploy", "run", "skill", NOON, metadata={"workflow_path": "x"})] * 50)
    assert made == []


# --- what another tool wrote -------------------------------------------------------------------------------


def test_rows_of_version_one_tools_are_counted(path: Path, sql: Sql) -> None:
    """An INSERT of version 1 counts at once, and nothing is left for a rebuild but the summary."""
    with Store(path) as store:
        store.write([run(0)])
    for told in (
        '{"workflow_path": "quick", "follow_up_actions": ["x", 1, "x"], "error_type": "E"}',
        '{"completed": false, "workflow_path": ["no", "text"]}',
        "no json",
        None,
        b"\x00\xff",
    ):
        sql(
            path,
            "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) "
            "VALUES ('invoke', 'run', 'skill', '2025-11-17 12:00:00', ?)",
            (told,),
        )
    with Store(path) as store:
        (only,) = invocation_queries.metrics(store)
        assert [only[name] for name in METRICS[1:4]] == [6, 5, 1]
        assert only["workflow_paths"] == {"quick": 2}
        assert only["common_errors"] == {"E": 1}
        assert only["follow_up_actions"] == {"x": 2, "git commit": 1}
        assert only["last_invoked"] == "2025-11-17 12:00:00.000"
        assert {each.table for each in store.rebuild().differences} == {"usage_summary"}
        assert len(invocation_queries.timeline(store, "run", 0)) == 6


def test_a_text_that_is_none_spoils_nothing(path: Path, sql: Sql) -> None:
    """A lone surrogate in another tool's JSON is shown as its escape, and breaks neither counts nor the database."""
    with Store(path) as store:
        store.migrate()
    sql(
        path,
        "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) "
        "VALUES ('invoke', 'run', 'skill', '2025-11-17 12:00:00', ?)",
        (r'{"workflow_path": "a\udc80", "follow_up_actions": ["\udc81b"], "error_type": "E\u0000F"}',),
    )
    with Store(path) as store:
        store.rebuild()
        assert store.check() == []
        (only,) = invocation_queries.metrics(store)
        assert (only["workflow_paths"], only["follow_up_actions"]) == ({r"a\udc80": 1}, {r"\udc81b": 1})
        assert only["common_errors"] == {r"E\u0000F": 1}
        (row,) = invocation_queries.timeline(store, "run", 0)
        assert (row["workflow_path"], row["follow_up_actions"]) == (r"a\udc80", [r"\udc81b"])


@pytest.mark.parametrize("name", ["skill_metrics", "skill_invocation", "session_skill", "invocation_totals"])
@pytest.mark.parametrize("kind", ["TABLE {0} (x)", "VIEW {0} AS SELECT 1 AS x"])
@pytest.mark.parametrize("version", [None, LATEST - 1])
def test_a_table_of_another_program_is_named(
    path: Path, v1: Callable[..., Path], sql: Sql, name: str, kind: str, version: int | None
) -> None:
    """In a file that is adopted, and in one of an earlier version, what has one of the names is told and untouched."""
    if version is None:
        path = v1([("deploy", "a", "skill", "2025-01-01 00:00:00", None)])
    else:
        with Store(path) as store:
            store.write([run(0)])
            store.rollback(version)
    sql(path, f"CREATE {kind.format(name)}")
    before = sql(path, "SELECT * FROM sqlite_master")
    with Store(path) as store, pytest.raises(NotAStoreError, match=name):
        store.get_stats()
    assert sql(path, "SELECT * FROM sqlite_master") == before


# --- up and down, and in the middle ------------------------------------------------------------------------


def test_down_and_up_with_rows(path: Path, sql: Sql) -> None:
    """The way back takes tables and views away; coming forward they count the events that are left."""
    with Store(path) as store:
        store.write([run(n) for n in range(50)])
        before = {table: contents(store, table) for table in TABLES}
        assert store.rollback(LATEST - 1) == LATEST - 1
        names = {row[0] for row in sql(path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        assert names.isdisjoint({*TABLES, "skill_metrics", "skill_invocation", "session_skill", "invocation_event"})
        # An earlier release goes on writing.
        sql(
            path,
            "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp) "
            "VALUES ('invoke', 'run', 'skill', '2025-11-17 12:00:00')",
        )
        assert store.migrate() == LATEST
        assert invocation_queries.metrics(store)[0]["total_invocations"] == 51
        sql(path, "DELETE FROM events WHERE id = 51")
        store.rollback(LATEST - 1)
        store.migrate()
        assert {table: contents(store, table) for table in TABLES} == before
        assert store.check() == []


def test_a_view_that_is_gone_is_told(path: Path, sql: Sql) -> None:
    """A dropped view stops nobody from recording; a check names it, and the way back and forward brings it back."""
    with Store(path) as store:
        store.write([run(0)])
    sql(path, "DROP VIEW skill_metrics")
    with Store(path) as store:
        store.write([run(1)])
        assert store.check() == [f"{path}: the view skill_metrics is missing"]
        assert invocation_queries.metrics(store)[0]["total_invocations"] == 2
        store.rollback(LATEST - 1)
        store.migrate()
        assert store.check() == []


def test_undone_with_their_events(path: Path) -> None:
    """Where the transaction around them fails neither events nor counts are there."""
    with Store(path) as store:
        store.write([run(0)])
        before = {table: contents(store, table) for table in TABLES}
        with contextlib.suppress(RuntimeError), store.atomic():
            store.write([run(1, name="other", session_id="t")])
            raise RuntimeError
        assert {table: contents(store, table) for table in TABLES} == before


def test_counts_stay_and_sessions_go(path: Path) -> None:
    """Retention changes no count of a skill; a session's row goes with its session, and not before."""
    with Store(path) as store:
        old, new = -200 * 86_400, 0
        store.write([run(old, session_id="over"), run(old, session_id="goes on")])
        store.write([run(new, name="walk", session_id="goes on")])
        before = {table: contents(store, table) for table in TABLES[:3]}
        assert store.cleanup_old_events(90, now_ms=NOON) == 2
        assert {table: contents(store, table) for table in TABLES[:3]} == before
        assert [row[:3] for row in contents(store, TABLES[3])] == [
            ("goes on", "skill", "run"), ("goes on", "skill", "walk"),
        ]  # fmt: skip
        assert store.rebuild().differences == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("invocation_totals", "completed", 1), ("invocation_totals", "duration_ms", 0.0),
        ("invocation_totals", "min_ms", None), ("invocation_totals", "first_ms", NOON + 10**6),
        ("invocation_counts", "invocations", 1), ("invocation_durations", "invocations", 1),
        ("invocation_sessions", "invocations", 1), ("invocation_sessions", "last_ms", None),
    ],
)  # fmt: skip
def test_a_rebuild_raises_what_falls_short(path: Path, table: str, column: str, value: object) -> None:
    """A value that says less than the events is named and put right; one that says more stays."""
    with Store(path) as store:
        store.write([run(n) for n in range(4)])
        before = contents(store, table)
        store.connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        found = store.rebuild(repair=False).differences
        assert {(each.table, each.column, each.found) for each in found} == {(table, column, value)}
        assert store.rebuild().differences == found
        assert contents(store, table) == before
        store.connection.execute("UPDATE invocation_totals SET invocations = 99")
        assert store.rebuild().differences == []
        assert invocation_queries.metrics(store)[0]["total_invocations"] == 99


def test_a_copy_has_them_and_so_has_what_is_restored(path: Path, tmp_path: Path) -> None:
    """A backup holds the counts, and a restore brings them back."""
    with Store(path) as store:
        store.write([run(n) for n in range(3)])
        copy = store.backup(tmp_path / "copies", now_ms=NOON)
        store.write([run(9)])
        expected = shown(copy)
        store.restore(copy, now_ms=NOON)
        assert shown(store) == expected
        assert store.check() == []
    assert shutil.copy(copy, tmp_path / "plain.db")
    assert expected["run"]["total_invocations"] == 3

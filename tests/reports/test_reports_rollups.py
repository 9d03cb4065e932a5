"""Reports that use the rollups say what the events themselves say."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usagetrace.events import Event
from usagetrace.reports import ALL, Window, queries
from usagetrace.reports.counting import overview_rows
from usagetrace.reports.ranking import top_artifacts
from usagetrace.reports.wholedays import whole_days
from usagetrace.store import Store

DAY = 86_400_000
# 2026-11-01 00:00 UTC
BASE = 1_793_491_200_000
PERCENTS = (1, 50, 95, 100)
COLUMNS = ("artifact_type", "artifact_name", "total_events", "error_count", "deploy_count", "update_count",
           "sync_count", "remove_count", "search_count", "first_ms", "last_ms")  # fmt: skip

times = st.integers(BASE, BASE + 6 * DAY) | st.sampled_from(
    [0, 1, -1, DAY - 1, -DAY, BASE, BASE + DAY - 1, BASE + DAY, BASE - 400 * DAY]
)
durations = st.none() | st.floats(-2.0, 1e5) | st.sampled_from([0.0, 1.0, 10.0, 10.05, 10.1, 10.2, 1e17])
calls = st.tuples(
    st.sampled_from(["deploy", "search", "custom_one", "sync"]),
    times,
    durations,
    st.sampled_from(["ok", "ok", "ok", "error", "abandoned"]),
    st.none() | st.sampled_from(["ValueError", "OSError"]),
    st.lists(
        st.tuples(st.sampled_from(["", "canvas", "review", "x"]), st.sampled_from(["skill", "command"])),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
moments = st.none() | times | st.integers(-1, 7).map(lambda day: BASE + day * DAY)
windows = st.tuples(moments, moments).map(lambda pair: Window(*pair))


def events_of(made: Sequence[Any]) -> list[Event]:
    return [
        Event(
            kind, name, artifact_type, ts_ms, duration_ms=duration, status=status, error_type=error,
            item=index if len(artifacts) > 1 else None,
        )
        for kind, ts_ms, duration, status, error, artifacts in made
        for index, (name, artifact_type) in enumerate(artifacts)
    ]  # fmt: skip


def from_events(store: Store, window: Window) -> dict[str, Any]:
    """Answer each question from the events alone."""
    connection = store.connection
    since = -(2**62) if window.since_ms is None else window.since_ms
    artifacts = store.get_top_artifacts(limit=100, since_ms=since, until_ms=window.until_ms)
    return {
        "artifacts": [{name: row[name] for name in COLUMNS} for row in artifacts],
        "artifact_count": len(artifacts),
        "totals": queries.totals(connection, window),
        "types": queries.types(connection, window),
        "percentiles": queries.percentiles(connection, window, PERCENTS),
        "days": queries.days(connection, window),
        "failures": queries.failures(connection, window),
    }


def nothing(found: dict[str, Any]) -> dict[str, Any]:
    """Return rows in which a sum of no rows is 0, as it is in a report."""
    return {**found, "totals": {key: value or 0 for key, value in found["totals"].items()}}


def check(store: Store, window: Window) -> None:
    assert nothing(overview_rows(store.connection, window, 100, PERCENTS)) == nothing(from_events(store, window))


many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(st.lists(calls, max_size=30), windows)
def test_the_overview_is_that_of_the_events(made: list[Any], window: Window) -> None:
    """Totals, types, percentiles, days, failures and artifacts of any events in any window, to the last digit."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        check(store, window)


@many
@given(st.lists(calls, min_size=5, max_size=30), windows, st.integers(1, 6), st.lists(calls, max_size=3))
def test_what_retention_removed_does_not_count(made: list[Any], window: Window, days: int, late: list[Any]) -> None:
    """The rollups keep what retention removed; reports are of what is left, and of what comes later."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        store.cleanup_old_events(days, now_ms=BASE + 7 * DAY)
        check(store, window)
        store.write(events_of(late))
        check(store, window)


@many
@given(st.lists(calls, min_size=5, max_size=30), windows, st.integers(1, 9))
def test_what_other_tools_removed_does_not_count(made: list[Any], window: Window, nth: int) -> None:
    """A tool of the first schema deletes rows by SQL of its own."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        store.connection.execute("DELETE FROM events WHERE id % ? = 0", (nth,))
        check(store, window)


@many
@given(st.lists(calls, min_size=5, max_size=30), windows, st.integers(1, 9))
def test_what_other_tools_changed_is_as_they_left_it(made: list[Any], window: Window, nth: int) -> None:
    """Durations that were changed by SQL are reported as they are."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        store.connection.execute("UPDATE events SET duration_ms = duration_ms * 2 + 1 WHERE id % ? = 0", (nth,))
        found, expected = overview_rows(store.connection, window, 9, (50,)), from_events(store, window)
    assert (found["totals"]["events"] or 0) == (expected["totals"]["events"] or 0)
    values = [event.duration_ms for event in events_of(made)]
    allowed = {value for duration in values if duration is not None for value in (duration, duration * 2 + 1)}
    assert {row["duration_ms"] for row in found["percentiles"]} <= allowed


@many
@given(
    st.lists(calls, max_size=30), windows, st.none() | st.sampled_from(["skill", "command", "none"]),
    st.none() | st.sampled_from(["deploy", "search", "none"]), st.integers(1, 5),
)  # fmt: skip
def test_the_ranking_is_that_of_the_events(
    made: list[Any], window: Window, artifact_type: str | None, event_type: str | None, limit: int
) -> None:
    """Of any kind and any event type, as many as were asked for."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        since = -(2**62) if window.since_ms is None else window.since_ms
        expected = store.get_top_artifacts(
            artifact_type, limit, since_ms=since, until_ms=window.until_ms, event_type=event_type
        )
        rows, count = top_artifacts(store.connection, window, limit, artifact_type=artifact_type, event_type=event_type)
        whole, _ = top_artifacts(store.connection, window, 100, artifact_type=artifact_type, event_type=event_type)
    assert rows == [{name: row[name] for name in COLUMNS} for row in expected]
    assert count == len(whole)


def test_the_times_of_frequent_artifacts_are_exact() -> None:
    """Artifacts with many and with few events, whose first and last ones are inside of whole days."""
    events = [Event("deploy", "often" if n % 7 else f"rare-{n % 5}", "skill", BASE + n * 97_003) for n in range(5000)]
    with Store(":memory:") as store:
        store.write(events)
        window = Window(BASE + 12_345_678, BASE + 5 * DAY + 777)
        assert whole_days(store.connection, window) is not None
        check(store, window)
        check(store, ALL)


def test_many_event_types_are_counted_from_the_events() -> None:
    """More percentiles than one statement can look for."""
    with Store(":memory:") as store:
        store.write(
            [
                Event(f"type-{n}", "a", "skill", BASE + day * DAY, duration_ms=float(n))
                for n in range(300)
                for day in range(4)
            ]
        )
        assert whole_days(store.connection, ALL) is not None
        check(store, ALL)


class Asked(sqlite3.Connection):
    """A connection that remembers what it was asked."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.statements: list[str] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]  # one signature is used
        self.statements.append(sql)
        return super().execute(sql, *values)


@pytest.mark.parametrize(
    ("window", "removed", "parts"),
    [(ALL, 0, 0), (ALL, 1, 2), (Window(BASE + 5, BASE + 5 * DAY + 5), 0, 2), (Window(BASE + DAY, None), 0, 1)],
)
def test_the_ranking_reads_counts_not_events(tmp_path: Any, window: Window, removed: int, parts: int) -> None:
    """Events are grouped at the edges of a window alone; of all time, not at all unless some were removed."""
    path = tmp_path / "a.db"
    with Store(path) as store:
        store.write([Event("deploy", f"a{n % 3}", "skill", BASE + n * 3_600_000) for n in range(150)])
        assert store.cleanup_old_events(6, now_ms=BASE + 6 * DAY + removed) == removed
        span = whole_days(store.connection, window)
    assert span is not None
    assert span.end - span.first >= 4
    connection = sqlite3.connect(path, factory=Asked)
    try:
        top_artifacts(connection, window, 10)
        grouped = [sql for sql in connection.statements if "GROUP BY" in sql and "FROM usage_daily" not in sql]
    finally:
        connection.close()
    assert len(grouped) == parts

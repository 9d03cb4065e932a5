"""Daily counts, percentiles and sessions say what the events say."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usagetrace.events import Event
from usagetrace.store import Store, rollups
from usagetrace.store.connection import MEMORY

DAY = 86_400_000
NOON = 1_763_294_400_000
TABLES = ("usage_daily", "duration_daily", "sessions", "usage_summary")

texts = st.sampled_from(("", "a", "b", "canvas", "caf\u00e9", "nul\0", "half\ud800"))
# 1 to 10000 AD, and what lies outside; 0 is left out, as it stands for a time that nobody knows.
times = st.one_of(
    st.sampled_from((-1, 1, DAY - 1, DAY, -DAY, -DAY - 1, NOON)),
    st.integers(-70_000_000_000_000, 260_000_000_000_000).filter(bool),
    st.integers(NOON - 3 * DAY, NOON + 3 * DAY),
)
durations = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(1e-6, 1e9),
    st.sampled_from((0.0, -1.0, 1, 0)),
)
events = st.builds(
    lambda **fields: Event(**fields),
    event_type=st.sampled_from(("deploy", "update", "sync", "remove", "search", "view", "nul\0")),
    artifact_name=texts,
    artifact_type=texts,
    ts_ms=times,
    metadata=st.sampled_from((None, {}, {"a": 1}, {"a": {"b": "\ud800"}}, {"mark": ["usagetrace.mark"]})),
    duration_ms=durations,
    status=st.sampled_from(("ok", "error", "abandoned")),
    session_id=st.one_of(st.none(), texts),
    item=st.sampled_from((None, 0, 1, 7)),
)


def contents(store: Store, table: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in order, with sums to the digits that their order can't change."""
    rows = store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
    return [
        tuple(float(f"{value:.9g}") if isinstance(value, float) and abs(value) < 1e9 else value for value in row)
        for row in rows
        if table != "usage_daily" or abs(row["duration_ms"]) < 1e9
    ]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(events, max_size=12), max_size=4))
def test_rollups_equal_a_rebuild(batches: Sequence[Sequence[Event]]) -> None:
    """Whatever was written in whatever batches, a rebuild changes nothing, and from nothing it makes the same rows."""
    with Store(MEMORY) as store:
        for batch in batches:
            store.write(batch)
        assert store.rebuild().differences == []
        before = {table: contents(store, table) for table in TABLES}
        for table in TABLES:
            store.connection.execute(f"DELETE FROM {table}")
        store.rebuild()
        assert {table: contents(store, table) for table in TABLES} == before
        # The migration counts with the same words.
        store.rollback(2)
        store.migrate()
        assert {table: contents(store, table) for table in TABLES[:3]} == {t: before[t] for t in TABLES[:3]}


@settings(deadline=None, max_examples=200)
@given(values=st.lists(st.floats(1e-9, 1e15), min_size=1, max_size=60), share=st.floats(0, 1))
def test_percentiles_within_one_percent(values: list[float], share: float) -> None:
    """A percentile from buckets is within 1 % of the exact one, nearest rank."""
    found = rollups.percentile(Counter(map(rollups.bucket, values)), share)
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    assert found is not None
    assert abs(found - exact) <= exact * rollups.RELATIVE_ERROR * (1 + 1e-6)


@given(one=st.lists(st.floats(1e-9, 1e15)), other=st.lists(st.floats(1e-9, 1e15)), share=st.floats(0, 1))
def test_percentiles_merge(one: list[float], other: list[float], share: float) -> None:
    """Buckets of two days, added, give the percentile of both days together."""
    merged = Counter(map(rollups.bucket, one)) + Counter(map(rollups.bucket, other))
    together = Counter(map(rollups.bucket, one + other))
    assert rollups.percentile(merged, share) == rollups.percentile(together, share)


def test_percentiles_of_nothing_and_of_zero() -> None:
    """No operations have no percentile; durations of zero and below are zero, below every other."""
    assert rollups.percentile({}, 0.5) is None
    counts = Counter(map(rollups.bucket, (0.0, -5.0, 1e-300)))
    assert counts[rollups.ZERO_BUCKET] == 2
    assert rollups.percentile(counts, 0.5) == 0.0
    assert rollups.percentile(counts, 1.0) == pytest.approx(1e-300, rel=0.01)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_out_of_range(share: float) -> None:
    """A share that is none is refused."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        rollups.percentile({1: 1}, share)


@pytest.mark.parametrize(
    ("ts_ms", "day"),
    [(0, 0), (1, 0), (DAY - 1, 0), (DAY, 1), (-1, -1), (-DAY, -1), (-DAY - 1, -2), (NOON, 20_408),
     (4_102_444_800_000, 47_482)],
)  # fmt: skip
def test_days_are_rounded_down(ts_ms: int, day: int) -> None:
    """A day begins at midnight UTC, before 1970 too, for the writer and for the migration."""
    with Store(MEMORY) as store:
        store.record_event("deploy", "canvas", "skill", ts_ms=ts_ms)
        assert store.connection.execute("SELECT day FROM usage_daily").fetchall()[0][0] == day
        store.rollback(2)
        store.migrate()
        assert store.connection.execute("SELECT day FROM usage_daily").fetchall()[0][0] == day


def test_one_operation_counts_once() -> None:
    """The rows of one call on several artifacts are one duration, and each row is an event of its artifact."""
    with Store(MEMORY) as store:
        store.write([Event("search", f"a{n}", "skill", NOON, duration_ms=20.0, item=n) for n in range(5)])
        store.write([Event("search", "a0", "skill", NOON, duration_ms=20.0)])
        rows = store.connection.execute("SELECT bucket, operations FROM duration_daily").fetchall()
        assert [tuple(row) for row in rows] == [(rollups.bucket(20.0), 2)]
        usage = store.connection.execute("SELECT artifact_name, events, durations, duration_ms FROM usage_daily")
        assert [tuple(row) for row in usage] == [
            ("a0", 2, 2, 40.0), *((f"a{n}", 1, 1, 20.0) for n in range(1, 5)),
        ]  # fmt: skip


def test_retention_keeps_them(path: Path) -> None:
    """Removing old events changes no rollup, and a rebuild afterwards lowers none."""
    with Store(path) as store:
        for age in (1, 50, 100, 200):
            store.write([Event("deploy", "a", "skill", NOON - age * DAY, duration_ms=5.0, session_id="s")] * 3)
        before = {table: contents(store, table) for table in TABLES}
        assert store.cleanup_old_events(90, now_ms=NOON) == 6
        assert store.rebuild().differences == []
        assert {table: contents(store, table) for table in TABLES} == before
        # Two days of two tables, the session and the summary.
        assert store.rebuild().beyond == 6


def test_undone_with_their_events(path: Path) -> None:
    """Where the transaction around them fails neither events nor rollups are there."""
    with Store(path) as store:
        with contextlib.suppress(RuntimeError), store.atomic():
            store.write([Event("deploy", "a", "skill", NOON, duration_ms=5.0, session_id="s")])
            raise RuntimeError
        assert [contents(store, table) for table in TABLES] == [[], [], [], []]


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 34, 66, 67, 1000])
def test_batches_of_any_size(path: Path, count: int) -> None:
    """However a batch is cut into statements, each row is there once, in order, and its id is returned."""
    with Store(path) as store:
        ids = store.write([Event("deploy", f"a{n:04}", "skill", NOON, duration_ms=n) for n in range(count)])
        names = store.connection.execute("SELECT id, artifact_name FROM events ORDER BY id").fetchall()
        assert [tuple(row) for row in names] == [(each, f"a{n:04}") for n, each in enumerate(ids)]
        assert len(contents(store, "usage_daily")) == count

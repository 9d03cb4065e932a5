"""What other processes sent is in the store once, and on the disk when it is acknowledged."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace.errors import StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.calls import Calls
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store, known
from usagetrace.store.catchup import catch_up
from usagetrace.store.connection import MEMORY
from usagetrace.store.intake import Added, Intake, Received
from usagetrace.store.metrics import SUM, MetricPoint
from usagetrace.store.recovery import recover
from usagetrace.store.schema import RECEIVED
from usagetrace.store.streams import ReceivedPoint

MakeEvent = Callable[..., Event]
Sql = Callable[..., list[tuple[Any, ...]]]

TS_MS = 1_763_287_200_000


@pytest.fixture
def intake(path: Path) -> Iterator[Intake]:
    """Return an intake into a store that is not there yet."""
    made = Intake(path)
    yield made
    made.close()


def event(number: int, **fields: Any) -> Event:
    """Return an event that no other number gives."""
    ids = {"trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}", "ts_ms": TS_MS + number}
    return Event(**{"event_type": "deploy", "artifact_name": "canvas", "artifact_type": "skill", **ids, **fields})


def added(intake: Intake, *rows: Event) -> Added:
    """Add one request's events."""
    return intake.add([Received(rows)])[0]


def count(path: Path) -> int:
    """Return how many events a sound store has."""
    with Store(path) as store:
        assert store.check() == []
        return int(store.get_stats()["total_events"])


# --- once ----------------------------------------------------------------------------------------------------


def test_a_request_that_comes_again_adds_nothing(intake: Intake, path: Path) -> None:
    """What was added is told as a duplicate the second time, also beside new events and in the same transaction."""
    first = [event(number) for number in range(600)]
    assert added(intake, *first) == Added(600, 0)
    assert added(intake, *first) == Added(0, 600)
    again, fresh = Received([*first, event(600)]), Received([event(600), event(601)])
    assert intake.add([again, fresh, Received()]) == [Added(1, 600), Added(1, 1), Added()]
    assert count(path) == 602


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"trace_id": None}, True),
        ({"artifact_name": "other", "status": "error", "metadata": {"a": 1}}, True),
        ({"trace_id": "f" * 32}, False),
        ({"span_id": "f" * 16}, False),
        ({"ts_ms": TS_MS + 1}, False),
        ({"item": 0}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_ids_tell_events_apart(
    path: Path, change: dict[str, Any], is_same: bool, swapped: bool, together: bool
) -> None:
    """Time, span and item make an event, and the trace where both have one: stored before, or in one request."""
    one, other = event(0), event(0)._replace(**change)
    if swapped:
        one, other = other, one
    intake = Intake(path)
    if together:
        assert added(intake, one, other) == Added(2 - is_same, int(is_same))
    else:
        assert added(intake, one) == Added(1, 0)
        assert added(intake, other) == Added(1 - is_same, int(is_same))
    intake.close()
    assert count(path) == 2 - is_same


def test_without_a_span_nothing_is_known(intake: Intake) -> None:
    """Events that have no span are added each time: nothing tells them apart."""
    bare = event(0, span_id=None, trace_id=None)
    assert [added(intake, bare, bare), added(intake, bare)] == [Added(2), Added(1)]


@pytest.mark.parametrize("ts_ms", [-(10**17), 10**17])
def test_times_are_compared_as_they_are_stored(intake: Intake, ts_ms: int) -> None:
    """A time outside the years 1 to 9999 is known again, though it is stored as another one."""
    assert [added(intake, event(0, ts_ms=ts_ms)) for _ in range(2)] == [Added(1, 0), Added(0, 1)]


def test_one_time_of_very_many_is_read_once(path: Path) -> None:
    """Events that share a millisecond cost no more each when there are more of them; each time is looked up once."""
    steps = []
    with Store(path) as store:
        connection = store.connection
        plan = connection.execute(f"EXPLAIN QUERY PLAN {known._look_up(2)}", (1, 2, "[]")).fetchall()
        assert "USING INDEX idx_events_ts_ms" in plan[0][3]
        for size in (2_000, 4_000):
            rows = [event(number + size, ts_ms=TS_MS) for number in range(size)]
            store.write(rows)
            counted: list[int] = []
            connection.set_progress_handler(functools.partial(counted.append, 1), 100)
            assert known.unknown(connection, [*rows, event(1, ts_ms=TS_MS)]) == [size]
            connection.set_progress_handler(None, 0)
            steps.append(len(counted))
    # The second time three times as many are stored, and twice as many are asked for.
    assert steps[1] < 4 * steps[0]


rows = st.builds(
    event,
    st.integers(0, 5),
    event_type=st.sampled_from(["deploy", "search"]),
    item=st.sampled_from([None, 0, 1]),
    status=st.sampled_from(["ok", "error"]),
    duration_ms=st.sampled_from([None, 1.5]),
    session_id=st.sampled_from([None, "s"]),
)
requests = st.lists(st.lists(st.lists(rows, max_size=6), max_size=4), max_size=6)


@settings(deadline=None, max_examples=20)
@given(requests, st.integers(0, 3))
def test_any_order_of_requests_counts_each_event_once(batches: list[list[list[Event]]], repeats: int) -> None:
    """However events come, together, again and mixed, each is there once; summary and rollups equal a recount."""
    intake = Intake(MEMORY)
    told = []
    for batch in [*batches, *batches[:repeats]]:
        told += intake.add([Received(request) for request in batch])
    expected = {(row.span_id, row.item) for batch in batches for request in batch for row in request}
    store = intake._store
    stored = [tuple(row) for row in store.connection.execute("SELECT span_id, item FROM events")]
    assert sorted(stored, key=repr) == sorted(expected, key=repr)
    assert sum(each.added for each in told) == len(expected)
    assert sum(each.added + each.duplicates for each in told) == sum(
        len(request) for batch in [*batches, *batches[:repeats]] for request in batch
    )
    recount = store.rebuild(repair=False)
    assert (recount.differences, recount.beyond) == ([], 0)
    intake.close()


# --- on the disk ---------------------------------------------------------------------------------------------


def test_only_its_own_connection_waits_for_the_disk(intake: Intake, path: Path) -> None:
    """The intake commits with `synchronous=FULL`, also after it was opened anew; other connections as before."""
    for _ in range(2):
        added(intake, event(0))
        assert intake._store.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        intake.close()
    with Store(path) as store:
        assert store.connection.execute("PRAGMA synchronous").fetchone()[0] == 1


KILLS = """
import json, os, signal, shutil, sys
from usagetrace.events import Event
from usagetrace.store.intake import Intake, Received
from usagetrace.store.metrics import SUM, MetricPoint
from usagetrace.store.streams import ReceivedPoint

folder = sys.argv[1]
POINT = MetricPoint("2025-11-16", "m", "1", "tool", "{}", SUM, 1, 2.0)

def request(first):
    rows = [Event("deploy", "a", "skill", 1763287200000 + n, trace_id=f"{n:032x}", span_id=f"{n:016x}", duration_ms=1.0,
                  session_id="s") for n in range(first, first + 5)]
    points = [ReceivedPoint(b"d" * 16, first, first + 1, False, POINT), ReceivedPoint(b"c" * 16, 1, first, True, POINT)]
    return Received(rows, points)

def child(path, dies_at, pipe):
    seen = 0
    def step(statement):
        nonlocal seen
        seen += 1
        if seen == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    intake = Intake(path)
    for first in (1, 6):
        intake.add([request(first)])
        os.write(pipe, b"%d " % first)
        intake._store.connection.set_trace_callback(step)
    step("the end")
    os.write(pipe, b"whole")
    os._exit(0)

results, dies_at, end = [], 0, False
made = os.path.join(folder, "made.db")
first = Intake(made)
first.add([Received([Event("deploy", "b", "skill", 1, span_id="b" * 16, duration_ms=1.0, session_id="s")])])
first.close()
while not end:
    dies_at += 1
    path = os.path.join(folder, f"{dies_at}.db")
    shutil.copy(made, path)
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        child(path, dies_at, into)
    os.close(into)
    os.waitpid(pid, 0)
    told = os.read(out, 100).decode().split()
    os.close(out)
    end = "whole" in told
    intake = Intake(path)
    store = intake._store
    there = {int(row[0], 16) for row in store.connection.execute("SELECT span_id FROM events WHERE id > 1")}
    acknowledged = {n for first in told if first.isdigit() for n in range(int(first), int(first) + 5)}
    intake.add([request(6), request(1), request(6)])
    spans = [row[0] for row in store.connection.execute("SELECT span_id FROM events")]
    total = store.connection.execute("SELECT SUM(sum) FROM metric_daily").fetchone()[0]
    recount = store.rebuild(repair=False)
    results.append([len(there) % 5, acknowledged <= there, len(spans), len(set(spans)), total, len(recount.differences),
                    recount.beyond])
    intake.close()
print(json.dumps(results))
"""


def test_killed_at_any_statement(python: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """SIGKILL before each statement of a request: what was acknowledged is there; sent again, all are there once."""
    out, err = python(KILLS, tmp_path).communicate(timeout=60)
    assert err == ""
    results = json.loads(out)
    assert len(results) > 15
    # Whole requests, acknowledged ones among them; eleven events once; two delta points and one cumulative one of 2.0.
    assert {tuple(each) for each in results} == {(0, True, 11, 11, 6.0, 0, 0)}


# --- what can't be added -------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [{"ts_ms": None}, {"item": 2**70}, {"event_type": None}, {"span_id": []}])
def test_what_the_store_cannot_hold_is_left_out(intake: Intake, path: Path, poison: dict[str, Any]) -> None:
    """One impossible event costs itself alone, and is told; other events, also of its request, are added."""
    bad = tuple(event(1)._replace(**poison))
    told = intake.add([Received([event(0)]), Received([event(2), bad, event(0), event(3)]), Received([event(4)])])
    assert told == [Added(1), Added(2, 1, 1), Added(1)]
    assert count(path) == 4
    assert added(intake, event(2), event(5)) == Added(1, 1)


def test_an_impossible_point_is_left_out(intake: Intake, sql: Sql, path: Path) -> None:
    """A metric point with a number that SQLite can't hold is refused alone."""

    def point(stream: bytes, total: float, number: int = 1) -> ReceivedPoint:
        return ReceivedPoint(stream, 1, 2, False, MetricPoint("2025-11-16", "m", "1", "tool", "{}", SUM, number, total))

    points = [point(b"a" * 16, 1.0), point(b"b" * 16, 1.0, 2**70), point(b"c" * 16, 2.0), point(b"a" * 16, 1.0)]
    assert intake.add([Received([event(0)], points)]) == [Added(3, 1, 1)]
    assert sql(path, "SELECT sum FROM metric_daily") == [(3.0,)]


def test_a_locked_store_takes_nothing(path: Path, locked: Callable[[Path], Any]) -> None:
    """While another process holds the lock nothing is added, and it says so; afterwards it works."""
    intake = Intake(path, busy_timeout_ms=10)
    assert added(intake, event(0)) == Added(1)
    with locked(path), pytest.raises(StoreUnavailableError, match="another process holds the lock"):
        added(intake, event(1))
    assert added(intake, event(1)) == Added(1)
    intake.close()
    assert count(path) == 2


def test_a_replaced_file_is_opened_anew(intake: Intake, path: Path, tmp_path: Path) -> None:
    """Where the file is another one meanwhile, events go into that one, which is marked as having received some."""
    added(intake, event(0))
    other = tmp_path / "other.db"
    with Store(other) as store:
        store.write([event(7)])
    os.replace(other, path)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
    assert added(intake, event(0), event(7)) == Added(1, 1)
    with Store(path) as store:
        assert _received(store)


def test_a_damaged_database_is_recovered(intake: Intake, path: Path) -> None:
    """A database that turns out to be damaged is set aside; what can be read of it is in the new one."""
    added(intake, *(event(number) for number in range(300)))
    intake.close()
    with path.open("r+b") as file:
        file.write(b"\x5a" * 4096)
    assert added(intake, event(0), event(300)) == Added(1, 1)
    assert count(path) == 301
    assert list(path.parent.glob("*.damaged-*"))


# --- beside the spool ----------------------------------------------------------------------------------------


def _received(store: Store) -> Sequence[Any]:
    return store.connection.execute("SELECT value FROM usagetrace_state WHERE key = ?", (RECEIVED,)).fetchall()


def test_the_store_says_that_it_received(path: Path) -> None:
    """The moment of the first request is kept; one without events leaves no file."""
    moments = iter([5, 6])
    intake = Intake(path, now_ms=lambda: next(moments))
    assert intake.add([Received(), Received()]) == [Added(), Added()]
    assert not path.exists()
    for number in range(2):
        added(intake, event(number))
    intake.close()
    with Store(path) as store:
        assert [tuple(row) for row in _received(store)] == [("5",)]


@pytest.mark.parametrize("first", ["received", "drained"])
@pytest.mark.parametrize("has_trace", [True, False])
def test_an_event_that_also_lies_in_the_spool_counts_once(path: Path, first: str, has_trace: bool) -> None:
    """A tool's own event, received by OTLP and drained from its spool, is there once; its functions' calls count."""
    now = time.time_ns() // 1_000_000
    sent = [event(number, ts_ms=now) for number in range(3)]
    own = [each if has_trace else each._replace(trace_id=None) for each in sent]
    intake = Intake(path)
    added(intake, event(9))
    spool = Spool(spool_directory(path))

    def drained() -> None:
        for each in own:
            assert spool.append([each])
        assert spool.append_calls(Calls(now, "tool", {"target": 4}))
        assert catch_up(path) is not None

    if first == "drained":
        drained()
    assert added(intake, *sent) == (Added(3, 0) if first == "received" else Added(0, 3))
    if first == "received":
        drained()
    assert spool.append([event(10)])
    spool.close()
    assert catch_up(path) is not None
    intake.close()
    assert count(path) == 5
    with Store(path) as store:
        assert [point.sum for point in store.get_metrics()] == [4.0]


def test_a_recovery_does_not_add_from_the_spool_what_was_received(path: Path) -> None:
    """Of an event that was received, and lies in the spool in another form, the recovery keeps one."""
    now = time.time_ns() // 1_000_000
    spool = Spool(spool_directory(path))
    for number in range(3):
        assert spool.append([event(number, ts_ms=now, trace_id=None)])
    with Store(path) as store:
        store.write([event(number, ts_ms=now, metadata={"by": "OTLP"}) for number in range(2)])
    with path.open("r+b") as file:
        file.write(b"\x5a" * 512)
    recovered = recover(path)
    assert recovered is not None
    assert (recovered.events, recovered.refilled) == (3, 1)
    spool.close()
    assert catch_up(path) is not None
    assert count(path) == 3

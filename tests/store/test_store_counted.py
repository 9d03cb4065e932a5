"""What sampling took away is counted exactly once, and the minimum of each window is kept."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.recording import MakeRecorder, counters, eventually, obstruct, our_threads
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import Row, spool_directory
from usagetrace.spool.sampled import Sampled
from usagetrace.store import Recorder, Store, sampled, writer
from usagetrace.store.catchup import catch_up
from usagetrace.store.connection import MEMORY
from usagetrace.store.drain import DrainReport, drain
from usagetrace.store.intake import Intake, Received
from usagetrace.store.positions import Positions
from usagetrace.store.recovery import recover
from usagetrace.store.sampled import Windows

MINUTE = 60_000
NOON = 1_793_534_400_000  # 2026-11-01 12:00 UTC

# Everything that counts, with the order of its rows left aside.
COUNTS = (
    "SELECT * FROM usage_summary ORDER BY 1, 2", "SELECT * FROM usage_daily ORDER BY 1, 2, 3, 4",
    "SELECT * FROM duration_daily ORDER BY 1, 2, 3, 4", "SELECT * FROM sessions ORDER BY 1",
)  # fmt: skip


def row(number: int = 0, event_type: str = "search", at: int = NOON, **fields: Any) -> Row:
    """Return an event, with ids of its own by a number."""
    fields.setdefault("trace_id", f"{number + 1:032x}")
    fields.setdefault("span_id", f"{number + 1:016x}")
    return tuple(
        Event(
            event_type, f"a{number % 3}", "skill", at + number, duration_ms=1.5, session_id=f"s{number % 2}", **fields
        )
    )


def counts(store: Store) -> list[list[tuple[Any, ...]]]:
    return [[tuple(each) for each in store.connection.execute(sql)] for sql in COUNTS]


def spans(store: Store) -> list[str]:
    return [each[0] for each in store.connection.execute("SELECT span_id FROM events ORDER BY id")]


def totals(store: Store) -> tuple[int, int]:
    """Return how many events are there, and how many are counted."""
    sums = (
        "total_events) FROM usage_summary", "events) FROM usage_daily", "operations) FROM duration_daily",
        "events) FROM sessions",
    )  # fmt: skip
    counted = {int(store.connection.execute(f"SELECT TOTAL({each}").fetchone()[0]) for each in sums}
    assert len(counted) == 1
    return len(spans(store)), counted.pop()


@pytest.fixture
def store(path: Path) -> Store:
    return Store(path)


@pytest.fixture
def spool(path: Path) -> Spool:
    return Spool(spool_directory(path))


# --- counting --------------------------------------------------------------------------------------------------


def test_counted_rows_are_counted_as_events_are() -> None:
    """Summary, rollups and sessions are those of events that were written; there is no event."""
    rows = [row(number, status="error" if number % 3 else "ok") for number in range(20)]
    with Store(MEMORY) as there, Store(MEMORY) as counted, Store(MEMORY) as mixed:
        there.write([Event(*each) for each in rows])
        with counted.atomic():
            writer.count(counted.connection, rows)
            writer.count(counted.connection, [])
        with mixed.atomic():
            assert writer.write(mixed.connection, rows[:5], rows[5:]) == [1, 2, 3, 4, 5]
        assert counts(counted) == counts(there) == counts(mixed)
        assert (spans(counted), len(spans(mixed))) == ([], 5)


def test_a_rebuild_does_not_lower_them_and_a_check_finds_no_fault(path: Path, store: Store) -> None:
    """Rows that count more than the events that are left are right."""
    with store.atomic():
        writer.write(store.connection, [row(1)], [row(number) for number in range(2, 9)])
    before = counts(store)
    found = store.rebuild()
    assert (found.differences, counts(store), store.check()) == ([], before, [])
    # Those of events that are gone as well.
    assert store.cleanup_old_events(1, now_ms=NOON + 10 * 86_400_000) == 1
    assert store.rebuild().differences == []
    assert counts(store)[:3] == before[:3]


# --- windows ---------------------------------------------------------------------------------------------------

TIMES = st.integers(-3 * MINUTE, 3 * MINUTE)
CALLS = st.lists(st.tuples(st.sampled_from("ab"), TIMES, st.booleans()), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(CALLS, st.integers(0, 6), st.sampled_from([1000, MINUTE, 7 * MINUTE]), st.integers(1, 12))
def test_each_window_keeps_its_minimum(
    calls: list[tuple[str, int, bool]], minimum: int, window: int, size: int
) -> None:
    """Whatever the batches are: so many at least, where so many happened; at most those and the rate's; all count."""
    total = Counter((event_type, at // window) for event_type, at, _ in calls)
    by_rate = Counter((event_type, at // window) for event_type, at, rate in calls if rate)
    rows = [row(number, event_type, at - number) for number, (event_type, at, _) in enumerate(calls)]
    windows, store = Windows(), _in_memory()
    store.connection.execute("BEGIN")
    try:
        for begin in range(0, len(rows), size):
            batch = list(zip(rows, calls, strict=True))[begin : begin + size]
            told = [Sampled([each], minimum, window) for each, call in batch if not call[2]]
            windows.add(store.connection, told, [each for each, call in batch if call[2]])
        found = Counter(
            (kind, ts_ms // window) for kind, ts_ms in store.connection.execute("SELECT event_type, ts_ms FROM events")
        )
        assert totals(store)[1] == len(calls)
    finally:
        store.connection.execute("ROLLBACK")
    for key, happened in total.items():
        assert min(minimum, happened) <= found[key] <= by_rate[key] + minimum
        if len(rows) <= size:
            assert found[key] == max(by_rate[key], min(minimum, happened))


@functools.cache
def _in_memory() -> Store:
    """Return a store for all examples, each of which is undone: making one takes longer than the rest."""
    store = Store(MEMORY)
    store.get_stats()
    return store


def test_windows_hold_over_processes_and_drains(spool: Spool, store: Store) -> None:
    """What another process's segment or an earlier drain kept counts; other types and windows are their own."""
    other = Spool(spool.directory)
    spool.append_rows([row(0)])
    spool.append_sampled([row(1)], 3, MINUTE)
    other.append_sampled([row(2)], 3, MINUTE)
    other.append_sampled([row(3)], 3, MINUTE)
    other.append_sampled([row(4, "sync")], 3, MINUTE)
    other.append_sampled([row(5, at=NOON + MINUTE - 5)], 3, MINUTE)
    assert drain(store, spool.directory).counted == 1
    assert len(spans(store)) == 5
    other.append_sampled([row(6)], 3, MINUTE)
    spool.append_sampled([row(7, "sync")], 3, MINUTE)
    report = drain(store, spool.directory)
    assert (report.events, report.counted, report.records) == (1, 1, 2)
    assert totals(store) == (6, 8)
    spool.close()
    other.close()


def test_windows_begin_at_multiples_since_1970(store: Store) -> None:
    """Also before it, and at the ends of the years that a text can hold."""
    times = [-1, 0, MINUTE - 1, MINUTE, -(2**60), -(2**61), 2**60, 2**61]
    told = [Sampled([row(0, at=at)], 1, MINUTE) for at in times]
    for batch in (told[:3], told[3:], told):
        with store.atomic():
            Windows().add(store.connection, batch)
    kept = [each[0] for each in store.connection.execute("SELECT ts_ms FROM events ORDER BY ts_ms")]
    assert kept == [-62_135_596_800_000, -1, 0, MINUTE, 253_402_300_799_999]
    assert totals(store) == (5, 16)


def test_a_call_is_kept_or_counted_whole(spool: Spool, store: Store) -> None:
    """A call on several artifacts is one operation; its rows count as so many events."""
    for number in range(4):
        ids: dict[str, Any] = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"}
        spool.append_sampled([row(number, item=item, **ids) for item in range(3)], 4, MINUTE)
    # What waited in memory is several calls in one record.
    two: list[dict[str, Any]] = [{"trace_id": "0" * 32, "span_id": f"{number:016x}"} for number in (7, 8)]
    spool.append_sampled([row(9, "sync", item=item, **each) for each in two for item in range(3)], 1, MINUTE)
    spool.close()
    assert drain(store, spool.directory).counted == 9
    assert Counter(spans(store)) == {f"{number:016x}": 3 for number in (0, 1, 7)}


def test_a_look_at_a_busy_window_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a type that is rare among the newest ones a few more are kept; of any other none."""
    monkeypatch.setattr(sampled, "_MOST_LOOKED_AT", 10)
    with store.atomic():
        writer.write(store.connection, [row(0, "rare"), *(row(number, "busy") for number in range(1, 30))])
    told = [Sampled([row(number, event_type)], 1, MINUTE) for number, event_type in ((40, "rare"), (41, "busy"))]
    with store.atomic():
        assert Windows().add(store.connection, told) == (1, 1)


def test_what_is_remembered_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgotten windows are looked up again."""
    monkeypatch.setattr(sampled, "_MOST_KNOWN", 5)
    windows = Windows()
    for _ in range(2):
        for begin in range(0, 40, 4):
            with store.atomic():
                windows.add(
                    store.connection,
                    [Sampled([row(0, at=NOON + at * MINUTE)], 1, MINUTE) for at in range(begin, begin + 4)],
                )
            assert len(windows._known) <= 5 + 4
    assert totals(store) == (40, 80)


def test_events_by_text_of_any_kind(store: Store) -> None:
    """A type that no store can hold as it is, is looked up as it is kept."""
    for number in range(3):
        with store.atomic():
            Windows().add(store.connection, [Sampled([row(number, "a\0\udcff")], 2, MINUTE)])
    assert totals(store) == (2, 3)


# --- exactly once ----------------------------------------------------------------------------------------------


def test_a_drain_that_dies_before_its_commit_counts_nothing(
    spool: Spool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts, events and position are committed together: the next drain counts all of it, once."""
    for number in range(5):
        spool.append_sampled([row(number)], 2, MINUTE)

    def die(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Positions, "advance", die)
        with pytest.raises(KeyboardInterrupt):
            drain(store, spool.directory)
    assert totals(store) == (0, 0)
    assert drain(store, spool.directory) == DrainReport(events=2, records=5, counted=3)
    assert drain(store, spool.directory) == DrainReport()
    assert totals(store) == (2, 5)
    spool.close()


KILLS = """
import json, os, shutil, signal, sys
from usagetrace.events import Event
from usagetrace.spool import Spool, segments
from usagetrace.store import Store
from usagetrace.store.drain import drain
folder = sys.argv[1]

def row(number):
    return tuple(Event("search", "a", "skill", 1_793_534_400_000 + number, duration_ms=1.0, session_id="s",
                       trace_id=f"{number:032x}", span_id=f"{number:016x}"))

made = os.path.join(folder, "made")
with Store(os.path.join(made, "analytics.db")) as store:
    store.write([Event(*row(0))])
spool = Spool(os.path.join(made, "spool"))
for number in range(1, 9):
    if number % 4:
        assert spool.append_sampled([row(number)], 4, 60_000)
    else:
        assert spool.append_rows([row(number)])
spool.close()

def child(there, dies_at, pipe):
    seen = 0
    def step(statement):
        nonlocal seen
        seen += 1
        if seen == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    store = Store(os.path.join(there, "analytics.db"))
    store.connection.set_trace_callback(step)
    drain(store, os.path.join(there, "spool"), batch_events=4)
    os.write(pipe, b"whole")
    os._exit(0)

results, dies_at, end = [], 0, b""
while not end:
    dies_at += 5
    there = os.path.join(folder, str(dies_at))
    shutil.copytree(made, there)
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        child(there, dies_at, into)
    os.close(into)
    os.waitpid(pid, 0)
    end = os.read(out, 100)
    os.close(out)
    with Store(os.path.join(there, "analytics.db")) as store:
        drain(store, os.path.join(there, "spool"))
        one = lambda sql: store.connection.execute(sql).fetchone()[0]
        results.append([
            one("SELECT COUNT(*) FROM events"), one("SELECT COUNT(DISTINCT span_id) FROM events"),
            one("SELECT SUM(total_events) FROM usage_summary"), one("SELECT SUM(events) FROM usage_daily"),
            one("SELECT SUM(operations) FROM duration_daily"), one("SELECT SUM(events) FROM sessions"),
            len(segments(os.path.join(there, "spool"))),
        ])
print(json.dumps(results))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_drainer_killed_at_any_statement(python: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """SIGKILL at one statement in five of a drain: the next one makes it whole, with each counted once."""
    out, err = python(KILLS, tmp_path).communicate(timeout=60)
    assert err == ""
    results = json.loads(out)
    assert len(results) > 5
    # Nine are counted. Four are kept at least, or one more where the rate's last one was read after them.
    assert {tuple(each) for each in results} <= {(4, 4, 9, 9, 9, 9, 0), (5, 5, 9, 9, 9, 9, 0)}


@pytest.mark.parametrize("received", [False, True])
def test_beside_one_that_can_t_be_stored_the_others_are_counted(
    path: Path, spool: Spool, store: Store, received: bool
) -> None:
    """The faulty call is left out, and the windows are those without it; also where each is looked up by its ids."""
    if received:
        intake = Intake(path)
        intake.add([Received([Event(*row(20, "sync"))], [])])
        intake.close()
    for number in range(4):
        spool.append_sampled([row(number)], 2, MINUTE)
    spool.append_sampled([(*row(8)[:3], "soon", *row(8)[4:])], 2, MINUTE)
    spool.append_rows([row(9)])
    spool.close()
    report = drain(store, spool.directory)
    assert (report.damaged, report.events, report.counted, report.complete) == (1, 2, 3, True)
    assert totals(store) == (2 + received, 5 + received)


def test_a_faulty_event_is_left_out_where_others_were_received(path: Path, spool: Spool, store: Store) -> None:
    """Its time can't be looked up; the drain goes on behind it."""
    intake = Intake(path)
    intake.add([Received([Event(*row(1))], [])])
    intake.close()
    for each in (row(1), (*row(2)[:3], "soon", *row(2)[4:]), row(3)):
        spool.append_rows([each])
    spool.close()
    report = drain(store, spool.directory)
    assert (report.damaged, report.events, report.complete, report.segments_finished) == (1, 1, True, 1)
    assert totals(store) == (2, 2)


def test_what_was_received_otherwise_is_not_counted_again(path: Path, spool: Spool, store: Store) -> None:
    """An event that came by OTLP, because it was kept there, is known by its ids."""
    intake = Intake(path)
    intake.add([Received([Event(*row(number)) for number in (1, 2)], [])])
    intake.close()
    for number in range(4):
        spool.append_sampled([row(number)], 0, MINUTE)
    spool.close()
    assert drain(store, spool.directory).counted == 2
    assert totals(store) == (2, 4)


@pytest.mark.parametrize("drained", [False, True])
def test_after_a_repair_they_are_counted_at_most_once(path: Path, spool: Spool, drained: bool) -> None:
    """Whether the old database had counted them can't be known, for a count has no id: what is in doubt is left out."""
    begun: dict[str, Any] = {"trace_id": "b" * 32, "span_id": "b" * 16}
    spool.append_start(row(0, "invoke", status="abandoned", **begun))
    spool.append_rows([row(1)])
    spool.append_sampled([row(2)], 0, MINUTE)
    spool.append_sampled([row(3, "invoke", **begun)], 0, MINUTE)
    with Store(path) as store:
        store.write([Event(*row(4))])
        if drained:
            drain(store, spool.directory)
    path.write_bytes(b"no database at all" * 1000)
    assert recover(path) is not None
    spool.close()
    with Store(path) as store:
        drain(store, spool.directory)
        assert spans(store).count(f"{2:016x}") == 1
        there, counted = totals(store)
        assert there <= counted <= there + 2
        assert store.connection.execute("SELECT COUNT(*) FROM events WHERE status = 'abandoned'").fetchone()[0] == 0


# --- the recorder ----------------------------------------------------------------------------------------------


def test_a_recorder_has_them_counted(path: Path, recorder: MakeRecorder) -> None:
    """By the next flush; nothing of an empty call is left anywhere."""
    made = recorder(path)
    assert made.submit_sampled([], 1, MINUTE) is True
    assert not path.parent.exists()
    for number in range(5):
        assert made.submit_sampled([row(number)], 2, MINUTE) is True
    assert not path.exists()
    assert made.flush(30)
    assert counters(made) == (2, 0, 0)
    with Store(path) as store:
        assert totals(store) == (2, 5)


def test_they_wait_in_memory_like_others(path: Path, recorder: MakeRecorder, locked: Callable[[Path], Any]) -> None:
    """Neither spool nor database can be written; then the spool can: each is counted once, with its own minimum."""
    with Store(path) as store:
        store.get_stats()
    shutil.rmtree(spool_directory(path), ignore_errors=True)
    obstacle = obstruct(path)
    made = recorder(path)
    with locked(path):
        for number in range(6):
            share: Sequence[int] = (1, MINUTE) if number % 2 else (0, 7)
            assert made.submit_sampled([row(number)], *share) is True
        assert made.submit_rows([row(6)]) is True
        assert made.submit_sampled([row(7, "sync")], 1, MINUTE) is True
        assert made.buffered == 8
        obstacle.unlink()
    assert made.flush(30)
    assert made.dropped == 0
    with Store(path) as store:
        # Of the searches the one of the rate, and one at most that was drained before it.
        assert totals(store)[1] == 8
        assert {2, 3} >= {totals(store)[0]}


def test_without_a_spool_they_are_counted_in_the_store(path: Path, recorder: MakeRecorder) -> None:
    """An operation that was announced when it began is kept: its beginning may be read later than its end."""
    obstacle = obstruct(path)
    made = recorder(path)
    for number in range(3):
        assert made.submit_sampled([row(number)], 1, MINUTE) is True
    assert made.submit_sampled([row(3, "invoke")], 0, MINUTE) is True
    assert eventually(lambda: counters(made) == (2, 0, 0))
    made.close()
    obstacle.unlink()
    with Store(path) as store:
        assert totals(store) == (2, 4)
        assert [
            row[0] for row in store.connection.execute("SELECT event_type FROM events ORDER BY event_type DESC")
        ] == ["search", "invoke"]


def test_one_that_nothing_can_take_is_lost_and_counted_so(path: Path, recorder: MakeRecorder) -> None:
    """A value that has no form is no reason to keep it for ever."""
    made = recorder(path)
    assert made.submit_sampled([(*row(0)[:1], object(), *row(0)[2:])], 1, MINUTE) is False
    assert counters(made) == (0, 0, 1)


FORK = """
import os, sys
from usagetrace.events import Event
from usagetrace.store import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)

def submit(number):
    event = Event("search", "a", "skill", 1_793_534_400_000, duration_ms=1.0, session_id="s", span_id=f"{number:016x}")
    assert recorder.submit_sampled([tuple(event)], 3, 60_000)

submit(0)
children = []
for number in range(1, 4):
    child = os.fork()
    if not child:
        submit(number)
        os._exit(0)
    children.append(child)
submit(4)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_have_theirs_counted(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Each process appends to a segment of its own; the windows are those of all."""
    out, err = python(FORK, path).communicate(timeout=60)
    assert (out, err) == ("", "")
    report = catch_up(path)
    assert report is not None
    assert (report.events, report.counted) == (3, 2)
    with Store(path) as store:
        assert totals(store) == (3, 5)


# --- critical events -------------------------------------------------------------------------------------------


def test_a_critical_event_is_drained_at_once(path: Path, recorder: MakeRecorder) -> None:
    """In a process that is young, and in one whose thread rests; nobody flushes."""
    made = recorder(path)
    assert made.submit_rows([row(0)])
    assert our_threads() == []
    assert made.submit_rows([row(1, priority="critical")])
    assert eventually(lambda: made.committed == 2)
    assert made.submit_rows([row(2, priority="critical")])
    assert eventually(lambda: made.committed == 3)


def test_a_critical_event_ends_the_rest_of_the_thread(
    path: Path, recorder: MakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that would rest for an hour drains at once."""
    from usagetrace.store import background

    monkeypatch.setattr(background, "_INTERVAL", 3600.0)
    made = recorder(path)
    for number in range(3):
        assert made.submit_rows([row(number, priority="critical")])
        assert eventually(lambda number=number: made.committed == number + 1)  # type: ignore[misc]  # bound now


ONE_SHOT = """
import sys
from usagetrace.events import Event
from usagetrace.store.recorder import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)
assert recorder.submit([Event("deploy", "canvas", "skill", 1_793_534_400_000, priority=sys.argv[2])])
loaded = "sqlite3" in sys.modules
assert recorder.close(30.0, at_exit=True)
print(loaded and sys.argv[2] == "normal")
"""


@pytest.mark.parametrize(("priority", "is_drained"), [("critical", True), ("high", False)])
def test_a_command_with_a_critical_event_drains_it_before_it_ends(
    path: Path, python: Callable[..., subprocess.Popen[str]], priority: str, is_drained: bool
) -> None:
    """However short it is; any other event is left in the spool."""
    out, err = python(ONE_SHOT, path, priority).communicate(timeout=60)
    assert (out, err) == ("False\n", "")
    assert path.exists() == is_drained
    if is_drained:
        with Store(path, read_only=True) as store:
            assert len(store.get_events()) == 1


FORK_AT_ONCE = """
import os, sys
from usagetrace.events import Event
from usagetrace.store.recorder import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)
assert recorder.submit([Event("deploy", "parent", "skill", 1_793_534_400_000, priority="critical")])
child = os.fork()
if not child:
    assert recorder.submit([Event("deploy", "child", "skill", 1_793_534_400_000, priority="critical")])
    os._exit(0 if recorder.close(30.0, at_exit=True) else 1)
print(os.waitpid(child, 0)[1], recorder._hurrying.is_alive())
recorder.close(30.0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_waits_until_the_database_s_library_is_loaded(
    path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    """A child could not load a module that a thread of its parent was loading."""
    out, err = python(FORK_AT_ONCE, path).communicate(timeout=60)
    assert (out, err) == ("0 False\n", "")
    catch_up(path)
    with Store(path, read_only=True) as store:
        assert len(store.get_events()) == 2


def test_a_recorder_that_is_gone_is_not_kept_by_its_spool(path: Path) -> None:
    """What is critical goes to the spool all the same."""
    spool = Spool(spool_directory(path))
    made = Recorder(path, spool=spool)
    made.close()
    del made
    assert spool.append_rows([row(0, priority="critical")])
    spool.close()
    assert our_threads() == []

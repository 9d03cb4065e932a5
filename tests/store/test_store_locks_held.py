"""Maintenance lets others write: the lock is held for moments, whatever the rows weigh."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.maintenance import cleanup_old_events
from usagetrace.store.pacing import TARGET_S, Pace
from usagetrace.store.queries import DAY_MS

NOW = 1_763_287_200_000
OLD = NOW - 200 * DAY_MS
COUNT = 50_000


class Measured(Pace):
    """A pace that keeps how long each transaction held the lock."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[float] = []

    def pause(self) -> None:
        self.all.append(self.held)
        super().pause()


FILL = """
INSERT INTO events (event_type, artifact_name, artifact_type, collection_name, project_path, timestamp, metadata,
    ts_ms, duration_ms, session_id)
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
SELECT 'deploy', 'a' || (n % 500), 'skill', 'collection', '~/project', '2025-04-30 00:00:00',
    CASE WHEN n % 1000 = 0 OR n BETWEEN :count / 2 AND :count / 2 + :run THEN :fat ELSE '{"n": ' || n || '}' END,
    :old + n * 100, 3.0, 's' || (n / 5) FROM numbers"""
SESSIONS = """
INSERT INTO sessions SELECT session_id, MIN(ts_ms), MAX(ts_ms), COUNT(*), 0 FROM events GROUP BY session_id"""


def fill(store: Store, count: int, run: int = 200) -> None:
    """Add old events: mostly light ones, some of 64 kB of metadata, and a run of those."""
    fat = '{"note": "' + "x" * 65_000 + '"}'
    with store.atomic():
        store.connection.execute(FILL, {"count": count, "run": run, "fat": fat, "old": OLD})
        store.connection.execute(SESSIONS)


WRITER = """
import sys, threading
from usagetrace.events import Event
from usagetrace.store import Store
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
with Store(sys.argv[1], busy_timeout_ms=5000) as store:
    count = 0
    while not done.is_set():
        store.write([Event("sync", "beside", "skill", int(sys.argv[2]))])
        count += 1
        done.wait(0.002)
        if count == 1:
            print("writing", flush=True)
print(count, flush=True)
"""


def test_the_lock_is_held_for_moments(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Over 50,000 events, fat ones among them, no transaction is long, and a process that writes never fails."""
    with Store(path) as store:
        fill(store, COUNT)
    before = path.stat().st_size
    writer = python(WRITER, path, NOW)
    assert writer.stdin is not None
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    pace = Measured()
    with Store(path) as store:
        assert cleanup_old_events(store._using, str(path), 90, now_ms=NOW, pace=pace) == COUNT
        out, err = writer.communicate("\n", timeout=60)
        assert err == ""
        assert store.count_events(artifact_name="beside")[0]["events"] == int(out) > 20
        assert [row[0] for row in store.connection.execute("SELECT COUNT(*) FROM sessions")] == [0]
        # What the database is now, however much of it a passive checkpoint could write beside the other process.
        (pages,), (size,) = (
            store.connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        assert pages * size < before / 4
        assert store.check() == []
    # What it is on a quiet machine is in the documentation; a busy one may stop a process for longer than that.
    print(f"{len(pace.all)} transactions: median {statistics.median(pace.all):.4f} s, longest {pace.longest:.4f} s")
    assert len(pace.all) > 20
    assert statistics.median(pace.all) < 0.05
    assert sorted(pace.all)[len(pace.all) * 95 // 100] < 0.25


class Disk:
    """A clock that goes on by what a transaction costs, as slow as it is told to be."""

    def __init__(self) -> None:
        self.now = 0.0
        self.row_s = 0.0001
        self.commit_s = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Slow:
    """A connection whose commits take the disk's time."""

    def __init__(self, connection: object, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk
        self.in_transaction = False

    def execute(self, statement: str) -> Slow:
        self.in_transaction = statement.startswith("BEGIN") or (self.in_transaction and statement != "COMMIT")
        if statement == "COMMIT":
            self._disk.now += self._disk.commit_s
        return self

    def fetchone(self) -> tuple[int]:
        return (1000,)


def work(pace: Pace, disk: Disk, connection: Slow) -> int:
    done = 0
    with pace.transaction(connection, "slow.db") as time_is_left:  # type: ignore[arg-type]  # as much of one as is used
        while True:
            disk.now += disk.row_s
            # What is written costs at the commit.
            done += 1
            if not time_is_left():
                return done


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0, 10.0])
def test_transactions_grow_to_what_fits(share: float) -> None:
    """Work starts small and grows until the transaction, its commit included, takes what it may; never much more."""
    disk = Disk()
    pace, connection = Pace(clock=disk.clock, sleep=disk.sleep), Slow(None, disk)
    held = []
    for _ in range(40):
        # A commit that takes so many times what the work took.
        disk.commit_s = share * (pace._work_s)
        work(pace, disk, connection)
        held.append(pace.held)
    assert held[0] <= TARGET_S * (1 + share)
    assert held[-1] == pytest.approx(TARGET_S, rel=0.25)
    assert max(held[8:]) < 2 * TARGET_S


def test_a_disk_that_becomes_slow(path: Path) -> None:
    """When rows become a hundred times heavier, the clock ends the very transaction; a slow commit shrinks the next."""
    disk = Disk()
    pace, connection = Pace(clock=disk.clock, sleep=disk.sleep), Slow(None, disk)
    for _ in range(20):
        light = work(pace, disk, connection)
    disk.row_s *= 100
    assert work(pace, disk, connection) < light / 50
    assert pace.held < 2 * TARGET_S
    disk.row_s /= 100
    disk.commit_s = 1.0
    work(pace, disk, connection)
    after = work(pace, disk, connection)
    assert after <= max(light / 20, 2)


def test_others_get_as_long_as_was_taken() -> None:
    """After each transaction the lock is left to others for as long as it was held."""
    disk = Disk()
    pace, connection = Pace(clock=disk.clock, sleep=disk.sleep), Slow(None, disk)
    for _ in range(10):
        work(pace, disk, connection)
        before = disk.now
        pace.pause()
        assert disk.now - before == pytest.approx(pace.held)


def test_threads_of_the_same_store_get_in_between(path: Path) -> None:
    """A thread that shares the store object writes while old events are removed, not after."""
    with Store(path) as store:
        fill(store, 20_000)
        started, written_before_end, over = threading.Event(), [], threading.Event()

        def write() -> None:
            started.set()
            while not over.is_set():
                store.write([Event("sync", "beside", "skill", NOW)])
                written_before_end.append(over.is_set())

        thread = threading.Thread(target=write)
        thread.start()
        started.wait()
        assert store.cleanup_old_events(90, now_ms=NOW) == 20_000
        over.set()
        thread.join()
    assert written_before_end.count(False) >= 5


def test_a_commit_waits_for_no_checkpoint_and_the_setting_stays(path: Path) -> None:
    """The connection's own setting of when the journal is written back is as it was, after a failure as well."""
    with Store(path) as store:
        connection = store.connection
        connection.execute("PRAGMA wal_autocheckpoint=77").fetchone()
        store.write([Event("deploy", "a", "skill", 5)] * 100)
        store.cleanup_old_events(90, now_ms=NOW)
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 77
        with contextlib.suppress(RuntimeError), Pace().transaction(connection, "x"):
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0
            raise RuntimeError
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 77


def test_the_journal_does_not_grow_with_the_work(path: Path) -> None:
    """The journal is written back now and then: a long removal needs no room for all of it."""
    with Store(path) as store:
        fill(store, 20_000)
        store.vacuum()
        size = path.stat().st_size
        store.cleanup_old_events(90, now_ms=NOW)
        assert Path(f"{path}-wal").stat().st_size < size

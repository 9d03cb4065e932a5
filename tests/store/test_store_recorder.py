"""A caller is neither failed nor held up by the store, and its events are kept."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Recorder, Store
from usagetrace.store import store as store_module
from usagetrace.store.queries import DAY_MS

MakeEvent = Callable[..., Event]
MakeRecorder = Callable[..., Recorder]

# A call may take its budget; the rest is for a busy machine.
CALL_BOUND_S = 1.0


@pytest.fixture
def recorder() -> Iterator[MakeRecorder]:
    """Return a function that makes a recorder that tries again at once; it is closed after the test."""
    made: list[Recorder] = []

    def make(path: Path, **settings: Any) -> Recorder:
        settings.setdefault("jitter", lambda longest: min(longest, 0.02))
        # The events of these tests are old.
        settings.setdefault("retention_days", 0)
        made.append(Recorder(path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close(0.5)
    deadline = time.monotonic() + 20
    while our_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert our_threads() == []


def total(path: Path) -> int:
    with Store(path, read_only=True) as store:
        return int(store.get_stats()["total_events"])


def counters(recorder: Recorder) -> tuple[int, int, int]:
    return recorder.committed, recorder.buffered, recorder.dropped


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("usagetrace")]


def test_making_one_touches_nothing(path: Path, recorder: MakeRecorder) -> None:
    """A recorder that gets no event makes no file, no directory and no thread, not even when it is closed."""
    made = recorder(path)
    assert made.submit([])
    assert made.flush(0)
    assert made.close(0)
    assert not path.parent.exists()
    assert our_threads() == []


def test_committed_when_submit_returns(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """An event is in the file when the call returns, and no thread is needed for it."""
    made = recorder(path)
    for count in range(1, 4):
        assert made.submit([make_event(name=f"a{count}")])
        assert total(path) == count
    assert counters(made) == (3, 0, 0)
    assert our_threads() == []


def test_locked_for_a_while(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], caplog: Any
) -> None:
    """While another process holds the lock, calls return fast; afterwards every event is there once, unwarned."""
    made = recorder(path)
    made.submit([make_event(name="before")])
    longest = 0.0
    with locked(path):
        until = time.monotonic() + 2.5
        kept = 0
        while time.monotonic() < until:
            began = time.perf_counter()
            assert made.submit([make_event(name=f"n{kept}"), make_event(name="same")])
            longest = max(longest, time.perf_counter() - began)
            kept += 1
            time.sleep(0.01)
        assert made.buffered == 2 * kept
    assert longest < CALL_BOUND_S
    assert made.flush(20)
    assert counters(made) == (1 + 2 * kept, 0, 0)
    assert total(path) == 1 + 2 * kept
    with Store(path) as store:
        assert {row["total_events"] for row in store.get_usage_summary(artifact_type="skill")} == {1, kept}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_locked_before_there_is_a_schema(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any]
) -> None:
    """A first call into a file that another process has locked is fast as well, and its event is kept."""
    path.parent.mkdir()
    with locked(path):
        made = recorder(path)
        began = time.perf_counter()
        assert made.submit([make_event()])
        assert time.perf_counter() - began < CALL_BOUND_S
        assert made.buffered == 1
    assert made.flush(20)
    assert total(path) == 1


def test_only_appends_while_something_waits(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], monkeypatch: Any
) -> None:
    """Once an event waits, further calls don't try the store in the caller's thread."""
    made = recorder(path, jitter=lambda longest: 60.0)
    made.submit([make_event()])
    tries: list[str] = []
    write = Store.write

    def watched(self: Store, events: Any) -> Any:
        tries.append(threading.current_thread().name)
        return write(self, events)

    with locked(path):
        made.submit([make_event()])
        monkeypatch.setattr(Store, "write", watched)
        for _ in range(20):
            made.submit([make_event()])
        assert "MainThread" not in tries
    assert made.flush(20)
    assert total(path) == 22


def test_lock_that_outlasts_the_process(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], caplog: Any
) -> None:
    """At the end, closing is bounded; what could not be committed is counted, with one warning and its remedy."""
    made = recorder(path)
    made.submit([make_event()])
    with locked(path):
        made.submit([make_event(), make_event()])
        began = time.monotonic()
        assert made.close(0.3) is False
        assert time.monotonic() - began < 0.3 + CALL_BOUND_S
        assert (made.buffered, made.dropped) == (0, 2)
        assert made.submit([make_event()]) is False
        assert made.dropped == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "lock" in warnings[0]


def test_events_after_close_are_committed(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """An event of a late exit handler is committed by itself, and the file is let go again."""
    made = recorder(path)
    made.submit([make_event()])
    assert made.close()
    assert made.submit([make_event()])
    assert not path.with_name("analytics.db-wal").exists()
    assert total(path) == 2


def test_oldest_are_dropped_beyond_the_limit(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], caplog: Any
) -> None:
    """A full buffer loses its oldest events, counts them, warns once, and keeps the newest."""
    made = recorder(path, buffer_limit=10)
    made.submit([make_event(name="first")])
    with locked(path):
        for number in range(25):
            made.submit([make_event(name=f"n{number}")])
        # A batch on its way to the store counts when it comes back.
        deadline = time.monotonic() + 20
        while made.buffered > 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (made.buffered, made.dropped) == (10, 15)
    assert made.flush(20)
    with Store(path) as store:
        names = {row["artifact_name"] for row in store.get_events()}
    assert names == {"first", *(f"n{number}" for number in range(15, 25))}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_unwritable_directory_then_writable(
    tmp_path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any
) -> None:
    """Where the directory can't be made, one warning names file and remedy; once it can, what waited is stored."""
    blocker = tmp_path / "data"
    blocker.write_text("a regular file, where a directory should be: also root can't write below it")
    path = blocker / "usagetrace" / "analytics.db"
    made = recorder(path)
    for _ in range(5):
        assert made.submit([make_event()])
    assert counters(made) == (0, 5, 0)
    assert not made.flush(0.1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(path) in warning
    assert "db-path" in warning
    blocker.unlink()
    assert made.flush(20)
    assert made.submit([make_event()])
    # The background thread may be closing its connection just then: the event waits a moment, as it should.
    assert made.flush(20)
    assert counters(made) == (6, 0, 0)
    assert total(path) == 6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_read_only_file_system(recorder: MakeRecorder, make_event: MakeEvent, caplog: Any) -> None:
    """A directory on a file system that takes no files costs the caller nothing but one warning."""
    made = recorder(Path("/proc/usagetrace/analytics.db"))
    for _ in range(3):
        assert made.submit([make_event()])
    assert made.buffered == 3
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


@pytest.mark.parametrize("kind", ["text", "newer"])
def test_permanent_faults(path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any, kind: str) -> None:
    """A file that is not ours, or newer, stays as it is; one warning, events counted as dropped, no retry."""
    path.parent.mkdir()
    if kind == "text":
        path.write_text("dear diary " * 100)
    else:
        with Store(path) as store:
            store.connection.execute("INSERT INTO schema_migrations VALUES (99, '2030', 'future', 'x')")
    before = path.read_bytes()
    made = recorder(path)
    assert [made.submit([make_event()] * 2) for _ in range(3)] == [False] * 3
    assert counters(made) == (0, 0, 6)
    assert our_threads() == []
    assert path.read_bytes() == before
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(path) in warning


def test_a_fault_of_ours_stays_inside(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody expected costs its own events, not the caller and not the next events."""
    made = recorder(path)
    with monkeypatch.context() as patch:
        patch.setattr(store_module.writer, "write", lambda *_: 1 / 0)
        assert made.submit([make_event()]) is False
    assert made.submit([make_event()]) is True
    assert counters(made) == (1, 0, 1)


def test_deleted_directory(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """After its directory was removed, a recorder's next life makes it anew."""
    made = recorder(path)
    made.submit([make_event()])
    made.close()
    shutil.rmtree(path.parent)
    assert made.submit([make_event()])
    assert total(path) == 1


def test_large_old_database_is_migrated_in_the_background(
    recorder: MakeRecorder, make_event: MakeEvent, v1: Callable[..., Path]
) -> None:
    """A call does not wait for a large database of version 1 to be migrated; its event follows."""
    path = v1([("deploy", f"a{n}", "skill", "2025-01-01 00:00:00", None) for n in range(3000)])
    made = recorder(path)
    assert made.submit([make_event()])
    assert made.buffered == 1
    assert made.flush(60)
    assert total(path) == 3001


def test_threads(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """Threads that submit at once lose nothing."""
    made = recorder(path)
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait()
        for _ in range(40):
            made.submit([make_event(name=f"t{number}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.flush(30)
    assert (made.committed, made.dropped) == (240, 0)
    with Store(path) as store:
        assert {row["total_events"] for row in store.get_usage_summary()} == {40}


def test_submit_within_submit(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler or finalizer that records while this thread is recording waits for nothing and loses nothing."""
    made = recorder(path, call_budget_ms=10_000)
    write = Store.write
    inner: list[bool] = []

    def interrupted(self: Store, events: Any) -> Any:
        if not inner:
            inner.append(made.submit([make_event(name="inner")]))
        return write(self, events)

    monkeypatch.setattr(Store, "write", interrupted)
    began = time.monotonic()
    assert made.submit([make_event(name="outer")])
    assert time.monotonic() - began < 5
    assert inner == [True]
    assert made.flush(20)
    assert total(path) == 2


# --- retention ---------------------------------------------------------------------------------------------


def test_retention_at_the_end(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """A short process looks after retention when it closes; 0 days keep everything."""
    now = time.time()
    old = make_event(name="old", ts_ms=int(now * 1000) - 91 * DAY_MS)
    young = make_event(name="young", ts_ms=int(now * 1000))
    keeper = recorder(path, retention_days=0)
    keeper.submit([old, young])
    keeper.close()
    assert total(path) == 2
    made = recorder(path, retention_days=90)
    made.submit([young])
    assert total(path) == 3
    made.close()
    assert total(path) == 2


def test_retention_in_a_long_life(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """A process that lives on looks after retention in the background, once a day."""
    present = [1_763_287_200.0]
    made = recorder(path, retention_days=90, clock=lambda: present[0])
    made.submit([make_event(name="old", ts_ms=5)])
    assert our_threads() == []
    for hours in (1, 2, 30):
        present[0] = 1_763_287_200.0 + hours * 3600
        made.submit([make_event(name="old", ts_ms=5), make_event(ts_ms=int(present[0] * 1000))])
        deadline = time.monotonic() + 20
        while our_threads() and time.monotonic() < deadline:
            time.sleep(0.01)
        with Store(path) as store:
            # Within the day after it ran, old events stay.
            assert len(store.get_events(artifact_name="old")) == (hours == 2)


# --- forks -------------------------------------------------------------------------------------------------

FORK = """
import os, sys, threading
from usagetrace.events import Event
from usagetrace.store import Recorder
recorder = Recorder(sys.argv[1], call_budget_ms=2000, retention_days=0)

def event(name):
    return Event("deploy", name, "skill", 1700000000000)

assert recorder.submit([event("parent")])
stop = threading.Event()

def background():
    while not stop.is_set():
        recorder.submit([event("thread")])

worker = threading.Thread(target=background)
worker.start()
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        assert (recorder.committed, recorder.buffered) == (0, 0)
        for _ in range(5):
            assert recorder.submit([event(f"child{number}")])
        assert recorder.flush(30)
        if number % 2:
            os._exit(0)
        stop.set()
        sys.exit(0)
    children.append(child)
    recorder.submit([event("parent")])
codes = [os.waitpid(child, 0)[1] for child in children]
stop.set()
worker.join()
assert recorder.flush(30)
recorder.submit([event("parent")])
print(codes, recorder.dropped, recorder.committed)
recorder.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Parent, its thread and its children, however they end, all record through one recorder and spoil nothing."""
    out, err = python(FORK, path).communicate(timeout=120)
    codes, dropped, committed = out.rsplit(" ", 2)
    assert (codes, dropped) == (str([0] * 8), "0"), err
    with Store(path) as store:
        counts = {row["artifact_name"]: row["total_events"] for row in store.get_usage_summary()}
        assert store.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert store.get_stats()["total_events"] == sum(counts.values())
    thread = counts.pop("thread", 0)
    assert counts == {"parent": 10, **{f"child{number}": 5 for number in range(8)}}
    assert int(committed) == thread + 10


FORK_WAITING = """
import os, sys
from usagetrace.events import Event
from usagetrace.store import Recorder

def say(word):
    print(word, flush=True)
    sys.stdin.readline()

recorder = Recorder(sys.argv[1], retention_days=0)
recorder.submit([Event("deploy", "first", "skill", 5)])
say("opened")
recorder.submit([Event("deploy", "waiting", "skill", 5)])
assert recorder.buffered == 1
here, there = os.pipe()
child = os.fork()
if child == 0:
    assert recorder.buffered == 0
    os.read(here, 1)
    assert recorder.submit([Event("deploy", "child", "skill", 5)])
    os._exit(0 if recorder.close(30) else 1)
say("forked")
assert recorder.flush(30)
os.write(there, b"!")
print(os.waitpid(child, 0)[1], recorder.committed)
recorder.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_what_waits_is_the_parents(
    path: Path, python: Callable[..., subprocess.Popen[str]], locked: Callable[[Path], Any]
) -> None:
    """Events that wait at a fork are committed by the parent alone, once."""
    process = python(FORK_WAITING, path)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "opened\n"
    with locked(path):
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
    out, err = process.communicate("\n", timeout=60)
    assert out == "0 2\n", err
    with Store(path) as store:
        names = [row["artifact_name"] for row in store.get_events()]
    assert sorted(names) == ["child", "first", "waiting"]


FORK_IN_TRANSACTION = """
import os, sys
from usagetrace.errors import StoreUnavailableError
from usagetrace.store import Store
store = Store(sys.argv[1])
with store.atomic():
    store.record_event("deploy", "before", "skill")
    child = os.fork()
    if child == 0:
        try:
            store.record_event("deploy", "child", "skill")
        except StoreUnavailableError as error:
            print(error)
            sys.exit(3)
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    store.record_event("deploy", "after", "skill")
print(os.waitstatus_to_exitcode(status))
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork_inside_a_transaction(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """A child of a process that forks inside a transaction refuses the file; the parent's transaction is whole."""
    out, err = python(FORK_IN_TRANSACTION, path).communicate(timeout=60)
    assert "forked" in out, err
    assert out.endswith("\n3\n")
    with Store(path) as store:
        assert [row["artifact_name"] for row in store.get_events()] == ["after", "before"]


KILLED = """
import os, signal, sys
from usagetrace.events import Event
from usagetrace.store import Recorder
recorder = Recorder(sys.argv[1])
for number in range(20):
    recorder.submit([Event("deploy", "canvas", "skill", 5)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_killed(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """What was committed survives the process being killed."""
    process = python(KILLED, path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -9, err
    with Store(path) as store:
        assert store.get_stats()["total_events"] == 20

"""A caller is neither failed nor held up, and its events are safe when the call returns."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import (
    PATIENCE_S,
    MakeEvent,
    MakeRecorder,
    counters,
    eventually,
    in_spool,
    names,
    obstruct,
    our_threads,
    total,
    warnings,
)
from usagetrace.spool import Spool, segments
from usagetrace.spool import locks as spool_locks
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up


# --- a call ---------------------------------------------------------------------------------------------------
def test_making_one_touches_nothing(path: Path, recorder: MakeRecorder) -> None:
    """A recorder that gets no event makes no file, no directory and no thread, not even when it is closed."""
    made = recorder(path)
    assert made.submit([])
    assert made.flush(0)
    assert made.close(0)
    assert not path.parent.exists()
    assert our_threads() == []


@pytest.mark.parametrize("door", ["submit", "submit_rows"])
def test_safe_when_submit_returns(path: Path, recorder: MakeRecorder, make_event: MakeEvent, door: str) -> None:
    """An event is in the spool when the call returns; the database is not touched, and no thread is needed."""
    made = recorder(path)
    expected = []
    for count in range(1, 4):
        event = make_event(name=f"a{count}", metadata={"n": count})
        assert made.submit([event]) if door == "submit" else made.submit_rows([tuple(event)])
        expected.append(event.artifact_name)
        assert in_spool(path) == expected
    assert not path.exists()
    assert counters(made) == (0, 0, 0)
    assert our_threads() == []
    assert made.flush()
    assert counters(made) == (3, 0, 0)
    assert names(path) == expected


ONE_SHOT = """
import sys, threading
from usagetrace.events import Event
from usagetrace.store.recorder import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)
assert recorder.submit([Event("deploy", "canvas", "skill", 1_700_000_000_000)])
assert recorder.close(1.0, at_exit=True)
heavy = {"sqlite3", "queue", "random", "hashlib", "usagetrace.store.store", "usagetrace.store.drain"}
print(sorted(heavy & set(sys.modules)), threading.active_count())
"""


def test_a_one_shot_command_only_appends(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """A command with one event loads no database, starts no thread, and its event is there for whoever reads next."""
    out, err = python(ONE_SHOT, path).communicate(timeout=60)
    assert (out, err) == ("[] 1\n", "")
    assert not path.exists()
    report = catch_up(path)
    assert report is not None
    assert (report.events, report.complete) == (1, True)
    assert names(path) == ["canvas"]
    assert segments(spool_directory(path)) == []


KILLED = """
import os, signal, sys
from usagetrace.events import Event
from usagetrace.store import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)
for number in range(20):
    recorder.submit([Event("deploy", "canvas", "skill", 5)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_killed(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """What was submitted survives the process being killed."""
    process = python(KILLED, path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -9, err
    catch_up(path)
    assert total(path) == 20


KILLED_WHILE_DRAINING = """
import itertools, os, sys, threading, time
from usagetrace.events import Event
from usagetrace.store import Recorder, background, recorder as module
module._YOUNG = 0.0
background._INTERVAL = background._REST = 0.0
background._BATCH = 20
recorder = Recorder(sys.argv[1], retention_days=0)

def work(thread):
    for number in itertools.count():
        name = f"{os.getpid()}-{thread}-{number}"
        assert recorder.submit([Event("deploy", name, "skill", 1_700_000_000_000)])
        os.write(1, f"{name}\\n".encode())
        if not thread:
            # From the first commit on a drain is under way.
            os.write(1, b"drained\\n" if recorder.committed else b"")
        time.sleep(0.0005)

for thread in range(3):
    threading.Thread(target=work, args=(thread,)).start()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_killed_while_its_thread_drains(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Processes killed at random moments, their drains among them: each call that returned is stored exactly once."""
    import random

    chance = random.Random(7)
    witnessed: list[str] = []
    for _ in range(6):
        process = python(KILLED_WHILE_DRAINING, path)
        assert process.stdout is not None
        # By what it has done, not by time: on a busy machine it may not have begun after a second.
        for line in process.stdout:
            witnessed.append(line)
            if line == "drained\n":
                break
        witnessed += itertools.islice(process.stdout, chance.randrange(300))
        process.kill()
        witnessed += process.stdout
        assert process.wait(60) == -signal.SIGKILL, process.stderr and process.stderr.read()
    # What was cut off in the middle had returned, but can't be told.
    witnessed = [line.strip() for line in witnessed if line.endswith("\n") and line != "drained\n"]
    assert len(witnessed) >= 6
    report = catch_up(path, budget=PATIENCE_S)
    assert report is not None
    assert report.complete
    stored = names(path)
    assert len(stored) == len(set(stored))
    assert set(witnessed) <= set(stored)
    # A call that had not returned yet may be in it: one a thread.
    assert len(stored) - len(witnessed) <= 6 * 3
    with Store(path) as store:
        assert sum(row["total_events"] for row in store.get_usage_summary()) == len(stored)
        assert store.connection.execute("SELECT COALESCE(SUM(lost), 0) FROM spool_positions").fetchone()[0] == 0


STARTED = """
import os, sys
from usagetrace.events import Event
from usagetrace.store.recorder import Recorder
recorder = Recorder(sys.argv[1], retention_days=0)
for name in ("ended", "open"):
    ids = {"trace_id": name.ljust(32, "0"), "span_id": name.ljust(16, "0")}
    begun = Event("invoke", name, "skill", 1_700_000_000_000, status="abandoned", **ids)
    assert recorder.submit_start(tuple(begun))
    if name == "ended":
        assert recorder.submit([begun._replace(status="ok", duration_ms=5.0)])
os._exit(0)
"""


def test_an_operation_that_never_ends_is_abandoned(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """An operation whose process died within it is an event of its own; one that ended counts once."""
    out, err = python(STARTED, path).communicate(timeout=60)
    assert (out, err) == ("", "")
    catch_up(path)
    with Store(path, read_only=True) as store:
        found = {row["artifact_name"]: row["status"] for row in store.get_events()}
    assert found == {"ended": "ok", "open": "abandoned"}


def test_a_flush_after_close(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """A closed recorder still brings events into the store, and lets go of it again."""
    made = recorder(path)
    made.submit([make_event()])
    assert made.close()
    made.submit([make_event()])
    assert made.flush()
    # Whoever closes the last connection removes it.
    assert not path.with_name("analytics.db-wal").exists()
    assert total(path) == 2


def test_threads(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """Threads that submit at once lose nothing."""
    made = recorder(path)
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait()
        for _ in range(200):
            made.submit([make_event(name=f"t{number}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.flush(PATIENCE_S)
    assert made.dropped == 0
    with Store(path) as store:
        assert {row["total_events"] for row in store.get_usage_summary()} == {200}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are POSIX's")
@pytest.mark.parametrize("writable", [True, False])
def test_signal_handlers_submit_too(path: Path, recorder: MakeRecorder, make_event: MakeEvent, writable: bool) -> None:
    """A handler that records while this thread is recording, wherever in there, waits for nothing and loses nothing."""
    obstacle = None if writable else obstruct(path)
    made = recorder(path)
    inner = 0

    def handle(*_: object) -> None:
        nonlocal inner
        # Another signal may come before this is counted.
        kept = made.submit([make_event(name="inner")])
        inner += kept

    before = signal.signal(signal.SIGALRM, handle)
    outer = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while outer < 3000:
            outer += made.submit([make_event(name="outer")])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if obstacle is not None:
        obstacle.unlink()
    assert inner > 0
    assert made.flush(PATIENCE_S)
    assert made.dropped == 0
    assert total(path) == outer + inner


def test_an_event_that_nothing_can_hold(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """An event with a field of no type that can be stored is lost by itself, in a good spool and in a bad one."""
    odd: Any = object()
    made = recorder(path)
    assert made.submit([make_event(name=odd)]) is False
    assert made.submit([make_event()]) is True
    assert made.dropped == 1
    blocked = path.parent / "blocked" / "analytics.db"
    obstacle = obstruct(blocked)
    made = recorder(blocked, jitter=lambda _: 60.0)
    assert [made.submit([make_event(name=name)]) for name in ("a", odd, "b")] == [True, False, True]
    obstacle.unlink()
    assert made.flush(PATIENCE_S)
    assert (made.buffered, made.dropped) == (0, 1)
    assert names(blocked) == ["a", "b"]


# --- the spool can't be written -------------------------------------------------------------------------------
def test_unwritable_directory_then_writable(
    tmp_path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any
) -> None:
    """Where no directory can be made, one warning names file and remedy; once one can, what waited is stored."""
    blocker = tmp_path / "data"
    blocker.write_text("a regular file, where a directory should be: also root can't write below it")
    path = blocker / "usagetrace" / "analytics.db"
    made = recorder(path)
    for _ in range(5):
        assert made.submit([make_event()])
    assert counters(made) == (0, 5, 0)
    assert eventually(lambda: warnings(caplog))
    assert made.flush(PATIENCE_S) is False
    (warning,) = warnings(caplog)
    assert path.name in warning
    assert "db-path" in warning
    blocker.unlink()
    assert eventually(lambda: made.buffered == 0)
    assert eventually(lambda: made.committed == 5)
    assert made.submit([make_event()])
    assert made.flush(PATIENCE_S)
    assert counters(made) == (6, 0, 0)
    assert total(path) == 6
    with Store(path) as store:
        # What was refused at first, and taken later, is not told to be lost.
        assert store.connection.execute("SELECT COALESCE(SUM(lost), 0) FROM spool_positions").fetchone()[0] == 0
    assert len(warnings(caplog)) == 1


def test_only_kept_while_something_waits(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an event waits in memory, further calls don't try the spool in the caller's thread."""
    tries: list[str] = []
    append_rows = Spool.append_rows

    def watched(self: Spool, rows: Any) -> bool:
        tries.append(threading.current_thread().name)
        return append_rows(self, rows)

    monkeypatch.setattr(Spool, "append_rows", watched)
    path.parent.mkdir()
    path.mkdir()
    obstruct(path)
    made = recorder(path, jitter=lambda _: 60.0)
    for _ in range(50):
        assert made.submit([make_event()])
    # While the thread has in its hands what waits, a call may try once more.
    assert 1 <= tries.count("MainThread") <= 10
    assert made.buffered == 50


@pytest.mark.parametrize("fault", ["no directory", "no locks"])
def test_without_a_spool_the_store_is_written(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch, caplog: Any, fault: str
) -> None:
    """Where only the spool can't be had, events go from memory into the database, by themselves and once."""
    if fault == "no directory":
        obstruct(path)
    else:

        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        fcntl = pytest.importorskip("fcntl")
        monkeypatch.setattr(fcntl, "flock", refuse)
        assert spool_locks.LockedFile
    made = recorder(path)
    for number in range(30):
        assert made.submit([make_event(name=f"a{number}")])
    assert eventually(lambda: made.buffered == 0)
    assert made.committed == 30
    assert names(path) == sorted(f"a{number}" for number in range(30))
    assert made.dropped == 0
    if fault == "no directory":
        assert made.flush(1) is False
    assert len(warnings(caplog)) <= 1


def test_oldest_are_dropped_beyond_the_limit(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any
) -> None:
    """A full buffer loses its oldest events, counts them, warns, keeps the newest, and tells the store of the loss."""
    obstacle = obstruct(path)
    path.mkdir()
    made = recorder(path, buffer_limit=10, jitter=lambda _: 60.0)
    for number in range(25):
        assert made.submit([make_event(name=f"n{number}")])
    # A batch on its way to the store counts when it comes back.
    assert eventually(lambda: (made.buffered, made.dropped) == (10, 15))
    obstacle.unlink()
    path.rmdir()
    assert made.flush(PATIENCE_S)
    assert names(path) == sorted(f"n{number}" for number in range(15, 25))
    assert 1 <= len(warnings(caplog)) <= 2
    made.submit([make_event(name="later")])
    assert made.flush(PATIENCE_S)
    with Store(path) as store:
        assert store.connection.execute("SELECT SUM(lost) FROM spool_positions").fetchone()[0] == 15


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("at_exit", [True, False])
def test_a_place_that_never_can_be_written(
    recorder: MakeRecorder, make_event: MakeEvent, caplog: Any, at_exit: bool
) -> None:
    """On a file system that takes no files a caller pays nothing but one warning, and closing does not wait."""
    made = recorder(Path("/proc/usagetrace/analytics.db"))
    for _ in range(3):
        assert made.submit([make_event()])
    assert made.buffered == 3
    began = time.monotonic()
    assert made.close(20, at_exit=at_exit) is False
    assert time.monotonic() - began < 10
    assert (made.buffered, made.dropped) == (0, 3)
    assert made.submit([make_event()]) is False
    assert made.dropped == 4
    assert len(warnings(caplog)) == 1


def test_a_directory_that_is_removed(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """After everything was removed under a running recorder, a flush brings what was in no store yet into a new one."""
    import shutil

    made = recorder(path)
    made.submit([make_event(name="a")])
    shutil.rmtree(path.parent)
    assert made.submit([make_event(name="b")])
    assert made.flush(PATIENCE_S)
    assert names(path) == ["a", "b"]

"""Real processes and real faults: what was told to be appended is in the store, once."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spool.conftest import Program
from usagetrace.events import Event
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.store import Store
from usagetrace.store.drain import drain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, forks and inherited pipes")

Start = Callable[..., Program]
Names = Callable[[Store], list[str]]
MakeEvent = Callable[..., Event]

# Threads, then forked workers with threads of their own, append as fast as they can.
APPEND_FOR_EVER = """
directory, threads, forks, pipe = sys.argv[1], *(int(text) for text in sys.argv[2:])
spool = Spool(directory, max_segment_bytes=20_000)

def work(label):
    number = 0
    while True:
        name = f"{os.getpid()}:{label}:{number}"
        if spool.append([event(name)]):
            os.write(pipe, (name + "\\n").encode())
        number += 1

def begin():
    started = [threading.Thread(target=work, args=(label,)) for label in range(threads)]
    for thread in started:
        thread.start()
    return started

started = begin()
for _ in range(forks):
    if os.fork() == 0:
        started = begin()
        break
for thread in started:
    thread.join()
"""


def _drain_all(store: Store, folder: Path) -> tuple[int, int]:
    """Drain to the end, and return gaps and damage; no segment is left, for no writer lives."""
    report = drain(store, folder)
    assert report.complete
    assert segments(folder) == []
    return report.gaps, report.lost


def _check_summary(store: Store) -> None:
    counted = store.connection.execute("SELECT COUNT(*) FROM events").fetchone()[0]
    summed = store.connection.execute("SELECT TOTAL(total_events) FROM usage_summary").fetchone()[0]
    assert counted == summed


@pytest.mark.parametrize("threads_and_forks", [(3, 0), (2, 2)], ids=["threads", "forked workers"])
# Half of the rounds with every run of the tests, half beside what needs more than Python, for their time.
@pytest.mark.parametrize("chunk", [0, pytest.param(1, marks=pytest.mark.e2e)])
def test_a_kill_at_any_moment_loses_nothing_and_invents_nothing(
    program: Start, store: Store, folder: Path, names: Names, chunk: int, threads_and_forks: tuple[int, int]
) -> None:
    """Rounds of SIGKILL: what was witnessed is stored once; beyond it at most the append in flight of a thread."""
    del chunk
    witnessed: list[str] = []
    for _ in range(2):
        running = program(APPEND_FOR_EVER, folder, *threads_and_forks)
        assert running.begun.wait(60)
        time.sleep(random.uniform(0, 0.04))
        # A live segment is read while it is being appended to.
        drain(store, folder)
        time.sleep(random.uniform(0, 0.02))
        running.kill()
        witnessed += running.witnessed()
        assert running.end() == -9
        assert _drain_all(store, folder) == (0, 0)
    stored = Counter(names(store))
    assert set(stored.values()) == {1}
    assert set(witnessed) - set(stored) == set()
    assert len(witnessed) > 50
    last: dict[str, int] = {}
    for name in witnessed:
        worker, _, number = name.rpartition(":")
        last[worker] = max(last.get(worker, -1), int(number))
    beyond = [name.rpartition(":") for name in set(stored) - set(witnessed)]
    assert [f"{w}:{n}" for w, _, n in beyond if int(n) != last.get(w, -1) + 1] == []
    _check_summary(store)


DRAIN_FOR_EVER = """
from usagetrace.store import Store
from usagetrace.store.drain import drain
directory, path, pipe = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path) as store:
    while True:
        drain(store, directory, batch_events=20)
        os.write(pipe, b".\\n")
"""


@pytest.mark.parametrize("chunk", range(2))
def test_a_drainer_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    program: Start, store: Store, folder: Path, names: Names, event: MakeEvent, chunk: int
) -> None:
    """Five drainers killed while a process goes on appending, over rotations: each event is stored once."""
    spool = Spool(folder, max_segment_bytes=5_000)
    wanted: list[str] = []
    for _ in range(3):
        running = program(DRAIN_FOR_EVER, folder, store.path)
        assert running.begun.wait(60) or running.end() == 0
        until = time.monotonic() + random.uniform(0.005, 0.15)
        while time.monotonic() < until:
            wanted.append(f"{chunk}-{len(wanted)}")
            assert spool.append([event(wanted[-1])])
        running.kill()
        assert running.end() == -9
    spool.close()
    assert _drain_all(store, folder) == (0, 0)
    assert Counter(names(store)) == Counter(wanted)
    assert len(wanted) > 100
    _check_summary(store)


TELL = """
directory, pipe = sys.argv[1], int(sys.argv[-1])
spool = Spool(directory)

def tell(label, count=50):
    for number in range(count):
        name = f"{label}:{number}"
        if spool.append([event(name)]):
            os.write(pipe, (name + "\\n").encode())
"""
ENDS = {
    "os._exit": "tell('a'); os._exit(0)",
    "exec": "tell('a'); os.execv(sys.executable, [sys.executable, '-c', ''])",
    "exec of a program that appends": """
tell(sys.argv[-2] if len(sys.argv) > 3 else 'a')
if len(sys.argv) < 4:
    os.set_inheritable(pipe, True)
    os.execv(sys.executable, [sys.executable, '-c', sys.orig_argv[2], directory, 'b', str(pipe)])
""",
    "SIGTERM": "import signal; tell('a'); os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait(60)",
    "an uncaught exception": "tell('a'); raise SystemExit(0)",
    "fork, both go on": """
tell('a')
child = os.fork()
tell('child' if child == 0 else 'parent')
os._exit(0) if child == 0 else os.waitpid(child, 0)
""",
    "the parent dies, its child goes on": """
tell('a')
if os.fork() == 0:
    tell('child')
os._exit(0)
""",
    "multiprocessing by fork": """
import multiprocessing
def child(label):
    tell(label)
tell('a')
context = multiprocessing.get_context('fork')
children = [context.Process(target=child, args=(f'child{n}',)) for n in range(3)]
[each.start() for each in children]
tell('parent')
[each.join() for each in children]
""",
    "fork while another thread appends": """
stop = threading.Event()
def others():
    number = 0
    while not stop.is_set():
        tell(f'thread:{number}', 1)
        number += 1
thread = threading.Thread(target=others)
thread.start()
for n in range(20):
    child = os.fork()
    if child == 0:
        tell(f'child{n}', 5)
        os._exit(0)
    os.waitpid(child, 0)
stop.set()
thread.join()
""",
    "a handler that appends inside an append": """
import signal
count = depth = 0
def handler(*_):
    global count, depth
    depth += 1
    # On a busy machine handlers would stand on each other until the stack is full.
    if depth < 5:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
    count += 1
    name = f'handler:{count}'
    if spool.append([event(name)]):
        os.write(pipe, (name + "\\n").encode())
    depth -= 1
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0003)
tell('a', 20000)
signal.setitimer(signal.ITIMER_REAL, 0)
# A handler that was about to run has set the timer once more.
signal.signal(signal.SIGALRM, signal.SIG_IGN)
""",
    "a finalizer that appends inside an append": """
import gc
class Late:
    def __init__(self):
        self.me = self
    def __del__(self):
        tell(f'late{id(self)}:{next(numbers)}', 1)
import itertools
numbers = itertools.count()
gc.set_threshold(5)
for n in range(300):
    Late()
    tell(f'a{n}', 2)
gc.disable()
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_was_told_is_stored_once_however_the_process_ends(
    program: Start, store: Store, folder: Path, names: Names, end: str
) -> None:
    """Everything that append said True to, before and after, in parent and child, is there exactly once."""
    running = program(TELL + ENDS[end], folder)
    witnessed = running.witnessed()
    assert running.end() == (-signal.SIGTERM if end == "SIGTERM" else 0)
    assert _drain_all(store, folder) == (0, 0)
    assert Counter(names(store)) == Counter(witnessed)
    assert len(witnessed) >= 50


SPAWN = """
import multiprocessing, os, sys
from usagetrace.events import Event
from usagetrace.spool import Spool

def child(directory, label):
    spool = Spool(directory)
    for number in range(20):
        assert spool.append([Event("deploy", f"{label}:{number}", "skill", 1)])

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=child, args=(sys.argv[1], str(n))) for n in range(3)]
    [each.start() for each in children]
    [each.join() for each in children]
    sys.exit(max(each.exitcode for each in children))
"""


def test_spawned_workers_have_segments_of_their_own(
    program: Start, store: Store, folder: Path, names: Names, tmp_path: Path
) -> None:
    """What three workers of multiprocessing by spawn appended is all there."""
    script = tmp_path / "spawned.py"
    script.write_text(SPAWN)
    running = program("os.execv(sys.executable, [sys.executable, sys.argv[1], sys.argv[2]])", script, folder)
    assert running.end() == 0
    assert len(segments(folder)) == 3
    assert _drain_all(store, folder) == (0, 0)
    assert Counter(names(store)) == Counter(f"{a}:{n}" for a in range(3) for n in range(20))


FULL = """
import resource
tell('before', 20)
size = sum(entry.stat().st_size for entry in os.scandir(directory))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))
tell('full', 40)
lost = spool.lost
assert lost > 0, lost
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tell('after', 20)
assert spool.lost == lost
os.write(pipe, f"lost:{lost}\\n".encode())
"""


@pytest.mark.parametrize("room", [0, 1, 19, 20, 100, 1000])
def test_a_full_disk_loses_what_did_not_fit_and_says_how_much(
    program: Start, store: Store, folder: Path, names: Names, room: int
) -> None:
    """Room ends within a record: appends say False and are counted; what follows once there is room is stored."""
    running = program(TELL + FULL, folder, room)
    *witnessed, said = running.witnessed()
    assert running.end() == 0
    report = drain(store, folder)
    assert names(store) == witnessed
    assert f"lost:{report.lost}" == said
    assert report.damaged == (0 if room == 0 else 1)
    assert (report.gaps, segments(folder)) == (0, [])


def test_two_drainers_at_once_double_nothing(
    program: Start, store: Store, folder: Path, names: Names, event: MakeEvent
) -> None:
    """Two processes that drain without pause while a third appends: each event is stored once."""
    spool = Spool(folder, max_segment_bytes=5_000)
    drainers = [program(DRAIN_FOR_EVER, folder, store.path) for _ in range(2)]
    assert all(each.begun.wait(60) for each in drainers)
    wanted = [str(n) for n in range(1500)]
    assert all(spool.append([event(name)]) for name in wanted)
    spool.close()
    until = time.monotonic() + 60
    while segments(folder) and time.monotonic() < until:
        time.sleep(0.01)
    for each in drainers:
        each.kill()
    assert _drain_all(store, folder) == (0, 0)
    assert Counter(names(store)) == Counter(wanted)


def test_a_child_keeps_no_lock_of_its_parent(
    folder: Path, store: Store, event: MakeEvent, fork: Callable[[], int]
) -> None:
    """While a child lives that was forked from a writer, the writer's segment can be drained to its end."""
    spool = Spool(folder)
    assert spool.append([event("parent")])
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        spool.close()
        report = drain(store, folder)
        assert (report.events, report.segments_finished) == (1, 1)
    finally:
        os.close(reading)
        os.close(writing)
        os.waitpid(child, 0)


def test_a_child_does_not_write_into_its_parents_segment(
    folder: Path, event: MakeEvent, fork: Callable[[], int]
) -> None:
    """After a fork each appends to a file of its own; what the parent could not keep is the parent's to tell."""
    spool = Spool(folder)
    spool._lose(3, OSError())
    assert spool.append([event("parent")])
    (first,) = segments(folder)
    child = fork()
    if child == 0:
        os._exit(0 if spool.append([event("child")]) and spool.lost == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    (second,) = set(segments(folder)) - {first}
    found = {
        name: [(e.artifact_name, r.lost) for r in read_segment(folder / name) for e in r.events or [event("-")]]
        for name in (first, second)
    }
    assert found == {first: [("parent", 0), ("-", 3)], second: [("child", 0)]}
    spool.close()

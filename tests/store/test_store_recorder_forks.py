"""Parents and children record through one recorder, each for itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recording import (
    names,
    obstruct,
)
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up

FORK = """
import os, sys, threading
from usagetrace.events import Event
from usagetrace.store import Recorder, background, forks
from usagetrace.store import recorder as module
module._YOUNG = 0.0
background._INTERVAL = 0.001
recorder = Recorder(sys.argv[1], retention_days=0)

def event(name):
    return Event("deploy", name, "skill", 1700000000000)

assert recorder.submit([event("parent")])
stop = threading.Event()
made = 0

def busy():
    global made
    while not stop.is_set():
        recorder.submit([event("thread")])
        made += 1
        stop.wait(0.001)

worker = threading.Thread(target=busy)
worker.start()
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        assert (recorder.committed, recorder.buffered) == (0, 0)
        assert threading.active_count() == 1
        for _ in range(5):
            assert recorder.submit([event(f"child{number}")])
        if number % 4 == 0:
            os._exit(0)
        # A child may not use a database that a thread of its parent was busy with for longer than a fork waits.
        assert recorder.flush(30) or forks.is_inherited(os.path.abspath(sys.argv[1]))
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
print(codes, recorder.dropped, made)
recorder.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Parent, its thread and its children, however they end, all record through one recorder and spoil nothing."""
    out, err = python(FORK, path).communicate(timeout=120)
    codes, dropped, thread = out.rsplit(" ", 2)
    assert (codes, dropped) == (str([0] * 8), "0"), err
    catch_up(path)
    with Store(path) as store:
        counts = {row["artifact_name"]: row["total_events"] for row in store.get_usage_summary()}
        assert store.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert store.get_stats()["total_events"] == sum(counts.values())
    expected = {"parent": 10, "thread": int(thread), **{f"child{number}": 5 for number in range(8)}}
    assert counts == {name: count for name, count in expected.items() if count}


FORK_WAITING = """
import os, sys
from usagetrace.events import Event
from usagetrace.store import Recorder

def say(word):
    print(word, flush=True)
    sys.stdin.readline()

recorder = Recorder(sys.argv[1], retention_days=0, jitter=lambda _: 0.01)
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
print(os.waitpid(child, 0)[1], recorder.buffered)
recorder.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_what_waits_is_the_parents(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Events that wait in memory at a fork are stored by the parent alone, once."""
    obstacle = obstruct(path)
    path.mkdir()
    process = python(FORK_WAITING, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "forked\n"
    obstacle.unlink()
    path.rmdir()
    out, err = process.communicate("\n", timeout=60)
    assert out == "0 0\n", err
    catch_up(path)
    assert names(path) == ["child", "waiting"]


SPAWN = """
import multiprocessing, sys
from usagetrace.events import Event
from usagetrace.store import Recorder

def record(path, name, count):
    recorder = Recorder(path, retention_days=0)
    for _ in range(count):
        assert recorder.submit([Event("deploy", name, "skill", 5)])

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    record(sys.argv[1], "parent", 3)
    workers = [context.Process(target=record, args=(sys.argv[1], f"child{n}", 300)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print([worker.exitcode for worker in workers])
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(path: Path, tmp_path: Path, method: str) -> None:
    """Workers of multiprocessing, which end without exit handlers, leave every event where the next reader finds it."""
    import multiprocessing

    import usagetrace

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    script = tmp_path / "workers.py"
    script.write_text(SPAWN)
    environment = {**os.environ, "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, script, path, method],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[0, 0, 0, 0]\n", "")
    catch_up(path)
    with Store(path) as store:
        counts = {row["artifact_name"]: row["total_events"] for row in store.get_usage_summary()}
    assert counts == {"parent": 3, **{f"child{n}": 300 for n in range(4)}}


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

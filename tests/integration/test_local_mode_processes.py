"""Local mode in processes of their own: pools, forks, signals, and the end of the interpreter."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import run_python
from usagetrace.store.catchup import catch_up

# From 3.12 on Python warns of a fork beside threads; that is not what is tested here.
TOOL = """
import atexit, os, signal, sys, threading, time, warnings
import usagetrace
from usagetrace import track

warnings.simplefilter("ignore", DeprecationWarning)

@track.deploy
def deploy(name, act=None):
    return None if act is None else act()

@track.remove(artifact_name="$name")
def remove(name, act=None):
    return None if act is None else act()

"""
unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


def recorded(program: str, home: Path, *, out: str = "", err: str = "") -> Counter[tuple[str, str]]:
    """Run a program; return how often each operation of each artifact was recorded.

    Args:
        program: What follows the tracked functions.
        home: A folder of its own.
        out: What it has to write.
        err: The same, to its standard error.
    """
    database = home / "analytics.db"
    ended = run_python(TOOL + program, home, {"USAGETRACE_DB_PATH": str(database)})
    assert (ended.code, ended.err.strip(), ended.out.strip()) == (0, err, out)
    if catch_up(database, budget=None) is None:
        return Counter()
    with closing(sqlite3.connect(database)) as connection:
        return Counter(connection.execute("SELECT event_type, artifact_name FROM events"))


POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

@track.deploy(artifact_name="$name")
def every(name, pool):
    return list(pool.map(deploy, "ab"))

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("METHOD")) as pool:
        every("all", pool)
        list(pool.map(deploy, "cde"))
"""


@unix
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_calls_in_a_pool_count_however_its_processes_are_made(tmp_path: Path, method: str) -> None:
    """Workers that were forked inside an operation are no part of it for the rest of their lives."""
    found = recorded(POOL.replace("METHOD", method), tmp_path)
    assert found == Counter(("deploy", name) for name in ("all", *"abcde"))


def test_tracked_handlers_of_the_programs_end_are_recorded(tmp_path: Path) -> None:
    """A function that is called when the program ends is recorded, whenever it was registered."""
    program = """
atexit.register(remove, "registered before the first call")
deploy("canvas")
atexit.register(remove, "registered after it")
"""
    assert recorded(program, tmp_path) == Counter([
        ("deploy", "canvas"),
        ("remove", "registered before the first call"),
        ("remove", "registered after it"),
    ])  # fmt: skip


def test_a_first_call_at_the_programs_end_is_recorded(tmp_path: Path) -> None:
    """Nothing has to run before the interpreter begins to end."""
    assert recorded('atexit.register(deploy, "canvas")\n', tmp_path) == Counter([("deploy", "canvas")])


@pytest.mark.parametrize("before", ["", "deploy('before')"])
def test_a_call_while_the_interpreter_is_taken_to_pieces_runs_untracked(tmp_path: Path, before: str) -> None:
    """A finalizer that is tracked, and runs when nothing can be imported any more, does what it does without us."""
    program = f"""
class Holder:
    def __del__(self):
        print(deploy("late", lambda: "done"))

# A ring: it falls to the last collection of all.
holder = Holder()
holder.ring = holder
{before}
"""
    found = recorded(program, tmp_path, out="done")
    assert found == Counter([("deploy", "before")] if before else [])


# Forks while a thread is held up between `inside` and `go_on`; tells how the child ended.
FORKED_MEANWHILE = """
thread.start()
inside.wait(10)
child = os.fork()
if not child:
    signal.alarm(20)
    deploy("child")
    usagetrace.shutdown()
    os._exit(7)
go_on.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@unix
def test_a_child_that_is_forked_while_another_thread_starts_us_is_not_held_up(tmp_path: Path) -> None:
    """The child runs untracked: what the other thread was importing stays locked there for ever."""
    program = """
from usagetrace.track import runtime

inside, go_on, start = threading.Event(), threading.Event(), runtime._bootstrap

def slow():
    inside.set()
    go_on.wait(10)
    return start()

runtime.set_bootstrap(slow)
thread = threading.Thread(target=deploy, args=("thread",))
"""
    forked = FORKED_MEANWHILE + 'deploy("parent")\n'
    assert recorded(program + forked, tmp_path, out="7") == Counter([("deploy", "thread"), ("deploy", "parent")])


@unix
def test_a_child_that_is_forked_while_another_thread_composes_is_not_held_up(tmp_path: Path) -> None:
    """A lock that a thread of the parent holds at the fork keeps nobody waiting in the child."""
    program = """
deploy("before")
from usagetrace import pipeline

inside, go_on = threading.Event(), threading.Event()

def hold():
    with pipeline._lock:
        inside.set()
        go_on.wait(10)

thread = threading.Thread(target=hold)
"""
    assert recorded(program + FORKED_MEANWHILE, tmp_path, out="7") == Counter(
        [("deploy", "before"), ("deploy", "child")]
    )


@unix
def test_a_signal_handler_that_tracks_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Handlers come at any line of a call, also of an append; each of both is recorded once."""
    program = """
import itertools
deploy("warm")

# A handler may come inside another one: neither is a part of the other here.
@track.remove(artifact_name="$name", nested=True)
def signalled(name):
    return None

numbers, handled = itertools.count(), []

def handle(*arguments):
    number = next(numbers)
    signalled(str(number))
    handled.append(number)

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(5000):
    deploy(str(number))
signal.setitimer(signal.ITIMER_REAL, 0)
assert sorted(handled) == list(range(len(handled)))
deploy(f"handled {len(handled)}")
"""
    found = recorded(program, tmp_path)
    (told,) = (int(name.split()[1]) for _, name in found if name.startswith("handled "))
    assert told > 0
    assert set(found.values()) == {1}
    removed = {int(name) for event_type, name in found if event_type == "remove"}
    assert removed == set(range(told))
    assert {name for event_type, name in found if event_type == "deploy"} >= {str(number) for number in range(5000)}


DEEP = """
sys.setrecursionlimit(400)
ran = []

@track.search
def leaf(query):
    ran.append(query)

def plain(query):
    ran.append(query)

def down(levels, function):
    function("words") if levels == 0 else down(levels - 1, function)

leaf("warm")
refused = {leaf: [], plain: []}
for function, depths in refused.items():
    for levels in range(300, 420):
        ran.clear()
        try:
            down(levels, function)
        except RecursionError:
            depths.append(levels)
            assert not ran, "the function ran, and its caller heard of an error that is not its own"
from usagetrace.track import operation
assert operation._running.get() is None
print(min(refused[plain]) - min(refused[leaf]) <= 4)
"""


def test_a_call_deep_in_the_stack_has_room_for_nearly_as_much_as_without_us(tmp_path: Path) -> None:
    """Where the stack has no room to record, the function runs untracked; it takes a few levels more, not dozens."""
    assert recorded(DEEP, tmp_path, out="True")[("search", "")] > 0


PROVIDERS = {
    "no tracer": "configure(tracer_provider=Fails())",
    "no meter": "configure(meter_provider=Fails())",
    "neither": "configure(tracer_provider=Fails(), meter_provider=Fails())",
    "instruments": "configure(meter_provider=Gives())",
    "something else": "configure(tracer_provider='a text')",
}


@pytest.mark.parametrize("case", PROVIDERS)
def test_a_provider_that_fails_costs_only_what_it_would_have_got(tmp_path: Path, case: str) -> None:
    """The application's provider raises: the local file is filled all the same, and one warning says what is wrong."""
    program = f"""
import logging
logging.disable(logging.NOTSET)
warnings = []
logging.getLogger("usagetrace").addHandler(type("H", (logging.Handler,), dict(
    emit=lambda self, record: warnings.append(record.levelname)))())

class Fails:
    def get_tracer(self, *names, **more): raise LookupError("planted")
    get_meter = get_tracer

class Gives:
    def get_meter(self, *names, **more): return Fails()

usagetrace.{PROVIDERS[case]}
deploy("canvas")
print(warnings.count("WARNING"))
"""
    warned = {"neither": "2", "instruments": "0"}.get(case, "1")
    assert recorded(program, tmp_path, out=warned) == Counter([("deploy", "canvas")])


def test_the_api_may_be_imported_while_calls_run(tmp_path: Path) -> None:
    """A thread imports OpenTelemetry's API, over and over, while another tracks: no call is lost, and none fails."""
    program = """
stop = threading.Event()

def load():
    for _ in range(8):
        for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
            sys.modules.pop(name, None)
        import opentelemetry.context
        import opentelemetry.trace
    stop.set()

from usagetrace.guard import guard
thread = threading.Thread(target=load)
thread.start()
made = 0
while not stop.is_set():
    deploy(str(made))
    made += 1
deploy(f"made {made}")
print(guard.failures)
"""
    found = recorded(program, tmp_path, out="0")
    (made,) = (int(name.split()[1]) for _, name in found if name.startswith("made "))
    assert set(found.values()) == {1}
    assert len(found) == made + 1


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module of subinterpreters has another interface there")
def test_a_subinterpreter_records_by_itself(tmp_path: Path) -> None:
    """Each interpreter of a process has tracking of its own; both record into one spool."""
    program = """
import _xxsubinterpreters as interpreters

deploy("main")
inner = interpreters.create()
interpreters.run_string(inner, f"import sys; sys.path[:] = {sys.path!r}\\nfrom usagetrace import track\\n"
    "@track.deploy\\ndef deploy(name): return name\\ndeploy('inner')")
interpreters.destroy(inner)
"""
    assert recorded(program, tmp_path) == Counter([("deploy", "main"), ("deploy", "inner")])

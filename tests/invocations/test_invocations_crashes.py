"""Invocations whose process forks, ends or is killed: each counts once, as completed or as abandoned.

Forking programs are processes of their own: the SDK's providers, which a test process holds, may not survive that.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import run_python
from usagetrace.store.catchup import catch_up

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

HEAD = """
import asyncio, multiprocessing, os, signal, sys, threading, time
import usagetrace
from usagetrace.invocations import claims, track_invocation

usagetrace.configure(db_path="a.db")

def child(action):
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


def ended(home: Path, program: str) -> list[tuple[str, str, Any]]:
    """Run a program; return name, status and whether it was completed of each invocation in its database."""
    done = run_python(HEAD + program, home)
    assert (done.code if done.code >= 0 else 0, done.err) == (0, "")
    assert catch_up(home / "a.db") is not None
    with closing(sqlite3.connect(home / "a.db")) as db:
        return db.execute(
            "SELECT artifact_name, status, json_extract(metadata, '$.completed') FROM events ORDER BY artifact_name, id"
        ).fetchall()


PROGRAMS: dict[str, tuple[str, list[tuple[str, str, Any]]]] = {
    "the parent alone": (
        """
one = track_invocation("one")
child(lambda: None)
one.completer()
""",
        [("one", "ok", 1)],
    ),
    "the child alone": (
        """
one = track_invocation("one")
child(lambda: one.completer(completed=False, error_type="ValueError"))
""",
        [("one", "error", 0)],
    ),
    "the child first": (
        """
one = track_invocation("one")
child(one.completer)
one.completer(completed=False)
""",
        [("one", "ok", 1)],
    ),
    "the parent first": (
        """
one = track_invocation("one")
reading, writing = os.pipe()
def wait_and_complete():
    os.close(writing)
    os.read(reading, 1)
    one.completer(completed=False)
pid = os.fork()
if not pid:
    wait_and_complete()
    os._exit(0)
one.completer()
os.write(writing, b".")
assert os.waitpid(pid, 0)[1] == 0
""",
        [("one", "ok", 1)],
    ),
    "many children at once": (
        """
many = [track_invocation(f"one") for _ in range(20)]
reading, writing = os.pipe()
children = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.read(reading, 1)
        for one in many:
            one.completer()
        os._exit(0)
    children.append(pid)
os.close(writing)
for one in many:
    one.completer()
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
""",
        [("one", "ok", 1)] * 20,
    ),
    "a grandchild": (
        """
one = track_invocation("one")
child(lambda: child(one.completer))
one.completer(completed=False)
""",
        [("one", "ok", 1)],
    ),
    "a child that leaves the block": (
        """
with track_invocation("one") as one:
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
if not pid:
    os._exit(0)
""",
        [("one", "ok", 1)],
    ),
    "a child that leaves the block by an exception": (
        """
try:
    with track_invocation("one"):
        pid = os.fork()
        if not pid:
            raise LookupError
        assert os.waitpid(pid, 0)[1] == 0
        raise ValueError
except LookupError:
    os._exit(0)
except ValueError:
    pass
""",
        [("one", "error", 0)],
    ),
    "a process that goes on as its own child": (
        """
parent = os.getpid()
with track_invocation("one"):
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
""",
        [("one", "ok", 1)],
    ),
    "no semaphore to be had": (
        """
def fail(self):
    raise OSError("planted")
claims.Claim.share = fail
one, two = track_invocation("one"), track_invocation("two")
def complete():
    one.completer()
    two.completer()
child(complete)
two.completer()
""",
        [("one", "abandoned", None), ("two", "ok", 1)],
    ),
    "one of the child's own": (
        """
track_invocation("one").completer()
child(lambda: track_invocation("two").completer())
child(lambda: track_invocation("three"))
""",
        [("one", "ok", 1), ("three", "abandoned", None), ("two", "ok", 1)],
    ),
    "a normal end": (
        """
one, two = track_invocation("one"), track_invocation("two")
two.completer()
""",
        [("one", "abandoned", None), ("two", "ok", 1)],
    ),
    "an end inside a block": (
        """
with track_invocation("one"):
    os._exit(0)
""",
        [("one", "abandoned", None)],
    ),
    "a kill": (
        """
track_invocation("two").completer()
one = track_invocation("one")
with track_invocation("three"):
    os.kill(os.getpid(), signal.SIGKILL)
""",
        [("one", "abandoned", None), ("three", "abandoned", None), ("two", "ok", 1)],
    ),
    "an exec": (
        """
one = track_invocation("one")
os.execv(sys.executable, [sys.executable, "-c", ""])
""",
        [("one", "abandoned", None)],
    ),
    "an exit that nobody caught": (
        """
with track_invocation("one"):
    sys.exit(0)
""",
        [("one", "ok", 1)],
    ),
    "an end at the very end": (
        """
import atexit
one = track_invocation("one")
atexit.register(one.completer)
""",
        [("one", "ok", 1)],
    ),
    "forgotten": (
        """
track_invocation("one")
import gc
gc.collect()
""",
        [("one", "abandoned", None)],
    ),
}

# What users meet most often runs with every change; the rest before a landing.
QUICK = ("the child first", "a child that leaves the block")


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.e2e) for case in PROGRAMS]
)
def test_each_counts_once(tmp_path: Path, case: str) -> None:
    """Whichever process completes it, and whatever becomes of that, an invocation is one event."""
    program, expected = PROGRAMS[case]
    assert ended(tmp_path / "own", program) == expected

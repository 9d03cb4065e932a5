"""Ids of events in workers that were forked and seed the global random source alike."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import run_python
from usagetrace.store.catchup import catch_up

WORKERS = 20
# Events of one worker, before and after which it seeds anew.
ROUNDS = 5

# As a simulation does it: every worker begins with the same seed, and the parent has recorded already.
PROGRAM = f"""
import os, random, sys, warnings
import usagetrace
from usagetrace import track

warnings.simplefilter("ignore", DeprecationWarning)

@track.deploy
def deploy(artifact_name, artifact_type):
    random.seed(0)
    return random.random()

random.seed(0)
deploy("parent", "skill")
children = []
for worker in range({WORKERS}):
    child = os.fork()
    if child == 0:
        for number in range({ROUNDS}):
            random.seed(0)
            deploy(f"called {{worker}}", "skill")
            random.seed(0)
            assert usagetrace.record_event("sync", f"recorded {{worker}}", "skill")
        os._exit(0)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
deploy("parent", "skill")
print(set(codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_no_two_ids_are_equal_though_every_forked_worker_seeds_alike(tmp_path: Path) -> None:
    """Twenty workers that call ``random.seed(0)`` record into one store; every event is there, no id twice."""
    database = tmp_path / "analytics.db"
    ended = run_python(PROGRAM, tmp_path / "alone", {"USAGETRACE_DB_PATH": str(database)})
    assert (ended.code, ended.out, ended.err) == (0, "{0}\n", "")
    catch_up(database, budget=None)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT id, span_id FROM events").fetchall()
    expected = WORKERS * ROUNDS * 2 + 2
    assert len(rows) == expected
    # A span's id is an event's own; local mode makes no trace ids.
    assert [len({*column} - {None, ""}) for column in zip(*rows, strict=True)] == [expected, expected]

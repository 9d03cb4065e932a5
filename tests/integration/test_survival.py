"""What was counted stays counted: programs that are killed while they track as fast as they can.

Each tracked call that has returned is told to the test by a pipe. Whatever is told must be in the database exactly
once after the next drain, and nothing may be there that no call recorded.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support.process import clean_environment, run, run_python
from usagetrace.guard import forget_warnings
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up

ROOT: Final = Path(__file__).resolve().parents[2]


def compare(database: Path, told: Counter[tuple[int, ...]]) -> int:
    """Compare the database with what was told; return how many events are in it."""
    report = catch_up(database, budget=None)
    assert report is not None
    assert report.complete
    with closing(sqlite3.connect(database)) as connection:
        names = Counter(name for (name,) in connection.execute("SELECT artifact_name FROM events"))
    found = Counter({tuple(map(int, name.split("/"))): count for name, count in names.items()})
    assert {key for key in told if found[key] != 1} == set(), "told, and not there exactly once"
    assert set(found.values()) <= {1}
    # A call that was killed between its record and its word: at most one a thread, the one after the last told.
    last = Counter[tuple[int, int]]()
    for round_number, thread, number in told:
        last[round_number, thread] = max(last[round_number, thread], number + 1)
    invented = [key for key in found if key not in told and key[2] > last[key[0], key[1]]]
    assert invented == []
    with Store(database) as store:
        assert store.check() == []
        assert store.rebuild(repair=False).differences == []
    return sum(found.values())


# Half of the rounds with every run of the tests, half beside what needs more than Python, for their time.
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.e2e) for seed in (1, 2, 3))])
def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    """Forked workers with threads, killed at random moments, beside drainers killed at random moments: 50 rounds."""
    database = tmp_path / "analytics.db"
    program = [sys.executable, "-m", "tests.support.killing", database, str(seed), "50"]
    ended = run(program, tmp_path, {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}, timeout=240)
    assert (ended.code, ended.err) == (0, "")
    told = [tuple(each) for each in json.loads(ended.out)]
    assert {round_number for round_number, _, _ in told} >= {number for number in range(50) if number % 5}
    assert compare(database, Counter(told)) >= len(told)


START: Final = """
import os, sys
import usagetrace
from usagetrace import track

@track.deploy
def deploy(artifact_name): return artifact_name

for number in range(20):
    deploy(f"0/0/{number}")
print("tracked", flush=True)
"""
ENDS: Final = {
    "os._exit": "os._exit(3)",
    "os.execv": "os.execv('/bin/true', ['true'])",
    "os.execvpe": "os.execvpe('true', ['true'], {})",
    "uncaught exception": "raise RuntimeError('planted')",
    "SIGTERM": "import signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "SIGKILL": "import signal; os.kill(os.getpid(), signal.SIGKILL)",
    "abort": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "sys.exit": "sys.exit(0)",
    "end": "",
    "in a thread": "import threading; threading.Thread(target=os._exit, args=(0,)).start()",
}


@pytest.mark.parametrize("end", ENDS)
def test_however_a_program_ends(tmp_path: Path, end: str) -> None:
    """Each call that returned is in the database once, whichever way the program ended."""
    ended = run_python(START + ENDS[end], tmp_path)
    assert ended.out == "tracked\n"
    database = tmp_path / ".local/share/usagetrace/tool/analytics.db"
    assert compare(database, Counter((0, 0, number) for number in range(20))) == 20


WORKERS: Final = """
import multiprocessing, os, sys
from usagetrace import track

@track.deploy
def deploy(artifact_name): return artifact_name

def work(number):
    for each in range(50):
        deploy(f"{number}/0/{each}")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else METHOD)
    deploy("99/0/0")
    workers = [context.Process(target=work, args=(number,)) for number in range(4)]
    for each in workers: each.start()
    for each in workers: each.join()
    with context.Pool(2) as pool:
        pool.map(work, range(4, 8))
    deploy("99/0/1")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(tmp_path: Path, method: str) -> None:
    """Workers end without the interpreter's exit handlers, pools by SIGTERM: all their calls are there, once."""
    ended = run_python(WORKERS.replace("METHOD", repr(method)), tmp_path)
    assert (ended.code, ended.err) == (0, "")
    told = Counter((number, 0, each) for number in range(8) for each in range(50))
    told.update([(99, 0, 0), (99, 0, 1)])
    assert compare(tmp_path / ".local/share/usagetrace/tool/analytics.db", told) == 402


INVOKED: Final = """
import os, signal, sys, threading
import usagetrace
from usagetrace import track

@track.invoke
def invoke(artifact_name, inside=None):
    if inside: inside()

@track.invoke(skip_if="$result")
def perhaps(artifact_name, inside):
    inside()

@track.invoke
def host(artifact_name):
    invoke("a part of the host")

invoke("ended")
host("host")
with track.invoke(artifact_name="block", artifact_type="skill"):
    print("inside", flush=True)
    sys.stdin.readline()
    invoke("killed", lambda: perhaps("of which nobody knows", lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9"], ids=["local", "with an endpoint"])
def test_an_invocation_that_never_ended_is_abandoned(tmp_path: Path, endpoint: str | None) -> None:
    """While its process lives it is no event; once the process is gone it is one, once, as abandoned."""
    (tmp_path / "tool.py").write_text(INVOKED, encoding="utf-8")
    environ = clean_environment(tmp_path, {} if endpoint is None else {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    database = tmp_path / ".local/share/usagetrace/tool/analytics.db"

    def events() -> list[tuple[str, str, float | None]]:
        assert catch_up(database) is not None
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT artifact_name, status, duration_ms FROM events ORDER BY id").fetchall()
        return [(name, status, duration and 1.0) for name, status, duration in found]

    ended = [("ended", "ok", 1.0), ("host", "ok", 1.0)]
    with subprocess.Popen(
        [sys.executable, "tool.py"], cwd=tmp_path, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        assert [events(), events()] == [ended, ended]
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(30) == -signal.SIGKILL
    assert [events(), events()] == [[*ended, ("block", "abandoned", None)]] * 2
    with Store(database) as store:
        assert (store.check(), store.rebuild(repair=False).differences) == ([], [])


FAST: Final = """
import sys
import usagetrace
from usagetrace import track
usagetrace.configure(service_name="tool", db_path=sys.argv[1])

@track.deploy
def deploy(artifact_name): return artifact_name

for number in range(int(sys.argv[3])):
    deploy(f"{sys.argv[2]}/{number % 50}")
"""


# Beside what needs more than Python, for its time.
@pytest.mark.e2e
def test_eight_processes_into_one_store(tmp_path: Path) -> None:
    """Eight processes of 20,000 events each: exact counts, and nobody is told that the database is locked."""
    forget_warnings()
    database, program = tmp_path / "shared.db", tmp_path / "fast.py"
    program.write_text(FAST, encoding="utf-8")
    processes = [
        subprocess.Popen(
            [sys.executable, str(program), str(database), str(number), "20000"],
            env=clean_environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number in range(8)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
    assert (said, [process.returncode for process in processes]) == ([b""] * 8, [0] * 8)
    report = catch_up(database, budget=None)
    assert report is not None
    assert report.complete
    with closing(sqlite3.connect(database)) as connection:
        names = Counter(name for (name,) in connection.execute("SELECT artifact_name FROM events"))
        (spans,) = connection.execute("SELECT COUNT(DISTINCT span_id) FROM events").fetchone()
    assert names == Counter({f"{number}/{each}": 400 for number in range(8) for each in range(50)})
    assert spans == 160_000
    with Store(database) as store:
        assert (store.check(), store.rebuild(repair=False).differences) == ([], [])

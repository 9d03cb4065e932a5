"""P3m: four processes that track into one database, against one process that makes as many calls."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import BenchmarkError, Figure, Row, turns
from benchmarks.world import PATIENCE, PROGRAMS, drain, expect, home, own_python

CALLS = 100_000
PROCESSES = 4
ROUNDS = 3


def into_one(processes: int) -> float:
    """Return events a second, from the first call of any process until all are in the database."""
    calls = CALLS // processes
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        database = Path(folder) / "analytics.db"
        drain(database)
        command = [own_python(), str(PROGRAMS / "many.py"), str(database), str(calls)]
        workers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(processes)
        ]  # fmt: skip
        try:
            for worker in workers:
                if worker.stdout is None or worker.stdout.readline() != "ready\n":
                    raise BenchmarkError(f"many.py did not get ready: {worker.communicate()[1]}")
            began = time.perf_counter()
            for worker in workers:
                if worker.stdin is not None:
                    worker.stdin.write("go\n")
                    worker.stdin.flush()
            said = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]
            drain(database)
            took = time.perf_counter() - began
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
        if any(said) or any(worker.returncode for worker in workers):
            raise BenchmarkError(f"many.py: {said}")
        expect(
            database, "SELECT COUNT(*), COUNT(DISTINCT span_id), (SELECT SUM(deploy_count) FROM usage_summary), "
            "SUM(json_extract(metadata, '$.number')) FROM events WHERE event_type = 'deploy'",
            *[calls * processes] * 3, processes * calls * (calls - 1) // 2,
        )  # fmt: skip
    return calls * processes / took


def measure() -> list[Figure]:
    """Return the figure of P3m."""
    with home():
        ours, theirs = turns(lambda: into_one(PROCESSES), lambda: into_one(1), rounds=ROUNDS, warm=False)
    row = Row(
        "P3m", f"{PROCESSES} processes x {CALLS // PROCESSES:,} tracked calls, one database",
        f"one process with {CALLS:,}", "events/s",
    )  # fmt: skip
    return [row.rate(ours, theirs, at_least=0.80)]


ROWS = {"P3m": measure}

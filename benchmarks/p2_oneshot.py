"""P2: what a one-shot command costs as a whole process, with one tracked call; P2o: with telemetry off."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.harness import BenchmarkError, Figure, Row, Timed, turns
from benchmarks.world import PROGRAMS, drain, expect, home, own_python, process

# More than the number of segments from which a process that ends drains them: one of these pays for it.
ROUNDS = 70
OFF_ROUNDS = 41


def whole(program: str, *, quiet: bool = True) -> Timed:
    """Return a timed process: milliseconds from its start to its end. Unless it is ``quiet``, it may say something."""
    command = [own_python(), str(PROGRAMS / program)]
    return lambda: process(command, quiet=quiet)[0]


def database_of(folder: Path) -> Path:
    """Return where the program `tool_usagetrace.py` has its events, by default."""
    found = list(folder.glob(".local/share/usagetrace/tool_usagetrace/*"))
    if not found:
        raise BenchmarkError(f"nothing in {folder}")
    return found[0].parent / "analytics.db"


def measure() -> list[Figure]:
    """Return the figure of P2."""
    with home() as folder:
        ours, theirs = turns(whole("tool_usagetrace.py"), whole("tool_bare.py"), rounds=ROUNDS)
        database = database_of(folder)
        drain(database)
        expect(
            database, "SELECT COUNT(*), COUNT(DISTINCT span_id) FROM events WHERE event_type = 'deploy'",
            ROUNDS + 1, ROUNDS + 1,
        )  # fmt: skip
    row = Row("P2", "a one-shot command, event durable", "a process with the bare SDK, wrapt, a span to nowhere", "ms")
    return [row.ratio(ours, theirs, at_most=1.10)]


def measure_off() -> list[Figure]:
    """Return the figure of P2o."""
    with home() as folder:
        os.environ["DO_NOT_TRACK"] = "1"
        ours, theirs = turns(whole("tool_usagetrace.py"), whole("tool_wrapt.py"), rounds=OFF_ROUNDS)
        if list(folder.iterdir()):
            raise BenchmarkError("files were made with telemetry off")
    row = Row("P2o", "the same with telemetry off", "a process that imports wrapt", "ms")
    return [row.difference(ours, theirs, at_most=5.0)]


ROWS = {"P2": measure, "P2o": measure_off}

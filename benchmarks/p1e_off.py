"""P1e: what a tracked function costs when telemetry is off."""

from __future__ import annotations

import usagetrace
from benchmarks.harness import BenchmarkError, Figure, Row, per_call, turns
from benchmarks.world import home
from usagetrace import track

CALLS = 20_000
ROUNDS = 25


def plain(name: str) -> str:
    """Return the name."""
    return name


tracked = track.deploy(plain)


def measure() -> list[Figure]:
    """Return the figure of P1e."""
    with home() as folder:
        usagetrace.configure(service_name="bench", enabled=False)
        ours, theirs = turns(
            per_call(lambda: tracked("canvas"), CALLS), per_call(lambda: plain("canvas"), CALLS), rounds=ROUNDS
        )
        if list(folder.iterdir()):
            raise BenchmarkError("files were made with telemetry off")
    row = Row("P1e", "a tracked function with telemetry off", "the undecorated function", "us")
    return [row.difference(ours, theirs, at_most=0.6)]


ROWS = {"P1e": measure}

"""P1p: the same call by what others offer, each in a process of its own, in turn with ours."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable

from benchmarks.harness import BenchmarkError, Figure, Row, Timed, turns
from benchmarks.world import PROGRAMS, home, own_python, peer_python, process

ROUNDS = 7
PEERS = {
    "call_logfire.py": ("Logfire", "Logfire `instrument`, stock batch processor, exporter that does nothing"),
    "call_cli_telemetry.py": ("cli-telemetry", "cli-telemetry `profile`, into its own SQLite file"),
    "call_v1.py": ("naive", "a commit an event into the V1 schema, connection open, write-ahead log"),
}


def side(python: Callable[[], str], program: str) -> Timed:
    """Return a timed process: the microseconds of one call that it prints."""

    def timed() -> float:
        with tempfile.TemporaryDirectory() as folder:
            _, said = process([python(), PROGRAMS / program, folder])
        found = json.loads(said)
        if found["events"] != found["calls"]:
            raise BenchmarkError(f"{program}: {found['events']} events of {found['calls']} calls")
        return float(found["us"])

    return timed


def measure() -> list[Figure]:
    """Return the figures of P1p."""
    with home():
        ours, *others = turns(
            side(own_python, "call_usagetrace.py"), *(side(peer_python, program) for program in PEERS), rounds=ROUNDS
        )
    return [
        Row("P1p", "the same call", peer, "us", name).ahead(ours, theirs)
        for (name, peer), theirs in zip(PEERS.values(), others, strict=True)
    ]


ROWS = {"P1p": measure}

"""P2p: a one-shot command by what others offer, as a whole process, in turn with ours."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3

from benchmarks.harness import BenchmarkError, Figure, Row, Timed, turns
from benchmarks.p2_oneshot import database_of, whole
from benchmarks.world import PROGRAMS, drain, expect, home, peer_python, process

ROUNDS = 15
# It waits for seconds at its end.
OTLP_ROUNDS = 3
PEERS = {
    "tool_logfire.py": ("Logfire", "Logfire `instrument`, exporter that does nothing"),
    "tool_cli_telemetry.py": ("cli-telemetry", "cli-telemetry `profile`, into its own SQLite file"),
}
WHAT = "a one-shot command"


def theirs(program: str, *, quiet: bool = True) -> Timed:
    """Return a timed process of a peer: milliseconds from its start to its end."""
    command = [peer_python(), str(PROGRAMS / program)]
    return lambda: process(command, quiet=quiet)[0]


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def local() -> list[Figure]:
    """Return the figures against those that stay on the machine."""
    with home() as folder:
        ours, *others = turns(whole("tool_usagetrace.py"), *map(theirs, PEERS), rounds=ROUNDS)
        database = database_of(folder)
        drain(database)
        expect(database, "SELECT COUNT(*) FROM events WHERE event_type = 'deploy'", ROUNDS + 1)
        kept = folder / ".local/share/cli-telemetry/tool/telemetry.db"
        with contextlib.closing(sqlite3.connect(kept)) as connection:
            (spans,) = connection.execute("SELECT COUNT(*) FROM otel_spans WHERE name = 'deploy'").fetchone()
    if spans != ROUNDS + 1:
        raise BenchmarkError(f"cli-telemetry kept {spans} spans of {ROUNDS + 1}")
    return [
        Row("P2p", WHAT, peer, "ms", name).ahead(ours, taken)
        for (name, peer), taken in zip(PEERS.values(), others, strict=True)
    ]


def unreachable() -> Figure:
    """Return the figure against the SDK, where both have an endpoint to send to and nobody listens there."""
    with home() as folder:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{closed_port()}"
        ours, others = turns(
            whole("tool_usagetrace.py", quiet=False), theirs("tool_otlp.py", quiet=False), rounds=OTLP_ROUNDS,
            warm=False,
        )  # fmt: skip
        database = database_of(folder)
        del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        drain(database)
        expect(database, "SELECT COUNT(*) FROM events WHERE event_type = 'deploy'", OTLP_ROUNDS)
    peer = "SDK with its OTLP/HTTP exporter; both have an endpoint where nobody listens"
    return Row("P2p", f"{WHAT}, collector down", peer, "ms", "SDK and OTLP").ahead(ours, others)


def measure() -> list[Figure]:
    """Return the figures of P2p."""
    return [*local(), unreachable()]


ROWS = {"P2p": measure}

"""P1e: what a tracked function costs when telemetry is off."""

from __future__ import annotations

from benchmarks.harness import Figure, difference, interleaved, per_call
from usagetrace import track
from usagetrace.track import runtime

CALLS = 20_000
ROUNDS = 25


def plain(name: str) -> str:
    """Return the name."""
    return name


tracked = track.deploy(plain)


def measure() -> list[Figure]:
    """Return the figure of P1e."""
    runtime.install(runtime.OFF)
    ours, theirs = interleaved(
        per_call(lambda: tracked("canvas"), CALLS), per_call(lambda: plain("canvas"), CALLS), ROUNDS
    )
    runtime.install(None)
    return [difference("P1e a call with telemetry off, us more", "us", ours, theirs, at_most=0.6)]


if __name__ == "__main__":
    for figure in measure():
        print(figure.line())

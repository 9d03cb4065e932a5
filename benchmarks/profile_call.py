"""Where the time of one tracked call goes: python benchmarks/profile_call.py [KIND] [SECONDS].

KIND is `call`, `method`, `search`, `coroutine`, or `remote` (with OTLP and metrics on).

A timer interrupts the process some hundred times a second of processor time and notes where it is. Unlike cProfile this
slows no function, so that many small ones look no dearer than they are. The share of samples times the time of a call
is what a function, or a line, costs in one call.
"""

from __future__ import annotations

import asyncio
import collections
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import usagetrace
from benchmarks import p1_call, p1d_remote, p1f_coroutine
from benchmarks.world import expect, flush, home

# Seconds of processor time between two samples; most systems allow no less than 0.004.
EVERY = 0.001
# Calls between two looks at the clock, and between two flushes outside of it.
BLOCK = 2_000
SHOWN = 32


class Sampler:
    """Counts where the main thread is.

    Attributes:
        samples: How many there are.
        own: Samples in a function itself.
        whole: Samples in a function or in what it called.
        lines: Samples in a line itself.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.own: collections.Counter[CodeType] = collections.Counter()
        self.whole: collections.Counter[CodeType] = collections.Counter()
        self.lines: collections.Counter[tuple[CodeType, int]] = collections.Counter()

    def sample(self, _: int, frame: FrameType | None) -> None:
        """Note where it is; the handler of the timer's signal."""
        if frame is None:
            return
        self.samples += 1
        self.own[frame.f_code] += 1
        self.lines[frame.f_code, frame.f_lineno] += 1
        seen = set()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self.whole.update(seen)


def place(code: CodeType) -> str:
    """Return a function's file and name, short."""
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{getattr(code, 'co_qualname', code.co_name)}"


def coroutines() -> Callable[[], object]:
    """Return a call that runs one tracked coroutine, in a loop that is there already."""
    loop = asyncio.new_event_loop()

    async def one() -> bool:
        return await p1f_coroutine.tracked("canvas", "skill", "default", "/srv/shop", "1.2.0")

    return lambda: loop.run_until_complete(one())


CALLS: dict[str, tuple[Callable[[], Callable[[], object]], int]] = {
    "call": (lambda: lambda: p1_call.deploy("canvas", "skill", "default", "/srv/shop", "1.2.0"), 1),
    "method": (lambda: lambda: p1_call.Shelf().deploy("canvas", "skill", "default", "/srv/shop"), 1),
    "search": (lambda: lambda: p1_call.search("canvas"), 5),
    "coroutine": (coroutines, 1),
    "remote": (lambda: lambda: p1_call.deploy("canvas", "skill", "default", "/srv/shop", "1.2.0"), 1),
}


def profile(kind: str, seconds: float) -> tuple[Sampler, float]:
    """Make tracked calls for some seconds of processor time; return the samples, and the microseconds of one call."""
    make, each = CALLS[kind]
    call, sampler, calls, took = make(), Sampler(), 0, 0.0
    with home() as folder, p1d_remote.standard_exporters(p1d_remote.Taken()):
        endpoint = p1d_remote.ENDPOINT if kind == "remote" else None
        usagetrace.configure(
            service_name="bench", db_path=folder / "analytics.db", enabled=True, otlp_endpoint=endpoint
        )
        for _ in range(BLOCK):
            call()
        flush()
        before = signal.signal(signal.SIGPROF, sampler.sample)
        try:
            while took < seconds:
                signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
                began = time.thread_time()
                for _ in range(BLOCK):
                    call()
                took += time.thread_time() - began
                signal.setitimer(signal.ITIMER_PROF, 0)
                calls += BLOCK
                flush()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
        usagetrace.shutdown()
        expect(folder / "analytics.db", "SELECT COUNT(*) FROM events", (calls + BLOCK) * each)
    return sampler, took / calls * 1e6


def main() -> None:
    """Profile, and print what costs most."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "call"
    sampler, each = profile(kind, float(sys.argv[2]) if len(sys.argv) > 2 else 5.0)
    unit = each / sampler.samples
    print(f"one {kind}: {each:.1f} us; {sampler.samples} samples\n\n{'own us':>8} {'with what it calls':>20}  function")
    for code, count in sampler.own.most_common(SHOWN):
        print(f"{count * unit:8.2f} {sampler.whole[code] * unit:20.2f}  {place(code)}")
    print(f"\n{'own us':>8}  line")
    for (code, line), count in sampler.lines.most_common(SHOWN):
        print(f"{count * unit:8.2f}  {place(code)}, line {line}")


if __name__ == "__main__":
    main()

"""A program that tracks what it is told to, for the tests of faults: what it prints is the same with and without us.

Run as ``python -m tests.support.hosting tracked|plain DATABASE FIGURES``. Each line of its input is a command; each
is answered by one line that follows from the commands alone. What is measured goes to the file of figures, at the
end, and so does how often ``flush`` said that all is in the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

# What the clock is off by, in seconds. Set before the package that reads it is imported.
_off = 0.0
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _off
time.time_ns = lambda: _time_ns() + int(_off * 1e9)

EXIT_CODE: Final = 3


def deploy(artifact_name: str, artifact_type: str) -> str:
    """Return something, or fail, as the number says."""
    if int(artifact_name) % 7 == 3:
        raise LookupError(artifact_name)
    return artifact_name[::-1] + artifact_type


class Host:
    """The program: what it calls, and what it saw."""

    def __init__(self, call: Callable[[str, str], str], flush: Callable[[float], bool], *, waits: bool) -> None:
        self._call = call
        self._flush = flush
        self._waits = waits
        self._next = 0
        self._seen: list[str] = []
        self._sum = 0
        self._longest: list[float] = []
        self._hoarded: list[int] = []
        self.flushed: list[bool] = []

    @property
    def longest_ms(self) -> float:
        """The longest call but the first, which also imports and composes; in milliseconds."""
        return max(self._longest[1:], default=0.0) * 1000

    def _one(self, number: int) -> None:
        began = time.perf_counter()
        try:
            said = self._call(str(number), "skill")
        except LookupError as error:
            said = repr(error)
        self._longest.append(time.perf_counter() - began)
        self._seen.append(f"{number}:{said}")

    def calls(self, count: int, pause: float = 0.0) -> None:
        """Call one after the other."""
        for number in self._take(count):
            self._one(number)
            if pause and self._waits:
                time.sleep(pause)

    def threads(self, count: int, calls: int) -> None:
        """Call from many threads at once."""
        numbers = [self._take(calls) for _ in range(count)]
        together = threading.Barrier(count)

        def work(mine: range) -> None:
            together.wait()
            for number in mine:
                self._one(number)

        workers = [threading.Thread(target=work, args=(mine,)) for mine in numbers]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def flush(self, seconds: float) -> None:
        """Flush, and note what that said."""
        self.flushed.append(self._flush(seconds))

    def clock(self, seconds: float) -> None:
        """Set the clock so many seconds off."""
        global _off
        _off = seconds

    def hoard(self, limit: float) -> None:
        """Take every file descriptor up to a limit; 0 gives them back."""
        # Imported here: Windows has none.
        import resource

        while self._hoarded:
            os.close(self._hoarded.pop())
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit) or hard, hard))
        with contextlib.suppress(OSError):
            while limit:
                self._hoarded.append(os.open(os.devnull, os.O_RDONLY))

    def answer(self) -> str:
        """Return what the calls until now gave, in short."""
        # Threads come in any order.
        self._sum += sum(zlib.crc32(each.encode()) for each in self._seen)
        self._seen.clear()
        return f"{self._next} {self._sum & 0xFFFFFFFF:08x}"

    def _take(self, count: int) -> range:
        first, self._next = self._next, self._next + count
        return range(first, self._next)


def resident_kb() -> int:
    """Return the memory that this process has now, in kB; 0 where that can't be told."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def main(mode: str, database: str, figures: str) -> int:
    """Do as the input says; return the exit code."""
    if mode == "tracked":
        import usagetrace

        usagetrace.configure(service_name="host", db_path=database, enabled=True)
        host = Host(usagetrace.track.deploy(deploy), usagetrace.flush, waits=True)
    else:
        # Nobody does anything to this one meanwhile.
        host = Host(deploy, lambda seconds: True, waits=False)
    doors: dict[str, Callable[..., None]] = {
        "calls": lambda count, pause=0.0: host.calls(int(count), pause),
        "threads": lambda count, calls: host.threads(int(count), int(calls)),
        "flush": host.flush,
        "clock": host.clock,
        "hoard": host.hoard,
    }
    before = resident_kb()
    for line in iter(sys.stdin.readline, ""):
        name, *values = line.split()
        doors[name](*map(float, values))
        print(host.answer(), flush=True)
    found = {"longest_ms": host.longest_ms, "flushed": host.flushed, "grown_kb": resident_kb() - before}
    Path(figures).write_text(json.dumps(found), encoding="utf-8")
    return EXIT_CODE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

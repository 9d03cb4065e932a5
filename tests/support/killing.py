"""A program that kills processes while they track, for the tests of what survives.

Run as ``python -m tests.support.killing DATABASE SEED ROUNDS``: it prints, as JSON, the calls that had returned. A
program of its own, because it forks: the SDK's providers, which a test process holds, may not survive that.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import usagetrace
from usagetrace import track
from usagetrace.store.catchup import catch_up

THREADS: Final = 3
_TOLD: Final = struct.Struct("<III")


@track.deploy
def deploy(artifact_name: str, artifact_type: str, project_path: str) -> str:
    """Do nothing, tracked."""
    return artifact_name


def track_for_ever(database: Path, pipe: int, round_number: int) -> None:
    """Track in several threads; tell of each call that has returned."""
    usagetrace.configure(service_name="survivor", db_path=database, enabled=True)

    def work(thread: int) -> None:
        number = 0
        while True:
            deploy(f"{round_number}/{thread}/{number}", "skill", "/srv/shop")
            os.write(pipe, _TOLD.pack(round_number, thread, number))
            number += 1

    for thread in range(1, THREADS):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    work(0)


def forked(action: Callable[[], None]) -> int:
    """Run something in a child process that never returns from it; return the child's id."""
    pid = os.fork()
    if not pid:
        try:
            action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def killed(pid: int, number: int = signal.SIGKILL) -> None:
    """Kill a child process and see it gone."""
    os.kill(pid, number)
    os.waitpid(pid, 0)


class Witness:
    """What calls told of through a pipe, until their processes were gone."""

    def __init__(self) -> None:
        self.told: set[tuple[int, ...]] = set()
        self.reading, self.writing = os.pipe()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while data := os.read(self.reading, 65536):
            data = rest + data
            whole = len(data) - len(data) % _TOLD.size
            rest = data[whole:]
            self.told.update(_TOLD.iter_unpack(data[:whole]))

    def wait_for(self, round_number: int) -> None:
        """Wait for the first word of a round: on a busy machine a process takes its time to begin."""
        deadline = time.monotonic() + 30
        while not any((round_number, thread, 0) in self.told for thread in range(THREADS)):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def close(self) -> None:
        """Read to the end: all other holders of the pipe are gone."""
        os.close(self.writing)
        self._thread.join()
        os.close(self.reading)


def drain_for_ever(database: Path) -> None:
    """Drain, over and over."""
    while True:
        catch_up(database, budget=None)


def main(database: Path, seed: int, rounds: int) -> None:
    """Kill a worker and a drainer in each round, at random moments."""
    chance = random.Random(seed)
    witness = Witness()
    for number in range(rounds):
        worker = forked(lambda number=number: track_for_ever(database, witness.writing, number))  # type: ignore[misc]  # bound now
        drainer = forked(lambda: drain_for_ever(database))
        if number % 5:
            witness.wait_for(number)
        time.sleep(chance.uniform(0, 0.03))
        for pid in chance.sample((worker, drainer), 2):
            killed(pid)
            time.sleep(chance.uniform(0, 0.004))
    witness.close()
    json.dump(sorted(witness.told), sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

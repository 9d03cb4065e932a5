"""A program whose threads and processes complete invocations, and some of whose processes are killed meanwhile.

Run as ``python -m tests.invocations.counting DATABASE WORKERS EACH KILLED``: in one process as many threads as there
are workers, beside them as many processes, complete so many invocations each; further processes are killed by SIGKILL
in the middle of theirs. It prints, as JSON, what those had said by then. A program of its own, because it forks.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from usagetrace.invocations import Invocation, SkillMetricsStore

SKILLS: Final = ("review", "plan", "tidy")
PATHS: Final = (None, "quick", "comprehensive", "quick and dirty", "")
ERRORS: Final = (None, "ValueError", "TimeoutError")
ACTIONS: Final = ("git commit", "git push", "run tests")
# What a killed process has said of itself by then, in lines.
ENOUGH: Final = 60


class Meant(NamedTuple):
    """What one invocation is to say."""

    skill: str
    path: str | None
    session: str
    completed: bool
    error: str | None
    actions: tuple[str, ...]


def meant(worker: str, number: int) -> Meant:
    """Return what the invocation of a number says: every combination of what there is comes up."""
    return Meant(
        skill=SKILLS[number % 3],
        path=PATHS[number % 5],
        session=f"{worker}-{number % 2}",
        completed=number % 4 != 0,
        error=ERRORS[number % 3 if number % 7 == 0 or number % 4 == 0 else 0],
        actions=ACTIONS[: number % 4],
    )


def work(store: SkillMetricsStore, worker: str, numbers: Iterable[int], say: Callable[[str], object]) -> None:
    """Begin one invocation after the other, and complete each a few later: they last differently long."""
    open_ones: deque[tuple[int, Invocation]] = deque()
    for number in numbers:
        one = meant(worker, number)
        open_ones.append((number, store.track_invocation(one.skill, one.path, one.session)))
        say("+")
        while len(open_ones) > number % 6:
            complete(worker, *open_ones.popleft(), say)
    while open_ones:
        complete(worker, *open_ones.popleft(), say)


def complete(worker: str, number: int, invocation: Invocation, say: Callable[[str], object]) -> None:
    """Complete the invocation of a number as it is meant."""
    one = meant(worker, number)
    invocation.completer(completed=one.completed, follow_up_actions=one.actions, error_type=one.error)
    say("-")


def forked(action: Callable[[], None]) -> int:
    """Run something in a child process that never returns from it; return the child's id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def kill_one(store: SkillMetricsStore, worker: str) -> str:
    """Have a process work for ever, kill it in the middle of it, and return what it had said."""
    reading, writing = os.pipe()

    def say(text: str) -> None:
        os.write(writing, text.encode())

    def work_for_ever() -> None:
        # At least this one is open when the end comes.
        never = store.track_invocation(SKILLS[0], session_id=f"{worker}-0")
        say("+")
        work(store, worker, itertools.count(), say)
        never.completer()

    pid = forked(work_for_ever)
    os.close(writing)
    said = b""
    while len(said) < ENOUGH:
        data = os.read(reading, 1024)
        if not data:
            raise RuntimeError(f"{worker} ended by itself")
        said += data
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while data := os.read(reading, 65536):
        said += data
    os.close(reading)
    return said.decode()


def main(database: str, workers: int, each: int, killed: int) -> dict[str, Any]:
    """Do all of it; return what the killed ones had said, by worker."""
    store = SkillMetricsStore(database)
    children = [
        forked(lambda name=f"process-{number}": work(store, name, range(each), str))  # type: ignore[misc]  # bound now
        for number in range(workers)
    ]
    said = {f"killed-{number}": kill_one(store, f"killed-{number}") for number in range(killed)}
    threads = [
        threading.Thread(target=work, args=(store, f"thread-{number}", range(each), str)) for number in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [pid for pid in children if os.waitpid(pid, 0)[1] != 0]
    store.close()
    if failed:
        raise RuntimeError(f"{len(failed)} processes failed")
    return said


if __name__ == "__main__":
    json.dump(main(sys.argv[1], *map(int, sys.argv[2:5])), sys.stdout)

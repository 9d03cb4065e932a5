"""A minute of requests that nobody should send, by many hands at once.

The server stays, its memory is bounded, each request gets the status that it deserves, and what was sound is stored.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.server.attacks import HEAVY, LIGHT, valid
from tests.support.process import clean_environment
from usagetrace.store import Store

pytestmark = pytest.mark.e2e

SECONDS = 60.0
HANDS = 8
# What the process may have at most, in kB.
MEMORY_KB = 400_000


@dataclass
class Fuzz:
    """What all hands did and saw."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peak_kb: int = 0


@contextlib.contextmanager
def serving(database: Path, home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a real server; give its process and its port."""
    command = [sys.executable, "-m", "usagetrace", "--db", str(database), "serve", "--port", "0", "--no-grpc"]
    process = subprocess.Popen(command, env=clean_environment(home), cwd=home, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://[0-9.]+:(\d+)", process.stderr.readline())
        assert found is not None
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def hand(port: int, seed: int, fuzz: Fuzz, end: float) -> None:
    """Attack until the end; note what was answered otherwise than it should be."""
    chance = random.Random(seed)
    while time.monotonic() < end and len(fuzz.wrong) < 20:
        attack = chance.choice(HEAVY if chance.random() < 0.05 else LIGHT)
        try:
            statuses, right = attack(port, chance)
        except OSError as error:
            statuses, right = [], frozenset()
            fuzz.wrong.append(f"{attack.__name__} seed {seed}: {error!r}")
        fuzz.done[attack.__name__] += 1
        strange = [status for status in statuses if status not in right]
        if strange:
            fuzz.wrong.append(f"{attack.__name__}: {strange}, not in {sorted(right, key=str)}, seed {seed}")


def memory_kb(pid: int, name: str) -> int:
    """Return a figure of a process's memory, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_a_minute_of_attacks(tmp_path: Path) -> None:
    """Nothing crashes it, its memory stays below a bound, and each status is the right one."""
    database = tmp_path / "analytics.db"
    fuzz = Fuzz()
    seeds = [random.randrange(2**32) for _ in range(HANDS)]
    with serving(database, tmp_path) as (process, port):
        end = time.monotonic() + SECONDS
        hands = [threading.Thread(target=hand, args=(port, seed, fuzz, end)) for seed in seeds]
        for each in hands:
            each.start()
        for each in hands:
            each.join()
        assert process.poll() is None
        # Nobody is left waiting, and it works as before.
        assert valid(port, random.Random(0)) == ([200], frozenset((200,)))
        fuzz.peak_kb = memory_kb(process.pid, "VmHWM")
        print(f"{fuzz.done.total()} attacks, peak {fuzz.peak_kb} kB, at the end {memory_kb(process.pid, 'VmRSS')} kB")
        print(fuzz.done)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (fuzz.wrong, seeds) == ([], seeds)
    assert process.returncode == 0
    assert fuzz.peak_kb < MEMORY_KB
    # Besides where it writes, and how to see it, it has had nothing to say.
    assert len(err.splitlines()) == 2, err
    with Store(database) as store:
        assert store.check() == []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        total, known = connection.execute(
            "SELECT COUNT(*), COUNT(DISTINCT trace_id || span_id || COALESCE(item, 0) || ts_ms) FROM events"
        ).fetchone()
    assert total == known > 100

"""Locks, stopped processes, clocks and many threads: the host is as it was, and everything is there once."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.support.faults import Host, command, eventually, heal, locked, names, stored

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are stopped by POSIX signals")

# What the lock is held for besides the 5 s that a report waits for it; FAULT_LOCK_SECONDS=60 for the full length.
SECONDS: Final = float(os.environ.get("FAULT_LOCK_SECONDS", "0.5"))
MEMORY_KB: Final = 60_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "analytics.db"


@pytest.mark.parametrize("ends", ["while it is locked", pytest.param("later", marks=pytest.mark.e2e)])
def test_locked_by_another_process(tmp_path: Path, database: Path, ends: str) -> None:
    """Calls, flush and the end wait for no lock; once it is free, everything is there, though nobody asked."""
    with Host(database, tmp_path / "home") as host:
        host.do("calls 100")
        host.do("flush 10")
        with locked(database):
            began = time.monotonic()
            while time.monotonic() - began < SECONDS:
                host.do("calls 50 0.002")
            host.do("flush 0.2")
            if ends == "later":
                code, status = command(database, "status")
                assert (code, status["stores"][0]["events"]) == (0, 100)
                assert status["stores"][0]["spool"]["waiting_events"] == host.count - 100
            else:
                code, done = command(database, "db", "drain", "--budget", "0.3")
                # It meets the lock, or the host's own thread that waits for it.
                assert code == 1 or not done["complete"]
                host.end()
            assert stored_quietly(database) == 100
        if ends == "later":
            assert eventually(lambda: stored_quietly(database) == host.count)
            host.end()
        else:
            assert host.exit_s < 3
        print(host.summary())
        assert host.figures["flushed"] == [True, False]
        assert host.figures["grown_kb"] < MEMORY_KB
        assert host.warnings == []
        heal(database)
        assert stored(database) == names(0, host.count)


def stored_quietly(database: Path) -> int:
    """Count without draining."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])


def test_a_stopped_process(tmp_path: Path, database: Path) -> None:
    """A process that is stopped at random moments holds no other drainer up for good, and loses and doubles nothing."""
    with Host(database, tmp_path / "home") as host, Host(database, tmp_path / "other") as other:
        host.do("calls 1200")
        host.begin("calls 1500 0.0005")
        for _ in range(2):
            time.sleep(0.2)
            os.kill(host.process.pid, signal.SIGSTOP)
            try:
                other.do("calls 50")
                _, done = command(database, "db", "drain", "--budget", "0.5")
                assert set(done) >= {"events", "complete"}
                time.sleep(0.2)
            finally:
                os.kill(host.process.pid, signal.SIGCONT)
        # The longest one is that in which it stood still.
        host.end(longest_ms=20_000)
        other.end()
        print(host.summary())
        assert host.warnings + other.warnings == []
        heal(database)
        assert stored(database) == names(0, host.count) + names(0, other.count)


def test_a_clock_that_is_set_back(tmp_path: Path, database: Path) -> None:
    """Set back by a day, and on again, in one process of two: each call is there once, and retention takes none."""
    with Host(database, tmp_path / "home") as host, Host(database, tmp_path / "other") as other:
        for offset in (0, -86_400, 3600, -172_800, 86_400, 0):
            host.do(f"clock {offset}")
            host.do("calls 400")
            other.do("calls 200")
            host.do("flush 10")
        host.end()
        other.end()
        assert all(host.figures["flushed"])
        assert host.warnings + other.warnings == []
        heal(database)
        assert stored(database) == names(0, host.count) + names(0, other.count)


def test_three_hundred_threads(tmp_path: Path, database: Path) -> None:
    """Three hundred threads at once, with drains beside them: each call is there once."""
    with Host(database, tmp_path / "home") as host:
        # Else all of them would wait for the first call, which imports and composes.
        host.do("calls 2")
        host.begin("threads 300 15")
        code, _ = command(database, "db", "drain")
        assert code == 0
        host.do("threads 300 1")
        host.end()
        print(host.summary())
        assert host.warnings == []
        heal(database)
        assert stored(database) == names(0, host.count)

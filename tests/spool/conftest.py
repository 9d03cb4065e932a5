"""Shared parts of the spool's tests: events, a store, and programs that run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from usagetrace.events import Event
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.store import Store

Outcomes = Callable[[], list[tuple[str, str]]]

HEAD = """
import os, sys, threading
from usagetrace.events import Event
from usagetrace.spool import Spool

def event(name):
    return Event("deploy", name, "skill", 1_700_000_000_000)
"""


class Program:
    """A Python process that tells, line by line through a pipe, which appends returned True."""

    def __init__(self, code: str, arguments: tuple[object, ...], home: Path) -> None:
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code, *(str(argument) for argument in arguments), str(writing)],
            pass_fds=(writing,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])},
        )
        os.close(writing)
        self.begun = threading.Event()
        self._witnessed = b""
        self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()

    def _read(self, fd: int) -> None:
        with open(fd, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 16):
                self._witnessed += chunk
                self.begun.set()

    def witnessed(self) -> list[str]:
        """Wait until no process of the program is left, and return what they told."""
        self._reader.join(60)
        assert not self._reader.is_alive()
        # The last line may have been cut by the kill.
        return self._witnessed.decode().split("\n")[:-1]

    def kill(self) -> None:
        """Kill every process of the program."""
        # All were forked from it without leaving its session.
        os.killpg(self.process.pid, 9)

    def end(self) -> int:
        """Wait for the program and return its exit code; what it said on stderr is shown where that is not 0."""
        assert self.process.stderr is not None
        text = self.process.stderr.read().decode()
        self.process.stderr.close()
        code = self.process.wait(60)
        if code > 0:
            print(text)
        return code


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that starts a program with arguments; the number of the pipe to tell through comes last."""
    started: list[Program] = []

    def start(code: str, *arguments: object) -> Program:
        started.append(Program(code, arguments, tmp_path))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()
        each.process.wait(60)
        if each.process.stderr is not None:
            each.process.stderr.close()


@pytest.fixture
def fork() -> Callable[[], int]:
    """Return ``os.fork``, for a test whose process may have threads; from Python 3.12 on that gives a warning."""

    def split() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()

    return split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's spool lies; nothing is there yet."""
    return tmp_path / "data" / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    """Return a spool of this process."""
    spool = Spool(folder)
    yield spool
    spool.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an open store."""
    with Store(tmp_path / "data" / "analytics.db") as store:
        yield store


@pytest.fixture
def event() -> Callable[..., Event]:
    """Return a function that makes an event with a name, and other fields that matter to a test."""

    def make(name: str = "canvas", **fields: Any) -> Event:
        return Event("deploy", name, "skill", fields.pop("ts_ms", 1_700_000_000_000), **fields)

    return make


@pytest.fixture
def names() -> Callable[[Store], list[str]]:
    """Return a function that tells the artifact names of a store's events, in the order of their ids."""

    def read(store: Store) -> list[str]:
        return [row[0] for row in store.connection.execute("SELECT artifact_name FROM events ORDER BY id")]

    return read


@pytest.fixture
def spooled(folder: Path) -> Callable[[], list[Event]]:
    """Return a function that reads every event in the spool, oldest segment first."""

    def read() -> list[Event]:
        return [
            event
            for name in segments(folder)
            for record in read_segment(folder / name, finished=True)
            for event in record.events
        ]

    return read


@pytest.fixture
def outcomes(store: Store) -> Outcomes:
    """Return a function that tells name and status of each event, having checked that the counts say the same."""

    def read() -> list[tuple[str, str]]:
        execute = store.connection.execute
        found = [tuple(row) for row in execute("SELECT artifact_name, status FROM events ORDER BY ts_ms, id")]
        for total in ("TOTAL(total_events) FROM usage_summary", "TOTAL(events) FROM usage_daily"):
            assert execute(f"SELECT {total}").fetchone()[0] == len(found)
        return found

    return read


def kept(store: Store) -> int:
    """Return how many operations are kept aside."""
    return int(store.connection.execute("SELECT COUNT(*) FROM spool_starts").fetchone()[0])

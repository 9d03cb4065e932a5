"""Processes that read for a server, as an operating system treats them: signals, kills, files; under load as well."""

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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import PATIENCE_S, Running, spans
from tests.support.process import clean_environment

pytestmark = pytest.mark.e2e

KILLS = 30
# Not so small that it is read on the spot.
LARGE = spans("a", **{"usage.metadata.text": "long " * 1000})


def eventually(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def children_of(parent: int) -> list[int]:
    """Return the processes that a process has started and that are there."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(own) for own, above in pairs if int(above) == parent]


def is_there(process: int) -> bool:
    """Return whether a process runs; one that ended and that nobody waited for does not."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False).stdout
    return bool(said.strip()) and not said.strip().startswith("Z")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The command itself, with one process that reads: it, its port, and that process."""
    command = [sys.executable, "-m", "usagetrace", "--db", str(tmp_path / "a.db"), "serve"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-grpc", "--decoders", "1"], stderr=subprocess.PIPE, text=True,
        env=clean_environment(tmp_path), cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        found = re.search(r":(\d+) \(OTLP/HTTP\)", process.stderr.readline())
        assert found is not None
        eventually(lambda: children_of(process.pid))
        yield process, int(found[1]), children_of(process.pid)[0]
    finally:
        process.kill()
        process.communicate()


def asking(port: int, database: Path) -> Running:
    """Return what asks a server that runs in another process."""

    class There:
        http = f"127.0.0.1:{port}"

    server: Any = There()
    return Running(server, database, threading.current_thread())


def test_no_process_stays_when_the_server_is_killed(served: tuple[subprocess.Popen[str], int, int]) -> None:
    """SIGKILL leaves the server no time to end anything: the process that reads ends by itself."""
    server, _, reader = served
    assert is_there(reader)
    server.kill()
    eventually(lambda: not is_there(reader))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_is_the_servers(
    served: tuple[subprocess.Popen[str], int, int], tmp_path: Path, number: int
) -> None:
    """A terminal or a service manager sends it to every process: what was begun is finished all the same."""
    server, port, reader = served
    ask = asking(port, tmp_path / "a.db")
    eventually(lambda: ask.ask("GET", "/health").status == 200)
    os.kill(reader, number)
    assert ask.post(LARGE).status == 200
    assert children_of(server.pid) == [reader]
    os.killpg(server.pid, number)
    assert server.wait(PATIENCE_S) == 0
    assert not is_there(reader)
    assert ask.names() == ["a"]


def test_it_holds_no_port_and_no_database(served: tuple[subprocess.Popen[str], int, int], tmp_path: Path) -> None:
    """Of the server's files it has its pipes alone, and what it prints by mistake goes nowhere."""
    _, port, reader = served
    ask = asking(port, tmp_path / "a.db")
    eventually(lambda: ask.ask("GET", "/health").status == 200)
    assert ask.post(LARGE).status == 200
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux says which files a process has open")
    held = {os.readlink(each) for each in Path(f"/proc/{reader}/fd").iterdir()}
    assert {each.partition(":")[0] for each in held} <= {"pipe", os.devnull}


def test_processes_that_are_killed_under_load_cost_nothing(
    served: tuple[subprocess.Popen[str], int, int], tmp_path: Path
) -> None:
    """Over and over the process that reads is killed: the server goes on, what was acknowledged is there, once."""
    server, port, _ = served
    ask = asking(port, tmp_path / "a.db")
    done = threading.Event()
    eventually(lambda: ask.ask("GET", "/health").status == 200)

    def client(number: int) -> tuple[set[str], set[int]]:
        acknowledged, statuses = set(), set()
        batch = 0
        while not done.is_set():
            batch += 1
            names = [f"{number}-{batch}-{each}" for each in range(40)]
            while (status := ask.post(spans(*names, trace=1000 * number + batch)).status) in (429, 503):
                statuses.add(status)
                time.sleep(0.01)
            statuses.add(status)
            # One that was in the hands of two processes that were killed is refused for good.
            acknowledged.update(names if status == 200 else ())
        return acknowledged, statuses

    chance = random.Random(7)
    killed: set[int] = set()
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(client, number) for number in range(3)]
        while len(killed) < KILLS:
            time.sleep(chance.uniform(0, 0.4))
            for reader in children_of(server.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(reader, signal.SIGKILL)
                    killed.add(reader)
        done.set()
        said = [each.result(PATIENCE_S) for each in clients]
    assert set().union(*(statuses for _, statuses in said)) <= {200, 400, 503}
    acknowledged = set().union(*(names for names, _ in said))
    assert len(acknowledged) > 1000
    eventually(lambda: ask.ask("GET", "/health").status == 200)
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE_S) == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        stored = [name for (name,) in connection.execute("SELECT artifact_name FROM events")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (len(stored), set(stored) - acknowledged) == (len(set(stored)), set())
    assert acknowledged <= set(stored)

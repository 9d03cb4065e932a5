"""A receiver that is killed over and over while OpenTelemetry's own exporters send to it: what it said yes to stays.

Each round kills the server with SIGKILL at a random moment, at its start, in the middle of a transaction, at its end,
and starts it again at the same ports. Senders repeat what was not acknowledged: nothing may be there twice.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import node
from tests.support.ports import free_port
from tests.support.process import clean_environment
from usagetrace.store import Store

pytestmark = pytest.mark.e2e

KILLS = 50
PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parent.parent.parent


class Serving:
    """A server that can be killed and started again."""

    def __init__(self, database: Path, home: Path) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self._command = [
            sys.executable, "-m", "usagetrace", "--db", str(database), "serve", "--port", str(self.port),
            "--grpc-port", str(self.grpc_port),
        ]  # fmt: skip
        self._home = home
        self._log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=clean_environment(self._home), cwd=self._home, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError),
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection,
            ):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)
        pytest.fail(f"the server does not answer: {self._log.read_text()}")

    def end(self, number: int) -> int:
        """Send a signal and wait for the end; return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE_S)

    def said(self) -> str:
        """Return everything that all of its processes printed."""
        return self._log.read_text()


class Sender:
    """A program that sends; what it was told is known by it."""

    def __init__(self, command: list[str], home: Path) -> None:
        self.told: list[str] = []
        self._process = subprocess.Popen(
            command, env=clean_environment(home), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.extend(line.split())

    def finish(self) -> int:
        """Have it end when its last batch is acknowledged; return the exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join(PATIENCE_S)
        return self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A server that does not run yet."""
    server = Serving(tmp_path / "analytics.db", tmp_path)
    yield server
    with contextlib.suppress(AssertionError):
        server.end(signal.SIGKILL)


@pytest.fixture
def senders(serving: Serving, tmp_path: Path) -> Iterator[list[Sender]]:
    """Senders of three kinds at once: Python by HTTP (twice) and gRPC, and Node by HTTP."""
    address = f"http://127.0.0.1:{serving.port}"
    python = [sys.executable, "-m", "tests.server.sending"]
    commands = [
        [*python, "http", address, "http"],
        [*python, "http", address, "more"],
        [*python, "grpc", f"127.0.0.1:{serving.grpc_port}", "grpc"],
        [*node.sender(), f"{address}/v1/traces", "node"],
    ]
    started = [Sender(command, tmp_path) for command in commands]
    yield started
    for each in started:
        each.kill()


def events(database: Path) -> dict[str, Any]:
    """Return what is in a database, after its own check."""
    with Store(database) as store:
        assert store.check() == []
        assert store.rebuild(repair=False).differences == []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT artifact_name, COUNT(*) FROM events GROUP BY artifact_name").fetchall()
        counted = connection.execute("SELECT SUM(total_events) FROM usage_summary").fetchone()[0]
    return {"names": dict(rows), "counted": counted}


def test_what_was_acknowledged_survives_kills(serving: Serving, senders: list[Sender], tmp_path: Path) -> None:
    """After 50 kills each span that any exporter was told of is in the store once, and so is everything else."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(KILLS):
        serving.start()
        if number % 5:
            serving.wait()
            time.sleep(chance.uniform(0, 0.5))
        else:
            # While it starts.
            time.sleep(chance.uniform(0, 1.5))
        assert serving.end(signal.SIGKILL) == -signal.SIGKILL, serving.said()
    acknowledged = [name for sender in senders for name in list(sender.told)]
    found = events(tmp_path / "analytics.db")
    missing = [name for name in acknowledged if name not in found["names"]]
    assert (missing, seed) == ([], seed)
    serving.start()
    serving.wait()
    assert [sender.finish() for sender in senders] == [0] * len(senders)
    assert serving.end(signal.SIGTERM) == 0
    # By now all that was ever sent is acknowledged.
    told = sorted(name for sender in senders for name in sender.told)
    found = events(tmp_path / "analytics.db")
    assert (sorted(found["names"]), set(found["names"].values()), found["counted"]) == (told, {1}, len(told)), seed
    assert all(len(sender.told) > 100 for sender in senders), [len(sender.told) for sender in senders]
    assert "Traceback" not in serving.said()
    print(f"{len(told)} spans, {len(acknowledged)} of them before the last start")

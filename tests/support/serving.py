"""Our receiver, `usagetrace serve`, as a process that can be stopped, killed and started again on the same port."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import clean_environment

_PATIENCE_SECONDS = 60.0


class Serving:
    """One receiver with its store.

    Args:
        folder: Where its store, its home and its log go.
        token: What senders must send; None where nothing is wanted.
    """

    def __init__(self, folder: Path, token: str | None = None) -> None:
        self.database = folder / "received.db"
        self._port = free_port()
        self._home = folder / "receiver-home"
        self._home.mkdir(parents=True)
        self._log = folder / "receiver.log"
        self._token = {} if token is None else {"USAGETRACE_SERVER_TOKEN": token}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it takes OTLP/HTTP, also while it does not run."""
        return f"http://127.0.0.1:{self._port}"

    def log(self) -> str:
        """Return what it said, over all its starts."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and return when it takes data."""
        command = ["--db", self.database, "serve", "--port", str(self._port), "--no-grpc"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "usagetrace", *command],
                env=clean_environment(self._home, self._token),
                cwd=self._home,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, f"the receiver ended:\n{self.log()[-4000:]}"
            try:
                with urllib.request.urlopen(f"{self.endpoint}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise AssertionError(f"the receiver does not answer:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """Ask it to end, and wait; nothing where it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=_PATIENCE_SECONDS)

    def counts(self) -> tuple[int, int]:
        """Return how many events its store has, and how many different artifacts they name."""
        if not self.database.exists():
            return 0, 0
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            (found,) = database.execute("SELECT count(*), count(DISTINCT artifact_name) FROM events")
            return int(found[0]), int(found[1])

    def counted_by_metrics(self) -> int:
        """Return how many events the metrics that it took count."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            (found,) = database.execute("SELECT total(sum) FROM metric_daily WHERE name = 'usage.events'")
            return int(found[0])

    def wait_for(self, events: int, seconds: float) -> None:
        """Wait until it has so many events; return also when the time is over."""
        end = time.monotonic() + seconds
        while self.counts()[0] < events and time.monotonic() < end:
            time.sleep(0.2)


@contextmanager
def serving(folder: Path, token: str | None = None) -> Iterator[Serving]:
    """Run a receiver."""
    receiver = Serving(folder, token)
    try:
        receiver.start()
        yield receiver
    except BaseException:
        print(f"--- log of the receiver\n{receiver.log()[-6000:]}")
        raise
    finally:
        receiver.stop()

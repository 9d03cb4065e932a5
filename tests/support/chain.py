"""Tools, what they send by, and a receiver with an account of what came: for tests of the whole way of an event.

Every event has a number of its own, so that what is missing or there twice has a name. Which Collectors stand between,
and what goes wrong there, is decided by the tests.
"""

from __future__ import annotations

import json
import math
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.otelcol import Collector
from tests.support.ports import free_port
from tests.support.process import clean_environment, run
from tests.support.serving import Serving
from usagetrace import places
from usagetrace.store.rebuild import rebuild

TOKEN = "token-of-the-receiver"
SERVICE = "shelf"

# One event in ten is a point in time, which has no duration and goes from an outbox as a log record.
TOOL = """
    import sys, time
    import usagetrace
    from usagetrace import track

    @track.deploy(collection_name="$me", metadata={"number": "$number"})
    def deploy(artifact_name, artifact_type, me, number):
        return True

    me, count, per_second = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    began = time.monotonic()
    for number in range(count):
        name = f"skill-{number % 100}"
        if number % 10:
            deploy(name, "skill", me, number)
        elif not usagetrace.record_event("sync", name, "skill", collection_name=me, metadata={"number": number}):
            sys.exit("not recorded")
        if number % 500 == 499:
            if not usagetrace.flush(120):
                sys.exit("not flushed in time")
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
"""

# What a tool needs that must not end before a Collector has taken what it says.
DIRECT = {"USAGETRACE_LOCAL": "false", "OTEL_EXPORTER_OTLP_TIMEOUT": "60", "USAGETRACE_EXIT_TIMEOUT": "60"}
OUTBOX = {"USAGETRACE_OTLP_DELIVERY": "outbox"}


def settings_of(endpoint: str, delivery: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's variables of a tool that sends to an endpoint, by one of the two ways."""
    return {"OTEL_SERVICE_NAME": SERVICE, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **delivery}


def peak_mib(pid: int) -> int:
    """Return the most memory that a running process has held so far, in MiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) // 1024


class Tools:
    """Some Python processes that record events of consecutive numbers, all of one service.

    Args:
        folder: Where their program and their logs go.
        names: One process each.
        events: How many each records.
        per_second: How many each records a second, at most.
        settings: Their environment's variables.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], events: int, settings: Mapping[str, str], per_second: float = 1e9
    ) -> None:
        self.names = names
        self.expected = Counter({(name, number): 1 for name in names for number in range(events)})
        self._home = folder / "home"
        self._home.mkdir(exist_ok=True)
        # One for each group. Rewritten for a second one it would be empty for a moment, and a tool of the first that
        # reads it just then would end at once, and well.
        script = folder / f"tool-{names[0]}.py"
        script.write_text(textwrap.dedent(TOOL), encoding="utf-8")
        self._commands = [[sys.executable, script, name, str(events), str(per_second)] for name in names]
        self._environment = clean_environment(self._home, settings)
        self._logs = [folder / f"{name}.log" for name in names]
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def store(self) -> Path:
        """Their local database."""
        return places.store_path(self._environment, SERVICE)

    def start(self) -> None:
        """Let them work."""
        for command, log in zip(self._commands, self._logs, strict=True):
            # Into a file: a pipe that nobody reads would stop a tool that has much to say.
            with log.open("wb") as out:
                started = subprocess.Popen(command, env=self._environment, cwd=self._home, stdout=out, stderr=out)
            self._running.append(started)

    def finish(self, seconds: float = 300) -> list[str]:
        """Wait until each has ended as it should; return what they said."""
        said = []
        for process, log in zip(self._running, self._logs, strict=True):
            code = process.wait(timeout=seconds)
            said.append(log.read_text(encoding="utf-8", errors="replace"))
            assert code == 0, said[-1][-3000:]
        return said

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            process.kill()
            process.wait()

    def forward(self) -> dict[str, Any]:
        """Send what waits, and return the command's own account of it."""
        command = [sys.executable, "-m", "usagetrace", "--service", SERVICE, "forward", "--format", "json"]
        done = run(command, self._home, self._environment, timeout=300)
        assert (done.code, done.err) == (0, ""), done.err
        account: dict[str, Any] = json.loads(done.out)
        return account


class Following:
    """``usagetrace forward --follow`` for the tools of one folder: a process that can be killed and started again."""

    role = "forward"

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._home = folder / "home"
        self._environment = clean_environment(self._home, settings_of(endpoint, OUTBOX))
        self._log = folder / "forward.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; an error while none runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        """Let it forward."""
        command = [sys.executable, "-m", "usagetrace", "--service", SERVICE, "forward", "--follow"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, cwd=self._home, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it at once."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL, self._log.read_text(encoding="utf-8")[-3000:]

    def stop(self) -> None:
        """Ask it to end; nothing where it does not run."""
        assert self._process is None or self._end(signal.SIGTERM) == 0, self._log.read_text(encoding="utf-8")[-3000:]

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(timeout=30)
        finally:
            process.kill()
            process.wait()


class Receiver(Serving):
    """Our receiver, which can also be stopped in the middle of what it does, with an account of what it took.

    Attributes:
        duplicates: How many events and metric points it counted as known already, in those of its lives that it was
            asked in at their ends.
    """

    role = "receiver"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOKEN)
        self.duplicates = 0
        self._paused = False

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self._port

    @property
    def pid(self) -> int:
        """The process's id; an error while none runs."""
        assert self._process is not None, "the receiver does not run"
        return self._process.pid

    def taken(self) -> dict[str, dict[str, int]]:
        """Return its own counts by signal, since it was started."""
        request = urllib.request.Request(f"{self.endpoint}/health", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            signals: dict[str, dict[str, int]] = json.load(answer)["signals"]
        return signals

    def note(self) -> None:
        """Add what it counted in this life, before that ends."""
        self.duplicates += sum(counts["duplicates"] for counts in self.taken().values())

    def pause(self) -> None:
        """Stop it where it stands: connections are taken, and nothing is answered."""
        self._process_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let it go on."""
        self._process_signal(signal.SIGCONT)
        self._paused = False

    def _process_signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the receiver does not run"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._paused:
            self.resume()
        super()._end(number)


@contextmanager
def receiver(folder: Path) -> Iterator[Receiver]:
    """Run a receiver; what it said is shown where the test fails."""
    running = Receiver(folder)
    try:
        running.start()
        yield running
    except BaseException:
        print(f"--- log of the receiver\n{running.log()[-6000:]}")
        raise
    finally:
        running.stop()


def queued(metrics_port: int) -> float:
    """Return how many bytes wait in the queues of a Collector, as it tells on the port of its own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    sizes = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("otelcol_exporter_queue_size{")]
    assert sizes, "it does not tell the size of its queues"
    return sum(sizes)


class Peaks:
    """The most memory that each part of a chain has held over all its lives."""

    def __init__(self) -> None:
        self.mib: dict[str, int] = {}

    def note(self, *parts: Collector | Receiver | Following) -> None:
        """Ask running parts."""
        for part in parts:
            self.mib[part.role] = max(self.mib.get(part.role, 0), peak_mib(part.pid))


@contextmanager
def rotel(folder: Path, to: str) -> Iterator[str]:
    """Run another project's Collector that sends to a receiver; yield where it takes OTLP/HTTP. It keeps no queue."""
    spec = find_spec("rotel")
    assert spec is not None, "rotel is not installed: `make e2e` installs it"
    assert spec.origin is not None
    port = free_port()
    command = [
        Path(spec.origin).parent / "rotel-agent",
        "start",
        f"--pid-file={folder / 'rotel.pid'}",
        f"--log-file={folder / 'rotel.log'}",
        f"--otlp-http-endpoint=127.0.0.1:{port}",
        f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
        "--exporter=otlp",
        "--otlp-exporter-protocol=http",
        f"--otlp-exporter-endpoint={to}",
        f"--otlp-exporter-custom-headers=Authorization=Bearer {TOKEN}",
        "--batch-timeout=100ms",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            assert process.poll() is None, "rotel ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
                break
            except OSError:
                assert time.monotonic() < end, "rotel does not listen"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


# --- the account -------------------------------------------------------------------------------------------


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def numbers(database: Path) -> Counter[tuple[str, int]]:
    """Return how often each event is in a store, by its tool and its number."""
    query = "SELECT collection_name, json_extract(metadata, '$.number'), count(*) FROM events GROUP BY 1, 2"
    return Counter({(name, number): count for name, number, count in _rows(database, query)})


def assert_exactly_once(database: Path, expected: Counter[tuple[str, int]]) -> None:
    """Compare the events of a store with those that were recorded; name what is missing, or there too often."""
    found = numbers(database)
    # Sorted by their texts: what went wrong may be a name that is None.
    missing, extra = sorted(expected - found, key=str), sorted(found - expected, key=str)
    told = f"{len(missing)} are missing: {missing[:20]}; {len(extra)} come more often, or from nowhere: {extra[:20]}"
    assert (missing, extra) == ([], []), told


def _is_same(one: Any, other: Any) -> bool:
    # Sums of the same numbers in another order differ in their last digits.
    return bool(one == other) or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-9))


def _assert_same(what: str, counted: list[tuple[Any, ...]], recounted: list[tuple[Any, ...]]) -> None:
    differing = [pair for pair in zip(counted, recounted, strict=False) if not all(map(_is_same, *pair))]
    told = f"{what}: {len(counted)} rows for {len(recounted)}; counted and recounted: {differing[:5]}"
    assert (len(counted), differing) == (len(recounted), []), told


def assert_counts_follow(database: Path) -> None:
    """Compare all that a store has counted with a recount of its events."""
    summary = "SELECT artifact_type, artifact_name, {} FROM {} GROUP BY 1, 2 ORDER BY 1, 2"
    counted = summary.format("total_events, deploy_count, sync_count, error_count, first_ms, last_ms", "usage_summary")
    kinds = "sum(event_type = 'deploy'), sum(event_type = 'sync'), sum(status = 'error')"
    recounted = summary.format(f"count(*), {kinds}, min(ts_ms), max(ts_ms)", "events")
    _assert_same("usage_summary", _rows(database, counted), _rows(database, recounted))
    daily = "SELECT event_type, artifact_type, artifact_name, {} FROM {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    counted = daily.format("sum(events), sum(errors), sum(durations), sum(duration_ms)", "usage_daily")
    recounted = daily.format("count(*), sum(status = 'error'), count(duration_ms), total(duration_ms)", "events")
    _assert_same("usage_daily", _rows(database, counted), _rows(database, recounted))
    counted = "SELECT event_type, artifact_type, sum(operations) FROM duration_daily GROUP BY 1, 2 ORDER BY 1, 2"
    recounted = "SELECT event_type, artifact_type, count(*) FROM events WHERE duration_ms IS NOT NULL GROUP BY 1, 2"
    _assert_same("duration_daily", _rows(database, counted), _rows(database, f"{recounted} ORDER BY 1, 2"))
    # The package's own comparison sees each day, each bucket of durations and each session. It only reads here.
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        differences = rebuild(connection, str(database), repair=False).differences
    assert not differences, f"too low: {differences[:5]}"

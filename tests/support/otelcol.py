"""Our Collector, run from our own configurations, as a process that can be killed and started again.

The binary is built where the cache has none. This module knows nothing of what the pipelines are to prove.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = ROOT / "collector-config"
# A test has a HOME of its own; what was built stands in the one of whoever runs the tests.
ENVIRONMENT = dict(os.environ)
_PATIENCE_SECONDS = 60.0


@functools.cache
def otelcol() -> Path:
    """Return the Collector's binary, built with `make otelcol`'s own program where it is not there yet."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "build_otelcol.py"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


@functools.cache
def lacking() -> tuple[str, ...]:
    """Return the components that the binary lacks, because they could not be had when it was built."""
    return tuple((otelcol().parent / "dropped.txt").read_text(encoding="utf-8").split())


def make_certificates(folder: Path) -> Path:
    """Make certificates of an authority, a gateway and an agent as the how-to does; return the folder."""
    subprocess.run(["sh", CONFIGURATIONS / "certificates.sh", folder], check=True, capture_output=True)
    return folder


class Collector:
    """One Collector: its ports and its folder stay the same over kills and new starts.

    Args:
        role: ``agent``, ``gateway`` or ``local``: which of our configurations it runs.
        folder: Where its queue, files and log go.
        settings: Further environment variables of the configuration.
        configuration: Another file that it runs; it takes the same variables, with the role in their names.
    """

    def __init__(
        self,
        role: str,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        configuration: Path | None = None,
    ) -> None:
        self.role = role
        self.folder = folder
        self.configuration = configuration or CONFIGURATIONS / f"{role}.yaml"
        self.grpc, self.http, self._health = free_port(), free_port(), free_port()
        prefix = f"USAGETRACE_{role.upper()}_"
        self._settings = {
            prefix + "GRPC": f"127.0.0.1:{self.grpc}",
            prefix + "HTTP": f"127.0.0.1:{self.http}",
            prefix + "HEALTH": f"127.0.0.1:{self._health}",
            prefix + "METRICS_PORT": str(free_port()),
            prefix + "STATE": str(folder / role),
            **(settings or {}),
        }
        self._log = folder / f"{role}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it takes OTLP/HTTP."""
        return f"{'https' if self.role == 'gateway' else 'http'}://127.0.0.1:{self.http}"

    @property
    def pid(self) -> int:
        """The process's id; an error while none runs."""
        assert self._process is not None, f"the {self.role} does not run"
        return self._process.pid

    @property
    def state(self) -> Path:
        """The folder of its queue and files."""
        return self.folder / self.role

    def log(self) -> str:
        """Return what it logged, over all its starts."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self, *, ready: bool = True) -> Collector:
        """Start it and return when it takes data; at once where ``ready`` is False."""
        assert self._process is None, f"the {self.role} runs already"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("USAGETRACE_", "OTEL_"))}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [otelcol(), "--config", self.configuration],
                env={**kept, **self._settings},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        if ready:
            self._wait()
        return self

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            assert self._process.poll() is None, f"the {self.role} ended:\n{self.log()[-4000:]}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise AssertionError(f"the {self.role} does not become ready:\n{self.log()[-4000:]}")

    def kill(self) -> None:
        """Kill it at once, as a machine that goes down does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait; nothing where it does not run."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, f"the {self.role} does not run"
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            process.wait(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def waiting_bytes(self) -> int:
        """Return the size of its queue's files: how much room what waits has taken so far."""
        return sum(file.stat().st_size for file in (self.state / "queue").glob("*") if file.is_file())


@contextmanager
def collector(
    role: str, folder: Path, settings: Mapping[str, str] | None = None, configuration: Path | None = None
) -> Iterator[Collector]:
    """Run one Collector; what it logged is shown where the test fails."""
    running = Collector(role, folder, settings, configuration)
    try:
        yield running.start()
    except BaseException:
        print(f"--- log of the {role}\n{running.log()[-6000:]}")
        raise
    finally:
        running.stop()


@contextmanager
def agent_and_gateway(
    folder: Path,
    receiver: str,
    agent: Mapping[str, str] | None = None,
    gateway: Mapping[str, str] | None = None,
) -> Iterator[tuple[Collector, Collector]]:
    """Run agent.yaml, which sends by TLS to gateway.yaml, which sends to a receiver.

    Args:
        folder: Where certificates, queues, files and logs go.
        receiver: The receiver's OTLP/HTTP endpoint, without a path.
        agent: Further variables of the agent, such as a proxy's address as USAGETRACE_GATEWAY.
        gateway: Further variables of the gateway, such as USAGETRACE_SERVER_TOKEN.
    """
    certificates = str(make_certificates(folder / "tls"))
    of_gateway = {"USAGETRACE_GATEWAY_TLS": certificates, "USAGETRACE_RECEIVER": receiver, **(gateway or {})}
    with collector("gateway", folder, of_gateway) as behind:
        of_agent = {"USAGETRACE_AGENT_TLS": certificates, "USAGETRACE_GATEWAY": f"127.0.0.1:{behind.grpc}"}
        with collector("agent", folder, {**of_agent, **(agent or {})}) as front:
            yield front, behind

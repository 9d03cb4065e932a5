"""The how-to of agent and gateway, followed word for word in a shell; only the ports are others: they must be free."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.otelcol import ENVIRONMENT, ROOT
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "how-to" / "collector-agent-and-gateway.md"
# What is for other machines than the one that the page sets up.
_ELSEWHERE = "## On real machines"
_STOPPING = "## Stop"


def commands(text: str) -> str:
    """Return the commands of a page's console blocks as a shell's script."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return "".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks)


def on_free_ports(script: str) -> tuple[str, dict[str, str]]:
    """Return a script with other ports than the standard ones, and the variables that make the Collectors use them."""
    agent, gateway, agent_health, gateway_health, receiver = (str(free_port()) for _ in range(5))
    for old, new in {"4318": agent, "13133": agent_health, "13134": gateway_health}.items():
        script = script.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    script = script.replace("--port 4320", f"--port {receiver}")
    return script, {
        "USAGETRACE_AGENT_GRPC": f"127.0.0.1:{free_port()}",
        "USAGETRACE_AGENT_HTTP": f"127.0.0.1:{agent}",
        "USAGETRACE_AGENT_HEALTH": f"127.0.0.1:{agent_health}",
        "USAGETRACE_AGENT_METRICS_PORT": str(free_port()),
        "USAGETRACE_GATEWAY": f"127.0.0.1:{gateway}",
        "USAGETRACE_GATEWAY_GRPC": f"127.0.0.1:{gateway}",
        "USAGETRACE_GATEWAY_HTTP": f"127.0.0.1:{free_port()}",
        "USAGETRACE_GATEWAY_HEALTH": f"127.0.0.1:{gateway_health}",
        "USAGETRACE_GATEWAY_METRICS_PORT": str(free_port()),
        "USAGETRACE_RECEIVER": f"http://127.0.0.1:{receiver}",
    }


@pytest.fixture
def shell_environment(tmp_path: Path) -> Mapping[str, str]:
    """A home of its own, and the cache with the Collector that whoever runs the tests has built."""
    base = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("USAGETRACE_", "OTEL_", "DO_NOT_"))}
    cache = base.get("XDG_CACHE_HOME") or str(Path(base["HOME"]) / ".cache")
    return {**base, "HOME": str(tmp_path), "XDG_CACHE_HOME": cache}


@pytest.fixture
def group() -> Iterator[list[int]]:
    """Process groups that are ended with the test, whatever became of it."""
    started: list[int] = []
    yield started
    for leader in started:
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_the_how_to_can_be_followed(tmp_path: Path, shell_environment: Mapping[str, str], group: list[int]) -> None:
    """Each command succeeds; after the kills all 200 events are there once; the planted address came nowhere."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(_ELSEWHERE)
    script, ports = on_free_ports(commands(before) + commands(after[after.index(_STOPPING) :]))
    # The last grep is to find nothing, and says so with its exit code.
    script = script.replace(
        "grep --count ada@example.com $TRIAL/gateway/usage.jsonl", "! grep ada@example.com -r $TRIAL/gateway"
    )
    log = tmp_path / "shell.log"
    with log.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-eu", "-c", script],
            cwd=ROOT,
            env={**shell_environment, **ports},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        group.append(shell.pid)
        code = shell.wait(timeout=300)
    told = log.read_text(encoding="utf-8", errors="replace")
    assert code == 0, told[-6000:]
    # How many events there are in all, and in how many requests the planted one came.
    assert [line for line in told.splitlines() if line.isdigit()] == ["200", "1"], told[-3000:]
    assert "skill-6" in told
    _await_end(shell.pid)


def _await_end(leader: int) -> None:
    """Wait until the page's last command has ended all that it had started."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("what the page starts still runs after its last command")

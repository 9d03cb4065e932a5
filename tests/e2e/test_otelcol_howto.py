"""The how-to of agent and gateway, followed word for word in a shell; only the ports are others: they must be free."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.otelcol import ENVIRONMENT
from tests.support.pages import HOW_TOS, commands, shell
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

PAGE = HOW_TOS / "collector-agent-and-gateway.md"
# What is for other machines than the one that the page sets up.
_ELSEWHERE = "## On real machines"
_STOPPING = "## Stop"


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


def test_the_how_to_can_be_followed(tmp_path: Path) -> None:
    """Each command succeeds; after the kills all 200 events are there once; the planted address came nowhere."""
    before, after = PAGE.read_text(encoding="utf-8").split(_ELSEWHERE)
    script, ports = on_free_ports(commands(before) + commands(after[after.index(_STOPPING) :]))
    # The last grep is to find nothing, and says so with its exit code.
    script = script.replace(
        "grep --count ada@example.com $TRIAL/gateway/usage.jsonl", "! grep ada@example.com -r $TRIAL/gateway"
    )
    # The cache with the Collector that whoever runs the tests has built.
    cache = ENVIRONMENT.get("XDG_CACHE_HOME") or str(Path(ENVIRONMENT["HOME"]) / ".cache")
    with shell(tmp_path) as following:
        told = following.run(script, 300, {**ports, "XDG_CACHE_HOME": cache})
    # How many events there are in all, and in how many requests the planted one came.
    assert [line for line in told.splitlines() if line.isdigit()] == ["200", "1"], told[-3000:]
    assert "skill-6" in told

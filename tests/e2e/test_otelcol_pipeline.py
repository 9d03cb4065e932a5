"""Python tools, agent, gateway and our receiver, all real, on one machine: every event is in the store exactly once."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.otelcol import Collector, collector, make_certificates
from tests.support.process import clean_environment
from tests.support.serving import Serving, serving
from tests.support.unreliable_proxy import Faults, unreliable_proxy

pytestmark = pytest.mark.e2e

TOOLS = 2
EVENTS_PER_TOOL = 50_000
ALL = TOOLS * EVENTS_PER_TOOL
TOKEN = "token-of-the-receiver"

# It works for about a minute, so that all faults happen while it sends; what is left at its end is sent before that.
TOOL = """
    import sys, time
    import usagetrace
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path):
        return True

    me, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    for number in range(count):
        deploy(f"{me}-{number}", "skill", project_path=__file__)
        if number % 500 == 499:
            if not usagetrace.flush(120):
                sys.exit("not sent in time")
            time.sleep(pause)
"""


@contextmanager
def tools(folder: Path, endpoint: str, pause: float, events: int = EVENTS_PER_TOOL) -> Iterator[Callable[[], None]]:
    """Run tools that record events and send them to an endpoint; yield what waits until each has ended as it should.

    Each tries as long as an exporter may.
    """
    script = folder / "tool.py"
    script.write_text(textwrap.dedent(TOOL), encoding="utf-8")
    home = folder / "home"
    home.mkdir(exist_ok=True)
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "100",
        "USAGETRACE_EXIT_TIMEOUT": "60",
        "USAGETRACE_LOCAL": "false",
    }
    running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def finish() -> None:
        for process, log in running:
            code = process.wait(timeout=300)
            said = log.read_text(encoding="utf-8", errors="replace")
            assert code == 0, said[-3000:]
            # Of its own package a tool hears only where something is wrong.
            assert "usagetrace:" not in said, said[-3000:]

    try:
        for number in range(TOOLS):
            log = folder / f"tool{number}.log"
            command = [sys.executable, script, f"tool{number}", str(events), str(pause)]
            # Into a file: a pipe that nobody reads would stop a tool that has much to say.
            with log.open("wb") as out:
                environment = clean_environment(home, settings)
                running.append((subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out), log))
        yield finish
    finally:
        for process, _ in running:
            process.kill()
            process.wait()


def disturb(agent: Collector, gateway: Collector, receiver: Serving, moments: random.Random) -> None:
    """Kill each part at random moments, and have the receiver stopped for a minute in the midst of it."""

    def kill(part: Collector | Serving) -> None:
        time.sleep(moments.uniform(0.5, 2.5))
        part.kill()
        time.sleep(moments.uniform(0.0, 1.0))
        part.start()

    for part in (agent, gateway, receiver, gateway, agent):
        kill(part)
    receiver.stop()
    began = time.monotonic()
    for part in (gateway, agent, agent, gateway):
        kill(part)
    time.sleep(max(0.0, 60 - (time.monotonic() - began)))
    receiver.start()
    for part in (receiver, agent, gateway):
        kill(part)


def test_every_event_arrives_once_whatever_is_killed(tmp_path: Path) -> None:
    """100,000 events by a proxy that drops and delays, with kills of all parts and a receiver away for a minute."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    certificates = str(make_certificates(tmp_path / "tls"))
    to_receiver = {"USAGETRACE_GATEWAY_TLS": certificates, "USAGETRACE_SERVER_TOKEN": TOKEN}
    with ExitStack() as stack:
        receiver = stack.enter_context(serving(tmp_path, TOKEN))
        to_receiver["USAGETRACE_RECEIVER"] = receiver.endpoint
        gateway = stack.enter_context(collector("gateway", tmp_path, to_receiver))
        proxy = stack.enter_context(unreliable_proxy(gateway.grpc, Faults(delay_s=0.05, drop=0.02), seed))
        to_gateway = {"USAGETRACE_AGENT_TLS": certificates, "USAGETRACE_GATEWAY": f"127.0.0.1:{proxy.port}"}
        agent = stack.enter_context(collector("agent", tmp_path, to_gateway))
        finish = stack.enter_context(tools(tmp_path, agent.endpoint, pause=0.3))
        disturb(agent, gateway, receiver, moments)
        finish()
        receiver.wait_for(ALL, 240)
        # What is still repeated now must not be counted again.
        time.sleep(3)
        print(f"connections {proxy.connections}, dropped {proxy.dropped}")
        assert receiver.counts() == (ALL, ALL)
        # Sums that come twice, or an older one after a newer one, add nothing.
        assert receiver.counted_by_metrics() == ALL
        assert proxy.dropped > 10


def test_one_collector_on_one_machine_fills_the_store(tmp_path: Path) -> None:
    """local.yaml, with nothing set but the receiver's address: events arrive once, and the metrics beside them."""
    with (
        serving(tmp_path) as receiver,
        collector("local", tmp_path, {"USAGETRACE_RECEIVER": receiver.endpoint}) as between,
        tools(tmp_path, between.endpoint, pause=0.0, events=1000) as finish,
    ):
        finish()
        receiver.wait_for(2000, 60)
        time.sleep(1)
        assert receiver.counts() == (2000, 2000)
        assert receiver.counted_by_metrics() == 2000

"""Agent and gateway under fault: what was acknowledged arrives, whoever is killed and whatever is away."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.support.otelcol import Collector, agent_and_gateway
from tests.support.otlp_sink import SpanSink, send_spans, span_sink

pytestmark = pytest.mark.e2e

COUNT = 100_000
EVERY_ID = {(number + 1).to_bytes(8, "big") for number in range(COUNT)}


class Sending(threading.Thread):
    """Sends spans in the background and keeps what went wrong for the test."""

    def __init__(self, endpoint: str, count: int, batch: int) -> None:
        super().__init__()
        self._what = (endpoint, count, batch)
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Send all of them."""
        try:
            send_spans(*self._what)
        except BaseException as error:
            self.fault = error

    def finish(self) -> None:
        """Wait until all are acknowledged."""
        self.join()
        if self.fault is not None:
            raise self.fault


def kill_and_start(victim: Collector, moments: random.Random) -> None:
    """Kill a Collector at some moment and start it again after a while."""
    time.sleep(moments.uniform(0.05, 0.6))
    victim.kill()
    time.sleep(moments.uniform(0.0, 0.4))
    victim.start()


def be_away(sink: SpanSink, seconds: float) -> None:
    """Take the receiver away for a while."""
    sink.close()
    time.sleep(seconds)
    sink.open()


def test_nothing_acknowledged_is_lost_over_kills(tmp_path: Path) -> None:
    """100,000 spans while agent and gateway are killed at random moments and the receiver is away: each arrives."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with span_sink() as sink, agent_and_gateway(tmp_path, sink.endpoint) as (agent, gateway):
        sending = Sending(agent.endpoint, COUNT, batch=100)
        sending.start()
        kills = 0
        try:
            while sending.is_alive() or kills < 10:
                kill_and_start(agent if kills % 2 else gateway, moments)
                kills += 1
                if kills == 5:
                    be_away(sink, 5)
        finally:
            sending.join()
        sending.finish()
        sink.wait_for(COUNT, 120)
    assert set(sink.seen) == EVERY_ID
    assert {f"skill-{number}" for number in range(COUNT)} == sink.names


def test_a_full_queue_of_the_gateway_makes_the_agent_wait(tmp_path: Path) -> None:
    """A gateway without room refuses; the agent keeps what it acknowledged and delivers it when there is room."""
    small = {"USAGETRACE_GATEWAY_QUEUE_BYTES": "300000"}
    with span_sink() as sink, agent_and_gateway(tmp_path, sink.endpoint, gateway=small) as (agent, gateway):
        sink.close()
        send_spans(agent.endpoint, 20_000)
        time.sleep(2)
        assert "sending queue is full" in gateway.log()
        sink.open()
        sink.wait_for(20_000, 120)
    assert {(number + 1).to_bytes(8, "big") for number in range(20_000)} == set(sink.seen)


def test_memory_stays_bounded_while_nobody_takes_the_data(tmp_path: Path) -> None:
    """With the receiver away, 100,000 spans wait on disk, and the gateway's memory stays below its limit."""
    limit_mib = 200
    settings = {"USAGETRACE_GATEWAY_MEMORY_MIB": str(limit_mib + 256)}
    with span_sink() as sink, agent_and_gateway(tmp_path, sink.endpoint, gateway=settings) as (agent, gateway):
        sink.close()
        send_spans(agent.endpoint, COUNT)
        time.sleep(2)
        peaks = {each.role: peak_mib(each) for each in (agent, gateway)}
        waiting = agent.waiting_bytes() + gateway.waiting_bytes()
        sink.open()
        sink.wait_for(COUNT, 120)
    assert set(sink.seen) == EVERY_ID
    assert {role: peak for role, peak in peaks.items() if peak > limit_mib} == {}
    assert waiting > 100 * COUNT


def peak_mib(running: Collector) -> int:
    """Return the most memory that a Collector had."""
    lines = Path(f"/proc/{running.pid}/status").read_text(encoding="utf-8").splitlines()
    (peak,) = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peak // 1024

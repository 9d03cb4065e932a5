"""Python tools, Collectors and our receiver, all real, on one machine: 100,000 events, each in the store exactly once.

Three ways: agent and gateway as they are; the same with all that can happen to them; and another project's Collector.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.chain import (
    DIRECT,
    OUTBOX,
    TOKEN,
    Following,
    Peaks,
    Receiver,
    Tools,
    assert_counts_follow,
    assert_exactly_once,
    numbers,
    queued,
    receiver,
    rotel,
    settings_of,
)
from tests.support.otelcol import Collector, agent_and_gateway, collector, make_certificates
from tests.support.ports import free_port
from tests.support.unreliable_proxy import Faults, UnreliableProxy, unreliable_proxy

pytestmark = pytest.mark.e2e

ALL = 100_000
FOUR = ("one", "two", "three", "four")
# How long the receiver stands still.
STILL_S = 60


@contextmanager
def working(tools: Tools) -> Iterator[Tools]:
    """Start tools; whatever happens, they have ended afterwards."""
    try:
        tools.start()
        yield tools
    finally:
        tools.end()


def wait_until_quiet(at_end: Receiver, seconds: float = 60) -> None:
    """Wait until nothing has come for a while, or the time is over: what is repeated late counts too."""
    before, end = None, time.monotonic() + seconds
    while (now := at_end.taken()) != before and time.monotonic() < end:
        before = now
        time.sleep(3)


def test_through_agent_and_gateway(tmp_path: Path) -> None:
    """Four tools send 100,000 events straight to the agent: events, counts and metrics are right at the end."""
    peaks = Peaks()
    with (
        receiver(tmp_path) as at_end,
        agent_and_gateway(tmp_path, at_end.endpoint, gateway={"USAGETRACE_SERVER_TOKEN": TOKEN}) as (agent, gateway),
    ):
        began = time.monotonic()
        with working(Tools(tmp_path, FOUR, ALL // 4, settings_of(agent.endpoint, DIRECT))) as tools:
            assert tools.finish() == [""] * 4
        sent = time.monotonic() - began
        at_end.wait_for(ALL, 120)
        arrived = time.monotonic() - began
        wait_until_quiet(at_end)
        peaks.note(agent, gateway, at_end)
        print(f"sent in {sent:.1f} s, stored after {arrived:.1f} s; {at_end.taken()}; MiB {peaks.mib}")
        assert_exactly_once(at_end.database, tools.expected)
        assert_counts_follow(at_end.database)
        assert at_end.counted_by_metrics() == ALL


def test_through_another_collector(tmp_path: Path) -> None:
    """The same through rotel, which keeps nothing on disk, and so without kills."""
    with receiver(tmp_path) as at_end, rotel(tmp_path, at_end.endpoint) as endpoint:
        began = time.monotonic()
        with working(Tools(tmp_path, FOUR, ALL // 4, settings_of(endpoint, DIRECT))) as tools:
            assert tools.finish() == [""] * 4
        sent = time.monotonic() - began
        at_end.wait_for(ALL, 120)
        arrived = time.monotonic() - began
        wait_until_quiet(at_end)
        print(f"sent in {sent:.1f} s, stored after {arrived:.1f} s; {at_end.taken()}")
        assert_exactly_once(at_end.database, tools.expected)
        assert_counts_follow(at_end.database)
        assert at_end.counted_by_metrics() == ALL


@dataclass
class Chain:
    """Running parts, and what becomes of them; the ports are those of the Collectors' own metrics."""

    at_end: Receiver
    gateway: Collector
    agent: Collector
    proxies: tuple[UnreliableProxy, UnreliableProxy]
    moments: random.Random
    ports: tuple[int, int]
    peaks: Peaks = field(default_factory=Peaks)
    kills: int = 0

    def kill(self, *parts: Collector | Receiver | Following) -> None:
        """Kill parts one after the other, each at a random moment, and start each again; Collectors twice."""
        for part in parts:
            time.sleep(self.moments.uniform(0.5, 2.5))
            self._note(part)
            part.kill()
            self.kills += 1
            time.sleep(self.moments.uniform(0.0, 1.0))
            if isinstance(part, Collector):
                # While it puts back into its queue what was on its way.
                part.start(ready=False)
                time.sleep(self.moments.uniform(0.0, 0.6))
                part.kill()
                self.kills += 1
            part.start()

    def restart(self, *parts: Collector | Receiver | Following) -> None:
        """Ask parts to end, one after the other, and start each again, as an update does."""
        for part in parts:
            time.sleep(self.moments.uniform(0.0, 1.0))
            self._note(part)
            part.stop()
            part.start()

    def _note(self, part: Collector | Receiver | Following) -> None:
        self.peaks.note(part)
        if isinstance(part, Receiver):
            part.note()

    def wait_until_sent(self, seconds: float) -> None:
        """Wait until no Collector has anything to send any more; return also when the time is over."""
        end = time.monotonic() + seconds
        while any(map(queued, self.ports)) and time.monotonic() < end:
            time.sleep(0.2)

    def stand_still(self, *parts: Collector | Following) -> None:
        """Stop the receiver where it stands, for a minute, and kill parts meanwhile."""
        self.at_end.pause()
        began = time.monotonic()
        self.kill(*parts)
        time.sleep(max(0.0, STILL_S - (time.monotonic() - began)))
        self.at_end.resume()

    def tell(self) -> None:
        """Say what has become of them."""
        self.at_end.note()
        self.peaks.note(self.agent, self.gateway, self.at_end)
        print(f"{self.kills} kills; known already: {self.at_end.duplicates}; MiB {self.peaks.mib}")
        for proxy in self.proxies:
            print(f"connections {proxy.connections}, dropped {proxy.dropped}, answers swallowed {proxy.swallowed}")
        print(f"left in queues: {[queued(port) for port in self.ports]}")


@contextmanager
def chain(folder: Path, seed: int) -> Iterator[Chain]:
    """Run receiver, gateway and agent, and between each two of them a proxy that does its worst."""
    # Fewer and larger requests come to the second one.
    to_gateway = Faults(delay_s=0.05, drop=0.02, swallow=0.03)
    to_receiver = Faults(delay_s=0.05, drop=0.05, swallow=0.1)
    certificates = str(make_certificates(folder / "tls"))
    ports = free_port(), free_port()
    with ExitStack() as stack:
        at_end = stack.enter_context(receiver(folder))
        behind = stack.enter_context(unreliable_proxy(at_end.port, to_receiver, seed))
        of_gateway = {
            "USAGETRACE_GATEWAY_TLS": certificates,
            "USAGETRACE_SERVER_TOKEN": TOKEN,
            "USAGETRACE_RECEIVER": f"http://127.0.0.1:{behind.port}",
            "USAGETRACE_GATEWAY_METRICS_PORT": str(ports[0]),
        }
        gateway = stack.enter_context(collector("gateway", folder, of_gateway))
        before = stack.enter_context(unreliable_proxy(gateway.grpc, to_gateway, seed + 1))
        of_agent = {
            "USAGETRACE_AGENT_TLS": certificates,
            "USAGETRACE_GATEWAY": f"127.0.0.1:{before.port}",
            "USAGETRACE_AGENT_METRICS_PORT": str(ports[1]),
        }
        agent = stack.enter_context(collector("agent", folder, of_agent))
        yield Chain(at_end, gateway, agent, (before, behind), random.Random(seed), ports)


def storm(parts: Chain, straight: Tools, following: Following) -> None:
    """Do to all parts what can be done to them.

    The agent's turn comes when the tools that send straight to it have ended: what no agent has acknowledged is lost
    with such a tool.
    """
    at_end, gateway, agent = parts.at_end, parts.gateway, parts.agent
    parts.kill(gateway, at_end, gateway, following, at_end)
    assert straight.finish() == [""] * 2
    parts.stand_still(agent, gateway, agent, following, agent, gateway, agent)
    parts.kill(at_end, agent, gateway, at_end)
    parts.restart(at_end, gateway, agent)


def test_whatever_is_killed(tmp_path: Path) -> None:
    """Kills of all parts, a receiver that stands still for a minute, connections cut before and after the answer.

    Some tools send straight to the agent, and end before it is killed for the first time. The others have an outbox,
    and work all the time; who forwards from it is killed as well.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    began = time.monotonic()
    with chain(tmp_path, seed) as parts, ExitStack() as stack:
        to = parts.agent.endpoint
        straight = stack.enter_context(
            working(Tools(tmp_path, ("one", "two"), 20_000, settings_of(to, DIRECT), per_second=1500))
        )
        kept = stack.enter_context(
            working(Tools(tmp_path, ("three", "four"), 30_000, settings_of(to, OUTBOX), per_second=400))
        )
        following = Following(tmp_path, to)
        stack.callback(following.stop)
        following.start()
        storm(parts, straight, following)
        kept.finish()
        following.stop()
        left = kept.forward()
        parts.at_end.wait_for(ALL, 120)
        print(f"stored after {time.monotonic() - began:.1f} s")
        # The Collectors' pauses between two tries grow to 30 s.
        parts.wait_until_sent(60)
        wait_until_quiet(parts.at_end)
        parts.tell()
        assert (left["complete"], left["waiting_events"], left["set_aside_events"]) == (True, 0, 0)
        assert numbers(kept.store) == kept.expected
        assert_exactly_once(parts.at_end.database, straight.expected + kept.expected)
        assert_counts_follow(parts.at_end.database)
        # Of the tools that send metrics: with an outbox they don't.
        assert parts.at_end.counted_by_metrics() == straight.expected.total()
        # Otherwise nothing was sent twice, and this has shown nothing.
        assert parts.at_end.duplicates > 0
        assert sum(proxy.dropped for proxy in parts.proxies) > 0
        assert sum(proxy.swallowed for proxy in parts.proxies) > 0

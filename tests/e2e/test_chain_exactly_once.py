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
from tests.support.otelcol import Collector, agent_and_gateway, collector, free_port, make_certificates
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


def wait_until_quiet(at_end: Receiver) -> None:
    """Wait until nothing has come for a while: what is repeated late counts too."""
    before = None
    while (now := at_end.taken()) != before:
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
    moments: random.Random
    ports: tuple[int, int]
    peaks: Peaks = field(default_factory=Peaks)
    kills: int = 0

    def kill(self, *parts: Collector | Receiver | Following) -> None:
        """Kill parts one after the other, each at a random moment, and start each again."""
        for part in parts:
            time.sleep(self.moments.uniform(0.5, 2.5))
            self._note(part)
            part.kill()
            self.kills += 1
            time.sleep(self.moments.uniform(0.0, 1.0))
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


@contextmanager
def chain(folder: Path, seed: int) -> Iterator[tuple[Chain, list[UnreliableProxy]]]:
    """Run receiver, gateway and agent, and between each two of them a proxy that does its worst."""
    # Fewer and larger requests come to the second one.
    to_gateway, to_receiver = (
        Faults(delay_s=0.05, drop=0.02, swallow=0.03),
        Faults(delay_s=0.05, drop=0.05, swallow=0.1),
    )
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
        yield Chain(at_end, gateway, agent, random.Random(seed), ports), [before, behind]


def test_whatever_is_killed(tmp_path: Path) -> None:
    """Kills of all parts, a receiver that stands still for a minute, connections cut before and after the answer.

    Tools that send straight to the agent work while the gateway and the receiver are killed; the agent's kills begin
    when these tools have ended, for in direct mode what no agent has acknowledged is lost with the tool. The others
    have an outbox, and work on all the time; who forwards from it is killed as well.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    began = time.monotonic()
    with chain(tmp_path, seed) as (parts, proxies), ExitStack() as stack:
        at_end, gateway, agent = parts.at_end, parts.gateway, parts.agent
        straight = Tools(tmp_path, ("one", "two"), 20_000, settings_of(agent.endpoint, DIRECT), per_second=1500)
        kept = Tools(tmp_path, ("three", "four"), 30_000, settings_of(agent.endpoint, OUTBOX), per_second=400)
        stack.enter_context(working(straight))
        stack.enter_context(working(kept))
        following = Following(tmp_path, agent.endpoint)
        stack.callback(following.stop)
        following.start()
        parts.kill(gateway, at_end, gateway, following, at_end)
        assert straight.finish() == [""] * 2
        parts.stand_still(agent, gateway, agent, following, agent, gateway, agent)
        parts.kill(at_end, agent, gateway, at_end)
        parts.restart(at_end, gateway, agent)
        print(f"after {time.monotonic() - began:.0f} s:", kept.finish())
        following.stop()
        left = kept.forward()
        print(f"forwarded after {time.monotonic() - began:.0f} s:", left)
        at_end.wait_for(ALL, 120)
        arrived = time.monotonic() - began
        # The Collectors' pauses between two tries grow to 30 s.
        parts.wait_until_sent(60)
        wait_until_quiet(at_end)
        at_end.note()
        parts.peaks.note(agent, gateway, at_end)
        quiet = time.monotonic() - began
        print(f"{parts.kills} kills, stored after {arrived:.1f} s, quiet after {quiet:.1f} s")
        print(f"known already: {at_end.duplicates}, left in queues: {[queued(port) for port in parts.ports]}")
        for proxy in proxies:
            print(f"connections {proxy.connections}, dropped {proxy.dropped}, answers swallowed {proxy.swallowed}")
        print(f"MiB {parts.peaks.mib}")
        assert (left["complete"], left["waiting_events"], left["set_aside_events"]) == (True, 0, 0)
        assert numbers(kept.store) == kept.expected
        assert_exactly_once(at_end.database, straight.expected + kept.expected)
        assert_counts_follow(at_end.database)
        # Those of the tools that send metrics: an outbox sends none.
        assert at_end.counted_by_metrics() == 40_000
        # Otherwise nothing was sent twice, and this has shown nothing.
        assert at_end.duplicates > 0
        assert all(proxy.dropped and proxy.swallowed for proxy in proxies)

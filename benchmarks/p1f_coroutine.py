"""P1f: what a tracked coroutine costs, a hundred at a time, against a bare span in the same coroutine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import usagetrace
from benchmarks.harness import Figure, Row, Timed, turns
from benchmarks.world import bare_sdk, expect, flush, home
from usagetrace import track

AT_ONCE = 100
ROUNDS = 121
ATTRIBUTES = {f"bare.attribute.{number}": f"value {number}" for number in range(8)}


async def work(name: str, kind: str, collection: str, project: str, version: str) -> bool:
    """Give way once, as a coroutine does that waits for something."""
    await asyncio.sleep(0)
    return True


tracked = track.deploy(
    artifact_name="$name", artifact_type="$kind", collection_name="$collection", project_path="$project",
    metadata={"version": "$version"},
)(work)  # fmt: skip


def measure() -> list[Figure]:
    """Return the figure of P1f."""
    with home() as folder, bare_sdk() as provider, contextlib.closing(asyncio.new_event_loop()) as loop:
        tracer = provider.get_tracer("bare")

        async def bare(name: str, kind: str, collection: str, project: str, version: str) -> bool:
            with tracer.start_as_current_span("deploy", attributes=ATTRIBUTES):
                await asyncio.sleep(0)
                return True

        async def at_once(call: Callable[..., Awaitable[bool]]) -> None:
            await asyncio.gather(
                *(call(f"artifact-{n}", "skill", "default", "/srv/shop", "1.2.0") for n in range(AT_ONCE))
            )

        def side(call: Callable[..., Awaitable[bool]], after: Callable[[], object]) -> Timed:
            def timed() -> float:
                # As for other calls: a first batch warms the caches.
                loop.run_until_complete(at_once(call))
                began = time.perf_counter_ns()
                loop.run_until_complete(at_once(call))
                took = (time.perf_counter_ns() - began) / AT_ONCE / 1000
                after()
                return took

            return timed

        database = folder / "analytics.db"
        usagetrace.configure(service_name="bench", db_path=database, enabled=True)
        ours, theirs = turns(side(tracked, flush), side(bare, provider.force_flush), rounds=ROUNDS)
        usagetrace.shutdown()
        expect(
            database, "SELECT COUNT(*), COUNT(DISTINCT span_id) FROM events",
            *[(ROUNDS + 1) * 2 * AT_ONCE] * 2,
        )  # fmt: skip
    row = Row("P1f", "a tracked coroutine, 100 at a time", "a bare span in the same coroutine", "us")
    return [row.ratio(ours, theirs, at_most=1.05)]


ROWS = {"P1f": measure}

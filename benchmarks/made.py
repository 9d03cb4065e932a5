"""Events such as a tool with 200 artifacts makes, the same ones each time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from usagetrace.events import Event

# 2026-09-21 14:13:20 UTC.
FROM_MS = 1_790_000_000_000
# Milliseconds of a day, and events of a busy one.
DAY_MS = 86_400_000
BUSY_DAY = 1_000_000

T = TypeVar("T")


def events(count: int, *, every_ms: float = 250.0, from_ms: int = FROM_MS) -> Iterator[Event]:
    """Yield events, their fields filled as a tracked call in local mode fills them.

    Args:
        count: How many.
        every_ms: Milliseconds between two of them.
        from_ms: Time of the first, in milliseconds since 1970 UTC.
    """
    draw = random.Random(7)
    for number in range(count):
        # One in ten runs inside another operation, or has one inside: it is of a trace.
        trace_id = f"{draw.getrandbits(128):032x}" if number % 10 == 0 else None
        yield Event(
            event_type=draw.choice(("deploy", "update", "sync", "remove", "search")),
            artifact_name=f"artifact-{int(draw.paretovariate(1.1)) % 200}",
            artifact_type=draw.choice(("skill", "command", "agent")),
            ts_ms=from_ms + int(number * every_ms),
            collection_name="default",
            project_path=f"~/projects/shop-{draw.randrange(8)}",
            metadata={"version": "1.2.0", "sha": f"{draw.getrandbits(64):016x}", "success": True},
            duration_ms=draw.expovariate(0.1),
            status="ok" if draw.random() > 0.05 else "error",
            category="usage",
            service_name="bench",
            trace_id=trace_id,
            span_id=f"{draw.getrandbits(64):016x}",
        )


def batches(items: Iterator[T] | Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of a size; the last one may be shorter."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch

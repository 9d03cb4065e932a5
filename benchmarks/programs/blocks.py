"""Times one call in blocks, and prints what it found as JSON. It runs in any environment."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

CALLS = 200
BLOCKS = 5
# Calls of a block before its clock starts: what ran since the last one emptied the processor's caches.
LEAD = 10


def run(call: Callable[[str], object], settle: Callable[[], object], count: Callable[[], int]) -> None:
    """Time blocks of calls after one that is not counted.

    Prints the median microseconds of one call, how many calls there were, and how many events were kept of them.

    Args:
        call: What is timed; it gets a name.
        settle: Called between two blocks, outside the clock.
        count: Called at the end: how many events, or spans, there are.
    """
    names = [f"artifact-{number % 64}" for number in range(CALLS)]
    times = []
    for _ in range(BLOCKS + 1):
        for name in names[:LEAD]:
            call(name)
        began = time.perf_counter_ns()
        for name in names:
            call(name)
        times.append((time.perf_counter_ns() - began) / CALLS / 1000)
        settle()
    print(json.dumps({"us": statistics.median(times[1:]), "calls": len(times) * (LEAD + CALLS), "events": count()}))

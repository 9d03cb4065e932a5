"""What processes tell of their functions' calls, as metric points of a day.

This module knows the metric's name and form. Which functions are counted, and when a process tells, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from usagetrace import semconv
from usagetrace.events import timestamp_text
from usagetrace.spool.calls import Calls
from usagetrace.store.metrics import SUM, MetricPoint, attributes_text
from usagetrace.store.schema_rollups import END_MS, FIRST_MS

_UNIT: Final = "{call}"


def points_of(told: Iterable[Calls]) -> Iterator[MetricPoint]:
    """Yield a point for each function: its calls, on the day on which its process told of them.

    Args:
        told: What processes told.
    """
    for calls in told:
        # As for events: a clock may be anything.
        day = timestamp_text(min(max(calls.ts_ms, FIRST_MS), END_MS - 1)).rjust(19, "0")[:10]
        for function, count in calls.counts.items():
            attributes = attributes_text({semconv.CODE_FUNCTION_NAME: function})
            yield MetricPoint(
                day, semconv.METRIC_TARGET_CALLS, _UNIT, calls.service_name, attributes, SUM, 1, float(count)
            )

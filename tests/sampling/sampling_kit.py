"""What the tests of sampling count with: a real store, the exact binomial bound, a runtime with a clock of its own."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from usagetrace.redaction import default_redactor
from usagetrace.store.catchup import catch_up
from usagetrace.store.recorder import Recorder
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

# A chance so small that no run of these tests will ever meet it.
NEVER = 1e-9


def binomial_bounds(number: int, rate: float, chance: float = NEVER) -> tuple[int, int]:
    """Return between which two counts, both included, a binomial variable lies but for a chance of at most that.

    Args:
        number: How often it is drawn.
        rate: Probability of each.
        chance: Half of it on either side, summed up exactly from the end.
    """
    logs = [
        math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
        + k * math.log(rate) + (number - k) * math.log1p(-rate)
        for k in range(number + 1)
    ]  # fmt: skip
    least, most = 0, number
    below = above = 0.0
    while (below := below + math.exp(logs[least])) < chance / 2:
        least += 1
    while (above := above + math.exp(logs[most])) < chance / 2:
        most -= 1
    return least, most


class Counted:
    """What a store says of everything that it was given."""

    def __init__(self, database: Path) -> None:
        # However long it takes: a machine may be busy.
        report = catch_up(database, budget=None)
        assert report is None or report.complete
        with closing(sqlite3.connect(database)) as connection:

            def one(query: str) -> Any:
                return connection.execute(query).fetchone()[0]

            self.rows: list[tuple[str, int, str]] = connection.execute(
                "SELECT event_type, ts_ms, status FROM events ORDER BY id"
            ).fetchall()
            self.summary = one("SELECT COALESCE(SUM(total_events), 0) FROM usage_summary")
            self.daily = one("SELECT COALESCE(SUM(events), 0) FROM usage_daily")
            self.durations = one("SELECT COALESCE(SUM(operations), 0) FROM duration_daily")
            self.errors = one("SELECT COALESCE(SUM(errors), 0) FROM usage_daily")

    @property
    def totals(self) -> set[int]:
        """The totals of summary and rollups, which are one number."""
        return {self.summary, self.daily, self.durations}

    def by_window(self, window_ms: int) -> Counter[int]:
        """Return how many rows lie in each window."""
        return Counter(ts_ms // window_ms for _type, ts_ms, _status in self.rows)


class Metrics:
    """A real meter whose counters can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("t")

    def totals(self) -> tuple[int, int]:
        """Return what the counter of events and the histogram of durations have counted."""
        counted = timed = 0
        data: Any = self.reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                counted += getattr(point, "value", 0)
                timed += getattr(point, "count", 0)
        return counted, timed


def install(recorder: Recorder | None, *, clock: Callable[[], int], **more: Any) -> Metrics:
    """Put a runtime in force that writes to a recorder, with a clock of the test's; return its metrics."""
    metrics = Metrics()
    if recorder is not None:
        more = {"record": recorder.submit_rows, "record_sampled": recorder.submit_sampled, **more}
    tracer = more.pop("tracer", None)
    runtime.install(Runtime(tracer, metrics.meter, default_redactor(), clock=clock, service_name="t", **more))
    return metrics

"""Metrics to the local SQLite file: one row a day for each time series.

A standard metric exporter, by its entry point under ``OTEL_METRICS_EXPORTER=usagetrace_sqlite``. It asks the SDK for
deltas, so that what several processes export adds up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
)

from usagetrace import semconv
from usagetrace.errors import StoreError
from usagetrace.exporters.destination import Destination, service_of
from usagetrace.guard import guard, warn_once
from usagetrace.redaction import Redactor, default_redactor
from usagetrace.store.metrics import HISTOGRAM, SUM, MetricPoint, attributes_text
from usagetrace.store.store import Store

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

_NS_PER_S = 1_000_000_000
# What a metric export may wait for a store that is locked, in milliseconds; it runs on the reader's thread.
_BUSY_TIMEOUT_MS = 1000


class SQLiteMetricExporter(MetricExporter):
    """Adds metric points to the local SQLite file: counters and histograms; gauges are not kept.

    Args:
        db_path: The file; by default the service's own, as the settings say.
        redactor: Sees every attribute first.
    """

    # Says to `usagetrace.redaction.protect` that nothing private passes here.
    redacts_itself = True

    def __init__(self, db_path: str | os.PathLike[str] | None = None, *, redactor: Redactor | None = None) -> None:
        delta = AggregationTemporality.DELTA
        super().__init__(preferred_temporality={Counter: delta, Histogram: delta, ObservableCounter: delta})
        self._destination = Destination(db_path)
        self._redactor = redactor
        self._lock = threading.Lock()
        self._stores: dict[Path, Store] = {}
        # Points of kinds that are not kept.
        self.ignored = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Add a collection's points to the rows of their day.

        Args:
            metrics_data: What the SDK collected, as deltas.
            timeout_millis: Not needed: the write is bounded by the store's own timeout.
            kwargs: Whatever else a reader passes.

        Returns:
            SUCCESS when the points are committed, FAILURE when the store could not be written.
        """
        settings = self._destination.settings()
        if settings is None:
            return MetricExportResult.SUCCESS
        try:
            by_path: dict[Path, list[MetricPoint]] = {}
            for service, point in self._points(metrics_data, settings.service_name):
                by_path.setdefault(self._destination.path(settings, service), []).append(point)
            for path, points in by_path.items():
                self._store(path).write_metrics(points)
        except StoreError as error:
            warn_once(f"metrics:{type(error).__name__}", "metrics could not be written: %s", error)
            return MetricExportResult.FAILURE
        except Exception as error:  # noqa: BLE001 -- what can't be read or redacted is dropped, never raised at the host
            guard.note(error)
            return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS

    def _store(self, path: Path) -> Store:
        with self._lock:
            if path not in self._stores:
                self._stores[path] = Store(path, busy_timeout_ms=_BUSY_TIMEOUT_MS)
            return self._stores[path]

    def _points(self, data: MetricsData, default_service: str) -> Iterator[tuple[str, MetricPoint]]:
        redactor = self._redactor or default_redactor()
        for resource_metrics in data.resource_metrics:
            named = service_of(resource_metrics.resource, default_service)
            service = str(redactor.redact(semconv.SERVICE_NAME, named) or "")
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    for point in metric.data.data_points:
                        made = _point(metric, point, service, redactor)
                        if made is None:
                            self.ignored += 1
                        else:
                            yield service, made

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Return True: nothing waits here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the files."""
        with self._lock:
            stores, self._stores = list(self._stores.values()), {}
        for store in stores:
            store.close()


def _point(metric: Metric, point: object, service: str, redactor: Redactor) -> MetricPoint | None:
    if isinstance(point, HistogramDataPoint):
        kind, count, total = HISTOGRAM, point.count, float(point.sum)
    elif isinstance(point, NumberDataPoint) and hasattr(metric.data, "is_monotonic"):
        kind, count, total = SUM, 1, float(point.value)
    else:
        return None
    moment = datetime.fromtimestamp(point.time_unix_nano / _NS_PER_S, timezone.utc)
    shape: dict[str, Any] = {}
    if isinstance(point, HistogramDataPoint):
        shape = {
            "bounds": tuple(point.explicit_bounds),
            "bucket_counts": tuple(point.bucket_counts),
            "min": point.min if count else None,
            "max": point.max if count else None,
        }
    return MetricPoint(
        day=moment.strftime("%Y-%m-%d"),
        name=redactor.text(metric.name),
        unit=redactor.text(metric.unit or ""),
        service_name=service,
        attributes=attributes_text(dict(redactor.attributes(point.attributes or {}))),
        kind=kind,
        count=count,
        sum=total,
        **shape,
    )

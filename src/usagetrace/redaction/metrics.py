"""RedactingMetricExporter: redacts metrics at an exporter's own door.

Channels: metric name, description and unit, attributes of each data point, filtered attributes of exemplars,
scope, resource. Points whose attributes become equal stay separate points: joining them is the backend's.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache, redact_attributes

if TYPE_CHECKING:
    from usagetrace.redaction.engine import Redactor


class RedactingMetricExporter(MetricExporter):
    """Redact metrics before another exporter sees them.

    Args:
        next_exporter: Gets the redacted metrics; its preferences of temporality and aggregation hold.
        redactor: The engine; None takes the process's shared one.

    A metric that can't be redacted is dropped whole and counted in :attr:`dropped`.
    """

    def __init__(self, next_exporter: MetricExporter, redactor: Redactor | None = None) -> None:
        super().__init__(
            preferred_temporality=next_exporter._preferred_temporality,
            preferred_aggregation=next_exporter._preferred_aggregation,
        )
        self._next = next_exporter
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many metrics could not be redacted and went nowhere."""
        return self._dropped

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export a redacted copy of the metrics.

        Args:
            metrics_data: What a reader collected. It is not changed.
            timeout_millis: Handed on.
            kwargs: Handed on.
        """
        with guard:
            groups = [self._group(group) for group in metrics_data.resource_metrics]
            redacted = MetricsData([group for group in groups if group is not None])
            return self._next.export(redacted, timeout_millis=timeout_millis, **kwargs)
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the wrapped exporter; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the wrapped exporter down."""
        with guard:
            self._next.shutdown(timeout_millis=timeout_millis, **kwargs)

    def _group(self, group: ResourceMetrics) -> ResourceMetrics | None:
        try:
            resource = self._cache.resource(group.resource)
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._drop(error, sum(len(scope.metrics) for scope in group.scope_metrics))
            return None
        scopes = [self._scope(scope) for scope in group.scope_metrics]
        return replace(group, resource=resource, scope_metrics=[scope for scope in scopes if scope is not None])

    def _scope(self, scope: ScopeMetrics) -> ScopeMetrics | None:
        try:
            redacted = self._cache.scope(scope.scope)
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._drop(error, len(scope.metrics))
            return None
        metrics = [self._metric(metric) for metric in scope.metrics]
        return replace(scope, scope=redacted, metrics=[metric for metric in metrics if metric is not None])

    def _metric(self, metric: Metric) -> Metric | None:
        try:
            points = [self._point(point) for point in metric.data.data_points]
            # One field of four kinds of data is replaced: their union has no common constructor.
            whole: Any = metric.data
            data = replace(whole, data_points=points)
            text = self._redactor.text
            return Metric(
                name=text(metric.name),
                description=metric.description and text(metric.description),
                unit=metric.unit and text(metric.unit),
                data=data,
            )
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._drop(error, 1)
            return None

    def _point(self, point: Any) -> Any:
        """Return one data point, of whatever aggregation, with its exemplars."""
        exemplars = [
            replace(one, filtered_attributes=redact_attributes(one.filtered_attributes, self._redactor))
            for one in point.exemplars
        ]
        return replace(point, attributes=redact_attributes(point.attributes, self._redactor), exemplars=exemplars)

    def _drop(self, error: Exception, metrics: int) -> None:
        with self._lock:
            self._dropped += metrics
        guard.note(error)

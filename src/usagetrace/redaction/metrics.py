"""RedactingMetricExporter: redacts metrics at an exporter's own door.

Channels: metric name, description and unit, attributes of each data point, filtered attributes of exemplars, scope,
resource, schema URLs. What redaction makes equal is joined: points of one series, metrics of one name, scopes and
resources, since each of them twice is not valid OTLP, or is lost by the encoder.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

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
from usagetrace.redaction.carriers import CarrierCache
from usagetrace.redaction.door import Dropped
from usagetrace.redaction.merging import merge_points, same_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.util.types import Attributes

    from usagetrace.redaction.engine import Redactor

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_./-]+")


def redact_metric_name(name: str, redactor: Redactor) -> str:
    """Return the name of an instrument without anything private, in the letters that such a name may have.

    Args:
        name: As its author gave it.
        redactor: The engine.
    """
    redacted = redactor.text(name)
    return name if redacted == name else _NOT_IN_NAMES.sub("_", redacted).strip("_") or "redacted"


class MetricRedactor:
    """Redacts what a reader collected.

    Args:
        redactor: The engine.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._cache = CarrierCache(redactor)
        self._dropped = Dropped()

    @property
    def dropped(self) -> int:
        """How many metrics could not be redacted and were left out."""
        return self._dropped.count

    def data(self, metrics_data: MetricsData) -> MetricsData:
        """Return a redacted copy of a collection; a metric that can't be redacted is left out and counted."""
        groups = [self._group(group) for group in metrics_data.resource_metrics]
        kept = [group for group in groups if group is not None]
        return MetricsData(_joined(kept, lambda group: (group.resource, group.schema_url), _join_groups))

    def _group(self, group: ResourceMetrics) -> ResourceMetrics | None:
        try:
            resource = self._cache.resource(group.resource)
            schema = self._schema(group.schema_url)
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._dropped.add(error, sum(len(scope.metrics) for scope in group.scope_metrics))
            return None
        scopes = [self._scope(scope) for scope in group.scope_metrics]
        kept = [scope for scope in scopes if scope is not None]
        return replace(group, resource=resource, scope_metrics=_join_scopes(kept), schema_url=schema)

    def _scope(self, scope: ScopeMetrics) -> ScopeMetrics | None:
        try:
            redacted = self._cache.scope(scope.scope)
            schema = self._schema(scope.schema_url)
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._dropped.add(error, len(scope.metrics))
            return None
        metrics: list[Metric] = []
        changed = redacted is not scope.scope
        for metric in scope.metrics:
            made = self._metric(metric)
            if made is not None:
                changed = changed or made.name != metric.name
                metrics.append(made)
        # Two metrics of one name that had it before are their author's, and stay two.
        return replace(scope, scope=redacted, metrics=_join_metrics(metrics) if changed else metrics, schema_url=schema)

    def _metric(self, metric: Metric) -> Metric | None:
        try:
            text = self._redactor.text
            return Metric(
                name=redact_metric_name(metric.name, self._redactor),
                description=metric.description and text(metric.description),
                unit=metric.unit and text(metric.unit),
                data=self._points(metric.data),
            )
        except Exception as error:  # noqa: BLE001 -- fail closed
            self._dropped.add(error)
            return None

    def _points(self, data: Any) -> Any:
        points = [self._point(point) for point in data.data_points]
        redacted = replace(data, data_points=points)
        same = all(new.attributes is old.attributes for new, old in zip(points, data.data_points, strict=True))
        return redacted if same else merge_points(redacted)

    def _point(self, point: Any) -> Any:
        """Return one data point, of whatever aggregation, with its exemplars."""
        exemplars = [
            replace(one, filtered_attributes=self._attributes(one.filtered_attributes)) for one in point.exemplars
        ]
        return replace(point, attributes=self._attributes(point.attributes), exemplars=exemplars)

    def _attributes(self, attributes: Attributes) -> Attributes:
        # A plain mapping, as the SDK has it there: the console's exporter can't write any other.
        return cast("Attributes", self._redactor.attributes(attributes)) if attributes else attributes

    def _schema(self, url: str | None) -> str:
        return str(self._redactor.redact("schema.url", url) or "") if url else ""


class RedactingMetricExporter(MetricExporter):
    """Redact metrics before another exporter sees them.

    Args:
        next_exporter: Gets the redacted metrics; its preferences of temporality and aggregation hold.
        redactor: The engine; None takes the process's shared one.

    A metric that can't be redacted is dropped whole and counted in :attr:`dropped`.
    """

    # Says to `protect` that nothing private passes here.
    redacts_itself = True

    def __init__(self, next_exporter: MetricExporter, redactor: Redactor | None = None) -> None:
        super().__init__(
            preferred_temporality=next_exporter._preferred_temporality,
            preferred_aggregation=next_exporter._preferred_aggregation,
        )
        self._next = next_exporter
        self._metrics = MetricRedactor(redactor if redactor is not None else default_redactor())

    @property
    def dropped(self) -> int:
        """How many metrics could not be redacted and went nowhere."""
        return self._metrics.dropped

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export a redacted copy of the metrics.

        Args:
            metrics_data: What a reader collected. It is not changed.
            timeout_millis: Handed on.
            kwargs: Handed on.
        """
        with guard:
            return self._next.export(self._metrics.data(metrics_data), timeout_millis=timeout_millis, **kwargs)
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


def _joined(members: Sequence[Any], key_of: Callable[[Any], Hashable], join: Callable[[list[Any]], Any]) -> list[Any]:
    """Return members with those of one key joined, in the order of the first of each."""
    if len(members) < 2:
        return list(members)
    groups: dict[Hashable, list[Any]] = {}
    for member in members:
        groups.setdefault(key_of(member), []).append(member)
    return [group[0] if len(group) == 1 else join(group) for group in groups.values()]


def _join_groups(groups: list[ResourceMetrics]) -> ResourceMetrics:
    return replace(groups[0], scope_metrics=_join_scopes([scope for group in groups for scope in group.scope_metrics]))


def _join_scopes(scopes: list[ScopeMetrics]) -> list[ScopeMetrics]:
    def join(equal: list[ScopeMetrics]) -> ScopeMetrics:
        return replace(equal[0], metrics=_join_metrics([metric for scope in equal for metric in scope.metrics]))

    return _joined(scopes, lambda scope: (scope.scope, scope.schema_url), join)


def _join_metrics(metrics: list[Metric]) -> list[Metric]:
    """Return metrics with those of one name and kind joined; what differs in kind stays apart, of whatever name."""
    result: list[Metric] = []
    for metric in metrics:
        for at, known in enumerate(result):
            if (known.name, known.unit) == (metric.name, metric.unit) and same_stream(known.data, metric.data):
                both: Any = known.data
                points = [*both.data_points, *metric.data.data_points]
                result[at] = replace(known, data=merge_points(replace(both, data_points=points)))
                break
        else:
            result.append(metric)
    return result

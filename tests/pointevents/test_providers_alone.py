"""One provider of an application is reason enough to record, without a local file and without any other."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import usagetrace
from usagetrace import track


def test_a_meter_provider_alone_is_measured_by(tmp_path: Path) -> None:
    """Calls and points in time are counted where nothing is stored and nothing is sent; the file stays unmade."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    usagetrace.configure(service_name="shelf", db_path=tmp_path / "a.db", local=False, meter_provider=provider)
    with track.sync(artifact_name="canvas"):
        assert usagetrace.event("feature_used")
    data = reader.get_metrics_data()
    assert data is not None
    ((resource,),) = [data.resource_metrics]
    metrics = {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
    points = metrics["usage.events"].data.data_points
    counted = {(point.attributes or {})["usage.event.type"]: point.value for point in points}  # type: ignore[union-attr]
    assert counted == {"sync": 1, "feature_used": 1}
    usagetrace.shutdown(10)
    provider.shutdown()
    assert not (tmp_path / "a.db").exists()

"""What settings ask for of the SDK: spans and metrics for an OTLP endpoint, metrics for the local file.

A program that stays local without metrics does not import this module, and so not the SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.version import __version__ as sdk_version

from usagetrace import environment, semconv
from usagetrace.errors import UsageTraceError
from usagetrace.exporters.finished import FinishedExporter, Sender
from usagetrace.guard import warn_once

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

    from usagetrace.config import Settings
    from usagetrace.exporters.moments import MomentSender
    from usagetrace.pipeline import Pipeline

# Milliseconds between two exports of metrics in a long-lived process; a short one exports when it ends.
_METRIC_INTERVAL_MS = 60_000


def _resource(settings: Settings) -> Resource:
    # Resource.create() runs every detector in a pool of threads (1.2 ms); one is wanted.
    attributes: dict[str, Any] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        **OTELResourceDetector().detect().attributes,
    }
    attributes[semconv.SERVICE_NAME] = settings.service_name
    for name, value in environment.attributes(settings).items():
        # A version that was set is the tool's; of the machine, what somebody says in the standard variable counts.
        if name == semconv.SERVICE_VERSION or name not in attributes:
            attributes[name] = value
    return Resource(attributes, semconv.SCHEMA_URL)


def sender(settings: Settings, pipeline: Pipeline) -> Sender | None:
    """Return what sends operations to the OTLP endpoint; None where the exporter is not installed, and says so."""
    # Imported here: metrics alone need none of it.
    from usagetrace.exporters import otlp

    try:
        exporter = otlp.RedactingOTLPSpanExporter(settings.said_endpoint(), settings.said_protocol())
    except UsageTraceError as error:
        warn_once("otlp", "%s", error)
        return None
    processor = BatchSpanProcessor(FinishedExporter(exporter, _resource(settings)))
    pipeline.add_remote(processor, exporter)
    return Sender(processor)


def moment_sender(settings: Settings, pipeline: Pipeline) -> MomentSender | None:
    """Return what sends points in time to the OTLP endpoint for logs; None where the exporter is not installed."""
    # Imported here: metrics alone need none of it.
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    from usagetrace.exporters import otlp
    from usagetrace.exporters.moments import MomentExporter, MomentSender

    try:
        exporter = otlp.RedactingOTLPLogExporter(settings.said_endpoint(), settings.said_protocol())
    except UsageTraceError as error:
        warn_once("otlp", "%s", error)
        return None
    processor = BatchLogRecordProcessor(MomentExporter(exporter, _resource(settings)))
    pipeline.add_remote(processor, exporter)
    return MomentSender(processor)


def own_meter_provider(settings: Settings, pipeline: Pipeline, *, remote: bool, local: bool) -> MeterProvider:
    """Return a provider of meters.

    Args:
        settings: Where to.
        pipeline: Flushes and closes it.
        remote: Whether metrics go to the OTLP endpoint.
        local: Whether they go to the local file.
    """
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter
    from opentelemetry.sdk.metrics import MeterProvider as SDKMeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    readers: list[MetricReader] = []
    if local:
        from usagetrace.exporters.sqlite_metrics import SQLiteMetricExporter

        readers.append(PeriodicExportingMetricReader(SQLiteMetricExporter(settings.store_path()), _METRIC_INTERVAL_MS))
    if remote:
        from usagetrace.exporters import otlp

        try:
            exporter = otlp.RedactingOTLPMetricExporter(settings.said_endpoint(), settings.said_protocol())
            readers.append(PeriodicExportingMetricReader(exporter, _METRIC_INTERVAL_MS))
        except UsageTraceError as error:
            warn_once("otlp", "%s", error)
    # Exemplars carry attributes that a view has dropped: off.
    provider = SDKMeterProvider(
        readers, resource=_resource(settings), shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter()
    )
    pipeline.add_reader(provider.force_flush, provider.shutdown)
    return provider

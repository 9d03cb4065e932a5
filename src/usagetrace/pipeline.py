"""From settings to a running pipeline: the one place, besides the command line, where the parts meet.

::

    track -> span -> RedactingSpanProcessor -> RecordingSpanProcessor -> Recorder -> SQLite
                                            -> BatchSpanProcessor     -> OTLP
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.version import __version__ as sdk_version

from usagetrace import semconv
from usagetrace.config import Settings
from usagetrace.errors import UsageTraceError
from usagetrace.exporters.sqlite import RecordingSpanProcessor
from usagetrace.guard import guard, warn_once
from usagetrace.ids import UsageIdGenerator
from usagetrace.redaction import default_redactor
from usagetrace.redaction.processor import RedactingSpanProcessor
from usagetrace.store.recorder import Recorder
from usagetrace.track import runtime
from usagetrace.track.runtime import OFF, Runtime
from usagetrace.version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter

# Milliseconds between two exports of metrics in a long-lived process; a short one exports when it ends.
_METRIC_INTERVAL_MS = 60_000

_lock = threading.RLock()
_active: Pipeline | None = None


class FanOut(SpanProcessor):
    """Hands each span to several processors. One that fails does not keep it from the others."""

    def __init__(self, *processors: SpanProcessor) -> None:
        self._processors = processors

    def on_end(self, span: Any) -> None:
        """Hand a finished span to each."""
        for processor in self._processors:
            with guard:
                processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush each within the time that is left."""
        end = time.monotonic() + timeout_millis / 1000
        flushed = [p.force_flush(max(int((end - time.monotonic()) * 1000), 0)) for p in self._processors]
        return all(flushed)


class Pipeline:
    """What was composed, and how it is flushed and closed.

    Attributes:
        settings: What it was composed from.
        recorder: Writes the local file; None where nothing is written locally.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recorder: Recorder | None = None
        self._flushers: list[Callable[[], object]] = []
        self._closers: list[Callable[[], object]] = []
        # Stops a delivery that is under way, from another thread.
        self._breakers: list[Callable[[], object]] = []

    def flush(self, timeout: float) -> bool:
        """Write and send what waits, within a number of seconds; True when all of it was."""
        end = time.monotonic() + timeout
        written = self.recorder is None or self.recorder.flush(timeout)
        return _within(self._flushers, end - time.monotonic()) and written

    def close(self, timeout: float) -> None:
        """Flush and close within a number of seconds."""
        end = time.monotonic() + timeout
        # The local file first: it is what must not be lost, and takes a millisecond where all is well.
        if self.recorder is not None:
            self.recorder.close(timeout)
        left = max(end - time.monotonic(), 0.0)
        if not _within(self._closers, left * 0.8):
            warn_once(
                "otlp:exit",
                "the OTLP endpoint did not take everything within %g s and the rest was not sent; check that it is "
                "running, or unset OTEL_EXPORTER_OTLP_ENDPOINT",
                timeout,
            )
            for breaker in self._breakers:
                with guard:
                    breaker()

    def add_remote(self, processor: SpanProcessor, exporter: SpanExporter) -> None:
        """Know a processor that delivers over the network."""
        self._flushers.append(processor.force_flush)
        self._closers.append(processor.shutdown)
        self._breakers.append(exporter.shutdown)

    def add_reader(self, flush_reader: Callable[[], object], close_reader: Callable[[], object]) -> None:
        """Know a reader of metrics."""
        self._flushers.append(flush_reader)
        self._closers.append(close_reader)


def _within(actions: list[Callable[[], object]], seconds: float) -> bool:
    """Run actions on a thread of their own; True when they all ended in time. The SDK's own timeouts do not hold."""
    if not actions:
        return True
    done = threading.Event()

    def run() -> None:
        for action in actions:
            with guard:
                action()
        done.set()

    try:
        threading.Thread(target=run, name="usagetrace-exit", daemon=True).start()
    except RuntimeError as error:
        # CPython 3.12.0 and 3.12.1 start no thread while the interpreter shuts down.
        guard.note(error)
        return False
    return done.wait(max(seconds, 0.0))


def compose(settings: Settings, tracer_provider: Any = None, meter_provider: MeterProvider | None = None) -> Runtime:
    """Build the pipeline that settings describe, and return the runtime of its tracked calls.

    Args:
        settings: What to build; they say that telemetry is on.
        tracer_provider: The application's own, or None for one of ours.
        meter_provider: The application's own, or None for one of ours where metrics are wanted.
    """
    with _lock:
        return _compose(settings, tracer_provider, meter_provider)


def active() -> Pipeline | None:
    """Return the pipeline that runs, or None."""
    return _active


def flush(timeout: float) -> bool:
    """Flush the pipeline that runs."""
    pipeline = _active
    return True if pipeline is None else pipeline.flush(timeout)


def shutdown(timeout: float | None) -> None:
    """Close the pipeline that runs; tracked calls run untracked from here on.

    Args:
        timeout: Seconds to wait, at most; None for what the settings say.
    """
    global _active
    with _lock:
        pipeline, _active = _active, None
        runtime.install(OFF)
    if pipeline is not None:
        atexit.unregister(_at_exit)
        pipeline.close(pipeline.settings.exit_timeout if timeout is None else timeout)


def _at_exit() -> None:
    guard(shutdown)(None)


def _compose(settings: Settings, tracer_provider: Any, meter_provider: MeterProvider | None) -> Runtime:
    global _active
    pipeline = Pipeline(settings)
    local = _local_processor(settings, pipeline)
    if tracer_provider is None:
        tracer_provider = _own_provider(settings, pipeline, local)
    elif local is not None and hasattr(tracer_provider, "add_span_processor"):
        tracer_provider.add_span_processor(RedactingSpanProcessor(local, default_redactor()))
    if meter_provider is None:
        meter_provider = _own_meter_provider(settings, pipeline)
    tracer = tracer_provider.get_tracer(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)
    meter = (
        None
        if meter_provider is None
        else meter_provider.get_meter(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)
    )
    _active = pipeline
    atexit.register(_at_exit)
    if local is None:
        return Runtime(tracer, meter, default_redactor())
    return Runtime(tracer, meter, default_redactor(), accepted=local.accepted)


def _local_processor(settings: Settings, pipeline: Pipeline) -> RecordingSpanProcessor | None:
    if not settings.local:
        return None
    pipeline.recorder = Recorder(settings.store_path(), retention_days=settings.retention_days)
    return RecordingSpanProcessor(pipeline.recorder, settings.service_name)


def _own_provider(settings: Settings, pipeline: Pipeline, local: SpanProcessor | None) -> TracerProvider:
    # Not the global provider: what an application does with its own traces is its own affair, and whatever its
    # exporters send somewhere, usage must not travel along unasked.
    provider = TracerProvider(
        resource=_resource(settings), sampler=ALWAYS_ON, id_generator=UsageIdGenerator(), shutdown_on_exit=False
    )
    processors: list[SpanProcessor] = [] if local is None else [local]
    remote = _remote_processor(settings, pipeline)
    if remote is not None:
        processors.append(remote)
    if processors:
        behind = processors[0] if len(processors) == 1 else FanOut(*processors)
        provider.add_span_processor(RedactingSpanProcessor(behind, default_redactor()))
    return provider


def _resource(settings: Settings) -> Resource:
    # Resource.create() runs every detector in a pool of threads (1.2 ms); one is wanted.
    attributes: dict[str, Any] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        **OTELResourceDetector().detect().attributes,
    }
    attributes[semconv.SERVICE_NAME] = settings.service_name
    if settings.service_version is not None:
        attributes[semconv.SERVICE_VERSION] = settings.service_version
    return Resource(attributes, semconv.SCHEMA_URL)


def _remote_processor(settings: Settings, pipeline: Pipeline) -> SpanProcessor | None:
    if settings.otlp_target("TRACES") is None:
        return None
    # Imported here: a program that stays local must not pay 50 ms for what it does not use.
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from usagetrace.exporters import otlp

    try:
        exporter = otlp.RedactingOTLPSpanExporter(settings.said_endpoint(), settings.said_protocol())
    except UsageTraceError as error:
        warn_once("otlp", "%s", error)
        return None
    processor = BatchSpanProcessor(exporter)
    pipeline.add_remote(processor, exporter)
    return processor


def _own_meter_provider(settings: Settings, pipeline: Pipeline) -> MeterProvider | None:
    remote = settings.otlp_target("METRICS") is not None
    local = settings.metrics == "on" and settings.local
    if not remote and not local:
        return None
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

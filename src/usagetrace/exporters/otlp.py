"""Spans, metrics and log records to OTLP, by the standard exporters, redacted at this door.

Which protocol is spoken, and everything else (headers, certificates, compression, timeouts), is said by the standard
``OTEL_EXPORTER_OTLP_*`` variables. By their entry points (``usagetrace_otlp``) these exporters serve wherever
OpenTelemetry is set up by environment or YAML and what leaves has to be redacted.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from usagetrace.errors import UsageTraceError
from usagetrace.guard import warn_once
from usagetrace.redaction import RedactingMetricExporter, RedactingSpanExporter, Redactor, default_redactor
from usagetrace.redaction.log_exporter import RedactingLogRecordExporter

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

Inner = TypeVar("Inner", SpanExporter, MetricExporter, LogRecordExporter)
Result = TypeVar("Result", SpanExportResult, MetricExportResult, LogRecordExportResult)


class _Signal(NamedTuple):
    """One of OpenTelemetry's signals.

    Attributes:
        variable: Its name in the names of environment variables.
        module: The last part of the modules in which its standard exporters are, one a protocol.
        exporter: What both are called.
        path: Where HTTP takes it, below the base URL.
    """

    variable: str
    module: str
    exporter: str
    path: str


_TRACES: Final = _Signal("TRACES", "trace_exporter", "OTLPSpanExporter", "v1/traces")
_METRICS: Final = _Signal("METRICS", "metric_exporter", "OTLPMetricExporter", "v1/metrics")
_LOGS: Final = _Signal("LOGS", "_log_exporter", "OTLPLogExporter", "v1/logs")
_HTTP: Final = "http/protobuf"
# By protocol, the package of its standard exporters.
_PACKAGES: Final = {
    _HTTP: "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}
# Loggers on which the standard exporters tell of every retry; with no logging set up that lands on the user's screen.
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.common.http",
)
_here = threading.local()


class _OnlyOthers(logging.Filter):
    """Lets a record pass unless it was made while one of our exporters was at work on this thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "quiet", False)


_only_others = _OnlyOthers()


@contextmanager
def _quiet() -> Iterator[None]:
    before = getattr(_here, "quiet", False)
    _here.quiet = True
    try:
        yield
    finally:
        _here.quiet = before


class _Outgoing(Generic[Inner]):
    """What the exporters of all signals do alike: they speak to one endpoint, and are quiet when it is not there."""

    # Says to `usagetrace.redaction.protect` that nothing private passes here.
    redacts_itself = True

    _target: str
    _inner: Inner

    def _aim(self, signal: _Signal, endpoint: str | None, protocol: str | None) -> Any:
        """Remember the endpoint, for warnings; return the standard exporter of a signal for it.

        Raises:
            UsageTraceError: It is not installed, or the protocol is not spoken.
        """
        self._target = endpoint or _said(signal, "ENDPOINT")
        return _standard(signal, endpoint, protocol or _said(signal, "PROTOCOL").strip() or _HTTP)

    def _send(self, export: Callable[[], Result], success: Result) -> Result:
        """Export, and warn of an endpoint where that fails."""
        with _quiet():
            result = export()
        if result is not success:
            _warn_undelivered(self._target)
        return result

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait for what is under way."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop, also in the middle of a retry."""
        with _quiet():
            self._inner.shutdown()  # type: ignore[no-untyped-call]  # the SDK's log exporter has no types there


class RedactingOTLPSpanExporter(_Outgoing[SpanExporter], SpanExporter):
    """The standard OTLP span exporter behind a redactor, quiet about an endpoint that can't be reached.

    Args:
        endpoint: Base URL; by default what the standard environment variables say.
        protocol: ``http/protobuf`` or ``grpc``; by default what they say.
        redactor: Sees every span first.

    Raises:
        UsageTraceError: The standard exporter is not installed; the message names the command that installs it.
    """

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        inner = self._aim(_TRACES, endpoint, protocol)
        self._inner = RedactingSpanExporter(inner, redactor or default_redactor())

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, redacted; FAILURE after the standard exporter's own retries."""
        return self._send(lambda: self._inner.export(spans), SpanExportResult.SUCCESS)


class RedactingOTLPMetricExporter(_Outgoing[MetricExporter], MetricExporter):
    """The standard OTLP metric exporter behind a redactor. Arguments and errors as for spans."""

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        inner: MetricExporter = self._aim(_METRICS, endpoint, protocol)
        super().__init__(
            preferred_temporality=inner._preferred_temporality,
            preferred_aggregation=inner._preferred_aggregation,
        )
        self._inner = RedactingMetricExporter(inner, redactor or default_redactor())

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send a collection, redacted; FAILURE after the standard exporter's own retries."""
        return self._send(
            lambda: self._inner.export(metrics_data, timeout_millis, **kwargs), MetricExportResult.SUCCESS
        )

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Wait for what is under way."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Stop, also in the middle of a retry."""
        with _quiet():
            self._inner.shutdown(timeout_millis, **kwargs)


class RedactingOTLPLogExporter(_Outgoing[LogRecordExporter], LogRecordExporter):
    """The standard OTLP log record exporter behind a redactor. Arguments and errors as for spans."""

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        inner = self._aim(_LOGS, endpoint, protocol)
        self._inner = RedactingLogRecordExporter(inner, redactor or default_redactor())

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch, redacted; FAILURE after the standard exporter's own retries."""
        return self._send(lambda: self._inner.export(batch), LogRecordExportResult.SUCCESS)


def _said(signal: _Signal, what: str) -> str:
    """Return what the environment says for a signal, or else for all of them; empty where it says nothing."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal.variable}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    return os.environ.get(own) or os.environ.get(common) or ""


def _standard(signal: _Signal, endpoint: str | None, protocol: str) -> Any:
    """Return the standard exporter of a signal, told an endpoint or left to the environment."""
    package = _PACKAGES.get(protocol)
    if package is None:
        raise UsageTraceError(f"OTLP by {protocol} is not spoken in Python; use {' or '.join(_PACKAGES)}")
    for name in _LOGGERS:
        # Adding the same filter twice does nothing.
        logging.getLogger(name).addFilter(_only_others)
    try:
        exporter = getattr(importlib.import_module(f"{package}.{signal.module}"), signal.exporter)
    except (ImportError, AttributeError) as error:
        raise UsageTraceError(
            f"OTLP needs a package that is not installed ({error.name}): pip install 'usagetrace[otlp]'"
        ) from error
    if endpoint is None or protocol == "grpc":
        return exporter(endpoint=endpoint)
    return exporter(endpoint=f"{endpoint.rstrip('/')}/{signal.path}")


def _warn_undelivered(target: str) -> None:
    warn_once(
        f"otlp:{target}",
        "could not deliver to the OTLP endpoint %s; check that it is running, or unset OTEL_EXPORTER_OTLP_ENDPOINT",
        default_redactor().text(target) or "(default)",
    )

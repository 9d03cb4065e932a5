"""Spans, metrics and log records to OTLP, by the standard exporters, redacted at this door.

Which protocol is spoken, and everything else (headers, certificates, compression, timeouts), is said by the standard
``OTEL_EXPORTER_OTLP_*`` variables. By their entry points (``usagetrace_otlp``) these exporters serve wherever
OpenTelemetry is set up by environment or YAML and what leaves has to be redacted.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

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

# Loggers on which the standard exporters tell of every retry; with no logging set up that lands on the user's screen.
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.common.http",
)
_HTTP: Final = "http/protobuf"
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


class RedactingOTLPSpanExporter(SpanExporter):
    """The standard OTLP span exporter behind a redactor, quiet about an endpoint that can't be reached.

    Args:
        endpoint: Base URL; by default what the standard environment variables say.
        protocol: ``http/protobuf`` or ``grpc``; by default what they say.
        redactor: Sees every span first.

    Raises:
        UsageTraceError: The standard exporter is not installed; the message names the command that installs it.
    """

    redacts_itself = True

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        self._target = endpoint or _named_endpoint("TRACES", os.environ)
        speaks = protocol or _protocol("TRACES", os.environ)
        inner = _span_exporter(endpoint, speaks)
        self._inner: SpanExporter = RedactingSpanExporter(inner, redactor or default_redactor())

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, redacted; FAILURE after the standard exporter's own retries."""
        with _quiet():
            result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            _warn_undelivered(self._target)
        return result

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait for what is under way."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop, also in the middle of a retry."""
        with _quiet():
            self._inner.shutdown()


class RedactingOTLPMetricExporter(MetricExporter):
    """The standard OTLP metric exporter behind a redactor. Arguments and errors as for spans."""

    redacts_itself = True

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        self._target = endpoint or _named_endpoint("METRICS", os.environ)
        inner = _metric_exporter(endpoint, protocol or _protocol("METRICS", os.environ))
        super().__init__(
            preferred_temporality=inner._preferred_temporality,
            preferred_aggregation=inner._preferred_aggregation,
        )
        self._inner: MetricExporter = RedactingMetricExporter(inner, redactor or default_redactor())

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send a collection, redacted; FAILURE after the standard exporter's own retries."""
        with _quiet():
            result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            _warn_undelivered(self._target)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Wait for what is under way."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Stop, also in the middle of a retry."""
        with _quiet():
            self._inner.shutdown(timeout_millis, **kwargs)


class RedactingOTLPLogExporter(LogRecordExporter):
    """The standard OTLP log record exporter behind a redactor. Arguments and errors as for spans."""

    redacts_itself = True

    def __init__(
        self, endpoint: str | None = None, protocol: str | None = None, *, redactor: Redactor | None = None
    ) -> None:
        self._target = endpoint or _named_endpoint("LOGS", os.environ)
        inner = _log_exporter(endpoint, protocol or _protocol("LOGS", os.environ))
        self._inner = RedactingLogRecordExporter(inner, redactor or default_redactor())

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch, redacted; FAILURE after the standard exporter's own retries."""
        with _quiet():
            result = self._inner.export(batch)
        if result is not LogRecordExportResult.SUCCESS:
            _warn_undelivered(self._target)
        return result

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait for what is under way."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop, also in the middle of a retry."""
        with _quiet():
            self._inner.shutdown()


def _named_endpoint(signal: str, environ: Mapping[str, str]) -> str:
    return environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""


def _protocol(signal: str, environ: Mapping[str, str]) -> str:
    said = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return said.strip() if said else _HTTP


def _span_exporter(endpoint: str | None, protocol: str) -> SpanExporter:
    _hush(protocol)
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

            return Grpc(endpoint=endpoint)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
    except ImportError as error:
        raise _not_installed(error) from error
    return Http(endpoint=_with_path(endpoint, "v1/traces"))


def _metric_exporter(endpoint: str | None, protocol: str) -> MetricExporter:
    _hush(protocol)
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

            return Grpc(endpoint=endpoint)
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http
    except ImportError as error:
        raise _not_installed(error) from error
    return Http(endpoint=_with_path(endpoint, "v1/metrics"))


def _log_exporter(endpoint: str | None, protocol: str) -> LogRecordExporter:
    _hush(protocol)
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as Grpc

            return Grpc(endpoint=endpoint)
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Http
    except ImportError as error:
        raise _not_installed(error) from error
    return Http(endpoint=_with_path(endpoint, "v1/logs"))


def _with_path(endpoint: str | None, path: str) -> str | None:
    return None if endpoint is None else f"{endpoint.rstrip('/')}/{path}"


def _hush(protocol: str) -> None:
    if protocol not in (_HTTP, "grpc"):
        raise UsageTraceError(f"OTLP by {protocol} is not spoken in Python; use {_HTTP} or grpc")
    for name in _LOGGERS:
        # Adding the same filter twice does nothing.
        logging.getLogger(name).addFilter(_only_others)


def _not_installed(error: ImportError) -> UsageTraceError:
    return UsageTraceError(f"OTLP needs a package that is not installed ({error.name}): pip install 'usagetrace[otlp]'")


def _warn_undelivered(target: str) -> None:
    warn_once(
        f"otlp:{target}",
        "could not deliver to the OTLP endpoint %s; check that it is running, or unset OTEL_EXPORTER_OTLP_ENDPOINT",
        default_redactor().text(target) or "(default)",
    )

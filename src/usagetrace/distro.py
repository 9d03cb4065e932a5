"""What makes ``opentelemetry-instrument`` work with this package alone, without ``opentelemetry-distro``.

The distro fills in what the environment leaves open: spans go to the local SQLite file, and nowhere else. The
configurator sets up the SDK as the environment says, with every exporter behind a redactor.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from usagetrace.redaction import default_redactor
from usagetrace.redaction.processor import RedactingSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# What holds where the environment does not say: nothing leaves the machine.
_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "usagetrace_sqlite",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_PYTHON_ID_GENERATOR": "usagetrace",
}


class UsageDistro(BaseDistro):  # type: ignore[misc]  # the package has no types
    """Fills in exporters where the environment names none."""

    def _configure(self, **kwargs: Any) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)


class UsageConfigurator(_OTelSDKConfigurator):
    """Sets up the SDK from the environment; each span exporter gets redacted copies."""

    def _configure(self, **kwargs: Any) -> None:
        kwargs.setdefault("export_span_processor", _redacting_batch)
        super()._configure(**kwargs)  # type: ignore[no-untyped-call]  # the SDK's configurator has no types


def _redacting_batch(exporter: SpanExporter) -> RedactingSpanProcessor:
    return RedactingSpanProcessor(BatchSpanProcessor(exporter), default_redactor())

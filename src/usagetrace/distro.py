"""What makes ``opentelemetry-instrument`` work with this package alone, without ``opentelemetry-distro``.

The distro fills in what the environment leaves open: spans go to the local SQLite file, and nowhere else. The
configurator sets up the SDK as the environment or a configuration file says, and puts a redactor before every way out
of it: spans, log records and metrics.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from usagetrace.guard import guard, warn_once
from usagetrace.redaction.protection import protect

if TYPE_CHECKING:
    from collections.abc import Callable

# What holds where the environment does not say: nothing leaves the machine.
_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "usagetrace_sqlite",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_PYTHON_ID_GENERATOR": "usagetrace",
}
_SDK = (TracerProvider, LoggerProvider, MeterProvider)


class UsageDistro(BaseDistro):  # type: ignore[misc]  # the package has no types
    """Fills in exporters where the environment names none."""

    def _configure(self, **kwargs: Any) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)


class UsageConfigurator(_OTelSDKConfigurator):
    """Sets up the SDK from the environment, or from ``OTEL_CONFIG_FILE``; each exporter gets redacted copies."""

    def _configure(self, **kwargs: Any) -> None:
        super()._configure(**kwargs)  # type: ignore[no-untyped-call]  # the SDK's configurator has no types
        # Not by the configurator's arguments: there is none for metrics, and with a configuration file they do nothing.
        for get in (trace.get_tracer_provider, get_logger_provider, metrics.get_meter_provider):
            protect_or_close(get)


def protect_or_close(get_provider: Callable[[], Any]) -> None:
    """Put a redactor before a provider's ways out; where that can't be done, close them."""
    provider = get_provider()
    if not isinstance(provider, _SDK):
        # Nothing was set up for this signal.
        return
    try:
        protect(provider)
    except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted does not leave
        guard.note(error)
        warn_once(
            f"protect:{type(provider).__name__}",
            "the %s that was configured can't be put behind a redactor (%s) and was shut down; use exporters that "
            "redact by themselves: usagetrace_sqlite or usagetrace_otlp",
            type(provider).__name__,
            type(error).__name__,
        )
        # Tracers, loggers and meters that are asked for from now on do nothing: some exporters go on after a shutdown.
        provider._disabled = True
        with guard:
            provider.shutdown()

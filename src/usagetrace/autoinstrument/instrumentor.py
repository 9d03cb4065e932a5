"""The instrumentor that ``opentelemetry-instrument`` finds by its entry point.

It binds tracked calls to the providers that OpenTelemetry set up, so that the exporters that the user named there get
them, and puts targets in force. Values are redacted before they are put on a span, whichever exporters those are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from usagetrace import semconv
from usagetrace.autoinstrument import active
from usagetrace.config import consent, default_service_name
from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.track import changes, runtime
from usagetrace.track.runtime import OFF, Runtime
from usagetrace.version import __version__


class UsageInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the package has no types
    """Tracks the functions that targets name, and sends tracked calls to the application's OpenTelemetry providers.

    ::

        UsageInstrumentor().instrument()                                  # the global providers, targets from settings
        UsageInstrumentor().instrument(tracer_provider=..., meter_provider=...)
        UsageInstrumentor().instrument(targets=[{"function": "tool.core:deploy", "event": "deploy"}])
        UsageInstrumentor().uninstrument()                                # each function is what it was

    ``instrument`` takes ``tracer_provider`` and ``meter_provider``, else the global ones; and ``targets``: the path of
    a TOML file, or tables as in ``[[targets]]``, whose values may be callables here. They come before those of the
    environment, the settings files and installed packages.

    With ``logger_provider``, too, a point in time (``usagetrace.record_event``) is a log event of it, named
    ``usage.`` and the event type, instead of a span without length. The global one is never taken by itself: an
    application that collects its logs somewhere has not thereby asked for usage events there.

    Where OpenTelemetry was not set up (the global provider is the API's placeholder), nothing is bound, and tracked
    calls go to the local file as they do without it. It never raises: one instrumentor that does keeps
    ``opentelemetry-instrument`` from loading all others.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: tracked functions may be in any package."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        with guard:
            if not consent().allowed:
                runtime.install(OFF)
                return
            _bind(kwargs.get("tracer_provider"), kwargs.get("meter_provider"), kwargs.get("logger_provider"))
            active.begin(kwargs.get("targets"))

    def _uninstrument(self, **kwargs: Any) -> None:
        active.end()
        with guard:
            runtime.install(None)


def _bind(tracer_provider: Any, meter_provider: Any, logger_provider: Any) -> None:
    """Send tracked calls to providers, where OpenTelemetry was set up."""
    tracer_provider = tracer_provider or trace.get_tracer_provider()
    if isinstance(tracer_provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return
    meter_provider = meter_provider or metrics.get_meter_provider()
    # Nobody loads all settings here; how much is kept of which events counts all the same.
    changes.begin_alone()
    runtime.install(
        Runtime(
            tracer_provider.get_tracer(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL),
            meter_provider.get_meter(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL),
            default_redactor(),
            record_sampled=_count_sampled,
            service_name=_service_of(tracer_provider),
            logger=None if logger_provider is None else _logger(logger_provider),
        )
    )


def _count_sampled(rows: list[tuple[Any, ...]], minimum: int, window_ms: int) -> bool:
    """Have calls counted whose spans were sampled away, where the spans go to the local file; say whether they were."""
    # Only where a span exporter of that file was made is this loaded.
    exporters = sys.modules.get("usagetrace.exporters.sqlite")
    return exporters is not None and bool(guard(exporters.submit_sampled)(rows, minimum, window_ms))


def _service_of(tracer_provider: Any) -> str:
    """Return what a provider's resource says is the tool; where it says nothing, the name of the program."""
    attributes = getattr(getattr(tracer_provider, "resource", None), "attributes", None) or {}
    name = str(attributes.get(semconv.SERVICE_NAME) or "")
    if not name or name.startswith("unknown_service"):
        name = default_service_name(os.environ)
    redacted = default_redactor().redact(semconv.SERVICE_NAME, name)
    return redacted if isinstance(redacted, str) else ""


def _logger(provider: Any) -> Any:
    """Return the logger of a provider; None where it makes none: what else was given is used all the same."""
    with guard:
        return provider.get_logger(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)
    return None

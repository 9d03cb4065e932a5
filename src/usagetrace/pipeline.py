"""From settings to a running pipeline: the one place, besides the command line, where the parts meet.

::

    track -> rows -> Recorder -> spool -> SQLite
          -> span -> RedactingSpanProcessor -> BatchSpanProcessor -> OTLP    where there is an endpoint,
                                                        or SQLite -> OTLP    where it is sent from the outbox
"""

from __future__ import annotations

import os
import sys
import threading
import time

from usagetrace import semconv
from usagetrace.guard import guard, warn_once
from usagetrace.redaction import default_redactor
from usagetrace.store.recorder import Recorder
from usagetrace.track import runtime
from usagetrace.track.runtime import OFF, Runtime
from usagetrace.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

    from usagetrace.config import Settings
    from usagetrace.store.onward import Onward

_lock = threading.RLock()
_active: Pipeline | None = None


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
        self._tell_calls()
        written = self.recorder is None or self.recorder.flush(timeout)
        return _within(self._flushers, end - time.monotonic()) and written

    def close(self, timeout: float, *, at_exit: bool = False) -> None:
        """Flush and close within a number of seconds.

        Args:
            timeout: Seconds to wait, at most.
            at_exit: The program ends: what is safe in the spool may be brought into the database by somebody else.
        """
        end = time.monotonic() + timeout
        # The local file first: it is what must not be lost.
        if self.recorder is not None:
            self._tell_calls()
            self.recorder.close(timeout, at_exit=at_exit)
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

    def _tell_calls(self) -> None:
        """Tell the local store how often targets were called, where there are any."""
        fired = sys.modules.get("usagetrace.autoinstrument.fired")
        if fired is not None and self.recorder is not None:
            guard(fired.tell)(self.recorder, default_redactor(), _redacted(self.settings.service_name))

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


def shutdown(timeout: float | None, *, at_exit: bool = False) -> None:
    """Close the pipeline that runs; tracked calls run untracked from here on.

    Args:
        timeout: Seconds to wait, at most; None for what the settings say.
        at_exit: The program ends.
    """
    global _active
    with _lock:
        pipeline, _active = _active, None
        runtime.install(OFF)
    if pipeline is not None:
        pipeline.close(pipeline.settings.exit_timeout if timeout is None else timeout, at_exit=at_exit)


def _compose(settings: Settings, tracer_provider: Any, meter_provider: MeterProvider | None) -> Runtime:
    global _active
    pipeline = Pipeline(settings)
    if settings.local:
        pipeline.recorder = Recorder(
            settings.store_text(),
            retention_days=settings.retention_days,
            archive_dir=settings.archive_dir,
            onward=_outbox(settings) if tracer_provider is None else None,
        )
    remote_metrics = settings.otlp_target("METRICS") is not None
    local_metrics = settings.metrics == "on" and settings.local
    if meter_provider is None and (remote_metrics or local_metrics):
        from usagetrace import providers

        meter_provider = providers.own_meter_provider(settings, pipeline, remote=remote_metrics, local=local_metrics)
    meter = None if meter_provider is None else _asked(meter_provider, "get_meter")
    recorder = pipeline.recorder
    made = Runtime(
        None if tracer_provider is None else _asked(tracer_provider, "get_tracer"),
        meter,
        default_redactor(),
        record=None if recorder is None else recorder.submit_rows,
        record_start=None if recorder is None else recorder.submit_start,
        export=_sender(settings, pipeline) if tracer_provider is None else None,
        service_name=_redacted(settings.service_name),
    )
    _active = pipeline
    return made


def _redacted(service_name: str) -> str:
    """Return the tool's name as it may be stored: whoever runs the tool may have chosen it."""
    redacted = default_redactor().redact(semconv.SERVICE_NAME, service_name)
    return redacted if isinstance(redacted, str) else ""


def _asked(provider: Any, method: str) -> Any:
    """Return a provider's tracer or meter; None where it fails: the local file is filled all the same."""
    try:
        return getattr(provider, method)(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)
    except Exception as error:  # noqa: BLE001 -- an application's provider may raise anything
        warn_once(
            f"provider:{method}",
            "%s of the provider that configure() was given, a %s, failed with %s, and nothing is sent there: "
            "pass a provider of the OpenTelemetry API",
            method,
            type(provider).__name__,
            type(error).__name__,
        )
        return None


def _outbox(settings: Settings) -> Callable[[], Onward] | None:
    """Return what makes who sends events on from the local file; None where that is not wanted, or goes nowhere."""
    if settings.otlp_delivery == "direct" or settings.otlp_target("TRACES") is None:
        return None
    # The working directory may be another one by then.
    path = os.path.abspath(settings.store_text())

    def make() -> Onward:
        # Imported here: only a program that runs for a while sends by itself.
        from usagetrace.delivery.courier import courier_of

        return courier_of(settings, path)

    return make


def _sender(settings: Settings, pipeline: Pipeline) -> Any:
    """Return what sends operations as spans, at once; None where nobody named an endpoint, or an outbox is wanted."""
    if settings.otlp_delivery == "outbox" or settings.otlp_target("TRACES") is None:
        return None
    # Imported here: a program that stays local must not pay 40 ms for an SDK that it does not use.
    from usagetrace import providers

    return providers.sender(settings, pipeline)


def _in_child() -> None:
    global _lock
    # Another thread of the parent may have held it: nobody would ever give it back here.
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

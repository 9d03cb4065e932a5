"""From settings to a running pipeline: the one place, besides the command line, where the parts meet.

::

    track -> rows -> Recorder -> spool -> SQLite
          -> span, or log event -> BatchSpanProcessor, or its like for logs -> redacted -> OTLP    where there is an
                                                                       endpoint, or SQLite -> OTLP, from the outbox
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
from usagetrace.track import rates, runtime
from usagetrace.track.runtime import OFF, Runtime
from usagetrace.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs import LogRecordProcessor
    from opentelemetry.sdk._logs.export import LogRecordExporter
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

    def add_remote(
        self, processor: SpanProcessor | LogRecordProcessor, exporter: SpanExporter | LogRecordExporter
    ) -> None:
        """Know a processor that delivers over the network."""
        self._flushers.append(processor.force_flush)
        self._closers.append(processor.shutdown)
        self._breakers.append(exporter.shutdown)

    def add_reader(self, flush_reader: Callable[[], object], close_reader: Callable[[], object]) -> None:
        """Know a reader of metrics."""
        self._flushers.append(flush_reader)
        self._closers.append(close_reader)


def _within(actions: list[Callable[[], object]], seconds: float) -> bool:
    """Run actions, each on a thread of its own; True when they all ended in time. The SDK's own timeouts do not hold.

    Side by side: an endpoint for spans that does not answer must not keep log events from another that does.
    """
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=guard(action), name="usagetrace-exit", daemon=True) for action in actions]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        # CPython 3.12.0 and 3.12.1 start no thread while the interpreter shuts down.
        guard.note(error)
        return False
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))
    return not any(thread.is_alive() for thread in threads)


def compose(
    settings: Settings,
    tracer_provider: Any = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: Any = None,
) -> Runtime:
    """Build the pipeline that settings describe, and return the runtime of its tracked calls.

    Args:
        settings: What to build; they say that telemetry is on.
        tracer_provider: The application's own, or None for one of ours.
        meter_provider: The application's own, or None for one of ours where metrics are wanted.
        logger_provider: The application's own, or None for none: points in time are sent as the settings say then, or
            are spans of the application's provider of tracers.
    """
    with _lock:
        return _compose(settings, tracer_provider, meter_provider, logger_provider)


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
        rates.apply(None)
        if "usagetrace.track.changes" in sys.modules:
            sys.modules["usagetrace.track.changes"].begin(None)
    if pipeline is not None:
        pipeline.close(pipeline.settings.exit_timeout if timeout is None else timeout, at_exit=at_exit)


def _compose(
    settings: Settings, tracer_provider: Any, meter_provider: MeterProvider | None, logger_provider: Any
) -> Runtime:
    global _active
    pipeline = Pipeline(settings)
    rates.apply(settings.sampling)
    if settings.local:
        pipeline.recorder = Recorder(
            settings.store_text(),
            retention_days=settings.retention_days,
            archive_dir=settings.archive_dir,
            onward=_onward(settings, _outbox(settings) if tracer_provider is None else None),
        )
    remote_metrics = settings.otlp_target("METRICS") is not None
    local_metrics = settings.metrics == "on" and settings.local
    if meter_provider is None and (remote_metrics or local_metrics):
        from usagetrace import providers

        meter_provider = providers.own_meter_provider(settings, pipeline, remote=remote_metrics, local=local_metrics)
    meter = None if meter_provider is None else _asked(meter_provider, "get_meter")
    recorder = pipeline.recorder
    export, export_moment = (None, None) if tracer_provider is not None else _senders(settings, pipeline)
    logger = None if logger_provider is None else _asked(logger_provider, "get_logger")
    if recorder is None and tracer_provider is None and export is None and not (logger is None and meter is None):
        # Operations are recorded nowhere; they are measured, or points in time are log events.
        export = _nowhere
    made = Runtime(
        None if tracer_provider is None else _asked(tracer_provider, "get_tracer"),
        meter,
        default_redactor(),
        record=None if recorder is None else recorder.submit_rows,
        record_sampled=None if recorder is None else recorder.submit_sampled,
        record_start=None if recorder is None else recorder.submit_start,
        export=export,
        export_moment=export_moment,
        logger=logger,
        service_name=_redacted(settings.service_name),
        strict=settings.event_strict,
    )
    if recorder is None and made.active:
        # Imported here, as in `_onward`: what only starts does not look at its settings again.
        from usagetrace.track import changes

        changes.begin(changes.Watch(settings.environ, _working_directory(), settings.sampling))
    _active = pipeline
    return made


def _redacted(service_name: str) -> str:
    """Return the tool's name as it may be stored: whoever runs the tool may have chosen it."""
    redacted = default_redactor().redact(semconv.SERVICE_NAME, service_name)
    return redacted if isinstance(redacted, str) else ""


def _asked(provider: Any, method: str) -> Any:
    """Return a provider's tracer, meter or logger; None where it fails: the local file is filled all the same."""
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


def _onward(settings: Settings, outbox: Callable[[], Onward] | None) -> Callable[[], Onward]:
    """Return what makes those who take notice of what the local file gets: who sends it on, and who looks whether the
    settings changed meanwhile; on the thread that drains, which only a process has that lives for a while.
    """
    start = _working_directory()

    def make() -> Onward:
        from usagetrace.store.onward import Several
        from usagetrace.track.changes import Watch

        watch = Watch(settings.environ, start, settings.sampling)
        return watch if outbox is None else Several((watch, outbox()))

    return make


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        # Deleted under the program.
        return os.sep


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


def _senders(settings: Settings, pipeline: Pipeline) -> tuple[Any, Any]:
    """Return what sends operations as spans, at once, and what sends points in time as log events.

    None for what goes nowhere: nobody named an endpoint, or an outbox is wanted. Where an endpoint is named for spans
    alone, points in time are spans; where somebody said that no logs are sent, they are sent as nothing.
    """
    spans, logs = (settings.otlp_target(signal) is not None for signal in ("TRACES", "LOGS"))
    if settings.otlp_delivery == "outbox" or not (spans or logs):
        return None, None
    # Imported here: a program that stays local must not pay 40 ms for an SDK that it does not use.
    from usagetrace import providers

    export = providers.sender(settings, pipeline) if spans else None
    if not logs:
        return export, _nowhere if settings.said_none("LOGS") else None
    if export is not None:
        return export, _later(settings, pipeline)
    export_moment = None if spans else providers.moment_sender(settings, pipeline)
    # With neither a store nor spans, operations are recorded nowhere; points in time are.
    return None if export_moment is None or settings.local else _nowhere, export_moment


def _later(settings: Settings, pipeline: Pipeline) -> Callable[..., None]:
    """Return what sends points in time, and is made when the first comes: another exporter takes 60 ms to make."""
    made: Callable[..., None] | None = None

    def send(*moment: Any) -> None:
        nonlocal made
        if made is None:
            with _lock:
                if made is None:
                    from usagetrace import providers

                    # Nobody would close what is made for a pipeline that is closed.
                    sender = providers.moment_sender(settings, pipeline) if _active is pipeline else None
                    made = _nowhere if sender is None else sender
        made(*moment)

    return send


def _nowhere(*_: object) -> None:
    """Send what has ended nowhere."""


def _in_child() -> None:
    global _lock
    # Another thread of the parent may have held it: nobody would ever give it back here.
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

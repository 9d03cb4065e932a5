"""The front door: what ``import usagetrace`` offers, without loading anything that a silent program does not need.

The pipeline, and with it the OpenTelemetry SDK and SQLite, is imported by the first call that needs it.
"""

from __future__ import annotations

import atexit
import sys

from usagetrace.errors import ConfigurationError
from usagetrace.guard import guard
from usagetrace.redaction import govern
from usagetrace.track import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from usagetrace.config import Settings
    from usagetrace.redaction import Policy
    from usagetrace.track.runtime import Runtime


def configure(
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    enabled: bool | None = None,
    local: bool | None = None,
    db_path: str | Path | None = None,
    retention_days: int | None = None,
    archive_dir: str | Path | None = None,
    exit_timeout: float | None = None,
    otlp_endpoint: str | None = None,
    otlp_protocol: str | None = None,
    otlp_delivery: str | None = None,
    metrics: str | None = None,
    environment: Iterable[str] | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    event_strict: bool | None = None,
    event_clock_skew: float | None = None,
    event_max_age_days: int | None = None,
    redaction: Policy | Mapping[str, Any] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> None:
    """Set up tracking. Without this call the first tracked call does it, with the defaults.

    The user's no wins over every argument. A fault in the user's environment or files switches tracking off with one
    warning; it does not raise. Calling this again flushes and replaces what was set up before.

    Args:
        service_name: Name of the tool; by default the name of the program that runs.
        service_version: Version of the tool.
        enabled: False records nothing.
        local: False writes no local SQLite file.
        db_path: The SQLite file.
        retention_days: Days that single events are kept; 0 keeps them for ever.
        archive_dir: Folder for Parquet files of events that are about to be removed for their age.
        exit_timeout: Seconds that the end of the program may wait, at most.
        otlp_endpoint: Base URL of an OTLP receiver; without one nothing leaves the machine.
        otlp_protocol: ``http/protobuf`` or ``grpc``.
        otlp_delivery: ``direct`` sends from the program, at once; ``outbox`` later, from the local file.
        metrics: ``auto``, ``on`` or ``off``.
        environment: What an endpoint is told of the machine and the program: names among ``version``, ``os``, ``arch``,
            ``locale`` and ``timezone``; all of them by default, ``none`` for nothing.
        sampling: How much is kept of which events, as the table ``[sampling]`` of a settings file says it.
        event_strict: True refuses events of a type that nobody registered, or whose payload does not fit its type.
        event_clock_skew: Seconds that an event's time may lie in the future, at most.
        event_max_age_days: Days that an event's time may lie in the past without a warning.
        redaction: What is redacted otherwise than by default: a :class:`~usagetrace.redaction.Policy`, or a mapping
            like the table ``[redaction]`` of a settings file. It makes the user's own policy no weaker.
        tracer_provider: The application's own provider. Each call is a span of it, and goes where its processors send
            it. Unless ``local`` is False, the call's events go to the local store as well.
        meter_provider: The application's own provider of meters.
        logger_provider: The application's own provider of loggers. Each point in time (:func:`event`,
            :func:`record_event`) is a log event of it, and goes where its processors send it.

    Raises:
        ConfigurationError: An argument has a value that can't be used; every such fault is listed.
    """
    # Whatever is an argument is a setting of that name, but for the providers.
    given = {**locals(), "tracer_provider": None, "meter_provider": None, "logger_provider": None}
    providers = {
        "tracer_provider": tracer_provider,
        "meter_provider": meter_provider,
        "logger_provider": logger_provider,
    }
    _configure({name: value for name, value in given.items() if value is not None}, providers)


def _configure(given: Mapping[str, object], providers: Mapping[str, Any]) -> None:
    """Check the arguments of :func:`configure` and put what they say in force."""
    global _settings
    from usagetrace.config import argument_faults, settings_or_off

    faults = argument_faults(given)
    if faults:
        raise ConfigurationError(faults)
    shutdown()
    _settings = settings_or_off(given)
    if _settings is None or runtime.is_held():
        return
    # For everybody who holds the shared redactor already, too.
    govern(_settings.redaction)
    if all(provider is None for provider in providers.values()):
        # The first tracked call builds the pipeline: `tool --help` must not pay for the SDK.
        runtime.install(None)
        return
    from usagetrace import pipeline

    with guard:
        runtime.install(pipeline.compose(_settings, **providers))


def record_event(
    event_type: str,
    artifact_name: str,
    artifact_type: str,
    collection_name: str | None = None,
    project_path: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    session_id: str | None = None,
    outcome: object = None,
) -> bool:
    """Record one event that has no duration.

    Args:
        event_type: ``deploy``, ``update``, ``sync``, ``remove``, ``search``, or any other type.
        artifact_name: Name of the thing.
        artifact_type: Kind of the thing.
        collection_name: Group that it belongs to.
        project_path: Project that the operation worked on.
        metadata: Further keys.
        session_id: Session that the event belongs to.
        outcome: ``success``, ``error``, ``conflict``, ``cancelled``, or a bool.

    Returns:
        True when the event was recorded, or, where sampling takes it away, counted; False when tracking is off, or it
        could not be recorded. Never raises.
    """
    try:
        fields = {
            "artifact_name": artifact_name,
            "artifact_type": artifact_type,
            "collection_name": collection_name,
            "project_path": project_path,
            "session_id": session_id,
            "metadata": metadata,
            "outcome": outcome,
        }
        # Imported here: who only tracks calls needs none of it.
        from usagetrace.track.recording import record_moment

        return record_moment(event_type, fields)
    except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
        guard.note(error)
        return False


def event(
    event_type: str,
    payload: object = None,
    /,
    *,
    artifact_name: str | None = None,
    artifact_type: str | None = None,
    collection_name: str | None = None,
    project_path: str | None = None,
    session_id: str | None = None,
    outcome: object = None,
    timestamp: datetime | float | None = None,
    metadata: Mapping[str, Any] | None = None,
    strict: bool | None = None,
) -> bool:
    """Record something that happened at one point in time, checked against its event type.

    A type that nobody registered is recorded as a custom one, and a payload that does not fit its type all the same;
    one warning names the type, and what does not fit. A time in the future is refused.

    Args:
        event_type: ``tokens_consumed``, or any other type.
        payload: A payload object of :mod:`usagetrace.payloads`, or a mapping; its keys become metadata.
        artifact_name: Name of the thing that it is about.
        artifact_type: Kind of the thing.
        collection_name: Group that it belongs to.
        project_path: Project that it happened in.
        session_id: Session that it belongs to.
        outcome: ``success``, ``error``, ``conflict``, ``cancelled``, a bool, or the exception that it failed with; by
            default ``error`` for events of an error type of high or critical priority, else ``success``.
        timestamp: When it happened: an aware ``datetime`` (a naive one is local time), or seconds since 1970 UTC; now
            by default.
        metadata: Further keys; they go before those of the payload.
        strict: True refuses an event whose type nobody registered, or whose payload does not fit it; by default as the
            setting ``events.strict`` says.

    Returns:
        True when the event was recorded, or, where sampling takes it away, counted; False when tracking is off, the
        event was refused, or it could not be recorded. Never raises.
    """
    try:
        if not runtime.current().active:
            return False
        # Imported here: who only tracks calls needs none of the checks.
        from usagetrace import point_events

        fields = {
            "artifact_name": artifact_name,
            "artifact_type": artifact_type,
            "collection_name": collection_name,
            "project_path": project_path,
            "session_id": session_id,
            "metadata": metadata,
            "outcome": outcome,
        }
        return point_events.record(event_type, payload, fields, timestamp, strict)
    except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
        guard.note(error)
        return False


def flush(timeout: float = 5.0) -> bool:
    """Write and send what is still on its way.

    Args:
        timeout: Seconds to wait, at most.

    Returns:
        True when everything was handed over in time; also when nothing was ever recorded.
    """
    started = runtime.installed()
    if started is None or not started.active:
        return True
    from usagetrace import pipeline

    return bool(guard(pipeline.flush)(timeout))


def shutdown(timeout: float | None = None) -> None:
    """Flush and close. Calls that are tracked afterwards run untracked, until ``configure()`` is called again.

    Args:
        timeout: Seconds to wait, at most; the setting ``exit-timeout`` by default.
    """
    started = runtime.installed()
    runtime.install(runtime.OFF)
    if started is None or not started.active:
        return
    from usagetrace import pipeline

    guard(pipeline.shutdown)(timeout)


# What configure() said, for the first tracked call; None where it was not called, or said off.
_settings: Settings | None = None


def _bootstrap() -> Runtime:
    # The user's no is asked for first, with as little as that takes: who said it must not pay for the rest.
    from usagetrace.consent import consent

    if not consent().allowed:
        return runtime.OFF
    from usagetrace.config import settings_or_off

    settings = _settings or settings_or_off()
    if settings is None:
        return runtime.OFF
    govern(settings.redaction)
    from usagetrace import pipeline

    return pipeline.compose(settings)


def _at_exit() -> None:
    # Off in any case: when the interpreter is taken to pieces nothing can be imported any more.
    runtime.install(runtime.OFF)
    pipeline = sys.modules.get("usagetrace.pipeline")
    if pipeline is not None:
        guard(pipeline.shutdown)(None, at_exit=True)


runtime.set_bootstrap(_bootstrap)
# As early as can be: what is registered first is called last, after a program's own handlers, which may be tracked.
atexit.register(_at_exit)

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
from usagetrace.track.tracker import Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

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
    redaction: Policy | Mapping[str, Any] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
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
        redaction: What is redacted otherwise than by default: a :class:`~usagetrace.redaction.Policy`, or a mapping
            like the table ``[redaction]`` of a settings file. It makes the user's own policy no weaker.
        tracer_provider: The application's own provider. Each call is a span of it, and goes where its processors send
            it. Unless ``local`` is False, the call's events go to the local store as well.
        meter_provider: The application's own provider of meters.

    Raises:
        ConfigurationError: An argument has a value that can't be used; every such fault is listed.
    """
    # Whatever is an argument is a setting of that name, but for the providers.
    named = {**locals(), "tracer_provider": None, "meter_provider": None}
    _configure({name: value for name, value in named.items() if value is not None}, tracer_provider, meter_provider)


def _configure(
    given: Mapping[str, object], tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
) -> None:
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
    if tracer_provider is None and meter_provider is None:
        # The first tracked call builds the pipeline: `tool --help` must not pay for the SDK.
        runtime.install(None)
        return
    from usagetrace import pipeline

    with guard:
        runtime.install(pipeline.compose(_settings, tracer_provider, meter_provider))


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
        True when the event was recorded; False when tracking is off, the span was sampled away, or the event could
        not be recorded. Never raises.
    """
    try:
        fields = {
            "artifact_name": artifact_name,
            "artifact_type": artifact_type,
            "collection_name": collection_name,
            "project_path": project_path,
            "session_id": session_id,
        }
        operation = Tracker(event_type, {"nested": True}).start(instant=True)
        if operation is None:
            return False
        operation.set(**{name: value for name, value in fields.items() if value is not None})
        if metadata:
            operation.set(metadata=metadata)
        if outcome is not None:
            operation.set(outcome=outcome)
        operation.succeed(None)
        return operation.accepted
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

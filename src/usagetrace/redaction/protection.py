"""Providers that somebody else set up: every way out of them is put behind a redactor, or the caller is told why not.

An SDK provider hands one object to all its processors, so each of them has to be wrapped where it stands. That is
done inside the SDK's own containers, whose shape is checked first: what is not as expected is refused, never half done.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from usagetrace.errors import RedactionError
from usagetrace.guard import guard, warn_once
from usagetrace.redaction import default_redactor
from usagetrace.redaction.processor import RedactingSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

    from usagetrace.redaction.engine import Redactor
    from usagetrace.redaction.metrics import MetricRedactor

# Where the SDK keeps the processors of a provider: its container, and the tuple in that.
_CONTAINERS = (
    ("_active_span_processor", "_span_processors"),
    ("_multi_log_record_processor", "_log_record_processors"),
)
# Names under which processors and readers keep their exporter.
_EXPORTERS = ("span_exporter", "_exporter", "exporter")


def protect(provider: Any, redactor: Redactor | None = None) -> int:
    """Put every way out of an SDK provider behind a redactor, in place.

    Call it when the provider has all its processors or readers; calling it again wraps those that came later, and
    leaves the others as they are.

    Args:
        provider: A tracer, logger or meter provider of the OpenTelemetry SDK.
        redactor: The engine; None takes the process's shared one.

    Returns:
        How many processors or readers were wrapped by this call.

    Raises:
        RedactionError: The provider is none of the SDK's, or not of the shape that is known. Nothing was changed.
    """
    engine = redactor if redactor is not None else default_redactor()
    for container_name, members_name in _CONTAINERS:
        container = getattr(provider, container_name, None)
        if container is not None:
            wrap: Callable[[Any], Any] = partial(_wrapped, redactor=engine)
            return _replace(provider, container, members_name, wrap)
    readers = getattr(provider, "_metric_readers", None)
    if readers is not None:
        return _protect_readers(provider, list(readers), engine)
    raise RedactionError(
        f"{_type(provider)} is no tracer, logger or meter provider of the OpenTelemetry SDK that is known here: set up "
        "the SDK first and protect that provider, or wrap each processor when it is added, for spans "
        "provider.add_span_processor(RedactingSpanProcessor(BatchSpanProcessor(exporter))), for log records "
        "provider.add_log_record_processor(RedactingLogRecordProcessor(BatchLogRecordProcessor(exporter))), and hand "
        "RedactingMeterProvider(provider) to the code that records metrics"
    )


def warn_of_neighbours(span: Any, known: object) -> object:
    """Warn once of processors that get the spans of this one's provider unredacted.

    Args:
        span: A span that has begun.
        known: What this function returned last time, or None.

    Returns:
        The processors that were looked at; the very same object means that nothing has to be looked at again.
    """
    members = getattr(getattr(span, "_span_processor", None), "_span_processors", None)
    if members is known or not isinstance(members, tuple):
        return known
    for member in members:
        if not _sees_no_raw_span(member):
            name = type(member).__name__
            warn_once(
                f"neighbour:{_type(member)}",
                "the %s beside RedactingSpanProcessor gets every span of this provider unredacted, because a redactor "
                "protects only what it wraps. Register it as "
                "provider.add_span_processor(RedactingSpanProcessor(%s(...))), or, when all processors are added, "
                "call usagetrace.redaction.protect(provider)",
                name,
                name,
            )
    return members


def _sees_no_raw_span(processor: Any) -> bool:
    """Return whether a span processor gets redacted copies, redacts by itself, or does nothing with ended spans."""
    if isinstance(processor, RedactingSpanProcessor) or _exports_redacted(processor):
        return True
    ended = getattr(type(processor), "on_end", None)
    return ended is SpanProcessor.on_end


def _exports_redacted(holder: Any) -> bool:
    """Return whether the exporter of a processor or reader redacts at its own door."""
    for name in _EXPORTERS:
        exporter = getattr(holder, name, None)
        if exporter is not None:
            return getattr(exporter, "redacts_itself", False) is True
    inner = getattr(holder, "_batch_processor", None)
    return inner is not None and inner is not holder and _exports_redacted(inner)


def _wrapped(processor: Any, redactor: Redactor) -> Any:
    """Return a span or log record processor behind a redactor; itself where nothing private passes it."""
    from opentelemetry.sdk._logs import LogRecordProcessor

    from usagetrace.redaction.log_processor import RedactingLogRecordProcessor

    if isinstance(processor, (RedactingSpanProcessor, RedactingLogRecordProcessor)) or _exports_redacted(processor):
        return processor
    if isinstance(processor, LogRecordProcessor):
        return RedactingLogRecordProcessor(processor, redactor)
    if isinstance(processor, SpanProcessor):
        return RedactingSpanProcessor(processor, redactor)
    raise RedactionError(f"{_type(processor)} is no processor of the OpenTelemetry SDK, and can't be wrapped")


def _replace(provider: Any, container: Any, members_name: str, wrap: Callable[[Any], Any]) -> int:
    """Wrap the members of a provider's container in one step; tracers and loggers that exist hold the container."""
    lock = getattr(container, "_lock", None)
    members = getattr(container, members_name, None)
    if not isinstance(members, tuple) or lock is None:
        raise RedactionError(
            f"the processors of this {_type(provider)} are kept in a {_type(container)}, which this version does not "
            "know: wrap each processor when it is added to the provider"
        )
    with lock:
        before = getattr(container, members_name)
        after = tuple(wrap(member) for member in before)
        setattr(container, members_name, after)
    return sum(new is not old for new, old in zip(after, before, strict=True))


def _protect_readers(provider: Any, readers: list[Any], redactor: Redactor) -> int:
    from opentelemetry.sdk.metrics.export import MetricReader

    from usagetrace.redaction.metrics import MetricRedactor

    for reader in readers:
        if not isinstance(reader, MetricReader) or not callable(getattr(reader, "_receive_metrics", None)):
            raise RedactionError(
                f"the readers of this {_type(provider)} are not of a kind that is known here ({_type(reader)}): hand "
                "RedactingMeterProvider(provider) to the code that records"
            )
    count = 0
    for reader in readers:
        if not _exports_redacted(reader) and not isinstance(reader._receive_metrics, _Receiver):
            # An instance's own attribute: the SDK asks the reader by this name when it has collected.
            reader._receive_metrics = _Receiver(reader, MetricRedactor(redactor))
            count += 1
    return count


class _Receiver:
    """Stands in the place of a reader's own method, and hands it redacted collections; what fails goes no further."""

    def __init__(self, reader: MetricReader, metrics: MetricRedactor) -> None:
        self._receive = reader._receive_metrics
        self._metrics = metrics

    def __call__(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> Any:
        redacted = None
        with guard:
            redacted = self._metrics.data(metrics_data)
        return None if redacted is None else self._receive(redacted, *args, **kwargs)


def _type(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"

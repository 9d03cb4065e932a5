"""Points in time on their way to an OTLP endpoint: a queue of light records, log records where they are sent.

As for operations (:mod:`usagetrace.exporters.finished`), a caller's thread pays for one small object; the standard
batch processor queues it, and on its own thread the log record is made, with the SDK's limits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from usagetrace import semconv
from usagetrace.events import Priority
from usagetrace.exporters.limited import count_limit, limited
from usagetrace.exporters.urgent import Urgent
from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.reading import arrays
from usagetrace.version import __version__

if TYPE_CHECKING:
    from usagetrace.track.moments import SentMoment
    from usagetrace.track.reading import Items

_CRITICAL = Priority.CRITICAL.value


class Moment:
    """What is left of a point in time: all that its log record needs. The batch processor takes it for one."""

    __slots__ = (
        "around", "attributes", "context", "error_type", "failed", "flags", "items", "name", "observed_ns", "time_ns",
        "trace_id", "uid",
    )  # fmt: skip

    # Of what the batch processor copies into each record, the exporter knows better. Without a resource the processor
    # would make one, which takes 250 us.
    resource: Final = Resource.get_empty()
    instrumentation_scope: Final = None
    limits: Final = None

    def __init__(
        self, moment: SentMoment, attributes: dict[str, Any], items: Items | None, outcome: str, error_type: str | None
    ) -> None:
        self.name = moment.plan.name
        self.attributes = attributes
        self.items = items
        self.failed = outcome == conventions.ERROR
        self.error_type = error_type
        self.time_ns = moment.started_ns
        self.observed_ns = time.time_ns()
        self.trace_id = moment.trace_id
        self.around = moment.around
        self.flags = moment.flags
        self.uid = moment.span_id
        # The batch processor empties it.
        self.context: object = None

    @property
    def log_record(self) -> Moment:
        """Itself: what the batch processor queues is the record of a record."""
        return self

    def __copy__(self) -> Moment:
        # It is nobody else's, and nobody changes it.
        return self


class MomentExporter(LogRecordExporter):
    """Makes log records of points in time, and hands them on.

    Args:
        next_exporter: Gets the log records.
        resource: What they are of.
    """

    def __init__(self, next_exporter: LogRecordExporter, resource: Resource) -> None:
        self._next = next_exporter
        self._resource = resource
        self._scope = InstrumentationScope(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
        self._limits = LogRecordLimits()
        self._most = count_limit(self._limits.max_log_record_attributes, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT")

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        """Hand on a batch of points in time, as log records."""
        return self._next.export([self.record_of(each.log_record) for each in batch])

    def record_of(self, moment: Moment) -> ReadableLogRecord:
        """Return the log record of a point in time."""
        attributes = dict(moment.attributes)
        if moment.items:
            attributes.update(arrays(moment.items, attributes))
        # The id of its row: delivered twice, also beside the local row, it is one event.
        attributes[semconv.LOG_RECORD_UID] = moment.uid
        if moment.error_type is not None:
            attributes[semconv.ERROR_TYPE] = moment.error_type
        severity = SeverityNumber.ERROR if moment.failed else SeverityNumber.INFO
        record = LogRecord(
            timestamp=moment.time_ns,
            observed_timestamp=moment.observed_ns,
            context=_context(moment),
            severity_number=severity,
            severity_text=severity.name,
            attributes=limited(attributes, self._most, self._limits.max_log_record_attribute_length),
            event_name=semconv.PREFIX + moment.name,
        )
        # A trace of the local file, around which there is no span: none can be told by a context.
        record.trace_id = 0 if moment.trace_id is None else int(moment.trace_id, 16)
        return ReadableLogRecord(record, self._resource, self._scope, self._limits)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait for what is under way."""
        return self._next.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop."""
        self._next.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no types there


def _context(moment: Moment) -> Context:
    """Return a context with the span that a point in time happened in, or with none."""
    span = SpanContext(int(moment.trace_id or "0", 16), moment.around, False, TraceFlags(moment.flags))
    # With a span that is none, too: an empty context is taken for the one that the sending thread happens to be in.
    return set_span_in_context(NonRecordingSpan(span), Context())


class MomentSender:
    """Takes points in time, and sends them by a batch processor of the SDK; critical ones at once.

    Args:
        processor: The batch processor; its exporter is a :class:`MomentExporter`.
    """

    def __init__(self, processor: BatchLogRecordProcessor) -> None:
        self._processor = processor
        self._urgent = Urgent(processor.force_flush)

    def __call__(
        self, moment: SentMoment, attributes: dict[str, Any], items: Items | None, outcome: str, error_type: str | None
    ) -> None:
        """Queue a point in time. Never raises."""
        try:
            self._processor.on_emit(Moment(moment, attributes, items, outcome, error_type))  # type: ignore[arg-type]  # it only asks for what Moment has
            if attributes.get(semconv.EVENT_PRIORITY) == _CRITICAL:
                self._urgent()
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)

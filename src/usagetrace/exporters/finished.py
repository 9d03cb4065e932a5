"""Operations that have ended, on their way to an OTLP endpoint: a queue of light records, spans where they are sent.

A caller's thread pays for one small object. The standard batch processor queues them and calls the exporter on its own
thread; there the span is made, with the SDK's limits and its checks of attributes, and goes to the next exporter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status, StatusCode

from usagetrace import semconv
from usagetrace.events import Priority
from usagetrace.exporters.limited import count_limit, limited
from usagetrace.exporters.urgent import Urgent
from usagetrace.guard import guard
from usagetrace.track.reading import arrays
from usagetrace.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanContext

    from usagetrace.track.exported import ExportedOperation
    from usagetrace.track.reading import Items

_UNSET = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)
_CRITICAL = Priority.CRITICAL.value


class Finished:
    """What is left of an operation that has ended: all that its span needs."""

    __slots__ = ("around", "attributes", "context", "end_ns", "error_type", "items", "name", "start_ns")

    def __init__(
        self,
        operation: ExportedOperation,
        attributes: dict[str, Any],
        items: Items | None,
        error_type: str | None,
        elapsed_ns: int,
    ) -> None:
        self.name = operation.plan.name
        # By this name the batch processor asks whether it is sampled.
        self.context: SpanContext = operation.span_context
        self.around = operation.around
        self.attributes = attributes
        self.items = items
        self.error_type = error_type
        self.start_ns = operation.started_ns
        self.end_ns = operation.started_ns + elapsed_ns


class FinishedExporter(SpanExporter):
    """Makes spans of finished operations, and hands them on.

    Args:
        next_exporter: Gets the spans.
        resource: What they are of.
    """

    def __init__(self, next_exporter: SpanExporter, resource: Resource) -> None:
        self._next = next_exporter
        self._resource = resource
        self._scope = InstrumentationScope(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
        self._limits = SpanLimits()
        self._most = count_limit(self._limits.max_span_attributes, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Hand on a batch of finished operations, as spans."""
        made = [self.span_of(each) for each in spans]
        return self._next.export(made)

    def span_of(self, finished: Finished) -> ReadableSpan:
        """Return the span of an operation."""
        attributes = dict(finished.attributes)
        if finished.items:
            attributes.update(arrays(finished.items, attributes))
        if finished.error_type is not None:
            attributes[semconv.ERROR_TYPE] = finished.error_type
        return ReadableSpan(
            name=finished.name,
            context=finished.context,
            parent=finished.around,
            resource=self._resource,
            attributes=limited(attributes, self._most, self._limits.max_span_attribute_length),
            status=_UNSET if finished.error_type is None else _ERROR,
            start_time=finished.start_ns,
            end_time=finished.end_ns,
            instrumentation_scope=self._scope,
        )

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait for what is under way."""
        return self._next.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop."""
        self._next.shutdown()


class Sender:
    """Takes operations that ended, and sends them by a batch processor of the SDK; critical ones at once.

    Args:
        processor: The batch processor; its exporter is a :class:`FinishedExporter`.
    """

    def __init__(self, processor: BatchSpanProcessor) -> None:
        self._processor = processor
        self._urgent = Urgent(processor.force_flush)

    def __call__(
        self,
        operation: ExportedOperation,
        attributes: dict[str, Any],
        items: Items | None,
        error_type: str | None,
        elapsed_ns: int,
    ) -> None:
        """Queue an operation. Never raises."""
        try:
            self._processor.on_end(Finished(operation, attributes, items, error_type, elapsed_ns))  # type: ignore[arg-type]  # it only asks whether it is sampled
            if attributes.get(semconv.EVENT_PRIORITY) == _CRITICAL:
                self._urgent()
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)

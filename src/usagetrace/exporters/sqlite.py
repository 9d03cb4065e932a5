"""Spans to the local SQLite file.

:class:`SQLiteSpanExporter` is a standard exporter: it works with the SDK's own processors, and by its entry point
under ``OTEL_TRACES_EXPORTER=usagetrace_sqlite``. It redacts by itself and heeds the user's no.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from usagetrace import semconv
from usagetrace.events import Event
from usagetrace.exporters.convert import events_from_span
from usagetrace.exporters.local import LocalExporter
from usagetrace.redaction.spans import redact_span

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from usagetrace.redaction import Redactor


class SQLiteSpanExporter(LocalExporter[ReadableSpan], SpanExporter):
    """Writes the spans of tracked calls to the local SQLite file.

    Nothing is opened or created before the first span. A store that can't be written now is tried again; what waits
    is kept in memory, bounded.

    Args:
        db_path: The file; by default the service's own, as the settings say.
        redactor: Sees every span first; the default one knows this machine's home, user and host.
        retention_days: Days that single events are kept; by default as the settings say.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] | None = None,
        *,
        redactor: Redactor | None = None,
        retention_days: int | None = None,
    ) -> None:
        super().__init__(db_path, redactor=redactor, retention_days=retention_days)
        _living.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch.

        Args:
            spans: Finished spans, redacted or not.

        Returns:
            SUCCESS when the events are committed, or wait in memory for a store that is busy; FAILURE when they are
            lost, or after :meth:`shutdown`.
        """
        return SpanExportResult.SUCCESS if self._write(spans) else SpanExportResult.FAILURE

    def _is_ours(self, carrier: ReadableSpan) -> bool:
        return bool(carrier.attributes) and semconv.EVENT_TYPE in (carrier.attributes or ())

    def _redact(self, carrier: ReadableSpan, redactor: Redactor) -> tuple[ReadableSpan, Resource]:
        redacted = redact_span(carrier, redactor)
        return redacted, redacted.resource

    def _events(self, carrier: ReadableSpan, service: str) -> list[Event]:
        return events_from_span(carrier, service)


# Those that were made and are there still.
_living: weakref.WeakSet[SQLiteSpanExporter] = weakref.WeakSet()
_SERVICE = Event._fields.index("service_name")


def submit_sampled(rows: list[tuple[Any, ...]], minimum: int, window_ms: int) -> bool:
    """Have a call counted whose span was sampled away, in each file that its span would have come to.

    Args:
        rows: Plain tuples of the fields of its events, redacted.
        minimum: How many events of the type are kept in a window all the same.
        window_ms: Length of a window, in milliseconds.

    Returns:
        Whether any of the files took it.
    """
    # One a file: two exporters may write the same.
    recorders = {recorder.path: recorder for each in list(_living) for recorder in each.recorders_of(rows[0][_SERVICE])}
    taken = [recorder.submit_sampled(rows, minimum, window_ms) for recorder in recorders.values()]
    return any(taken)

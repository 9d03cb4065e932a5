"""A point in time, as a log event of a provider that an application brought.

A span without length says that something took no time; a log event says that it happened. This module knows the API of
OpenTelemetry, and no SDK. Loaded only where such a provider was given.
"""

from __future__ import annotations

from opentelemetry._logs import LogRecord, SeverityNumber

from usagetrace import semconv
from usagetrace.track import changes, conventions
from usagetrace.track.local import LocalOperation
from usagetrace.track.reading import arrays
from usagetrace.track.spans import surroundings
from usagetrace.track.windows import is_sent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.context import Context

    from usagetrace.track.reading import Items


class LoggedOperation(LocalOperation):
    """A point in time that is a log event of somebody's provider, in the trace of the span that is current."""

    context: Context | None = None

    def start(self) -> None:
        """Take ids for the local rows, and the context that it happens in."""
        super().start()
        self.context = surroundings()

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Write the events, and emit the log event."""
        if self.runtime.record is not None:
            # First: what was counted stays counted, whatever somebody's log processor does.
            super().record(merged, items, outcome, error_type, elapsed_ns)
        else:
            # Nobody drains here who would look.
            changes.look_soon()
        if not is_sent(self, merged, items, failed=outcome == conventions.ERROR):
            # Where nothing is local it is counted by the metrics, where there are any.
            self.accepted = self.accepted or (self.runtime.record is None and self.runtime.measures)
            return
        attributes = {**merged, **arrays(items, merged)} if items else merged.copy()
        # Delivered twice, also beside the local row, it is one event.
        attributes[semconv.LOG_RECORD_UID] = self.span_id
        if error_type is not None:
            attributes[semconv.ERROR_TYPE] = error_type
        severity = SeverityNumber.ERROR if outcome == conventions.ERROR else SeverityNumber.INFO
        event_name, logger = semconv.PREFIX + self.plan.name, self.runtime.logger
        if not logger.enabled(context=self.context, severity_number=severity, event_name=event_name):
            return
        logger.emit(
            LogRecord(
                timestamp=self.started_ns,
                context=self.context,
                severity_number=severity,
                severity_text=severity.name,
                attributes=attributes,
                event_name=event_name,
            )
        )
        self.accepted = self.accepted or self.runtime.record is None

    def release(self) -> None:
        """Let go of the context as well."""
        super().release()
        self.context = None

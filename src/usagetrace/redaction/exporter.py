"""RedactingSpanExporter: redacts at an exporter's own door.

Exporters that environment variables or configuration files install meet no processor of ours. This one wraps
any of them. It fails closed, and knows no rules.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache
from usagetrace.redaction.spans import redact_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from usagetrace.redaction.engine import Redactor


class RedactingSpanExporter(SpanExporter):
    """Redact spans before another exporter sees them.

    Args:
        next_exporter: Gets the redacted spans.
        redactor: The engine; None takes the process's shared one.

    A span that can't be redacted is dropped and counted in :attr:`dropped`; the rest of its batch goes on.
    """

    # Says to `protect` that nothing private passes here.
    redacts_itself = True

    def __init__(self, next_exporter: SpanExporter, redactor: Redactor | None = None) -> None:
        self._next = next_exporter
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many spans could not be redacted and went nowhere."""
        return self._dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export redacted copies of a batch of finished spans.

        Returns:
            What the wrapped exporter says; SUCCESS where nothing of the batch was left to export.
        """
        redacted: list[ReadableSpan] = []
        for span in spans:
            copy = self._redact(span)
            if copy is not None:
                redacted.append(copy)
        if not redacted:
            return SpanExportResult.SUCCESS
        with guard:
            return self._next.export(redacted)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Shut the wrapped exporter down."""
        with guard:
            self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped exporter; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False

    def _redact(self, span: ReadableSpan) -> ReadableSpan | None:
        try:
            return redact_span(span, self._redactor, self._cache)
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted goes no further
            with self._lock:
                self._dropped += 1
            guard.note(error)
            return None

"""RedactingSpanExporter: redacts at an exporter's own door.

Exporters that environment variables or configuration files install meet no processor of ours. This one wraps
any of them. It fails closed, and knows no rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from usagetrace.redaction.door import ExporterDoor
from usagetrace.redaction.spans import redact_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usagetrace.redaction.engine import Redactor


class RedactingSpanExporter(ExporterDoor[ReadableSpan, SpanExporter], SpanExporter):
    """Redact spans before another exporter sees them.

    Args:
        next_exporter: Gets the redacted spans.
        redactor: The engine; None takes the process's shared one.

    A span that can't be redacted is dropped and counted in :attr:`dropped`; the rest of its batch goes on.
    """

    def __init__(self, next_exporter: SpanExporter, redactor: Redactor | None = None) -> None:
        super().__init__(next_exporter, redact_span, redactor)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export redacted copies of a batch of finished spans.

        Returns:
            What the wrapped exporter says; SUCCESS where nothing of the batch was left to export.
        """
        return self._hand_on(spans, SpanExportResult.SUCCESS, SpanExportResult.FAILURE)

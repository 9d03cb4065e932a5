"""RedactingLogRecordExporter: redacts log records at an exporter's own door.

For exporters that environment variables or configuration files install, and that meet no processor of ours. It fails
closed, and knows no rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from usagetrace.redaction.door import ExporterDoor
from usagetrace.redaction.logs import redact_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usagetrace.redaction.engine import Redactor


class RedactingLogRecordExporter(ExporterDoor[ReadableLogRecord, LogRecordExporter], LogRecordExporter):
    """Redact log records before another exporter sees them.

    Args:
        next_exporter: Gets the redacted records.
        redactor: The engine; None takes the process's shared one.

    A record that can't be redacted is dropped and counted in :attr:`dropped`; the rest of its batch goes on.
    """

    def __init__(self, next_exporter: LogRecordExporter, redactor: Redactor | None = None) -> None:
        super().__init__(next_exporter, redact_log, redactor)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export redacted copies of a batch of records.

        Returns:
            What the wrapped exporter says; SUCCESS where nothing of the batch was left to export.
        """
        return self._hand_on(batch, LogRecordExportResult.SUCCESS, LogRecordExportResult.FAILURE)

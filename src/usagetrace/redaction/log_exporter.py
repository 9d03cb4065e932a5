"""RedactingLogRecordExporter: redacts log records at an exporter's own door.

For exporters that environment variables or configuration files install, and that meet no processor of ours. It fails
closed, and knows no rules.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache
from usagetrace.redaction.logs import redact_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from usagetrace.redaction.engine import Redactor


class RedactingLogRecordExporter(LogRecordExporter):
    """Redact log records before another exporter sees them.

    Args:
        next_exporter: Gets the redacted records.
        redactor: The engine; None takes the process's shared one.

    A record that can't be redacted is dropped and counted in :attr:`dropped`; the rest of its batch goes on.
    """

    # Says to `protect` that nothing private passes here.
    redacts_itself = True

    def __init__(self, next_exporter: LogRecordExporter, redactor: Redactor | None = None) -> None:
        self._next = next_exporter
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many records could not be redacted and went nowhere."""
        return self._dropped

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export redacted copies of a batch of records.

        Returns:
            What the wrapped exporter says; SUCCESS where nothing of the batch was left to export.
        """
        copies = [self._redact(record) for record in batch]
        redacted = [copy for copy in copies if copy is not None]
        if not redacted:
            return LogRecordExportResult.SUCCESS
        with guard:
            return self._next.export(redacted)
        return LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Shut the wrapped exporter down."""
        with guard:
            self._next.shutdown()  # type: ignore[no-untyped-call]  # the SDK's base class has no types there

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped exporter; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False

    def _redact(self, record: ReadableLogRecord) -> ReadableLogRecord | None:
        try:
            return redact_log(record, self._redactor, self._cache)
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted goes no further
            with self._lock:
                self._dropped += 1
            guard.note(error)
            return None

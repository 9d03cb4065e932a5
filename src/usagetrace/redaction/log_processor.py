"""RedactingLogRecordProcessor: hands a redacted copy of each log record to the processor that it wraps.

The SDK gives one record to every processor of a provider, so it stands before what it protects, not beside it. It
fails closed. It knows no rules and no destination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord

from usagetrace.guard import guard
from usagetrace.redaction.door import Door
from usagetrace.redaction.logs import redact_log

if TYPE_CHECKING:
    from usagetrace.redaction.engine import Redactor


class RedactingLogRecordProcessor(Door[ReadWriteLogRecord, LogRecordProcessor], LogRecordProcessor):
    """Redact log records before another processor sees them.

    Args:
        next_processor: Gets the redacted records; for example a ``BatchLogRecordProcessor``.
        redactor: The engine; None takes the process's shared one.

    A record that can't be redacted is dropped and counted in :attr:`dropped`. Nothing is raised, and the record
    that the caller and other processors hold is not changed.
    """

    def __init__(self, next_processor: LogRecordProcessor, redactor: Redactor | None = None) -> None:
        super().__init__(next_processor, redact_log, redactor)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand a redacted copy of a record on."""
        redacted = self._redacted(log_record)
        if redacted is None:
            return
        with guard:
            self._next.on_emit(redacted)

    def enabled(self, **kwargs: Any) -> bool:
        """Return what the wrapped processor says of records to come."""
        with guard:
            return self._next.enabled(**kwargs)
        return True

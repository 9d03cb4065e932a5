"""RedactingLogRecordProcessor: hands a redacted copy of each log record to the processor that it wraps.

The SDK gives one record to every processor of a provider, so it stands before what it protects, not beside it. It
fails closed. It knows no rules and no destination.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LogRecordProcessor

from usagetrace.guard import guard
from usagetrace.redaction import default_redactor
from usagetrace.redaction.carriers import CarrierCache
from usagetrace.redaction.logs import redact_log

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadWriteLogRecord

    from usagetrace.redaction.engine import Redactor


class RedactingLogRecordProcessor(LogRecordProcessor):
    """Redact log records before another processor sees them.

    Args:
        next_processor: Gets the redacted records; for example a ``BatchLogRecordProcessor``.
        redactor: The engine; None takes the process's shared one.

    A record that can't be redacted is dropped and counted in :attr:`dropped`. Nothing is raised, and the record
    that the caller and other processors hold is not changed.
    """

    def __init__(self, next_processor: LogRecordProcessor, redactor: Redactor | None = None) -> None:
        self._next = next_processor
        self._redactor = redactor if redactor is not None else default_redactor()
        self._cache = CarrierCache(self._redactor)
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many records could not be redacted and went nowhere."""
        return self._dropped

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand a redacted copy of a record on."""
        try:
            redacted = redact_log(log_record, self._redactor, self._cache)
        except Exception as error:  # noqa: BLE001 -- fail closed: what can't be redacted goes no further
            with self._lock:
                self._dropped += 1
            guard.note(error)
            return
        with guard:
            self._next.on_emit(redacted)

    def enabled(self, **kwargs: Any) -> bool:
        """Return what the wrapped processor says of records to come."""
        with guard:
            return self._next.enabled(**kwargs)
        return True

    def shutdown(self) -> None:
        """Shut the wrapped processor down."""
        with guard:
            self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped processor; False where that failed."""
        with guard:
            return self._next.force_flush(timeout_millis)
        return False

"""Log events to the local SQLite file.

:class:`SQLiteLogRecordExporter` is a standard exporter: it works with the SDK's own processors, and by its entry point
under ``OTEL_LOGS_EXPORTER=usagetrace_sqlite``. It redacts by itself and heeds the user's no.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from usagetrace import semconv
from usagetrace.exporters.convert import events_from_log
from usagetrace.exporters.local import LocalExporter
from usagetrace.redaction.logs import redact_log

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from usagetrace.events import Event
    from usagetrace.redaction import Redactor


class SQLiteLogRecordExporter(LocalExporter[ReadableLogRecord], LogRecordExporter):
    """Writes log events of this package, those named ``usage.`` and an event type, to the local SQLite file.

    All other log records are counted in ``ignored`` and kept nowhere. Trace ids are kept; of a log event that has no
    ``log.record.uid`` each export makes an event. Nothing is opened or created before the first log event. A store
    that can't be written now is tried again; what waits is kept in memory, bounded.

    Args:
        db_path: The file; by default the service's own, as the settings say.
        redactor: Sees every log event first; the default one knows this machine's home, user and host.
        retention_days: Days that single events are kept; by default as the settings say.
    """

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write a batch.

        Args:
            batch: Log records, redacted or not.

        Returns:
            SUCCESS when the events are committed, or wait in memory for a store that is busy; FAILURE when they are
            lost, or after :meth:`shutdown`.
        """
        return LogRecordExportResult.SUCCESS if self._write(batch) else LogRecordExportResult.FAILURE

    def _is_ours(self, carrier: ReadableLogRecord) -> bool:
        record = carrier.log_record
        named = isinstance(record.event_name, str) and record.event_name.startswith(semconv.PREFIX)
        return named or semconv.EVENT_TYPE in (record.attributes or ())

    def _redact(self, carrier: ReadableLogRecord, redactor: Redactor) -> tuple[ReadableLogRecord, Resource]:
        redacted = redact_log(carrier, redactor)
        return redacted, redacted.resource

    def _events(self, carrier: ReadableLogRecord, service: str) -> list[Event]:
        return events_from_log(carrier, service)

"""Spans to the local SQLite file.

:class:`SQLiteSpanExporter` is a standard exporter: it works with the SDK's own processors, and by its entry point
under ``OTEL_TRACES_EXPORTER=usagetrace_sqlite``. It redacts by itself and heeds the user's no.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from usagetrace import semconv
from usagetrace.exporters.convert import events_from_span
from usagetrace.exporters.destination import Destination, service_of
from usagetrace.guard import guard
from usagetrace.redaction import Redactor, default_redactor
from usagetrace.redaction.spans import redact_span
from usagetrace.store.recorder import Recorder

if TYPE_CHECKING:
    from usagetrace.config import Settings


class SQLiteSpanExporter(SpanExporter):
    """Writes the spans of tracked calls to the local SQLite file.

    Nothing is opened or created before the first span. A store that can't be written now is tried again; what waits
    is kept in memory, bounded.

    Args:
        db_path: The file; by default the service's own, as the settings say.
        redactor: Sees every span first; the default one knows this machine's home, user and host.
        retention_days: Days that single events are kept; by default as the settings say.
    """

    # Says to `usagetrace.redaction.protect` that nothing private passes here.
    redacts_itself = True

    def __init__(
        self,
        db_path: str | os.PathLike[str] | None = None,
        *,
        redactor: Redactor | None = None,
        retention_days: int | None = None,
    ) -> None:
        self._destination = Destination(db_path)
        self._retention_days = retention_days
        self._redactor = redactor
        self._lock = threading.Lock()
        self._recorders: dict[Path, Recorder] = {}
        # Of the first of them: this process's own, as a rule.
        self._service = ""
        self._closed = False
        # Spans that were not ours, and those that could not be redacted: looked at by tests and by `status`.
        self.ignored = 0
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch.

        Args:
            spans: Finished spans, redacted or not.

        Returns:
            SUCCESS when the events are committed, or wait in memory for a store that is busy; FAILURE when they are
            lost, or after :meth:`shutdown`.
        """
        if self._closed:
            return SpanExportResult.FAILURE
        settings = self._destination.settings()
        if settings is None:
            return SpanExportResult.SUCCESS
        kept = True
        for service, batch in self._by_service(spans, settings).items():
            kept = self._recorder(settings, service).submit(batch) and kept
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE

    def _by_service(self, spans: Sequence[ReadableSpan], settings: Settings) -> dict[str, list[Any]]:
        batches: dict[str, list[Any]] = {}
        redactor = self._redactor or default_redactor()
        for span in spans:
            if not span.attributes or semconv.EVENT_TYPE not in span.attributes:
                self.ignored += 1
                continue
            try:
                redacted = redact_span(span, redactor)
                service = service_of(
                    redacted.resource, str(redactor.redact(semconv.SERVICE_NAME, settings.service_name) or "")
                )
                batches.setdefault(service, []).extend(events_from_span(redacted, service))
            except Exception as error:  # noqa: BLE001 -- one span that can't be redacted must not cost the others
                self.dropped += 1
                guard.note(error)
        return batches

    def _recorder(self, settings: Settings, service: str) -> Recorder:
        path = self._destination.path(settings, service)
        with self._lock:
            if path not in self._recorders:
                self._service = self._service or service
                days = settings.retention_days if self._retention_days is None else self._retention_days
                self._recorders[path] = Recorder(path, retention_days=days, archive_dir=settings.archive_dir)
            return self._recorders[path]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Write what waits in memory; True when nothing is left within the time."""
        with self._lock:
            recorders = list(self._recorders.values())
        flushed = [recorder.flush(timeout_millis / 1000) for recorder in recorders]
        return all(flushed)

    def shutdown(self) -> None:
        """Write what waits, within the exit timeout, and close the files."""
        self._closed = True
        with self._lock:
            recorders, self._recorders = list(self._recorders.values()), {}
        if not recorders:
            return
        # Only where this process has targets in force is it loaded; it says how often they were called.
        fired = sys.modules.get("usagetrace.autoinstrument.fired")
        if fired is not None:
            guard(fired.tell)(recorders[0], self._redactor or default_redactor(), self._service)
        settings = self._destination.settings()
        timeout = settings.exit_timeout if settings is not None else 1.0
        for recorder in recorders:
            recorder.close(timeout)

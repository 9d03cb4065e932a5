"""What the exporters to the local SQLite file do alike, whatever signal they take.

A batch becomes events, by service; each service has a file and a recorder. This module owns recorders and their end,
and heeds the user's no. What an event is made of is the subclasses'.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry.sdk.resources import Resource

from usagetrace import semconv
from usagetrace.exporters.destination import Destination, service_of
from usagetrace.guard import guard
from usagetrace.redaction import Redactor, default_redactor
from usagetrace.store.recorder import Recorder

if TYPE_CHECKING:
    from usagetrace.config import Settings
    from usagetrace.events import Event

Carrier = TypeVar("Carrier")


class LocalExporter(Generic[Carrier]):
    """Writes events of spans or log records to the local SQLite file.

    Nothing is opened or created before the first of them. A store that can't be written now is tried again; what waits
    is kept in memory, bounded.

    Args:
        db_path: The file; by default the service's own, as the settings say.
        redactor: Sees everything first; the default one knows this machine's home, user and host.
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
        # Re-entrant: a call that a sampler took away is counted on the caller's thread, where a signal handler or a
        # finalizer may come in between.
        self._lock = threading.RLock()
        self._recorders: dict[Path, Recorder] = {}
        # Of the first of them: this process's own, as a rule.
        self._service = ""
        self._closed = False
        # What was not ours, and what could not be redacted: looked at by tests and by `status`.
        self.ignored = 0
        self.dropped = 0

    # --- for subclasses ------------------------------------------------------------------------------------

    def _is_ours(self, carrier: Carrier) -> bool:
        """Return whether a span or log record is an event."""
        raise NotImplementedError

    def _redact(self, carrier: Carrier, redactor: Redactor) -> tuple[Carrier, Resource]:
        """Return it redacted, with its resource.

        Raises:
            RedactionError: It can't be redacted.
        """
        raise NotImplementedError

    def _events(self, carrier: Carrier, service: str) -> list[Event]:
        """Return the events of one that is ours, and redacted."""
        raise NotImplementedError

    # --- exporting -----------------------------------------------------------------------------------------

    def _write(self, batch: Sequence[Carrier]) -> bool:
        """Write a batch; return whether its events are committed, or wait for a store that is busy."""
        if self._closed:
            return False
        settings = self._destination.settings()
        if settings is None:
            return True
        kept = True
        for service, events in self._by_service(batch, settings).items():
            kept = self._recorder(settings, service).submit(events) and kept
        return kept

    def recorders_of(self, service: str | None) -> list[Recorder]:
        """Return the recorder of a service, in a list; an empty one where nothing may be recorded, or no longer."""
        settings = None if self._closed else self._destination.settings()
        if settings is None:
            return []
        named = service_of(Resource({semconv.SERVICE_NAME: service or ""}), "")
        return [self._recorder(settings, named or self._own_service(settings, self._redactor or default_redactor()))]

    def _own_service(self, settings: Settings, redactor: Redactor) -> str:
        return str(redactor.redact(semconv.SERVICE_NAME, settings.service_name) or "")

    def _by_service(self, batch: Sequence[Carrier], settings: Settings) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        redactor = self._redactor or default_redactor()
        for carrier in batch:
            if not self._is_ours(carrier):
                self.ignored += 1
                continue
            try:
                redacted, resource = self._redact(carrier, redactor)
                service = service_of(resource, self._own_service(settings, redactor))
                found.setdefault(service, []).extend(self._events(redacted, service))
            except Exception as error:  # noqa: BLE001 -- one that can't be redacted must not cost the others
                self.dropped += 1
                guard.note(error)
        return found

    def _recorder(self, settings: Settings, service: str) -> Recorder:
        path = self._destination.path(settings, service)
        known = self._recorders.get(path)
        if known is not None:
            # Without the lock, which a thread that was not forked may hold.
            return known
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
        self._tell(recorders[0])
        settings = self._destination.settings()
        timeout = settings.exit_timeout if settings is not None else 1.0
        for recorder in recorders:
            recorder.close(timeout)

    def _tell(self, recorder: Recorder) -> None:
        """Tell the store how often targets were called; only where this process has some in force is that loaded."""
        fired: Any = sys.modules.get("usagetrace.autoinstrument.fired")
        if fired is not None:
            guard(fired.tell)(recorder, self._redactor or default_redactor(), self._service)

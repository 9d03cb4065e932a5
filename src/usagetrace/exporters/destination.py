"""Which file the local exporters write what they are given to: as their caller says, or else as the settings do.

This module owns when the settings are asked, and what tells one tool's file from another's. It opens nothing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from usagetrace import semconv
from usagetrace.config import Settings, settings_or_off

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource


class Destination:
    """The files of one exporter. The settings are asked once: those of a process do not change under it.

    Args:
        db_path: The one file; None for each service's own, as the settings say.
    """

    def __init__(self, db_path: str | os.PathLike[str] | None) -> None:
        self._db_path = None if db_path is None else Path(db_path)
        # Re-entrant: it is asked on callers' threads, where a signal handler or a finalizer may come in between.
        self._lock = threading.RLock()
        self._settings: Settings | None = None
        self._asked = False

    def settings(self) -> Settings | None:
        """Return the settings in force; None where nothing may be recorded."""
        if not self._asked:
            with self._lock:
                if not self._asked:
                    self._settings = settings_or_off()
                    self._asked = True
        return self._settings

    def path(self, settings: Settings, service: str) -> Path:
        """Return the file of a service, by the settings in force."""
        return (
            self._db_path or settings.db_path or Settings(service_name=service, environ=settings.environ).store_path()
        )


def service_of(resource: Resource, default: str) -> str:
    """Return the tool that a resource says it is of; the SDK's placeholder for an unnamed one does not count."""
    name = resource.attributes.get(semconv.SERVICE_NAME)
    if not isinstance(name, str) or not name or name.startswith("unknown_service"):
        return default
    return name

"""Old events go once a day, as they do where a tool records by itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from usagetrace.errors import StoreError
from usagetrace.guard import guard, warn_once
from usagetrace.store.connection import is_lock
from usagetrace.store.store import Store
from usagetrace.store.upkeep import now_milliseconds

if TYPE_CHECKING:
    from pathlib import Path

# How often it is looked whether a day has passed, in seconds; the store itself knows when it was done.
_EVERY_S: Final = 3600.0
# The first time: a server that starts has other things to do.
_FIRST_S: Final = 30.0


class Retention:
    """A thread that has old events removed.

    Args:
        path: The database.
        days: Days that events are kept; 0 for ever.
        archive: Folder for Parquet files of what is removed; None for none.
        first_s: Seconds until it looks for the first time.
    """

    def __init__(self, path: Path, days: int, archive: Path | None, *, first_s: float = _FIRST_S) -> None:
        self._path = path
        self._days = days
        self._archive = archive
        self._first_s = first_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usagetrace-retention", daemon=True)

    def start(self) -> None:
        """Start the thread, where there is anything to do."""
        if self._days:
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread; it is in the middle of a short transaction at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        pause = self._first_s
        while not self._stop.wait(pause):
            pause = _EVERY_S
            with guard:
                self.look()

    def look(self) -> int:
        """Remove what is too old, unless that was done within the last day; return how many events went."""
        try:
            with Store(self._path) as store:
                return store.run_retention(
                    self._days, now_ms=now_milliseconds(), may_go_on=lambda: not self._stop.is_set(),
                    archive=self._archive,
                )  # fmt: skip
        except StoreError as error:
            if not is_lock(error):
                warn_once("server:retention", "old events could not be removed: %s", error)
            return 0

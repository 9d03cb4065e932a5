"""What waits in one store for one endpoint, for the one process that sends it now.

This module owns the lock by which one process at a time sends, the way in for what lies in the spool, and patience
with a store that others have locked. It knows nothing of HTTP; how far an endpoint was served is remembered by
:mod:`usagetrace.store.deliveries`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from usagetrace.errors import StoreError
from usagetrace.otlp.encode import calls
from usagetrace.spool.layout import spool_directory
from usagetrace.spool.locks import LockedFile, NoLocksError
from usagetrace.store.catchup import PATIENCE_MS, catch_up, close_quietly, healing
from usagetrace.store.connection import is_lock
from usagetrace.store.deliveries import Deliveries, StoredEvent, Waiting
from usagetrace.store.store import Store

T = TypeVar("T")
# The events of one call, in order.
Call = tuple[StoredEvent, ...]

# Seconds to wait for others who hold a lock on the database, or drain.
_FOR_OTHERS_S: Final = 5.0
# Pause between two tries, and the longest piece of a drain, in seconds: whoever stops waits for one of them.
_PAUSE_S: Final = 0.05
_SLICE_S: Final = 0.3


class Outbox:
    """What waits in a store for an endpoint. Making one touches no file.

    Args:
        path: The database.
        endpoint: The endpoint's name, without credentials.
        stop: Set when nothing is to be waited for any more.
    """

    def __init__(self, path: str | os.PathLike[str], endpoint: str, *, stop: threading.Event) -> None:
        self._path = os.path.abspath(path)
        self._store = Store(self._path, busy_timeout_ms=PATIENCE_MS)
        self._deliveries = Deliveries(self._store, endpoint)
        self._stop = stop
        self._lock: LockedFile | None = None
        name = hashlib.blake2b(endpoint.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._lock_path = os.path.join(spool_directory(self._path), f"forward-{name}.lock")

    def exists(self) -> bool:
        """Return whether there is a database at all."""
        return os.path.exists(self._path)

    def claim(self) -> bool:
        """Become the one who sends; return False where another process is.

        Raises:
            OSError: The lock can't be made.
        """
        if self._lock is not None and self._lock.fd >= 0 and self._lock.is_in_place():
            return True
        os.makedirs(os.path.dirname(self._lock_path), mode=0o700, exist_ok=True)
        try:
            self._lock = LockedFile.take(self._lock_path, make=True)
        except NoLocksError:
            # Two may send then, each event is known by its ids.
            return True
        return self._lock is not None

    def close(self) -> None:
        """Let go of lock and store."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()
        close_quietly(self._store)

    def drain(self) -> bool:
        """Bring what lies in the spool into the store; return whether all of it is there. Raises nothing."""
        deadline = time.monotonic() + _FOR_OTHERS_S
        while True:
            report = catch_up(self._path, budget=_SLICE_S)
            if report is None or report.complete:
                return True
            if report.records:
                deadline = time.monotonic() + _FOR_OTHERS_S
            if time.monotonic() >= deadline or self._stop.wait(_PAUSE_S):
                return False

    # --- what waits ----------------------------------------------------------------------------------------

    def store_id(self) -> str:
        """Return what tells this store from others.

        Raises:
            StoreError: The store can't be read.
        """
        return self._patiently(self._deliveries.store_id)

    def next(self, at_most: int) -> list[Call]:
        """Return the oldest calls that wait, of about so many events; none where nothing waits.

        Raises:
            StoreError: The store can't be read.
        """
        return _calls(self._patiently(lambda: self._deliveries.next(at_most)))

    def newest(self, at_most: int) -> list[Call]:
        """Return the newest calls that wait, in order.

        Raises:
            StoreError: The store can't be read.
        """
        return _calls(self._patiently(lambda: self._deliveries.newest(at_most)))

    def set_aside_calls(self, at_most: int, after: int) -> list[Call]:
        """Return calls that were set aside and still exist, by id.

        Args:
            at_most: About how many events.
            after: Only events with a greater id.

        Raises:
            StoreError: The store can't be read.
        """
        return _calls(self._patiently(lambda: self._deliveries.aside(at_most, after=after)))

    def waiting(self) -> Waiting:
        """Return how much waits.

        Raises:
            StoreError: The store can't be read.
        """
        return self._patiently(self._deliveries.waiting)

    def newest_id(self) -> int:
        """Return the id of the newest event that waits; 0 for none.

        Raises:
            StoreError: The store can't be read.
        """
        return self._patiently(self._deliveries.newest_id)

    # --- what became of it ---------------------------------------------------------------------------------

    def advance(self, last_id: int, *, delivered: int) -> None:
        """Remember that nothing up to an event waits any more.

        Raises:
            StoreError: It can't be remembered.
        """
        self._patiently(lambda: self._deliveries.advance(last_id, delivered=delivered))

    def set_aside(self, call: Call, reason: str) -> None:
        """Remember that a call is not to be sent again by itself.

        Raises:
            StoreError: It can't be remembered.
        """
        self._patiently(lambda: self._deliveries.set_aside([event.id for event in call], reason))

    def take_back(self, taken: Sequence[Call]) -> None:
        """Remember that calls which were set aside are delivered after all.

        Raises:
            StoreError: It can't be remembered.
        """
        ids = [event.id for call in taken for event in call]
        if ids:
            self._patiently(lambda: self._deliveries.arrived(ids))

    def _patiently(self, action: Callable[[], T]) -> T:
        """Do something with the store; wait for locks of others, a while."""
        deadline = time.monotonic() + _FOR_OTHERS_S
        while True:
            try:
                return healing(self._store, action)
            except StoreError as error:
                if not is_lock(error) or time.monotonic() >= deadline or self._stop.wait(_PAUSE_S):
                    raise


def _calls(events: Sequence[StoredEvent]) -> list[Call]:
    return [tuple(call) for call in calls(events)]

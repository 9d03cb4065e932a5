"""Brings events from memory to where they are safe: the spool, or else the store itself.

This module owns what becomes of events that wait in memory. When it is tried, and what a caller is told, is decided
elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.spool.layout import Row
from usagetrace.spool.writer import Spool
from usagetrace.store.catchup import PATIENCE_MS, REFUSALS, healing
from usagetrace.store.connection import is_lock, named_errors
from usagetrace.store.sampled import add_directly
from usagetrace.store.store import Store
from usagetrace.store.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usagetrace.store.waiting import Share

# Events in memory that one record of the spool, or one transaction, takes.
_TOGETHER: Final = 500


class Rescue:
    """Empties a recorder's memory. Making one touches no file.

    Args:
        waiting: Events in memory.
        spool: Takes them, if it can.
        lose: Counts events that are lost for good.
        tell: Told of each error of the store.
        committed: Counts events that went into the store.

    Attributes:
        locked: Whether what waits waits for a lock: a moment may clear one; waiting makes no directory writable.
    """

    def __init__(
        self,
        waiting: Waiting,
        spool: Spool,
        *,
        lose: Callable[[int], None],
        tell: Callable[[StoreError], None],
        committed: Callable[[int], None],
    ) -> None:
        self._waiting = waiting
        self._spool = spool
        self._lose = lose
        self._tell = tell
        self._committed = committed
        # One thread at a time brings to the spool what waits in memory.
        self._rescuing = threading.Lock()
        self.locked = False

    def bring(self, store: Store) -> bool:
        """Bring everything to the spool, or else into the store; return whether nothing waits any more."""
        if not self._waiting:
            return True
        if not self._rescuing.acquire(timeout=PATIENCE_MS / 1000):
            self.locked = True
            return False
        try:
            while True:
                rows, share = self._waiting.take(_TOGETHER)
                if not rows:
                    break
                if not self._batch(rows, share, store):
                    return False
        finally:
            self._rescuing.release()
        return not self._waiting

    def _batch(self, rows: list[Row], share: Share, store: Store) -> bool:
        """Bring a batch to the spool, or else into the store; put it back where neither takes it."""
        try:
            arrived = self._append(rows, share) or self._commit(store, rows, share)
        except BaseException:
            # An interrupt: whether they arrived is not known, and counting them twice is the worse fault.
            self._waiting.arrived(len(rows))
            self._lose(len(rows))
            raise
        if arrived:
            self._waiting.arrived(len(rows))
        else:
            self._lose(self._waiting.give_back(rows, share))
        return arrived

    def _append(self, rows: list[Row], share: Share) -> bool:
        return self._spool.append_rows(rows) if share is None else self._spool.append_sampled(rows, *share)

    def _commit(self, store: Store, rows: list[Row], share: Share) -> bool:
        """Commit events without the spool; return False where they are to wait."""
        try:
            self._committed(healing(store, lambda: _write(store, rows, share)))
        except (StoreUnavailableError, *REFUSALS) as error:
            self._tell(error)
            self.locked = is_lock(error)
            return False
        except Exception as error:  # noqa: BLE001 -- an event that can't be written must not be tried for ever
            guard.note(error)
            self._lose(len(rows))
        return True


def _write(store: Store, rows: list[Row], share: Share) -> int:
    """Write events, or keep and count those that sampling took away; return how many are events now."""
    if share is None:
        return len(store.write([Event(*row) for row in rows]))
    with store.atomic(), named_errors(store.path):
        return add_directly(store.connection, rows, *share)[0]

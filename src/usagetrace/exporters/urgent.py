"""Has what waits in a queue sent at once, where that matters: a critical event does not wait for the queue's next turn.

Whoever recorded it does not wait either: it is sent by a thread of its own. This module knows no queue and no event.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from usagetrace.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable


class Urgent:
    """Calls a function on another thread, one call at a time; asked again meanwhile, it calls it once more.

    Args:
        flush: Sends what waits; it may take long.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        # Re-entrant: a signal handler or a finalizer may ask while this thread is in here.
        self._lock = threading.RLock()
        self._running = self._again = False

    def __call__(self) -> None:
        """Have it called. Never raises, and never waits for it."""
        if self._process != os.getpid():
            # The thread stayed in the parent process, and may have held the lock.
            self._begin_anew()
        with self._lock:
            if self._running:
                self._again = True
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name="usagetrace-urgent", daemon=True).start()
        except RuntimeError as error:
            # While the interpreter shuts down none can be started; what waits is sent by whoever closes the queue.
            guard.note(error)
            self._running = False

    def _run(self) -> None:
        while True:
            with guard:
                self._flush()
            with self._lock:
                if not self._again:
                    self._running = False
                    return
                self._again = False

"""The part of a recorder that a process pays for only when something is to be drained: the thread, and its manners.

This module owns the one background thread, how much of the processor it takes, and when it tries again. What a call
records, and when this part is needed, is the recorder's.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from usagetrace.errors import NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.guard import guard, warn_once
from usagetrace.spool.room import spool_size
from usagetrace.spool.writer import Spool
from usagetrace.store import beside
from usagetrace.store.catchup import PATIENCE_MS, REFUSALS, attempt, bring_in, close_quietly
from usagetrace.store.connection import is_lock
from usagetrace.store.drain import DrainReport
from usagetrace.store.onward import Onward
from usagetrace.store.rescue import Rescue
from usagetrace.store.store import Store
from usagetrace.store.waiting import Waiting

# Seconds between two looks at the spool, and without anything to do, after which the thread ends.
_INTERVAL: Final = 1.0
_IDLE: Final = 10.0
# Seconds that something has to be wrong for before the thread says so: it may pass, or the process may end.
_WRONG: Final = 1.0
# Seconds until a store that refused is looked at again: somebody may have moved the file.
_REFUSED_FOR: Final = 300.0
# Pauses between two tries after an error, in seconds: at most the first, doubling up to the longest.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
# Events in one transaction of the thread, and seconds after which it rests.
_BATCH: Final = 500
_SLICE: Final = 0.01
# Seconds of rest for each second of processor time: the host keeps nine tenths of its interpreter.
_REST: Final = 9.0
# Sizes of the spool in bytes between which the thread gives up its rest: it is bounded, and drops the oldest.
_FILLING: Final = 16 * 1024 * 1024
_FULL: Final = 48 * 1024 * 1024
# Events of an older schema that a caller's thread may migrate, about 10 ms of work; more is for the thread.
_MIGRATE_AT_MOST: Final = 500
# Age in seconds from which a process looks after retention in the background; a shorter one does so at its end.
_SETTLED: Final = 60.0
_DAY: Final = 86_400.0


class Background:
    """Drains a recorder's spool, on a thread of its own and on a caller's. Making one touches no file.

    Args:
        path: The database file, absolute.
        directory: The spool.
        waiting: Events in memory.
        spool: Takes such events, if it can.
        lose: Counts events that are lost for good.
        rearm: Told, when the thread ends, after how many seconds an append is to start it again.
        retention_days: Age in days at which events are removed; 0 keeps everything.
        archive_dir: Folder for Parquet files of events, written before they are removed; None to keep no copy.
        clock: The present in seconds since 1970 UTC.
        jitter: Returns a pause in seconds of at most the one given.
        onward: Who sends events on from the store; None where nobody does.
    """

    def __init__(
        self,
        path: str,
        directory: str,
        waiting: Waiting,
        *,
        spool: Spool,
        lose: Callable[[int], None],
        rearm: Callable[[float], None],
        retention_days: int,
        archive_dir: str | os.PathLike[str] | None,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
        onward: Onward | None = None,
    ) -> None:
        self._path = path
        self._directory = directory
        self._waiting = waiting
        self._rearm = rearm
        self._retention_days = retention_days
        self._archive_dir = archive_dir
        self._clock = clock
        self._jitter = jitter
        self._onward = onward
        # For a caller's thread; the background one has its own, which may take its time with a migration.
        self._store = Store(path, busy_timeout_ms=PATIENCE_MS, migrate_at_most=_MIGRATE_AT_MOST)
        self._settled_at = clock() + _SETTLED
        # Re-entrant: a signal handler or a finalizer may start the thread while this one does.
        self._lock = threading.RLock()
        self._rescue = Rescue(waiting, spool, lose=lose, tell=self._tell, committed=self._count)
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._again = False
        self._stopped = False
        self.committed = 0
        # What is wrong, locks left aside, since when, and whether a warning told so.
        self.reason: StoreError | None = None
        self._wrong_since = 0.0
        self.told = False
        self._ending = False

    # --- what the recorder asks for ------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether the thread runs now."""
        return self._thread is not None

    def start(self) -> bool:
        """Start the thread, or have the one that runs look once more before it ends; return whether it runs."""
        with self._lock:
            if self._stopped:
                return False
            if self._thread is not None:
                self._again = True
                return True
            thread = threading.Thread(target=self._run, name="usagetrace-recorder", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError as error:
                # None starts while the interpreter ends.
                guard.note(error)
                self._thread = None
            return self._thread is not None

    def flush(self, timeout_s: float, *, wait: bool = True) -> bool:
        """Bring everything into the store, on this thread.

        Args:
            timeout_s: How long this may take, in seconds.
            wait: Wait for locks and other drainers within that time; else only what is in memory alone waits.

        Returns:
            Whether everything is in the store.
        """
        deadline = time.monotonic() + timeout_s
        hopeless = False

        def go_on(error: StoreError) -> bool:
            nonlocal hopeless
            self._tell(error)
            hopeless = not is_lock(error)
            if wait and not hopeless:
                # It may be a migration that is too long for this thread.
                self.start()
            return wait and not hopeless

        while True:
            empty = self.rescue()
            report = self._bring_in(max(deadline - time.monotonic(), 0.0), go_on, wait=wait)
            self._count(report.events)
            if report.complete and empty:
                self.reason = None
                return True
            tries = self._rescue.locked if not empty else wait and not hopeless
            if not tries or time.monotonic() + _FIRST_PAUSE >= deadline:
                return False
            time.sleep(_FIRST_PAUSE)

    def finish(self, deadline: float, *, wait: bool) -> bool:
        """Bring everything into the store, look after retention, end the thread, let go of the store.

        Args:
            deadline: By when, of the monotonic clock.
            wait: As in :meth:`flush`.

        Returns:
            As :meth:`flush`.
        """
        if not wait:
            # Else it would be the one that is not waited for.
            self._stop(min(deadline, time.monotonic() + PATIENCE_MS / 1000))
        # What is wrong is told when it is known whether events are lost by it: in one warning.
        self._ending = True
        done = self.flush(max(deadline - time.monotonic(), 0.0), wait=wait)
        if self.reason is not None and not self._waiting:
            self._warn(self.reason)
        if done and self.committed:
            self._look_after(self._store, lambda: time.monotonic() < deadline)
        self._stop(deadline)
        self.let_go()
        return done

    def rescue(self, store: Store | None = None) -> bool:
        """Bring what waits in memory to the spool, or else into the store; return whether nothing waits any more.

        Args:
            store: The store to use; the one for a caller's thread by default.
        """
        return self._rescue.bring(self._store if store is None else store)

    def hurry(self) -> None:
        """Drain at once: start the thread, or end the rest of the one that runs."""
        if self.start():
            self._wake.set()

    def let_go(self) -> None:
        """Close the store of callers' threads; its next use opens it again."""
        close_quietly(self._store)

    def _stop(self, deadline: float) -> None:
        """End the thread; it does not start again."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._wake.set()
        if self._onward is not None:
            guard(self._onward.stop)()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _bring_in(self, left: float, go_on: Callable[[StoreError], bool], *, wait: bool) -> DrainReport:
        if wait:
            return bring_in(self._store, self._directory, left, go_on)
        report, error = attempt(self._store, self._directory, left)
        if error is not None:
            go_on(error)
        return report

    # --- the store -----------------------------------------------------------------------------------------

    def _tell(self, error: StoreError) -> None:
        """Say once what is wrong, unless it may pass: a lock does, and what has just begun; or the end is near."""
        if is_lock(error):
            return
        if self.reason is None:
            self._wrong_since = time.monotonic()
        self.reason = error
        lasts = self._is_final(error) or time.monotonic() - self._wrong_since >= _WRONG
        if not self._ending and (lasts or threading.current_thread() is not self._thread):
            self._warn(error)

    def _is_final(self, error: StoreError) -> bool:
        """Return whether it is no use to try again soon. A damaged store of ours is repaired, maybe by another."""
        return isinstance(error, REFUSALS) and not (
            isinstance(error, NotAStoreError) and beside.marked(self._path) is not None
        )

    def _warn(self, error: StoreError) -> None:
        if not self.told:
            self.told = True
            where = "memory" if self._waiting else self._directory
            warn_once(f"unavailable:{self._path}", "%s. Until then usage events wait in %s", error, where)

    def _count(self, events: int) -> None:
        with self._lock:
            self.committed += events

    def _look_after(self, store: Store, may_go_on: Callable[[], bool]) -> None:
        if self._retention_days:
            with contextlib.suppress(StoreUnavailableError), guard:
                # Locked: a later process does it.
                store.run_retention(
                    self._retention_days,
                    now_ms=int(self._clock() * 1000),
                    may_go_on=may_go_on,
                    archive=self._archive_dir,
                )

    # --- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        store = Store(self._path, busy_timeout_ms=PATIENCE_MS)
        rest = _INTERVAL
        try:
            rest = self._work(store)
        except Exception as error:  # noqa: BLE001 -- the thread is this package's own
            guard.note(error)
            with self._lock:
                self._thread = None
        finally:
            close_quietly(store)
            self._rearm(rest)

    def _work(self, store: Store) -> float:
        """Drain until there is nothing to do; return after how many seconds an append is to start the thread again."""
        pause, idle_since = _FIRST_PAUSE, time.monotonic()
        while True:
            moved, error = self._pass(store)
            if error is not None and self._is_final(error):
                if self._ends(even_if_asked=True):
                    return _REFUSED_FOR
            elif error is not None or self._waiting:
                self._rest(self._jitter(pause))
                pause, idle_since = min(pause * 2, _LONGEST_PAUSE), time.monotonic()
            else:
                pause, self.reason = _FIRST_PAUSE, None
                if self._onward is not None:
                    guard(self._onward.look)(self.committed)
                if moved:
                    idle_since = time.monotonic()
                    self._keep_searchable(store)
                if time.monotonic() - idle_since >= _IDLE and self._is_idle(store):
                    return 0.0
                self._rest(_INTERVAL)
            if self._stopped and self._ends(even_if_asked=True):
                return 0.0

    def _is_idle(self, store: Store) -> bool:
        # From here on an append asks for the thread: one before it is seen by this last look, one after by `_ends`.
        self._rearm(0.0)
        moved, error = self._pass(store)
        return not moved and error is None and self._ends()

    def _ends(self, *, even_if_asked: bool = False) -> bool:
        """Give up the thread's place, unless an append asked for it meanwhile; return whether it is given up."""
        with self._lock:
            if self._again and not even_if_asked:
                self._again = False
                return False
            self._again = False
            self._thread = None
            return True

    def _pass(self, store: Store) -> tuple[bool, StoreError | None]:
        """Bring in what is there, a slice at a time; return whether there was anything, and what went wrong."""
        moved = False
        self.rescue(store)
        while not self._stopped:
            began = time.thread_time()
            report, error = attempt(store, self._directory, _SLICE, _BATCH)
            self._count(report.events)
            if error is not None:
                self._tell(error)
                return moved, error
            moved = moved or report.records > 0
            if report.complete or not report.records:
                break
            self._rest((time.thread_time() - began) * _REST * (1 - self._fullness()))
        if self._clock() >= self._settled_at:
            self._settled_at = self._clock() + _DAY
            self._look_after(store, lambda: not self._stopped)
        return moved, None

    def _keep_searchable(self, store: Store) -> None:
        """Bring the index of the search up to date, if somebody has searched, at this thread's pace."""
        if not os.path.exists(self._path + beside.SEARCH):
            return
        from usagetrace.store.search import follow

        began = time.thread_time()

        def may_go_on() -> bool:
            nonlocal began
            self._rest((time.thread_time() - began) * _REST)
            began = time.thread_time()
            return not self._stopped

        guard(follow)(store, may_go_on)

    def _rest(self, seconds: float) -> None:
        if self._wake.wait(seconds) and not self._stopped:
            self._wake.clear()

    def _fullness(self) -> float:
        """Return 0 for a spool with room, 1 for one that is nearly full, and what lies between."""
        _, size = spool_size(self._directory)
        return min(max((size - _FILLING) / (_FULL - _FILLING), 0.0), 1.0)

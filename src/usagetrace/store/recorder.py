"""What a caller's thread hands its events to: committed at once, or kept until the store can take them.

This module owns the promise that a caller is neither failed nor held up by the store, and the one background thread
that makes good what had to wait. What a store is, and what an event means, is not known here.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final

from usagetrace.errors import (
    ChangedMigrationError,
    NewerSchemaError,
    NotAStoreError,
    StoreError,
    StoreUnavailableError,
)
from usagetrace.events import Event
from usagetrace.guard import guard, warn_once
from usagetrace.store import forks
from usagetrace.store.connection import is_lock
from usagetrace.store.store import Store

# Pauses between two tries of the background thread, in seconds: at most the first, doubling up to the longest.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
# How long the background thread waits for a lock within one try, in milliseconds.
_PATIENCE_MS: Final = 250
_BATCH: Final = 500
# Events of an older schema that the caller's thread may migrate, about 10 ms of work; more is for the background.
_MIGRATE_AT_MOST: Final = 500
# Age in seconds from which a process looks after retention in the background; a shorter one does so at its end.
_SETTLED: Final = 60.0
_DAY: Final = 86_400.0


class _Outcome(Enum):
    COMMITTED = auto()
    WAIT = auto()
    LOST = auto()


def _full_jitter(longest: float) -> float:
    # The system's randomness: the program's own generator may be seeded, and is not to be disturbed.
    from random import SystemRandom

    return SystemRandom().uniform(0, longest)


class Recorder:
    """Takes events from a caller's thread. Making one touches no file and starts no thread.

    Args:
        path: The database file.
        retention_days: Age in days at which events are removed, at most once a day; 0 keeps everything.
        call_budget_ms: About how long one :meth:`submit` may wait for locks, in milliseconds.
        buffer_limit: Events that may wait in memory, beside one batch on its way; beyond it the oldest are dropped
            and counted.
        clock: The present in seconds since 1970 UTC, for retention.
        jitter: Returns a pause in seconds of at most the one given, between two tries.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        retention_days: int = 90,
        call_budget_ms: int = 20,
        buffer_limit: int = 10_000,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float], float] = _full_jitter,
    ) -> None:
        self.path = os.fspath(path)
        self._retention_days = retention_days
        self._budget_s = call_budget_ms / 1000
        self._limit = buffer_limit
        self._clock = clock
        self._jitter = jitter
        self._store = Store(path, busy_timeout_ms=call_budget_ms, migrate_at_most=_MIGRATE_AT_MOST)
        self._settled_at = clock() + _SETTLED
        self._committed = 0
        self._dropped = 0
        self._begin_anew()
        forks.remember(self)

    def _begin_anew(self) -> None:
        """Set what a child process must not share with its parent."""
        # Re-entrant: a signal handler or a finalizer may submit while this thread is in here.
        self._state = threading.Condition(threading.RLock())
        # One caller at a time in the store. Not re-entrant: its owner is named, to be told from others.
        self._turn = threading.Lock()
        self._turn_owner = 0
        self._buffer: deque[Event] = deque()
        self._in_flight = 0
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._maintain = False
        self._hurry = False
        self._refused = False
        # Whether what waits waits for a lock: a moment may clear one; no directory becomes writable by waiting.
        self._locked = True
        self._closed = False

    # --- what a caller sees --------------------------------------------------------------------------------

    @property
    def committed(self) -> int:
        """How many events this process has committed through this object."""
        return self._committed

    @property
    def buffered(self) -> int:
        """How many events wait in memory; none once it is closed."""
        with self._state:
            return 0 if self._closed else len(self._buffer) + self._in_flight

    @property
    def dropped(self) -> int:
        """How many events were lost, and will not be stored."""
        return self._dropped

    def submit(self, events: Sequence[Event]) -> bool:
        """Commit events, or keep them until the store can take them. Never raises.

        Args:
            events: Redacted events of one call.

        Returns:
            True when they are committed or kept; False when they are lost.
        """
        try:
            return not events or self._submit(events)
        except Exception as error:  # noqa: BLE001 -- the caller is somebody else's function
            guard.note(error)
            return False

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Try at once to commit what waits, and wait for it.

        Args:
            timeout_s: How long, in seconds.

        Returns:
            Whether nothing waits any more.
        """
        deadline = time.monotonic() + timeout_s
        self._hurry = True
        self._wake.set()
        while True:
            with self._state:
                remaining = deadline - time.monotonic()
                if not self.buffered:
                    return True
                if remaining <= 0:
                    return False
                if self._start_thread():
                    self._state.wait(remaining)
                    continue
            # No thread starts while the interpreter ends: this one does the work.
            if self._drain_once(self._store) is _Outcome.WAIT:
                time.sleep(min(_FIRST_PAUSE, remaining))

    def close(self, timeout_s: float = 5.0) -> bool:
        """Commit what waits, look after retention, and let go of the store. What can't be committed is lost.

        Events submitted afterwards are still committed, each call by itself, but none waits.

        Args:
            timeout_s: How long at most, in seconds.

        Returns:
            Whether nothing was lost here.
        """
        deadline = time.monotonic() + timeout_s
        done = self.flush(timeout_s) if self._locked else self._last_try()
        if done and self._committed and not self._closed:
            with guard:
                self._look_after(self._store, lambda: time.monotonic() < deadline)
        with self._state:
            lost = self.buffered
            self._closed = True
            self._buffer.clear()
            thread = self._thread
        self._lose(lost)
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline - time.monotonic(), 0))
        with guard:
            self._store.close()
        return done

    def _last_try(self) -> bool:
        """Try once more to commit what waits; return whether nothing waits any more."""
        while self._buffer and self._drain_once(self._store) is not _Outcome.WAIT:
            continue
        return not self.buffered

    # --- the caller's thread -------------------------------------------------------------------------------

    def _submit(self, events: Sequence[Event]) -> bool:
        if self._refused:
            return self._lose(len(events))
        me = threading.get_ident()
        if self._anything_waits() or self._turn_owner == me:
            return self._keep(events)
        turn = self._turn
        if not turn.acquire(timeout=self._budget_s):
            return self._keep(events)
        try:
            self._turn_owner = me
            # While this thread waited for its turn, another may have found the store unavailable.
            outcome = _Outcome.WAIT if self._anything_waits() else self._commit(self._store, events)
        finally:
            self._turn_owner = 0
            turn.release()
        if outcome is _Outcome.LOST:
            return self._lose(len(events))
        if outcome is _Outcome.WAIT:
            return self._keep(events)
        if self._clock() >= self._settled_at and not self._closed:
            self._settled_at = self._clock() + _DAY
            self._maintain = True
            with self._state:
                self._start_thread()
        return True

    def _anything_waits(self) -> bool:
        return self.buffered > 0

    def _commit(self, store: Store, events: Sequence[Event]) -> _Outcome:
        """Try once to commit events; say what is to become of them."""
        try:
            store.write(events)
        except StoreUnavailableError as error:
            self._locked = is_lock(error)
            if not self._locked:
                warn_once(f"unavailable:{self.path}", "%s. Usage events wait in memory and are tried again", error)
                _close_quietly(store)
            return _Outcome.WAIT
        except (NotAStoreError, NewerSchemaError, ChangedMigrationError) as error:
            self._refused = True
            warn_once(f"refused:{self.path}", "%s. No usage is recorded until then", error)
            _close_quietly(store)
            return _Outcome.LOST
        except StoreError as error:
            warn_once(f"failed:{self.path}", "%s. Usage events were lost", error)
            # The next try looks at the whole file again.
            _close_quietly(store)
            return _Outcome.LOST
        except Exception as error:  # noqa: BLE001 -- an event that can't be written must not be tried for ever
            guard.note(error)
            return _Outcome.LOST
        with self._state:
            self._committed += len(events)
        if self._closed:
            _close_quietly(store)
        return _Outcome.COMMITTED

    def _keep(self, events: Sequence[Event]) -> bool:
        """Let events wait; the oldest go where too many do."""
        with self._state:
            if self._closed:
                return self._lose(len(events))
            self._buffer.extend(events)
            excess = self._trim()
            self._start_thread()
        self._lose(excess)
        return True

    def _trim(self) -> int:
        """Drop the oldest events beyond the limit; return how many. The state is locked by the caller.

        What is on its way to the store is older and may still be committed: it is counted when it comes back.
        """
        excess = max(len(self._buffer) - self._limit, 0)
        for _ in range(excess):
            self._buffer.popleft()
        return excess

    def _lose(self, count: int) -> bool:
        """Count events that are lost, and say so once; returns False for ``submit`` to pass on."""
        if count:
            with self._state:
                self._dropped += count
            # Where a warning told of the cause already, a second one would tell nothing new.
            if not self._refused and self._locked:
                warn_once(
                    f"lost:{self.path}",
                    "%s: the store could not be written in time and usage events were lost: "
                    "check the disk, the permissions, and whether another program holds a lock",
                    self.path,
                )
        return False

    # --- the background thread -----------------------------------------------------------------------------

    def _start_thread(self) -> bool:
        """Start the background thread unless it runs; return whether it runs. The state is locked by the caller."""
        if self._thread is not None and self._thread.is_alive():
            return True
        thread = threading.Thread(target=self._run, name="usagetrace-recorder", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError as error:
            guard.note(error)
            self._thread = None
        return self._thread is not None

    def _run(self) -> None:
        """Commit what waits, with growing pauses, until nothing does."""
        state = self._state
        store = Store(self.path, busy_timeout_ms=_PATIENCE_MS)
        pause = _FIRST_PAUSE
        try:
            while True:
                outcome = self._drain_once(store)
                with state:
                    idle = not self._buffer and not self._maintain
                    if self._closed or idle:
                        self._thread = None
                        state.notify_all()
                        return
                if outcome is _Outcome.WAIT:
                    if self._hurry:
                        self._hurry, pause = False, _FIRST_PAUSE
                    self._wake.wait(self._jitter(pause))
                    self._wake.clear()
                    pause = min(pause * 2, _LONGEST_PAUSE)
                    continue
                pause = _FIRST_PAUSE
                if self._maintain:
                    self._maintain = False
                    with guard:
                        self._look_after(store, lambda: not self._closed)
        finally:
            _close_quietly(store)

    def _drain_once(self, store: Store) -> _Outcome:
        """Try to commit the oldest events that wait."""
        with self._state:
            batch = [self._buffer.popleft() for _ in range(min(len(self._buffer), _BATCH))]
            self._in_flight += len(batch)
        if not batch:
            return _Outcome.COMMITTED
        outcome = _Outcome.LOST if self._refused else self._commit(store, batch)
        with self._state:
            self._in_flight -= len(batch)
            given_up = self._closed
            excess = 0
            if outcome is _Outcome.WAIT and not given_up:
                self._buffer.extendleft(reversed(batch))
                excess = self._trim()
            if outcome is _Outcome.COMMITTED and given_up:
                # close() counted them as lost while they were on their way.
                self._dropped -= len(batch)
            self._state.notify_all()
        self._lose(len(batch) if outcome is _Outcome.LOST and not given_up else excess)
        return outcome

    def _look_after(self, store: Store, may_go_on: Callable[[], bool]) -> None:
        """Remove events that are too old, if no process did so within the last day."""
        if self._retention_days:
            with contextlib.suppress(StoreUnavailableError):
                # Locked: a later process does it.
                store.run_retention(self._retention_days, now_ms=int(self._clock() * 1000), may_go_on=may_go_on)

    # --- forks ---------------------------------------------------------------------------------------------

    def before_fork(self) -> bool:
        """Wait until the buffer is at rest, for a moment at most; return whether it is held now."""
        return self._state.acquire(timeout=0.05)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._state.release()

    def after_fork_in_child(self, *, at_rest: bool) -> None:
        """Leave to the parent what waits: it commits it."""
        # Nothing of the parent's state is kept, at rest or not.
        del at_rest
        refused = self._refused
        self._begin_anew()
        self._refused = refused
        self._committed = self._dropped = 0


def _close_quietly(store: Store) -> None:
    with contextlib.suppress(StoreError):
        store.close()

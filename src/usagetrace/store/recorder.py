"""What a caller's thread hands its events to: appended to the process's spool, or kept until the spool can take them.

This module owns the promise that a caller is neither failed nor held up, and when the part that drains is worth its
price. It is all that a one-shot command loads: neither the database nor the drain is imported before they are needed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref

from usagetrace.guard import guard
from usagetrace.spool.layout import encode, spool_directory
from usagetrace.spool.room import leave_word
from usagetrace.spool.room import spool_size as spool_size
from usagetrace.spool.writer import Spool
from usagetrace.store.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from usagetrace.events import Event
    from usagetrace.spool.layout import Row
    from usagetrace.store.background import Background
    from usagetrace.store.onward import Onward
    from usagetrace.store.waiting import Share

# Seconds that a process records for before it gets a thread, and events after which it gets one at once.
_YOUNG: Final = 1.0
_MANY: Final = 1000
# What lies in a spool when the next command that ends drains it: about 1 ms of its time for each that did not.
_SEGMENTS: Final = 64
_BYTES: Final = 1024 * 1024
# What is drained at the end in a process that has the database's library loaded anyway.
_LITTLE: Final = 64 * 1024
_NEVER: Final = float("inf")

# Bound once, for the hot path.
_now = time.monotonic


class Recorder:
    """Takes events from a caller's thread. Making one touches no file and starts no thread.

    Args:
        path: The database file. Its spool lies beside it.
        retention_days: Age in days at which events are removed, at most once a day; 0 keeps everything.
        archive_dir: Folder for Parquet files of events, written before they are removed; None to keep no copy.
        buffer_limit: Events that may wait in memory where the spool can't be written, beside one batch on its way;
            beyond it the oldest are dropped and counted.
        clock: The present in seconds since 1970 UTC, for retention.
        jitter: Returns a pause in seconds of at most the one given, between two tries after an error; random by
            default.
        spool: Where events are appended; by default the database's own.
        onward: Makes who sends events on from the database. Called only in a process that has the thread that drains.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        retention_days: int = 90,
        archive_dir: str | os.PathLike[str] | None = None,
        buffer_limit: int = 10_000,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float], float] | None = None,
        spool: Spool | None = None,
        onward: Callable[[], Onward] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        # Where it is, whatever the working directory is by the time that the database is opened.
        self.file = os.path.abspath(path)
        self._retention_days = retention_days
        self._archive_dir = archive_dir
        self._limit = buffer_limit
        self._clock = clock
        self._jitter = jitter
        self._onward = onward
        self._spool = Spool(spool_directory(path)) if spool is None else spool
        self._spool.keeps = True
        me = weakref.ref(self)
        self._spool.urgent = lambda: _hurry(me)
        self._begin_anew()
        _known.add(self)

    def _begin_anew(self) -> None:
        """Set what a child process must not share with its parent."""
        self._lock = threading.RLock()
        self._waiting = Waiting(self._limit)
        # The same object, asked without a call.
        self._memory = self._waiting.rows
        self._background: Background | None = None
        # Appends since somebody last looked whether the thread is wanted, and the moment and the number for it.
        # Threads may miss one of each other's: they only steer.
        self._appended = 0
        self._enough: float = _MANY
        self._look_at = 0.0
        self._began: float | None = None
        self._closed = False
        # What makes the part that drains, once an event came that is to be drained at once.
        self._hurrying: threading.Thread | None = None

    # --- what a caller sees --------------------------------------------------------------------------------

    @property
    def committed(self) -> int:
        """How many events this process has brought into the store; those of other processes are among them."""
        background = self._background
        return 0 if background is None else background.committed

    @property
    def buffered(self) -> int:
        """How many events wait in memory, because the spool could not be written."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """How many events were lost: the buffer was full, the process ended, or the spool grew over its bound."""
        return self._spool.lost + self._spool.dropped

    def submit(self, events: Sequence[Event]) -> bool:
        """As :meth:`submit_rows`, for events.

        Args:
            events: Redacted events of one call.
        """
        return self.submit_rows(list(map(tuple, events)))

    def submit_rows(self, rows: list[Row]) -> bool:
        """Append the events of one call to the spool, or keep them until it can take them. Never raises.

        Args:
            rows: Plain tuples of the fields of redacted events.

        Returns:
            True when they are with the operating system, or kept; False when they are lost.
        """
        if not rows:
            return True
        if self._memory:
            return self._keep(rows)
        if not self._spool.append_rows(rows):
            return self._keep(rows)
        self._appended += 1
        if self._appended >= self._enough or _now() >= self._look_at:
            self._look()
        return True

    def submit_sampled(self, rows: list[Row], minimum: int, window_ms: int) -> bool:
        """As :meth:`submit_rows`, for events that sampling took away: whoever drains counts them.

        Arguments are those of :meth:`usagetrace.spool.Spool.append_sampled`.
        """
        if not rows:
            return True
        if self._memory or not self._spool.append_sampled(rows, minimum, window_ms):
            return self._keep(rows, (minimum, window_ms))
        self._appended += 1
        if self._appended >= self._enough or _now() >= self._look_at:
            self._look()
        return True

    def submit_start(self, row: Row) -> bool:
        """Append that an operation has begun; see :meth:`usagetrace.spool.Spool.append_start`. Never raises."""
        return self._spool.append_start(row)

    def submit_calls(self, counts: Mapping[str, int], service_name: str = "") -> bool:
        """Append how often functions were called, to be counted in the store; return whether it is. Never raises.

        Args:
            counts: Number of calls since this was last told, by the function's redacted name; none does nothing.
            service_name: The tool, redacted.
        """
        if not counts:
            return True
        # Imported here: most processes have nothing to tell of.
        from usagetrace.spool.calls import Calls

        told = self._spool.append_calls(Calls(int(self._clock() * 1000), service_name, dict(counts)))
        if self._closed:
            self._spool.close()
        return told

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Bring everything that was submitted into the store, and wait for it.

        Args:
            timeout_s: How long, in seconds; locks and other drainers are waited for within it.

        Returns:
            Whether everything is in the store. What is not lies in the spool, or waits in memory.
        """
        if not self.is_used():
            return True
        return bool(guard(self._flush)(timeout_s))

    def close(self, timeout_s: float = 5.0, *, at_exit: bool = False) -> bool:
        """Bring everything into the store, look after retention, and let go of segment and store.

        Events submitted afterwards go to the spool as before; no thread starts for them.

        Args:
            timeout_s: How long at most, in seconds.
            at_exit: The process ends: drain only where that is cheap, and wait for nobody. What is in the spool is
                safe there.

        Returns:
            Whether everything is in the store; at exit, whether nothing was lost here.
        """
        if not self.is_used():
            self._closed = True
            return True
        return bool(guard(self._close)(time.monotonic() + timeout_s, at_exit))

    # --- the slow paths of a call --------------------------------------------------------------------------

    def _look(self) -> None:
        """Start the thread if the process has come of age, or a lot waits."""
        now = _now()
        # First, so that a signal handler that records meanwhile does not come here as well.
        self._look_at = _NEVER
        if self._began is None:
            self._began = now
            guard(self._leave_word)()
        age = now - self._began
        if age < _YOUNG and self._appended < self._enough:
            self._look_at = now + _YOUNG - age
            return
        self._appended, self._enough = 0, _NEVER
        guard(self._start)()

    def _leave_word(self) -> None:
        archive = "" if self._archive_dir is None else os.path.abspath(self._archive_dir)
        leave_word(self._spool.directory, f"{self._retention_days}\n{archive}")

    def _start(self) -> None:
        if not self._closed:
            self._drainer().start()

    def _hurry(self) -> None:
        """Have a drain begun at once; the caller does not wait until the database's library is loaded."""
        if self._background is not None:
            self._background.hurry()
        elif self._hurrying is None and not self._closed:
            self._hurrying = threading.Thread(target=guard(self._start), name="usagetrace-hurry", daemon=True)
            self._hurrying.start()

    def _rearm(self, seconds: float) -> None:
        """Have an append start the thread anew, once so many seconds have gone by."""
        self._appended, self._enough = 0, _NEVER if seconds else _MANY
        self._look_at = _now() + seconds

    def _keep(self, rows: list[Row], share: Share = None) -> bool:
        """Let events wait in memory; the oldest go where too many do."""
        try:
            encode(rows)
        except Exception as error:  # noqa: BLE001 -- it is the events that are at fault: nothing would ever take them
            guard.note(error)
            self._spool.count_lost(len(rows))
            return False
        self._lose(self._waiting.keep(rows, share))
        if not self._closed:
            guard(self._start)()
            return True
        # There is no thread any more that would try again.
        kept = guard(self._rescue)()
        if not kept:
            self._lose(self._waiting.clear())
        return bool(kept)

    def _lose(self, count: int) -> None:
        """Count events that are lost, and say so once, unless the cause was told already."""
        if not count:
            return
        self._spool.count_lost(count)
        self._say_lost("Usage events were lost")

    def _say_lost(self, what: str, *, at_end: bool = False) -> None:
        # Imported here: mostly nothing is lost.
        from usagetrace.store.losses import say_lost

        say_lost(self.path, self._background, what, at_end=at_end)

    def _end_without(self, count: int) -> None:
        """Count and tell of events that the process ends without having written; in the spool too, if that has room."""
        self._spool.count_lost(count)
        self._say_lost(f"{self._spool.lost} usage events were lost", at_end=True)
        self._spool.tell()
        self._spool.close()

    # --- draining ------------------------------------------------------------------------------------------

    def is_used(self) -> bool:
        """Return whether this process has submitted anything, or drains."""
        return self._began is not None or self._background is not None or bool(self._memory)

    def _drainer(self) -> Background:
        """Return the part that drains, made and imported at its first use."""
        with self._lock:
            if self._background is None:
                from usagetrace.store.background import Background
                from usagetrace.store.jitter import full_jitter
                from usagetrace.store.onward import Later

                self._background = Background(
                    self.file,
                    self._spool.directory,
                    self._waiting,
                    spool=self._spool,
                    lose=self._lose,
                    rearm=self._rearm,
                    retention_days=self._retention_days,
                    archive_dir=self._archive_dir,
                    clock=self._clock,
                    jitter=full_jitter if self._jitter is None else self._jitter,
                    onward=None if self._onward is None else Later(self._onward),
                )
            return self._background

    def _flush(self, timeout_s: float) -> bool:
        # A directory that was removed is put back first, with what is in no store yet.
        self._spool.check()
        drainer = self._drainer()
        done = drainer.flush(timeout_s)
        if self._closed:
            drainer.let_go()
        return done

    def _rescue(self) -> bool:
        drainer = self._drainer()
        kept = drainer.rescue()
        drainer.let_go()
        return kept

    def _close(self, deadline: float, at_exit: bool) -> bool:
        self._closed = True
        # From here on it can be drained to its end, and removed.
        self._spool.close()
        done = True
        if not at_exit or self._memory or self._drains_cheaply():
            done = self._drainer().finish(deadline, wait=not at_exit)
        lost = self._waiting.clear()
        if lost:
            self._end_without(lost)
        return not lost if at_exit else done

    def _drains_cheaply(self) -> bool:
        """Return whether a process that ends may drain: it is prepared for it, or many before it left it alone."""
        if self._background is not None or self._hurrying is not None:
            return True
        count, size = spool_size(self._spool.directory)
        return count >= _SEGMENTS or size > _BYTES or (size <= _LITTLE and "sqlite3" in sys.modules)

    def _after_fork_in_child(self) -> None:
        """Leave to the parent what waits, and its thread."""
        # Not used again, but kept: its store is given up by a handler of its own.
        self._of_parent = self._background
        self._begin_anew()


_known: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _hurry(one: weakref.ref[Recorder]) -> None:
    recorder = one()
    if recorder is not None:
        guard(recorder._hurry)()


def _before_fork() -> None:
    # A module that a thread is loading can't be loaded in the child any more: it would wait for that thread.
    for recorder in list(_known):
        if recorder._hurrying is not None and recorder._hurrying is not threading.current_thread():
            guard(recorder._hurrying.join)(_YOUNG)
    # One that was loaded since this fork began was not asked.
    forks = sys.modules.get("usagetrace.store.forks")
    if forks is not None:
        guard(forks.prepare)()


def _in_child() -> None:
    for recorder in list(_known):
        recorder._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)

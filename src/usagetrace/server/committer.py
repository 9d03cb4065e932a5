"""The one writer: a thread that brings what several requests hold into the store in one transaction.

While one transaction is synced to the disk, further requests arrive; the next one takes all of them. So a sync is paid
once for many small requests, and nobody waits longer for the others than for that sync. Each request is told after the
commit, never before.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.guard import guard, warn_once
from usagetrace.server.refusal import FAULT, UNAVAILABLE, RefusalError, stopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usagetrace.server.bounds import Bounds
    from usagetrace.store.intake import Added, Intake, Received

# After how many seconds the same is taken where somebody else holds the store's lock, and where it needs a hand.
_SOON_S: Final = 2
_LATER_S: Final = 30
# How long what became of a write counts as the state of the store, in seconds, where nobody has tried again since.
_FRESH_S: Final = 10.0


def begun() -> Future[Any]:
    """Return a future that nobody can cancel: what has been handed over is written, whoever still waits for it."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


class _Item:
    """What one request brings, and who waits for it."""

    __slots__ = ("done", "received", "rows")

    def __init__(self, received: Received) -> None:
        self.received = received
        self.rows = len(received.rows) + len(received.points)
        self.done: Future[Added] = begun()


class Committer:
    """Writes into one store, from one thread.

    Args:
        intake: The store; it belongs to the thread from the start until the stop.
        bounds: The bounds of the server.
    """

    def __init__(self, intake: Intake, bounds: Bounds) -> None:
        self._intake = intake
        self._bounds = bounds
        # None ends the thread.
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="usagetrace-committer", daemon=True)
        self._failure: tuple[float, str] | None = None
        self._success: float | None = None
        # Guards what follows; told when there is room again.
        self._room = threading.Condition()
        self._rows = 0
        self._closed = False
        self.commits = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, received: Received) -> Future[Added]:
        """Have something written; the future is done when it is committed, or holds why it is not.

        Waits while very much is to be written already: rows take far more memory than the bodies that they were.
        """
        item = _Item(received)
        with self._room:
            self._room.wait_for(lambda: self._rows < self._bounds.waiting_rows or self._closed)
            closed = self._closed
            if not closed:
                self._rows += item.rows
                self._queue.put(item)
        if closed:
            item.done.set_exception(stopping())
        return item.done

    def trouble(self) -> str | None:
        """Return why the last attempt to write failed; None where it did not, or long ago."""
        failure = self._failure
        return failure[1] if failure is not None and _is_fresh(failure[0]) else None

    def is_writing(self) -> bool:
        """Return whether something was committed just now."""
        return self._success is not None and _is_fresh(self._success)

    def stop(self, timeout: float) -> bool:
        """Write what waits and end; return whether that was done within so many seconds."""
        with self._room:
            self._closed = True
            self._room.notify_all()
            self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch: list[_Item] = []
            ended = self._gather(batch)
            if batch:
                self._write(batch)
                with self._room:
                    self._rows -= sum(item.rows for item in batch)
                    self._room.notify_all()
        with guard:
            self._intake.close()

    def _gather(self, batch: list[_Item]) -> bool:
        """Wait for something to write and take all that there is, up to the bounds; return whether it is the last."""
        rows = 0
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            rows += item.rows
            if rows >= self._bounds.commit_rows or len(batch) >= self._bounds.commit_requests:
                return False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return False
        return True

    def _write(self, batch: Sequence[_Item]) -> None:
        try:
            added = self._intake.add([item.received for item in batch])
        except StoreError as error:
            wait_s = self._note_failure(error)
            for item in batch:
                # One each: an exception that several raise grows with every one of them.
                item.done.set_exception(
                    RefusalError(UNAVAILABLE, "the store can't be written now", retry_after_s=wait_s)
                )  # fmt: skip
        except Exception as error:  # noqa: BLE001 -- a fault of ours must not end the thread that everybody waits for
            self._apart(batch, error)
        else:
            self._failure, self._success = None, time.monotonic()
            self.commits += 1
            for item, each in zip(batch, added, strict=True):
                item.done.set_result(each)

    def _apart(self, batch: Sequence[_Item], error: Exception) -> None:
        """Write each for itself: what one request holds must not cost the others theirs, nor come again for ever."""
        if len(batch) > 1:
            for item in batch:
                self._write([item])
            return
        guard.note(error)
        warn_once(
            f"server:write:{type(error).__name__}",
            "a request could not be stored and was refused for good: %s; please report it with what sent it",
            error,
        )
        batch[0].done.set_exception(RefusalError(FAULT, f"it could not be stored: {type(error).__name__}"))

    def _note_failure(self, error: StoreError) -> int:
        """Note that the store can't be written; return after how many seconds it may be tried again."""
        reason = str(error)
        self._failure = (time.monotonic(), reason)
        warn_once(f"server:store:{type(error).__name__}", "what is received can't be stored: %s", reason)
        return _SOON_S if isinstance(error, StoreUnavailableError) else _LATER_S


def _is_fresh(moment: float) -> bool:
    return time.monotonic() - moment <= _FRESH_S

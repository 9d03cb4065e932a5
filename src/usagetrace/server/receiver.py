"""From a body to a commit: the one way of every request, whichever door it came in by.

::

    door ── admit ── body ── submit ──> reader: decompress, read, redact ──> committer ──> the door answers

This module owns the threads that have bodies read, and the order of start and stop. It knows neither HTTP nor gRPC.
"""

from __future__ import annotations

import concurrent.futures
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from usagetrace.errors import StoreError
from usagetrace.guard import guard
from usagetrace.server.admission import Admission
from usagetrace.server.committer import Committer, begun
from usagetrace.server.counts import Counts
from usagetrace.server.reading import Here, fault
from usagetrace.server.refusal import UNAVAILABLE, RefusalError, stopping
from usagetrace.store.intake import Intake, Received
from usagetrace.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from usagetrace.otlp.decode import Decoded, Decoder
    from usagetrace.server.admission import Ticket
    from usagetrace.server.bounds import Bounds
    from usagetrace.server.reading import Reader
    from usagetrace.store.intake import Added


# Seconds between two looks at how long a body takes.
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request that was taken.

    Attributes:
        rejected: Items of it that were not.
        message: Why they were not; empty where all were.
    """

    rejected: int = 0
    message: str = ""


class _Job:
    """One body on its way."""

    __slots__ = ("body", "done", "encoding", "json", "signal", "ticket")

    def __init__(self, ticket: Ticket, signal: str, body: bytes, encoding: str, json: bool) -> None:
        self.ticket = ticket
        self.signal = signal
        self.body = body
        self.encoding = encoding
        self.json = json
        self.done: concurrent.futures.Future[Outcome] = begun()


class Receiver:
    """Takes bodies of OTLP into a store.

    Args:
        path: The database; made at the start where it is missing.
        decoder: Reads bodies.
        bounds: The bounds of the server.
        processes: Processes that read, by what ``decoder`` reads by now; 0 for a thread of this one, which it also is
            where another process could not read as it does.
    """

    def __init__(self, path: Path, decoder: Decoder, bounds: Bounds, *, processes: int = 0) -> None:
        self.bounds = bounds
        self.admission = Admission(bounds)
        self.counts = Counts()
        self._path = path
        self._committer = Committer(Intake(path, busy_timeout_ms=bounds.lock_ms), bounds)
        self._readers = _readers(decoder, bounds, processes)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # A thread each; one that reads itself is alone: a second would only share the interpreter's lock, at a fifth
        # more of the processor's time, measured. How long one body holds up the others is what its size allows: a
        # second or two at the bound.
        self._workers = [
            threading.Thread(target=self._work, args=(reader,), name="usagetrace-decoder", daemon=True)
            for reader in self._readers
        ]
        self._watch = threading.Thread(target=self._look_on, name="usagetrace-watch", daemon=True)
        self._ended = threading.Event()
        self._started = False
        self._lock = threading.Lock()
        self._closed = False

    @property
    def commits(self) -> int:
        """Transactions until now."""
        return self._committer.commits

    def require_store(self) -> None:
        """See that the store can be written, making it where it is missing.

        Raises:
            StoreError: It can't.
        """
        # By a connection of its own: the other one is its thread's.
        with Store(self._path, busy_timeout_ms=self.bounds.lock_ms) as store, store.atomic():
            return

    def start(self) -> None:
        """Start the threads."""
        self._started = True
        self._committer.start()
        for worker in self._workers:
            worker.start()
        if any(reader.rest_s is not None for reader in self._readers):
            self._watch.start()

    def refuse(self) -> None:
        """Take no further request; what is under way goes on."""
        self.admission.close()

    def stop(self, timeout: float) -> bool:
        """Finish what is under way and end the threads; return whether that was done within so many seconds."""
        self.refuse()
        if not self._started:
            return True
        end = time.monotonic() + timeout
        with self._lock:
            self._closed = True
            for _ in self._workers:
                self._jobs.put(None)
        for worker in self._workers:
            worker.join(max(end - time.monotonic(), 0.0))
        self._ended.set()
        for reader in self._readers:
            reader.end()
        return self._committer.stop(max(end - time.monotonic(), 0.0))

    def submit(
        self, ticket: Ticket, signal: str, body: bytes, encoding: str, *, json: bool
    ) -> concurrent.futures.Future[Outcome]:
        """Have a body decoded and stored.

        Args:
            ticket: The request's; it is left when the future is done.
            signal: ``traces``, ``metrics`` or ``logs``.
            body: The body as it came.
            encoding: How it is compressed, as :func:`usagetrace.server.compression.require_known` gives it.
            json: Whether it is JSON rather than protobuf.

        Returns:
            Done when all of it is committed; else it holds a :class:`RefusalError`.
        """
        job = _Job(ticket, signal, body, encoding, json)
        with self._lock:
            closed = self._closed
            if not closed:
                self._jobs.put(job)
        if closed:
            self._fail(job, stopping())
        return job.done

    def trouble(self) -> str | None:
        """Return why the store can't be written, or None; asks the store where nothing was written just now."""
        known = self._committer.trouble()
        # Who is asked while it is busy would wait for the lock behind those who write.
        if known is None and not self._committer.is_writing():
            try:
                self.require_store()
            except StoreError as error:
                return str(error)
        return known

    def unread(self) -> str | None:
        """Return why nothing can be read now, or None."""
        troubles = [reader.trouble() for reader in self._readers]
        return troubles[0] if all(troubles) else None

    # --- the decoders' threads -----------------------------------------------------------------------------

    def _work(self, reader: Reader) -> None:
        reader.start()
        while True:
            try:
                job = self._jobs.get(timeout=reader.rest_s)
            except queue.Empty:
                reader.look()
                continue
            if job is None:
                return
            try:
                self._decode(reader, job)
            except RefusalError as refusal:
                self._fail(job, refusal)
            except Exception as error:  # noqa: BLE001 -- a fault of ours costs this request, not the worker
                guard.note(error)
                self._fail(job, fault(type(error).__name__, error))
            # Not while the next one is waited for.
            del job

    def _look_on(self) -> None:
        """Have no reader take longer over one body than it may."""
        while not self._ended.wait(_LOOK_S):
            for reader in self._readers:
                reader.watch()

    def _decode(self, reader: Reader, job: _Job) -> None:
        body, job.body = job.body, b""
        size, decoded = reader.read(job.signal, body, job.encoding, json=job.json)
        del body
        # From here on it takes the room of what came out.
        job.ticket.hold(size)
        if decoded.rows or decoded.points:
            waiting = self._committer.put(Received(decoded.rows, decoded.points))
            waiting.add_done_callback(lambda done: self._committed(job, decoded, done))
        else:
            self._tell(job, decoded, 0, 0, 0)

    def _committed(self, job: _Job, decoded: Decoded, done: concurrent.futures.Future[Added]) -> None:
        """Tell whoever waits, on the committer's thread."""
        error = done.exception()
        if error is None:
            added = done.result()
            self._tell(job, decoded, added.added, added.duplicates, added.refused)
        elif isinstance(error, RefusalError):
            self._fail(job, error)
        else:
            self._fail(job, RefusalError(UNAVAILABLE, "it was not stored", retry_after_s=1))

    def _tell(self, job: _Job, decoded: Decoded, added: int, duplicates: int, refused: int) -> None:
        rejected = decoded.rejected + refused
        reasons = [*decoded.reasons, *(["the store can't hold some of them"] if refused else [])]
        self.counts.taken(job.signal, added, duplicates, decoded.ignored, rejected)
        job.ticket.leave()
        job.done.set_result(Outcome(rejected, "; ".join(reasons)))

    def _fail(self, job: _Job, refusal: RefusalError) -> None:
        self.counts.refused(job.signal)
        job.ticket.leave()
        job.done.set_exception(refusal.alone())

    def shape(self) -> dict[str, Any]:
        """Return what there is to tell of it, as JSON can hold it."""
        requests, held = self.admission.waiting
        return {
            "signals": self.counts.shape(),
            "commits": self.commits,
            "waiting": {"requests": requests, "bytes": held},
        }


def _readers(decoder: Decoder, bounds: Bounds, processes: int) -> list[Reader]:
    if not processes or not sys.executable or not decoder.is_portable():
        return [Here(decoder, bounds.decompressed)]
    # Imported here: a server may do without.
    from usagetrace.server.children import Child

    return [Child(decoder, bounds.decompressed, bounds.decode_s) for _ in range(processes)]

"""Sends what a store holds to an endpoint, batch by batch, and remembers after each how far that is.

A batch is read, encoded, sent and answered before the cursor moves: whoever dies in between sends it again, and the ids
of the events make that harmless. One batch is in memory at a time, bounded by count and by bytes. Once, or until
somebody says stop; both end within a second of that, in the middle of an exchange or a pause too. What is sent is
decided in :mod:`usagetrace.delivery.sending`; settings and terminals are not known here.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from usagetrace.delivery.backoff import Backoff
from usagetrace.delivery.outbox import Outbox
from usagetrace.delivery.rate import Rate
from usagetrace.delivery.report import Report
from usagetrace.delivery.sending import HaltedError, Patience, Sending, StoppedError
from usagetrace.delivery.transport import Transport
from usagetrace.errors import StoreError
from usagetrace.redaction import default_redactor
from usagetrace.store.deliveries import Waiting

# Events of the first batch, and of any: it doubles while all goes well.
_FIRST_BATCH: Final = 64
BATCH: Final = 512
# Bytes of one request, not compressed.
BATCH_BYTES: Final = 1024 * 1024
# Seconds of the allowed rate that one request may take: what waits for a slow line is to come in small pieces.
_RATE_S: Final = 4
_LEAST_BYTES: Final = 16 * 1024
# Whoever waits for the end of it, and whoever does not.
ONCE: Final = Patience(busy_s=60.0, unreachable_s=10.0)
FOREVER: Final = Patience(busy_s=float("inf"), unreachable_s=float("inf"))
# Seconds between two looks for new events, and bounds of the pauses where somebody has to mend something first.
_POLL_S: Final = 5.0
_MEND_FIRST_S: Final = 60.0
_MEND_LONGEST_S: Final = 600.0
# Ends after which a pass soon would end the same way, and those that did not come to what was to be sent.
_TO_MEND: Final = frozenset(("misconfigured", "refused", "alone"))
_BEFORE: Final = frozenset(("misconfigured", "off", "claimed", "store"))
STOPPED: Final = "stopped before everything was sent"


def _silent(message: str) -> None:
    """Say nothing."""


class Forwarder:
    """Sends what one store holds to one endpoint. Making one touches no file and no network.

    Args:
        path: The database.
        transport: Speaks to the endpoint; closed by :meth:`stop`.
        drain: Whether to bring in what lies in the spool first.
        bytes_per_s: Most bytes a second, on the average; None for no bound.
        batch: Most events in a request; a call with more goes whole.
        patience: How long to go on with an endpoint that takes nothing.
        refusal: Says why nothing may be sent any more; empty while it may. Asked before each request.
        tell: Told in a sentence why something is tried again, once for each reason.
        backoff: The pauses between two tries; the standard ones by default.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        transport: Transport,
        *,
        drain: bool = True,
        bytes_per_s: float | None = None,
        batch: int = BATCH,
        patience: Patience = ONCE,
        refusal: Callable[[], str] = str,
        tell: Callable[[str], None] = _silent,
        backoff: Backoff | None = None,
    ) -> None:
        self._transport = transport
        self._drain = drain
        self._batch = batch
        self._refusal = refusal
        self._stop = threading.Event()
        self._outbox = Outbox(path, transport.endpoint, stop=self._stop)
        self._at_most = min(_FIRST_BATCH, batch)
        self._delivered = 0
        self._in_spool = False
        # When to look for new events while waiting.
        self._drain_at = 0.0
        most = BATCH_BYTES if bytes_per_s is None else max(int(bytes_per_s * _RATE_S), _LEAST_BYTES)
        self._sending = Sending(
            self._outbox,
            transport,
            stop=self._stop,
            redactor=default_redactor(),
            rate=Rate(bytes_per_s),
            backoff=Backoff() if backoff is None else backoff,
            patience=patience,
            most_bytes=min(most, BATCH_BYTES),
            look_around=self._look_around,
            tell=tell,
        )

    @property
    def endpoint(self) -> str:
        """Where events go, without credentials."""
        return self._transport.endpoint

    def stop(self) -> None:
        """End what is under way within a moment. From any thread; nothing is sent afterwards."""
        self._stop.set()
        self._transport.close()

    def close(self) -> None:
        """Let go of store and lock. On the thread that forwards, when it has ended."""
        self._outbox.close()

    def waiting(self) -> Waiting:
        """Return what is still to be delivered. Reads every event that waits.

        Raises:
            StoreError: The store can't be read.
        """
        return self._outbox.waiting() if self._outbox.exists() else Waiting(0, None, 0)

    # --- once ----------------------------------------------------------------------------------------------

    def run_once(self, deadline: float | None = None, *, retry_set_aside: bool = False) -> Report:
        """Send what waits. Raises nothing that is foreseen: it is in the report.

        Args:
            deadline: By the monotonic clock: no further batch is begun after it; None for no such end.
            retry_set_aside: Send what was set aside as well, first.
        """
        sending = self._sending
        sending.requests = sending.rejected = self._delivered = 0
        sending.aside = []
        before = self._transport.sent_bytes
        ended = reason = ""
        retry_after_s = None
        try:
            self._look_around_at_once()
            ended, reason = self._all(deadline, retry_set_aside=retry_set_aside)
        except HaltedError as halted:
            ended, reason, retry_after_s = halted.kind, halted.reason, halted.retry_after_s
        except StoppedError:
            ended, reason = "stopped", STOPPED
        except StoreError as error:
            ended, reason = "store", str(error)
        except OSError as error:
            # Of the lock.
            why = error.strerror or type(error).__name__
            ended, reason = "store", f"{error.filename}: {why}: to send, its folder must be there and writable"
        return Report(
            delivered=self._delivered,
            rejected=sending.rejected,
            set_aside=tuple(sending.aside),
            requests=sending.requests,
            sent_bytes=self._transport.sent_bytes - before,
            ended=ended,
            reason=reason,
            retry_after_s=retry_after_s,
        )

    def _all(self, deadline: float | None, *, retry_set_aside: bool) -> tuple[str, str]:
        """Send everything; return why it ended before that, if it did."""
        if not self._outbox.exists():
            return self._rest_of_spool()
        if not self._outbox.claim():
            return "claimed", "another process sends to this endpoint now"
        if retry_set_aside:
            self._send_set_aside()
        while not self._stop.is_set():
            if deadline is not None and time.monotonic() >= deadline:
                return "time", "the time was over before everything was sent"
            calls = self._outbox.next(self._at_most)
            if not calls:
                return self._rest_of_spool()
            self._sending.divided = False
            taken = self._sending.deliver(calls)
            count = sum(map(len, taken))
            self._outbox.advance(calls[-1][-1].id, delivered=count)
            self._delivered += count
            self._resize()
        raise StoppedError

    def _rest_of_spool(self) -> tuple[str, str]:
        if self._in_spool:
            return "spool", "not everything in the spool could be brought into the database"
        return "", ""

    def _send_set_aside(self) -> None:
        """Send once more what was set aside; what is refused again stays so."""
        after = 0
        while calls := self._outbox.set_aside_calls(self._at_most, after):
            after = calls[-1][-1].id
            taken = self._sending.deliver(calls, already=True)
            self._outbox.take_back(taken)
            self._delivered += sum(map(len, taken))

    def _resize(self) -> None:
        if self._sending.divided:
            self._at_most = max(self._at_most // 2, 1)
        else:
            self._at_most = min(self._at_most * 2, self._batch)

    def _look_around_at_once(self) -> None:
        self._drain_at = 0.0
        self._look_around()

    def _look_around(self) -> None:
        """See whether anything may be sent still; bring in what tools left in the spool meanwhile.

        Raises:
            HaltedError: Somebody said no.
        """
        said = self._refusal()
        if said:
            raise HaltedError("off", said)
        if self._drain and time.monotonic() >= self._drain_at:
            self._in_spool = not self._outbox.drain()
            self._drain_at = time.monotonic() + _POLL_S

    # --- until stopped -------------------------------------------------------------------------------------

    def run(self, tell: Callable[[Report], None], *, retry_set_aside: bool = False) -> None:
        """Send what waits, and what comes, until :meth:`stop` is called.

        Args:
            tell: Told of each pass that did something, or ended otherwise than the one before.
            retry_set_aside: In the first pass, send what was set aside as well.
        """
        pauses = Backoff(_MEND_FIRST_S, _MEND_LONGEST_S)
        last = ""
        while not self._stop.is_set():
            newest = self._newest()
            report = self.run_once(retry_set_aside=retry_set_aside)
            # Until it was come to.
            retry_set_aside = retry_set_aside and report.ended in _BEFORE
            if report.delivered or report.set_aside or report.reason not in (last, STOPPED):
                tell(report)
            last = report.reason
            if not report.ended:
                pauses.reset()
            self._rest(report, pauses, newest)

    def _rest(self, report: Report, pauses: Backoff, newest: int) -> None:
        """Wait for the next pass: a moment, or long where nothing would be otherwise, unless another event comes.

        Args:
            report: Of the last pass.
            pauses: The long ones.
            newest: The last event that waited when that pass began.
        """
        if report.ended not in _TO_MEND:
            self._stop.wait(_POLL_S)
            return
        end = time.monotonic() + max(pauses.next(report.retry_after_s), _MEND_FIRST_S / 2)
        while time.monotonic() < end and not self._stop.wait(_POLL_S):
            if self._drain:
                self._outbox.drain()
            # With it, it shows whether the one event is at fault, or the endpoint.
            if report.ended == "alone" and self._newest() > newest:
                return

    def _newest(self) -> int:
        """Return the id of the newest event that waits; 0 for none, or where that can't be known now."""
        with contextlib.suppress(StoreError):
            return self._outbox.newest_id() if self._outbox.exists() else 0
        return 0

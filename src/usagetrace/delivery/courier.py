"""Forwards from a process of a tool itself: on a thread of its own, now and then, and waited for by nobody.

The recorder's thread, which brings events into the database, tells a courier how many it brought; whether and when to
send is decided here. Nothing of this is loaded before that thread has run for a while: a short command has no courier,
and leaves its events to a later process or to ``usagetrace forward``.

- At exit what is under way is broken off; the cursor has not moved, so nothing is lost.
- A child of a fork has no courier of its parent: the recorder there makes a new one when it needs it.
- Where another process sends to the same endpoint, this one looks again later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from usagetrace.consent import consent
from usagetrace.errors import UsageTraceError
from usagetrace.guard import guard, warn_once

if TYPE_CHECKING:
    from usagetrace.config import Settings
    from usagetrace.delivery.forwarder import Forwarder
    from usagetrace.delivery.report import Report

# Seconds from the first look to the first sending: a command that ends before is a short one.
_FIRST_S: Final = 4.0
# Seconds between two sendings, and events that are not waited with for so long.
INTERVAL_S: Final = 30.0
MANY: Final = 2000
# Longest time that one sending goes on for, in seconds; the rest comes with the next.
_TURN_S: Final = 20.0
# Longest pause after failures, in seconds.
_LONGEST_S: Final = 600.0
# Ends of a turn after which the next one comes later and later; and those that only a person can mend.
_FAILURES: Final = frozenset(("busy", "unreachable", "misconfigured", "refused", "store"))
_TO_MEND: Final = frozenset(("misconfigured", "refused"))
# How long an exit waits for the thread when its exchange was broken off, in seconds.
_GRACE_S: Final = 0.05


class Courier:
    """Sends what waits in a store, from time to time. Making one starts nothing.

    Args:
        make: Makes what sends; called on the courier's own thread, once a turn. None where there is nothing to send
            with; it has said why.
        clock: The present in seconds, from any beginning.
        first_s: Seconds from the first look to the first sending.
        interval_s: Seconds between two sendings.
    """

    def __init__(
        self,
        make: Callable[[], Forwarder | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        first_s: float = _FIRST_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._make = make
        self._clock = clock
        self._interval_s = interval_s
        # Re-entrant: a signal handler may end the program while this thread is in here.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._forwarder: Forwarder | None = None
        # Events that the recorder has brought in, and how many of them were there at the last sending; none yet.
        self._brought = 0
        self._seen = -1
        self._failures = 0
        # Seconds that the endpoint asked to be left alone for, and whether more waits than one turn could send.
        self._asked_s = 0.0
        self._more = False
        self._due = clock() + first_s

    def look(self, brought: int) -> None:
        """Take notice of what is in the store; start the thread where something is new. Returns at once.

        Args:
            brought: How many events this process has brought in so far.
        """
        with self._lock:
            self._brought = brought
            if self._stopped or brought == self._seen:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="usagetrace-courier", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    # None starts while the interpreter ends.
                    guard.note(error)
                    return
                self._thread = thread
            elif brought - self._seen >= MANY and not self._failures:
                self._wake.set()

    def stop(self) -> None:
        """Break off what is under way, and send no more; wait for no longer than a moment."""
        with self._lock:
            self._stopped = True
            thread, forwarder = self._thread, self._forwarder
        self._wake.set()
        if forwarder is not None:
            forwarder.stop()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_GRACE_S)

    # --- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._waits_for_turn():
                seen = self._brought
                self._take_turn()
                with self._lock:
                    self._seen = seen
                    self._due = self._clock() + self._pause()
                    if not self._failures and not self._more and self._brought == seen:
                        self._thread = None
                        return
        except Exception as error:  # noqa: BLE001 -- the thread is this package's own
            guard.note(error)
        with self._lock:
            self._thread = None

    def _waits_for_turn(self) -> bool:
        """Wait until it is time; return whether anything is to be sent still."""
        while not self._stopped:
            left = self._due - self._clock()
            if left <= 0:
                break
            if self._wake.wait(left):
                self._wake.clear()
                break
        return not self._stopped

    def _pause(self) -> float:
        # Not at random: processes of one machine that share a store take turns by its lock anyway.
        if self._more:
            return 0.0
        return max(min(self._interval_s * 2.0 ** min(self._failures, 10), _LONGEST_S), self._asked_s)

    def _take_turn(self) -> None:
        forwarder = self._make()
        if forwarder is None:
            with self._lock:
                self._stopped = True
            return
        with self._lock:
            self._forwarder = forwarder
            if self._stopped:
                forwarder.stop()
        try:
            report = forwarder.run_once(time.monotonic() + _TURN_S)
        finally:
            with self._lock:
                self._forwarder = None
            forwarder.stop()
            forwarder.close()
        self._judge(report)

    def _judge(self, report: Report) -> None:
        failed = report.ended in _FAILURES
        self._failures = self._failures + 1 if failed else 0
        self._asked_s = min(report.retry_after_s or 0.0, _LONGEST_S)
        self._more = report.ended == "time"
        if report.ended in _TO_MEND:
            warn_once(
                f"forward:{report.ended}",
                "usage events wait in the local file: the OTLP endpoint %s; `usagetrace status --check` says more",
                report.reason,
            )


def courier_of(settings: Settings, path: str) -> Courier:
    """Return a courier for the endpoint that settings name; it loads nothing yet.

    Args:
        settings: The settings in force.
        path: The database, absolute.
    """

    def make() -> Forwarder | None:
        # Imported here, on the courier's thread: what speaks HTTP takes its time to load.
        try:
            from usagetrace.delivery.forwarder import Forwarder
            from usagetrace.delivery.sending import Patience
            from usagetrace.delivery.transport import Transport

            transport = Transport.from_settings(settings)
        except ImportError as error:
            warn_once(
                "otlp", "OTLP needs a package that is not installed (%s): pip install 'usagetrace[otlp]'", error.name
            )
            return None
        except UsageTraceError as error:
            warn_once("otlp", "usage events wait in the local file: %s", error)
            return None
        return Forwarder(
            path,
            transport,
            # The recorder's thread does that.
            drain=False,
            patience=Patience(0.0, 0.0),
            refusal=lambda: consent(settings.environ).reason,
        )

    return Courier(make, first_s=_FIRST_S, interval_s=INTERVAL_S)

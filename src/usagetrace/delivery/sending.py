"""Sends calls to an endpoint, repeats what may yet succeed, and finds the one call at fault where a batch is not taken.

A batch that is refused is sent again in halves, down to the call that is refused by itself. That call is set aside,
with the endpoint's own words, only where other calls of the moment are taken: an endpoint that takes nothing is set up
wrongly, and none of the events is to blame. This module knows no cursor and no thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from usagetrace.delivery.backoff import Backoff
from usagetrace.delivery.outbox import Call, Outbox
from usagetrace.delivery.rate import Rate
from usagetrace.delivery.reply import Reply
from usagetrace.delivery.report import SetAside
from usagetrace.delivery.transport import Transport
from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.otlp.encode import Encoded, encode
from usagetrace.redaction import Redactor

TRACES: Final = "traces"
LOGS: Final = "logs"
# Calls that are sent singly to learn whether the endpoint takes anything, and calls that are set aside on that word.
SAMPLES: Final = 8
# Newest events that such calls are picked from.
_NEWEST: Final = 32
# Calls that were set aside which are kept to be told of; all of them are in the store.
_NAMED: Final = 1000
# Requests that get no answer before what is in them is suspected: more than one call is sent in halves from then on.
_SILENCE: Final = 2
_SILENCE_OF_ONE: Final = 5
# What a request ends in that may be its own fault: it is too long for the line, or kills who reads it.
_SILENT: Final = frozenset(("timed_out", "broken_off"))
# Longest time without a look around while waiting, in seconds.
_LOOK_AROUND_S: Final = 15.0
_IN_PARTS: Final = Reply("too_large")


class StoppedError(Exception):
    """Somebody asked to stop."""


class HaltedError(Exception):
    """Nothing more can be sent now.

    Args:
        kind: ``busy``, ``unreachable``, ``misconfigured``, ``refused`` (everything that was tried), ``alone`` (the only
            one that waits), or ``off``.
        reason: One sentence, redacted.
        retry_after_s: Seconds that the endpoint asked to wait, or None.
    """

    def __init__(self, kind: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with an endpoint that takes nothing, in seconds.

    Attributes:
        busy_s: With one that asks for patience (429, 502, 503, 504).
        unreachable_s: With one that does not answer.
    """

    busy_s: float
    unreachable_s: float


class Sending:
    """Sends calls. One object serves one thread.

    Args:
        outbox: Gives the newest calls, and remembers those that are set aside.
        transport: Speaks to the endpoint.
        stop: Set when everything is to end.
        redactor: Sees every event once more before it leaves.
        rate: Bounds the bytes a second.
        backoff: Says how long to pause.
        patience: How long to try.
        most_bytes: Bytes of a request, not compressed, above which it is sent in parts; one call is sent whole.
        look_around: Called before each request and while waiting; raises :class:`HaltedError` to end.
        tell: Told in one sentence why something is tried again, or was taken in part; once for each reason.

    Attributes:
        requests: Requests that were sent.
        rejected: Spans and records that the endpoint took requests without.
        aside: The first calls that were set aside.
        divided: Whether a batch was too large, or too slow, for one request since somebody last set this to False.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        *,
        stop: threading.Event,
        redactor: Redactor,
        rate: Rate,
        backoff: Backoff,
        patience: Patience,
        most_bytes: int,
        look_around: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._stop = stop
        self._redactor = redactor
        self._rate = rate
        self._backoff = backoff
        self._patience = patience
        self._most_bytes = most_bytes
        self._look_around = look_around
        self._tell = tell
        # Since when the endpoint takes nothing, of the monotonic clock.
        self._failing_since: float | None = None
        self._told = self._told_rejected = ""
        # Of the batch in hand, by a call's first event: calls that were taken as samples, and those refused singly.
        self._taken: set[int] = set()
        self._refused: set[int] = set()
        # How many calls may be set aside on the word of the last one that was taken.
        self._credit = 0
        # The last encoding: a batch of spans and records is encoded once for both.
        self._encoded: tuple[list[Call], Encoded] | None = None
        self.requests = 0
        self.rejected = 0
        self.aside: list[SetAside] = []
        self.divided = False

    def deliver(self, calls: Sequence[Call], *, already: bool = False) -> list[Call]:
        """Send calls; set those aside that are at fault.

        Args:
            calls: Whole calls, in order.
            already: They are set aside already: one that is refused again stays so, with its new reason.

        Returns:
            The calls that were not set aside.

        Raises:
            HaltedError: The rest can't be sent now; what was set aside until then stays so.
            StoppedError: Somebody asked to stop.
            StoreError: What is to be set aside can't be remembered.
        """
        self._refused.clear()
        self._leave_unredacted(list(calls))
        for signal in (TRACES, LOGS):
            # A signal that somebody said none of is passed over.
            if self._transport.sends(signal):
                self._credit = 0
                self._taken.clear()
                self._deliver(signal, calls, already=already)
        self._encoded = None
        return [call for call in calls if call[0].id not in self._refused]

    def _deliver(self, signal: str, calls: Sequence[Call], *, already: bool) -> None:
        parts = [list(calls)]
        while parts:
            part = [call for call in parts.pop() if call[0].id not in self._taken | self._refused]
            reply = self._send(signal, part) if part else None
            if reply is None or reply.kind == "accepted":
                continue
            if len(part) > 1:
                middle = len(part) // 2
                # The first half comes first.
                parts += [part[middle:], part[:middle]]
            elif already or self._is_to_blame(signal, part[0], reply, calls):
                self._set_aside(part[0], reply)

    def _leave_unredacted(self, calls: list[Call]) -> None:
        """Set aside what can't be redacted; where that is everything, the rules are at fault, and nothing is."""
        encoded = self._encode(calls)
        if isinstance(encoded, Reply) or not encoded.left_out:
            return
        left_out = frozenset(encoded.left_out)
        private = [call for call in calls if any(event.id in left_out for event in call)]
        if len(private) == len(calls) > 1:
            raise HaltedError("refused", "can't be sent anything: no event can be redacted by these rules")
        for call in private:
            self._set_aside(call, Reply("refused", message="was not asked: the event can't be redacted"))

    # --- who is at fault -----------------------------------------------------------------------------------

    def _is_to_blame(self, signal: str, suspect: Call, reply: Reply, calls: Sequence[Call]) -> bool:
        """Return whether a call that was refused by itself is to be set aside; False where it was taken after all.

        Raises:
            HaltedError: Nothing else is taken either, or there is nothing else.
        """
        if reply.kind == "unreachable":
            # What was taken before says nothing of the line now.
            self._credit = 0
        if self._credit <= 0:
            tried = self._try_others(signal, suspect, calls)
            if self._credit <= 0:
                raise _nothing_taken(suspect, reply, tried)
            if reply.kind == "unreachable":
                # The line may be back only now.
                again = self._send(signal, [suspect])
                if again is None or again.kind == "accepted":
                    return False
        self._credit -= 1
        return True

    def _try_others(self, signal: str, suspect: Call, calls: Sequence[Call]) -> int:
        """Send other calls singly until one is taken, or a few were not; return how many were not."""
        tried = 0
        for call in self._others(suspect, calls):
            reply = self._send(signal, [call])
            if reply is None:
                continue
            if reply.kind == "accepted":
                self._taken.add(call[0].id)
                break
            tried += 1
            if tried >= SAMPLES:
                break
        return tried

    def _others(self, suspect: Call, calls: Sequence[Call]) -> Iterator[Call]:
        """Yield the newest calls that wait, then some from all over the batch."""
        seen = {suspect[0].id, *self._refused}
        newest = self._outbox.newest(_NEWEST)[::-1][: SAMPLES // 2]
        step = max(len(calls) // SAMPLES, 1)
        for call in [*newest, *calls[::-1][::step], *calls]:
            if call[0].id not in seen:
                seen.add(call[0].id)
                yield call

    def _set_aside(self, call: Call, reply: Reply) -> None:
        self._outbox.set_aside(call, reply.message)
        self._refused.add(call[0].id)
        if len(self.aside) < _NAMED:
            self.aside.append(SetAside(tuple(event.id for event in call), name_of(call), reply.message))

    # --- one request ---------------------------------------------------------------------------------------

    def _send(self, signal: str, part: list[Call]) -> Reply | None:
        """Send calls in one request; return the answer, or None where nothing in them is of the signal."""
        encoded = self._encode(part)
        if isinstance(encoded, Reply):
            return encoded
        body = encoded.traces if signal == TRACES else encoded.logs
        if body is None:
            return None
        if len(body) > self._most_bytes and len(part) > 1:
            self.divided = True
            return _IN_PARTS
        reply = self._exchange(signal, body, _SILENCE if len(part) > 1 else _SILENCE_OF_ONE)
        if reply.kind == "accepted":
            self._credit = SAMPLES
            self.rejected += reply.rejected
            if reply.rejected and reply.message != self._told_rejected:
                self._told_rejected = reply.message
                self._tell(reply.message)
        elif reply.kind != "refused":
            self.divided = True
        return reply

    def _encode(self, part: list[Call]) -> Encoded | Reply:
        """Return calls as requests; a refusal of our own where one of them can't be encoded."""
        if self._encoded is None or self._encoded[0] != part:
            events = [event for call in part for event in call]
            store_id = self._outbox.store_id()
            try:
                self._encoded = (part, encode(events, store_id=store_id, redactor=self._redactor))
            except Exception as error:  # noqa: BLE001 -- one event that can't be encoded must not keep the others
                guard.note(error)
                return Reply("refused", message=f"was not asked: the event can't be encoded ({type(error).__name__})")
        return self._encoded[1]

    def _exchange(self, signal: str, body: bytes, silences: int) -> Reply:
        """Send a body until it is answered.

        Args:
            signal: What it is.
            body: The request, serialized.
            silences: Requests in a row without an answer after which the body itself is suspected.

        Returns:
            An answer that another try would not change, or the last silence.
        """
        silent = 0
        while True:
            self._pause(self._rate.pause())
            self._look_around()
            before = self._transport.sent_bytes
            reply = self._transport.send(signal, body)
            self.requests += 1
            self._rate.spend(self._transport.sent_bytes - before)
            if reply.kind in ("accepted", "refused", "too_large"):
                self._failing_since = None
                self._told = ""
                self._backoff.reset()
                return reply
            if self._stop.is_set():
                raise StoppedError
            if reply.kind == "misconfigured":
                raise HaltedError("misconfigured", reply.message)
            silent = silent + 1 if reply.fault in _SILENT else 0
            self._wait_for_better(reply)
            if silent >= silences:
                return reply

    def _wait_for_better(self, reply: Reply) -> None:
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        seconds = self._backoff.next(reply.retry_after_s)
        busy = reply.kind == "retry"
        longest = self._patience.busy_s if busy else self._patience.unreachable_s
        if now + seconds - self._failing_since > longest:
            self._failing_since = None
            raise HaltedError("busy" if busy else "unreachable", reply.message, reply.retry_after_s)
        if reply.message != self._told:
            # Said once: whoever waits for days need not read it every few minutes.
            self._told = reply.message
            self._tell(f"{reply.message}; trying again")
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        if self._stop.is_set():
            raise StoppedError
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stop.wait(min(left, _LOOK_AROUND_S)):
                raise StoppedError
            self._look_around()


def name_of(call: Call) -> str:
    """Return what a call was, for people: its type and its first artifact, as they are stored."""
    first = Event(*call[0].row)
    return f"{first.event_type} {first.artifact_name}".rstrip()


def _nothing_taken(suspect: Call, reply: Reply, tried: int) -> HaltedError:
    if tried:
        kind = "unreachable" if reply.kind == "unreachable" else "refused"
        reason = f"{reply.message}; so it is with all of {tried + 1} events that were tried singly: none is set aside"
        return HaltedError(kind, reason)
    name = f"event {suspect[0].id}, {name_of(suspect)}"
    return HaltedError("alone", f"{reply.message}; nothing else waits to try with, so {name}, is not set aside yet")

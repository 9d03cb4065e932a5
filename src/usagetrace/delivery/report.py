"""What a forwarder did, as plain values. Loaded where there may be nothing to send with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SetAside:
    """One call that was set aside.

    Attributes:
        events: Ids of its events.
        name: What it was, for people: ``deploy canvas``.
        reason: Why, redacted.
    """

    events: tuple[int, ...]
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was done.

    Attributes:
        delivered: Events that the endpoint took.
        rejected: Spans and log records that it said it took the request without (``partial_success``).
        set_aside: Calls that were set aside, the first 1,000.
        requests: Requests that were sent.
        sent_bytes: Bytes of their bodies, as they were sent.
        ended: Why not everything is delivered, in a word: ``busy``, ``unreachable``, ``misconfigured``, ``refused``
            (everything that was tried), ``alone`` (the only one that waits is refused), ``off``, ``claimed`` (another
            process sends), ``spool`` (something can't be brought into the store), ``store``, ``time``, ``stopped``;
            empty where everything is.
        reason: The same in a sentence, redacted.
        retry_after_s: Seconds that the endpoint asked to wait, or None.
    """

    delivered: int = 0
    rejected: int = 0
    set_aside: tuple[SetAside, ...] = ()
    requests: int = 0
    sent_bytes: int = 0
    ended: str = ""
    reason: str = ""
    retry_after_s: float | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing waits any more. What was set aside does not wait."""
        return not self.ended

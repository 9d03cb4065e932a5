"""How much one request may hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and one span in it, may have.

    Attributes:
        members: Most spans, log records or metric points of a request; one with more is refused whole.
        rows: Most events that a request may become; one with more is refused whole.
        artifacts: Most artifacts of one call; a span with more is refused.
        attributes: Most attributes of one span or log record that are read; its event says how many were left out.
        repeated: Most characters that a call's artifacts may have in common, times their number; a span with more is
            refused, and a request of which the spans together have more than twice as many.
        depth: Deepest nesting of a request in JSON.
        faults: Most reasons that an answer gives.
    """

    members: int = 100_000
    rows: int = 200_000
    artifacts: int = 10_000
    attributes: int = 1024
    repeated: int = 8_000_000
    depth: int = 64
    faults: int = 5

"""How long to wait before asking an endpoint again. Pure: neither sleeps nor looks at a clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final

# Seconds of the first pause, at most.
BASE_S: Final = 1.0
# Seconds of any pause, at most, whatever the endpoint asks for.
CAP_S: Final = 300.0
# Seconds that an endpoint must ask for to be taken at its word. Some say 0 while they are too busy, and a date is over
# already where one of the two clocks goes wrong: who came back at once would ask hundreds of times a second.
LEAST_ASKED_S: Final = 1.0
# Doublings after which every base above a nanosecond has met the cap.
_DOUBLINGS: Final = 64


class Backoff:
    """Pauses that double, each drawn between nothing and its bound, so that many senders do not come back together.

    Args:
        base_s: Bound of the first pause, in seconds.
        cap_s: Bound of every pause, in seconds; of what the endpoint asks for as well.
        draw: Returns a number from 0 to 1. The system's randomness by default: a program may seed the other one.
    """

    def __init__(
        self, base_s: float = BASE_S, cap_s: float = CAP_S, *, draw: Callable[[], float] | None = None
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._draw = random.SystemRandom().random if draw is None else draw
        self.failures = 0

    def next(self, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait after one more failure.

        Args:
            retry_after_s: What the endpoint asked for; from a second on it goes before what would be drawn.
        """
        bound = min(self._cap_s, self._base_s * 2.0 ** min(self.failures, _DOUBLINGS))
        self.failures += 1
        asked_s = 0.0 if retry_after_s is None else retry_after_s
        if asked_s >= LEAST_ASKED_S:
            return min(asked_s, self._cap_s)
        return max(asked_s, self._draw() * bound)

    def reset(self) -> None:
        """Begin anew, after a success."""
        self.failures = 0


def retry_after_seconds(value: str | None, now_s: float) -> float | None:
    """Return what a ``Retry-After`` header asks for in seconds from now; None for none, or one that says nothing.

    Both forms of RFC 9110, section 10.2.3: a number of seconds, or a date.

    Args:
        value: The header's value.
        now_s: The present, in seconds since 1970 UTC.
    """
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        # A year or an offset of twenty digits is too large for a date, and says nothing either.
        return None
    if moment.tzinfo is None:
        # "-0000": UTC, by RFC 5322, from nobody knows where.
        from datetime import timezone

        moment = moment.replace(tzinfo=timezone.utc)
    return max(moment.timestamp() - now_s, 0.0)

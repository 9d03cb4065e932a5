"""Whether an event can be recorded as given: what makes it unusable, and what is only odd about it.

Pure functions: clock and limits are arguments. Messages name fields, types and differences of time, never a value, so
that they need no redaction. What becomes of errors and warnings is the caller's to decide.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping

from usagetrace.event_types import EventType, lookup
from usagetrace.payloads import is_payload, payload_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple

    class _Fields(NamedTuple):
        errors: tuple[str, ...] = ()
        warnings: tuple[str, ...] = ()

else:
    # The same, without loading `typing`.
    _Fields = namedtuple("_Fields", "errors warnings", defaults=((), ()))

__all__ = ["Validation", "time_problems", "validate"]

_DAY_MS: Final = 86_400_000
# First and last millisecond of the years that a calendar has: 1 and 9999.
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999


class Validation(_Fields):
    """What is wrong with an event.

    Attributes:
        errors: Why it can't be recorded, one sentence each.
        warnings: What is odd about it, one sentence each.
    """

    __slots__ = ()

    @property
    def valid(self) -> bool:
        """Whether the event can be recorded."""
        return not self.errors


def validate(
    event_type: EventType | str,
    payload: object = None,
    ts_ms: float | None = None,
    *,
    now_ms: float,
    clock_skew_s: float = 60.0,
    max_age_days: float = 7,
) -> Validation:
    """Check an event before it is recorded.

    Args:
        event_type: The type, or its name; the payload of a type that nobody knows may be anything.
        payload: A payload, a mapping, or None.
        ts_ms: When it happened, in milliseconds since 1970 UTC; None for now.
        now_ms: This moment, likewise.
        clock_skew_s: How far in the future an event may lie, in seconds, because clocks differ.
        max_age_days: From which age on an event is odd, in days.

    Returns:
        Errors for what has the wrong type and for what lies in the future; warnings for what is old, and for a payload
        that does not fit the type.
    """
    errors: list[str] = []
    known = _known(event_type, errors)
    time = time_problems(ts_ms, now_ms=now_ms, clock_skew_s=clock_skew_s, max_age_days=max_age_days)
    errors += time.errors
    warnings = list(time.warnings)
    if payload is not None and not isinstance(payload, Mapping) and not is_payload(payload):
        errors.append(f"payload: expected a payload or a mapping, got {type(payload).__name__}")
    elif isinstance(payload, Mapping) and not all(isinstance(key, str) for key in payload):
        errors.append("payload: expected text as every key")
    elif known is not None:
        warnings += [f"{known.name}: {fault}" for fault in payload_of(known, payload)[1]]
    return Validation(tuple(errors), tuple(warnings))


def _known(event_type: object, errors: list[str]) -> EventType | None:
    if isinstance(event_type, EventType):
        return event_type
    if not isinstance(event_type, str):
        errors.append(f"event type: expected its name, got {type(event_type).__name__}")
    elif not event_type.strip():
        errors.append("event type: expected a name, got an empty text")
    else:
        return lookup(event_type)
    return None


def time_problems(ts_ms: object, *, now_ms: float, clock_skew_s: float = 60.0, max_age_days: float = 7) -> Validation:
    """Check when an event happened; arguments as for :func:`validate`.

    Returns:
        An error for what is no moment or lies in the future, by how much; a warning for what is old.
    """
    if ts_ms is None:
        return Validation()
    if isinstance(ts_ms, bool) or not isinstance(ts_ms, int | float) or ts_ms - ts_ms != 0:
        got = "a number that is not finite" if isinstance(ts_ms, float) else type(ts_ms).__name__
        return Validation((f"timestamp: expected milliseconds since 1970, got {got}",))
    ahead_s = (ts_ms - now_ms) / 1000
    if ahead_s > clock_skew_s:
        allowed = _span(clock_skew_s)
        return Validation((f"timestamp: {_span(ahead_s)} in the future; clocks may differ by {allowed} at most",))
    if not _FIRST_MS <= ts_ms <= _LAST_MS:
        return Validation(("timestamp: expected a moment of the years 1 to 9999, in milliseconds since 1970",))
    if now_ms - ts_ms > max_age_days * _DAY_MS:
        days = (now_ms - ts_ms) / _DAY_MS
        return Validation((), (f"timestamp: {days:.1f} days ago, more than {max_age_days:g} days",))
    return Validation()


def _span(seconds: float) -> str:
    """Return a span of time as people say it."""
    for name, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"

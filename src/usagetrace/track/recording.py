"""Records points in time: an operation that ends as it begins, with the fields that its caller knows.

Nothing here is guarded, and nothing is checked against an event type: both are for whoever calls.
"""

from __future__ import annotations

from usagetrace.semconv import ERROR_TYPE
from usagetrace.track.plan import build
from usagetrace.track.reading import put
from usagetrace.track.tracker import Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

# Trackers of event types that came before: to make one costs more than to use it. And most that are kept.
_trackers: Final[dict[tuple[str, bool], Tracker]] = {}
_KEPT: Final = 256


def record_moment(
    event_type: str,
    fields: Mapping[str, Any],
    *,
    at_ns: int | None = None,
    failed_with: str | None = None,
    lenient: bool = False,
) -> bool:
    """Record one point in time; return whether it was recorded.

    Args:
        event_type: What happened.
        fields: Fields of the contract by name; those that are None are not known.
        at_ns: When, in nanoseconds since 1970 UTC; None for now.
        failed_with: Type of the error that it tells of, where its outcome is one.
        lenient: Whether it is recorded although nobody registered its type, whatever the settings say.

    Raises:
        SelectorError: The event type is no name.
    """
    operation = _tracker(event_type, lenient).start(instant=True, at_ns=at_ns)
    if operation is None:
        return False
    metadata = fields.get("metadata")
    operation.set(**{name: value for name, value in fields.items() if value is not None and name != "metadata"})
    if metadata:
        operation.set(metadata=metadata)
    if failed_with is not None:
        redacted: dict[str, Any] = {}
        put(operation.runtime, redacted, ERROR_TYPE, failed_with)
        operation.failed_with = redacted.get(ERROR_TYPE)
    operation.succeed(None)
    return operation.accepted


def name_of(event_type: object) -> str:
    """Return the name of an event type as plain text, also of a member of an enum.

    Raises:
        SelectorError: It is no name.
    """
    if type(event_type) is str and (event_type, False) in _trackers:
        return event_type
    return Tracker(event_type).event_type  # type: ignore[arg-type]  # it looks what it is


def _tracker(event_type: str, lenient: bool) -> Tracker:
    found = _trackers.get((event_type, lenient))
    if found is None:
        # What counts by itself is a part of nothing: points in time are not within one another.
        fields = {"nested": True}
        found = Tracker(event_type, fields)
        plan = build(found.event_type, fields, None, f"track.{found.event_type}")
        plan.lenient = lenient
        found._plan = plan
        if len(_trackers) < _KEPT:
            _trackers[found.event_type, lenient] = found
    return found

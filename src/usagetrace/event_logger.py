"""The event logger of an application that counts what its readers do: ``EventLogger``, ``AnalyticsEvent``.

::

    from usagetrace.event_logger import event_logger

    event_logger.log("chapter_visit", {"user_id": "user_123", "chapter_id": "intro"})

A thin door to :func:`usagetrace.event`: what it logs is checked, redacted, stored and sent as every other event is. It
decides only which artifact its three types are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from usagetrace.api import event
from usagetrace.guard import guard

__all__ = ["AnalyticsEvent", "EventLogger", "event_logger"]

# Of each type, the kind of artifact that it is about, and the key of the payload that names it.
_ABOUT: Final[Mapping[str, tuple[str, str]]] = {
    "ai_block_used": ("ai_block", "block_type"),
    "chapter_visit": ("chapter", "chapter_id"),
    "error_event": ("chapter", "chapter_id"),
}


@dataclass(frozen=True)
class AnalyticsEvent:
    """Something that happened: what, with what, and when.

    Attributes:
        event_type: ``ai_block_used``, ``chapter_visit``, ``error_event``, or any other type.
        payload: Keys and values, or a payload object of :mod:`usagetrace.payloads`.
        timestamp: When; the present by default.
    """

    event_type: str
    payload: Any = None
    timestamp: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


class EventLogger:
    """Records events. Any number of threads may share one; it holds nothing."""

    def log(self, event_type: str, payload: Any = None) -> None:
        """Record that something happened, now.

        Never raises, whatever it is given; what does not fit the type is told once, in a warning.

        Args:
            event_type: ``ai_block_used``, ``chapter_visit``, ``error_event``, or any other type.
            payload: Keys and values, or a payload object of :mod:`usagetrace.payloads`.
        """
        self.log_event(AnalyticsEvent(event_type, payload))

    def log_event(self, analytics_event: AnalyticsEvent) -> None:
        """Record an event that was made before, with its own time. Never raises.

        Args:
            analytics_event: The event.
        """
        record(analytics_event)


def record(analytics_event: AnalyticsEvent) -> bool:
    """Do what :meth:`EventLogger.log_event` does, and return whether the event was recorded. Never raises.

    Args:
        analytics_event: The event.
    """
    with guard:
        event_type: object = analytics_event.event_type
        # What is no text may not even be asked for; `event` says so.
        about = _ABOUT.get(event_type) if isinstance(event_type, str) else None
        return event(
            analytics_event.event_type,
            analytics_event.payload,
            artifact_type=None if about is None else about[0],
            artifact_name=None if about is None else _named(analytics_event.payload, about[1]),
            timestamp=analytics_event.timestamp,
        )
    return False


def _named(payload: Any, key: str) -> str | None:
    """Return what a payload says of the artifact; None where it says nothing."""
    with guard:
        value = payload.get(key) if isinstance(payload, Mapping) else getattr(payload, key, None)
        return None if value is None else str(value)
    return None


# The logger that a program shares, as it shares the store behind it.
event_logger: Final = EventLogger()

"""Tracking: a call becomes a span and a metric point.

This package uses the OpenTelemetry API and wrapt, never the SDK, a database or the command line; the API is loaded
when the first call is recorded.
"""

from __future__ import annotations

from usagetrace.track.call import Call
from usagetrace.track.tracker import Silent, Track, Tracker, track

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.track.operation import Operation

__all__ = ["Call", "Operation", "Silent", "Track", "Tracker", "track"]


def __getattr__(name: str) -> Any:
    """Load what needs OpenTelemetry when it is asked for."""
    if name == "Operation":
        from usagetrace.track.operation import Operation

        return Operation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

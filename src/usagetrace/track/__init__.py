"""Tracking: a call becomes a span and a metric point.

This package uses the OpenTelemetry API and wrapt, never the SDK, a database or the command line.
"""

from usagetrace.track.call import Call
from usagetrace.track.operation import Operation
from usagetrace.track.tracker import Silent, Track, Tracker, track

__all__ = ["Call", "Operation", "Silent", "Track", "Tracker", "track"]

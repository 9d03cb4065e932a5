"""The SQLite store: events, their summary, and daily metrics.

Events come in redacted and go out as rows. Nothing in this package knows OpenTelemetry, redaction, settings or the
command line.
"""

from __future__ import annotations

from usagetrace.store.metrics import MetricPoint
from usagetrace.store.recorder import Recorder
from usagetrace.store.store import Store

__all__ = ["MetricPoint", "Recorder", "Store"]

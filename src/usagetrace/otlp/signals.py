"""The three signals, by the words that OTLP's paths have for them."""

from __future__ import annotations

from typing import Final

TRACES: Final = "traces"
METRICS: Final = "metrics"
LOGS: Final = "logs"

"""The SQLite store: events, their summary, and daily metrics.

Events come in redacted and go out as rows. Nothing in this package knows OpenTelemetry, redaction, settings or the
command line. Its names are imported when they are asked for: what only records pays for no database.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.store.metrics import MetricPoint
    from usagetrace.store.recorder import Recorder
    from usagetrace.store.store import Store

__all__ = ["MetricPoint", "Recorder", "Store"]

_HOMES = {"MetricPoint": "metrics", "Recorder": "recorder", "Store": "store"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at its first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # Kept here: the next use finds it without this function.
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value

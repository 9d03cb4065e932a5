"""Reports: from query rows to frozen dataclasses, and from those to JSON and CSV.

Nothing here writes a store, prints, or knows the command line; tables for a terminal are drawn by
:mod:`usagetrace.cli`. Times are milliseconds since 1970 UTC inside and ISO 8601 text in UTC outside.
"""

from __future__ import annotations

from usagetrace.reports.build import build_events, build_overview, build_top
from usagetrace.reports.csvtext import TABLES, to_csv
from usagetrace.reports.jsonshape import to_json
from usagetrace.reports.model import (
    ArtifactUse,
    DayUse,
    EventList,
    EventRow,
    FailureKind,
    Overview,
    Sampled,
    TopArtifacts,
    Totals,
    TypeUse,
)
from usagetrace.reports.safe import visible
from usagetrace.reports.window import ALL, Window, WindowError, parse_window

__all__ = [
    "ALL",
    "TABLES",
    "ArtifactUse",
    "DayUse",
    "EventList",
    "EventRow",
    "FailureKind",
    "Overview",
    "Sampled",
    "TopArtifacts",
    "Totals",
    "TypeUse",
    "Window",
    "WindowError",
    "build_events",
    "build_overview",
    "build_top",
    "parse_window",
    "to_csv",
    "to_json",
    "visible",
]

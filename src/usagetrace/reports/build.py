"""From query rows to reports. Pure: rows in, frozen records out; no database, no clock, no format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from usagetrace.reports.model import (
    ArtifactUse,
    DayUse,
    EventList,
    EventRow,
    FailureKind,
    Overview,
    TopArtifacts,
    Totals,
    TypeUse,
)
from usagetrace.reports.window import Window

Row = Mapping[str, Any]

MEDIAN: Final = 50
P95: Final = 95
# Operations that the summary counts apart.
_COUNTED: Final = ("deploy", "update", "sync", "remove", "search")
_EVENT_FIELDS: Final = tuple(EventRow.__dataclass_fields__)


def build_overview(
    window: Window,
    *,
    totals: Row | None,
    artifact_count: int,
    types: Iterable[Row],
    percentiles: Iterable[Row],
    artifacts: Iterable[Row],
    days: Iterable[Row],
    failures: Iterable[Row],
) -> Overview:
    """Return the report of a window.

    Args:
        window: What was asked for.
        totals: The row of :func:`usagetrace.reports.queries.totals`; None where there is no store.
        artifact_count: Different artifacts.
        types: Rows of ``queries.types``.
        percentiles: Rows of ``queries.percentiles`` for 50 and 95.
        artifacts: Rows of the store's top artifacts.
        days: Rows of ``queries.days``.
        failures: Rows of ``queries.failures``.
    """
    durations = {(row["event_type"], row["percent"]): row["duration_ms"] for row in percentiles}
    return Overview(
        window=window,
        totals=_totals(totals or {}, artifact_count),
        types=tuple(_type(row, durations) for row in types),
        artifacts=tuple(map(_artifact, artifacts)),
        days=tuple(DayUse(_day(row["start_ms"]), row["operations"], row["events"], row["errors"]) for row in days),
        errors=tuple(
            FailureKind(row["error_type"], row["event_type"], row["operations"], row["last_ms"]) for row in failures
        ),
    )


def build_top(window: Window, rows: Iterable[Row]) -> TopArtifacts:
    """Return the most used artifacts from the store's rows, in their order."""
    return TopArtifacts(window, tuple(map(_artifact, rows)))


def build_events(window: Window, rows: Iterable[Row], *, limit: int, offset: int) -> EventList:
    """Return a page of events from the store's rows, in their order."""
    return EventList(window, limit, offset, tuple(map(_event, rows)))


def _totals(row: Row, artifact_count: int) -> Totals:
    operations, errors = row.get("operations") or 0, row.get("errors") or 0
    return Totals(
        operations=operations,
        events=row.get("events") or 0,
        errors=errors,
        error_rate=errors / operations if operations else None,
        artifacts=artifact_count,
        first_ms=row.get("first_ms"),
        last_ms=row.get("last_ms"),
    )


def _type(row: Row, durations: Mapping[tuple[str, int], float]) -> TypeUse:
    name, operations = row["event_type"], row["operations"]
    return TypeUse(
        event_type=name,
        operations=operations,
        events=row["events"],
        errors=row["errors"],
        # Rows of a call may outlive its first one: another tool's SQL may remove what it likes.
        error_rate=row["errors"] / operations if operations else 0.0,
        median_ms=durations.get((name, MEDIAN)),
        p95_ms=durations.get((name, P95)),
    )


def _artifact(row: Row) -> ArtifactUse:
    return ArtifactUse(
        artifact_type=row["artifact_type"],
        artifact_name=row["artifact_name"],
        events=row["total_events"],
        errors=row["error_count"],
        by_type={kind: row[f"{kind}_count"] for kind in _COUNTED if row[f"{kind}_count"]},
        first_ms=row["first_ms"] or None,
        last_ms=row["last_ms"] or None,
    )


def _event(row: Row) -> EventRow:
    values = {name: row[name] for name in _EVENT_FIELDS}
    values["metadata"] = _metadata(row["metadata"])
    return EventRow(**values)


def _metadata(text: Any) -> Any:
    """Return decoded metadata; what another tool wrote and is no JSON stays the text it is."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return str(text)


def _day(start_ms: int | None) -> str | None:
    if start_ms is None:
        return None
    return datetime.fromtimestamp(start_ms / 1000, timezone.utc).strftime("%Y-%m-%d").rjust(10, "0")

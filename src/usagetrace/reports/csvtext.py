"""Reports as CSV: one table at a time, safe to open in a spreadsheet and to show in a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from usagetrace.reports.jsonshape import iso_time
from usagetrace.reports.model import ArtifactUse, EventList, Overview, TopArtifacts
from usagetrace.reports.safe import visible

# Tables of the overview.
TABLES: Final = ("artifacts", "types", "days", "errors")
# A cell that begins with one of these is a formula to a spreadsheet; the last four are their full-width forms.
_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_ARTIFACT: Final = (
    "artifact_type", "artifact_name", "events", "errors", "deploy", "update", "sync", "remove", "search", "first",
    "last",
)  # fmt: skip
_EVENT: Final = (
    "id", "time", "event_type", "artifact_type", "artifact_name", "collection_name", "project_path", "status",
    "error_type", "duration_ms", "category", "priority", "session_id", "service_name", "trace_id", "span_id", "item",
    "metadata",
)  # fmt: skip


def to_csv(report: Overview | TopArtifacts | EventList, table: str = "artifacts") -> str:
    """Return one table of a report as CSV with a header line.

    Text cells are made visible (no control characters), and one that a spreadsheet would take for a formula gets
    an apostrophe in front.

    Args:
        report: What to say.
        table: One of :data:`TABLES`, for the overview; other reports have one table.

    Raises:
        KeyError: The overview has no such table.
    """
    if isinstance(report, TopArtifacts):
        return table_csv(_ARTIFACT, map(_artifact, report.artifacts))
    if isinstance(report, EventList):
        return table_csv(_EVENT, (_event(row) for row in report.events))
    if table == "artifacts":
        return table_csv(_ARTIFACT, map(_artifact, report.artifacts))
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]] = {
        "types": (
            ("event_type", "operations", "events", "errors", "error_rate", "median_ms", "p95_ms"),
            [(t.event_type, t.operations, t.events, t.errors, t.error_rate, t.median_ms, t.p95_ms)
             for t in report.types],
        ),
        "days": (
            ("day", "operations", "events", "errors"),
            [(d.day, d.operations, d.events, d.errors) for d in report.days],
        ),
        "errors": (
            ("error_type", "event_type", "operations", "last"),
            [(e.error_type, e.event_type, e.operations, iso_time(e.last_ms)) for e in report.errors],
        ),
    }  # fmt: skip
    return table_csv(*tables[table])


def _artifact(row: ArtifactUse) -> Sequence[Any]:
    counts = [row.by_type.get(kind, 0) for kind in _ARTIFACT[4:9]]
    return (row.artifact_type, row.artifact_name, row.events, row.errors, *counts, iso_time(row.first_ms),
            iso_time(row.last_ms))  # fmt: skip


def _event(row: Any) -> Sequence[Any]:
    cells = {name: getattr(row, name, None) for name in _EVENT}
    cells["time"] = iso_time(row.ts_ms or None)
    if row.metadata is not None:
        cells["metadata"] = json.dumps(row.metadata, ensure_ascii=False, separators=(",", ":"))
    return [cells[name] for name in _EVENT]


def table_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV: its text cells visible, and formulas to no spreadsheet.

    Args:
        header: Names of the columns.
        rows: Cells of each row; a dict or a list becomes JSON.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text

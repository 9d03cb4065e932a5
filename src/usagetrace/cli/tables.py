"""Reports drawn for people. What the numbers are is decided in :mod:`usagetrace.reports`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from usagetrace.cli.output import Column, Page, show_duration, show_rate, show_time
from usagetrace.reports import ArtifactUse, EventList, EventRow, Overview, TopArtifacts, Window
from usagetrace.reports.jsonshape import iso_time
from usagetrace.store.queries import DAY_MS

_KINDS = ("deploy", "update", "sync", "remove", "search")
# What `error.type` is where something failed without an exception, as OpenTelemetry has it.
_NO_EXCEPTION = "_OTHER"
_LAST = Column("last (UTC)", whole=True)
# Days shown in the table of the overview; JSON and CSV have them all.
DAYS_SHOWN = 31


def draw_overview(page: Page, report: Overview) -> None:
    """Draw totals, event types, artifacts, days and failures."""
    totals = report.totals
    page.heading(f"Usage, {_span(report.window)}")
    page.line(
        f"{_count(totals.operations, 'operation')}, {totals.errors} failed ({show_rate(totals.error_rate)}); "
        f"{_count(totals.events, 'event')} on {_count(totals.artifacts, 'artifact')}"
    )
    if totals.first_ms is not None:
        page.line(f"first {show_time(totals.first_ms)}, last {show_time(totals.last_ms)} UTC")
    if report.sampled.counted:
        page.line(f"of these, counted without a row, by sampling: {_count(report.sampled.counted, 'event')}")
    _lines(page, lacking(report))
    if not report.types:
        return
    page.heading("Operations")
    page.table(
        (Column("type"), *map(_number, ("operations", "events", "failed", "rate", "median", "p95"))),
        [
            (t.event_type, t.operations, t.events, t.errors, show_rate(t.error_rate), show_duration(t.median_ms),
             show_duration(t.p95_ms))
            for t in report.types
        ],
    )  # fmt: skip
    if report.artifacts:
        page.heading("Most used artifacts")
        _artifacts(page, report.artifacts)
    shown = report.days[-DAYS_SHOWN:]
    page.heading("Days (UTC)" if len(shown) == len(report.days) else f"Last {DAYS_SHOWN} days with events (UTC)")
    page.table(
        (Column("day"), *map(_number, ("operations", "events", "failed"))),
        [(d.day or "unknown", d.operations, d.events, d.errors) for d in shown],
    )
    if report.errors:
        page.heading("Failures")
        page.table(
            (Column("error"), Column("type"), _number("operations"), _LAST),
            [(_error(e.error_type), e.event_type, e.operations, show_time(e.last_ms)) for e in report.errors],
        )


def draw_top(page: Page, report: TopArtifacts) -> None:
    """Draw the most used artifacts."""
    page.heading(f"Most used artifacts, {_span(report.window)}")
    if report.artifacts:
        _artifacts(page, report.artifacts)
    else:
        page.line("none")
    _lines(page, lacking(report))


def draw_events(page: Page, report: EventList) -> None:
    """Draw a page of events, one a line."""
    page.heading(f"Events, newest first, {_span(report.window)}")
    if not report.events:
        page.line("none")
        _lines(page, lacking(report))
        return
    columns = (
        Column("time (UTC)", whole=True), Column("type", whole=True), Column("artifact"), Column("collection"),
        Column("project"), Column("status", whole=True), _number("took"), Column("more"),
    )  # fmt: skip
    rows = [
        (show_time(e.ts_ms), e.event_type, _artifact_of(e), e.collection_name or "", e.project_path or "",
         e.status, show_duration(e.duration_ms), _more(e))
        for e in report.events
    ]  # fmt: skip
    # A column that says nothing takes room from those that do.
    used = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    page.table([columns[index] for index in used], [[row[index] for index in used] for row in rows])
    if len(report.events) == report.limit:
        page.line(f"There may be more: --offset {report.offset + report.limit}")
    _lines(page, lacking(report))


def draw_whole_event(page: Page, event: EventRow) -> None:
    """Draw one event with every field that it has."""
    for name in EventRow.__dataclass_fields__:
        value = getattr(event, name)
        if name == "ts_ms":
            name, value = "time", iso_time(event.ts_ms or None)
        elif name == "metadata" and value is not None:
            value = json.dumps(value, ensure_ascii=False)
        if value is not None and value != "":
            page.line(f"  {name + ':':<17} {value}")


def _artifacts(page: Page, rows: Sequence[ArtifactUse]) -> None:
    kinds = [kind for kind in _KINDS if any(row.by_type.get(kind) for row in rows)]
    page.table(
        (Column("type"), Column("name"), _number("events"), *map(_number, kinds), _number("failed"),
         _LAST),
        [
            (row.artifact_type, row.artifact_name, row.events, *(row.by_type.get(kind, 0) for kind in kinds),
             row.errors, show_time(row.last_ms))
            for row in rows
        ],
    )  # fmt: skip


def _error(error_type: str) -> str:
    """Return what failed, in a word that is not OpenTelemetry's for a failure without an exception."""
    return "(no exception)" if error_type == _NO_EXCEPTION else error_type or "(not said)"


def lacking(report: Overview | TopArtifacts | EventList) -> list[str]:
    """Return what is to be said of events that happened in a report's window and that it does not have."""
    count = _count(report.sampled.left_out, "event")
    if not report.sampled.left_out:
        return []
    if isinstance(report, EventList):
        return [f"Sampling kept no row of {count} of these days, of whatever type: `usagetrace report` counts them"]
    lines = [f"Too low by up to {count} that sampling counted by the day and kept no row of."]
    window = report.window
    cut = next((ms for ms in (window.since_ms, window.until_ms) if ms is not None and ms % DAY_MS), None)
    if cut is not None:
        lines.append(f"Whole days are exact, as in --since {show_time(cut // DAY_MS * DAY_MS)[:10]}")
    return lines


def _lines(page: Page, lines: Iterable[str]) -> None:
    for line in lines:
        page.line(line)


def _artifact_of(event: EventRow) -> str:
    if not event.artifact_name:
        return "-"
    return f"{event.artifact_type}/{event.artifact_name}" if event.artifact_type else event.artifact_name


def _more(event: EventRow) -> str:
    parts = [event.error_type] if event.error_type else []
    if isinstance(event.metadata, dict):
        parts += [f"{key}={value}" for key, value in event.metadata.items()]
    elif event.metadata is not None:
        parts.append(str(event.metadata))
    return " ".join(parts)


def _number(heading: str) -> Column:
    return Column(heading, right=True)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _span(window: Window) -> str:
    since, until = (None if ms is None else show_time(ms) for ms in (window.since_ms, window.until_ms))
    if since is None and until is None:
        return "all time"
    parts = [f"from {since}" if since else "", f"until before {until}" if until else ""]
    return " ".join(filter(None, parts)) + " UTC"

"""Skills and invocations as tables for people, as JSON and as CSV. What the numbers are is decided by the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from usagetrace.cli.output import Column, Page, show_duration
from usagetrace.reports.csvtext import table_csv

_METRICS: Final = (
    "skill_name", "total_invocations", "completed_invocations", "abandoned_invocations", "completion_rate",
    "total_duration_seconds", "avg_duration_seconds", "min_duration_seconds", "max_duration_seconds",
    "p50_duration_seconds", "p95_duration_seconds", "p99_duration_seconds", "first_invoked", "last_invoked",
    "workflow_paths", "common_errors", "follow_up_actions",
)  # fmt: skip
_INVOCATION: Final = (
    "id", "skill_name", "invoked_at", "workflow_path", "completed", "duration_seconds", "error_type", "session_id",
    "follow_up_actions",
)  # fmt: skip
_TIMES: Final = frozenset({"first_invoked", "last_invoked", "invoked_at"})
# Entries of a counter that are drawn; JSON and CSV have them all.
_MOST_DRAWN: Final = 10
_DURATIONS: Final = ("total", "avg", "min", "p50", "p95", "p99", "max")


def metrics_shape(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a skill's metrics as JSON has them."""
    return {name: _iso(row[name]) if name in _TIMES else row[name] for name in _METRICS}


def invocation_shape(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an invocation as JSON has it."""
    return {name: _iso(row[name]) if name in _TIMES else row[name] for name in _INVOCATION}


def _iso(time: str | None) -> str | None:
    """Return a time of the views, UTC text with a blank, as ISO 8601."""
    return None if time is None else f"{time.replace(' ', 'T')}Z"


def metrics_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return skills as CSV; counters are JSON objects in their cells."""
    return _csv(_METRICS, map(metrics_shape, rows))


def invocations_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return invocations as CSV; follow-up actions are a JSON array in their cell."""
    return _csv(_INVOCATION, map(invocation_shape, rows))


def _csv(header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    return table_csv(header, ([row[name] for name in header] for row in rows))


def draw_metrics(page: Page, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Draw all skills, and a line of all together."""
    page.heading("Skills")
    if not rows:
        page.line("none")
        return
    page.line(
        f"{_count(summary['total_skills'], 'skill')}, {_count(summary['total_invocations'], 'invocation')}, "
        f"{_percent(summary['overall_completion_rate'])} completed"
    )
    numbers = ("invocations", "completed", "abandoned", "rate", "average", "p95")
    page.table(
        (Column("skill"), *(Column(name, right=True) for name in numbers), Column("last (UTC)", whole=True)),
        [
            (row["skill_name"], row["total_invocations"], row["completed_invocations"], row["abandoned_invocations"],
             _percent(row["completion_rate"]),
             _seconds(row["avg_duration_seconds"] if row["completed_invocations"] else None),
             _seconds(row["p95_duration_seconds"]), (row["last_invoked"] or "-")[:19])
            for row in rows
        ],
    )  # fmt: skip


def draw_skill(page: Page, row: Mapping[str, Any]) -> None:
    """Draw one skill with everything that is counted of it."""
    page.heading(str(row["skill_name"]))
    page.line(
        f"{_count(row['total_invocations'], 'invocation')}: {row['completed_invocations']} completed, "
        f"{row['abandoned_invocations']} abandoned ({_percent(row['completion_rate'])} completed)"
    )
    if row["first_invoked"] is not None:
        page.line(f"first {row['first_invoked'][:19]}, last {row['last_invoked'][:19]} UTC")
    page.heading("Durations of completed invocations")
    values = [_seconds(row[f"{name}_duration_seconds"]) for name in _DURATIONS]
    page.table([Column("average" if name == "avg" else name, right=True) for name in _DURATIONS], [values])
    counters = (("workflow path", "workflow_paths"), ("error", "common_errors"), ("followed by", "follow_up_actions"))
    for heading, name in counters:
        if row[name]:
            page.heading(f"By {heading}" if heading != "followed by" else "Followed by")
            drawn = sorted(row[name].items(), key=lambda each: (-each[1], each[0]))[:_MOST_DRAWN]
            page.table((Column(heading), Column("invocations", right=True)), drawn)


def draw_invocations(page: Page, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw invocations, one a line."""
    page.heading("Invocations, newest first")
    if not rows:
        page.line("none")
        return
    columns = (
        Column("time (UTC)", whole=True), Column("skill"), Column("workflow path"), Column("ended", whole=True),
        Column("took", right=True), Column("error"), Column("followed by"),
    )  # fmt: skip
    page.table(
        columns,
        [
            ((row["invoked_at"] or "-")[:19], row["skill_name"], row["workflow_path"] or "",
             _ended(row), _seconds(row["duration_seconds"]),
             row["error_type"] or "", ", ".join(row["follow_up_actions"]))
            for row in rows
        ],
    )  # fmt: skip


def _ended(row: Mapping[str, Any]) -> str:
    """Return how an invocation ended; all but the first word count as abandoned."""
    if row["completed"]:
        return "completed"
    if row["error_type"]:
        return "failed"
    # What never ended has no duration.
    return "abandoned" if row["duration_seconds"] is None else "cancelled"


def _seconds(value: float | None) -> str:
    return show_duration(None if value is None else value * 1000.0)


def _percent(rate: float) -> str:
    return f"{rate:.1f} %"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

"""Numbers of the reports, against a recount in Python over the events of a real store."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usagetrace.events import Event
from usagetrace.reports import ALL, Overview, Window, build_events, build_overview, build_top, to_csv, to_json
from usagetrace.reports.counting import overview_rows
from usagetrace.store import Store

BASE = 1_793_534_400_000
HOUR = 3_600_000

calls = st.builds(
    dict,
    event_type=st.sampled_from(["deploy", "search", "custom_one"]),
    ts_ms=st.integers(0, 120).map(lambda hours: BASE + hours * HOUR) | st.just(0),
    duration_ms=st.none() | st.integers(0, 50).map(float),
    status=st.sampled_from(["ok", "ok", "error"]),
    names=st.lists(st.sampled_from(["", "canvas", "review", "x"]), min_size=1, max_size=4),
    error_type=st.none() | st.sampled_from(["ValueError", "OSError"]),
)


def events_of(made: Sequence[dict[str, object]]) -> list[Event]:
    events = []
    for call in made:
        names = call["names"]
        common = {key: value for key, value in call.items() if key != "names"}
        for index, name in enumerate(names):  # type: ignore[arg-type, var-annotated]
            item = index if len(names) > 1 else None  # type: ignore[arg-type]
            events.append(Event(artifact_name=name, artifact_type="skill", item=item, **common))  # type: ignore[arg-type]
    return events


def overview(store: Store, window: Window) -> Overview:
    return build_overview(window, **overview_rows(store.connection, window, 10, (50, 95)))


def nearest_rank(values: list[float], percent: int) -> float | None:
    return sorted(values)[math.ceil(percent * len(values) / 100) - 1] if values else None


windows = st.sampled_from(
    [
        ALL,
        Window(BASE + 10 * HOUR, None),
        Window(BASE, BASE + 30 * HOUR),
        Window(None, BASE),
        Window(BASE + 36 * HOUR, BASE + 84 * HOUR),
        Window(BASE - HOUR, BASE + 90 * HOUR),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(calls, max_size=25), windows)
def test_every_number_equals_a_recount(made: list[dict[str, object]], window: Window) -> None:
    """Operations, events, errors, percentiles, days and failures are those of a plain loop over the calls."""
    with Store(":memory:") as store:
        store.write(events_of(made))
        report = overview(store, window)
    low = -math.inf if window.since_ms is None else window.since_ms
    high = math.inf if window.until_ms is None else window.until_ms
    inside = [call for call in made if low <= call["ts_ms"] < high]  # type: ignore[operator]
    failed = [call for call in inside if call["status"] == "error"]
    rows = events_of(inside)

    assert report.totals.operations == len(inside)
    assert report.totals.errors == len(failed)
    assert report.totals.events == len(rows)
    assert report.totals.artifacts == len({row.artifact_name for row in rows if row.artifact_name})
    by_type: dict[str, list[dict[str, object]]] = defaultdict(list)
    for call in inside:
        by_type[str(call["event_type"])].append(call)
    assert {t.event_type: (t.operations, t.median_ms, t.p95_ms) for t in report.types} == {
        name: (
            len(group),
            nearest_rank([c["duration_ms"] for c in group if c["duration_ms"] is not None], 50),  # type: ignore[misc]
            nearest_rank([c["duration_ms"] for c in group if c["duration_ms"] is not None], 95),  # type: ignore[misc]
        )
        for name, group in by_type.items()
    }
    assert {d.day: d.operations for d in report.days} == Counter(day_of(int(c["ts_ms"])) for c in inside)  # type: ignore[call-overload]
    assert {(f.error_type, f.event_type): f.operations for f in report.errors} == Counter(
        (c["error_type"] or "", c["event_type"]) for c in failed
    )
    assert {a.artifact_name: a.events for a in report.artifacts} == Counter(
        row.artifact_name for row in rows if row.artifact_name
    )


def day_of(ts_ms: int) -> str | None:
    return datetime.fromtimestamp(ts_ms / 1000, timezone.utc).strftime("%Y-%m-%d") if ts_ms else None


def test_a_search_without_results_is_counted_and_names_no_artifact() -> None:
    """An empty name is no artifact, and its event is in the totals."""
    with Store(":memory:") as store:
        store.write([Event("search", "", "", BASE, metadata={"total_results": 0})])
        report = overview(store, ALL)
    assert (report.totals.operations, report.totals.artifacts, report.artifacts) == (1, 0, ())


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1"])
@pytest.mark.parametrize("table", ["artifacts", "types", "errors"])
def test_no_cell_of_csv_is_a_formula(start: str, table: str) -> None:
    """A text that a spreadsheet would calculate gets an apostrophe in front; numbers stay numbers."""
    with Store(":memory:") as store:
        store.write([Event(start, start, start, BASE, duration_ms=-1.5, status="error", error_type=start)])
        cells = [cell for row in csv.reader(io.StringIO(to_csv(overview(store, ALL), table))) for cell in row]
    assert f"'{start}" in cells
    assert start not in cells
    assert table != "types" or "-1.5" in cells


def test_csv_has_a_line_for_each_row_whatever_its_names() -> None:
    """Quotes, commas, newlines and escape sequences break neither lines nor a terminal."""
    name = 'a,"b"\n\x1b[31m'
    with Store(":memory:") as store:
        store.write([Event("deploy", name, "skill", BASE, metadata={"k": name})])
        text = to_csv(build_top(ALL, store.get_top_artifacts()))
        listed = to_csv(build_events(ALL, store.get_events(), limit=1, offset=0))
    assert [row[1] for row in csv.reader(io.StringIO(text))] == ["artifact_name", 'a,"b"\\n\\x1b[31m']
    assert len(listed.splitlines()) == 2
    assert "\x1b" not in text + listed


@pytest.mark.parametrize("duration", [math.inf, -math.inf, 1e308])
def test_json_is_json_whatever_the_numbers(duration: float) -> None:
    """Infinite numbers, which JSON can't say, become text; the document stays ASCII and parses."""
    with Store(":memory:") as store:
        store.write([Event("deploy", "ä\u202e\x9b", "skill", BASE, duration_ms=duration, metadata={"n": math.inf})])
        texts = [
            to_json(overview(store, ALL), None),
            to_json(build_events(ALL, store.get_events(), limit=1, offset=0), "/x"),
        ]
    for text in texts:
        assert text.isascii()
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert json.loads(texts[1])["events"][0]["artifact_name"] == "ä\u202e\x9b"


@pytest.mark.parametrize("text", ["no json", "[1", "\x00", "NaN", "{" * 5000, None, "7", '"t"'])
def test_metadata_of_another_tool_is_shown_as_it_is(text: str | None) -> None:
    """Text that is no JSON stays text, and breaks no report."""
    row = dict.fromkeys(("id", "event_type", "artifact_name", "artifact_type", "collection_name", "project_path",
                         "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name",
                         "trace_id", "span_id", "item")) | {"ts_ms": 0, "metadata": text}  # fmt: skip
    report = build_events(ALL, [row], limit=1, offset=0)
    shape = json.loads(to_json(report, None))
    assert shape["events"][0]["time"] is None
    if text in ("no json", "[1"):
        assert shape["events"][0]["metadata"] == text

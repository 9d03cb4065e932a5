"""``report``, ``top`` and ``events``: what they show, in three forms, whatever the store holds."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.store import Store

NOW = 1_793_534_400_000
DAY = 86_400_000
REPORTS = ["report", "top", "events"]
HOSTILE = [
    "\x1b[31mred\x1b[0m", "\x1b]8;;http://evil\x07link\x1b]8;;\x07", "two\nlines", "nul\0here", "\x9b31m", "\u202eevil",
    "[bold red]markup[/bold red]", "[link=http://evil]x[/link]", "[/]", ":smile:", "\\", "x" * 10_000, "\u2028", "=cmd",
]  # fmt: skip


def test_the_overview_counts_operations_events_and_failures(home: Any, sample: Any) -> None:
    """Totals, types, artifacts, days and errors of a known store."""
    path = home.record(*sample())
    found = home.json("report")
    assert found["store"] == str(path)
    assert found["totals"] == {
        "operations": 8, "events": 9, "errors": 1, "error_rate": 0.125, "artifacts": 3,
        "first": "2026-11-01T07:00:00.000Z", "last": "2026-11-01T12:00:00.000Z",
    }  # fmt: skip
    deploy, search = found["types"]
    assert deploy == {"event_type": "deploy", "operations": 6, "events": 6, "errors": 1, "error_rate": 1 / 6,
                      "median_ms": 3.0, "p95_ms": 6.0}  # fmt: skip
    assert (search["operations"], search["events"], search["median_ms"]) == (2, 3, None)
    assert [(a["artifact_name"], a["events"]) for a in found["artifacts"]] == [
        ("skill-0", 3), ("skill-1", 3), ("skill-2", 2),
    ]  # fmt: skip
    assert found["days"] == [{"day": "2026-11-01", "operations": 8, "events": 9, "errors": 1}]
    assert found["errors"] == [
        {"error_type": "OSError", "event_type": "deploy", "operations": 1, "last": "2026-11-01T10:00:00.000Z"}
    ]


def test_the_table_says_the_same(home: Any, sample: Any) -> None:
    """A person reads the same numbers."""
    home.record(*sample())
    text = home.run("report").stdout
    assert "8 operations, 1 failed (12.5 %); 9 events on 3 artifacts" in text
    assert "OSError" in text
    assert "2026-11-01" in text


def test_a_window_bounds_every_report(home: Any, sample: Any) -> None:
    """Events outside --since and --until count nowhere."""
    home.record(*sample())
    window = "--since 2026-11-01T08:00 --until 2026-11-01T10:00"
    assert home.json(f"report {window}")["totals"]["events"] == 2
    assert len(home.json(f"events {window}")["events"]) == 2
    assert sum(a["events"] for a in home.json(f"top {window}")["artifacts"]) == 2
    assert home.json("report --since 3h")["totals"]["operations"] == 6


def test_top_takes_type_event_and_limit(home: Any, sample: Any) -> None:
    """Each of its options has an effect."""
    home.record(*sample(), Event("deploy", "review", "command", NOW))
    names = [a["artifact_name"] for a in home.json("top")["artifacts"]]
    assert names == ["skill-0", "skill-1", "skill-2", "review"]
    assert [a["artifact_name"] for a in home.json("top --type command")["artifacts"]] == ["review"]
    assert [a["events"] for a in home.json("top --event search")["artifacts"]] == [1, 1]
    assert len(home.json("top --limit 2")["artifacts"]) == 2


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ("", 9), ("--event deploy", 6), ("--artifact skill-1", 3), ("--type skill", 8), ("--collection default", 6),
        ("--project '~/app'", 6), ("--status error", 1), ("--session s1", 2), ("--limit 4", 4), ("--offset 7", 2),
        ("--event deploy --session s2 --status ok", 3),
    ],
)  # fmt: skip
def test_each_filter_of_events_has_an_effect(home: Any, sample: Any, options: str, count: int) -> None:
    """Filters narrow, together too; limit and offset page."""
    home.record(*sample())
    assert len(home.json(f"events {options}")["events"]) == count


def test_events_are_whole_and_newest_first(home: Any, sample: Any) -> None:
    """JSON has every field, metadata decoded; pages join without gap or overlap."""
    home.record(*sample())
    events = home.json("events")["events"]
    assert [e["id"] for e in events] == [9, 8, 7, 1, 2, 3, 4, 5, 6]
    assert events[3]["metadata"] == {"sha": "abc0"}
    assert events[3]["project_path"] == "~/app"
    pages = [home.json(f"events --limit 2 --offset {n}")["events"] for n in range(0, 10, 2)]
    assert [e for page in pages for e in page] == events


@pytest.mark.parametrize("table", ["artifacts", "types", "days", "errors"])
def test_each_table_comes_as_csv(home: Any, sample: Any, table: str) -> None:
    """CSV holds the table that was asked for, with as many rows as JSON has."""
    home.record(*sample())
    rows = list(csv.DictReader(io.StringIO(home.run(f"report --format csv --table {table}").stdout)))
    assert len(rows) == len(home.json("report")[table])


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("report", [*REPORTS, "status", "db stats"])
def test_no_name_reaches_the_terminal_as_anything_but_letters(home: Any, report: str, name: str) -> None:
    """Escape sequences, line breaks, overrides and markup are shown, not obeyed; JSON keeps the very name."""
    event = Event(name[:500], name[:500], name[:500], NOW, name[:500], name[:500], {"k": name}, status="error",
                  error_type=name[:500], session_id=name[:500], service_name=name[:500])  # fmt: skip
    home.record(event)
    forms = ["table", "json", "csv"] if report in REPORTS else ["table", "json"]
    for form in forms:
        text = home.run(f"{report} --format {form}").output
        assert not [c for c in text if c != "\n" and not c.isprintable()], (form, text)
    assert "[bold red]" in home.run("top").output or "bold" not in name
    if report == "top":
        kept = name[:500].replace("\0", "\u2400")
        assert home.json("top")["artifacts"][0]["artifact_name"] == kept


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("options", [[], ["--db", "/nonexistent/usage.db"], ["--service", "nobody"]])
def test_without_a_store_a_report_is_empty_and_names_the_place(
    home: Any, report: str, form: str, options: list[str]
) -> None:
    """Nothing recorded yet is no failure, and nothing is created."""
    result = home.run([*options, report, "--format", form])
    assert "nothing recorded yet: " in result.stderr
    assert (options[1] if options else str(home.path)) in result.stderr
    if form == "json":
        shape = json.loads(result.stdout)
        assert shape["report"] == {"report": "overview"}.get(report, report)
    else:
        assert len(result.stdout.splitlines()) == (1 if form == "csv" else 0)
    assert [path.name for path in home.path.rglob("*")] == ["work"]


@pytest.mark.parametrize("report", [*REPORTS, "status", "db stats", "db prune --dry-run"])
def test_looking_leaves_the_database_as_it_is(home: Any, sample: Any, report: str) -> None:
    """Not a byte of the file changes."""
    path = home.record(*sample())
    before = path.read_bytes()
    home.run(report)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    ["report --since yesterday", "top --limit 0", "events --status great", "report --table nope", "report --format xml",
     "events --offset -1", "nope", "report --since 2026-11-02 --until 2026-11-01", "--db a --service b report",
     "--service '' report", "db", "db prune --days -1", ""],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2_with_a_word_on_what_was_expected(home: Any, line: str) -> None:
    """Nothing goes to standard output."""
    result = home.run(line, code=2)
    assert result.stdout == ""
    assert result.stderr


def test_an_escape_in_an_argument_is_shown_in_the_message(home: Any) -> None:
    """Messages about wrong usage are as safe as results."""
    result = home.run(["report", "--since", "\x1b[31m"], code=2)
    assert "\x1b" not in result.output
    assert "\\x1b[31m" in result.output


def test_counts_that_retention_took_stay_in_top(home: Any, sample: Any) -> None:
    """Top without a window is of all time; the overview is of the events that are there."""
    path = home.record(*sample())
    with Store(path) as store:
        store.cleanup_old_events(1, now_ms=NOW + 3 * DAY)
    assert sum(a["events"] for a in home.json("top")["artifacts"]) == 8
    assert home.json("report")["totals"]["events"] == 0


def test_a_failure_without_an_exception_is_shown_in_words(home: Any) -> None:
    """A reader of the table need not know OpenTelemetry's word; programs get it."""
    home.record(Event("sync", "canvas", "skill", home.now_ms - 1000, status="error", error_type="_OTHER"))
    shown = home.run("report").stdout
    assert "(no exception)  sync" in shown
    assert "_OTHER" not in shown
    assert home.json("report")["errors"][0]["error_type"] == "_OTHER"


def test_the_overview_and_stats_count_one_as_one(home: Any) -> None:
    """One event is an event."""
    home.record(Event("sync", "canvas", "skill", home.now_ms - 1000))
    assert "1 event, 1 artifact, " in home.run("db stats").stdout
    assert "  1 event, " in home.run("status").stdout

"""``usagetrace import``: options, what people are told, exit codes; and the committed samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from tests.importers.import_kit import files, record, span, span_request, write_csv, write_lines
from usagetrace.cli import importing
from usagetrace.importers.jsonl import JsonLinesReader
from usagetrace.store import Store

SAMPLES = Path(__file__).parents[2] / "examples" / "import"
SHAPES = Path(__file__).parents[2] / "docs" / "reference" / "json-shapes.md"


def documented() -> dict[str, Any]:
    text = SHAPES.read_text("utf-8").partition("## import\n")[2].partition("```json\n")[2].partition("```")[0]
    shape: dict[str, Any] = json.loads(text)
    return shape


def summary(path: Path) -> dict[str, int]:
    with Store(path, read_only=True) as store:
        return {row["artifact_name"]: row["total_events"] for row in store.get_usage_summary()}


def test_people_are_told_what_was_done(home: Any) -> None:
    """Read, added, known, skipped with the first places; and once more for a second run, which adds nothing."""
    future = record(1, time=home.now_ms + 2 * 3_600_000)
    source = write_lines(home.work / "a.jsonl", [*map(record, range(20)), future])
    first = home.run(f"--service shelf import jsonl {source}")
    assert f"{source}: 21 records read, 20 added, 0 known already, 1 skipped, in 0." in first.stdout
    assert "skipped 1: its time is in the future: line 21: 2.0 hours ahead of this machine's clock" in first.stdout
    assert "0 added, 20 known already, 1 skipped" in home.run(f"--service shelf import jsonl {source}").stdout
    assert sum(summary(home.store_path()).values()) == 20


def test_json_has_the_documented_shape(home: Any) -> None:
    """One document for all files, also where the last one has a fault; messages go to standard error."""
    good = write_lines(home.work / "a.jsonl", [record(1), record(2, time=home.now_ms + 10**9)])
    bad = home.work / "b.jsonl"
    bad.write_text("{", "utf-8")
    result = home.run(f"--service shelf import jsonl {good} {bad} --format json", code=1)
    found = json.loads(result.stdout)
    shape = documented()
    assert list(found) == list(shape)
    assert [list(each) for each in found["files"]] == [list(shape["files"][0])] * 2
    assert [list(each) for each in found["files"][0]["reasons"]] == [list(shape["files"][0]["reasons"][0])]
    assert [(each["added"], each["complete"]) for each in found["files"]] == [(1, True), (0, False)]
    assert found["files"][1]["problem"] in result.stderr
    assert "b.jsonl, line 1: column 2: not valid JSON" in result.stderr


def test_a_dry_run_makes_nothing(home: Any) -> None:
    """Neither a store nor a folder; and it may be asked for while everything is off."""
    source = write_lines(home.work / "a.jsonl", [record(1)])
    home.environ["DO_NOT_TRACK"] = "1"
    before = files(home.path)
    result = home.run(f"--service shelf import jsonl --dry-run {source}")
    assert "dry run, nothing was written: 1 record read, 1 added" in result.stdout
    assert files(home.path) == before


@pytest.mark.parametrize(("name", "value"), [("DO_NOT_TRACK", "1"), ("USAGETRACE_DISABLED", "1")])
def test_the_users_no_holds(home: Any, name: str, value: str) -> None:
    """Nothing is imported and nothing touched, and the message says who said no."""
    source = write_lines(home.work / "a.jsonl", [record(1)])
    home.environ[name] = value
    before = files(home.path)
    result = home.run(f"--service shelf import jsonl {source}", code=1)
    assert "nothing is imported, because" in result.stderr
    assert name in result.stderr
    assert files(home.path) == before


def test_a_tool_has_to_be_named_once(home: Any) -> None:
    """Where nothing was recorded yet nobody can guess; afterwards the only store is taken."""
    source = write_lines(home.work / "a.jsonl", [record(1)])
    assert "name the tool" in home.run(f"import jsonl {source}", code=2).stderr
    home.run(f"--service shelf import jsonl {source}")
    assert "1 known already" in home.run(f"import jsonl {source}").stdout


def test_old_events_are_told_of_first(home: Any) -> None:
    """How many the next clean-up removes, and what goes on counting them."""
    source = write_lines(home.work / "a.jsonl", [record(1, time="2020-01-01"), record(2)])
    result = home.run(f"--service shelf import jsonl {source}")
    assert "1 event older than the 90 days that events are kept (analytics.retention-days)" in result.stderr


def test_what_waits_in_the_spool_is_known(home: Any) -> None:
    """A span that the tool has recorded, and nobody has moved in yet, is not added a second time."""
    from tests.importers.import_kit import DAY
    from usagetrace.events import Event

    began = home.now_ms - DAY + 1000
    home.leave(Event("deploy", "skill-1", "skill", began, trace_id=f"{2:032x}", span_id=f"{2:016x}", duration_ms=5.0))
    source = write_lines(home.work / "a.json", [span_request(span(1), span(2))])
    assert "2 records read, 1 added, 1 known already" in home.run(f"import otlp {source}").stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--map name", "--map: expected FIELD=COLUMN, found 'name'"),
        ("--map artifact_name=a,artifact_name=b", "--map: names the field artifact_name twice"),
        ("--set event_type=", "--set: expected FIELD=VALUE"),
    ],
)
def test_a_map_that_cannot_be_read_is_wrong_usage(home: Any, options: str, told: str) -> None:
    """With what was expected."""
    source = write_csv(home.work / "a.csv", [("event_type", "time")])
    assert told in home.run(f"--service shelf import csv {source} {options}", code=2).stderr


def test_ctrl_c_tells_what_was_done(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches that are in the store are counted, the exit code is 1, and the rest comes next time."""
    source = write_lines(home.work / "a.jsonl", map(record, range(30)))
    monkeypatch.setattr("usagetrace.importers.run._BATCH", 10)
    whole = JsonLinesReader.read

    def interrupted(self: JsonLinesReader) -> Any:
        for number, each in enumerate(whole(self)):
            if number == 25 and not self._looking:
                raise KeyboardInterrupt
            yield each

    with monkeypatch.context() as patched:
        patched.setattr(JsonLinesReader, "read", interrupted)
        result = home.run(f"--service shelf import jsonl {source}", code=1)
    assert "20 records read, 20 added" in result.stdout
    assert "it was not read to its end" in result.stdout
    assert "interrupted: give the same command again to go on" in result.stderr
    assert "10 added, 20 known already" in home.run(f"--service shelf import jsonl {source}").stdout


def test_a_bar_is_shown_on_a_terminal_alone(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both passes have one, and where standard error is no terminal there is none."""
    source = write_lines(home.work / "a.jsonl", map(record, range(30)))
    reader = JsonLinesReader(source)
    with importing._progress(reader) as moved:
        assert moved is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with importing._progress(reader) as moved:
        assert moved is not None
        moved("check", 10)
        moved("import", reader.size or 0)


def test_every_format_has_help_that_names_its_file() -> None:
    """All five take files, a dry run and a format."""
    for command in importing.importing.commands.values():
        names = {parameter.name for parameter in command.params}
        assert {"files", "dry_run", "form"} <= names
        assert isinstance(command, click.Command)


SAMPLE_LINES = {
    "csv": "--map event_type=action,artifact_name=skill,timestamp=when,metadata.score=score "
    "--set artifact_type=skill --timezone Europe/Vienna deploys.csv",
    "jsonl": "events.jsonl",
    "otlp": "traces.json",
    "v1": "analytics-v1.db",
}


@pytest.mark.parametrize("form", SAMPLE_LINES)
def test_the_committed_samples_are_imported(home: Any, form: str) -> None:
    """As the guide says it, each twice; the samples stay as they are."""
    shutil.copytree(SAMPLES, home.work / "samples")
    folder = home.work / "samples"
    if form == "v1":
        import sqlite3

        made = sqlite3.connect(folder / "analytics-v1.db")
        made.executescript((SAMPLES / "analytics-v1.sql").read_text("utf-8"))
        made.close()
    *options, name = SAMPLE_LINES[form].split()
    before = files(folder)
    line = ["--service", "shelf", "import", form, *options, str(folder / name)]
    report = json.loads(home.run([*line, "--format", "json"]).stdout)["files"][0]
    assert (report["added"], report["skipped"]) == (report["read"], 0)
    assert report["added"] >= 3
    assert json.loads(home.run([*line, "--format", "json"]).stdout)["files"][0]["known"] == report["read"]
    assert sum(summary(home.store_path()).values()) == report["added"] + report["carried"]
    assert files(folder) == before

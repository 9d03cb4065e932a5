"""What happens to imports out of bad luck: files that change, disks without room, odd names, Ctrl-C, absurd numbers."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.importers.import_kit import NOW, events, files, now, record, totals, v1_database, write_csv, write_lines
from usagetrace.errors import ImportFileError, StoreUnavailableError, UsageTraceError
from usagetrace.importers import ledger
from usagetrace.importers.csv_file import CsvReader
from usagetrace.importers.jsonl import JsonLinesReader
from usagetrace.importers.run import run
from usagetrace.importers.skill_metrics import SkillMetricsReader
from usagetrace.importers.source import FileReader
from usagetrace.importers.times import ZoneError, time_reader, zone_of
from usagetrace.importers.v1 import V1Reader

# Looks at a database that has no end, and is told to stop meanwhile.
STOPPED = """
import os, signal, sys, threading
from usagetrace.importers.v1 import V1Reader

reader = V1Reader(sys.argv[1])
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    reader.check()
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_grows_meanwhile_is_imported_as_far_as_it_was_looked_at(tmp_path: Path, packed: bool) -> None:
    """Another program writes on: what it appends, half a line perhaps, is for the next import."""
    path = write_lines(tmp_path / "a.jsonl", [record(number) for number in range(3)])
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    rest = json.dumps(record(3)).encode() + b"\n"

    def grow(_: object) -> None:
        with path.open("ab") as file:
            file.write(gzip.compress(rest)[:9] if packed else rest[:9])

    store = tmp_path / "store.db"
    report = run(JsonLinesReader(path), store, now_ms=now, checked=grow)
    assert (report.read, report.added, report.complete) == (3, 3, True)
    with path.open("ab") as file:
        file.write(gzip.compress(rest)[9:] if packed else rest[9:])
    again = run(JsonLinesReader(path), store, now_ms=now)
    assert (again.added, again.known, totals(store)) == (1, 3, (4, 4, 4))


@pytest.mark.parametrize("how", ["replaced", "cut", "overwritten"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_that_is_another_one_meanwhile_is_refused(tmp_path: Path, form: str, how: str) -> None:
    """Nobody has looked at what it holds now: nothing of it is written."""
    path, store = tmp_path / "a", tmp_path / "store.db"
    if form == "csv":
        write_csv(path, [("event_type", "time"), ("deploy", "2026-10-01"), ("deploy", "2026-10-02")])
    reader: FileReader = CsvReader(path) if form == "csv" else JsonLinesReader(write_lines(path, [record(1)]))

    def change(_: object) -> None:
        content = path.read_bytes()
        if how == "replaced":
            (tmp_path / "b").write_bytes(content * 2)
            (tmp_path / "b").rename(path)
        elif how == "cut":
            os.truncate(path, len(content) - 3)
        else:
            path.write_bytes(content.swapcase())
            os.utime(path, ns=(0, 0))

    with pytest.raises(ImportFileError, match="the file was changed after it was looked at: import it again"):
        run(reader, store, now_ms=now, checked=change)
    assert not store.exists() or events(store) == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The legacy file is read more than once, too."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImportFileError, match="pipe: expected a regular file"):
        SkillMetricsReader(tmp_path / "pipe").check()


@pytest.mark.parametrize("encoding", ["hex", "rot13", "zlib", "nonsense", "a\0b"])
def test_an_encoding_that_makes_no_text_is_refused(encoding: str) -> None:
    """Python's registry has those as well."""
    with pytest.raises(UsageTraceError, match=r"no encoding .* is known here"):
        CsvReader("a.csv", encoding=encoding)


@pytest.mark.parametrize("name", ["+24:00", "-99:99", "+25"])
def test_an_offset_of_a_day_is_no_zone(name: str) -> None:
    """It says which ones are."""
    with pytest.raises(ZoneError, match=r"expected local, utc, an offset such as \+02:00"):
        zone_of(name)


@pytest.mark.parametrize("form", ["%Y%Y", "%Q", "%d.%"])
def test_a_format_that_can_read_nothing_is_refused_as_such(form: str) -> None:
    """And not found in each row."""
    with pytest.raises(UsageTraceError, match="a time's form is"):
        time_reader(form, None)
    assert time_reader("[%d.%m.%Y", zone_of("utc"))("[01.11.2026") == NOW - 12 * 3_600_000


def test_a_record_too_deep_for_its_identity_is_a_fault_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read may still be too deep to be written, by a little: it is skipped like another faulty line."""

    def too_deep(reader: FileReader, value: dict[str, Any]) -> str:
        if value["artifact_name"] == "deep":
            raise RecursionError
        return str(value)

    monkeypatch.setattr(FileReader, "identity", too_deep)
    path = write_lines(tmp_path / "a.jsonl", [record(1), record(2, artifact_name="deep"), record(3)])
    report = run(JsonLinesReader(path, lenient=True), tmp_path / "store.db", now_ms=now)
    assert (report.added, report.places) == (2, {"nested too deeply": ["line 2"]})


def test_no_room_for_counting_equal_records_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory goes to a file, whose disk may be full."""
    counting = ledger.Occurrences()
    counting._counts.execute("PRAGMA max_page_count=2")
    with pytest.raises(StoreUnavailableError, match=r"the temporary file .* equal records .* the disk is full"):
        counting.number([*range(10_000)])
    counting.close()


def test_ids_of_other_tools_may_be_anything(tmp_path: Path) -> None:
    """Numbers, texts, bytes and none: the bar of progress is made of numbers alone."""
    path = tmp_path / "other.db"
    with v1_database(path) as made:
        made.execute("ALTER TABLE events RENAME TO ours")
        made.execute("CREATE TABLE events AS SELECT * FROM ours")
        made.executemany(
            "INSERT INTO events (id, event_type, artifact_name, timestamp) VALUES (?, 'sync', ?, '2026-10-01 10:00')",
            [(each, f"a{place}") for place, each in enumerate((7, "zz", b"\xff", None, -1, 0.5))],
        )
    made.close()
    report = run(V1Reader(path), tmp_path / "store.db", now_ms=now)
    assert (report.read, report.added) == (6, 6)


@pytest.mark.parametrize("counts", [(2**63 - 1, 2**63 - 1), (0, 10**12 + 1)])
def test_a_count_that_none_can_be_is_a_fault(tmp_path: Path, counts: tuple[int, int]) -> None:
    """Added to the summary, it would overflow the sums of every report from then on."""
    path, store = tmp_path / "other.db", tmp_path / "store.db"
    rows = [("canvas", "skill", None, None, *counts), ("sound", "skill", None, None, 3, 3)]
    v1_database(path, summary=rows).close()
    with pytest.raises(ImportFileError, match="table usage_summary, row 1: expected counts up to 1000000000000"):
        run(V1Reader(path), store, now_ms=now)
    assert not store.exists()
    report = run(V1Reader(path, lenient=True), store, now_ms=now)
    assert (report.carried, totals(store)) == (3, (0, 3, 0))


def test_a_look_at_a_database_without_end_can_be_stopped(tmp_path: Path) -> None:
    """Ctrl-C is heard while SQLite is busy, as with a file of many gigabytes."""
    path = tmp_path / "endless.db"
    with sqlite3.connect(path) as made:
        made.execute(
            "CREATE VIEW events AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, "
            "'deploy' AS event_type, 'a' AS artifact_name, 's' AS artifact_type, NULL AS collection_name, "
            "NULL AS project_path, '2026-10-01 00:00:00' AS timestamp, NULL AS metadata FROM n"
        )
        made.execute(
            "CREATE TABLE usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, "
            "update_count, sync_count, remove_count, search_count, total_events)"
        )
    made.close()
    done = subprocess.run([sys.executable, "-c", STOPPED, path], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


def test_a_dry_run_of_a_legacy_file_touches_nothing(tmp_path: Path) -> None:
    """No journal beside a store either, in which it looks for what was written to both."""
    path, store = tmp_path / "metrics.json", tmp_path / "store.db"
    path.write_text('{"invocations": [{"skill_name": "s", "invoked_at": "2026-10-01T10:00:00", "completed": true}]}')
    assert run(SkillMetricsReader(path, store_path=store), store, now_ms=now).added == 1
    left = files(tmp_path)
    dry = run(SkillMetricsReader(path, store_path=store), store, now_ms=now, dry_run=True)
    assert (dry.known, sorted(files(tmp_path))) == (1, sorted(left))
    assert files(tmp_path) == left


def test_names_of_members_are_told_redacted(tmp_path: Path) -> None:
    """Also where what stands in front of them hides from a rule where they begin."""
    path = tmp_path / "metrics.json"
    mail, place = "bob@" + "corp.example", "/home/" + "zoe/plan.txt"
    one = {"skill_name": "s", "invoked_at": "2026-10-01T10:00:00", mail: 1, place: 2}
    path.write_text(json.dumps({"invocations": [one], "skills": {"s": {mail: 1, place: 2}}, mail: 3}))
    reader = SkillMetricsReader(path)
    reader.check()
    told = "\n".join(reader.notes)
    assert told.count("[].[redacted:email]") == 2
    assert told.count("[].~/plan.txt") == 2
    assert [text for text in (mail, "zoe") if text in told] == []

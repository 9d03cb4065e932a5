"""What an import does whatever the format: each record once, in whatever way it was interrupted or given again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.importers.import_kit import (
    DAY,
    NOW,
    events,
    files,
    now,
    record,
    span,
    span_request,
    totals,
    write_csv,
    write_lines,
)
from usagetrace import redaction
from usagetrace.errors import ImportFileError, StoreUnavailableError, UsageTraceError
from usagetrace.events import Event
from usagetrace.importers import sink
from usagetrace.importers.csv_file import CsvReader
from usagetrace.importers.jsonl import JsonLinesReader
from usagetrace.importers.model import Found, Report
from usagetrace.importers.otlp_file import OtlpReader
from usagetrace.importers.run import run
from usagetrace.redaction.hashkey import key_path
from usagetrace.store import Store

# Imports a file with batches of 50, and is killed where the arguments say.
KILLED = """
import os, signal, sys
from usagetrace.importers import run, sink
from usagetrace.importers.jsonl import JsonLinesReader
from usagetrace.store import writer

source, store, inside, number = sys.argv[1], sys.argv[2], sys.argv[3] == "inside", int(sys.argv[4])
run._BATCH = 50
calls = [0]


def dying(function):
    def wrapped(*arguments):
        result = function(*arguments)
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


if inside:
    writer.write = dying(writer.write)
else:
    sink.StoreSink.add = dying(sink.StoreSink.add)
run.run(JsonLinesReader(source), store)
"""


def imported(source: Path, store: Path, **more: Any) -> Report:
    return run(JsonLinesReader(source), store, now_ms=now, **more)


def test_a_file_that_is_given_again_adds_nothing(tmp_path: Path) -> None:
    """The second report knows everything, and summary and daily counts stay."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(300))), tmp_path / "a.db"
    first, second = imported(source, store), imported(source, store)
    assert (first.read, first.added, first.known, first.complete) == (300, 300, 0, True)
    assert (second.read, second.added, second.known) == (300, 0, 300)
    assert totals(store) == (300, 300, 300)


def test_a_file_that_has_grown_adds_what_is_new(tmp_path: Path) -> None:
    """Wherever in the file the new records stand."""
    source, store = tmp_path / "a.jsonl", tmp_path / "a.db"
    imported(write_lines(source, map(record, range(100))), store)
    shuffled = list(range(150))
    random.Random(5).shuffle(shuffled)
    report = imported(write_lines(source, map(record, shuffled)), store)
    assert (report.added, report.known) == (50, 100)
    assert totals(store) == (150, 150, 150)


def test_equal_records_are_as_many_events(tmp_path: Path) -> None:
    """Records that say the same are counted by how many there are, and one more of them is one more event."""
    source, store = tmp_path / "a.jsonl", tmp_path / "a.db"
    assert imported(write_lines(source, [record(1)] * 1050), store).added == 1050
    assert imported(write_lines(source, [record(1)] * 1051), store).added == 1
    assert totals(store) == (1051, 1051, 1051)


def test_the_identity_does_not_depend_on_the_zone(tmp_path: Path) -> None:
    """A file that is given again with another time zone is the same file."""
    source = write_csv(tmp_path / "a.csv", [("event_type", "time"), ("deploy", "2026-10-01 10:00:00")])
    store = tmp_path / "a.db"
    assert run(CsvReader(source, timezone="+02:00"), store, now_ms=now).added == 1
    assert run(CsvReader(source, timezone="utc"), store, now_ms=now).known == 1
    assert [each["timestamp"] for each in events(store)] == ["2026-10-01 08:00:00"]


def test_what_retention_removed_is_not_counted_again(tmp_path: Path) -> None:
    """The store remembers what it imported for longer than it keeps the events."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(100))), tmp_path / "a.db"
    imported(source, store)
    with Store(store) as opened:
        opened.cleanup_old_events(1, now_ms=NOW + 400 * DAY)
    assert totals(store) == (0, 100, 100)
    assert imported(source, store).known == 100
    assert totals(store) == (0, 100, 100)


def test_events_that_are_there_are_known_without_the_ledger(tmp_path: Path) -> None:
    """Where damage has taken what the store remembers, the events that were saved are not added again."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(30))), tmp_path / "a.db"
    imported(source, store)
    with Store(store) as opened:
        opened.connection.execute("DELETE FROM imported_records")
    assert imported(source, store).known == 30
    assert totals(store) == (30, 30, 30)


def test_what_a_reader_knows_to_be_there_is_remembered_and_not_added(tmp_path: Path) -> None:
    """A record that a tool wrote to both places counts as known, also after its event was removed."""
    reader = JsonLinesReader(write_lines(tmp_path / "a.jsonl", map(record, range(3))))
    store = tmp_path / "a.db"
    whole = JsonLinesReader.read

    class Both(JsonLinesReader):
        def read(self) -> Iterator[Any]:
            return (each._replace(there=True) if isinstance(each, Found) else each for each in whole(self))

    both = Both(reader.path)
    assert run(both, store, now_ms=now, dry_run=True).known == 3
    assert run(both, store, now_ms=now).known == 3
    assert run(reader, store, now_ms=now).known == 3
    assert totals(store) == (0, 0, 0)


def test_events_of_the_future_are_refused_with_the_skew(tmp_path: Path) -> None:
    """A clock may be ahead by as much as is allowed; what is later is skipped, and by how much is said."""
    source = write_lines(
        tmp_path / "a.jsonl",
        [record(1), record(1, time=NOW + 59_000), record(2, time=NOW + 3 * 3_600_000), record(3, time=NOW + DAY * 3)],
    )
    report = imported(source, tmp_path / "a.db", clock_skew_s=60.0)
    assert (report.added, report.skipped) == (2, 2)
    assert report.reasons == {"its time is in the future": 2}
    assert report.places["its time is in the future"] == [
        "line 3: 3.0 hours ahead of this machine's clock, where 60 s are allowed",
        "line 4: 3.0 days ahead of this machine's clock, where 60 s are allowed",
    ]


def test_old_events_are_told_of_before_anything_is_written(tmp_path: Path) -> None:
    """How many retention will remove is known before the store exists; they are imported all the same."""
    old = [record(number, time=NOW - 100 * DAY) for number in range(5)]
    source = write_lines(tmp_path / "a.jsonl", [*old, record(1, time=NOW - DAY)])
    seen: list[tuple[int, bool]] = []
    store = tmp_path / "a.db"
    report = imported(source, store, retention_days=90, checked=lambda found: seen.append((found.old, store.exists())))
    assert seen == [(5, False)]
    assert (report.old, report.added) == (5, 6)


@pytest.mark.parametrize("before", [False, True], ids=["no store", "a store"])
def test_a_dry_run_says_the_same_and_touches_nothing(tmp_path: Path, before: bool) -> None:
    """No file, no directory, no byte: not beside the store, not in the home directory; and the numbers are right."""
    source, store = tmp_path / "a.jsonl", tmp_path / "data" / "a.db"
    if before:
        imported(write_lines(source, map(record, range(40))), store)
    write_lines(source, [*map(record, range(100)), record(1, time=NOW + DAY)])
    left = files(tmp_path)
    dry = imported(source, store, dry_run=True)
    assert files(tmp_path) == left
    wet = imported(source, store)
    assert (dry.read, dry.added, dry.known, dry.reasons) == (wet.read, wet.added, wet.known, wet.reasons)
    assert wet.added == (60 if before else 100)


def test_a_fault_is_found_before_anything_is_written(tmp_path: Path) -> None:
    """The last line of many is cut: nothing of the file is imported, and its place is named."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(3000))), tmp_path / "a.db"
    source.write_bytes(source.read_bytes()[:-9])
    with pytest.raises(ImportFileError, match=r"a\.jsonl, line 3000: column \d+: not valid JSON"):
        imported(source, store)
    assert not store.exists()


def test_ids_tell_nothing_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same record gets other ids on another installation, and the same ones in each store of one."""
    source = write_lines(tmp_path / "a.jsonl", [record(1)])

    def ids(name: str) -> tuple[str, str]:
        imported(source, tmp_path / name)
        [event] = events(tmp_path / name)
        return event["trace_id"], event["span_id"]

    here = ids("a.db")
    assert ids("b.db") == here
    for module in ("redaction.hashkey", "importers.ledger"):
        monkeypatch.setattr(f"usagetrace.{module}.key_path", lambda: str(tmp_path / "elsewhere" / "redaction.key"))
    assert ids("c.db") != here


def test_another_key_is_refused(tmp_path: Path) -> None:
    """Without the key of before, what was imported would be counted again: that is said, and nothing is done."""
    source, store = write_lines(tmp_path / "a.jsonl", [record(1)]), tmp_path / "a.db"
    imported(source, store)
    from usagetrace.redaction import hashkey

    Path(key_path()).unlink()
    hashkey._keys.clear()
    for dry_run in (True, False):
        with pytest.raises(UsageTraceError, match="key of another installation"):
            imported(source, store, dry_run=dry_run)
    assert totals(store) == (1, 1, 1)


def test_what_is_private_never_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a field, a key, nor below metadata: the bytes of every file beside the store are looked at."""
    secret = "ghp_" + "A7b9" * 9
    home = str(Path.home() / "clients" / "zz-private-zz")
    source = write_lines(
        tmp_path / "a.jsonl",
        [
            record(
                number, event_type=f"x {secret}", artifact_name=secret, artifact_type=f"k {secret}", project_path=home,
                session_id=f"s-{secret}", collection_name=secret, error_type=secret, service_name=secret,
                metadata={"note": f"token={secret}", f"k-{secret}": 1, "deep": [{"password": "hunter2-" + "zz9"}]},
            )
            for number in range(3)
        ],
    )  # fmt: skip
    monkeypatch.setattr(sys.modules["usagetrace.importers.run"], "_BATCH", 2)
    assert imported(source, tmp_path / "data" / "a.db").added == 3
    stored = files(tmp_path / "data")
    assert stored
    for name, content in stored.items():
        for private in (secret, str(Path.home()), "hunter2-" + "zz9"):
            assert private.encode() not in content, name


def test_what_cannot_be_redacted_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction that fails drops the record, and the report says where it was."""
    source = write_lines(tmp_path / "a.jsonl", [record(0), record(1, artifact_name="odd"), record(2)])
    redactor = redaction.default_redactor()
    inner = redactor.redact

    def failing(key: str, value: object) -> object:
        if value == "odd":
            raise redaction.engine.RedactionError("no")  # type: ignore[attr-defined]  # imported there
        return inner(key, value)

    monkeypatch.setattr(redactor, "redact", failing)
    report = imported(source, tmp_path / "a.db")
    assert (report.added, report.places) == (2, {"can't be redacted": ["line 2"]})


def test_two_imports_at_once_add_each_record_once(tmp_path: Path) -> None:
    """Whoever is second in a batch finds that it is known."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(1500))), tmp_path / "a.db"
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda: reports.append(imported(source, store))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.read for each in reports] == [1500, 1500]
    assert sum(each.added for each in reports) == sum(each.known for each in reports) == 1500
    assert totals(store) == (1500, 1500, 1500)


def test_a_tool_records_beside_an_import(tmp_path: Path) -> None:
    """Both get the lock in turn, and nothing of either is lost."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(1500))), tmp_path / "a.db"
    with Store(store) as tool:
        tool.write([Event("deploy", "canvas", "skill", NOW)])
        thread = threading.Thread(target=imported, args=(source, store))
        thread.start()
        for _ in range(40):
            tool.write([Event("deploy", "canvas", "skill", NOW)])
        thread.join()
    assert totals(store) == (1541, 1541, 1541)


def test_an_import_waits_for_a_store_that_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on when the lock is free, and gives up with the reason where it never is."""
    source, store = write_lines(tmp_path / "a.jsonl", [record(1)]), tmp_path / "a.db"
    monkeypatch.setattr(sink, "_TRY_MS", 20)
    with Store(store) as other:
        other.connection.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=imported, args=(source, store))
        thread.start()
        time.sleep(0.1)
        other.connection.execute("COMMIT")
        thread.join()
        assert totals(store) == (1, 1, 1)
        monkeypatch.setattr(sink, "_PATIENCE_S", 0.0)
        other.connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            imported(write_lines(source, [record(2)]), store)
        other.connection.execute("ROLLBACK")


def test_what_was_recorded_here_is_known_by_its_ids(tmp_path: Path) -> None:
    """A span that the store has from its tool is not added again, and one that comes twice in a file is one."""
    source = write_lines(tmp_path / "a.json", [span_request(span(1), span(2), span(2)), span_request(span(1), span(3))])
    store = tmp_path / "a.db"
    with Store(store) as tool:
        began = NOW - DAY + 2000
        tool.write([Event("deploy", "skill-2", "skill", began, trace_id=f"{3:032x}", span_id=f"{3:016x}")])
    dry = run(OtlpReader(source), store, now_ms=now, dry_run=True)
    report = run(OtlpReader(source), store, now_ms=now)
    assert (report.read, report.added, report.known) == (dry.read, dry.added, dry.known) == (5, 2, 3)
    assert totals(store) == (3, 3, 3)


def test_the_store_itself_is_no_source(tmp_path: Path) -> None:
    """A store is not imported into itself."""
    from usagetrace.importers.v1 import V1Reader

    store = tmp_path / "a.db"
    with Store(store) as tool:
        tool.write([Event("deploy", "canvas", "skill", NOW)])
    with pytest.raises(ImportFileError, match="the store itself"):
        run(V1Reader(store), store, now_ms=now)
    assert totals(store) == (1, 1, 1)


def killed(source: Path, store: Path, place: str, number: int) -> None:
    """Import in a process that is killed at a place."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(store), place, str(number)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_import_goes_on(tmp_path: Path) -> None:
    """Killed in the middle of a transaction: what was committed is known, the rest is added, totals are right."""
    source, store = write_lines(tmp_path / "a.jsonl", map(record, range(400))), tmp_path / "a.db"
    killed(source, store, "inside", 3)
    assert totals(store) == (100, 100, 100)
    report = imported(source, store)
    assert (report.added, report.known) == (300, 100)
    assert totals(store) == (400, 400, 400)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_an_import_that_is_killed_again_and_again_ends_with_the_right_totals(tmp_path: Path, place: str) -> None:
    """Each run is killed a few batches on, with equal records among them; each artifact's count is right in the end."""
    records = [record(number % 977) for number in range(3000)]
    source, store = write_lines(tmp_path / "a.jsonl", records), tmp_path / "a.db"
    chance = random.Random(place)
    done = 0
    while done < 2500:
        killed(source, store, place, chance.randrange(2, 8))
        before, done = done, totals(store)[0]
        assert done > before
    assert imported(source, store).known == done
    assert totals(store) == (3000, 3000, 3000)
    with Store(store) as opened:
        found = {row["artifact_name"]: row["total_events"] for row in opened.get_usage_summary()}
    assert found == Counter(each["artifact_name"] for each in records)

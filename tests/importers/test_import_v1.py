"""Databases of other tools: read and never changed, of any age, and what their summaries count carried once."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.importers.import_kit import events, files, now, totals, v1_database
from usagetrace.errors import ImportFileError
from usagetrace.importers.model import Report
from usagetrace.importers.run import run
from usagetrace.importers.v1 import V1Reader
from usagetrace.store import Store

ROWS = [
    ("deploy", "canvas", "skill", "/srv/app", "2026-10-01 10:00:00", '{"version": "1.2.0"}'),
    ("search", "", "", None, "2026-10-01 11:00:00", "no json"),
    ("remove", "canvas", "command", None, "2026-10-02 10:00:00", '{"result": "error"}'),
    ("deploy", "canvas", "skill", None, "2026-10-01 10:00:00", None),
    ("deploy", "canvas", "skill", None, "2026-10-01 10:00:00", None),
]
# Seven deploys more than there are events, and two uses of no known type.
SUMMARY = [("canvas", "skill", "2025-01-01 00:00:00", "2026-10-02 10:00:00", 10, 13), ("", "", None, None, 0, 1)]


def imported(source: Path, store: Path, **more: Any) -> Report:
    return run(V1Reader(source), store, now_ms=now, **more)


def summary(store: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    with Store(store, read_only=True) as opened:
        return {
            (row["artifact_type"], row["artifact_name"]): (
                row["deploy_count"], row["remove_count"], row["total_events"], row["first_used"],
            )
            for row in opened.get_usage_summary()
        }  # fmt: skip


@pytest.mark.parametrize("wal", [False, True], ids=["journal", "wal"])
@pytest.mark.parametrize("in_use", [False, True], ids=["closed", "in use"])
def test_a_database_is_imported_and_stays_as_it_is(tmp_path: Path, wal: bool, in_use: bool) -> None:
    """Every event, with the uses that no event is left of; not a byte of the source and no file beside it changes."""
    folder, store = tmp_path / "tool", tmp_path / "a.db"
    folder.mkdir()
    tool = v1_database(folder / "tool.db", ROWS, SUMMARY, wal=wal)
    if not in_use:
        tool.close()
    before = files(folder)
    report = imported(folder / "tool.db", store)
    after = files(folder)
    # Readers of a log that is in use note in its index how far they read.
    before.pop("tool.db-shm", None)
    after.pop("tool.db-shm", None)
    assert after == before
    tool.close()
    assert (report.read, report.added, report.carried) == (5, 5, 9)
    assert [(each["timestamp"], each["status"], each["metadata"]) for each in events(store)] == [
        ("2026-10-01 10:00:00", "ok", {"version": "1.2.0"}),
        ("2026-10-01 10:00:00", "ok", None),
        ("2026-10-01 10:00:00", "ok", None),
        ("2026-10-01 11:00:00", "ok", {"metadata": "no json"}),
        ("2026-10-02 10:00:00", "error", {"result": "error"}),
    ]
    assert events(store)[0]["project_path"] == "app"
    assert summary(store) == {
        ("skill", "canvas"): (10, 0, 12, "2025-01-01 00:00:00"),
        ("command", "canvas"): (0, 1, 1, "2026-10-02 10:00:00"),
        ("", ""): (0, 0, 1, "2026-10-01 11:00:00"),
    }


def test_uses_without_events_are_carried_once(tmp_path: Path) -> None:
    """Also where the other tool removes events that were imported, which its summary goes on counting."""
    source, store = tmp_path / "tool.db", tmp_path / "a.db"
    tool = v1_database(source, ROWS, SUMMARY)
    dry = imported(source, store, dry_run=True)
    assert (dry.carried, imported(source, store).carried) == (9, 9)
    left = summary(store)
    tool.execute("DELETE FROM events WHERE event_type = 'deploy'")
    again = imported(source, store)
    assert (again.added, again.known, again.carried, again.uncarried) == (0, 2, 0, 12)
    assert imported(source, store, dry_run=True).uncarried == 12
    assert summary(store) == left
    tool.close()


def test_a_database_that_is_migrated_meanwhile_holds_the_same_records(tmp_path: Path) -> None:
    """Adopted by this package, with all its further columns, it adds nothing; what came later is whole."""
    source, store = tmp_path / "tool.db", tmp_path / "a.db"
    v1_database(source, ROWS, SUMMARY).close()
    imported(source, store)
    with Store(source) as adopted:
        adopted.record_event("sync", "brush", "skill", ts_ms=now() - 1)
    again = imported(source, store)
    assert (again.added, again.known, again.carried) == (1, 5, 0)
    assert events(store)[-1]["ts_ms"] == now() - 1
    assert totals(store)[0] == 6


def test_names_are_redacted_in_the_summary_too(tmp_path: Path) -> None:
    """What is carried goes under the name that events get."""
    secret = "ghp_" + "A7b9" * 9
    source, store = tmp_path / "tool.db", tmp_path / "a.db"
    v1_database(
        source,
        [("deploy", secret, "skill", None, "2026-10-01 10:00:00", None)],
        [(secret, "skill", None, None, 4, 4)],
    ).close()
    assert imported(source, store).carried == 3
    assert [counts[0] for counts in summary(store).values()] == [4]
    assert secret.encode() not in b"".join(content for name, content in files(tmp_path).items() if "tool" not in name)


def test_times_of_another_zone(tmp_path: Path) -> None:
    """That schema's times are UTC; a tool that wrote others can be helped; a row without a time is skipped."""
    source = tmp_path / "tool.db"
    v1_database(source, [ROWS[0], ("deploy", "canvas", "skill", None, None, None)]).close()
    found = list(V1Reader(source, timezone="+02:00").read())
    assert [getattr(each, "why", None) for each in found] == [None, "has no time"]
    assert found[1].place == "table events, row 2"


def broken(path: Path, how: str) -> None:
    """Make a file that is no sound database of version 1."""
    made = v1_database(path, ROWS * 60, SUMMARY)
    if how == "foreign":
        made.execute("DROP TABLE usage_summary")
    elif how == "columns":
        made.execute("ALTER TABLE events RENAME COLUMN timestamp TO moment")
    elif how == "time":
        made.execute("UPDATE events SET timestamp = 'soon' WHERE id = 290")
    made.close()
    content = path.read_bytes()
    if how == "noise":
        at = len(content) // 2
        path.write_bytes(content[:at] + b"\x5a" * 4096 + content[at + 4096 :])
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "text":
        path.write_bytes(b"event_type,time\n" * 500)
    elif how == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("noise", "damaged|malformed"), ("cut", "damaged|malformed"), ("text", "not an SQLite database"),
        ("empty", "not an SQLite database"), ("foreign", "the table usage_summary is missing"),
        ("columns", "the table events lacks timestamp"),
        ("time", "table events, row 290: timestamp: expected a time"),
    ],
)  # fmt: skip
def test_what_is_no_sound_database_is_refused(tmp_path: Path, how: str, told: str) -> None:
    """Nothing of it is imported, and the file stays as it is."""
    source, store = tmp_path / "tool.db", tmp_path / "a.db"
    broken(source, how)
    before = files(tmp_path)
    with pytest.raises(ImportFileError, match=told):
        imported(source, store)
    assert files(tmp_path) == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """It is not made."""
    with pytest.raises(ImportFileError, match="no such file"):
        imported(tmp_path / "none.db", tmp_path / "a.db")
    assert not list(tmp_path.glob("*.db*"))


def test_a_copy_with_its_log_is_read_whole(tmp_path: Path) -> None:
    """What lies in a write-ahead log that nobody has open belongs to the database."""
    tool = v1_database(tmp_path / "tool.db", ROWS, wal=True)
    (tmp_path / "copy").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"tool.db{suffix}", tmp_path / "copy" / f"tool.db{suffix}")
    tool.close()
    assert imported(tmp_path / "copy" / "tool.db", tmp_path / "a.db").added == 5
    with sqlite3.connect(tmp_path / "copy" / "tool.db") as left:
        assert left.execute("SELECT COUNT(*) FROM events").fetchone()[0] == 5
    left.close()

"""A segment that was out of sight while a damaged database was replaced, and whose position was lost with a page."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up
from usagetrace.store.recovery import recover
from usagetrace.store.schema import RECOVERED


def write(path: Path, statement: str, *values: Any) -> None:
    """Run a statement on a database, as damage would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def names(path: Path) -> list[str]:
    """Return the artifacts of all events, sorted."""
    with Store(path) as store:
        assert store.check() == []
        return sorted(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))


@pytest.mark.parametrize("recovered", ["after the segment was begun", "before it was begun", "never"])
def test_what_is_there_already_is_not_added_again(path: Path, make_event: Any, recovered: str) -> None:
    """A segment older than the recovery, read from its beginning, adds only what its ids do not find."""
    now = time.time_ns() // 1_000_000
    spool = Spool(spool_directory(path))
    for name in "abcd":
        assert spool.append([make_event(name=name, ts_ms=now, trace_id="1" * 32, span_id=name * 16)])
    assert spool.append([make_event(name="e", ts_ms=now, trace_id="2" * 32, span_id="e" * 16, item=n) for n in (0, 1)])
    assert catch_up(path) is not None
    assert names(path) == ["a", "b", "c", "d", "e", "e"]
    write(path, "DELETE FROM spool_positions")
    moment = {"after the segment was begun": now + 60_000, "before it was begun": 1_000, "never": None}[recovered]
    if moment is not None:
        write(path, "INSERT INTO usagetrace_state (key, value) VALUES (?, ?)", RECOVERED, str(moment))
    assert spool.append([make_event(name="new", ts_ms=now, trace_id="3" * 32, span_id="3" * 16)])
    spool.close()
    report = catch_up(path)
    assert report is not None
    if recovered == "after the segment was begun":
        assert report.events == 1
        assert names(path) == ["a", "b", "c", "d", "e", "e", "new"]
    else:
        # No reason to doubt: each record is looked up nowhere, for that would cost every drain.
        assert report.events == 7


def test_a_recovery_says_when_it_was(path: Path, make_event: Any) -> None:
    """The fresh database knows since when positions may be missing."""
    with Store(path) as store:
        store.write([make_event()])
    with path.open("r+b") as file:
        file.write(b"\x5a" * 512)
    before = time.time_ns() // 1_000_000
    assert recover(path) is not None
    with Store(path) as store:
        (row,) = store.connection.execute("SELECT value FROM usagetrace_state WHERE key = ?", (RECOVERED,))
    assert before <= int(row[0]) <= time.time_ns() // 1_000_000


def test_what_went_with_its_page_comes_back_with_the_segment(path: Path, make_event: Any) -> None:
    """A segment out of sight while the database was recovered is read from its beginning when it is there again."""
    now = time.time_ns() // 1_000_000
    directory = Path(spool_directory(path))
    spool = Spool(directory)
    for number in range(600):
        ids = {"trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}"}
        assert spool.append([make_event(name=f"{number:03}", ts_ms=now, **ids)])
    assert catch_up(path) is not None
    wanted = names(path)
    (segment,) = directory.glob("*.seg")
    kept = segment.read_bytes()
    segment.unlink()
    with path.open("r+b") as file:
        # The page of one of the events: their ids are in no index.
        file.seek(path.read_bytes().index(f"{300:016x}".encode()) // 4096 * 4096)
        file.write(os.urandom(4096))
    assert recover(path) is not None
    assert set(names(path)) < set(wanted)
    segment.write_bytes(kept)
    assert catch_up(path) is not None
    assert names(path) == wanted
    spool.close()
    assert catch_up(path) is not None
    assert names(path) == wanted

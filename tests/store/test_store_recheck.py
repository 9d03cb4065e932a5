"""Before a segment goes, its events are looked for once more: what else holds them may be destroyed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.spool import Spool, segments
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.catchup import catch_up
from usagetrace.store.drain import drain

COUNT = 600
PAGE = 4096
NOW = 1_763_287_200_000


def recorded(path: Path) -> Spool:
    """Return the spool of a living process whose events were all drained; the database alone holds them, checkpointed.

    Their metadata is in no index: a page with one of those texts is one of rows.
    """
    spool = Spool(spool_directory(path))
    for number in range(COUNT):
        event = Event(
            "deploy", f"a{number}", "skill", NOW + number, span_id=f"{number:016x}", metadata={"k": f"needle{number};"}
        )
        spool.append_rows([tuple(event)])
    with Store(path) as store:
        assert drain(store, spool_directory(path)).events == COUNT
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert segments(spool_directory(path))
    return spool


def destroy(path: Path, number: int) -> None:
    """Overwrite the page that holds a row with noise."""
    at = path.read_bytes().index(f"needle{number};".encode()) // PAGE * PAGE
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(number).randbytes(PAGE))


def names(path: Path) -> Counter[str]:
    with Store(path) as store:
        return Counter(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))


@pytest.mark.parametrize("number", [1, 17, 300, COUNT - 1])
def test_rows_on_a_destroyed_page_come_from_the_segment(path: Path, number: int) -> None:
    """Nobody read that page since: the end of the process finds the damage while its segment is still there."""
    spool = recorded(path)
    destroy(path, number)
    spool.close()
    report = catch_up(path)
    assert report is not None
    assert report.complete
    assert names(path) == Counter(f"a{each}" for each in range(COUNT))
    assert segments(spool_directory(path)) == []
    assert list(path.parent.glob("*.damaged-*"))


def test_rows_that_were_removed_on_purpose_do_not_come_back(path: Path, sql: Callable[..., Any]) -> None:
    """They are missing from a sound database: its segment goes, and nothing is recovered."""
    spool = recorded(path)
    sql(path, "DELETE FROM events WHERE ts_ms < ?", (NOW + 100,))
    spool.close()
    assert catch_up(path) is not None
    assert names(path) == Counter(f"a{each}" for each in range(100, COUNT))
    assert segments(spool_directory(path)) == []
    assert list(path.parent.glob("*.damaged-*")) == []


def test_without_time_to_look_the_segment_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked for may be lost: the next drain looks for it."""
    spool = recorded(path)
    spool.close()
    monkeypatch.setattr("usagetrace.store.recheck._BATCH", 100)
    with Store(path) as store:
        report = drain(store, spool_directory(path), budget=0.0)
        assert (report.complete, len(segments(spool_directory(path)))) == (False, 1)
        assert drain(store, spool_directory(path)).complete
    assert segments(spool_directory(path)) == []
    assert names(path) == Counter(f"a{each}" for each in range(COUNT))

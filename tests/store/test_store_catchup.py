"""Whoever reads finds what was recorded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.support.recording import (
    PATIENCE_S,
    MakeEvent,
    MakeRecorder,
    obstruct,
    total,
)
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.spool.room import leave_word
from usagetrace.store import Store, starts
from usagetrace.store.catchup import catch_up
from usagetrace.store.drain import DrainReport


def test_nothing_to_catch_up_with(path: Path) -> None:
    """Without a database and a spool there is nothing to read, and nothing is made."""
    assert catch_up(path) is None
    Path(spool_directory(path)).mkdir(parents=True)
    assert catch_up(path) is None
    assert not path.exists()


def test_nothing_waits(path: Path, make_event: MakeEvent) -> None:
    """A database without a spool is read as it is: it is not even opened."""
    path.parent.mkdir()
    path.write_bytes(b"not looked at")
    report = catch_up(path)
    assert report is not None
    assert (report.events, report.complete) == (0, True)
    assert path.read_bytes() == b"not looked at"


@pytest.mark.parametrize("fault", ["unreadable", "no database", "spool is a file"])
def test_catching_up_never_raises(path: Path, recorder: MakeRecorder, make_event: MakeEvent, fault: str) -> None:
    """Where the database can't be written or the spool not be read, the report says that something is left."""
    if fault == "spool is a file":
        obstruct(path)
    else:
        recorder(path).submit([make_event()])
    if fault == "unreadable":
        # Of a version that is not known yet.
        newer = Path(spool_directory(path)) / "0000000000001-1-00.seg"
        from usagetrace.spool import layout

        body = layout._HEADER_BODY.pack(layout.MAGIC, 99, b"12345678")
        newer.write_bytes(body + layout.crc32(body).to_bytes(4, "little") + b"rest")
    elif fault == "no database":
        path.mkdir()
    began = time.monotonic()
    report = catch_up(path, budget=60)
    assert report is not None
    assert (report.events, report.complete) == (int(fault == "unreadable"), False)
    assert time.monotonic() - began < PATIENCE_S


def test_many_catch_up_at_once(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """Readers that come at once wait for the one that drains; each then finds everything, once."""
    made = recorder(path)
    for number in range(900):
        made.submit([make_event(name=f"a{number % 7}")])
    found: list[tuple[bool, int]] = []

    def read() -> None:
        report = catch_up(path, budget=PATIENCE_S)
        assert report is not None
        found.append((report.complete, total(path)))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(True, 900)] * 5


def test_what_a_killed_drainer_left_open_is_abandoned(path: Path, make_event: MakeEvent) -> None:
    """Operations whose segments went with a drainer that died before it told of them are told of by the next reader."""
    begun = make_event("invoke", name="open", trace_id="1" * 32, span_id="2" * 16, status="abandoned")
    with Store(path) as store, store.atomic():
        starts.keep(store.connection, "0000000000001-1-00.seg", [begun])
    report = catch_up(path)
    assert report is not None
    assert (report.abandoned, report.complete) == (1, True)
    with Store(path, read_only=True) as store:
        assert [(row["artifact_name"], row["status"]) for row in store.get_events()] == [("open", "abandoned")]
        assert store.connection.execute("SELECT COUNT(*) FROM spool_starts").fetchone()[0] == 0
    report = catch_up(path)
    assert report is not None
    assert report.abandoned == 0


def test_a_look_for_what_was_left_open_leaves_no_file(path: Path, make_event: MakeEvent) -> None:
    """A database with an empty spool is only looked at: neither a journal nor anything else is there afterwards."""
    with Store(path) as store:
        store.write([make_event()])
    before = sorted(path.parent.rglob("*")), path.read_bytes()
    assert catch_up(path) == DrainReport()
    assert (sorted(path.parent.rglob("*")), path.read_bytes()) == before


def test_retention_where_all_that_came_was_counted_alone(path: Path, make_event: MakeEvent) -> None:
    """What is too old goes by the tool's own word also where sampling took away everything that came since."""
    with Store(path) as store:
        store.write([make_event(name="old", ts_ms=1_000_000_000_000)])
    spool = Spool(spool_directory(path))
    assert spool.append_sampled([tuple(make_event(name="new", ts_ms=time.time_ns() // 1_000_000))], 0, 60_000)
    spool.close()
    leave_word(spool_directory(path), "90\n")
    report = catch_up(path)
    assert report is not None
    assert (report.events, report.counted) == (0, 1)
    assert total(path) == 0

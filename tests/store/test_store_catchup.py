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
from usagetrace.spool.layout import spool_directory
from usagetrace.store.catchup import catch_up


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

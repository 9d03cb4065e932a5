"""Draining: each event once, whatever fails in between."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool import Spool, segments
from usagetrace.spool.layout import header
from usagetrace.spool.locks import LockedFile
from usagetrace.store import Store, writer
from usagetrace.store import drain as drain_module
from usagetrace.store.drain import LOCK_NAME, DrainReport, drain
from usagetrace.store.positions import FINISHED, Positions

MakeEvent = Callable[..., Event]
Names = Callable[[Store], list[str]]
_MONTH_MS = 31 * 86_400_000


def _rows(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.connection.execute("SELECT segment, lost, damaged FROM spool_positions")]


def _append(folder: Path, event: MakeEvent, first: int, last: int) -> list[str]:
    """Append events by a spool that is closed again; return their names."""
    spool = Spool(folder, max_segment_bytes=4000)
    made = [str(n) for n in range(first, last)]
    assert all(spool.append([event(name)]) for name in made)
    spool.close()
    return made


def test_a_spool_that_is_missing_is_drained_already(store: Store, folder: Path) -> None:
    """Nothing to drain: nothing is made either."""
    assert drain(store, folder) == DrainReport()
    assert not folder.exists()


def test_events_arrive_once_and_segments_go(store: Store, folder: Path, event: MakeEvent, names: Names) -> None:
    """Finished segments are drained in order and removed, with their positions; the summary counts them too."""
    wanted = _append(folder, event, 0, 300)
    count = len(segments(folder))
    assert count > 5
    assert drain(store, folder, batch_events=7) == DrainReport(events=300, records=300, segments_finished=count)
    assert names(store) == wanted
    assert segments(folder) == []
    assert _rows(store) == [(FINISHED, 0, 0)]
    assert drain(store, folder) == DrainReport()
    total = store.connection.execute("SELECT SUM(total_events) FROM usage_summary").fetchone()[0]
    assert total == 300


def test_a_live_segment_is_drained_as_far_as_it_goes(
    store: Store, spool: Spool, folder: Path, event: MakeEvent, names: Names
) -> None:
    """What a living process has appended is drained each time; its segment stays until it lets go of it."""
    for n in range(3):
        assert spool.append([event(f"{n}-a"), event(f"{n}-b")])
        assert drain(store, folder) == DrainReport(events=2, records=1)
    assert len(segments(folder)) == 1
    spool.close()
    assert drain(store, folder) == DrainReport(segments_finished=1)
    assert names(store) == ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]


def test_a_second_drainer_returns_at_once(store: Store, folder: Path, event: MakeEvent, names: Names) -> None:
    """While one drains, another says that it did not."""
    _append(folder, event, 0, 3)
    lock = LockedFile.take(str(folder / LOCK_NAME), make=True)
    assert lock is not None
    assert drain(store, folder) == DrainReport(complete=False)
    assert names(store) == []
    lock.close()
    assert drain(store, folder).events == 3


def test_a_drain_ends_with_its_budget_and_goes_on_later(
    store: Store, folder: Path, event: MakeEvent, names: Names
) -> None:
    """A budget of nothing still moves one batch, so that many short drains come to an end."""
    wanted = _append(folder, event, 0, 100)
    report = drain(store, folder, budget=0, batch_events=10)
    assert (report.events, report.complete) == (10, False)
    rounds = 1
    while not drain(store, folder, budget=0, batch_events=10).complete:
        rounds += 1
        assert rounds < 100
    assert names(store) == wanted


def _fail(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


CRASHES = {
    "before the commit": (writer, "write"),
    "after the commit, before the file is removed": (drain_module._Drain, "_remove_finished"),
    "while the store is being synced": (drain_module._Drain, "_sync_store"),
    "after the file is removed, before its position is": (Positions, "forget"),
}


@pytest.mark.parametrize("moment", CRASHES)
def test_a_drain_that_ends_anywhere_is_made_good_by_the_next(
    store: Store, folder: Path, event: MakeEvent, names: Names, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Each event is there once after the next drain, no file is left, and no position after a month."""
    wanted = _append(folder, event, 0, 100)
    with monkeypatch.context() as patch:
        patch.setattr(*CRASHES[moment], _fail)
        with pytest.raises(KeyboardInterrupt):
            drain(store, folder)
    wanted += _append(folder, event, 100, 110)
    assert drain(store, folder).complete
    assert names(store) == wanted
    assert segments(folder) == []
    _append(folder, event, 110, 111)
    drain(store, folder, now_ms=time.time_ns() // 1_000_000 + _MONTH_MS)
    assert _rows(store) == [(FINISHED, 0, 0)]


def test_a_locked_store_loses_nothing(store: Store, folder: Path, event: MakeEvent, names: Names) -> None:
    """The drain says that the store is not available; later it goes on."""
    wanted = _append(folder, event, 0, 10)
    with Store(store.path) as other, other.atomic():
        store.connection.execute("PRAGMA busy_timeout=10")
        with pytest.raises(StoreUnavailableError):
            drain(store, folder)
    assert drain(store, folder).complete
    assert names(store) == wanted


def test_no_drain_inside_a_transaction(store: Store, folder: Path, event: MakeEvent, names: Names) -> None:
    """A transaction of somebody else's could be rolled back after the files are gone: it is refused."""
    wanted = _append(folder, event, 0, 3)
    with store.atomic(), pytest.raises(StoreError, match="transaction is open"):
        drain(store, folder)
    assert drain(store, folder).events == 3
    assert names(store) == wanted


def test_an_event_that_the_store_cannot_hold_blocks_nothing(
    store: Store, folder: Path, event: MakeEvent, names: Names
) -> None:
    """It is counted as damaged, and what is around it is stored."""
    spool = Spool(folder)
    for name, item in (("a", 0), ("b", 2**70), ("c", 1)):
        assert spool.append([event(name, item=item)])
    spool.close()
    assert drain(store, folder) == DrainReport(events=2, records=2, damaged=1, segments_finished=1)
    assert names(store) == ["a", "c"]
    assert _rows(store) == [(FINISHED, 0, 1)]


def test_what_was_lost_and_damaged_stays_counted(store: Store, folder: Path, event: MakeEvent, names: Names) -> None:
    """Counts of segments that are gone are kept, from drain to drain."""
    for _ in range(2):
        spool = Spool(folder)
        spool._lose(5, OSError())
        for n in range(4):
            assert spool.append([event(str(n))])
        spool.close()
        (name,) = segments(folder)
        data = bytearray((folder / name).read_bytes())
        data[data.index(b"canvas" if b"canvas" in data else b"skill", len(data) // 2)] ^= 1
        (folder / name).write_bytes(data)
        report = drain(store, folder)
        assert (report.events, report.gaps, report.damaged, report.lost) == (3, 1, 1, 5)
    assert _rows(store) == [(FINISHED, 12, 2)]


def test_memory_does_not_grow_with_what_is_drained(store: Store, folder: Path, event: MakeEvent) -> None:
    """Ten thousand events over many segments need the memory of one segment and one batch."""
    spool = Spool(folder, max_segment_bytes=200_000)
    for n in range(10_000):
        assert spool.append([event(str(n), metadata={"text": "x" * 200})])
    spool.close()
    store.connection.execute("PRAGMA cache_size=-1000")
    tracemalloc.start()
    try:
        assert drain(store, folder).events == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A batch of 500 events takes about 2 MB; all of them would take more than ten times that.
    assert peak < 8_000_000


def test_a_segment_of_a_newer_version_is_left(
    store: Store, folder: Path, event: MakeEvent, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    """It stays as it is for the version that can read it; the others are drained."""
    from usagetrace.spool import layout

    wanted = _append(folder, event, 0, 3)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "VERSION", 2)
        data = header(b"12345678")
    newer = folder / "0000000000001-1-00.seg"
    newer.write_bytes(data)
    report = drain(store, folder)
    assert (report.events, report.complete) == (3, False)
    assert newer.read_bytes() == data
    assert names(store) == wanted


def test_a_segment_that_cannot_be_read_keeps_nothing_else_back(
    store: Store, folder: Path, event: MakeEvent, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned of and left; the segments after it are drained."""
    wanted = _append(folder, event, 0, 3)
    (folder / "0000000000000-1-00.seg").mkdir()
    report = drain(store, folder)
    assert (report.events, report.complete) == (3, False)
    assert names(store) == wanted
    assert "0000000000000-1-00.seg" in caplog.text


def test_a_position_that_somebody_else_advanced_is_respected(
    store: Store, folder: Path, event: MakeEvent, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks don't hold, two drainers still store each event once: the position decides."""
    wanted = _append(folder, event, 0, 20)
    original = drain_module._Drain._add
    raced: list[DrainReport] = []

    def late(self: Any, *arguments: Any) -> bool:
        if not raced:
            raced.append(DrainReport())
            with Store(store.path) as other:
                raced.append(drain_module._Drain(other, str(folder), 5, None, 0).run())
        return original(self, *arguments)

    monkeypatch.setattr(drain_module._Drain, "_add", late)
    # The other one finds this one's segments locked, and drains them as those of living writers.
    drain(store, folder, batch_events=5)
    monkeypatch.undo()
    drain(store, folder)
    assert raced[1].events == 20
    assert names(store) == wanted

"""Operations that begin: abandoned when their process is gone without an end, and only then, and once."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.spool.conftest import Outcomes, kept
from usagetrace.events import Event
from usagetrace.spool import Spool, read_segment, segments
from usagetrace.spool import segment as spool_segment
from usagetrace.spool.segment import Starts
from usagetrace.store import Store, starts
from usagetrace.store import drain as drain_module
from usagetrace.store.drain import DrainReport, drain
from usagetrace.store.positions import Positions

MakeEvent = Callable[..., Event]
_DAY_MS = 86_400_000


def invoke(number: int, **fields: Any) -> Event:
    """Return the event of an operation: abandoned unless the fields say otherwise."""
    given = {"status": "abandoned", "category": "usage", "trace_id": f"{7:032x}", "span_id": f"{number:016x}"}
    return Event("invoke", str(number), "command", 1_700_000_000_000 + number, **{**given, **fields})


def test_a_start_is_read_back_and_is_no_event(spool: Spool, folder: Path) -> None:
    """It comes in a record of its own, without events, and numbered like any other."""
    assert spool.append_start(tuple(invoke(1)))
    (name,) = segments(folder)
    (record,) = read_segment(folder / name)
    assert (record.start, record.events, record.sequence, record.lost) == (invoke(1), [], 1, 0)


def test_begun_and_ended_in_one_batch_leaves_nothing_aside(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """The common case: the end alone is stored, in as many rows as it has."""
    spool.append_start(tuple(invoke(1)))
    spool.append([invoke(1, status="ok", item=0), invoke(1, status="ok", item=1)])
    assert drain(store, spool.directory).events == 2
    assert outcomes() == [("1", "ok"), ("1", "ok")]
    assert kept(store) == 0


def test_what_a_living_process_began_is_not_abandoned(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """However often it is drained; its end is stored, and what was kept aside goes."""
    spool.append_start(tuple(invoke(1)))
    for _ in range(3):
        assert drain(store, spool.directory) == DrainReport()
    assert kept(store) == 1
    spool.append([invoke(1, status="error")])
    drain(store, spool.directory)
    assert (outcomes(), kept(store)) == ([("1", "error")], 0)


@pytest.mark.parametrize("ended", ["through the spool", "by another way"])
@pytest.mark.parametrize("drained", ["before", "between", "after"])
def test_an_end_counts_by_whichever_way_it_comes(
    spool: Spool, store: Store, outcomes: Outcomes, ended: str, drained: str
) -> None:
    """The start may be drained before or after its end is stored, and the end may not come through the spool."""
    if drained == "before":
        drain(store, spool.directory)
    spool.append_start(tuple(invoke(1)))
    if drained == "between":
        drain(store, spool.directory)
    if ended == "through the spool":
        spool.append([invoke(1, status="ok")])
    else:
        store.write([invoke(1, status="ok")])
        spool._starts.clear()
    spool.close()
    for _ in range(2):
        drain(store, spool.directory)
    assert (outcomes(), kept(store), segments(spool.directory)) == ([("1", "ok")], 0, [])


def test_rotation_takes_open_operations_along(folder: Path, store: Store, outcomes: Outcomes, event: MakeEvent) -> None:
    """Segments full of others' events come and go; the operation is open as long as its process says so."""
    spool = Spool(folder, max_segment_bytes=2000, max_total_bytes=1_000_000)
    spool.append_start(tuple(invoke(1)))
    first = segments(folder)
    for number in range(60):
        assert spool.append([event(f"e{number}", ts_ms=number)])
        drain(store, folder)
    assert first[0] not in segments(folder)
    assert (len(outcomes()), kept(store)) == (60, 1)
    spool.append([invoke(1, status="ok")])
    spool.close()
    assert drain(store, folder).complete
    assert (outcomes()[-1], len(outcomes()), kept(store)) == (("1", "ok"), 61, 0)


def test_an_end_that_begins_a_segment_is_not_overtaken(
    folder: Path, store: Store, outcomes: Outcomes, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain that comes when the next segment is there, and the end not yet in it, abandons nothing."""
    spool = Spool(folder, max_segment_bytes=2000, max_total_bytes=1_000_000)
    spool.append_start(tuple(invoke(1)))
    while spool._segment is not None and spool._segment.size < 1700:
        spool.append([event("e", ts_ms=1)])
    original = Starts.end

    def late(self: Starts, rows: Any) -> Any:
        for _ in range(2):
            drain(store, folder)
        return original(self, rows)

    monkeypatch.setattr(Starts, "end", late)
    assert spool.append([invoke(1, status="ok", metadata={"text": "x" * 500})])
    assert len(segments(folder)) == 1
    monkeypatch.undo()
    spool.close()
    drain(store, folder)
    assert [each for each in outcomes() if each[0] == "1"] == [("1", "ok")]


def test_close_keeps_the_segment_of_an_open_operation(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """A pipeline that is shut down inside an operation does not have it abandoned, nor counted twice at its end."""
    spool.append_start(tuple(invoke(1)))
    spool.close()
    for _ in range(2):
        drain(store, spool.directory)
    assert (outcomes(), kept(store)) == ([], 1)
    spool.append([invoke(1, status="ok")])
    spool.close()
    drain(store, spool.directory)
    assert (outcomes(), kept(store), segments(spool.directory)) == ([("1", "ok")], 0, [])


def test_more_open_operations_than_fit_are_left_out(
    spool: Spool, store: Store, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start beyond the bound says False and costs nothing else: the end is recorded."""
    monkeypatch.setattr(spool_segment, "MOST_STARTS", 2)
    assert [spool.append_start(tuple(invoke(n))) for n in range(4)] == [True, True, False, False]
    assert (spool.lost, spool.error) == (0, None)
    assert all(spool.append([invoke(n, status="ok")]) for n in range(4))
    spool.close()
    drain(store, spool.directory)
    assert outcomes() == [(str(n), "ok") for n in range(4)]


def test_a_store_keeps_a_bounded_number_aside(
    folder: Path, store: Store, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What begins beyond the bound is not abandoned; what is kept goes on being followed over rotations."""
    monkeypatch.setattr(starts, "MOST_KEPT", 3)
    spool = Spool(folder, max_segment_bytes=8000, max_total_bytes=1_000_000)
    for number in range(5):
        assert spool.append_start(tuple(invoke(number)))
        drain(store, folder)
    assert kept(store) == 3
    while len(segments(folder)) == 1:
        spool.append([invoke(9, status="ok", span_id=None)])
    for _ in range(2):
        drain(store, folder)
    assert kept(store) == 3
    assert {status for _, status in outcomes()} == {"ok"}
    spool._begin_anew()
    drain(store, folder)
    assert Counter(outcomes())["0", "abandoned"] == 1
    assert sum(status == "abandoned" for _, status in outcomes()) == 3


@pytest.mark.parametrize("many", [1, 200])
def test_ends_find_their_starts_among_few_and_among_many(
    spool: Spool, store: Store, outcomes: Outcomes, many: int
) -> None:
    """Whether one or hundreds are open, an end removes its own start and no other."""
    for number in range(many + 1):
        assert spool.append_start(tuple(invoke(number)))
    drain(store, spool.directory)
    store.write([invoke(0, status="ok"), invoke(3, status="ok", trace_id="0" * 32)])
    assert kept(store) == many
    assert [status for _, status in outcomes()] == ["ok", "ok"]


def test_a_start_with_odd_fields_costs_nothing_else(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """Metadata that JSON can't hold is replaced; a number that the store can't hold makes no event."""
    assert spool.append_start(tuple(invoke(1, metadata={(1, 2): "x"})))
    assert spool.append_start(tuple(invoke(2, item=2**70)))
    assert spool.append_start(tuple(invoke(3, metadata={"a": float("inf"), "b": ["\udc80\0"]})))
    assert not spool.append_start(tuple(invoke(4)._replace(artifact_type=object())))
    spool._begin_anew()
    report = drain(store, spool.directory)
    assert (report.abandoned, report.damaged) == (2, 1)
    assert outcomes() == [("1", "abandoned"), ("3", "abandoned")]


def test_a_segment_that_vanished_is_given_a_day(spool: Spool, store: Store, outcomes: Outcomes) -> None:
    """Removed by somebody, its process may live: only after a day what began in it is abandoned."""
    spool.append_start(tuple(invoke(1)))
    now = time.time_ns() // 1_000_000
    drain(store, spool.directory, now_ms=now)
    (name,) = segments(spool.directory)
    (Path(spool.directory) / name).unlink()
    assert drain(store, spool.directory, now_ms=now + _DAY_MS // 2).abandoned == 0
    assert drain(store, spool.directory, now_ms=now + 2 * _DAY_MS).abandoned == 1
    assert (outcomes(), kept(store)) == ([("1", "abandoned")], 0)
    spool._starts.clear()


def _fail(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


CRASHES = {
    "before a batch is committed": (starts, "keep"),
    "before files are removed": (drain_module._Drain, "_remove_finished"),
    "before what is abandoned is taken": (starts, "take"),
    "while it is being written": (drain_module._Drain, "_write_singly"),
    "before positions are forgotten": (Positions, "forget_old"),
}


@pytest.mark.parametrize("moment", CRASHES)
def test_a_drain_that_ends_anywhere_abandons_once(
    spool: Spool, store: Store, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever a drain that died had done, the next one makes one event of the operation."""
    spool.append_start(tuple(invoke(1)))
    spool.append_start(tuple(invoke(2)))
    spool.append([invoke(2, status="ok")])
    # As the end of this process would.
    spool._begin_anew()
    with monkeypatch.context() as patch:
        patch.setattr(*CRASHES[moment], _fail)
        with pytest.raises(KeyboardInterrupt):
            drain(store, spool.directory)
    for _ in range(2):
        assert drain(store, spool.directory).complete
    assert (outcomes(), kept(store)) == ([("1", "abandoned"), ("2", "ok")], 0)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_fork_leaves_open_operations_to_the_parent(
    spool: Spool, folder: Path, store: Store, outcomes: Outcomes, fork: Callable[[], int]
) -> None:
    """A child that appends, and goes, says nothing of what its parent began."""
    spool.append_start(tuple(invoke(1)))
    child = fork()
    if child == 0:
        os._exit(0 if spool.append([invoke(2, status="ok")]) and not spool._starts else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for _ in range(2):
        drain(store, folder)
    assert (outcomes(), kept(store)) == ([("2", "ok")], 1)
    spool.append([invoke(1, status="ok")])
    drain(store, folder)
    assert outcomes() == [("1", "ok"), ("2", "ok")]

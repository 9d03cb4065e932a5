"""Files that are removed or replaced under a living writer, too many of them, and file systems without locks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from usagetrace.events import Event
from usagetrace.spool import Spool, locks, segments
from usagetrace.spool import segment as spool_segment
from usagetrace.store import Store
from usagetrace.store.drain import drain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an open file can't be removed there")

MakeEvent = Callable[..., Event]
Names = Callable[[Store], list[str]]


def _segment(folder: Path) -> Path:
    (name,) = segments(folder)
    return folder / name


def _remove_file(folder: Path) -> None:
    _segment(folder).unlink()


def _remove_directory(folder: Path) -> None:
    shutil.rmtree(folder)


def _remove_all_above(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def _move_directory(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def _replace_directory(folder: Path) -> None:
    """Put a copy in its place, as a restored backup would."""
    moved = folder.with_name("moved")
    folder.rename(moved)
    shutil.copytree(moved, folder)


FAULTS = [_remove_file, _remove_directory, _move_directory, _replace_directory]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
@pytest.mark.parametrize("drained", [False, True], ids=["undrained", "drained in part"])
@pytest.mark.parametrize("noticed", ["by an append", "by a check", "by close"])
def test_what_was_appended_is_put_back_and_counted_once(
    spool: Spool,
    folder: Path,
    store: Store,
    event: MakeEvent,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path], None],
    drained: bool,
    noticed: str,
) -> None:
    """Before, under and after the fault: every event is stored once, also where part of them was drained before."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 0.0 if noticed == "by an append" else 60.0)
    assert all(spool.append([event(f"before{n}")]) for n in range(5))
    if drained:
        assert drain(store, folder).events == 5
    fault(folder)
    assert all(spool.append([event(f"after{n}")]) for n in range(5))
    if noticed == "by a check":
        assert spool.check()
        assert _segment(folder).stat().st_size == os.fstat(spool._segment.file.fd).st_size if spool._segment else False
    spool.close()
    drain(store, folder)
    assert names(store) == [f"before{n}" for n in range(5)] + [f"after{n}" for n in range(5)]


def test_it_is_noticed_within_a_moment(spool: Spool, folder: Path, event: MakeEvent) -> None:
    """A process that goes on appending has its file back after a tenth of a second."""
    assert spool.append([event("before")])
    _remove_all_above(folder)
    until = time.monotonic() + 60
    while not segments(folder) and time.monotonic() < until:
        assert spool.append([event("after")])
    assert _segment(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("times", [1, 2])
def test_a_directory_that_is_moved_away_and_back(
    spool: Spool,
    folder: Path,
    store: Store,
    event: MakeEvent,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    """The file that is there again is appended to again, with what went to another one meanwhile."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 0.0)
    assert spool.append([event("before")])
    for number in range(times):
        moved = folder.rename(folder.with_name("moved"))
        assert spool.append([event(f"meanwhile{number}")])
        folder.rename(folder.with_name(f"begun anew {number}"))
        moved.rename(folder)
        assert spool.append([event(f"after{number}")])
        assert drain(store, folder).events > 0
    assert spool.append([event("last")])
    spool.close()
    drain(store, folder)
    expected = [name for number in range(times) for name in (f"meanwhile{number}", f"after{number}")]
    assert names(store) == ["before", *expected, "last"]
    assert segments(folder) == []


def test_a_foreign_file_in_its_place_is_left_alone(
    spool: Spool, folder: Path, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another content under the same name is not overwritten: a new segment takes what follows."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 0.0)
    assert spool.append([event("before")])
    path = _segment(folder)
    path.unlink()
    path.write_bytes(b"of somebody else")
    assert spool.append([event("after")])
    assert path.read_bytes() == b"of somebody else"
    assert len(segments(folder)) == 2


def test_a_directory_that_cannot_be_made_again_costs_what_follows_alone(
    spool: Spool, folder: Path, store: Store, event: MakeEvent, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appends say False as long as a file is in the directory's place, and then all is put back."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 0.0)
    assert spool.append([event("before")])
    shutil.rmtree(folder)
    folder.write_text("in the way")
    assert not spool.append([event("lost")])
    assert not spool.check()
    folder.unlink()
    assert spool.append([event("after")])
    assert spool.error is None
    spool.close()
    assert drain(store, folder).lost == 1
    assert names(store) == ["before", "after"]


def test_threads_lose_nothing_when_the_file_is_removed(
    folder: Path, store: Store, event: MakeEvent, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads append while the file is removed again and again: each event is stored once."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 0.002)
    # One segment takes all: of one that is full and let go, a removal leaves nothing.
    spool = Spool(folder, max_segment_bytes=64 << 20, max_total_bytes=128 << 20)
    stop = threading.Event()
    told: list[list[str]] = [[] for _ in range(4)]

    def work(label: int) -> None:
        while not stop.is_set() and len(told[label]) < 50_000:
            name = f"{label}:{len(told[label])}"
            if spool.append([event(name)]):
                told[label].append(name)

    threads = [threading.Thread(target=work, args=(label,)) for label in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        time.sleep(0.005)
        for name in segments(folder):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
    stop.set()
    for thread in threads:
        thread.join()
    assert spool.check()
    spool.close()
    assert drain(store, folder).complete
    missing = Counter(name for each in told for name in each)
    missing.subtract(names(store))
    assert {name: count for name, count in missing.items() if count} == {}


def test_a_file_that_was_removed_is_put_back_before_the_next_one_begins(
    folder: Path, store: Store, event: MakeEvent, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed since the last look, and full: what was in it is stored all the same."""
    monkeypatch.setattr(spool_segment, "LOOK_EVERY", 3600.0)
    spool = Spool(folder, max_segment_bytes=64 << 10)
    wanted: list[str] = []
    while len(segments(folder)) < 2:
        if len(wanted) == 100:
            (first,) = segments(folder)
            (folder / first).unlink()
        wanted.append(f"event {len(wanted)}")
        assert spool.append([event(wanted[-1])])
        assert len(wanted) < 2000
    spool.close()
    assert drain(store, folder).complete
    assert names(store) == wanted


def test_without_locks_nothing_is_spooled(
    spool: Spool, folder: Path, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that has no advisory locks: appends say False, try it once, and leave no file."""
    tried: list[int] = []

    def refuse(fd: int, how: int) -> None:
        del how
        tried.append(fd)
        raise OSError(errno.ENOLCK, "no locks available")

    import fcntl

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert [spool.append([event()]) for _ in range(3)] == [False] * 3
    assert not spool.append_start(tuple(event(trace_id="a", span_id="b")))
    assert isinstance(spool.error, locks.NoLocksError)
    assert (len(tried), segments(folder), spool.lost) == (1, [], 3)


def test_many_writers_together_stay_within_the_whole(
    folder: Path, store: Store, event: MakeEvent, names: Names
) -> None:
    """Twenty writers that live at once: one that finds no room lets go of its segment, and all is counted."""
    most = 200_000
    spools = [Spool(folder, max_segment_bytes=50_000, max_total_bytes=most) for _ in range(20)]
    appended = 0
    for number in range(500):
        for label, spool in enumerate(spools):
            appended += spool.append([event(f"{label}:{number}")])
    lost = sum(spool.lost for spool in spools)
    assert appended == 10_000 - lost
    assert lost < 1_000
    # Each may exceed it by one step.
    assert sum((folder / name).stat().st_size for name in segments(folder)) <= most + 20 * 4096
    for spool in spools:
        spool.close()
    report = drain(store, folder)
    stored = names(store)
    assert set(Counter(stored).values()) == {1}
    assert len(stored) + sum(spool.dropped for spool in spools) == appended
    assert report.lost + sum(spool._untold for spool in spools) == lost + sum(spool.dropped for spool in spools)


def test_open_operations_take_no_room_of_others(folder: Path, event: MakeEvent) -> None:
    """Where everything is held by open operations, appends say why, and work again once one has ended."""
    limits = {"max_segment_bytes": 20_000, "max_total_bytes": 40_000}
    ids = {"trace_id": "a" * 32, "status": "abandoned"}
    spools = [Spool(folder, **limits) for _ in range(3)]
    for number, spool in enumerate(spools):
        assert spool.append_start(tuple(event("open", span_id=f"{number:016x}", **ids)))
    while all(spool.append([event("e", metadata={"text": "x" * 500})]) for spool in spools):
        assert sum((folder / name).stat().st_size for name in segments(folder)) <= 40_000 + 3 * 4096
    refused = [spool for spool in spools if spool.error is not None]
    assert [isinstance(spool.error, OSError) and spool.error.errno for spool in refused] == [errno.ENOSPC]
    ended = {**ids, "status": "ok"}
    for number, spool in enumerate(spools):
        if spool not in refused:
            spool.append([event("open", span_id=f"{number:016x}", **ended)])
            spool.close()
    assert refused[0].append([event("again")])

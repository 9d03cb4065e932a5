"""What a recorder does where the database can't be written: nothing is lost, nothing is touched that is not ours."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import (
    CALL_BOUND_S,
    PATIENCE_S,
    MakeEvent,
    MakeRecorder,
    counters,
    eventually,
    names,
    our_threads,
    total,
    warnings,
)
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Recorder, Store
from usagetrace.store.catchup import catch_up


def test_locked_for_a_while(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], caplog: Any, settled: None
) -> None:
    """While another process holds the lock, calls return at once; afterwards every event is there once, unwarned."""
    made = recorder(path)
    made.submit([make_event(name="before")])
    assert made.flush()
    longest, kept = 0.0, 0
    with locked(path):
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            began = time.perf_counter()
            assert made.submit([make_event(name=f"n{kept}"), make_event(name="same")])
            longest = max(longest, time.perf_counter() - began)
            kept += 1
            time.sleep(0.01)
        assert total(path) == 1
        assert not made.flush(0.2)
    assert longest < CALL_BOUND_S
    assert made.flush(PATIENCE_S)
    assert counters(made) == (1 + 2 * kept, 0, 0)
    assert total(path) == 1 + 2 * kept
    with Store(path) as store:
        assert {row["total_events"] for row in store.get_usage_summary(artifact_type="skill")} == {1, kept}
    assert warnings(caplog) == []


def test_lock_that_outlasts_the_process(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], caplog: Any
) -> None:
    """Closing is bounded in time, and loses nothing: what could not be brought in is in the spool, unwarned."""
    made = recorder(path)
    made.submit([make_event()])
    assert made.flush()
    with locked(path):
        made.submit([make_event(), make_event()])
        began = time.monotonic()
        assert made.close(0.3) is False
        assert time.monotonic() - began < 0.3 + CALL_BOUND_S
        assert made.submit([make_event()])
        assert counters(made) == (1, 0, 0)
        assert made.close(5, at_exit=True)
        report = catch_up(path, budget=0.1)
        assert report is not None
        assert report.complete is False
    assert catch_up(path) is not None
    assert total(path) == 4
    assert warnings(caplog) == []


def test_pauses_grow_and_are_jittered(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, locked: Callable[[Path], Any], settled: None
) -> None:
    """Between two tries the thread pauses a random part of a time that doubles from 50 ms to 5 s."""
    asked: list[float] = []

    def jitter(longest: float) -> float:
        asked.append(longest)
        return 0.0

    Store(path).write([make_event()])
    made = recorder(path, jitter=jitter)
    with locked(path):
        made.submit([make_event()])
        assert eventually(lambda: len(asked) >= 9)
        assert asked[:9] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert eventually(lambda: made.committed == 1)


@pytest.mark.parametrize("kind", ["newer", "document"])
def test_refused_stores(path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any, kind: str) -> None:
    """A file that is newer, or somebody's document, stays as it is; events stay in the spool; one warning says so."""
    path.parent.mkdir()
    if kind == "newer":
        with Store(path) as store:
            store.connection.execute("INSERT INTO schema_migrations VALUES (99, '2030', 'future', 'x')")
    else:
        path.write_text("dear diary " * 100)
    before = path.read_bytes()
    made = recorder(path)
    for _ in range(3):
        assert made.submit([make_event()] * 2)
        assert made.flush(PATIENCE_S) is False
    assert counters(made) == (0, 0, 0)
    assert made.close(0.5) is False
    assert path.read_bytes() == before
    (warning,) = warnings(caplog)
    assert path.name in warning
    assert Path(spool_directory(path)).name in warning
    path.unlink()
    assert catch_up(path) is not None
    assert total(path) == 6


def test_a_refused_store_is_not_tried_all_the_time(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, settled: None
) -> None:
    """The thread ends at a store that refuses, and the next appends don't start it again for a while."""
    path.parent.mkdir()
    path.write_text("dear diary " * 100)
    made = recorder(path)
    made.submit([make_event()])
    assert eventually(lambda: made._background is not None and not our_threads())
    for _ in range(2000):
        made.submit([make_event()])
    assert our_threads() == []
    assert made._look_at > time.monotonic() + 60


@pytest.mark.parametrize("door", ["flush", "catch_up", "thread"])
def test_a_damaged_database_is_replaced(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any, settled: None, door: str
) -> None:
    """A database that became noise is set aside by whoever drains first, with one warning; what is spooled is kept."""
    made = recorder(path)
    made.submit([make_event(name="before")])
    assert made.close()
    path.write_bytes(os.urandom(8192))
    made = recorder(path, jitter=lambda _: 0.01) if door == "thread" else Recorder(path, retention_days=0)
    made.submit([make_event(name="after")])
    if door == "flush":
        assert made.flush(PATIENCE_S)
    elif door == "catch_up":
        report = catch_up(path, budget=PATIENCE_S)
        assert report is not None
        assert report.complete
    else:
        assert eventually(lambda: warnings(caplog))
        assert made.flush(PATIENCE_S)
    assert "after" in names(path)
    made.close()
    (warning,) = warnings(caplog)
    assert "damaged" in warning
    assert len(list(path.parent.glob("analytics.db.damaged-*"))) >= 1


def test_damaged_with_its_mark_removed(path: Path, recorder: MakeRecorder, make_event: MakeEvent, caplog: Any) -> None:
    """Whoever had a database open knows it for a store's, though neither its ledger nor the spool says so any more."""
    made = recorder(path)
    made.submit([make_event(name="before")])
    assert made.flush(PATIENCE_S)
    assert made._background is not None
    made._background.let_go()
    shutil.rmtree(spool_directory(path))
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    made.submit([make_event(name="after")])
    assert made.flush(PATIENCE_S)
    assert names(path) == ["after", "before"]
    assert len(list(path.parent.glob("analytics.db.damaged-*"))) >= 1
    assert len(warnings(caplog)) == 1


def test_large_old_database_is_migrated_in_the_background(
    recorder: MakeRecorder, make_event: MakeEvent, v1: Callable[..., Path]
) -> None:
    """A call does not wait for a large database of version 1 to be migrated; its event follows."""
    path = v1([("deploy", f"a{n}", "skill", "2025-01-01 00:00:00", None) for n in range(3000)])
    made = recorder(path)
    assert made.submit([make_event()])
    assert made.flush(60)
    assert total(path) == 3001

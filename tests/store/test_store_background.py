"""When a process drains: its thread, its end, and retention."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recording import (
    MakeEvent,
    MakeRecorder,
    eventually,
    our_threads,
    total,
)
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store, background
from usagetrace.store import recorder as recorder_module
from usagetrace.store.catchup import catch_up
from usagetrace.store.queries import DAY_MS


# --- the thread -----------------------------------------------------------------------------------------------
def test_a_young_process_has_no_thread(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hundred events within the first second start no thread; a thousand do."""
    # On a busy machine the first second may be over before.
    monkeypatch.setattr(recorder_module, "_YOUNG", 3600.0)
    made = recorder(path)
    for _ in range(recorder_module._MANY - 1):
        made.submit([make_event()])
    assert our_threads() == []
    made.submit([make_event()])
    assert our_threads() == ["usagetrace-recorder"]
    assert eventually(lambda: made.committed == recorder_module._MANY)


def test_a_process_of_age_drains_by_itself(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """From the first second on, events come into the store without a flush."""
    made = recorder(path)
    made.submit([make_event()])
    assert our_threads() == []
    time.sleep(recorder_module._YOUNG + 0.1)
    made.submit([make_event()])
    assert eventually(lambda: made.committed == 2)
    assert total(path) == 2


def test_the_thread_ends_when_idle_and_comes_again(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, settled: None
) -> None:
    """A thread without work ends; whatever is appended later, also in the moment of its end, is drained by itself."""
    made = recorder(path)
    for count in range(1, 40):
        made.submit([make_event()])
        assert eventually(lambda expected=count: made.committed == expected)
        if count % 10 == 0:
            assert eventually(lambda: not our_threads())
        else:
            # About when it ends.
            time.sleep(background._IDLE * (0.8 + (count % 5) * 0.1))
        assert len(our_threads()) <= 1
    assert total(path) == 39


def test_the_thread_rests(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large backlog is drained in slices, with rests of nine times what each took of the processor."""
    monkeypatch.setattr(background, "_SLICE", 0.0)
    monkeypatch.setattr(background, "_BATCH", 100)
    rests: list[float] = []
    rest = background.Background._rest

    def watched(self: background.Background, seconds: float) -> None:
        rests.append(seconds)
        rest(self, min(seconds, 0.01))

    monkeypatch.setattr(background.Background, "_rest", watched)
    made = recorder(path)
    for _ in range(recorder_module._MANY + 1000):
        made.submit([make_event()])
    assert eventually(lambda: made.committed == recorder_module._MANY + 1000)
    between = [seconds for seconds in rests if seconds != background._INTERVAL]
    assert len(between) >= 10
    assert all(seconds > 0 for seconds in between)


def test_a_spool_that_fills_is_drained_without_rest(
    path: Path, recorder: MakeRecorder, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearer the spool is to its bound, the shorter the thread's rests."""
    made = recorder(path)
    made.submit([make_event()])
    drainer = made._drainer()
    _, size = recorder_module.spool_size(spool_directory(path))
    for filling, full, expected in ((size, size * 3, 0.0), (0, size * 2, 0.5), (0, size, 1.0), (0, size // 2, 1.0)):
        monkeypatch.setattr(background, "_FILLING", filling)
        monkeypatch.setattr(background, "_FULL", full)
        assert drainer._fullness() == pytest.approx(expected)


# --- the end of a process -------------------------------------------------------------------------------------
def test_events_after_close(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """An event of a late exit handler is in the spool, no thread starts for it, and the file was let go."""
    made = recorder(path)
    made.submit([make_event()])
    assert made.close()
    assert made.submit([make_event()])
    assert not path.with_name("analytics.db-wal").exists()
    assert our_threads() == []
    assert total(path) == 1
    made.close(at_exit=True)
    catch_up(path)
    assert total(path) == 2


AT_EXIT = """
import sys
from usagetrace.events import Event
from usagetrace.store.recorder import Recorder
for number in range(int(sys.argv[2])):
    Recorder(sys.argv[1]).submit([Event("deploy", "earlier", "skill", 5)])
if sys.argv[4] == "loaded":
    import sqlite3
recorder = Recorder(sys.argv[1], retention_days=0)
for number in range(int(sys.argv[3])):
    recorder.submit([Event("deploy", "x" * 400, "skill", 5)])
if sys.argv[4] == "flushed":
    recorder.flush()
    recorder.submit([Event("deploy", "x" * 400, "skill", 5)])
assert recorder.close(10, at_exit=True)
print(recorder.committed)
"""


@pytest.mark.parametrize(
    ("segments_before", "events", "state", "drains"),
    [
        (0, 1, "bare", False),
        (40, 20, "bare", False),
        (0, 1, "loaded", True),
        (0, 500, "loaded", False),
        (0, 1, "flushed", True),
        (recorder_module._SEGMENTS - 1, 1, "bare", True),
        (0, 999, "bare", False),
        (0, 3000, "bare", True),
    ],
)
def test_at_exit_only_what_is_cheap(
    path: Path,
    python: Callable[..., subprocess.Popen[str]],
    segments_before: int,
    events: int,
    state: str,
    drains: bool,
) -> None:
    """A process that ends drains where it is prepared for it, or much waits; else it leaves its events in the spool."""
    out, err = python(AT_EXIT, path, segments_before, events, state).communicate(timeout=120)
    assert err == ""
    assert path.exists() is drains
    assert (int(out) > 0) is drains
    catch_up(path)
    assert total(path) == segments_before + events + (state == "flushed")


# --- retention ------------------------------------------------------------------------------------------------
def test_retention_at_the_end(path: Path, recorder: MakeRecorder, make_event: MakeEvent) -> None:
    """A short process looks after retention when it closes; 0 days keep everything."""
    now = time.time()
    old = make_event(name="old", ts_ms=int(now * 1000) - 91 * DAY_MS)
    young = make_event(name="young", ts_ms=int(now * 1000))
    keeper = recorder(path, retention_days=0)
    keeper.submit([old, young])
    keeper.close()
    assert total(path) == 2
    made = recorder(path, retention_days=90)
    made.submit([young])
    assert made.flush()
    assert total(path) == 3
    made.close()
    assert total(path) == 2


def test_retention_in_a_long_life(path: Path, recorder: MakeRecorder, make_event: MakeEvent, settled: None) -> None:
    """A process that lives on looks after retention in the background, once a day."""
    present = [1_763_287_200.0]
    made = recorder(path, retention_days=90, clock=lambda: present[0])
    made.submit([make_event(name="old", ts_ms=5)])
    assert eventually(lambda: made.committed == 1 and not our_threads())
    assert total(path) == 1
    for hours in (1, 2, 30):
        present[0] = 1_763_287_200.0 + hours * 3600
        made.submit([make_event(name="old", ts_ms=5), make_event(ts_ms=int(present[0] * 1000))])
        assert eventually(lambda: not our_threads())
        with Store(path) as store:
            # Within the day after it ran, old events stay.
            assert len(store.get_events(artifact_name="old")) == (hours == 2)

"""What the tests of recorders look at: a database, its spool, threads, warnings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.events import Event
from usagetrace.spool import read_segment, segments
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Recorder, Store

MakeEvent = Callable[..., Event]
MakeRecorder = Callable[..., Recorder]

# What no call may take; mostly it takes microseconds, and the rest is for a busy machine.
CALL_BOUND_S = 0.5
# What is waited for that happens in another thread.
PATIENCE_S = 30.0


def eventually(holds: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(holds())


def total(path: Path) -> int:
    with Store(path, read_only=True) as store:
        return int(store.get_stats()["total_events"])


def names(path: Path) -> list[str]:
    with Store(path, read_only=True) as store:
        return sorted(row["artifact_name"] for row in store.get_events(limit=None))


def in_spool(path: Path) -> list[str]:
    """Return the names of the events in a database's spool, drained or not."""
    folder = Path(spool_directory(path))
    records = [record for name in segments(folder) for record in read_segment(folder / name)]
    return [event.artifact_name for record in records for event in record.events]


def counters(recorder: Recorder) -> tuple[int, int, int]:
    return recorder.committed, recorder.buffered, recorder.dropped


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("usagetrace")]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def obstruct(path: Path) -> Path:
    """Put a file where the spool's directory would be: also root can make none there. Return it."""
    path.parent.mkdir(exist_ok=True)
    obstacle = Path(spool_directory(path))
    obstacle.write_text("in the way")
    return obstacle

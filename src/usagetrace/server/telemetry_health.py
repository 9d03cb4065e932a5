"""How the telemetry of this process is: what the store holds by all processes, what waits here, what was lost.

This module owns the measuring; which route answers with it is :mod:`usagetrace.server.telemetry_router`'s. It loads no
pipeline: where none runs there is nothing to measure. What it says names no path and no cause in the system's words,
for anybody may ask.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from usagetrace.guard import guard
from usagetrace.store.catchup import catch_up, close_quietly
from usagetrace.store.store import Store
from usagetrace.track import runtime

if TYPE_CHECKING:
    from usagetrace.store.recorder import Recorder

# Seconds that bringing in what lies in the spool may take, waiting for who else does so included.
_BUDGET_S: Final = 1.0
# Milliseconds that reading waits for another process's lock.
_PATIENCE_MS: Final = 250

SPOOLED: Final = "events wait in the spool: the store does not take them now"
UNREADABLE: Final = "the store can't be read"
IN_MEMORY: Final = "events wait in memory: the spool can't be written"
LOST: Final = "events of this process were lost"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        status: ``off`` where nothing is recorded, ``degraded`` where something keeps events from the store.
        events_logged: Events that the store has counted, by whichever process; None where there is nothing to count in.
        events_waiting: Events that wait in this process's memory.
        events_lost: Events that are lost, as far as the store or this process knows.
        reasons: Why it is degraded.
    """

    status: Literal["healthy", "degraded", "off"]
    events_logged: int | None = None
    events_waiting: int = 0
    events_lost: int = 0
    reasons: tuple[str, ...] = ()


def measure() -> Measured:
    """Return how telemetry is. What lies in the spool is counted in first; never raises, and may wait for locks."""
    if not runtime.current().active:
        return Measured("off")
    recorder = _recorder()
    if recorder is None:
        return Measured("healthy")
    reasons: list[str] = []
    logged, lost = _stored(recorder, reasons)
    waiting, dropped = recorder.buffered, recorder.dropped
    if waiting:
        reasons.append(IN_MEMORY)
    if dropped:
        reasons.append(LOST)
    # What a process lost it tells the store, as soon as that can be told anything: the sum would have it twice.
    return Measured("degraded" if reasons else "healthy", logged, waiting, max(lost, dropped), tuple(reasons))


def _recorder() -> Recorder | None:
    """Return what writes the local store; None where nothing does."""
    # The pipeline that runs is the program's; this module may not make one.
    pipeline = sys.modules.get("usagetrace.pipeline")
    active = None if pipeline is None or runtime.is_held() else pipeline.active()
    recorder: Recorder | None = None if active is None else active.recorder
    return recorder


def _bring_in(recorder: Recorder) -> bool:
    """Bring what lies in the spool into the store; return whether nothing is left there."""
    if recorder.is_used():
        # It has the store open: a tenth of the price.
        return recorder.flush(_BUDGET_S)
    report = catch_up(recorder.file, budget=_BUDGET_S)
    return report is None or report.complete


def _stored(recorder: Recorder, reasons: list[str]) -> tuple[int | None, int]:
    """Return what the store has counted, and what it knows to be lost."""
    try:
        complete = _bring_in(recorder)
        if not complete:
            reasons.append(SPOOLED)
        if not os.path.exists(recorder.file):
            return (0 if complete else None), 0
        store = Store(recorder.file, busy_timeout_ms=_PATIENCE_MS, read_only=True)
        try:
            return store.get_totals()
        finally:
            close_quietly(store)
    except Exception as error:  # noqa: BLE001 -- whoever asks gets an answer in any case
        guard.note(error)
        reasons.append(UNREADABLE)
        return None, 0

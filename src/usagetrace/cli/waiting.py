"""What waits on its way: in the spool of a database, to be moved in, and in the database, to be sent to an endpoint.

This module owns how long a command waits for the first, and what is said of both. Draining and delivering are done
elsewhere, and so is the choice of the database.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from usagetrace.cli.output import say, show_size, show_time
from usagetrace.config import Settings
from usagetrace.errors import UsageTraceError
from usagetrace.reports.jsonshape import iso_time
from usagetrace.spool import read_segment, segments
from usagetrace.spool.layout import HEADER_SIZE, spool_directory
from usagetrace.spool.locks import LockedFile
from usagetrace.store import Store, counted
from usagetrace.store.catchup import catch_up
from usagetrace.store.connection import named_errors
from usagetrace.store.deliveries import Deliveries, Delivery, SetAside
from usagetrace.store.drain import DrainReport

# Seconds that a report waits for the spool.
BUDGET_S: Final = 5.0
# How many processes have a segment open.
_USE: Final = {None: "whether it is in use is not known", 0: "not in use now", 1: "a process uses it now"}
_POSITIONS: Final = "SELECT segment, position, sequence, lost, damaged FROM spool_positions"

# Events that were set aside which are named, of each endpoint.
_NAMED: Final = 5

Positions = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SpoolState:
    """The spool of one database.

    Attributes:
        path: Its directory; None where there is no database to ask for.
        segments: Files in it.
        size_bytes: Their size.
        waiting_events: Events that are not in the database yet; those that sampling took away are not counted there.
        waiting_bytes: What they take.
        writers: Files that a living process appends to, or drains at this moment; None where that can't be told.
        lost: Events and records that the database knows to be lost.
        damaged: Stretches of bytes that held no sound record.
        problem: Why some of it can't be looked at; empty where it can.
    """

    path: str | None = None
    segments: int = 0
    size_bytes: int = 0
    waiting_events: int = 0
    waiting_bytes: int = 0
    writers: int | None = 0
    lost: int = 0
    damaged: int = 0
    problem: str = ""

    @property
    def waits(self) -> bool:
        """Whether there is anything that the database does not have."""
        return bool(self.waiting_events or self.waiting_bytes)


def has_segments(path: Path) -> bool:
    """Return whether anything lies in the spool of a database, whether or not there is a database yet."""
    try:
        return bool(segments(spool_directory(path)))
    except OSError:
        return False


def bring_in(path: Path, budget: float | None = BUDGET_S) -> DrainReport:
    """Drain the spool of a database into it, making the database where only a spool is there. Raises nothing.

    Args:
        path: The database.
        budget: Seconds that this may take, waiting for others included; None for no limit.
    """
    return catch_up(path, budget=budget) or DrainReport()


def look(path: Path, store: Store | None) -> SpoolState:
    """Return what is in the spool of a database, and what of it the database does not have. A fault is part of it.

    Args:
        path: The database.
        store: The same, open; None where it is not there or can't be read: then everything counts as waiting.

    Raises:
        StoreError: The database can't be read.
    """
    positions, lost, damaged = _known(store)
    folder = spool_directory(path)
    try:
        names = segments(folder)
    except OSError as error:
        return SpoolState(folder, writers=None, lost=lost, damaged=damaged, problem=f"{folder}: {_reason(error)}")
    found = [_file(os.path.join(folder, name), *positions.get(name, (0, 0))) for name in names]
    files = [file for file in found if file is not None]
    return SpoolState(
        path=folder,
        segments=len(files),
        size_bytes=sum(file.size for file in files),
        waiting_events=sum(file.events for file in files),
        waiting_bytes=sum(file.waiting for file in files),
        writers=None if any(file.held is None for file in files) else sum(file.held is True for file in files),
        lost=lost,
        damaged=damaged,
        problem=next((file.problem for file in files if file.problem), ""),
    )


class _File(NamedTuple):
    size: int
    waiting: int
    events: int
    held: bool | None
    problem: str


def _file(file: str, position: int, sequence: int) -> _File | None:
    """Look at one segment; None where it was drained and removed meanwhile."""
    size = waiting = events = 0
    held: bool | None = None
    problem = ""
    try:
        size = os.stat(file).st_size
        waiting = max(size - max(position, HEADER_SIZE), 0)
        held = _is_held(file)
        for record in read_segment(file, position, sequence):
            events += len(record.events) + (len(record.sampled.rows) if record.sampled else 0)
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"{file}: {_reason(error)}"
    except UsageTraceError as error:
        problem = f"{file}: {error}"
    return _File(size, waiting, events, held, problem)


def _known(store: Store | None) -> tuple[Positions, int, int]:
    """Return how far each segment was read, and what was lost and damaged until now."""
    if store is None:
        return {}, 0, 0
    with named_errors(store.path):
        rows = [tuple(row) for row in store.connection.execute(_POSITIONS)]
    return {row[0]: (row[1], row[2]) for row in rows}, sum(row[3] for row in rows), sum(row[4] for row in rows)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _is_held(file: str) -> bool | None:
    try:
        lock = LockedFile.take(file)
    except OSError:
        return None
    if lock is None:
        return True
    lock.close()
    return False


def tell_rest(path: Path, store: Store | None) -> None:
    """Say on standard error what waits outside a database that could not take all of it."""
    state = look(path, store)
    if state.problem:
        say(f"left out: {state.problem}")
    elif state.waits:
        say(f"left out: {describe_rest(state)}; `usagetrace db drain` moves it in, or says why it can't")


def describe_rest(state: SpoolState) -> str:
    """Return what waits in words: ``3 events (1.2 KiB) in /home/ada/.../spool``."""
    return f"{some(state.waiting_events, 'event')} ({show_size(state.waiting_bytes)}) in {state.path}"


def some(count: int, name: str) -> str:
    """Return a number with its noun: ``1 event``, ``2 events``."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def lines(state: SpoolState) -> list[str]:
    """Return what there is to say of a spool, for people."""
    files = f"{some(state.segments, 'file')}, {show_size(state.size_bytes)}" if state.segments else "empty"
    waits = f"{some(state.waiting_events, 'event')} ({show_size(state.waiting_bytes)})"
    rest = f"{waits} not in the database yet" if state.waits else "nothing waits"
    said = [f"spool: {state.path}: {files}; {rest}; {_USE.get(state.writers, f'{state.writers} processes use it now')}"]
    if state.problem:
        said.append(f"can't be read: {state.problem}")
    if state.lost or state.damaged:
        said.append(f"so far lost: {state.lost}; damaged: {state.damaged}")
    return said


def spool_shape(state: SpoolState) -> dict[str, Any]:
    """Return the state as plain values, for JSON."""
    return {**dataclasses.asdict(state), "problem": state.problem or None}


# --- what is to be sent ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """How far one endpoint has the events of a database.

    Attributes:
        delivery: What is delivered, and what waits.
        set_aside: The first of the events that it does not take.
    """

    delivery: Delivery
    set_aside: tuple[SetAside, ...] = ()


def deliveries(store: Store, expected: str | None = None) -> tuple[DeliveryState, ...]:
    """Return how far each endpoint is that something was sent to, or was to be.

    Args:
        store: The database, open; for reading alone will do.
        expected: An endpoint that is to be among them, whether or not anything was sent there yet.

    Raises:
        StoreError: It can't be read.
    """
    found = Deliveries.all(store)
    if expected is not None and expected not in {each.endpoint for each in found}:
        found.append(Delivery(expected, 0, 0, 0, Deliveries(store, expected).waiting()))
    return tuple(
        DeliveryState(each, tuple(Deliveries(store, each.endpoint).reasons(_NAMED)) if each.waiting.set_aside else ())
        for each in found
    )


def outbox_endpoint(settings: Settings) -> str | None:
    """Return the endpoint that an outbox sends to, as databases name it; None where there is no outbox."""
    target = settings.otlp_target("TRACES") if settings.otlp_delivery == "outbox" else None
    if target is None:
        return None
    # Imported here: most people have none.
    from usagetrace.delivery.options import shown

    return shown(target).removesuffix("/v1/traces").rstrip("/")


def delivery_lines(state: DeliveryState) -> list[str]:
    """Return what there is to say of one endpoint, for people."""
    delivery, waiting = state.delivery, state.delivery.waiting
    oldest = f", the oldest of {show_time(waiting.oldest_ms)} UTC" if waiting.oldest_ms else ""
    waits = f"{some(waiting.events, 'event')} to be sent{oldest}" if waiting.events else "nothing waits"
    last = f", the last {show_time(delivery.updated_ms)} UTC" if delivery.delivered else ""
    said = [f"to {delivery.endpoint}: {waits}; {delivery.delivered} sent{last}"]
    said += [
        f"set aside: event {each.event_id}, {each.event_type} {each.artifact_name}: it {each.reason}"
        for each in state.set_aside
    ]
    more = waiting.set_aside - len(state.set_aside)
    if more > 0:
        said.append(f"set aside: {more} more")
    if waiting.set_aside:
        said.append("`usagetrace forward --retry-set-aside` sends them again")
    return said


def delivery_shape(state: DeliveryState) -> dict[str, Any]:
    """Return how far an endpoint is as plain values, for JSON."""
    delivery, waiting = state.delivery, state.delivery.waiting
    return {
        "endpoint": delivery.endpoint,
        "delivered": delivery.delivered,
        "last_delivered": iso_time(delivery.updated_ms) if delivery.delivered else None,
        "waiting_events": waiting.events,
        "waiting_since": iso_time(waiting.oldest_ms),
        "set_aside_events": waiting.set_aside,
        "set_aside": [
            {
                "event": each.event_id,
                "event_type": each.event_type,
                "artifact_name": each.artifact_name,
                "reason": each.reason,
                "since": iso_time(each.since_ms),
            }
            for each in state.set_aside
        ],
    }


def sampled_away(store: Store) -> int:
    """Return how many events were counted without a row, by sampling.

    Raises:
        StoreError: The store can't be read.
    """
    with named_errors(store.path):
        return counted.total(store.connection)

"""``usagetrace db drain``: what waits in the spool goes into the database, and why it could not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option
from usagetrace.cli.output import emit, say, tell
from usagetrace.cli.stores import absent, chosen_store, exists, is_between, open_for_reading
from usagetrace.cli.waiting import SpoolState, describe_rest, has_segments, look, some, spool_shape
from usagetrace.errors import StoreError
from usagetrace.reports.jsonshape import dump
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.catchup import PATIENCE_MS, close_quietly
from usagetrace.store.catchup import bring_in as drain_into
from usagetrace.store.connection import is_lock
from usagetrace.store.drain import DrainReport

# Counts that are told where there is something to tell.
_FAULTS = (
    ("lost", "lost before they reached the spool, by what their tools wrote down"),
    ("gaps", "records missing, by their numbers"),
    ("damaged", "damaged records left out"),
)


@click.command("drain")
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Stop after about so many seconds; what is left stays in the spool. No limit by default.",
)  # fmt: skip
@format_option("table", "json")
@pass_cli
def drain_command(cli: Cli, budget: float | None, form: str) -> None:
    """Move what waits in the spool into the database; exit code 1 where it can't be written.

    Every report does so first, within a few seconds. This command is for the rest, for a schedule, and before other
    programs read the database.
    """
    path = chosen_store(cli)
    if path is None or not (exists(path) or has_segments(path) or is_between(path)):
        say(absent(cli, path))
        if form == "json":
            emit(dump(_shape(path, DrainReport(), SpoolState())))
        return
    faults: list[StoreError] = []

    def go_on(error: StoreError) -> bool:
        faults.append(error)
        return is_lock(error)

    store = Store(path, busy_timeout_ms=PATIENCE_MS)
    try:
        done = drain_into(store, spool_directory(path), budget, go_on)
    finally:
        close_quietly(store)
    state = _state(path, told=bool(faults))
    if faults and not (done.complete or done.records or state.waits):
        raise faults[-1]
    if form == "json":
        emit(dump(_shape(path, done, state)))
    else:
        _tell(path, done, state)
    if faults and not done.complete:
        raise faults[-1]


def _state(path: Path, *, told: bool) -> SpoolState:
    """Return what the spool is like now; a database that can't be read is a failure, unless one is told already."""
    if not exists(path):
        return look(path, None)
    try:
        with open_for_reading(path) as store:
            return look(path, store)
    except StoreError:
        if not told:
            raise
        return look(path, None)


def _tell(path: Path, done: DrainReport, state: SpoolState) -> None:
    tell(f"{path}: {some(done.events, 'event')} moved in")
    if done.counted:
        tell(f"{some(done.counted, 'event')} that sampling took away counted")
    if done.abandoned:
        tell(f"{some(done.abandoned, 'operation')} abandoned: the process is gone, and no end was recorded")
    for name, meaning in _FAULTS:
        if getattr(done, name):
            tell(f"{getattr(done, name)} {meaning}")
    tell(f"left: {describe_rest(state)}" if state.waits else "nothing is left")


def _shape(path: Path | None, done: DrainReport, state: SpoolState) -> dict[str, Any]:
    name = None if path is None else str(path)
    return {"report": "drain", "store": name, **asdict(done), "spool": spool_shape(state)}

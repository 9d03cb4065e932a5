"""``usagetrace status``: what is recorded about its user, where it lies, and what leaves the machine."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from usagetrace import places
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, show_size
from usagetrace.cli.settings import Examined, endpoints, examine, shown_url
from usagetrace.cli.stores import exists, found_stores, is_between, named_store, open_for_reading, replaced
from usagetrace.cli.tables import draw_whole_event
from usagetrace.cli.waiting import (
    BUDGET_S,
    DeliveryState,
    SpoolState,
    bring_in,
    deliveries,
    delivery_lines,
    delivery_shape,
    lines,
    look,
    outbox_endpoint,
    sampled_away,
    spool_shape,
)
from usagetrace.errors import StoreError
from usagetrace.reports import ALL, EventRow, build_events
from usagetrace.reports.jsonshape import dump, event_shape
from usagetrace.store.describe import COLUMNS

_TURN_OFF = "usagetrace disable, or set DO_NOT_TRACK=1"


@dataclass(frozen=True, slots=True)
class StoreState:
    """One database.

    Attributes:
        path: Where it is, or would be.
        size_bytes: Its size with its journal; 0 where there is none yet.
        events: Events that it holds.
        sampled_away: Events beside them that were only counted, by sampling.
        oldest: When the first of them began: UTC text, or None.
        newest: When the last of them began.
        problem: Why it can't be read; empty where it can.
        spool: What waits beside it.
        deliveries: How far each endpoint has its events that they are sent to later.
    """

    path: str
    size_bytes: int = 0
    events: int = 0
    sampled_away: int = 0
    oldest: str | None = None
    newest: str | None = None
    problem: str = ""
    spool: SpoolState = field(default_factory=SpoolState)
    deliveries: tuple[DeliveryState, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that the command says."""

    examined: Examined
    settings_file: Path
    stores: tuple[StoreState, ...]
    last_events: tuple[EventRow, ...]


def gather(cli: Cli, last: int) -> Status:
    """Look at settings and databases; nothing raises for a database that can't be read.

    What waits in a spool is moved into its database, as every report does.

    Args:
        cli: The surroundings.
        last: How many of the newest events to fetch, of all the databases together.
    """
    named = named_store(cli)
    states: list[StoreState] = []
    newest: list[EventRow] = []
    examined = examine(cli.environ, cli.cwd)
    endpoint = None if examined.off_reason else outbox_endpoint(examined.settings)
    end = time.monotonic() + BUDGET_S
    for path in [named] if named is not None else [path for _, path in found_stores(cli)]:
        # However many tools there are, all of them together wait no longer than one would.
        bring_in(path, max(end - time.monotonic(), 0.0))
        state, events = _look(path, last, endpoint)
        states.append(state)
        newest.extend(events)
    newest.sort(key=lambda event: (event.ts_ms, event.id), reverse=True)
    return Status(
        examined=examined,
        settings_file=places.config_file(cli.environ),
        stores=tuple(states),
        last_events=tuple(newest[:last]),
    )


def _look(path: Path, last: int, endpoint: str | None) -> tuple[StoreState, tuple[EventRow, ...]]:
    try:
        if is_between(path):
            replaced(path)
        if not exists(path):
            return StoreState(str(path), spool=look(path, None)), ()
        with open_for_reading(path) as store:
            stats = store.get_stats()
            rows = store.get_events(limit=last) if last else []
            taken = sampled_away(store)
            spool = look(path, store)
            sent = deliveries(store, endpoint)
        size = sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())
    except (StoreError, OSError) as error:
        return StoreState(str(path), problem=str(error), spool=look(path, None)), ()
    span = stats["oldest_event"], stats["newest_event"]
    state = StoreState(str(path), size, stats["total_events"], taken, *span, spool=spool, deliveries=sent)
    return state, build_events(ALL, rows, limit=max(last, 1), offset=0).events


@click.command()
@click.option(
    "--last",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Show so many of your newest events, with every field.",
)
@click.option("--check", is_flag=True, help="Only ask the OTLP endpoints; the exit code is 1 unless all are fine.")
@click.option("--endpoint", metavar="URL", help="With --check: ask this one instead of what the settings name.")
@format_option("table", "json")
@click.pass_context
@pass_cli
def status(cli: Cli, ctx: click.Context, last: int, check: bool, endpoint: str | None, form: str) -> None:
    """Show whether recording is on and why, what is recorded and where, and what leaves this machine."""
    if endpoint is not None and not check:
        raise click.UsageError("--endpoint says what --check asks: give both")
    if check:
        # Imported here: only who asks has a use for it.
        from usagetrace.cli import endpointcheck

        if not endpointcheck.check(cli, endpoint, form):
            ctx.exit(1)
        return
    found = gather(cli, last)
    if form == "json":
        emit(dump(_shape(found)))
        return
    page = Page(cli.environ)
    _draw(page, found, cli)
    page.write()


def _leaves(examined: Examined) -> dict[str, str]:
    if examined.off_reason:
        return {}
    return {signal: shown_url(target) for signal, target in endpoints(examined.settings).items()}


def _shape(found: Status) -> dict[str, Any]:
    examined = found.examined
    return {
        "report": "status",
        "recording": {
            "on": not examined.off_reason,
            "reason": examined.off_reason or None,
            "faults": list(examined.faults),
            "local_file": examined.settings.local,
        },
        "settings_file": str(found.settings_file),
        "retention_days": examined.settings.retention_days,
        "leaves_this_machine": _leaves(examined),
        "stores": [_store_shape(state) for state in found.stores],
        "fields": [{"name": name, "meaning": meaning} for name, meaning in _fields()],
        "last_events": [event_shape(event) for event in found.last_events],
        "turn_off": _TURN_OFF,
    }


def _store_shape(state: StoreState) -> dict[str, Any]:
    return {
        **asdict(state),
        "problem": state.problem or None,
        "spool": spool_shape(state.spool),
        "deliveries": [delivery_shape(each) for each in state.deliveries],
    }


def _fields() -> list[tuple[str, str]]:
    return [
        (column.partition(".")[2], meaning.replace("`", ""))
        for column, meaning in COLUMNS.items()
        if column.startswith("events.")
    ]


def _draw(page: Page, found: Status, cli: Cli) -> None:
    examined = found.examined
    page.heading("Recording is off" if examined.off_reason else "Recording is on")
    page.line(f"Because {examined.off_reason}." if examined.off_reason else "Because nothing says no.")
    for fault in examined.faults:
        page.line(f"  {fault}")
    if not examined.off_reason and not examined.settings.local:
        page.line(f"Nothing is written to a local file: {examined.settings.sources['local']}")
    page.line(f"Your settings file: {found.settings_file}")
    _draw_stores(page, found, cli)
    page.heading("What leaves this machine")
    leaves = _leaves(examined)
    if not leaves:
        page.line("Nothing, by these settings. A tool may name a receiver in its own code: ask its documentation.")
    later = ", later, from the local file" if examined.settings.otlp_delivery == "outbox" else ""
    for signal, target in leaves.items():
        page.line(f"{signal}, redacted, to {target}{later}")
    page.heading("What is recorded of each operation, redacted")
    page.table((Column("field"), Column("meaning", limit=200)), _fields())
    if found.last_events:
        page.heading(f"Your newest events, in full ({len(found.last_events)})")
        for number, event in enumerate(found.last_events):
            if number:
                page.line()
            draw_whole_event(page, event)
    page.heading("How to turn it off")
    page.line(_TURN_OFF)


def _draw_stores(page: Page, found: Status, cli: Cli) -> None:
    page.heading("Where it lies")
    days = found.examined.settings.retention_days
    page.line(f"Single events are kept for {days} days, counts for ever." if days else "Events are kept for ever.")
    page.line("Of performance events one in ten is kept as a row, of others each one; all of them are counted.")
    if found.examined.settings.sampling:
        page.line(f"The settings say otherwise of: {found.examined.settings.sampling}")
    if not found.stores:
        page.line(f"Nothing recorded yet below {places.data_dir(cli.environ)}")
    for state in found.stores:
        page.line(state.path)
        if state.problem:
            page.line(f"  can't be read: {state.problem}")
        elif not state.size_bytes:
            page.line("  nothing recorded yet")
        else:
            span = f", from {state.oldest} to {state.newest} UTC" if state.oldest else ""
            page.line(f"  {state.events} event{'' if state.events == 1 else 's'}, {show_size(state.size_bytes)}{span}")
            if state.sampled_away:
                page.line(f"  {state.sampled_away} more were counted without a row, by sampling")
        for line in [*lines(state.spool), *(line for each in state.deliveries for line in delivery_lines(each))]:
            page.line(f"  {line}")

"""``usagetrace report``, ``top`` and ``events``: ask the store, build the report, print it in one of three forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from usagetrace.cli import tables
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option, limit_option, window_of, window_options
from usagetrace.cli.output import Page, emit, say
from usagetrace.cli.stores import reading
from usagetrace.reports import (
    ALL,
    TABLES,
    EventList,
    Overview,
    Sampled,
    TopArtifacts,
    Window,
    build_events,
    build_overview,
    build_top,
    to_csv,
    to_json,
)
from usagetrace.reports.build import MEDIAN, P95
from usagetrace.reports.counting import overview_rows
from usagetrace.reports.ranking import Rows, top_artifacts
from usagetrace.reports.sampled import NONE, sampled_of_days, sampled_of_overview, sampled_of_rows
from usagetrace.store import Store, counted
from usagetrace.store.connection import named_errors

R = TypeVar("R", Overview, TopArtifacts, EventList)

# Artifacts in the overview.
TOP = 10


def overview_of(store: Store | None, window: Window) -> Overview:
    """Return the overview of a window; of nothing where there is no store.

    Raises:
        StoreError: The store can't be read.
    """
    if store is None:
        return build_overview(
            window, totals=None, artifact_count=0, types=(), percentiles=(), artifacts=(), days=(), failures=()
        )
    with named_errors(store.path):
        overview = build_overview(window, **overview_rows(store.connection, window, TOP, (MEDIAN, P95)))
        return dataclasses.replace(overview, sampled=sampled_of_overview(store.connection, overview))


def show(cli: Cli, form: str, report: R, path: Path | None, draw: Callable[[Page, R], None], *, table: str) -> None:
    """Print a report in one of the three forms."""
    if form == "json":
        emit(to_json(report, None if path is None else str(path)))
    elif form == "csv":
        emit(to_csv(report, table))
        # A table of CSV has no room for it.
        for line in tables.lacking(report):
            say(line)
    else:
        page = Page(cli.environ)
        draw(page, report)
        page.write()


@click.command()
@window_options
@format_option("table", "json", "csv")
@click.option(
    "--table",
    type=click.Choice(TABLES),
    default=TABLES[0],
    show_default=True,
    help="Which table to print as CSV, which holds one at a time.",
)
@pass_cli
def report(cli: Cli, since: str, until: str, form: str, table: str) -> None:
    """Show what was done: totals, operations by type, artifacts, days, failures.

    A call that touched several artifacts is one operation and several events. What sampling kept no row of is
    counted, but for days that the window cuts in two: the report says how many events that may be. Events that
    retention removed are not counted here; they are in `usagetrace top`.
    """
    window = window_of(since, until, cli.now_ms())
    with reading(cli) as (path, store):
        if store is None and form == "table":
            return
        show(cli, form, overview_of(store, window), path, tables.draw_overview, table=table)


@click.command()
@click.option("--type", "artifact_type", metavar="TYPE", help="Only artifacts of this kind.")
@click.option("--event", "event_type", metavar="EVENT", help="Count events of this type alone.")
@limit_option(10)
@window_options
@format_option("table", "json", "csv")
@pass_cli
def top(
    cli: Cli, artifact_type: str | None, event_type: str | None, limit: int, since: str, until: str, form: str
) -> None:
    """Show the most used artifacts.

    Artifacts without a name are left out; `usagetrace report` counts their events. Without --event and without a
    window, events that retention removed count as well.
    """
    window = window_of(since, until, cli.now_ms())
    with reading(cli) as (path, store):
        if store is None and form == "table":
            return
        rows, sampled = ([], NONE) if store is None else _top(store, window, limit, artifact_type, event_type)
        found = dataclasses.replace(build_top(window, rows), sampled=sampled)
        show(cli, form, found, path, tables.draw_top, table="artifacts")


def _top(
    store: Store, window: Window, limit: int, artifact_type: str | None, event_type: str | None
) -> tuple[Rows, Sampled]:
    if window == ALL and event_type is None:
        # The summary counts everything, what retention removed as well.
        with named_errors(store.path):
            sampled = Sampled(counted.total(store.connection))
        return store.get_top_artifacts(artifact_type, limit), sampled
    with named_errors(store.path):
        rows, _ = top_artifacts(store.connection, window, limit, artifact_type=artifact_type, event_type=event_type)
        return rows, sampled_of_days(store.connection, window)


@click.command()
@click.option("--event", "event_type", metavar="EVENT", help="Only events of this type.")
@click.option("--artifact", "artifact_name", metavar="NAME", help="Only events on this artifact.")
@click.option("--type", "artifact_type", metavar="TYPE", help="Only events on artifacts of this kind.")
@click.option("--collection", "collection_name", metavar="NAME", help="Only events in this collection.")
@click.option("--project", "project_path", metavar="PATH", help="Only events in this project, as events show it.")
@click.option("--status", type=click.Choice(("ok", "error", "abandoned")), help="Only events that ended in this way.")
@click.option("--session", "session_id", metavar="ID", help="Only events of this session.")
@limit_option(50)
@click.option(
    "--offset", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Leave out so many first."
)
@window_options
@format_option("table", "json", "csv")
@pass_cli
def events(cli: Cli, /, limit: int, offset: int, since: str, until: str, form: str, **conditions: Any) -> None:
    """Show single events, newest first.

    Where sampling kept no row of some, as it does of most performance events by default, they can't be listed, and
    that is said; `usagetrace report` counts them.
    """
    window = window_of(since, until, cli.now_ms())
    with reading(cli) as (path, store):
        if store is None and form == "table":
            return
        rows = (
            store.get_events(
                limit=limit, offset=offset, since_ms=window.since_ms, until_ms=window.until_ms, **conditions
            )
            if store is not None
            else []
        )
        found = build_events(window, rows, limit=limit, offset=offset)
        if store is not None:
            with named_errors(store.path):
                found = dataclasses.replace(found, sampled=sampled_of_rows(store.connection, window))
        show(cli, form, found, path, tables.draw_events, table="artifacts")

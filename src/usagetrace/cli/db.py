"""``usagetrace db``: what the database holds, and its upkeep by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.dbcare import COMMANDS
from usagetrace.cli.drain import drain_command
from usagetrace.cli.groups import Commands
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, show_size, tell
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import bring_up_to_date, chosen_store, exists, reading, writing
from usagetrace.cli.waiting import SpoolState, lines, look, sampled_away, spool_shape
from usagetrace.errors import ConfigurationError
from usagetrace.reports.jsonshape import dump
from usagetrace.store import Store
from usagetrace.store.queries import DAY_MS

_NOTHING: dict[str, Any] = {
    "total_events": 0,
    "total_artifacts": 0,
    "event_type_counts": {},
    "artifact_type_counts": {},
    "oldest_event": None,
    "newest_event": None,
    "db_size_bytes": 0,
    "schema_version": 0,
}


@click.group(cls=Commands)
def db() -> None:
    """Look after the database."""


for _command in (*COMMANDS, drain_command):
    db.add_command(_command)


@db.command()
@format_option("table", "json")
@pass_cli
def stats(cli: Cli, form: str) -> None:
    """Show what the database holds. One in an older schema is brought up to date first."""
    chosen = chosen_store(cli)
    if chosen is not None and exists(chosen):
        bring_up_to_date(chosen)
    with reading(cli) as (path, store):
        held = _NOTHING if store is None else store.get_stats()
        taken = 0 if store is None else sampled_away(store)
        spool = SpoolState() if path is None else look(path, store)
        if form == "json":
            name = None if path is None else str(path)
            emit(dump({"report": "stats", "store": name, **held, "sampled_away": taken, "spool": spool_shape(spool)}))
        elif store is not None:
            _draw_stats(Page(cli.environ), str(path), held, spool, taken)


def _draw_stats(page: Page, path: str, held: dict[str, Any], spool: SpoolState, sampled_away: int) -> None:
    page.heading(path)
    artifacts = held["total_artifacts"]
    page.line(
        f"{_events(held['total_events'])}, {artifacts} artifact{'' if artifacts == 1 else 's'}, "
        f"{show_size(held['db_size_bytes'])}"
    )
    if held["oldest_event"] is not None:
        page.line(f"from {held['oldest_event']} to {held['newest_event']} UTC")
    if sampled_away:
        page.line(f"counted without a row, by sampling: {_events(sampled_away)}")
    page.line(f"schema version {held['schema_version']}")
    for line in lines(spool):
        page.line(line)
    for heading, counts in (("event type", "event_type_counts"), ("artifact type", "artifact_type_counts")):
        if held[counts]:
            page.heading(f"Events by {heading}")
            page.table((Column(heading), Column("events", right=True)), list(held[counts].items()))
    page.write()


@db.command()
@click.option(
    "--days", type=click.IntRange(min=0), metavar="N", help="Age in days; by default the setting retention-days."
)
@click.option("--dry-run", is_flag=True, help="Say how many would be removed, and remove none.")
@click.option(
    "--archive", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Write the events to Parquet files there before they go; by default the setting archive-dir.",
)  # fmt: skip
@click.option("--no-archive", is_flag=True, help="Keep no copy, whatever the setting archive-dir says.")
@pass_cli
def prune(cli: Cli, days: int | None, dry_run: bool, archive: Path | None, no_archive: bool) -> None:
    """Remove events older than so many days. Their counts stay; 0 days keeps everything."""
    if archive is not None and no_archive:
        raise click.UsageError("--archive and --no-archive exclude each other")
    age = _retention(cli) if days is None else days
    folder = None if no_archive else archive or _archive_dir(cli)
    if age == 0:
        tell("Nothing to remove: 0 days keeps events for ever.")
        return
    now = cli.now_ms()
    with reading(cli) if dry_run else writing(cli) as (path, store):
        if store is None:
            return
        if dry_run:
            count = _older(store, now - age * DAY_MS)
            tell(f"{path}: would remove {_events(count)} older than {_days(age)}")
        else:
            count = store.cleanup_old_events(age, now_ms=now, archive=folder)
            tell(f"{path}: removed {_events(count)} older than {_days(age)}")
            if folder is not None and count:
                tell(f"{path}: they are in {folder} now")


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _days(age: int) -> str:
    return "1 day" if age == 1 else f"{age} days"


def _retention(cli: Cli) -> int:
    examined = examine(cli.environ, cli.cwd)
    if examined.faults:
        # A number of days that was meant to be larger must not cost anybody their events.
        raise ConfigurationError([*examined.faults, "correct them, or say --days N"])
    return examined.settings.retention_days


def _archive_dir(cli: Cli) -> Path | None:
    examined = examine(cli.environ, cli.cwd)
    faults = [fault for fault in examined.faults if "archive-dir" in fault or "ARCHIVE_DIR" in fault]
    if faults:
        # Events that were to be kept must not go because of a slip.
        raise ConfigurationError([*faults, "correct it, or say --archive FOLDER or --no-archive"])
    return examined.settings.archive_dir


def _older(store: Store, before_ms: int) -> int:
    """Count what retention would remove: events whose time is unknown (0) stay."""
    count: int = store.count_events(until_ms=before_ms)[0]["events"]
    if before_ms > 0:
        count -= store.count_events(since_ms=0, until_ms=1)[0]["events"]
    return count


@db.command()
@pass_cli
def vacuum(cli: Cli) -> None:
    """Give the space of removed events back to the file system."""
    with writing(cli) as (path, store):
        if store is None or path is None:
            return
        before = path.stat().st_size
        store.vacuum()
        tell(f"{path}: {show_size(before)} before, {show_size(path.stat().st_size)} now")

"""``usagetrace db`` about the whole database: its schema, its soundness, its copies."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.output import say, tell
from usagetrace.cli.stores import (
    absent,
    chosen_store,
    exists,
    healing,
    is_between,
    open_for_reading,
    reading,
    replaced,
    writing,
)
from usagetrace.cli.waiting import bring_in, has_segments, tell_rest
from usagetrace.errors import StoreError
from usagetrace.store import Store
from usagetrace.store.schema import LATEST
from usagetrace.store.upkeep import KEEP

_EPOCH: Final = datetime.date(1970, 1, 1)
# Differences that are shown one by one.
_SHOWN: Final = 20


@contextlib.contextmanager
def _as_it_is(cli: Cli, *, drained: bool = False) -> Iterator[tuple[Path, Store] | None]:
    """Give the chosen database, neither opened nor migrated; None, and a message, where there is none yet.

    Args:
        cli: The surroundings.
        drained: Move in what waits in its spool first, which brings the schema up to date where anything does.
    """
    path = chosen_store(cli)
    if drained and path is not None and not bring_in(path).complete:
        # An earlier release knows no spool.
        raise StoreError(f"{path}: its spool could not be emptied: `usagetrace db drain` says why")
    if path is not None and is_between(path):
        replaced(path)
    if path is None or not exists(path):
        say(absent(cli, path))
        yield None
        return
    with healing(path), Store(path) as store:
        yield path, store


def _backups(path: Path) -> Path:
    return path.parent / "backups"


@click.command()
@click.option("--to", type=click.IntRange(1, LATEST), metavar="N", help="Schema version to stop at; the latest.")
@pass_cli
def migrate(cli: Cli, to: int | None) -> None:
    """Bring the schema up to date."""
    with _as_it_is(cli) as chosen:
        if chosen is not None:
            path, store = chosen
            tell(f"{path}: schema version {store.migrate(to)}")


@click.command()
@click.option("--to", type=click.IntRange(0, LATEST), metavar="N", required=True, help="Schema version to go back to.")
@pass_cli
def rollback(cli: Cli, to: int) -> None:
    """Take the schema back for an earlier release, after a backup.

    Events and their counts stay. Below version 6 what invocations counted goes, and is counted again from the events
    that are left. Below version 5 it is forgotten how far endpoints have the events: all are delivered again, and
    received metrics that come again count again. Below version 3 the daily rollups go, below version 2 what it added
    to events; counts of artifacts of one name become one row. The next use by this release brings the schema forward
    again.
    """
    with _as_it_is(cli, drained=True) as chosen:
        if chosen is not None:
            path, store = chosen
            copy = store.backup(_backups(path), now_ms=cli.now_ms())
            tell(f"{path}: copied to {copy}")
            tell(f"{path}: schema version {store.rollback(to)}")


@click.command()
@pass_cli
def check(cli: Cli) -> None:
    """Look for damage, a foreign schema and wrong counts; exit code 1 where there is any.

    A damaged database is set aside after it was told, and what can be read of it takes its place. Nothing else is
    repaired. What waits in the spool of a sound one is moved in, and it is looked at once more then.
    """
    with _as_it_is(cli) as chosen:
        if chosen is None:
            return
        path, store = chosen
        _require_sound(path, store)
        # Not before: a drain sets a damaged database aside, and there would be nothing left to find.
        if has_segments(path):
            report = bring_in(path)
            if report.records:
                _require_sound(path, store)
            if not report.complete:
                with open_for_reading(path) as reader:
                    tell_rest(path, reader)
        tell(f"{path}: sound")


def _require_sound(path: Path, store: Store) -> None:
    faults = store.check()
    for fault in faults:
        tell(fault)
    if faults:
        store.close()
        replaced(path)
        raise StoreError(f"{path}: {_some(len(faults), 'fault')}")


@click.command()
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Where the copy goes; `backups` beside the database.",
)  # fmt: skip
@click.option(
    "--keep", type=click.IntRange(min=1), default=KEEP, show_default=True, metavar="N", help="Copies that stay there."
)
@pass_cli
def backup(cli: Cli, folder: Path | None, keep: int) -> None:
    """Copy the database while it is in use, check the copy, and remove the oldest copies."""
    with writing(cli) as (path, store):
        if store is not None and path is not None:
            tell(f"{path}: copied to {store.backup(folder or _backups(path), keep, now_ms=cli.now_ms())}")


@click.command()
@click.option(
    "--from", "copy", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, metavar="FILE",
    help="The copy.",
)  # fmt: skip
@pass_cli
def restore(cli: Cli, copy: Path) -> None:
    """Put a copy in the database's place; what was there is set aside beside it."""
    path = chosen_store(cli)
    if path is None:
        raise StoreError("no database is there to restore: say which one with --db or --service")
    with Store(path) as store:
        former = store.restore(copy, now_ms=cli.now_ms())
    tell(f"{path}: restored from {copy}")
    if former is not None:
        tell(f"{path}: what was there is {former} now")


@click.command()
@click.option(
    "--date", "date", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Only the rollups of this day, UTC."
)
@click.option("--dry-run", is_flag=True, help="Say what falls short, and change nothing.")
@pass_cli
def rebuild(cli: Cli, date: datetime.datetime | None, dry_run: bool) -> None:
    """Count summary and rollups again from the events, and tell each difference.

    What counts less than the events is raised, what is missing is added. Nothing is lowered: what counts more counts
    events that were removed.
    """
    day = None if date is None else (date.date() - _EPOCH).days
    with reading(cli) if dry_run else writing(cli) as (path, store):
        if store is None:
            return
        found = store.rebuild(day, repair=not dry_run)
        for each in found.differences[:_SHOWN]:
            key = ", ".join(str(part) for part in each.key)
            tell(f"{each.table} ({key}) {each.column}: {each.found} instead of {each.expected}")
        more = len(found.differences) - _SHOWN
        if more > 0:
            tell(f"and {more} more")
        done = "to put right" if dry_run else "put right"
        values, kept = _some(len(found.differences), "value"), _some(found.beyond, "row")
        tell(f"{path}: {values} {done}; counting more than the events that are left: {kept}")


def _some(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


COMMANDS: Final = (migrate, rollback, check, backup, restore, rebuild)

"""``usagetrace audit``: whether a store holds anything that redaction would have removed, and where; never what."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from usagetrace.audit import Audit, audit
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.database_option import database_option
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, say, show_size
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import absent, chosen_store
from usagetrace.cli.waiting import some
from usagetrace.errors import ConfigurationError
from usagetrace.redaction.policy_table import redaction_policy
from usagetrace.reports.jsonshape import dump

_FAULTS = "the settings have faults, which `usagetrace config --check` lists: what they say of redaction was left out"


@click.command("audit")
@database_option("Look at this database; as the global option.")
@click.option(
    "--fail",
    is_flag=True,
    help="End with exit code 1 unless everything was looked at and is clean, also where --service names no store.",
)
@format_option("table", "json")
@pass_cli
def audit_command(cli: Cli, db_path: Path | None, fail: bool, form: str) -> None:
    """Look for secrets, paths and personal data in a store's files, and tell where they are, never what.

    Every column of every table is looked at, full-text indexes, removed rows, journals, the spool, backups, archives,
    and copies that were set aside. Nothing is changed, moved in or repaired, and no lock is taken. What the settings
    let stand is not reported, and what their own rules find is.

    The exit code is 1 where --db names a file that does not exist.
    """
    if db_path is not None:
        cli = dataclasses.replace(cli, db=db_path, service=None)
    path = chosen_store(cli)
    if path is None:
        say(absent(cli, None))
        if form == "json":
            emit(dump(_shape(Audit("", (), (), (), 0, 0, 0, 0.0), None)))
        return
    missing = _is_missing(path)
    found = _audited(cli, path)
    if missing and not found.files:
        say(absent(cli, path))
        if cli.db is None and cli.service is None:
            # The place of the settings: what is not there yet is no fault.
            found = dataclasses.replace(found, problems=())
    if form == "json":
        emit(dump(_shape(found, str(path))))
    else:
        page = Page(cli.environ)
        _draw(page, found)
        page.write()
    if (fail and not found.is_clean) or (cli.db is not None and missing and not found.files):
        raise click.exceptions.Exit(1)


def _is_missing(path: Path) -> bool:
    """Return whether there is nothing at a path; where that can't be seen, something may be."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _audited(cli: Cli, path: Path) -> Audit:
    folder = examine(cli.environ, cli.cwd).settings.archive_dir
    archives = [] if folder is None else [folder]
    try:
        policy = redaction_policy(cli.environ, cli.cwd)
    except ConfigurationError:
        found = audit(path, archives=archives)
        return dataclasses.replace(found, problems=(*found.problems, _FAULTS))
    return audit(path, archives=archives, policy=policy)


def _shape(found: Audit, store: str | None) -> dict[str, Any]:
    return {
        "report": "audit",
        "store": store,
        "clean": found.is_clean,
        "found": found.found,
        "findings": [dataclasses.asdict(finding) for finding in found.findings],
        "problems": list(found.problems),
        "notes": list(found.notes),
        "files": found.files,
        "size_bytes": found.size_bytes,
        "waiting_events": found.waiting_events,
        "seconds": round(found.seconds, 3),
    }


def _draw(page: Page, found: Audit) -> None:
    page.heading(found.store)
    page.line(f"{some(found.files, 'file')}, {show_size(found.size_bytes)}, looked at in {found.seconds:.1f} s")
    if found.waiting_events:
        page.line(f"{some(found.waiting_events, 'event')} in the spool, looked at there")
    for note in found.notes:
        page.line(note)
    for problem in found.problems:
        page.line(f"problem: {problem}")
    if found.findings:
        page.heading(f"Found: {found.found}")
        columns = ("file", "area", "table", "column", "rule")
        page.table(
            (*(Column(name) for name in columns), Column("count", right=True), Column("first at")),
            [(f.file, f.area, f.table, f.column, f.rule, f.count, "; ".join(f.at)) for f in found.findings],
        )
    elif found.is_clean:
        page.line("Clean: nothing that redaction would have removed.")
    else:
        page.line("Nothing was found in what could be looked at.")

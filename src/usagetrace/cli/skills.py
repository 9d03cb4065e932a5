"""``usagetrace skills``: what was invoked and how it went, and the way from a legacy JSON file to the database.

This module owns the options and what is told. What is counted is the store's; when a cutover may be done is decided in
:mod:`usagetrace.invocations.cutover`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from usagetrace.cli import skilltables
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.groups import Commands
from usagetrace.cli.options import format_option, limit_option
from usagetrace.cli.output import Page, emit, say, tell
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import all_in, bring_up_to_date, chosen_store, exists, reading, writing
from usagetrace.errors import UsageTraceError
from usagetrace.redaction import govern
from usagetrace.reports import WindowError, parse_window
from usagetrace.reports.jsonshape import dump
from usagetrace.store import Store
from usagetrace.store import invocation_queries as queries

if TYPE_CHECKING:
    from usagetrace.invocations.cutover import Comparison

F = TypeVar("F", bound=Callable[..., Any])

# Differences that are shown one by one.
_SHOWN = 50


@click.group(cls=Commands)
def skills() -> None:
    """Show invocations of skills, and move a legacy JSON file of them into the database."""


@skills.command("list")
@format_option("table", "json", "csv")
@pass_cli
def list_command(cli: Cli, form: str) -> None:
    """List every skill with what its invocations counted. Those that retention removed are in it."""
    with reading(cli) as (path, store):
        found = [] if store is None else queries.metrics(store)
        if form == "json":
            emit(dump({"report": "skills", "store": _text(path), "skills": [*map(skilltables.metrics_shape, found)]}))
        elif form == "csv":
            emit(skilltables.metrics_csv(found))
        elif store is not None:
            page = Page(cli.environ)
            skilltables.draw_metrics(page, found, queries.summary(store))
            page.write()


@skills.command()
@click.argument("name", metavar="NAME")
@format_option("table", "json", "csv")
@pass_cli
def show(cli: Cli, name: str, form: str) -> None:
    """Show one skill: counts, durations, workflow paths, errors and what followed."""
    with reading(cli) as (path, store):
        found = _metrics_of(store, name)
        if not found:
            raise UsageTraceError(f"no invocation of a skill of this name is recorded: {name}")
        if form == "json":
            emit(dump({"report": "skill", "store": _text(path), "skill": skilltables.metrics_shape(found[0])}))
        elif form == "csv":
            emit(skilltables.metrics_csv(found))
        else:
            page = Page(cli.environ)
            skilltables.draw_skill(page, found[0])
            page.write()


@skills.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--window", default="7d", show_default=True, metavar="SPAN", help="How far back: 24h, 7d, a date, or all."
)
@limit_option(100)
@format_option("table", "json", "csv")
@pass_cli
def timeline(cli: Cli, name: str, window: str, limit: int, form: str) -> None:
    """Show the invocations of one skill, the newest first."""
    try:
        since_ms = parse_window(window, "all", cli.now_ms()).since_ms or 0
    except WindowError as error:
        raise click.UsageError(f"--window: {error}") from error
    with reading(cli) as (path, store):
        found: list[dict[str, Any]] = []
        if store is not None:
            known = _metrics_of(store, name)
            called = known[0]["skill_name"] if known else name
            found = queries.timeline(store, called, since_ms, limit=limit)
        _show_invocations(cli, form, "skill_timeline", path, store, found)


@skills.command()
@click.argument("text", metavar="TEXT")
@limit_option(100)
@format_option("table", "json", "csv")
@pass_cli
def search(cli: Cli, text: str, limit: int, form: str) -> None:
    """Find invocations by words of their workflow paths: all of them, "side by side" in quotes, begin* of a word."""
    with reading(cli) as (path, store):
        found = [] if store is None else queries.search(store, text, limit)
        _show_invocations(cli, form, "skill_search", path, store, found)


def _show_invocations(
    cli: Cli, form: str, report: str, path: Path | None, store: Store | None, found: list[dict[str, Any]]
) -> None:
    if form == "json":
        shapes = [skilltables.invocation_shape(each) for each in found]
        emit(dump({"report": report, "store": _text(path), "invocations": shapes}))
    elif form == "csv":
        emit(skilltables.invocations_csv(found))
    elif store is not None:
        page = Page(cli.environ)
        skilltables.draw_invocations(page, found)
        page.write()


def _metrics_of(store: Store | None, name: str) -> list[dict[str, Any]]:
    """Return the metrics of a skill by the name that was typed, or the form that redaction gave it."""
    if store is None:
        return []
    from usagetrace.importers.skill_events import redacted_name

    return queries.metrics(store, name) or queries.metrics(store, redacted_name(name))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


# --- the way from the legacy file, and back ----------------------------------------------------------------


def _file(function: F) -> F:
    """Add the legacy file, and the zone of its times."""
    argument = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
    zone = click.option(
        "--timezone", metavar="ZONE", default="local", show_default=True,
        help="Of the file's times, which say none: local, utc, an offset (+02:00), or a name (Europe/Vienna).",
    )  # fmt: skip
    return argument(zone(function))


_recount = click.option(
    "--recount", is_flag=True, help="Compare with a recount of the file's list instead of the totals it holds."
)


@skills.command()
@_file
@_recount
@format_option("table", "json")
@pass_cli
def compare(cli: Cli, file: Path, timezone: str, recount: bool, form: str) -> None:
    """Compare a legacy file with the database, skill by skill; exit code 1 where they differ.

    Counts have to be equal, completion rates within 0.01. What the file lists as begun and the database counts as
    abandoned is no difference.
    """
    from usagetrace.importers.skill_metrics import SkillMetricsReader
    from usagetrace.importers.times import zone_of
    from usagetrace.invocations.cutover import compare as compared

    govern(examine(cli.environ, cli.cwd).settings.redaction)
    with reading(cli) as (path, store):
        reader = SkillMetricsReader(file, zone=zone_of(timezone), after_cutover=True, now_ms=cli.now_ms)
        comparison = compared(reader, store, recount=recount)
        for note in reader.notes:
            say(f"{file}: {note}")
        if form == "json":
            emit(dump(_comparison_shape(file, path, comparison)))
        else:
            _tell_comparison(file, comparison)
    if comparison.differences:
        raise click.exceptions.Exit(1)


def _tell_comparison(file: Path, comparison: Comparison) -> None:
    for each in comparison.differences[:_SHOWN]:
        tell(f"  {each}")
    if len(comparison.differences) > _SHOWN:
        tell(f"  and {len(comparison.differences) - _SHOWN} more")
    found = f"{len(comparison.differences)} differences" if comparison.differences else "no difference"
    others = f"; {comparison.others} more in the database alone" if comparison.others else ""
    tell(f"{file}: {_many(comparison.skills, 'skill')}, {_many(comparison.invocations, 'invocation')}: {found}{others}")


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _comparison_shape(file: Path, path: Path | None, comparison: Comparison) -> dict[str, Any]:
    return {
        "report": "skills_compare",
        "store": _text(path),
        "file": str(file),
        "skills": comparison.skills,
        "invocations": comparison.invocations,
        "only_in_database": comparison.others,
        "differences": [each._asdict() for each in comparison.differences],
    }


@skills.command()
@_file
@_recount
@pass_cli
def cutover(cli: Cli, file: Path, timezone: str, recount: bool) -> None:
    """Let the database take over from a legacy file, whose tool has stopped.

    What is left of the file is imported, the two are compared, the file is copied beside itself, and a note beside it
    (FILE.cutover) says that the database alone counts from now on: trackers that write both leave the file alone, and
    an import of it is refused. Nothing is cut over while they differ. Again does nothing.
    """
    from usagetrace.importers.times import zone_of
    from usagetrace.invocations.cutover import DisagreementError, cut_over

    path = _writable(cli)
    try:
        done = cut_over(file, path, zone=zone_of(timezone), recount=recount, now_ms=cli.now_ms())
    except DisagreementError as error:
        _tell_comparison(file, error.comparison)
        hint = "" if recount else ", or say --recount to leave behind what its totals count beyond its list"
        raise UsageTraceError(f"{file}: not cut over: the two differ; import again once it is settled{hint}") from error
    if done.report is None or done.comparison is None:
        tell(f"{file}: cut over already, at {done.cutover.at}, to {done.cutover.database}")
        return
    tell(f"{file}: {done.report.added} imported, {done.report.known} known already, {done.report.skipped} skipped")
    _tell_comparison(file, done.comparison)
    tell(f"{file}: cut over to {path}; a copy is {done.cutover.copy}")


@skills.command()
@_file
@click.option("--force", is_flag=True, help="Set a file that is there aside, and write.")
@pass_cli
def rollback(cli: Cli, file: Path, timezone: str, force: bool) -> None:
    """Write a legacy file from the database, for the legacy tool to go on with; a cutover is undone by it.

    Names, paths and actions are written as they are stored: redacted. An import of the file adds nothing.
    """
    from usagetrace.importers.times import zone_of
    from usagetrace.invocations.cutover import roll_back

    _require_allowed(cli)
    with writing(cli) as (path, store):
        if store is None:
            raise UsageTraceError(f"{file}: nothing to write: nothing is recorded yet")
        done = roll_back(file, store, force=force, zone=zone_of(timezone), now_ms=cli.now_ms())
    tell(f"{file}: {_many(done.invocations, 'invocation')} of {_many(done.skills, 'skill')} from {path}")
    if done.aside is not None:
        tell(f"{file}: what was there before is {done.aside}")


def _require_allowed(cli: Cli) -> None:
    examined = examine(cli.environ, cli.cwd)
    if examined.off_reason:
        raise UsageTraceError(f"nothing is written, because {examined.off_reason}")
    govern(examined.settings.redaction)


def _writable(cli: Cli) -> Path:
    """Return the chosen database, up to date where there is one."""
    _require_allowed(cli)
    path = chosen_store(cli)
    if path is None:
        raise click.UsageError("nothing recorded yet: name the tool: usagetrace --service NAME skills cutover FILE")
    if not all_in(path):
        # What waits there may be in the file as well.
        raise UsageTraceError(f"{path}: its spool could not be emptied: `usagetrace db drain` says why")
    if exists(path):
        bring_up_to_date(path)
    return path

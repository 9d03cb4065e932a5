"""``usagetrace import``: brings what other tools have recorded into the local database, redacted, each record once.

This module owns the options, the progress bar and what people are told. What is new, and how it is written, is in
:mod:`usagetrace.importers`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.groups import Commands
from usagetrace.cli.options import format_option
from usagetrace.cli.output import emit, say, tell
from usagetrace.cli.settings import examine
from usagetrace.cli.stores import all_in, bring_up_to_date, chosen_store, exists
from usagetrace.cli.waiting import some
from usagetrace.errors import UsageTraceError
from usagetrace.importers.model import Reader, Report
from usagetrace.redaction import govern
from usagetrace.reports.jsonshape import dump

if TYPE_CHECKING:
    from usagetrace.config import Settings
    from usagetrace.importers.fields import ColumnMap

F = TypeVar("F", bound=Callable[..., Any])
# Makes the reader of a file that is imported into a store.
Open = Callable[[Path, Path], Reader]
# What was done with a file: its reader, the report, and why it ended early.
Outcome = tuple[Reader, Report, str]

_INTERRUPTED: Final = "interrupted"


@click.group("import", cls=Commands)
def importing() -> None:
    """Import what other tools have recorded: redacted on the way in, and each record once, however often it is given.

    A file is looked at as a whole first; one that has a fault is refused with its place, and nothing of it is imported.
    It is read and never changed. What is interrupted goes on where it stopped when it is given again.
    """


def _common(function: F) -> F:
    """Add what every format has."""
    options = (
        click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)),
        click.option("--dry-run", is_flag=True, help="Say what would be imported, and write nothing at all."),
        format_option("table", "json"),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _lenient(function: F) -> F:
    return click.option(
        "--skip-faulty", is_flag=True, help="Skip and count records that have a fault, instead of refusing the file."
    )(function)


def _zone(default: str) -> Callable[[F], F]:
    return click.option(
        "--timezone",
        metavar="ZONE",
        default=default,
        show_default=True,
        help="Of times that say none: local, utc, an offset (+02:00), or a name (Europe/Vienna).",
    )


def _mapped(function: F) -> F:
    """Add what formats have whose records name their own fields."""
    options = (
        click.option(
            "--map", "mapping", multiple=True, metavar="FIELD=COLUMN,...",
            help="Which column is which field: artifact_name=name,timestamp=when,metadata.score=score.",
        ),
        click.option(
            "--set", "constants", multiple=True, metavar="FIELD=VALUE",
            help="A field that no column says: event_type=deploy; may be repeated.",
        ),
        click.option(
            "--time-format", metavar="FORM", default="auto", show_default=True,
            help="Of times: auto (ISO 8601, or a number since 1970), iso, s, ms, us, ns, or as %d.%m.%Y %H:%M.",
        ),
        _zone("local"),
        _lenient,
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@importing.command("v1")
@_common
@_zone("utc")
@_lenient
@pass_cli
def v1(cli: Cli, files: tuple[Path, ...], dry_run: bool, form: str, timezone: str, skip_faulty: bool) -> None:
    """Import an analytics database of another tool: tables events and usage_summary of version 1, or one of ours.

    What its summary counts beyond the events that are left is added to the summary, once for each artifact.
    """
    from usagetrace.importers.v1 import V1Reader

    _import(cli, files, lambda path, _: V1Reader(path, timezone=timezone, lenient=skip_faulty), dry_run, form)


@importing.command("jsonl")
@_common
@_mapped
@pass_cli
def jsonl(
    cli: Cli,
    files: tuple[Path, ...],
    dry_run: bool,
    form: str,
    mapping: tuple[str, ...],
    constants: tuple[str, ...],
    time_format: str,
    timezone: str,
    skip_faulty: bool,
) -> None:
    """Import JSON Lines: one event a line, with the names that `usagetrace events --format json` has, or --map."""
    from usagetrace.importers.jsonl import JsonLinesReader

    columns = _columns(mapping, constants)
    _import(
        cli,
        files,
        lambda path, _: JsonLinesReader(path, columns, timezone=timezone, time_format=time_format, lenient=skip_faulty),
        dry_run,
        form,
    )


@importing.command("otlp")
@_common
@_lenient
@pass_cli
def otlp(cli: Cli, files: tuple[Path, ...], dry_run: bool, form: str, skip_faulty: bool) -> None:
    """Import OTLP in JSON: requests of spans, log records and metrics, one a line as the Collector writes them, or one.

    Ids are kept: what the database has already, from its tool or by `usagetrace serve`, is not added again.
    """
    # Imported here: the list of commands must not load it, nor fail where it is not installed.
    try:
        from usagetrace.importers.otlp_file import OtlpReader
        from usagetrace.otlp.mapping import mappings_from_settings
    except ImportError as error:
        raise UsageTraceError(f"OTLP needs {error.name}, not installed: pip install 'usagetrace[otlp]'") from error
    mappings = mappings_from_settings(cli.environ, cli.cwd)
    _import(cli, files, lambda path, _: OtlpReader(path, mappings, lenient=skip_faulty), dry_run, form)


@importing.command("csv")
@_common
@_mapped
@click.option(
    "--delimiter", default=",", show_default=True, metavar="SIGN", help="Between two cells; \\t stands for a tab."
)
@click.option("--encoding", default="utf-8", show_default=True, metavar="NAME", help="Of the file.")
@pass_cli
def csv(
    cli: Cli,
    files: tuple[Path, ...],
    dry_run: bool,
    form: str,
    mapping: tuple[str, ...],
    constants: tuple[str, ...],
    time_format: str,
    timezone: str,
    skip_faulty: bool,
    delimiter: str,
    encoding: str,
) -> None:
    """Import CSV: one event a row, its fields in the columns of their own names, or those of --map."""
    from usagetrace.importers.csv_file import CsvReader

    columns = _columns(mapping, constants)
    sign = "\t" if delimiter == "\\t" else delimiter

    def opened(path: Path, _: Path) -> CsvReader:
        return CsvReader(
            path, columns, delimiter=sign, encoding=encoding, timezone=timezone, time_format=time_format,
            lenient=skip_faulty,
        )  # fmt: skip

    _import(cli, files, opened, dry_run, form)


@importing.command("skills")
@_common
@_zone("local")
@click.option("--settled", is_flag=True, help="The tool has stopped: an invocation that has not ended never will.")
@pass_cli
def skills(cli: Cli, files: tuple[Path, ...], dry_run: bool, form: str, timezone: str, settled: bool) -> None:
    """Import the JSON file of a legacy skill-metrics tool: its list of invocations.

    `usagetrace skills` compares the two stores, cuts over, and goes back.
    """
    from usagetrace.importers.skill_metrics import SkillMetricsReader
    from usagetrace.importers.times import zone_of

    zone = zone_of(timezone)

    def opened(path: Path, store: Path) -> SkillMetricsReader:
        return SkillMetricsReader(path, zone=zone, store_path=store, settled=settled, now_ms=cli.now_ms)

    _import(cli, files, opened, dry_run, form)


def _columns(mapping: Sequence[str], constants: Sequence[str]) -> ColumnMap:
    from usagetrace.importers.fields import ColumnMap

    pairs = [pair for each in mapping for pair in each.split(",")]
    return ColumnMap(_pairs("--map", pairs, "FIELD=COLUMN"), _pairs("--set", constants, "FIELD=VALUE"))


def _pairs(option: str, given: Sequence[str], form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        field, equals, value = each.partition("=")
        if not equals or not field.strip() or not value.strip():
            raise click.UsageError(f"{option}: expected {form}, found {each!r}")
        if field.strip() in found:
            raise click.UsageError(f"{option}: names the field {field.strip()} twice")
        found[field.strip()] = value.strip()
    return found


# --- the import itself -------------------------------------------------------------------------------------


def _import(cli: Cli, files: Sequence[Path], opened: Open, dry_run: bool, form: str) -> None:
    """Import files, one after the other, and tell what was done.

    Raises:
        UsageTraceError: One of them could not be imported; those before it were.
    """
    examined = examine(cli.environ, cli.cwd)
    if examined.off_reason and not dry_run:
        raise UsageTraceError(f"nothing is imported, because {examined.off_reason}")
    path = chosen_store(cli)
    if path is None:
        raise click.UsageError("nothing recorded yet: name the tool: usagetrace --service NAME import ...")
    govern(examined.settings.redaction)
    readers = [opened(each, path) for each in files]
    if not dry_run:
        # What waits there may be what is imported: it has to be known.
        all_in(path)
        if exists(path):
            bring_up_to_date(path)
    done: list[Outcome] = []
    try:
        for reader in readers:
            done.append(_one(cli, reader, path, examined.settings, dry_run))
            problem = done[-1][2]
            if problem == _INTERRUPTED:
                say("interrupted: give the same command again to go on")
                raise click.Abort
            if problem:
                raise UsageTraceError(problem)
    finally:
        if form == "json":
            emit(dump(_shape(path, done, dry_run)))


def _one(cli: Cli, reader: Reader, path: Path, settings: Settings, dry_run: bool) -> Outcome:
    """Import one file, and tell what was done, also of one that was interrupted."""
    from usagetrace.importers.run import run

    report = Report()
    problem = ""
    try:
        with _progress(reader) as moved:
            run(
                reader,
                path,
                dry_run=dry_run,
                progress=moved,
                checked=lambda found: _warn(reader, found, settings.retention_days),
                retention_days=settings.retention_days,
                clock_skew_s=settings.event_clock_skew,
                now_ms=cli.now_ms,
                report=report,
            )
    except UsageTraceError as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = _INTERRUPTED
    if report.read or not problem or problem == _INTERRUPTED:
        _tell(reader, report, dry_run)
    return reader, report, problem


def _warn(reader: Reader, report: Report, retention_days: int) -> None:
    """Tell before anything is written what people may want to know before."""
    for note in _notes(reader):
        say(f"{_name(reader)}: {note}")
    if report.old:
        say(
            f"{_name(reader)}: {some(report.old, 'event')} older than the {retention_days} days that events are kept "
            "(analytics.retention-days): the next clean-up removes them; summaries go on counting them"
        )


def _notes(reader: Reader) -> Sequence[str]:
    return tuple(getattr(reader, "notes", ()))


def _name(reader: Reader) -> str:
    return str(getattr(reader, "path", reader.name))


def _tell(reader: Reader, report: Report, dry_run: bool) -> None:
    """Tell on standard error what was done: standard output is JSON's where that was asked for."""
    would = "dry run, nothing was written: " if dry_run else ""
    speak = say if _is_json() else tell
    rest = "" if report.complete else "; it was not read to its end"
    speak(
        f"{_name(reader)}: {would}{some(report.read, 'record')} read, {report.added} added, "
        f"{report.known} known already, {report.skipped} skipped, in {report.seconds:.1f} s{rest}"
    )
    for reason, number in sorted(report.reasons.items(), key=lambda each: (-each[1], each[0])):
        first = "; ".join(report.places[reason])
        speak(f"  skipped {number}: {reason}: {first}{'; ...' if number > len(report.places[reason]) else ''}")
    if report.carried:
        speak(f"  {some(report.carried, 'use')} added to the summary that no event is left of")
    if report.uncarried:
        speak(
            f"  {some(report.uncarried, 'use')} of its summary not added: uses of the same artifacts were added "
            "before, and these may be among them"
        )


def _is_json() -> bool:
    return click.get_current_context().params.get("form") == "json"


def _shape(path: Path, done: Sequence[Outcome], dry_run: bool) -> dict[str, Any]:
    return {
        "report": "import",
        "store": str(path),
        "dry_run": dry_run,
        "files": [
            {
                "file": _name(reader),
                "format": reader.name,
                "read": report.read,
                "added": report.added,
                "known": report.known,
                "skipped": report.skipped,
                "reasons": [
                    {"reason": reason, "records": number, "first": report.places[reason]}
                    for reason, number in sorted(report.reasons.items(), key=lambda each: (-each[1], each[0]))
                ],
                "older_than_kept": report.old,
                "carried": report.carried,
                "not_carried": report.uncarried,
                "notes": list(_notes(reader)),
                "complete": report.complete,
                "problem": problem or None,
                "seconds": round(report.seconds, 3),
            }
            for reader, report, problem in done
        ],
    }


@contextlib.contextmanager
def _progress(reader: Reader) -> Iterator[Callable[[str, int], None] | None]:
    """Show a bar on standard error while a file is looked at and imported; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    # Imported here: nobody sees it otherwise.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        words = {"check": "looking", "import": "importing"}
        tasks: dict[str, Any] = {}

        def moved(stage: str, done: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(words[stage], total=reader.size)
            bar.update(tasks[stage], completed=done)

        yield moved

"""``usagetrace targets``: what is recorded by configuration alone, whether that fits the program, and what could be."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from usagetrace import semconv
from usagetrace.autoinstrument.check import FAULT, WARNING, Finding
from usagetrace.autoinstrument.check import check as check_targets
from usagetrace.autoinstrument.fired import name_of
from usagetrace.autoinstrument.sources import Found, find_targets
from usagetrace.autoinstrument.target import Target
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.groups import Commands
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, say, tell
from usagetrace.cli.stores import all_in, exists, found_stores, healing, named_store, open_for_reading
from usagetrace.redaction import Redactor
from usagetrace.redaction.policy_table import redaction_policy
from usagetrace.reports.jsonshape import dump

config_option = click.option(
    "--config", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Read this file of targets in place of the project's.",
)  # fmt: skip


@click.group(cls=Commands)
def targets() -> None:
    """See, check and find the functions that are recorded by configuration alone."""


@targets.command("check")
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@config_option
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, metavar="SECONDS",
    help="How long the import of one module may take; 30 by default.",
)  # fmt: skip
@format_option("table", "json")
@click.pass_context
def check_command(ctx: click.Context, modules: tuple[str, ...], file: Path | None, timeout: float, form: str) -> None:
    """Import the modules that targets name, and tell everything that does not fit; exit code 1 where there is any.

    Each module is imported in a process of its own, where nothing is recorded. With MODULE only targets in these
    modules, or in modules of these packages, are looked at. Warnings are no faults.
    """
    cli = ctx.find_object(Cli) or Cli()
    found = _found(cli, file)
    chosen = [target for target in found.targets if not modules or _is_in(target.module, modules)]
    if modules and not chosen:
        raise click.UsageError(f"no target names a function in {' or '.join(modules)}")
    faults = () if modules else found.faults
    findings = check_targets(chosen, faults, cwd=str(cli.cwd), env=cli.environ, timeout_s=timeout)
    if form == "json":
        emit(dump(_check_shape(len(chosen), findings)))
    else:
        _tell_findings(len(chosen), findings)
    if any(finding.severity == FAULT for finding in findings):
        ctx.exit(1)


def _is_in(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _found(cli: Cli, file: Path | None, *, trust_project: bool = True) -> Found:
    """Return the targets that are in force here, those of a file in place of the project's where one is given."""
    environ = cli.environ if file is None else {**cli.environ, "USAGETRACE_CONFIG": str(file.absolute())}
    return find_targets(env=environ, cwd=str(cli.cwd), trust_project=trust_project)


def _tell_findings(count: int, findings: list[Finding]) -> None:
    for finding in findings:
        function = "" if finding.function in finding.where else f" ({finding.function})"
        place = f"{finding.where}{function}: " if finding.where else ""
        tell(f"{finding.severity}: {place}{finding.message}")
    faults, warnings = (sum(each.severity == severity for each in findings) for severity in (FAULT, WARNING))
    if not count and not findings:
        say("no targets: write them into usagetrace.toml, or let `usagetrace targets suggest PACKAGE` propose some")
    else:
        tell(f"{_some(count, 'target')} checked: {_some(faults, 'fault')}, {_some(warnings, 'warning')}")


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _check_shape(count: int, findings: list[Finding]) -> dict[str, Any]:
    return {
        "report": "targets_check",
        "targets": count,
        "faults": sum(each.severity == FAULT for each in findings),
        "warnings": sum(each.severity == WARNING for each in findings),
        "findings": [
            {
                "severity": each.severity,
                "where": each.where or None,
                "function": each.function or None,
                "message": each.message,
            }
            for each in findings
        ],
    }


@dataclass(frozen=True, slots=True)
class _Fired:
    """How often a function was called: in all, today, and the last day on which it was, in UTC."""

    calls: int = 0
    today: int = 0
    last_day: str | None = None


@targets.command("list")
@config_option
@format_option("table", "json")
@pass_cli
def list_command(cli: Cli, file: Path | None, form: str) -> None:
    """Show every target: what it records, where it comes from, and how often it was called.

    Calls are counted when a program ends; those of programs that were killed are missing. Without --db and --service
    the calls in every tool's database are added up. Days are UTC.
    """
    found = _found(cli, file)
    untrusted = _found(cli, file, trust_project=False).untrusted
    fired, stores = _fired(cli)
    redactor = Redactor(policy=redaction_policy(cli.environ, cli.cwd))
    counts = [
        fired.get(str(redactor.redact(semconv.CODE_FUNCTION_NAME, name_of(target.function))), _Fired())
        for target in found.targets
    ]
    if form == "json":
        emit(dump(_list_shape(found, counts, untrusted, stores)))
        return
    for fault in found.faults:
        say(fault)
    for label in untrusted:
        say(
            f"{label}: it counts under `usagetrace run` and opentelemetry-instrument; with `import usagetrace.auto` "
            "only in programs that take code from its folder"
        )
    if not found.targets:
        say("no targets: write them into usagetrace.toml, or let `usagetrace targets suggest PACKAGE` propose some")
        return
    page = Page(cli.environ)
    page.table(
        (Column("function", limit=200), Column("event"), Column("calls", right=True), Column("today", right=True),
         Column("last day", whole=True), Column("where", limit=200)),
        [
            (target.function, _event(target), count.calls, count.today, count.last_day or "never", _where(target))
            for target, count in zip(found.targets, counts, strict=True)
        ],
    )  # fmt: skip
    page.write()


def _event(target: Target) -> str:
    if target.framework:
        return f"by {target.framework} command" if target.framework != "fastapi" else "by route"
    text = target.event if isinstance(target.event, str) else " or ".join(dict.fromkeys(target.event.values()))
    return f"{text} (fills only)" if target.fields.get("fill_only") else text


def _where(target: Target) -> str:
    """Return a target's place without its function, which stands beside it."""
    return target.where.removesuffix(f" ({target.function})")


def _list_shape(found: Found, counts: list[_Fired], untrusted: list[str], stores: list[str]) -> Mapping[str, Any]:
    return {
        "report": "targets",
        "targets": [
            {
                "function": target.function,
                "event": target.event or None,
                "framework": target.framework or None,
                "optional": target.optional,
                "where": _where(target),
                "calls": count.calls,
                "calls_today": count.today,
                "last_day": count.last_day,
            }
            for target, count in zip(found.targets, counts, strict=True)
        ],
        "faults": found.faults,
        "untrusted": untrusted,
        "stores": stores,
    }


def _fired(cli: Cli) -> tuple[dict[str, _Fired], list[str]]:
    """Return how often each function was called, by its name, and the databases that say so."""
    named = named_store(cli)
    paths = [path for _, path in found_stores(cli)] if named is None else [named]
    today = datetime.fromtimestamp(cli.now_ms() / 1000, tz=timezone.utc).strftime("%Y-%m-%d")
    counts: dict[str, _Fired] = {}
    stores = []
    for path in paths:
        all_in(path)
        if not exists(path):
            continue
        stores.append(str(path))
        with healing(path), open_for_reading(path) as store:
            points = store.get_metrics(semconv.METRIC_TARGET_CALLS)
        for point in points:
            name = _function_of(point.attributes)
            before, calls = counts.get(name, _Fired()), round(point.sum)
            counts[name] = _Fired(
                before.calls + calls,
                before.today + (calls if point.day == today else 0),
                max(before.last_day or "", point.day),
            )
    return counts, stores


def _function_of(attributes: str) -> str:
    # Imported here: a machine on which no target was ever called needs none.
    import json

    return str(json.loads(attributes).get(semconv.CODE_FUNCTION_NAME))


@targets.command("suggest")
@click.argument("package", metavar="PACKAGE")
@click.option("--all", "everything", is_flag=True, help="Also what ranks too low to be proposed otherwise.")
@pass_cli
def suggest_command(cli: Cli, package: str, everything: bool) -> None:
    """Propose targets for a package, as TOML to standard output. The package is read, never imported.

    PACKAGE is a package or module, a distribution's name, a folder, or a .py file.
    """
    # Imported here: the other commands don't parse Python.
    from usagetrace.autoinstrument.suggest import PackageNotFoundError, suggest, to_toml

    try:
        proposed = suggest(package, [str(cli.cwd), *sys.path], everything=everything)
    except PackageNotFoundError as error:
        raise click.ClickException(str(error)) from error
    emit(to_toml(proposed))

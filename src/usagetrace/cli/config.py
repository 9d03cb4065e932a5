"""``usagetrace config``: every setting, its value and where that comes from."""

from __future__ import annotations

from typing import Any

import click

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, say, tell
from usagetrace.cli.settings import Examined, examine, shown_url
from usagetrace.config import declarations
from usagetrace.redaction import Policy
from usagetrace.reports.jsonshape import dump


@click.command()
@click.option("--check", is_flag=True, help="Only list the faults; the exit code is 1 where there are any.")
@format_option("table", "json")
@click.pass_context
@pass_cli
def config(cli: Cli, ctx: click.Context, check: bool, form: str) -> None:
    """Show every setting: its value, where the value comes from, and how to set it."""
    examined = examine(cli.environ, cli.cwd)
    if form == "json":
        emit(dump(_shape(examined, with_settings=not check)))
    elif check:
        tell("The settings have no faults." if not examined.faults else _counted(len(examined.faults)))
    else:
        _draw(Page(cli.environ), examined)
    for fault in examined.faults if form != "json" else ():
        say(fault)
    if check and examined.faults:
        ctx.exit(1)


def _counted(number: int) -> str:
    return f"The settings have {number} fault{'' if number == 1 else 's'}:"


def _rows(examined: Examined) -> list[dict[str, Any]]:
    rows = []
    for declared in declarations():
        value = getattr(examined.settings, declared.name)
        rows.append(
            {
                "name": declared.name,
                "value": value if isinstance(value, bool | int | float | None) else _shown(value),
                "source": examined.settings.sources.get(declared.name, "default"),
                "key": declared.key,
                "env": list(declared.env),
                "help": declared.help,
            }
        )
    return rows


def _shown(value: object) -> str:
    text = (", ".join(value) or "none") if isinstance(value, tuple) else str(value)
    return shown_url(text) if "://" in text else text


def _shape(examined: Examined, *, with_settings: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "report": "config",
        "recording": {"on": not examined.off_reason, "reason": examined.off_reason or None},
        "faults": list(examined.faults),
    }
    if with_settings:
        shape["settings"] = _rows(examined)
        shape["redaction"] = _policy(examined)
    return shape


def _policy(examined: Examined) -> dict[str, Any]:
    """Return what is in force of redaction, besides the rules of this package; nothing of it is private itself."""
    policy = examined.settings.redaction or Policy()
    return {
        "mode": policy.mode,
        "keys": dict(policy.keys),
        "only": None if policy.only is None else list(policy.only),
        "rules": [rule.name for rule in policy.rules],
        # They may be private: that is why somebody lists them.
        "values": len(policy.values),
    }


def _draw(page: Page, examined: Examined) -> None:
    page.heading("Settings")
    page.table(
        (Column("key"), Column("value", limit=200), Column("from", limit=200), Column("environment variable")),
        [(row["key"], _word(row["value"]), row["source"], ", ".join(row["env"])) for row in _rows(examined)],
    )
    page.heading("What they mean")
    page.table((Column("key"), Column("meaning", limit=300)), [(row["key"], row["help"]) for row in _rows(examined)])
    page.heading("Redaction")
    for line in _policy_lines(_policy(examined)):
        page.line(line)
    page.line()
    page.line(f"Recording is off: {examined.off_reason}." if examined.off_reason else "Recording is on.")
    page.write()


def _policy_lines(policy: dict[str, Any]) -> list[str]:
    keys = ", ".join(f"{key} = {mode}" for key, mode in policy["keys"].items())
    return [
        f"A finding: {policy['mode']}.",
        f"Whole values by key: {keys or 'none'}.",
        f"Only these leave: {', '.join(policy['only']) or 'none'}."
        if policy["only"] is not None
        else "Any key leaves.",
        f"Own rules: {len(policy['rules'])}{''.join(f', {name}' for name in policy['rules'])}.",
        f"Values that are never redacted: {policy['values']}.",
    ]


def _word(value: object) -> str:
    if value is None or value == "":
        return "(not set)"
    return str(value).lower() if isinstance(value, bool) else str(value)

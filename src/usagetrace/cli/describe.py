"""The command line as a page of the reference: every command, its options, defaults and exit codes.

Made from the commands themselves, so that the page can't say anything else than ``--help``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from usagetrace.cli.app import app

_EXIT_CODES = """\
| Exit code | Meaning |
|---|---|
| 0 | done; also when nothing has been recorded yet |
| 1 | failed: one line on standard error says what and what to do; also faults in `config --check` and `targets check` |
| 2 | wrong usage: standard error says what was expected |"""


def describe() -> str:
    """Return every command with its options as Markdown; it ends with a line break."""
    return "\n\n".join([*_command("usagetrace", app), "## Exit codes", _EXIT_CODES]) + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield f"## `{name}`"
    yield from _paragraphs(command.help or "")
    arguments = [parameter.metavar for parameter in command.params if isinstance(parameter, click.Argument)]
    if arguments:
        yield f"Usage: `{name} [OPTIONS] {' '.join(filter(None, arguments))}`"
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield "\n".join(["| Option | Default | Meaning |", "|---|---|---|", *map(_option, options)])
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in sorted(command.list_commands(context)):
            found = command.get_command(context, child)
            if found is not None:
                yield from _command(f"{name} {child}", found)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield " ".join(paragraph.split())


def _option(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if not option.is_flag:
        names += f" {_value(option)}"
    default = option.default
    # Versions of click differ in what stands for no default; a text or a number is one.
    shown = f"`{default}`" if isinstance(default, str | int) and not isinstance(default, bool) else ""
    return f"| `{names}` | {shown} | {option.help or ''} |"


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        # A bar would end the cell of the table.
        return " or ".join(map(str, option.type.choices))
    return option.metavar or option.type.name.upper()

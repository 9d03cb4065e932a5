"""``usagetrace run``: a command is executed, and what its Python does is recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from usagetrace.autoinstrument import launch
from usagetrace.cli.context import Cli, pass_cli

# What people type for it: `usagetrace run -m tool`.
_EXPECTED: Final = "Expected a command, as in: usagetrace run -- python -m tool"


class _Run(click.Command):
    """Says what goes where to whoever gives it the options of Python."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            raise click.UsageError(f"{error.format_message()} {_EXPECTED}", ctx) from error


# From the command's name on, what looks like an option is the command's.
@click.command(cls=_Run, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Take targets and settings from this file; as USAGETRACE_CONFIG.",
)
@click.option("--service", metavar="NAME", help="Record under this name instead of the program's own.")
@click.option("--follow", is_flag=True, help="Cover the Python programs as well that the program starts.")
@click.pass_context
@pass_cli
def run(
    cli: Cli, ctx: click.Context, command: tuple[str, ...], config_file: Path | None, service: str | None, follow: bool
) -> None:
    """Run a Python program, or a command that starts one, and record the functions that targets name.

    Output, exit code and signals are the program's own; a command that can't be found or executed ends with 127 or 126.
    While recording is off the command is executed and nothing else happens.
    """
    if not command:
        raise click.UsageError("expected a command, as in: usagetrace run -- python tool.py", ctx)
    name = cli.service if service is None else service
    if name is not None and not name.strip():
        raise click.UsageError("--service: expected a name, found an empty text", ctx)
    try:
        start = launch.prepare(command, cli.environ, _settings(config_file, name, cli.db), follow=follow)
        for remark in start.remarks:
            _say(remark)
        ctx.exit(launch.execute(start))
    except launch.CommandError as error:
        _say(str(error))
        ctx.exit(error.code)


def _settings(config_file: Path | None, service: str | None, database: Path | None) -> dict[str, str]:
    """Return the options as the variables that the program reads."""
    given = {
        "USAGETRACE_CONFIG": None if config_file is None else os.path.abspath(config_file),
        "OTEL_SERVICE_NAME": service,
        "USAGETRACE_DB_PATH": None if database is None else os.path.abspath(database),
    }
    return {name: value for name, value in given.items() if value is not None}


def _say(message: str) -> None:
    # Imported here: it loads a renderer, and most runs have nothing to say.
    from usagetrace.cli.output import say

    say(f"usagetrace: {message}", typed=True)

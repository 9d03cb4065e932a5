"""The program ``usagetrace``: its global options, its commands, and how failures end.

Every failure that is foreseen is told in one line, without a traceback, and every text that goes out is made
visible first.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from usagetrace.cli.context import Cli
from usagetrace.cli.database_option import database_option
from usagetrace.cli.groups import Commands
from usagetrace.errors import ConfigurationError, UsageTraceError
from usagetrace.version import __version__

DONE, FAILED, WRONG_USAGE = 0, 1, 2
# Each command, its module below this package, and its name there: a command loads no other, which `run` would have
# every program pay for.
_COMMANDS: Final = {
    "audit": ("audit", "audit_command"),
    "config": ("config", "config"),
    "db": ("db", "db"),
    "demo": ("demo", "demo"),
    "disable": ("switch", "disable"),
    "enable": ("switch", "enable"),
    "events": ("report", "events"),
    "forward": ("forward", "forward"),
    "import": ("importing", "importing"),
    "redact": ("redact", "redact"),
    "report": ("report", "report"),
    "run": ("run", "run"),
    "serve": ("serve", "serve"),
    "skills": ("skills", "skills"),
    "status": ("status", "status"),
    "targets": ("targets", "targets"),
    "top": ("report", "top"),
}


class App(Commands):
    """A group whose commands are loaded when they are asked for; foreseen failures become messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f"usagetrace.cli.{module}"), name)
        return found

    def run(self, arguments: Sequence[str]) -> int:
        """Run a command.

        Args:
            arguments: What was typed after the program's name.

        Returns:
            The exit code.
        """
        try:
            surroundings = Cli(arguments=tuple(arguments))
            self.main(args=list(arguments), prog_name="usagetrace", obj=surroundings)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else FAILED
        except FileNotFoundError:
            say("usagetrace: the working directory does not exist any more: change to another one")
            return FAILED
        finally:
            _give_up_unwritable_output()
        return DONE

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command as :meth:`click.Group.main` does; messages are made safe to show."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            _show_usage(error)
            code = WRONG_USAGE
        except click.ClickException as error:
            say(f"usagetrace: {error.format_message()}")
            code = FAILED
        except click.Abort:
            say("usagetrace: stopped")
            code = FAILED
        sys.exit(code if isinstance(code, int) else DONE)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command of a context; foreseen errors become :class:`click.ClickException`."""
        try:
            result = super().invoke(ctx)
            # A reader that went away, or a full disk, is noticed here and not at the end of the interpreter.
            sys.stdout.flush()
            return result
        except ConfigurationError as error:
            faults = "\n".join(f"  {fault}" for fault in error.faults)
            raise click.ClickException(f"the settings have faults:\n{faults}") from error
        except UsageTraceError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                # A reader that has seen enough (| head): click ends the program quietly.
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or type(error).__name__}") from error


def say(message: str, *, typed: bool = False) -> None:
    """Write a message to standard error, as :func:`usagetrace.cli.output.say` does."""
    # Imported here and not above: it loads a renderer, and most runs have nothing to say.
    from usagetrace.cli import output

    output.say(message, typed=typed)


def _give_up_unwritable_output() -> None:
    """Let what can't be written go; it was told already, and the interpreter would complain once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _show_usage(error: click.UsageError) -> None:
    message = error.format_message()
    if error.ctx is not None:
        say(error.ctx.get_usage())
        say(f"Try '{error.ctx.command_path} --help' for help.")
    say(f"Error: {message}", typed=True)


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@database_option("Use this database.")
@click.option("--service", metavar="NAME", help="Use the database of this tool.")
@click.version_option(__version__, prog_name="usagetrace")
@click.pass_context
def app(ctx: click.Context, db_path: Path | None, service: str | None) -> None:
    """See what people really do with your Python tool. Everything is read from a local database.

    Without --db and --service the database named in the settings is used, else the only one there is.
    """
    if db_path is not None and service is not None:
        raise click.UsageError("--db and --service both name a database: give one of them")
    if service is not None and not service.strip():
        raise click.UsageError("--service: expected the name of a tool, found an empty text")
    surroundings = ctx.obj if isinstance(ctx.obj, Cli) else Cli()
    ctx.obj = dataclasses.replace(surroundings, db=db_path, service=service)

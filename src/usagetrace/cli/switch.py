"""``usagetrace enable`` and ``usagetrace disable``: the user's own word, in the user's own settings file."""

from __future__ import annotations

import click

from usagetrace import places
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.output import say, tell
from usagetrace.cli.settings import examine
from usagetrace.cli.settingsfile import write_enabled


@click.command()
@pass_cli
def enable(cli: Cli) -> None:
    """Allow recording again, in your own settings file."""
    _switch(cli, enabled=True)


@click.command()
@pass_cli
def disable(cli: Cli) -> None:
    """Stop recording for every tool, in your own settings file. What was recorded stays."""
    _switch(cli, enabled=False)


def _switch(cli: Cli, *, enabled: bool) -> None:
    path = places.config_file(cli.environ)
    changed = write_enabled(path, enabled)
    word = "true" if enabled else "false"
    tell(f"{path}: {'now says' if changed else 'says already'} enabled = {word}")
    examined = examine(cli.environ, cli.cwd)
    if not enabled or not examined.off_reason:
        tell(f"Recording is {'on' if enabled else 'off, and no code and no project setting can switch it on'}.")
        return
    say(f"Recording is still off: {examined.off_reason}.")
    for fault in examined.faults:
        say(f"  {fault}")

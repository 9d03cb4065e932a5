"""Groups of commands."""

from __future__ import annotations

import click


class Commands(click.Group):
    """A group that, called without a command, lists them on standard error and ends with exit code 2.

    Versions of click differ here: older ones call it done.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what was typed for this group."""
        if not args and not ctx.resilient_parsing:
            # Imported here: it loads a renderer.
            from usagetrace.cli.output import say

            say(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its whole first sentence: click would cut it to one line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        # However long a help text is, its first sentence ends within so many characters.
        rows = [(name, command.get_short_help_str(limit=500)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

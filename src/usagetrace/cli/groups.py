"""Groups of commands."""

from __future__ import annotations

import click

from usagetrace.cli.output import say


class Commands(click.Group):
    """A group that, called without a command, lists them on standard error and ends with exit code 2.

    Versions of click differ here: older ones call it done.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what was typed for this group."""
        if not args and not ctx.resilient_parsing:
            say(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)

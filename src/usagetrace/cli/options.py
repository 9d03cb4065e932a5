"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from usagetrace.reports import Window, WindowError, parse_window

F = TypeVar("F", bound=Callable[..., Any])

_MOMENT = "2026-11-01, 2026-11-01T09:30 (UTC), 24h, 7d, or all"


def format_option(*formats: str) -> Callable[[F], F]:
    """Return a decorator that adds ``--format``; the first of the formats is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print it. JSON and CSV go to standard output alone.",
    )


def window_options(function: F) -> F:
    """Add ``--since`` and ``--until``."""
    since = click.option("--since", metavar="WHEN", default="all", show_default=True, help=f"From when: {_MOMENT}.")
    until = click.option(
        "--until",
        metavar="WHEN",
        default="all",
        show_default=True,
        help="Until when; a date means the end of that day.",
    )
    return since(until(function))


def limit_option(default: int) -> Callable[[F], F]:
    """Return a decorator that adds ``--limit``."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=default, show_default=True, metavar="N", help="At most so many."
    )


def window_of(since: str, until: str, now_ms: int) -> Window:
    """Return the window that the two options name.

    Raises:
        click.UsageError: One of them names no time.
    """
    try:
        return parse_window(since, until, now_ms)
    except WindowError as error:
        raise click.UsageError(str(error)) from error

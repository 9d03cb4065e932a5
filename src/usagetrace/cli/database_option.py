"""The option that names a database, apart from the others: the program itself has it, and loads nothing more for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def database_option(help: str) -> Callable[[F], F]:  # noqa: A002 -- as click calls it
    """Return a decorator that adds ``--db``; an address of a server is refused, and not repeated.

    Args:
        help: What it means here.
    """
    kind = click.Path(path_type=Path, readable=False)
    return click.option("--db", "db_path", type=kind, metavar="FILE", help=help, callback=_no_address)


def _no_address(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    # A path has lost one of an address's two slashes. One letter and a colon are a drive.
    if value is not None and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]", str(value)):
        raise click.BadParameter("expected a file, found an address; databases of servers can't be read", ctx, param)
    return value

"""What every command knows of its surroundings: environment, directory, clock, and the global options.

The edges of the command line are here, as parameters; commands read neither ``os.environ`` nor the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Cli:
    """The surroundings of one run.

    Attributes:
        environ: The environment.
        cwd: Where the search for a project's settings file begins.
        now_ms: Returns the present, in milliseconds since 1970 UTC.
        arguments: What was typed after the program's name, for messages that say what to type instead.
        db: The global option ``--db``.
        service: The global option ``--service``.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cwd: Path = field(default_factory=Path.cwd)
    now_ms: Callable[[], int] = _now_ms
    arguments: tuple[str, ...] = ()
    db: Path | None = None
    service: str | None = None


# Gives a command the surroundings as its first argument.
pass_cli = click.make_pass_decorator(Cli)

"""How commands speak: results to standard output, messages to standard error, nothing unseen to a terminal.

Every text passes :func:`usagetrace.reports.visible` here, so that no command can forget it. Where standard output is
no terminal there is no colour, no frame and no cutting to a width.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from usagetrace.reports import visible
from usagetrace.reports.jsonshape import iso_time

# Width in characters where nobody looks through a window.
_ENDLESS = 100_000
# Findings that whoever sits at the terminal needs to read, and those that a name beside them makes.
_READABLE: Final = frozenset({"ip", "mac", "phone", "email", "person", "home", "path"})
_BY_NAME: Final = frozenset({"secret", "flag"})
# Longest text of one cell in characters; JSON and CSV have the whole.
_CELL = 60


def say(message: str, *, typed: bool = False) -> None:
    """Write a message to standard error, each of its lines without secrets and made safe to show.

    Args:
        message: What is said.
        typed: Whether it repeats what was typed: then whatever may be a password counts as one.
    """
    for line in without_secrets(message, typed=typed).split("\n"):
        print(visible(line), file=sys.stderr)


def without_secrets(message: str, *, typed: bool = False) -> str:
    """Return a message without secrets. Paths and addresses stay: it is for the terminal of whose they are.

    Args:
        message: Any text of ours.
        typed: Whether it repeats what was typed; else it may name settings such as ``password``, and what stands
            beside such a name is no secret.
    """
    # Imported here: most commands say nothing.
    from usagetrace.redaction.finder import mask

    spared = _READABLE if typed else _READABLE | _BY_NAME
    # A path that was typed as an address has lost one of two slashes.
    whole = re.sub(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9+.-]{1,20}):/(?=[^/\s]+@)", r"\1://", message)
    masked = mask(whole, form=lambda rule, found, marker: found if rule in spared else marker)
    return message if masked == whole else masked


def tell(message: str) -> None:
    """Write one line of a result to standard output, made safe to show."""
    print(visible(message))


def emit(text: str) -> None:
    """Write a whole document, such as JSON, to standard output as it is."""
    # Not by way of click, which writes UTF-8 where a stream was asked to be ASCII.
    sys.stdout.write(text)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading.
        right: Whether it is aligned on the right, as numbers are.
        limit: Longest text of a cell in characters.
        whole: Whether its cells are never broken into lines; numbers never are.
    """

    heading: str
    right: bool = False
    limit: int = _CELL
    whole: bool = False


class Page:
    """Collects headings, lines and tables, and writes them to standard output at the end.

    Args:
        environ: The environment; ``NO_COLOR``, ``TERM`` and ``COLUMNS`` are read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._terminal = sys.stdout.isatty()
        self._colour = self._terminal and not environ.get("NO_COLOR")
        self._console = Console(
            file=sys.stdout,
            force_terminal=self._terminal,
            color_system="auto" if self._colour else None,
            width=None if self._terminal else _ENDLESS,
            highlight=False,
            markup=False,
            emoji=False,
            _environ=environ,
        )
        self._parts: list[Text | Table] = []

    def heading(self, text: str) -> None:
        """Add a heading, with an empty line before it unless it is the first."""
        if self._parts:
            self._parts.append(Text(""))
        self._parts.append(Text(visible(text), style="bold"))

    def line(self, text: str = "") -> None:
        """Add a line."""
        self._parts.append(Text(visible(text)))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; cells are texts, numbers, or None for nothing."""
        table = Table(
            box=box.SIMPLE_HEAD if self._terminal else None,
            show_edge=False,
            pad_edge=False,
            collapse_padding=self._terminal,
            header_style="bold cyan",
        )
        for column in columns:
            table.add_column(
                Text(column.heading),
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=column.right or column.whole,
            )
        for row in rows:
            table.add_row(*(Text(visible(cell, c.limit)) for c, cell in zip(columns, row, strict=True)))
        self._parts.append(table)

    def write(self) -> None:
        """Write everything."""
        with self._console.capture() as captured:
            for part in self._parts:
                self._console.print(part, soft_wrap=isinstance(part, Text))
        lines = captured.get().splitlines()
        text = "\n".join(line if self._colour else line.rstrip() for line in lines)
        emit(f"{text}\n")


def show_time(ts_ms: int | None) -> str:
    """Return a moment for people, in UTC to the second; ``-`` where it is unknown."""
    text = iso_time(ts_ms or None)
    return "-" if text is None else text[:19].replace("T", " ")


def show_duration(duration_ms: float | None) -> str:
    """Return a duration for people; ``-`` where there is none."""
    if not isinstance(duration_ms, int | float):
        return "-"
    if duration_ms < 1:
        return f"{duration_ms * 1000:.0f} us"
    if duration_ms < 1000:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 120_000:
        return f"{duration_ms / 1000:.2f} s"
    return f"{duration_ms / 60_000:.1f} min"


def show_rate(rate: float | None) -> str:
    """Return a share from 0 to 1 in per cent; ``-`` where there is none."""
    return "-" if rate is None else f"{rate * 100:.1f} %"


def show_size(size: int) -> str:
    """Return a number of bytes for people."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"

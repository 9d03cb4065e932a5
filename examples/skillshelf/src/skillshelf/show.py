"""Text for terminals: printing that no artifact can misuse, questions, tables.

This module owns what is printed and how. It knows nothing of operations.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from skillshelf.shelf import unanswered

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def printable(text: object) -> str:
    """Return a text without control characters: a description could carry a terminal's escape sequences."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def say(text: object = "") -> None:
    """Print one text for people."""
    print(printable(text))


def fail(message: str, code: int = 1) -> int:
    """Print an error and return the exit code."""
    print(f"skillshelf: error: {printable(message)}", file=sys.stderr)
    return code


def as_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def record(item: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass as a dictionary for JSON."""
    return asdict(item)


def table(rows: Sequence[Sequence[object]], headings: Sequence[str]) -> None:
    """Print rows under headings, in columns as wide as their widest cell."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def asker(answer: bool | None) -> Callable[[str], bool]:
    """Return the function that asks a person to confirm something.

    Args:
        answer: The answer given on the command line; None to ask at the terminal, if there is one.
    """
    if answer is not None:
        return lambda question: _answered(question, answer)
    return _ask if sys.stdin.isatty() else unanswered


def _answered(question: str, answer: bool) -> bool:
    say(f"{question}\nProceed? {'yes' if answer else 'no'}")
    return answer


def _ask(question: str) -> bool:
    say(question)
    try:
        return input("Proceed? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False

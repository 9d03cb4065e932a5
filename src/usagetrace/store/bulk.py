"""Adds many rows with few statements.

This module owns how values become statements; it knows no table. A statement with many rows costs less than one a
row: measured on events, whose table has triggers, 10.7 instead of 15.4 microseconds a row.
"""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

# SQLite before 3.32 takes at most 999 values in a statement.
_MOST_VALUES: Final = 600


class Insert(NamedTuple):
    """A statement that adds rows.

    Attributes:
        head: The text before ``VALUES``, column names included.
        width: How many columns a row has.
        tail: The text after the values: what to do about a conflict.
    """

    head: str
    width: int
    tail: str = ""

    @property
    def most_rows(self) -> int:
        """How many rows one statement takes at most."""
        return _MOST_VALUES // self.width


@functools.lru_cache(maxsize=256)
def _text(insert: Insert, rows: int) -> str:
    row = f"({', '.join('?' * insert.width)})"
    return f"{insert.head} VALUES {', '.join([row] * rows)} {insert.tail}"


def add(connection: sqlite3.Connection, insert: Insert, rows: Iterable[Sequence[Any]]) -> None:
    """Run a statement for each row, many rows at a time.

    Raises:
        sqlite3.Error: The rows could not be added; earlier ones of the batch may have been. The caller rolls back.
    """
    most, full = insert.most_rows, _text(insert, insert.most_rows)
    source = iter(rows)
    while chunk := list(itertools.islice(source, most)):
        text = full if len(chunk) == most else _text(insert, len(chunk))
        connection.execute(text, list(itertools.chain.from_iterable(chunk)))

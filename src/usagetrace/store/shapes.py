"""Tells which table of the schema a stored row belongs to, from its shape alone.

A row on a page says nothing of its table: but the tables of this schema, and their indexes, differ in the number and
types of what they store. This module reads the shapes from a database of the present schema; it knows no files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from usagetrace.store.pages import Cell

# Python types of what a column of a declared type holds.
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "INTEGER": (int,),
    "REAL": (float, int),
    "TEXT": (str,),
    "BLOB": (bytes,),
    # A tool of version 1 may have written anything there.
    "DATETIME": (str, int, float),
}
# Tables whose rows are the schema's own, or SQLite's.
LEDGERS: Final = ("schema_migrations", "migrations")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of a table are stored.

    Attributes:
        table: Its name.
        columns: Its columns, in the order in which they are stored.
        kinds: The Python types that each may have.
        numbered: Whether rows have numbers; then they lie on pages of a table, else on those of an index.
        alias: Place of the column that is the row's number, which is stored as NULL; -1 where there is none.
        least: How many columns a row has at least: those added later may be missing.
    """

    table: str
    columns: tuple[str, ...]
    kinds: tuple[tuple[type, ...], ...]
    numbered: bool
    alias: int
    least: int

    def fits(self, cell: Cell) -> bool:
        """Return whether a row may be one of this table."""
        values = cell.values
        return (
            (cell.rowid is not None) == self.numbered
            and self.least <= len(values) <= len(self.columns)
            and all(map(isinstance, values, self.kinds))
        )

    def row(self, cell: Cell) -> tuple[Any, ...]:
        """Return a row's values with its number in its place."""
        if self.alias < 0:
            return cell.values
        return (*cell.values[: self.alias], cell.rowid, *cell.values[self.alias + 1 :])


def shapes(connection: sqlite3.Connection) -> list[Shape]:
    """Return the shapes of a database's tables, SQLite's own left out."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    ).fetchall()
    return [_shape(connection, row[0], "WITHOUT ROWID" not in row[1].upper()) for row in rows]


def _shape(connection: sqlite3.Connection, table: str, numbered: bool) -> Shape:
    columns = [tuple(row) for row in connection.execute("SELECT * FROM pragma_table_info(?) ORDER BY cid", (table,))]
    keys = [column for column in columns if column[5]]
    alias = -1
    if not numbered:
        # The key comes first there.
        keys.sort(key=lambda column: column[5])
        columns = [*keys, *(column for column in columns if not column[5])]
    elif len(keys) == 1 and keys[0][2].upper() == "INTEGER":
        alias = columns.index(keys[0])
    # A column that was added later is missing in rows from before; other tables were made anew for theirs.
    needed = [place for place, column in enumerate(columns) if (column[3] or column[5]) and column[4] is None]
    return Shape(
        table,
        tuple(column[1] for column in columns),
        tuple(_kinds(column, place == alias) for place, column in enumerate(columns)),
        numbered,
        alias,
        max(needed) + 1 if numbered else len(columns),
    )


def _kinds(column: Sequence[Any], alias: bool) -> tuple[type, ...]:
    if alias:
        return (type(None),)
    kinds = _KINDS[column[2].upper()]
    return kinds if column[3] else (*kinds, type(None))


def shape_of(known: Sequence[Shape], cell: Cell) -> Shape | None:
    """Return the shape that a row has; of two, the one with as many columns as the row. None where it has none."""
    fitting = [shape for shape in known if shape.fits(cell)]
    return min(fitting, key=lambda shape: len(shape.columns) - len(cell.values), default=None)

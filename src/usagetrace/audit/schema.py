"""Which table or index each page of a database belongs to, and what its columns are called.

Read from the pages alone. The columns' names come from a database in memory that has the same tables, all empty. This
module knows no rules of redaction.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from usagetrace.audit import records
from usagetrace.audit.image import Image, page_start
from usagetrace.audit.records import Widths

# Tables that SQLite makes by itself, and whose SQL it does not take from anybody.
_INTERNAL: Final = {
    "sqlite_schema": ("type", "name", "tbl_name", "rootpage", "sql"),
    "sqlite_sequence": ("name", "seq"),
    "sqlite_stat1": ("tbl", "idx", "stat"),
    "sqlite_stat4": ("tbl", "idx", "neq", "nlt", "ndlt", "sample"),
}
_FULL_TEXT: Final = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+(fts[345])\b", re.IGNORECASE | re.DOTALL)
_VIRTUAL_COLUMN: Final = 2
# Deeper than any tree of a sound database.
_DEEPEST: Final = 40
_MOST_TREES: Final = 60_000


@dataclass(frozen=True, slots=True)
class Tree:
    """A table or an index.

    Attributes:
        name: Its name.
        root: Its first page.
        columns: Names of its columns in the order in which they are stored; empty where they are not known.
        is_index: Whether it is an index.
        index_of: Name of the full-text index that it is a part of; empty where it is none.
        numbered: Whether its first column is the row's number.
    """

    name: str
    root: int
    columns: tuple[str, ...]
    is_index: bool
    index_of: str = ""
    numbered: bool = False

    @property
    def widths(self) -> Widths:
        """What its records look like."""
        return Widths((len(self.columns),) if self.columns else (), self.numbered, self.is_index)

    def column(self, number: int) -> str:
        """Return a column's name; empty where it is not known."""
        return self.columns[number] if number < len(self.columns) else ""


@dataclass(frozen=True, slots=True)
class FullText:
    """A full-text index: its name, its module (``fts3``, ``fts4``, ``fts5``), and the SQL that made it."""

    name: str
    module: str
    sql: str


class Schema:
    """What a database consists of.

    Args:
        image: Its pages.
    """

    def __init__(self, image: Image) -> None:
        self.trees: list[Tree] = [Tree("sqlite_schema", 1, _INTERNAL["sqlite_schema"], False)]
        self.full_text: list[FullText] = []
        self._owner = array("H", bytes(2 * (image.count + 1)))
        if not image.is_sound:
            return
        rows = list(_schema_rows(image))
        for kind, name, _, sql in rows:
            match = _FULL_TEXT.match(sql) if kind == "table" else None
            if match is not None:
                self.full_text.append(FullText(name, match[1].lower(), sql))
        self.trees += _trees(image, rows, self.full_text)
        del self.trees[_MOST_TREES:]
        for number, tree in enumerate(self.trees, 1):
            _claim(image, tree.root, number, self._owner)

    def owner(self, page: int) -> Tree | None:
        """Return what a page belongs to; None where nothing leads to it."""
        number = self._owner[page] if 0 < page < len(self._owner) else 0
        return self.trees[number - 1] if number else None

    def tree(self, name: str) -> Tree | None:
        """Return a table by its name."""
        return next((tree for tree in self.trees if tree.name == name and not tree.is_index), None)

    def guess(self, width: int, *, is_index: bool) -> Tree | None:
        """Return the only table, or index, whose rows have so many columns; None where there are several or none."""
        fits = [tree for tree in self.trees[1:] if len(tree.columns) == width and tree.is_index == is_index]
        return fits[0] if len(fits) == 1 else None


def _schema_rows(image: Image) -> Iterator[tuple[str, str, int, str]]:
    def rest(first: int, missing: int) -> bytes:
        return chain(image, first, missing)

    for page in leaves(image, 1):
        data = image.read(page)
        for item in records.live(data, page_start(data, page), image.usable, rest):
            if isinstance(item, int):
                continue
            held = {value.column: value.raw for value in item.values}
            texts = [held.get(at, b"").decode(image.encoding, "replace") for at in (0, 1, 4)]
            yield texts[0], texts[1], int.from_bytes(held.get(3, b""), "big"), texts[2]


def chain(image: Image, first: int, missing: int, used: bytearray | None = None, *, plain: bool = False) -> bytes:
    """Return what of a record lies on further pages: fewer bytes where they are not there any more.

    Args:
        image: The pages.
        first: The first of them.
        missing: How many bytes there should be.
        used: Takes a mark for each page.
        plain: Read the file alone, whatever its log says.
    """
    parts = []
    read = image.read_file if plain else image.read
    seen = set()
    while missing > 0 and 1 < first <= image.count and first not in seen:
        seen.add(first)
        data = read(first)
        part = data[4 : 4 + min(missing, image.usable - 4)]
        if used is not None and first < len(used):
            used[first] = 1
        parts.append(part)
        missing -= len(part)
        first = int.from_bytes(data[:4], "big")
    return b"".join(parts)


def _trees(image: Image, rows: Sequence[tuple[str, str, int, str]], full_text: Sequence[FullText]) -> list[Tree]:
    found = []
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        for _, name, _, sql in sorted(rows, key=lambda row: row[0] != "table"):
            if sql and _FULL_TEXT.match(sql) is None and not name.startswith("sqlite_"):
                # What can't be made here, such as a table of a module that is not there, stays without names.
                with contextlib.suppress(sqlite3.Error, sqlite3.Warning, ValueError):
                    memory.execute(sql)
        for kind, name, root, _ in rows:
            if kind not in ("table", "index") or not 0 < root <= image.count:
                continue
            is_index = kind == "index"
            columns = _INTERNAL.get(name) or _columns(memory, name, is_index, image.read(root)[:1])
            part_of = next((each.name for each in full_text if name in _parts(each)), "")
            found.append(Tree(name, root, columns, is_index, part_of, not is_index and _is_numbered(memory, name)))
    return found


def _parts(index: FullText) -> tuple[str, ...]:
    ends = ("_data", "_idx", "_docsize") if index.module == "fts5" else ("_segments", "_segdir", "_docsize", "_stat")
    return tuple(index.name + end for end in ends)


def _columns(memory: sqlite3.Connection, name: str, is_index: bool, kind: bytes) -> tuple[str, ...]:
    try:
        if is_index:
            return _index_columns(memory, name)
        if kind in (b"\x0a", b"\x02"):
            # WITHOUT ROWID: the table is the index of its primary key.
            keys = memory.execute("SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'", (name,)).fetchone()
            return _index_columns(memory, keys[0]) if keys else ()
        query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> ? ORDER BY cid"
        return tuple(row[0] for row in memory.execute(query, (name, _VIRTUAL_COLUMN)))
    except sqlite3.Error:
        return ()


def _is_numbered(memory: sqlite3.Connection, name: str) -> bool:
    query = "SELECT COUNT(*), SUM(cid = 0 AND upper(type) = 'INTEGER') FROM pragma_table_info(?) WHERE pk"
    with contextlib.suppress(sqlite3.Error):
        keys, first = memory.execute(query, (name,)).fetchone()
        return keys == 1 and bool(first)
    return False


def _index_columns(memory: sqlite3.Connection, name: str) -> tuple[str, ...]:
    query = "SELECT name FROM pragma_index_xinfo(?) ORDER BY seqno"
    return tuple(row[0] or "" for row in memory.execute(query, (name,)))


# --- trees of pages ----------------------------------------------------------------------------------------


def _children(data: bytes, start: int) -> list[int]:
    if not records.is_tree_page(data, start) or data[start] not in (records.TABLE_INTERIOR, records.INDEX_INTERIOR):
        return []
    found = [int.from_bytes(data[at : at + 4], "big") for at in records.pointers(data, start)]
    return [*found, int.from_bytes(data[start + 8 : start + 12], "big")]


def _levels(image: Image, root: int) -> int:
    """Return how many levels lead to the pages with the rows."""
    page, levels = root, 0
    while levels < _DEEPEST:
        data = image.read(page)
        below = _children(data, page_start(data, page))
        if not below or not 0 < below[0] <= image.count:
            break
        page, levels = below[0], levels + 1
    return levels


def _claim(image: Image, root: int, number: int, owner: array[int]) -> None:
    """Mark the pages of a tree; those at its ends are not read."""
    if not 0 < root < len(owner):
        return
    owner[root] = owner[root] or number
    level = [root]
    for _ in range(_levels(image, root)):
        following = []
        for page in level:
            data = image.read(page)
            for child in _children(data, page_start(data, page)):
                if 0 < child < len(owner) and not owner[child]:
                    owner[child] = number
                    following.append(child)
        level = following


def leaves(image: Image, root: int) -> Iterator[int]:
    """Yield the pages of a table that hold its rows, in the order of their numbers."""
    seen = {root}
    stack = [root]
    while stack:
        page = stack.pop()
        data = image.read(page)
        below = [child for child in _children(data, page_start(data, page)) if 0 < child <= image.count]
        fresh = [child for child in below if child not in seen]
        if not below:
            if len(data) > page_start(data, page):
                yield page
            continue
        seen.update(fresh)
        stack.extend(reversed(fresh))

"""Looks at every page of a database, its write-ahead log and its rollback journal.

Rows that are there are judged column by column. So are removed ones that can still be made out: in freed blocks, on
free pages, in old versions of pages. What is left are stretches of bytes, judged as such.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace.audit import fulltext, records
from usagetrace.audit.attributes import OF_SEVERAL, key_of
from usagetrace.audit.image import Image, journal_pages, page_start
from usagetrace.audit.judge import NOTHING, Judge, Rules
from usagetrace.audit.model import Tally
from usagetrace.audit.removed import removed
from usagetrace.audit.schema import FullText, Schema, Tree, chain
from usagetrace.audit.spoolfiles import look_at_bytes

_SQL: Final = "sql"
# The column that says what the value of a row is, where several things stand in one table.
_KIND: Final = 2
# Bytes at the beginning of a page that are its head.
_HEAD: Final = 512


class Database:
    """Looks at one database.

    Args:
        path: Its file.
        name: How findings call it.
        judge: Says what is found.
        tally: Takes what was found.

    Raises:
        OSError: It can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], name: str, judge: Judge, tally: Tally) -> None:
        self._path = Path(path)
        self._name = name
        self._judge = judge
        self._tally = tally
        self._image = Image(path)
        self._schema = Schema(self._image)
        # Pages that rows of the file itself go on on.
        self._used = bytearray(self._image.file_count + 2)

    def look(self) -> None:
        """Look at everything, the log first: what is moved from it into the file meanwhile is met there again."""
        with self._image as image:
            self._log(f"{self._name}-wal")
            journal = Path(f"{self._path}-journal")
            if journal.is_file():
                self._journal(journal, f"{self._name}-journal")
            self._check_length()
            last = self._last_page()
            loose = [number for number in range(1, last + 1) if not self._file_page(number)]
            if last * image.size < image.length:
                look_at_bytes(self._path, self._name, self._judge, self._tally, "file", last * image.size)
            for number in loose:
                if not self._used[number]:
                    self._loose(image.read_file(number), self._name, f"page {number}", "removed")
            for index in self._schema.full_text:
                self._full_text(index)

    def close(self) -> None:
        """Close the file without a look."""
        self._image.close()

    @property
    def has_pages(self) -> bool:
        """Whether this is a database, or was one before its first page was damaged."""
        image = self._image
        return image.is_sound or any(map(self._has_rows, range(1, image.file_count + 1)))

    def _has_rows(self, number: int) -> bool:
        data = self._image.read_file(number)
        if not records.is_tree_page(data, 0) or data[0] == records.TABLE_INTERIOR:
            return False
        items = list(records.live(data, 0, self._image.usable, lambda _first, _missing: b""))
        sound = sum(not isinstance(item, int) for item in items)
        return sound > 0 and 2 * sound > len(items)

    def _last_page(self) -> int:
        """Return the last page of the file that is a whole one and the database's own."""
        image = self._image
        whole = image.length // image.size
        return min(image.said_count, whole) if image.said_count else whole

    def _check_length(self) -> None:
        image = self._image
        if image.length % image.size:
            self._tally.problems.append(f"{self._name}: ends inside a page: something is missing, or was added")
        elif image.said_count > image.count:
            self._tally.problems.append(f"{self._name}: shorter than its head says: pages are missing")
        if not image.is_sound:
            # Its head may be anything.
            found = self._judge.raw(image.read_file(1)[:_HEAD])
            if found:
                self._tally.add(self._name, "file", "", "", found, "byte 0")

    def _log(self, name: str) -> None:
        def rest(first: int, missing: int) -> bytes:
            return chain(self._image, first, missing)

        for frame, number, data in self._image.frames():
            at = f"frame {frame}, page {number}"
            self._page(data, number, name, at, "log", rest)

    def _journal(self, path: Path, name: str) -> None:
        def rest(first: int, missing: int) -> bytes:
            return chain(self._image, first, missing, plain=True)

        with path.open("rb") as file:
            for number, data in journal_pages(file, self._image.size):
                self._page(data, number, name, f"page {number}", "journal", rest)

    def _file_page(self, number: int) -> bool:
        """Look at a page of the file; return False, and do nothing, where it holds no rows."""

        def rest(first: int, missing: int) -> bytes:
            return chain(self._image, first, missing, self._used, plain=True)

        data = self._image.read_file(number)
        if not records.is_tree_page(data, page_start(data, number)):
            return False
        self._rows(data, number, self._name, f"page {number}", "", rest)
        return True

    def _page(self, data: bytes, number: int, name: str, at: str, area: str, rest: records.Rest) -> None:
        if records.is_tree_page(data, page_start(data, number)):
            self._rows(data, number, name, at, area, rest)
        else:
            self._loose(data, name, at, area)

    def _rows(self, data: bytes, number: int, name: str, at: str, area: str, rest: records.Rest) -> None:
        """Look at a page with rows, those that were removed from it too."""
        start = page_start(data, number)
        owner = self._schema.owner(number)
        covered = []
        for item in records.live(data, start, self._image.usable, rest):
            if not isinstance(item, int):
                covered.append((item.start, item.end))
                self._record(item, self._tree(item, data[start], owner), name, at, area or _area(owner))
        blocks = records.free_blocks(data, start)
        for low, high in _between(data, start, covered, blocks):
            self._removed(data, low, high, low in blocks, owner, name, at, area or "removed", rest)

    def _tree(self, record: records.Record, kind: int, owner: Tree | None) -> Tree | None:
        """Return what a record belongs to: the page may have belonged to something else before."""
        if owner is not None and (not owner.columns or record.width <= len(owner.columns)):
            return owner
        return self._schema.guess(record.width, is_index=kind != records.TABLE_LEAF)

    def _record(
        self, record: records.Record, tree: Tree | None, name: str, at: str, area: str, *, sure: bool = True
    ) -> None:
        judge, encoding = self._judge, self._image.encoding
        columns = tree.columns if tree is not None else ()
        width = len(columns)
        table = tree.name if tree is not None else ""
        kind = b""
        for number, raw, form in record.values:
            column = columns[number] if number < width else ""
            kind = raw if number == _KIND else kind
            if table in OF_SEVERAL:
                column = key_of(table, column, kind)
            found: Rules
            if form == "t":
                if column == _SQL and tree is not None and tree.name == "sqlite_schema":
                    found = judge.sql(raw, encoding)
                else:
                    found = judge.text(column, raw, encoding)
            elif form == "b":
                # The bytes of a full-text index are read as what they are, later.
                found = {} if tree is not None and tree.index_of else judge.blob(column, raw)
            else:
                found = NOTHING if judge.passes_number(column) else judge.value(column, 1)
            if found and not sure:
                found = judge.raw(raw)
            if found:
                row = f"row {record.rowid}, {at}" if record.rowid is not None else at
                self._tally.add(name, area, table, column, found, row)

    def _removed(
        self, data: bytes, low: int, high: int, block: bool, owner: Tree | None, name: str, at: str, area: str,
        rest: records.Rest,
    ) -> None:  # fmt: skip
        widths = records.Widths() if owner is None else owner.widths
        table = owner.name if owner is not None else ""
        for piece in removed(data, low, high, block=block, widths=widths, usable=self._image.usable, rest=rest):
            if isinstance(piece, records.Record):
                kind = records.INDEX_LEAF if owner is not None and owner.is_index else records.TABLE_LEAF
                # Only where its length and its head agree is it certain what its columns are.
                sure = piece.rowid is not None and owner is not None
                self._record(piece, self._tree(piece, kind, owner), name, at, area, sure=sure)
                continue
            found = self._judge.raw(data[piece[0] : piece[1]])
            if found:
                self._tally.add(name, area, table, "", found, at)

    def _loose(self, data: bytes, name: str, at: str, area: str) -> None:
        """Look at a page that nothing leads to: a free one, or what a long row left behind."""
        if not any(data):
            return

        def rest(first: int, missing: int) -> bytes:
            return chain(self._image, first, missing)

        # The number of the next page stands before the content of a long row.
        self._removed(data, 4, len(data), False, None, name, at, area, rest)

    def _full_text(self, index: FullText) -> None:
        try:
            for found in fulltext.look(self._image, self._schema, index, self._judge):
                self._tally.add(self._name, "full-text", index.name, found.column, found.rules, found.at)
        except fulltext.TooLargeError as error:
            self._tally.notes.append(f"{self._name}: the full-text index {self._judge.shown(index.name)}: {error}")


def _area(owner: Tree | None) -> str:
    if owner is None:
        return "removed"
    return "schema" if owner.root == 1 else "index" if owner.is_index else "row"


def _between(data: bytes, start: int, covered: list[tuple[int, int]], blocks: set[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a page between its records, cut where freed blocks begin."""
    interior = data[start] in (records.TABLE_INTERIOR, records.INDEX_INTERIOR)
    at = start + (12 if interior else 8) + 2 * int.from_bytes(data[start + 3 : start + 5], "big")
    for low, high in [*sorted(covered), (len(data), len(data))]:
        if low > at:
            cuts = [at, *sorted(block for block in blocks if at < block < low), low]
            for left, right in itertools.pairwise(cuts):
                # Fewer bytes hold nothing.
                if right - left > 4 and any(data[left:right]):
                    yield left, right
        at = max(at, high)

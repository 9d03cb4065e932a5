"""Reads CSV: one event a row, its fields named by the header or by a column map."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator
from typing import Any, Final

from usagetrace.errors import UsageTraceError
from usagetrace.importers.fields import ColumnMap, event_of
from usagetrace.importers.model import Found, ImportFileError, Skipped
from usagetrace.importers.source import LINE_LIMIT, UNREADABLE, FileReader
from usagetrace.importers.times import time_reader, zone_of

# Longest cell, in characters. The module's own limit is of the whole process, and smaller.
_CELL_LIMIT: Final = LINE_LIMIT


class CsvReader(FileReader):
    """Reads a CSV file, packed or not.

    Args:
        path: The file; its first row names the columns.
        columns: Which column is which field; by default those of the fields' own names.
        delimiter: What stands between two cells: one character.
        encoding: Of the file, as Python names it; a byte order mark is passed over.
        timezone: Of times that say none; see :func:`usagetrace.importers.times.zone_of`.
        time_format: Of times; see :func:`usagetrace.importers.times.time_reader`.
        lenient: Skip rows with a fault of their own.

    Raises:
        UsageTraceError: One of the options can't be used.
    """

    name = "csv"

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: ColumnMap | None = None,
        *,
        delimiter: str = ",",
        encoding: str = "utf-8",
        timezone: str = "local",
        time_format: str = "auto",
        lenient: bool = False,
    ) -> None:
        super().__init__(path, lenient=lenient)
        self._columns = columns or ColumnMap()
        if len(delimiter) != 1 or delimiter in '"\r\n\0':
            raise UsageTraceError(f"the delimiter is one character, and no quote or line break: not {delimiter!r}")
        self._delimiter = delimiter
        try:
            name = codecs.lookup(encoding).name
            # Not all that the registry has makes texts: `hex` does not.
            io.TextIOWrapper(io.BytesIO(), name).close()
        except (LookupError, ValueError) as error:
            raise UsageTraceError(f"no encoding {encoding!r} is known here") from error
        self._encoding = "utf-8-sig" if name == "utf-8" else name
        self._times = time_reader(time_format, zone_of(timezone))

    def read(self) -> Iterator[Found | Skipped]:
        """Yield an event for each row that is not empty.

        Raises:
            ImportFileError: The file, its header or its quoting has a fault; or a row has, and is not to be skipped.
        """
        with self.opened() as file, io.TextIOWrapper(file, self._encoding, newline="") as text:
            rows = csv.reader(self._texts(text), delimiter=self._delimiter, strict=True)
            header = self._header(rows)
            while True:
                first = rows.line_num + 1
                row = self._next(rows)
                if row is None:
                    return
                if not any(row):
                    continue
                yield self._event(header, row, _place(first, rows.line_num))

    def _event(self, header: list[str], row: list[str], place: str) -> Found | Skipped:
        if len(row) != len(header):
            return self.fault(place, f"expected {len(header)} cells, as the header has, found {len(row)}")
        record = dict(zip(header, row, strict=True))
        try:
            event = event_of(record, self._columns, self._times)
        except ValueError as error:
            return self.fault(place, str(error))
        return Found(event, self.identity(record), place)

    def _header(self, rows: Any) -> list[str]:
        header = next((row for row in iter(lambda: self._next(rows), None) if any(row)), None)
        place = f"{self.path.name}, line 1"
        if header is None:
            raise ImportFileError(place, "expected a header with the names of the columns, found nothing")
        header = [name.strip() for name in header]
        # Sheets end in columns that nobody named.
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise ImportFileError(place, f"the header names a column twice: {', '.join(map(repr, twice[:20]))}")
        fault = self._columns.header_fault(header)
        if fault:
            raise ImportFileError(place, fault)
        unused = self._columns.unused(header)
        self.notes = (
            [f"columns that no field is taken from: {', '.join(name or '(no name)' for name in unused)}"]
            if unused
            else []
        )
        return header

    def _next(self, rows: Any) -> list[str] | None:
        """Return the next row; None at the end."""
        number = rows.line_num + 1
        limit = csv.field_size_limit(_CELL_LIMIT)
        try:
            row: list[str] | None = next(rows, None)
            return row
        except csv.Error as error:
            raise ImportFileError(
                f"{self.path.name}, {_place(number, rows.line_num)}",
                f"not valid CSV: {error}",
            ) from error
        finally:
            csv.field_size_limit(limit)

    def _texts(self, text: io.TextIOWrapper) -> Iterator[str]:
        """Yield the lines of a text."""
        number = 0
        while True:
            number += 1
            place = f"line {number}"
            try:
                line = text.readline(LINE_LIMIT + 1)
            except UNREADABLE as error:
                raise self.unreadable(error, place) from error
            except UnicodeError as error:
                raise ImportFileError(
                    f"{self.path.name}, {place} or after it",
                    f"not in the encoding {self._encoding.removesuffix('-sig')}",
                ) from error
            if not line:
                return
            if len(line) > LINE_LIMIT:
                raise ImportFileError(f"{self.path.name}, {place}", f"longer than {LINE_LIMIT} characters")
            # Python 3.10 refuses NUL, later ones take it.
            yield line.replace("\0", "\u2400")


def _place(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first} to {last}"

"""Reads an analytics database of another tool, in the version 1 schema or a later one of ours.

The columns of version 1 say what a row is; later ones are read where they are there, so that a database that was
migrated meanwhile holds the same records. What the summary counts beyond the events that are left is carried as well.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from usagetrace.importers.fields import ColumnMap, event_of
from usagetrace.importers.model import Carried, Found, ImportFileError, Skipped
from usagetrace.importers.source import FileReader
from usagetrace.importers.sqlite_file import looking
from usagetrace.importers.times import TimeReader, time_reader, zone_of
from usagetrace.store.schema import V1_COLUMNS, V2_COLUMNS

_HEADER: Final = b"SQLite format 3\0"
_KINDS: Final = ("deploy", "update", "sync", "remove", "search")
_EVENT: Final = V1_COLUMNS["events"]
_SUMMARY: Final = V1_COLUMNS["usage_summary"]
# Most uses of one artifact and type that a summary may count: more is a fault, and not a number.
_COUNT_LIMIT: Final = 10**12
# Steps of SQLite's machine, some milliseconds of them, between two moments at which Ctrl-C is heard.
_STEPS: Final = 100_000
# Each field in the column of its own name.
_COLUMNS: Final = ColumnMap()


class V1Reader(FileReader):
    """Reads ``events`` and ``usage_summary`` of a database, and never writes to it.

    Args:
        path: The database.
        timezone: Of its times: that schema's are in UTC, but a tool may have written others.
        lenient: Skip rows with a fault.

    Raises:
        UsageTraceError: There is no such time zone.
    """

    name = "v1"

    def __init__(self, path: str | os.PathLike[str], *, timezone: str = "utc", lenient: bool = False) -> None:
        super().__init__(path, lenient=lenient)
        self._times = time_reader("iso", zone_of(timezone))
        self._done = 0

    @property
    def done(self) -> int:
        """Bytes of the file that the present pass has read, as far as the share of rows tells."""
        return self._done

    def check(self) -> None:
        """Look at the whole database: its pages, its tables, every row.

        Raises:
            ImportFileError: It is damaged, or none of version 1, or a row has a fault.
        """
        with self._open() as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise ImportFileError(
                    str(self.path), "the database is damaged: recover it first, with `sqlite3 .recover`"
                )
        super().check()
        beyond = sum(each.total for each in self.carried())
        self.notes = []
        if beyond:
            self.notes.append(f"its summary counts {beyond} uses beyond the events that are left")

    def read(self) -> Iterator[Found | Skipped]:
        """Yield an event for each row, in the order of their ids.

        Raises:
            ImportFileError: The database can't be read; or a row has a fault, and is not to be skipped.
        """
        with self._open() as connection:
            there = _columns(connection, "events")
            names = [*_EVENT, *(name for name in V2_COLUMNS["events"] if name in there)]
            # Other tools' ids may be anything: texts come after all numbers.
            last = connection.execute("SELECT MAX(id) FROM events WHERE typeof(id) = 'integer'").fetchone()[0] or 1
            size = self.size or 0
            rows = connection.execute(f"SELECT {', '.join(names)} FROM events ORDER BY id")  # noqa: S608 -- names of the schema
            for row in _rows(rows, self.path):
                self._done = size * row[0] // last if type(row[0]) is int and row[0] > 0 else 0
                yield self._event(names, row)

    def _event(self, names: Sequence[str], row: Sequence[Any]) -> Found | Skipped:
        place = f"table events, row {row[0]}"
        record = {name: _text(value) for name, value in zip(names, row, strict=True)}
        # The text of the time is the older column; milliseconds are finer, and are unknown where they are 0.
        moment = record.pop("ts_ms", None) or None
        if not record["timestamp"] and not moment:
            return Skipped(place, "has no time")
        try:
            event = event_of(record, _COLUMNS, self._times)
            if isinstance(moment, int) and moment // 1000 == event.ts_ms // 1000:
                event = event._replace(ts_ms=moment)
        except ValueError as error:
            return self.fault(place, str(error))
        return Found(event, self.identity([record[name] for name in _EVENT]), place)

    def carried(self) -> Iterator[Carried]:
        """Yield what the summary counts of each artifact beyond the events that are left.

        Raises:
            ImportFileError: The database can't be read.
        """
        with self._open() as connection:
            own = "error_count" in _columns(connection, "usage_summary")
            left: dict[tuple[Any, ...], list[int]] = {}
            sums = ", ".join(f"SUM(event_type = '{kind}')" for kind in _KINDS)
            counted = f"SELECT artifact_name, artifact_type, {sums}, COUNT(*) FROM events GROUP BY 1, 2"  # noqa: S608 -- constants
            for name, kind, *counts in _rows(connection.execute(counted), self.path):
                # In version 1 artifacts of one name share a row.
                here = left.setdefault((name, kind) if own else (name,), [0] * 6)
                here[:] = [before + now for before, now in zip(here, counts, strict=True)]
            summary = connection.execute(f"SELECT {', '.join(_SUMMARY)} FROM usage_summary ORDER BY 1, 2")  # noqa: S608 -- names of the schema
            for row, (name, kind, first, last, *counts) in enumerate(_rows(summary, self.path), 1):
                gone = left.get((name, kind) if own else (name,), [0] * 6)
                beyond = [
                    max((each if type(each) is int else 0) - here, 0) for each, here in zip(counts, gone, strict=True)
                ]
                if any(beyond) and name is not None:
                    if max(beyond) > _COUNT_LIMIT:
                        # One such count, and sums over all artifacts would overflow in every report.
                        self.fault(f"table usage_summary, row {row}", f"expected counts up to {_COUNT_LIMIT}")
                        continue
                    times = (_moment(first, self._times), _moment(last, self._times))
                    yield Carried(
                        str(_text(name)),
                        str(_text(kind) or ""),
                        tuple(beyond[:5]),
                        max(beyond[5], sum(beyond[:5])),
                        *times,
                    )

    def _open(self) -> _Opened:
        return _Opened(self.path)


class _Opened:
    """A database of version 1 that is open for reading; what SQLite says of it becomes :class:`ImportFileError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise ImportFileError(str(self._path), "there is no such file, or it is none")
        with open(self._path, "rb") as file:
            if file.read(16) != _HEADER:
                raise ImportFileError(str(self._path), "not an SQLite database")
        self._context = looking(self._path)
        try:
            connection = self._context.__enter__()
        except sqlite3.Error as error:
            raise _named(self._path, error) from error
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        # A look at a database of gigabytes is one call of SQLite's, in which Python hears no signal.
        connection.set_progress_handler(lambda: 0, _STEPS)
        try:
            fault = _table_fault(connection)
        except sqlite3.Error as error:
            fault = _told(error)
        if fault:
            self.__exit__(None, None, None)
            raise ImportFileError(str(self._path), fault)
        return connection

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self._context.__exit__(kind, error, traceback)
        except sqlite3.Error as failure:
            raise _named(self._path, failure) from failure
        if isinstance(error, sqlite3.Error):
            raise _named(self._path, error) from error


def _table_fault(connection: sqlite3.Connection) -> str:
    """Return why a database is none of version 1; empty where it is one."""
    for table in ("events", "usage_summary"):
        there = _columns(connection, table)
        missing = [name for name in V1_COLUMNS[table] if name not in there]
        if missing:
            what = f"lacks {', '.join(missing)}" if there else "is missing"
            return f"no analytics database of version 1: the table {table} {what}"
    return ""


def _rows(cursor: sqlite3.Cursor, path: Path) -> Iterator[Sequence[Any]]:
    """Yield rows; tell behind which one the database can't be read."""
    number = 0
    try:
        for row in cursor:
            number += 1
            yield row
    except sqlite3.Error as error:
        raise ImportFileError(f"{path}, after {number} rows", _told(error)) from error


def _named(path: Path, error: sqlite3.Error) -> ImportFileError:
    return ImportFileError(str(path), _told(error))


def _told(error: sqlite3.Error) -> str:
    if str(error) == "interrupted":
        # By nobody else: the handler above was running when the signal came, and SQLite tells no more than this.
        raise KeyboardInterrupt from error
    damaged = "malformed" in str(error) or "not a database" in str(error) or "schema" in str(error)
    return f"{error}: recover it first, with `sqlite3 .recover`" if damaged else str(error)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _moment(value: Any, times: TimeReader) -> int | None:
    try:
        return times(value)
    except (ValueError, OverflowError):
        return None

"""Old events as Parquet files, written before retention removes them.

This module owns the files: their names, their columns, and that a file is whole and on the disk before its events go.
It removes nothing from the store. It needs pyarrow, which the extra ``archive`` brings.
"""
# ruff: noqa: S608 -- names that are put into a statement are quoted columns of the table

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import timestamp_text
from usagetrace.guard import guard
from usagetrace.spool.locks import LockedFile
from usagetrace.store.beside import sync_folder
from usagetrace.store.connection import MEMORY, atomic
from usagetrace.store.pacing import Opener
from usagetrace.store.schema_rollups import DAY_MS

# A row group, which is what is in memory at a time: about so many rows and bytes at most.
_GROUP_ROWS: Final = 5_000
_GROUP_BYTES: Final = 8 * 1024 * 1024
_LAST_ID: Final = 2**63 - 1
_BEGINNING_MS: Final = -(2**63)
_IDENTITY: Final = "archive_id"
# Declared type of a column -> what its values are in the file, and the storage classes that fit. Others are text.
_NUMBERS: Final = {
    "INTEGER": ("int64", ("integer", "null")),
    "REAL": ("double", ("real", "integer", "null")),
}


def require_pyarrow() -> None:
    """Raise where events can't be archived.

    Raises:
        StoreError: pyarrow is not installed; the message names the extra that brings it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise StoreError("archiving events needs pyarrow: pip install 'usagetrace[archive]'")


class Keys:
    """The ids and times of many events, at 16 bytes each."""

    def __init__(self) -> None:
        self._ids = array("q")
        # Exact for milliseconds of a hundred thousand years; another tool's time may be no whole number.
        self._times = array("d")

    def add(self, ids: Sequence[int], times: Sequence[float]) -> None:
        """Add events."""
        self._ids.extend(ids)
        self._times.extend(times)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, part: slice) -> list[tuple[int, float]]:
        return list(zip(self._ids[part], self._times[part], strict=True))


class Archive:
    """A folder that takes the events of a store before they are removed: a file a UTC day and run.

    A file has a row for each event, with the columns of the table; ``metadata`` is JSON text. It appears under its
    name, ``STORE-DAY-FIRSTID-LASTID.parquet``, when it is whole and on the disk, and is never replaced. Events that
    an earlier run archived and could not remove any more are found in its files, and not written again.

    Args:
        folder: Where files go; made if missing.
        using: Gives the store's connection, for one short look at a time.
        path: The store's file, for messages and for the lock that lets one process at a time archive it.

    Raises:
        StoreError: pyarrow is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], using: Opener, path: str) -> None:
        require_pyarrow()
        self.folder = Path(folder)
        self._using = using
        self._path = path

    def hand_over(self, before_ms: int, may_go_on: Callable[[], bool], remove: Callable[[Keys], bool]) -> bool:
        """Archive the events before a time, day by day, each followed by its removal.

        Args:
            before_ms: Milliseconds since 1970 UTC. Events whose time is unknown (0) are left out.
            may_go_on: Asked before each part; the work ends early where it says no.
            remove: Takes ids and times of events that are archived; returns whether all were removed.

        Returns:
            Whether all were archived and removed.

        Raises:
            StoreUnavailableError: The folder can't be written, or another process archives this store.
        """
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with self._alone():
                return self._days(before_ms, may_go_on, remove)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StoreUnavailableError(
                f"{self.folder}: {reason}: make it writable, or name another folder (archive-dir, --archive)"
            ) from error

    def _days(self, before_ms: int, may_go_on: Callable[[], bool], remove: Callable[[Keys], bool]) -> bool:
        store = self._identity()
        for old in self.folder.glob(f".{store}-*.partial"):
            # Its writer has died: this process holds the lock.
            old.unlink()
        at_ms = _BEGINNING_MS
        while True:
            first_ms = self._first(at_ms, before_ms)
            if first_ms is None:
                return True
            day = first_ms // DAY_MS
            at_ms = (day + 1) * DAY_MS
            written = self._day(store, day, min(at_ms, before_ms), may_go_on)
            if written is None or not remove(written):
                return False

    def _day(self, store: str, day: int, before_ms: int, may_go_on: Callable[[], bool]) -> Keys | None:
        # Imported here: a day without old events does not pay for it.
        import pyarrow as pa

        try:
            return _Day(self.folder, self._using, store, day, before_ms).write(may_go_on)
        except pa.ArrowException as error:
            raise StoreError(f"{self.folder}: an event could not be archived, and none was removed: {error}") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._path == MEMORY:
            yield
            return
        lock = LockedFile.take(f"{self._path}.archiving", make=True)
        if lock is None:
            raise StoreUnavailableError(f"{self._path}: another process is archiving its events; try again later")
        try:
            yield
        finally:
            lock.remove()

    def _identity(self) -> str:
        """Return the name that this store's files have: several stores may share a folder, and number alike."""
        query = "SELECT value FROM usagetrace_state WHERE key = ?"
        with self._using() as connection:
            row = connection.execute(query, (_IDENTITY,)).fetchone()
            if row is None:
                with atomic(connection, self._path):
                    connection.execute(
                        "INSERT OR IGNORE INTO usagetrace_state (key, value) VALUES (?, ?)",
                        (_IDENTITY, os.urandom(6).hex()),
                    )
                    row = connection.execute(query, (_IDENTITY,)).fetchone()
        return str(row[0])

    def _first(self, from_ms: int, before_ms: int) -> int | None:
        with self._using() as connection:
            row = connection.execute(
                "SELECT ts_ms FROM events WHERE ts_ms >= ? AND ts_ms < ? AND ts_ms <> 0 ORDER BY ts_ms LIMIT 1",
                (from_ms, before_ms),
            ).fetchone()
        return None if row is None else math.floor(row[0])


class _Day:
    """Writes the events of one day to a file."""

    def __init__(self, folder: Path, using: Opener, store: str, day: int, before_ms: int) -> None:
        self._folder = folder
        self._using = using
        # Years before 1000 are not padded on every platform.
        self._name = f"{store}-{timestamp_text(day * DAY_MS).rjust(19, '0')[:10]}"
        self._from_ms = day * DAY_MS
        self._before_ms = before_ms
        self._columns = self._read_columns()

    def _read_columns(self) -> dict[str, str]:
        """Return the table's columns with the type that each has in the file."""
        with self._using() as connection:
            declared = {
                row["name"]: row["type"].upper()
                for row in connection.execute("SELECT * FROM pragma_table_info('events')")
            }
            numbers = {name: _NUMBERS[kind] for name, kind in declared.items() if kind in _NUMBERS}
            # SQLite stores any value in any column. A number that is none must not stop or spoil the archive.
            tests = ", ".join(f"MAX(typeof({_quoted(name)}) NOT IN {kinds})" for name, (_, kinds) in numbers.items())
            odd = connection.execute(
                f"SELECT {tests} FROM events WHERE ts_ms >= ? AND ts_ms < ? AND ts_ms <> 0",
                (self._from_ms, self._before_ms),
            ).fetchone()
        fitting = {name: kind for (name, (kind, _)), is_odd in zip(numbers.items(), odd, strict=True) if not is_odd}
        return {name: fitting.get(name, "string") for name in declared}

    def write(self, may_go_on: Callable[[], bool]) -> Keys | None:
        """Write the events that no earlier file has.

        Returns:
            The keys of all the day's events, every one in a file now; None where the work was to end.
        """
        archived = self._archived()
        keys = Keys()
        with _File(self._folder, self._name, self._columns) as file:
            for ids, times, table in self._groups():
                if not may_go_on():
                    return None
                keys.add(ids, times)
                file.add(table if archived is None else table.filter(_not_in(table, archived)))
            file.finish()
        return keys

    def _groups(self) -> Iterator[tuple[list[int], list[int], Any]]:
        """Yield ids, times and table of a few thousand events at a time; the store is held for each alone."""
        at_ms, at_id = self._from_ms - 1, _LAST_ID
        while True:
            rows = self._rows(at_ms, at_id)
            if not rows:
                return
            columns = list(zip(*rows, strict=True))
            ids, times = list(columns[-2]), list(columns[-1])
            at_id, at_ms = ids[-1], times[-1]
            yield ids, times, _table(self._columns, columns[:-2])

    def _rows(self, at_ms: int, at_id: int) -> list[tuple[Any, ...]]:
        # A text may be no valid UTF-8 where another tool wrote it: its bytes can always be read.
        shown = ", ".join(
            f"CAST({_quoted(name)} AS BLOB)" if kind == "string" else _quoted(name)
            for name, kind in self._columns.items()
        )
        rows: list[tuple[Any, ...]] = []
        size = 0
        with self._using() as connection:
            cursor = connection.execute(
                f"SELECT {shown}, id, ts_ms FROM events WHERE (ts_ms, id) > (?, ?) AND ts_ms < ? AND ts_ms <> 0 "
                "ORDER BY ts_ms, id LIMIT ?",
                (at_ms, at_id, self._before_ms, _GROUP_ROWS),
            )
            for row in cursor:
                rows.append(tuple(row))
                size += sum(len(value) for value in row if isinstance(value, bytes))
                if size >= _GROUP_BYTES:
                    break
            cursor.close()
        return rows

    def _archived(self) -> Any:
        """Return what earlier files of the day have, as pyarrow's array of keys; None where there are none."""
        import pyarrow as pa
        from pyarrow import parquet

        found = []
        for path in sorted(self._folder.glob(f"{self._name}-*.parquet")):
            try:
                found.append(_keys(parquet.read_table(path, columns=["id", "ts_ms"], partitioning=None)))
            except (OSError, pa.ArrowException) as error:
                # Somebody damaged it. Its events are written again, beside it.
                guard.note(error)
        return pa.chunked_array([chunk for each in found for chunk in each.chunks], pa.string()) if found else None


class _File:
    """A file that appears when it is whole; one that nothing was added to does not.

    Args:
        folder: Where it goes.
        name: How its name begins.
        columns: Its columns, with their types.
    """

    def __init__(self, folder: Path, name: str, columns: dict[str, str]) -> None:
        self._folder = folder
        self._name = name
        self._partial = folder / f".{name}-{os.getpid()}.partial"
        self._columns = columns
        self._rows = 0
        self._least = self._most = 0
        self._open = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._open.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def add(self, table: Any) -> None:
        """Add a row group."""
        if not table.num_rows:
            return
        from pyarrow import compute, parquet

        if self._writer is None:
            fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
            self._stream = self._open.enter_context(os.fdopen(fd, "wb"))
            self._writer = self._open.enter_context(
                parquet.ParquetWriter(self._stream, _schema(self._columns), compression="zstd")
            )
        self._writer.write_table(table, row_group_size=table.num_rows)
        ends = compute.min_max(table["id"]).as_py()
        self._least = min(self._least, ends["min"]) if self._rows else ends["min"]
        self._most = max(self._most, ends["max"]) if self._rows else ends["max"]
        self._rows += table.num_rows

    def finish(self) -> None:
        """Bring the file to the disk, then give it its name.

        Raises:
            StoreError: What was read back is not what was written.
        """
        if self._writer is None:
            return
        from pyarrow import parquet

        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._open.close()
        found = parquet.read_metadata(self._partial).num_rows
        if found != self._rows:
            raise StoreError(f"{self._partial}: {found} rows, and {self._rows} were written: check the disk")
        os.rename(self._partial, self._free_name())
        sync_folder(os.fspath(self._folder))

    def _free_name(self) -> Path:
        stem = f"{self._name}-{self._least}-{self._most}"
        path, number = self._folder / f"{stem}.parquet", 2
        while path.exists():
            # Other events of the same span of ids.
            path, number = self._folder / f"{stem}-{number}.parquet", number + 1
        return path


def _schema(columns: dict[str, str]) -> Any:
    import pyarrow as pa

    return pa.schema([(name, getattr(pa, "float64" if kind == "double" else kind)()) for name, kind in columns.items()])


def _table(columns: dict[str, str], values: Sequence[Sequence[Any]]) -> Any:
    import pyarrow as pa

    schema = _schema(columns)
    arrays = [
        _texts(column) if kind == "string" else pa.array(column, field.type)
        for kind, field, column in zip(columns.values(), schema, values, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _texts(column: Sequence[bytes | None]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(column, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if text is None else text.decode(errors="replace") for text in column], pa.string())


def _keys(table: Any) -> Any:
    """Return id and time of each row as one text: an id alone may be used again after a copy was restored."""
    import pyarrow as pa
    from pyarrow import compute

    return compute.binary_join_element_wise(table["id"].cast(pa.string()), table["ts_ms"].cast(pa.string()), ":")


def _not_in(table: Any, archived: Any) -> Any:
    from pyarrow import compute

    return compute.invert(compute.is_in(_keys(table), value_set=archived))


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))

"""Fills a fresh database with what a damaged one still holds, and with what the spool still has of the rest.

Rows are read from the pages, see :mod:`usagetrace.store.pages`. Positions in the spool are not taken over for segments
that are still there: each of their events is looked for among the salvaged rows, and added where it is not found. So
it does not matter whether a position and its events were damaged, or are of two moments: afterwards each event of a
segment is there once, and the position is behind it.

Counts are those of the damaged database where they could be read, and raised to those of the events that are there
(see :mod:`usagetrace.store.rebuild`).
"""
# ruff: noqa: S608 -- every name that is put into a statement is one of this schema

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from usagetrace.errors import NewerSchemaError
from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.spool import read_segment, segments
from usagetrace.spool.layout import SPAN_ID, TRACE_ID
from usagetrace.store import starts, writer
from usagetrace.store.connection import MEMORY, atomic, open_connection
from usagetrace.store.known import unknown_ids
from usagetrace.store.pages import Cell, Pages
from usagetrace.store.schema import FINISHED, LATEST
from usagetrace.store.shapes import LEDGERS, Shape, shape_of, shapes

_BATCH: Final = 1000
# Pages whose rows are added in one transaction.
_PAGES: Final = 200
# Rows of a page that are looked at to tell its table.
_TRIES: Final = 4
# Numbers that are left out after the last one known: a reader that follows the numbers meets none twice.
_SKIPPED: Final = 10_000

Key = tuple[str | None, str | None]


class Salvage:
    """One salvage: what it found.

    Args:
        connection: A fresh database of the present schema, with no transaction open.
        path: The file, for messages.

    Attributes:
        unreadable: Places on pages where a row was, and can't be read.
        refilled: Events that came from the spool, as they were not among the salvaged ones.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._shapes = shapes(connection)
        self._newest_id = 0
        self.unreadable = 0
        self.refilled = 0
        connection.execute("CREATE TEMP TABLE known (id INTEGER PRIMARY KEY)")

    # --- the damaged file --------------------------------------------------------------------------------------

    def take_rows(self, damaged: str | os.PathLike[str]) -> None:
        """Add every row that the damaged file's pages hold.

        Raises:
            NewerSchemaError: A newer version of this package wrote it.
            OSError: The file can't be read.
        """
        # A file may hold pages of an earlier time, with events under other numbers: by their ids they are the same.
        self._connection.execute(
            "CREATE UNIQUE INDEX salvaged ON events (ts_ms, span_id, IFNULL(item, -1)) WHERE span_id IS NOT NULL"
        )
        with Pages(damaged) as pages:
            source = pages.pages()
            while chunk := list(itertools.islice(source, _PAGES)):
                with atomic(self._connection, self._path):
                    for cells in chunk:
                        self._take_page(cells)
        self._connection.execute("DROP INDEX salvaged")
        # The index of the summary's types has two texts a row as well.
        self._connection.execute(
            "DELETE FROM usagetrace_state WHERE (key, value) IN (SELECT artifact_type, artifact_name FROM events "
            "UNION SELECT artifact_type, artifact_name FROM usage_summary)"
        )
        # How far an endpoint is can't be believed, nor whose numbers were set aside: rather everything once more.
        self._connection.execute("UPDATE deliveries SET last_id = 0")
        self._connection.execute("DELETE FROM undelivered")
        self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
        newest = self._connection.execute("SELECT MAX(id) FROM (SELECT id FROM events UNION ALL SELECT id FROM known)")
        last = max(newest.fetchone()[0] or 0, self._newest_id)
        self._connection.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (last + _SKIPPED if last else 0,))

    def _take_page(self, cells: Iterator[Cell | None]) -> None:
        """Add the rows of one page; all are of one table or index."""
        shape: Shape | None = None
        rows: dict[int, list[tuple[Any, ...]]] = {}
        numbers: list[tuple[int]] = []
        tries = bad = 0
        for cell in cells:
            if cell is None:
                bad += 1
            elif shape is not None:
                if not shape.fits(cell):
                    bad += 1
                    continue
                rows.setdefault(len(cell.values), []).append(shape.row(cell))
            elif _is_time_entry(cell):
                numbers.append((cell.values[1],))
            elif numbers:
                bad += 1
            else:
                self._note_sequence(cell)
                shape = shape_of(self._shapes, cell)
                if shape is not None:
                    rows.setdefault(len(cell.values), []).append(shape.row(cell))
                    continue
                tries += 1
                if tries == _TRIES:
                    # An index, or no page of ours.
                    return
        if shape is None and not numbers:
            return
        self.unreadable += bad
        self._connection.executemany("INSERT OR IGNORE INTO temp.known VALUES (?)", numbers)
        for width, page in rows.items():
            self._add(shape, width, page)

    def _add(self, shape: Shape | None, width: int, rows: list[tuple[Any, ...]]) -> None:
        if shape is None:
            return
        if shape.table in LEDGERS:
            # The fresh one has its own.
            if shape.table == "schema_migrations" and max(row[0] for row in rows) > LATEST:
                raise NewerSchemaError(f"{self._path}: a newer version of usagetrace wrote it: upgrade usagetrace")
            return
        columns = ", ".join(shape.columns[:width])
        self._connection.executemany(
            f"INSERT OR IGNORE INTO {shape.table} ({columns}) VALUES ({', '.join('?' * width)})", rows
        )

    def _note_sequence(self, cell: Cell) -> None:
        """Note the last number that SQLite gave to an event."""
        if cell.rowid is not None and cell.values[:1] == ("events",) and len(cell.values) == 2:
            number = cell.values[1]
            self._newest_id = max(self._newest_id, number if isinstance(number, int) else 0)

    # --- the spool ---------------------------------------------------------------------------------------------

    def take_segments(self, folder: str, now_ms: int) -> None:
        """Add the events of a spool's segments that are not among the salvaged ones; then they count as drained.

        Args:
            folder: The spool; its drain lock is held.
            now_ms: The present, in milliseconds since 1970 UTC.
        """
        with contextlib.closing(open_connection(MEMORY, busy_timeout_ms=0)) as scratch:
            wanted: Counter[int] = Counter()
            ends: dict[str, int] = {}
            first, last = 1 << 63, -(1 << 63)
            for name, end, rows in _stored(scratch, folder, ends=None):
                ends[name] = end
                for row in rows:
                    wanted[hash(row)] += 1
                    first, last = min(first, row[_TS]), max(last, row[_TS])
            self._leave_out(wanted, first, last)
            # A segment that goes out of sight meanwhile is none of these.
            taken = set()
            for name, _, rows in _stored(scratch, folder, ends=ends):
                self._refill(wanted, rows)
                with contextlib.suppress(FileNotFoundError):
                    self._put_position(folder, name, ends[name], now_ms)
                    taken.add(name)
        self._read_again(taken)

    def _read_again(self, taken: Iterable[str]) -> None:
        """Have every other segment read from its beginning, should it come back in sight.

        Up to its position its events may have been on pages that are destroyed. The drain looks up which are there.
        """
        with atomic(self._connection, self._path):
            known = {row[0] for row in self._connection.execute("SELECT segment FROM spool_positions")}
            self._connection.executemany(
                "UPDATE spool_positions SET position = 0, sequence = 0 WHERE segment = ?",
                [(name,) for name in known.difference(taken, (FINISHED,))],
            )

    def _leave_out(self, wanted: Counter[int], first: int, last: int) -> None:
        """Take what was salvaged off what is wanted."""
        query = f"SELECT {_COLUMNS} FROM events WHERE ts_ms BETWEEN ? AND ?"
        for row in self._connection.execute(query, (first, last)) if wanted else ():
            key = hash(tuple(row))
            if key in wanted:
                wanted[key] -= 1

    def _refill(self, wanted: Counter[int], rows: Iterable[tuple[Any, ...]]) -> None:
        missing = []
        for row in rows:
            if wanted[hash(row)] > 0:
                wanted[hash(row)] -= 1
                missing.append(row)
        with atomic(self._connection, self._path):
            # One that was received from elsewhere too need not be the same in every column.
            keys = [(row[_TS], row[_SPAN], row[_ITEM]) for row in missing]
            missing = [
                missing[place] for place in unknown_ids(self._connection, keys, [row[_TRACE] for row in missing])
            ]
            self._connection.executemany(f"INSERT INTO events ({_COLUMNS}) VALUES ({_MARKS})", missing)
            starts.end(self._connection, (row[_TRACE] for row in missing), (row[_SPAN] for row in missing))
        self.refilled += len(missing)

    def _put_position(self, folder: str, name: str, end: int, now_ms: int) -> None:
        """Set the position behind what was read, and keep what began there and did not end there, as the drain does."""
        sequence = lost = damaged = 0
        begun: dict[Key, Event] = {}
        counted: list[Key] = []
        for record in read_segment(os.path.join(folder, name)):
            if record.position > end:
                break
            sequence = record.sequence
            lost += record.lost + record.gaps
            damaged += record.damaged
            if record.start is not None:
                begun[record.start.trace_id, record.start.span_id] = record.start
            for event in record.events:
                begun.pop((event.trace_id, event.span_id), None)
            # Whether they were counted can't be known: what is counted alone leaves no id. But they have ended.
            counted += [(row[TRACE_ID], row[SPAN_ID]) for row in record.sampled.rows] if record.sampled else ()
        for key in counted:
            begun.pop(key, None)
        with atomic(self._connection, self._path):
            starts.end(self._connection, [key[0] for key in counted], [key[1] for key in counted])
            # What ended in a later segment is told by its event.
            starts.keep(self._connection, name, begun.values())
            self._connection.execute(
                "INSERT OR REPLACE INTO spool_positions (segment, position, sequence, lost, damaged, updated_ms) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (name, end, sequence, lost, damaged, now_ms),
            )

    # --- what came of it ---------------------------------------------------------------------------------------

    def lost(self) -> int:
        """Return how many events the index of times names that are not there: those are known to be lost.

        Some may be among the refilled ones, under a new number.
        """
        row = self._connection.execute("SELECT COUNT(*) FROM temp.known WHERE id NOT IN (SELECT id FROM events)")
        return max(int(row.fetchone()[0]) - self.refilled, 0)

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        return {
            shape.table: int(self._connection.execute(f"SELECT COUNT(*) FROM {shape.table}").fetchone()[0])
            for shape in self._shapes
            if shape.table not in LEDGERS
        }


_NAMES: Final = (
    "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp", "metadata", "ts_ms",
    "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name", "trace_id", "span_id",
    "item",
)  # fmt: skip
_COLUMNS: Final = ", ".join(_NAMES)
_MARKS: Final = ", ".join("?" * len(_NAMES))
_TS, _TRACE, _SPAN, _ITEM = (_NAMES.index(name) for name in ("ts_ms", "trace_id", "span_id", "item"))


def _is_time_entry(cell: Cell) -> bool:
    """Return whether a row is one of the index of times: milliseconds, and the number of the event."""
    return cell.rowid is None and len(cell.values) == 2 and all(type(value) is int for value in cell.values)


def _stored(
    scratch: sqlite3.Connection, folder: str, ends: dict[str, int] | None
) -> Iterator[tuple[str, int, list[tuple[Any, ...]]]]:
    """Yield name, end and events of each segment, as the store would keep them; only up to the ends, where given."""
    for name in segments(folder) if ends is None else ends:
        at, rows, events = 0, [], list[Event]()
        try:
            for record in read_segment(os.path.join(folder, name)):
                if ends is not None and record.position > ends[name]:
                    break
                at = record.position
                events += record.events
                if len(events) >= _BATCH:
                    rows += _as_stored(scratch, events)
                    events.clear()
        except (OSError, NewerSchemaError) as error:
            # Dropped to make room, or not to be read: it keeps the position that was salvaged, and the drain tells.
            guard.note(error)
            continue
        yield name, at, rows + _as_stored(scratch, events)


def _as_stored(scratch: sqlite3.Connection, events: list[Event]) -> list[tuple[Any, ...]]:
    """Return events as rows of the store, by writing them to one that is thrown away."""
    try:
        return _written(scratch, events)
    except (sqlite3.Error, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        guard.note(error)
    rows = []
    for event in events:
        # The drain leaves out the same ones.
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError, ArithmeticError, AttributeError):
            rows += _written(scratch, [event])
    return rows


def _written(scratch: sqlite3.Connection, events: list[Event]) -> list[tuple[Any, ...]]:
    scratch.execute("BEGIN")
    try:
        writer.write(scratch, events)
        return [tuple(row) for row in scratch.execute(f"SELECT {_COLUMNS} FROM events ORDER BY id")]
    finally:
        scratch.execute("ROLLBACK")

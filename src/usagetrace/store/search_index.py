"""The index of workflow paths: one file of FTS5 beside a database, made, kept in step, and asked.

What it is for, and why anybody may remove it, is said in :mod:`usagetrace.store.search`. It holds no answer by itself:
each one is looked up in the database. A row's number is its event's time and then its order among those of that
millisecond, so that the newest come first without sorting.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from usagetrace.events import clean_text
from usagetrace.store import beside
from usagetrace.store import schema_invocations as texts
from usagetrace.store.connection import named_errors
from usagetrace.store.invocation_queries import by_ids
from usagetrace.store.invocations import said
from usagetrace.store.schema import RECOVERED, RESTORED, STORE_ID
from usagetrace.store.schema_rollups import END_MS, FIRST_MS
from usagetrace.store.search_terms import Term, expression

if TYPE_CHECKING:
    from usagetrace.store.store import Store

# Form of the file; one of another form is made anew.
_FORM: Final = "1"
_WAIT_MS: Final = 2000
# Events that are read from the database at once, and added to the index in one transaction.
_BATCH: Final = 10_000
# Oldest rows of the index that are looked up at once, to see whether retention took their events.
_LOOK: Final = 500
# Numbers that a millisecond has for its events. Times have 50 bits, from the year 1 to 10000.
_PLACES: Final = 1 << 13
# What SQLite calls an overwritten deletion in its index; earlier releases leave words there until it is merged.
_OVERWRITES: Final = sqlite3.sqlite_version_info >= (3, 42)
_SCHEMA: Final = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE VIRTUAL TABLE paths USING fts5(workflow_path, event UNINDEXED, columnsize=0, prefix='1 2 3 4', "
    "tokenize='unicode61 remove_diacritics {0}')",
)
# What SQLite says of an index that is not whole, or of another form.
_SPOILT: Final = ("vtable constructor failed", "fts5 file format", "no such table", "no such column")
# Another tool may have put anything there.
_TIME: Final = f"MIN(MAX(CAST(COALESCE(ts_ms, 0) AS INTEGER), {FIRST_MS}), {END_MS})"
_NEW: Final = (
    f"SELECT id, {_TIME}, metadata FROM events "  # noqa: S608 -- a constant of this module
    "WHERE event_type = ? AND id > ? AND +artifact_type = ? ORDER BY id LIMIT ?"
)


def connect(file: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_WAIT_MS / 1000, isolation_level=None)
    try:
        if not connection.execute("PRAGMA page_count").fetchone()[0]:
            connection.execute("PRAGMA auto_vacuum=FULL")
        connection.execute("PRAGMA synchronous=NORMAL")
        # What is deleted is overwritten, as in the database.
        connection.execute("PRAGMA secure_delete=ON").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def drop(connection: sqlite3.Connection) -> None:
    for name in ("paths", "about"):
        connection.execute(f"DROP TABLE IF EXISTS {name}")


class NotNowError(Exception):
    """The index can't be had here, or not now."""


class SpoiltError(Exception):
    """The index's file is damaged, or of a release of FTS5 that this one can't read."""


@contextlib.contextmanager
def opened(store: Store) -> Iterator[Index]:
    """Give the index, made where it is missing.

    Raises:
        NotNowError: It can't be had.
        SpoiltError: It is to be made anew.
    """
    path = store._file + beside.SEARCH
    try:
        with store._using():
            # The database is opened, and made or refused, before anything is put beside it.
            pass
        beside.make_file(path)
        with contextlib.closing(connect(path)) as connection:
            yield Index(store, connection)
    except (sqlite3.OperationalError, OSError) as error:
        if any(word in str(error) for word in _SPOILT):
            raise SpoiltError from error
        raise NotNowError from error
    except sqlite3.DatabaseError as error:
        raise SpoiltError from error


class Index:
    """The index's file, open, and the store that it is of."""

    def __init__(self, store: Store, connection: sqlite3.Connection) -> None:
        self._store = store
        self._connection = connection
        with transaction(connection):
            if not self._is_of_store():
                self._make()

    def _about(self) -> str:
        """Return which store this is of; another copy in its place has other events under the same numbers."""
        with self._store._using() as connection:
            rows = connection.execute(
                "SELECT key, value FROM usagetrace_state WHERE key IN (?, ?, ?) ORDER BY key",
                (STORE_ID, RECOVERED, RESTORED),
            ).fetchall()
        return repr([_FORM, *(tuple(row) for row in rows)])

    def _is_of_store(self) -> bool:
        tables = self._connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name IN ('about', 'paths')")
        if tables.fetchone()[0] != 2 or self._value("store") != self._about():
            return False
        last, began = self._last()
        with self._store._using() as connection:
            newest = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            event = connection.execute(f"SELECT {_TIME} FROM events WHERE id = ?", (last,)).fetchone()  # noqa: S608 -- as above
        # A file that was put there by hand may have no name.
        return last <= (newest[0] if newest else 0) and (event is None or event[0] == began)

    def _make(self) -> None:
        drop(self._connection)
        marks = 2 if sqlite3.sqlite_version_info >= (3, 27) else 1
        for statement in _SCHEMA:
            self._connection.execute(statement.format(marks))
        if _OVERWRITES:
            self._connection.execute("INSERT INTO paths (paths, rank) VALUES ('secure-delete', 1)")
        self._put("store", self._about())

    def _value(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, key: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO about (key, value) VALUES (?, ?)", (key, value))

    def _last(self) -> tuple[int, int]:
        """Return the number of the last event that was looked at, and its time."""
        number, _, began = (self._value("last") or "0 0").partition(" ")
        return int(number), int(began)

    # --- in step ---------------------------------------------------------------------------------------------

    def catch_up(self, may_go_on: Callable[[], bool] = lambda: True, batch: int | None = None) -> None:
        """Add the events that came since, and take out those that retention removed.

        Args:
            may_go_on: Asked before each transaction.
            batch: Events in one transaction; ten thousand by default.
        """
        self.forget_oldest(may_go_on)
        most, more = batch or _BATCH, True
        while more and may_go_on():
            last = self._last()
            with self._store._using() as connection:
                rows = connection.execute(_NEW, (texts.INVOKE, last[0], texts.SKILL, most)).fetchall()
            if not rows:
                return
            with transaction(self._connection):
                # Somebody else may have been here meanwhile.
                if self._last() == last:
                    self._add(rows)
                    self._put("last", f"{rows[-1][0]} {rows[-1][1]}")
            more = len(rows) == most

    def _add(self, rows: Sequence[sqlite3.Row]) -> None:
        taken: dict[int, int] = {}
        added: list[tuple[int, str, int]] = []
        crowded = False
        for number, ts_ms, metadata in rows:
            path = said(metadata if isinstance(metadata, str) else None).path
            if path is None:
                continue
            place = taken.get(ts_ms)
            # They go on in the next millisecond: from here on only the index itself says what is free.
            crowded = crowded or (place is not None and place % _PLACES == 0)
            if crowded:
                self._insert(added)
                added.clear()
            if place is None or crowded:
                place = self._free(ts_ms)
            taken[ts_ms] = place + 1
            added.append((place, clean_text(path), number))
        self._insert(added)

    def _insert(self, rows: Sequence[tuple[int, str, int]]) -> None:
        self._connection.executemany("INSERT INTO paths (rowid, workflow_path, event) VALUES (?, ?, ?)", rows)

    def _free(self, ts_ms: int) -> int:
        """Return the first number behind those of a millisecond that are taken."""
        first = (ts_ms - FIRST_MS) * _PLACES
        while True:
            row = self._connection.execute(
                "SELECT MAX(id) FROM paths_content WHERE id >= ? AND id < ?", (first, first + _PLACES)
            ).fetchone()
            if row[0] is None:
                return first
            if row[0] + 1 < first + _PLACES:
                return int(row[0]) + 1
            # More events in one millisecond than it has numbers: they go on in the next one's.
            first += _PLACES

    def forget_oldest(self, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """Take out the oldest rows as long as their events are gone."""
        # Those whose time is not known stay for ever, at the beginning of 1970.
        at, gone, look = (-FIRST_MS + 1_000) * _PLACES, 0, 8
        while may_go_on():
            rows = self._connection.execute(
                "SELECT id, c1 FROM paths_content WHERE id > ? ORDER BY id LIMIT ?", (at, look)
            ).fetchall()
            there = self._there([row[1] for row in rows])
            stale = [row[0] for row in rows if row[1] not in there]
            if not stale:
                break
            self._take_out(stale)
            gone += len(stale)
            at, look = rows[-1][0], _LOOK
        if gone and not _OVERWRITES and may_go_on():
            with transaction(self._connection):
                # Merged into one, the index has no words any more of rows that are not there.
                self._connection.execute("INSERT INTO paths (paths) VALUES ('optimize')")

    def _there(self, ids: Sequence[int]) -> set[int]:
        if not ids:
            return set()
        with self._store._using() as connection:
            marks = ", ".join("?" * len(ids))
            return {row[0] for row in connection.execute(f"SELECT id FROM events WHERE id IN ({marks})", ids)}  # noqa: S608 -- question marks

    def _take_out(self, rows: Sequence[int]) -> None:
        with transaction(self._connection):
            self._connection.executemany("DELETE FROM paths WHERE rowid = ?", [(row,) for row in rows])

    # --- looking up ------------------------------------------------------------------------------------------

    def find(self, wanted: Sequence[Term], limit: int) -> list[dict[str, Any]]:
        """Return the newest invocations that have all terms."""
        match = expression(wanted)
        found: list[dict[str, Any]] = []
        before = 1 << 62
        while len(found) < limit:
            rows = self._connection.execute(
                "SELECT rowid, event, workflow_path FROM paths WHERE paths MATCH ? AND rowid < ? "
                "ORDER BY rowid DESC LIMIT ?",
                (match, before, min(limit - len(found), _LOOK)),
            ).fetchall()
            if not rows:
                break
            before = rows[-1][0]
            with named_errors(self._store.path), self._store._using() as connection:
                there = by_ids(connection, [row[1] for row in rows])
            changed = [row for row in rows if not _says(there.get(row[1]), row[2])]
            if changed:
                self._mend(changed, there)
            same = {row[0] for row in rows}.difference(row[0] for row in changed)
            found += [there[row[1]] for row in rows if row[0] in same]
        return found

    def _mend(self, rows: Sequence[tuple[int, int, str]], there: dict[int, dict[str, Any]]) -> None:
        """Take out rows whose events are gone; put those right whose events say something else by now."""
        self._take_out([row[0] for row in rows])
        kept = [(row[0], clean_text(event["workflow_path"]), row[1]) for row in rows
                if (event := there.get(row[1])) is not None and event["workflow_path"] is not None]  # fmt: skip
        with transaction(self._connection):
            self._insert(kept)


def _says(event: dict[str, Any] | None, path: str) -> bool:
    return event is not None and event["workflow_path"] is not None and clean_text(event["workflow_path"]) == path

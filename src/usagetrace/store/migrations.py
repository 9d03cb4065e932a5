"""Brings a database to this version's schema or back to an earlier one, or says why it can't.

This module owns the ledger ``schema_migrations`` and the judgement whether a file is one of ours. The statements
themselves are in :mod:`usagetrace.store.schema`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from usagetrace import guard
from usagetrace.errors import ChangedMigrationError, NewerSchemaError, NotAStoreError, StoreError
from usagetrace.events import timestamp_text
from usagetrace.store.rollups import define_bucket, define_bucket_ms
from usagetrace.store.schema import (
    LAST_LONG,
    LAST_LONG_INVOCATIONS,
    LATEST,
    LEDGER,
    LEDGER_COLUMNS,
    MIGRATIONS,
    V1_COLUMNS,
    V2_COLUMNS,
    V3_COLUMNS,
    V4_COLUMNS,
    V5_COLUMNS,
    V6_COLUMNS,
    V6_STAYING,
    VIEWS,
    Migration,
    checksum,
)
from usagetrace.store.schema_invocations import BUCKET_MS_FUNCTION, INVOKE
from usagetrace.store.schema_rollups import BUCKET_FUNCTION

# Tables that each version adds, with their columns.
_ADDED: Final = {
    2: {name: V2_COLUMNS[name] for name in ("metric_daily", "usagetrace_state")},
    3: {name: columns for name, columns in V3_COLUMNS.items() if name != "spool_positions"},
    5: V5_COLUMNS,
    6: V6_COLUMNS,
}
# Views that a version adds. One that is gone is no hindrance: nothing of ours reads them.
_VIEWS_SINCE: Final = 6
# The way back leaves these, with the version that made them: whatever the version, they are ours or in the way.
_STAYING: Final = {
    "spool_positions": (3, V3_COLUMNS["spool_positions"]),
    **{name: (4, columns) for name, columns in V4_COLUMNS.items()},
    **{name: (6, columns) for name, columns in V6_STAYING.items()},
}
_OUR_NAMES: Final = tuple(
    sorted({*V1_COLUMNS, *V2_COLUMNS, *V3_COLUMNS, *V4_COLUMNS, *V5_COLUMNS, *V6_COLUMNS, *V6_STAYING,
            "schema_migrations"})
)  # fmt: skip


def check(connection: sqlite3.Connection, path: str) -> bool:
    """Look at a database without changing it.

    Args:
        connection: Any connection to it; read-only is enough.
        path: The file, as it was given, for messages.

    Returns:
        Whether migrations are to be applied.

    Raises:
        NotAStoreError: A table under one of our names has another shape.
        NewerSchemaError: A newer version of this package wrote it.
        ChangedMigrationError: A migration in its ledger is not the one of this version.
    """
    nested = connection.in_transaction
    if not nested:
        # One view of tables and ledger: another process may migrate between two statements.
        connection.execute("BEGIN")
    try:
        return _check(connection, path)
    finally:
        # An error of SQLite's may have ended it already.
        if not nested and connection.in_transaction:
            connection.execute("ROLLBACK")


def _check(connection: sqlite3.Connection, path: str) -> bool:
    tables = _tables(connection, path)
    ledger = tables.get("schema_migrations")
    if ledger is not None and not set(LEDGER_COLUMNS) <= set(ledger):
        raise _foreign(path, "schema_migrations", LEDGER_COLUMNS)
    for name, (_, columns) in _STAYING.items():
        if name in tables and not set(columns) <= set(tables[name]):
            raise _foreign(path, name, columns)
    applied = {} if ledger is None else _applied(connection)
    if max(applied, default=0) < _VIEWS_SINCE:
        _refuse(_named_as_views(connection), path)
    if not applied:
        _check_unledgered(tables, path)
        return True
    newest = max(applied, default=0)
    if newest > LATEST:
        raise NewerSchemaError(
            f"{path}: schema version {newest}, and this version of usagetrace knows {LATEST}: upgrade usagetrace "
            "or set another path (db-path)"
        )
    for migration in MIGRATIONS:
        if migration.version in applied and applied[migration.version] != checksum(migration):
            raise ChangedMigrationError(
                f"{path}: migration {migration.version} ({migration.description}) was applied in another form: "
                "use the version of usagetrace that made this file, or move it away"
            )
    _check_ledgered(tables, newest, path)
    return newest < LATEST


def _tables(connection: sqlite3.Connection, path: str) -> dict[str, list[str]]:
    """Return the columns of each table that has one of our names."""
    marks = ", ".join("?" * len(_OUR_NAMES))
    rows = connection.execute(
        "SELECT m.name, m.type, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "  # noqa: S608 -- only question marks are put in
        f"WHERE m.type IN ('table', 'view') AND m.name IN ({marks}) ORDER BY m.name, c.cid",
        _OUR_NAMES,
    ).fetchall()
    tables: dict[str, list[str]] = {}
    for name, kind, column in rows:
        if kind != "table":
            raise NotAStoreError(f"{path}: {name} is a {kind} of another program: set another path (db-path)")
        tables.setdefault(name, []).append(column)
    return tables


def _named_as_views(connection: sqlite3.Connection) -> list[str]:
    """Return what has the name of one of our views, whatever it is."""
    marks = ", ".join("?" * len(VIEWS))
    rows = connection.execute(f"SELECT name FROM sqlite_master WHERE name IN ({marks}) ORDER BY name", VIEWS)  # noqa: S608 -- only question marks are put in
    return [row[0] for row in rows]


def _check_unledgered(tables: dict[str, list[str]], path: str) -> None:
    """Check a database that has no ledger of ours: empty, or of version 1 by another tool's hand."""
    for name, columns in V1_COLUMNS.items():
        if name in tables and not set(columns) <= set(tables[name]):
            raise _foreign(path, name, columns)
    # What version 2 adds must not be there, and a table that is made anew must not lose a column.
    further = [name for added in _ADDED.values() for name in added if name in tables]
    further += [f"events.{name}" for name in tables.get("events", ()) if name in V2_COLUMNS["events"]]
    further += [
        f"usage_summary.{name}" for name in tables.get("usage_summary", ()) if name not in V1_COLUMNS["usage_summary"]
    ]
    _refuse(further, path)


def _refuse(further: list[str], path: str) -> None:
    if further:
        raise NotAStoreError(f"{path}: holds {', '.join(further)} of another program: set another path (db-path)")


def _check_ledgered(tables: dict[str, list[str]], version: int, path: str) -> None:
    for name in ("events", "usage_summary"):
        expected = V1_COLUMNS[name] + (V2_COLUMNS[name] if version >= 2 else ())
        if not set(expected) <= set(tables.get(name, ())):
            raise _foreign(path, name, expected)
    for added_by, added in _ADDED.items():
        if version < added_by:
            _refuse([name for name in added if name in tables], path)
            continue
        for name, columns in added.items():
            if not set(columns) <= set(tables.get(name, ())):
                raise _foreign(path, name, columns)
    for name, (made_by, columns) in _STAYING.items():
        if version >= made_by and name not in tables:
            raise _foreign(path, name, columns)


def _foreign(path: str, table: str, expected: tuple[str, ...]) -> NotAStoreError:
    return NotAStoreError(
        f"{path}: the table {table} is missing or of another program (expected the columns {', '.join(expected)}): "
        "set another path (db-path) or move the file away"
    )


def takes_long(connection: sqlite3.Connection, limit: int) -> bool:
    """Return whether what is to be applied reads more than ``limit`` events; counts no further than that."""
    version = schema_version(connection)
    if version >= LAST_LONG_INVOCATIONS or not event_table_exists(connection):
        return False
    which = "" if version < LAST_LONG else f" WHERE event_type = '{INVOKE}'"
    row = connection.execute(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM events{which} LIMIT ?)",  # noqa: S608 -- a constant is put in
        (limit + 1,),
    ).fetchone()
    return int(row[0]) > limit


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the newest migration in the ledger, 0 where there is no ledger."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone()
    return max(_applied(connection), default=0) if known else 0


def migrate(connection: sqlite3.Connection, path: str, to: int | None = None) -> None:
    """Apply what is missing, each migration in one transaction with its row of the ledger.

    Two processes may do this at once: the second waits for the lock and finds it done.

    Args:
        connection: A connection that may write, with no transaction open.
        path: The file, for messages.
        to: The version to stop at; the latest by default.

    Raises:
        sqlite3.Error: The lock was not to be had, or a statement failed; the database is at the last whole step.
        StoreError: Another process changed the database into something that :func:`check` refuses.
    """
    define_bucket(connection, BUCKET_FUNCTION)
    define_bucket_ms(connection, BUCKET_MS_FUNCTION)
    last = LATEST if to is None else to
    more = True
    while more:
        more = _apply_next(connection, path, last)


def _apply_next(connection: sqlite3.Connection, path: str, last: int) -> bool:
    """Apply the first migration that is missing; return whether there may be more."""
    with _step(connection):
        # Under the lock: what was seen before may have been changed by another process since.
        if not check(connection, path) or schema_version(connection) >= last:
            return False
        adopted = event_table_exists(connection) and schema_version(connection) == 0
        connection.execute(LEDGER)
        applied = _applied(connection)
        migration = next(each for each in MIGRATIONS if each.version not in applied)
        for statement in migration.up:
            connection.execute(statement)
        _record(connection, migration, adopted=adopted and migration.version == 1)
        return migration.version < last


def rollback(connection: sqlite3.Connection, path: str, to: int) -> None:
    """Undo migrations, the latest first, each in one transaction with the removal of its row of the ledger.

    Args:
        connection: A connection that may write, with no transaction open.
        path: The file, for messages.
        to: The version to stop at.

    Raises:
        StoreError: :func:`check` refuses the database, or SQLite is older than 3.35.
        sqlite3.Error: The lock was not to be had, or a statement failed; the database is at the last whole step.
    """
    if sqlite3.sqlite_version_info < (3, 35):
        raise StoreError(f"{path}: SQLite {sqlite3.sqlite_version} can't remove columns: it takes 3.35 or later")
    more = True
    while more:
        more = _undo_last(connection, path, to)


def _undo_last(connection: sqlite3.Connection, path: str, to: int) -> bool:
    with _step(connection):
        check(connection, path)
        version = schema_version(connection)
        if version <= to:
            return False
        for statement in next(each for each in MIGRATIONS if each.version == version).down:
            connection.execute(statement)
        connection.execute("DELETE FROM schema_migrations WHERE version = ?", (version,))
        return version - 1 > to


@contextlib.contextmanager
def _step(connection: sqlite3.Connection) -> Iterator[None]:
    """Make one step whole or not at all; the error that ended it is raised as it was."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error as failure:
                guard.guard.note(failure)
        raise


def event_table_exists(connection: sqlite3.Connection) -> bool:
    """Return whether the database has a table of events, whoever made it."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone() is not None


def _applied(connection: sqlite3.Connection) -> dict[int, str]:
    rows = connection.execute("SELECT version, checksum FROM schema_migrations ORDER BY version").fetchall()
    return {row[0]: row[1] for row in rows}


def _record(connection: sqlite3.Connection, migration: Migration, *, adopted: bool) -> None:
    connection.execute(
        "INSERT INTO schema_migrations (version, applied_at, description, checksum) VALUES (?, ?, ?, ?)",
        (
            migration.version,
            timestamp_text(int(time.time() * 1000)),
            f"{migration.description} (adopted)" if adopted else migration.description,
            checksum(migration),
        ),
    )

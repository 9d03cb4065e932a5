"""``MigrationRunner``: schema migrations forward and back, of our store, or of a directory of SQL files.

Each migration and its row of the ledger ``schema_migrations`` come, and go, in one transaction. A file that was changed
after it was applied is refused. Files are for databases of a tool's own: a store of this package keeps its own versions
in a ledger of that name, and would take a file's version for one of them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace.errors import ChangedMigrationError, StoreError
from usagetrace.events import timestamp_text
from usagetrace.invocations.migration_files import MigrationFile, read_directory
from usagetrace.store.connection import atomic, named_errors
from usagetrace.store.schema import LATEST
from usagetrace.store.store import Store

__all__ = ["MigrationRunner"]

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    description TEXT NOT NULL DEFAULT '',
    checksum TEXT NOT NULL DEFAULT ''
)"""
_COLUMNS: Final = {"version", "applied_at", "description", "checksum"}
# Tables that only a store of this package has.
_OURS: Final = ("usagetrace_state", "usage_summary")
_LOCK_TIMEOUT_MS: Final = 5000


class MigrationRunner:
    """Brings a database to the newest version, or takes it back.

    Args:
        db_path: The database; made where there is none.
        migrations_dir: A directory of files ``V<n>__<description>.sql``
            (:mod:`usagetrace.invocations.migration_files`) for a database of the tool's own. None runs this package's
            own migrations on a store.
    """

    def __init__(self, db_path: str | os.PathLike[str], migrations_dir: str | os.PathLike[str] | None = None) -> None:
        self.db_path = Path(db_path)
        self.migrations_dir = None if migrations_dir is None else Path(migrations_dir)

    def current_version(self) -> int:
        """Return the newest version that is applied; 0 where there is none, or no database.

        Raises:
            StoreError: The database can't be read.
        """
        if not self.db_path.exists():
            return 0
        with self._connected("ro") as connection:
            return max(_applied(connection), default=0)

    def run_migrations(self) -> list[int]:
        """Apply what is missing, the lowest version first.

        Returns:
            The versions that were applied.

        Raises:
            ChangedMigrationError: A file differs from what was applied; nothing was done.
            StoreError: A file or the database can't be used; what was applied before stays.
        """
        if self.migrations_dir is None:
            before = self.current_version()
            with Store(self.db_path) as store:
                return list(range(before + 1, store.migrate() + 1))
        files = read_directory(self.migrations_dir)
        with self._connected("rw") as connection:
            return [file.version for file in files if self._apply(connection, file, files)]

    def rollback_migration(self, version: int) -> list[int]:
        """Undo a migration, and before it those that came after it.

        Args:
            version: The one to undo.

        Returns:
            The versions that were undone, the newest first.

        Raises:
            ChangedMigrationError: A file differs from what was applied; nothing was done.
            StoreError: It is not applied, or there is no way back; what was undone before stays undone.
        """
        if self.migrations_dir is None:
            return self._rollback_store(version)
        files = {file.version: file for file in read_directory(self.migrations_dir)}
        if not self.db_path.exists():
            raise StoreError(f"{self.db_path}: there is no such database")
        with self._connected("rw") as connection:
            self._check(connection, list(files.values()))
            wanted = sorted((each for each in _applied(connection) if each >= version), reverse=True)
            if version not in wanted:
                raise StoreError(f"{self.db_path}: version {version} is not applied")
            # Before the first one is undone: half of the way back is no place to stop.
            for each in wanted:
                if each not in files or not files[each].down:
                    where = files[each].path if each in files else self.migrations_dir
                    raise StoreError(f"{where}: no way back from version {each}: no '-- Rollback migration' part")
            for each in wanted:
                self._undo(connection, files[each])
        return wanted

    def _rollback_store(self, version: int) -> list[int]:
        before = self.current_version()
        if not 1 <= version <= before:
            raise StoreError(f"{self.db_path}: version {version} is not applied; the schema is at {before}")
        with Store(self.db_path) as store:
            after = store.rollback(version - 1)
        return list(range(before, after, -1))

    @contextlib.contextmanager
    def _connected(self, mode: str) -> Iterator[sqlite3.Connection]:
        with named_errors(str(self.db_path)):
            if mode == "rw":
                self.db_path.parent.mkdir(0o700, parents=True, exist_ok=True)
                # Before SQLite makes it with whatever permissions the process gives.
                os.close(os.open(self.db_path, os.O_RDWR | os.O_CREAT, 0o600))
            address = f"{self.db_path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(address, uri=True, timeout=_LOCK_TIMEOUT_MS / 1000, isolation_level=None)
            with contextlib.closing(connection):
                yield connection

    def _apply(self, connection: sqlite3.Connection, file: MigrationFile, files: list[MigrationFile]) -> bool:
        with self._step(connection, file):
            # Under the lock: another process may be at it.
            self._check(connection, files)
            applied = _applied(connection)
            if file.version in applied:
                return False
            newest = max(applied, default=0)
            if file.version < newest:
                raise StoreError(
                    f"{file.path}: version {file.version} comes before {newest}, which is applied: give it a higher one"
                )
            for statement in file.up:
                connection.execute(statement)
            connection.execute(_LEDGER)
            self._require_columns(connection)
            connection.execute(
                "INSERT OR REPLACE INTO schema_migrations (version, applied_at, description, checksum) "
                "VALUES (?, ?, ?, ?)",
                (file.version, timestamp_text(time.time_ns() // 1_000_000), file.description, file.checksum),
            )
        return True

    def _undo(self, connection: sqlite3.Connection, file: MigrationFile) -> None:
        with self._step(connection, file):
            for statement in file.down:
                connection.execute(statement)
            # The first one may have taken the ledger with it.
            if _has_ledger(connection):
                connection.execute("DELETE FROM schema_migrations WHERE version = ?", (file.version,))

    @contextlib.contextmanager
    def _step(self, connection: sqlite3.Connection, file: MigrationFile) -> Iterator[None]:
        """Make one step whole or not at all."""
        with atomic(connection, str(self.db_path)):
            try:
                yield
            except (sqlite3.Error, sqlite3.Warning) as error:
                raise StoreError(f"{file.path}: {error}: the database is as it was before this file") from error

    def _check(self, connection: sqlite3.Connection, files: list[MigrationFile]) -> None:
        """Raise where the database is a store of this package, or a file was changed since it was applied."""
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables.intersection(_OURS):
            raise StoreError(
                f"{self.db_path}: this is a usagetrace store, whose ledger holds the versions 1 to {LATEST} of its own "
                "schema: run files on a database of their own, or leave migrations_dir out to migrate the store"
            )
        applied = _applied(connection)
        for file in files:
            # A row of another tool's runner may have no checksum: what it applied is not known, and taken as it is.
            if applied.get(file.version, "") not in ("", file.checksum):
                raise ChangedMigrationError(
                    f"{file.path}: version {file.version} was applied to {self.db_path} in another form: restore the "
                    "file, and put the change into a new version"
                )

    def _require_columns(self, connection: sqlite3.Connection) -> None:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(schema_migrations)")}
        if not columns >= _COLUMNS:
            raise StoreError(
                f"{self.db_path}: its ledger schema_migrations lacks {', '.join(sorted(_COLUMNS - columns))}"
            )


def _has_ledger(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'")
    return found.fetchone() is not None


def _applied(connection: sqlite3.Connection) -> dict[int, str]:
    """Return the checksum of each version that is applied; ``""`` where none is known."""
    if not _has_ledger(connection):
        return {}
    columns = {row[1] for row in connection.execute("PRAGMA table_info(schema_migrations)")}
    checksum = "checksum" if "checksum" in columns else "''"
    rows = connection.execute(f"SELECT version, COALESCE({checksum}, '') FROM schema_migrations")  # noqa: S608 -- a constant
    return dict(rows.fetchall())

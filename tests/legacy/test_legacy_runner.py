"""``MigrationRunner``: the document's files forward and back, and this package's own migrations on a store."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import ChangedMigrationError, StoreError
from usagetrace.invocations import MigrationRunner, SkillMetricsStore
from usagetrace.store.schema import LATEST

V1 = """\
-- Forward migration
BEGIN TRANSACTION;
CREATE TABLE skill_metrics (skill_name TEXT PRIMARY KEY, note TEXT DEFAULT 'a;b -- c');
CREATE TABLE schema_migrations (
    version INTEGER PRIMARY KEY, applied_at TEXT, description TEXT, checksum TEXT
);
INSERT INTO schema_migrations (version, description) VALUES (1, 'Initial schema');
COMMIT;

-- Rollback migration
-- ROLLBACK;
-- DROP TABLE skill_metrics;
-- DROP TABLE schema_migrations;
"""
# As the document has it.
V2 = """\
-- Forward migration
BEGIN TRANSACTION;
ALTER TABLE skill_metrics ADD COLUMN p50_duration_seconds REAL;
ALTER TABLE skill_metrics ADD COLUMN p95_duration_seconds REAL;
ALTER TABLE skill_metrics ADD COLUMN p99_duration_seconds REAL;
INSERT INTO schema_migrations (version, description) VALUES (2, 'Add percentiles');
COMMIT;

-- Rollback migration
-- ROLLBACK;
-- ALTER TABLE skill_metrics DROP COLUMN p99_duration_seconds;
-- ALTER TABLE skill_metrics DROP COLUMN p95_duration_seconds;
-- ALTER TABLE skill_metrics DROP COLUMN p50_duration_seconds;
-- DELETE FROM schema_migrations WHERE version = 2;
"""


class Files:
    """A directory of migrations, and a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "migrations"
        self.folder.mkdir()
        self.database = folder / "own" / "metrics.db"
        self.write("V1__initial_schema.sql", V1)
        self.write("V2__add_percentile_fields.sql", V2)
        self.runner = MigrationRunner(db_path=self.database, migrations_dir=self.folder)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")

    def ask(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def columns(self) -> list[str]:
        return [row[1] for row in self.ask("PRAGMA table_info(skill_metrics)")]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The document's second migration, a first one before it, and no database."""
    return Files(tmp_path)


def test_files_go_forward_and_back(files: Files) -> None:
    """Each with its row of the ledger: version, time, description and checksum; again does nothing."""
    assert files.runner.run_migrations() == [1, 2]
    assert files.columns()[2:] == ["p50_duration_seconds", "p95_duration_seconds", "p99_duration_seconds"]
    rows = files.ask("SELECT version, description, length(checksum), applied_at > '2020' FROM schema_migrations")
    assert rows == [(1, "initial schema", 64, 1), (2, "add percentile fields", 64, 1)]
    assert (files.runner.run_migrations(), files.runner.current_version()) == ([], 2)
    assert files.runner.rollback_migration(version=2) == [2]
    assert (files.columns(), files.runner.current_version()) == (["skill_name", "note"], 1)
    assert files.runner.run_migrations() == [2]
    assert files.runner.rollback_migration(version=1) == [2, 1]
    assert (files.ask("SELECT name FROM sqlite_master"), files.runner.current_version()) == ([], 0)
    assert files.runner.run_migrations() == [1, 2]


def test_a_statement_that_fails_undoes_its_whole_file(files: Files) -> None:
    """The files before it stay, it leaves neither a column nor a row of the ledger, and the message names it."""
    files.write("V3__broken.sql", "ALTER TABLE skill_metrics ADD COLUMN extra;\nALTER TABLE no_such ADD COLUMN x;\n")
    with pytest.raises(StoreError, match=r"V3__broken\.sql: no such table: no_such: the database is as it was"):
        files.runner.run_migrations()
    assert ("extra" in files.columns(), files.runner.current_version()) == (False, 2)
    files.write("V3__broken.sql", "ALTER TABLE skill_metrics ADD COLUMN extra;\n")
    assert files.runner.run_migrations() == [3]


def test_a_way_back_that_fails_leaves_what_it_was_to_undo(files: Files) -> None:
    """Columns and ledger are as before."""
    files.write("V2__add_percentile_fields.sql", V2 + "-- DROP TABLE no_such;\n")
    files.runner.run_migrations()
    with pytest.raises(StoreError, match="no such table"):
        files.runner.rollback_migration(version=2)
    assert ("p99_duration_seconds" in files.columns(), files.runner.current_version()) == (True, 2)


@pytest.mark.parametrize("act", ["run", "back"])
def test_a_file_that_was_changed_after_it_was_applied_is_refused(files: Files, act: str) -> None:
    """Nothing is done; a changed way back is no change, and neither are line ends."""
    files.runner.run_migrations()
    files.write("V2__add_percentile_fields.sql", V2.replace("p95", "p90"))
    files.write("V3__more.sql", "CREATE TABLE more (x);\n")
    with pytest.raises(ChangedMigrationError, match=r"V2__add_percentile_fields\.sql: version 2 was applied"):
        files.runner.run_migrations() if act == "run" else files.runner.rollback_migration(version=1)
    assert files.runner.current_version() == 2
    mended = V2.replace("-- ROLLBACK;\n", "").replace("\n", "\r\n")
    (files.folder / "V2__add_percentile_fields.sql").write_bytes(mended.encode())
    assert files.runner.run_migrations() == [3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("add.sql", "SELECT 1;", "expected a name such as"),
        ("V0__none.sql", "SELECT 1;", "expected a name such as"),
        ("V02__again.sql", "SELECT 1;", "version 2 is that of"),
        ("V3__empty.sql", "-- nothing\nBEGIN;\nCOMMIT;\n", "has no statement"),
        ("V3__open.sql", "CREATE TABLE x (y TEXT DEFAULT 'z);", "does not end"),
        ("V3__back.sql", "SELECT 1;\n-- Rollback migration\nDROP TABLE x;\n", "line 3: below"),
    ],
)
def test_files_of_another_form_are_refused_before_anything_is_done(
    files: Files, name: str, text: str, message: str
) -> None:
    """The message names the file and what was expected."""
    files.write(name, text)
    with pytest.raises(StoreError, match=message) as caught:
        files.runner.run_migrations()
    assert name in str(caught.value) or "V2__" in str(caught.value)
    assert not files.database.exists()


def test_statements_end_where_sqlite_ends_them(files: Files) -> None:
    """Semicolons in strings, comments and triggers end nothing; the last statement may lack one."""
    files.write(
        "V3__trigger.sql",
        "CREATE TABLE log (x); /* ; */ -- ;\n"
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN UPDATE log SET x = ';' WHERE x = 'a'; SELECT 1; END;\n"
        "INSERT INTO log VALUES ('a')",
    )
    files.runner.run_migrations()
    assert files.ask("SELECT x FROM log") == [(";",)]


def test_there_is_no_way_back_without_one(files: Files) -> None:
    """A missing part, a missing file and a version that is not applied are told apart, and nothing is undone."""
    files.write("V3__more.sql", "CREATE TABLE more (x);\n")
    files.runner.run_migrations()
    with pytest.raises(StoreError, match="no way back from version 3"):
        files.runner.rollback_migration(version=2)
    with pytest.raises(StoreError, match="version 4 is not applied"):
        files.runner.rollback_migration(version=4)
    assert files.runner.current_version() == 3


def test_a_version_that_comes_too_late_is_refused(files: Files) -> None:
    """What it was written for is not what is there any more."""
    (files.folder / "V1__initial_schema.sql").rename(files.folder / "V1__initial_schema.sql.off")
    files.write("V2__add_percentile_fields.sql", "CREATE TABLE skill_metrics (x);\n")
    files.runner.run_migrations()
    (files.folder / "V1__initial_schema.sql.off").rename(files.folder / "V1__initial_schema.sql")
    with pytest.raises(StoreError, match="version 1 comes before 2"):
        files.runner.run_migrations()


def test_a_ledger_of_another_runner_goes_on(files: Files) -> None:
    """Its rows have no checksum: what they applied is taken as it is, and what is missing is applied."""
    files.database.parent.mkdir()
    with contextlib.closing(sqlite3.connect(files.database)) as connection:
        connection.executescript(V1)
    assert files.runner.run_migrations() == [2]


def test_files_are_not_run_on_a_store_of_this_package(files: Files, temp_db: SkillMetricsStore) -> None:
    """Its ledger has the same name, and its own versions: nothing is done, and the message says what to do instead."""
    runner = MigrationRunner(temp_db.db_path, files.folder)
    with pytest.raises(StoreError, match="this is a usagetrace store, whose ledger holds the versions 1 to"):
        runner.run_migrations()
    assert MigrationRunner(temp_db.db_path).current_version() == LATEST


def test_without_a_directory_the_packages_own_migrations_run(tmp_path: Path) -> None:
    """Forward to the latest, back below a version, and forward again."""
    runner = MigrationRunner(tmp_path / "own" / "analytics.db")
    assert runner.current_version() == 0
    assert runner.run_migrations() == list(range(1, LATEST + 1))
    assert runner.run_migrations() == []
    assert runner.rollback_migration(version=LATEST) == [LATEST]
    assert runner.current_version() == LATEST - 1
    assert runner.run_migrations() == [LATEST]
    with pytest.raises(StoreError, match=f"version {LATEST + 1} is not applied"):
        runner.rollback_migration(version=LATEST + 1)

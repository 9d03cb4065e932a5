"""A database is made, adopted or refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import (
    ChangedMigrationError,
    NewerSchemaError,
    NotAStoreError,
    StoreError,
    StoreUnavailableError,
)
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.schema import LAST_LONG, LAST_LONG_INVOCATIONS, LATEST, MIGRATIONS, checksum

Sql = Callable[..., list[tuple[Any, ...]]]
MakeV1 = Callable[..., Path]

EVENTS = [
    "id", "event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "timestamp", "metadata",
    "ts_ms", "duration_ms", "status", "error_type", "category", "priority", "session_id", "service_name", "trace_id",
    "span_id", "item",
]  # fmt: skip
SUMMARY = [
    "artifact_name", "artifact_type", "first_used", "last_used", "deploy_count", "update_count", "sync_count",
    "remove_count", "search_count", "total_events", "error_count", "first_ms", "last_ms",
]  # fmt: skip
V1_INDEXES = {
    "idx_event_type", "idx_artifact_name", "idx_timestamp", "idx_collection", "idx_artifact_type_name",
    "idx_last_used", "idx_total_events", "idx_usage_artifact_type",
}  # fmt: skip


def open_and_close(path: Path) -> None:
    with Store(path) as store:
        store.get_stats()


def columns(sql: Sql, path: Path, table: str) -> list[str]:
    return [row[0] for row in sql(path, "SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))]


# --- made --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "expected"), [("events", EVENTS), ("usage_summary", SUMMARY)])
def test_columns_in_order(path: Path, sql: Sql, table: str, expected: list[str]) -> None:
    """A new database has the required columns first, in their order, then ours."""
    open_and_close(path)
    assert columns(sql, path, table) == expected


def test_required_indexes_and_ledgers(path: Path, sql: Sql) -> None:
    """A new database has every required index, version 1 for old tools, and one ledger row a migration."""
    open_and_close(path)
    indexes = {row[0] for row in sql(path, "SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert indexes >= V1_INDEXES
    assert sql(path, "SELECT version FROM migrations") == [(1,)]
    assert sql(path, "SELECT version, description, checksum FROM schema_migrations ORDER BY version") == [
        (migration.version, migration.description, checksum(migration)) for migration in MIGRATIONS
    ]


def test_summary_key(path: Path, sql: Sql) -> None:
    """The summary is keyed by type and name together."""
    open_and_close(path)
    key = sql(path, "SELECT name FROM pragma_table_info('usage_summary') WHERE pk > 0 ORDER BY pk")
    assert key == [("artifact_type",), ("artifact_name",)]


def test_write_ahead_log(path: Path) -> None:
    """The open connection writes ahead, syncs at checkpoints, enforces foreign keys and waits for locks."""
    with Store(path, busy_timeout_ms=1234) as store:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 1, 1, 1234]


def test_nothing_before_first_use(path: Path) -> None:
    """Making a store object touches no file and no directory."""
    Store(path)
    assert not path.parent.exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_permissions(path: Path, umask: int) -> None:
    """Directories that had to be made are 0700, all of them, and each file is 0600, whatever the umask."""
    deep = path.parent / "a" / "b" / "analytics.db"
    before = os.umask(umask)
    try:
        with Store(deep) as store:
            store.record_event("deploy", "canvas", "skill")
            root = path.parent.parent
            found = {str(p.relative_to(root)): p for p in (path.parent, *path.parent.rglob("*"))}
            modes = {name: stat.S_IMODE(p.stat().st_mode) for name, p in found.items()}
    finally:
        os.umask(before)
    assert modes == {name: 0o700 if p.is_dir() else 0o600 for name, p in found.items()}
    names = {str(p.relative_to(deep.parent)) for p in found.values() if p.is_relative_to(deep.parent)}
    assert names >= {"analytics.db", "analytics.db-wal", "analytics.db-shm", "spool"}


def test_reopens_where_it_was(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the directory of the moment when the object was made."""
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    store = Store("analytics.db")
    monkeypatch.chdir(tmp_path)
    with store:
        store.record_event("deploy", "canvas", "skill")
    assert path.exists()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "who?.db", "c#.db", "ü.db"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    """A name that means something in an URI is a name."""
    with Store(tmp_path / name) as store:
        store.record_event("deploy", "canvas", "skill")
    assert (tmp_path / name).stat().st_size > 0


MIGRATE = """
import sys
from usagetrace.store import Store
sys.stdin.readline()
with Store(sys.argv[1]) as store:
    print(store.get_stats()["schema_version"], store.get_stats()["total_events"])
"""


@pytest.mark.parametrize("adopted", [False, True])
def test_two_processes_migrate_at_once(
    path: Path, python: Callable[..., subprocess.Popen[str]], v1: MakeV1, sql: Sql, adopted: bool
) -> None:
    """Processes that open a new or an old database at the same moment all find it migrated once."""
    target = v1([("deploy", f"a{n}", "skill", "2025-01-01 00:00:00", None) for n in range(2000)]) if adopted else path
    path.parent.mkdir()
    processes = [python(MIGRATE, target) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert answers == [(f"{LATEST} {2000 if adopted else 0}\n", "")] * 3
    assert sql(target, "SELECT version FROM schema_migrations ORDER BY version") == [(n,) for n in range(1, LATEST + 1)]


def test_a_migration_between_two_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that another process migrates while this one looks at it is not taken for a foreign one."""
    from usagetrace.store import migrations

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "LATEST", 1)
        patch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
        with Store(path) as first:
            first.connection.execute("SELECT 1")
    tables = migrations._tables
    looks: list[str] = []

    def overtaken(connection: sqlite3.Connection, name: str) -> dict[str, list[str]]:
        found = tables(connection, name)
        looks.append(name)
        if len(looks) == 1:
            open_and_close(path)
        return found

    monkeypatch.setattr(migrations, "_tables", overtaken)
    with Store(path) as store:
        assert store.get_stats()["schema_version"] == LATEST


# --- adopted -----------------------------------------------------------------------------------------------

NAMES = "artifact_type, artifact_name"
COUNTS = "deploy_count, update_count, sync_count, remove_count, search_count, total_events"


def test_adopts_every_row(v1: MakeV1, sql: Sql) -> None:
    """Rows of version 1 keep every column, and old SQL still reads them."""
    path = v1(
        [
            ("deploy", "canvas", "skill", "2025-11-16 10:00:00", '{"version": "v1"}'),
            ("sync", "canvas", "skill", "2025-11-17 10:00:00", None),
        ],
        [("canvas", "skill", "2025-11-16 10:00:00", "2025-11-17 10:00:00", 1, 0, 1, 0, 0, 2)],
    )
    old = f"SELECT {', '.join(EVENTS[:8])} FROM events"
    summary = f"SELECT artifact_name, artifact_type, first_used, last_used, {COUNTS} FROM usage_summary"
    before = sql(path, old), sql(path, summary)
    open_and_close(path)
    assert (sql(path, old), sql(path, summary)) == before
    assert sql(path, "SELECT version, description LIKE '%(adopted)' FROM schema_migrations") == [
        (version, version == 1) for version in range(1, LATEST + 1)
    ]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2025-11-16 10:00:00", 1763287200000),
        ("2025-11-16T10:00:00", 1763287200000),
        ("2025-11-16T10:00:00Z", 1763287200000),
        ("2025-11-16T10:00:00+02:00", 1763280000000),
        ("2025-11-16 10:00:00.250", 1763287200250),
        ("2025-11-16T10:00:00.123456", 1763287200123),
        ("2025-11-16", 1763251200000),
        (" 2025-11-16 10:00:00 ", 1763287200000),
        ("2100-02-28 23:59:59", 4107542399000),
        ("1970-01-01 00:00:01", 1000),
        (None, 0),
        ("", 0),
        ("yesterday", 0),
        ("now", 0),
        ("10:00", 0),
        ("2025-13-45 99:00:00", 0),
        ("2460000.5", 0),
        (1763287200, 0),
        (b"2025-11-16 10:00:00", 0),
    ],
)
def test_time_of_adopted_rows(v1: MakeV1, sql: Sql, timestamp: object, expected: int) -> None:
    """A timestamp in any form that SQLite reads becomes milliseconds; what is none becomes 0. Triggers say the same."""
    path = v1([("deploy", "canvas", "skill", timestamp, None)])
    open_and_close(path)
    insert = "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp) VALUES ('sync', 'b', 'agent', ?)"
    sql(path, insert, (timestamp,))
    sql(path, insert, ("2001-01-01 00:00:00",))
    sql(path, "UPDATE events SET timestamp = ? WHERE id = 3", (timestamp,))
    assert sql(path, "SELECT ts_ms FROM events ORDER BY id") == [(expected,)] * 3


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ('{"result": "error"}', "error"),
        ('{"success": false}', "error"),
        ('{"result": "success"}', "ok"),
        ('{"success": true}', "ok"),
        ('{"result": "conflict"}', "ok"),
        ('["error"]', "ok"),
        ("{not json", "ok"),
        (None, "ok"),
    ],
)
def test_status_of_adopted_rows(v1: MakeV1, sql: Sql, metadata: str | None, status: str) -> None:
    """Metadata that tells of a failure makes the event an error; rows that come later by old SQL are read alike."""
    path = v1([("sync", "canvas", "skill", "2025-11-16 10:00:00", metadata)])
    open_and_close(path)
    sql(
        path,
        "INSERT INTO events (event_type, artifact_name, artifact_type, metadata) VALUES ('sync', 'b', 'skill', ?)",
        (metadata,),
    )
    assert sql(path, "SELECT status, category, priority FROM events") == [(status, "usage", "normal")] * 2


def test_shared_name_is_told_apart(v1: MakeV1, sql: Sql) -> None:
    """A name that a skill and a command share was one row; it becomes two, counted from their events."""
    path = v1(
        [
            ("deploy", "review", "skill", "2025-11-16 10:00:00", None),
            ("sync", "review", "command", "2025-11-17 10:00:00", '{"result":"error"}'),
            ("sync", "review", "command", "2025-11-18 10:00:00", None),
        ],
        [("review", "command", "2025-11-16 10:00:00", "2025-11-18 10:00:00", 1, 0, 2, 0, 0, 3)],
    )
    open_and_close(path)
    rows = sql(path, f"SELECT {NAMES}, {COUNTS}, error_count, first_used, last_used FROM usage_summary ORDER BY 1")
    assert rows == [
        ("command", "review", 0, 0, 2, 0, 0, 2, 1, "2025-11-17 10:00:00", "2025-11-18 10:00:00"),
        ("skill", "review", 1, 0, 0, 0, 0, 1, 0, "2025-11-16 10:00:00", "2025-11-16 10:00:00"),
    ]


def test_what_retention_removed_stays_counted(v1: MakeV1, sql: Sql) -> None:
    """What a row of version 1 counted beyond its events goes to the row's own type; nothing is lost or doubled."""
    path = v1(
        [
            ("deploy", "review", "command", "2025-11-16 10:00:00", None),
            ("update", "review", "skill", "2025-11-17 10:00:00", None),
            ("deploy", "uncounted", "agent", "2025-11-17 10:00:00", None),
        ],
        [
            ("review", "skill", "2025-01-01T08:00:00", "2025-11-17 10:00:00", 7, 3, 0, 0, 1, 12),
            ("gone", "agent", "2025-01-01 00:00:00", "2025-01-02 00:00:00", 4, 0, 0, 0, 0, 4),
            ("never", "agent", None, None, 0, 0, 0, 0, 0, 0),
        ],
    )
    open_and_close(path)
    rows = sql(path, f"SELECT {NAMES}, {COUNTS}, first_used, last_used FROM usage_summary ORDER BY 1, 2")
    assert rows == [
        ("agent", "gone", 4, 0, 0, 0, 0, 4, "2025-01-01 00:00:00", "2025-01-02 00:00:00"),
        ("agent", "never", 0, 0, 0, 0, 0, 0, None, None),
        ("agent", "uncounted", 1, 0, 0, 0, 0, 1, "2025-11-17 10:00:00", "2025-11-17 10:00:00"),
        ("command", "review", 1, 0, 0, 0, 0, 1, "2025-11-16 10:00:00", "2025-11-16 10:00:00"),
        ("skill", "review", 6, 3, 0, 0, 1, 11, "2025-01-01 08:00:00", "2025-11-17 10:00:00"),
    ]


@pytest.mark.parametrize("missing", ["migrations", "usage_summary"])
def test_adopts_without_optional_tables(v1: MakeV1, sql: Sql, missing: str) -> None:
    """Events alone make a database one of ours: what is missing beside them is made from them."""
    path = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    sql(path, f"DROP TABLE {missing}")
    open_and_close(path)
    assert sql(path, "SELECT artifact_name, total_events FROM usage_summary") == [("canvas", 1)]
    assert sql(path, "SELECT version FROM migrations") == [(1,)]


def test_adoption_keeps_other_tables_and_views(v1: MakeV1, sql: Sql) -> None:
    """Tables of other names, and views over ours, stay and work."""
    path = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    sql(path, "CREATE TABLE notes (text TEXT)")
    sql(path, "INSERT INTO notes VALUES ('mine')")
    sql(path, "CREATE VIEW busiest AS SELECT artifact_name FROM usage_summary ORDER BY total_events DESC")
    open_and_close(path)
    assert sql(path, "SELECT text FROM notes") == [("mine",)]
    assert sql(path, "SELECT * FROM busiest") == [("canvas",)]


def test_a_failed_migration_leaves_version_one(v1: MakeV1, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration whose last statement fails leaves the step before, and the next try finishes."""
    from usagetrace.store import migrations, schema

    path = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    second = schema.MIGRATIONS[1]
    broken = schema.Migration(2, second.description, (*second.up, "SELECT no_such_function()"))
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (schema.MIGRATIONS[0], broken))
        with pytest.raises(StoreError, match="no_such_function"):
            open_and_close(path)
    assert columns(sql, path, "events") == EVENTS[:8]
    assert sql(path, "SELECT version FROM schema_migrations") == [(1,)]
    open_and_close(path)
    assert columns(sql, path, "events") == EVENTS


def test_large_old_database_can_wait(v1: MakeV1) -> None:
    """A store that may migrate few events leaves a larger database of version 1 for another time."""
    path = v1([("deploy", f"a{n}", "skill", "2025-01-01 00:00:00", None) for n in range(11)])
    with Store(path, migrate_at_most=10) as store, pytest.raises(StoreUnavailableError, match="db stats"):
        store.get_stats()
    with Store(path, migrate_at_most=11) as store:
        assert store.get_stats()["total_events"] == 11


def test_a_large_database_does_not_wait_for_new_tables(path: Path) -> None:
    """Migrations that only make tables take no longer for more events: nobody is told to run them first."""
    with Store(path) as store:
        for number in range(11):
            store.record_event("deploy", f"a{number}", "skill")
        store.rollback(LAST_LONG)
    with Store(path, migrate_at_most=10) as store:
        assert store.get_stats()["schema_version"] == LATEST


def test_many_invocations_of_an_earlier_version_can_wait(path: Path) -> None:
    """A store that may migrate few events leaves those of version 5 for another time if they have many invocations."""
    with Store(path) as store:
        for number in range(11):
            store.record_event("invoke", f"a{number}", "skill")
        store.rollback(LAST_LONG_INVOCATIONS - 1)
    with Store(path, migrate_at_most=10) as store, pytest.raises(StoreUnavailableError, match="db stats"):
        store.get_stats()
    with Store(path, migrate_at_most=11) as store:
        assert store.get_stats()["schema_version"] == LATEST


# --- refused -----------------------------------------------------------------------------------------------


def _database(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.commit()


def _changed_ledger(path: Path) -> None:
    open_and_close(path)
    _database(path, "UPDATE schema_migrations SET checksum = 'other' WHERE version = 2")


def _newer(path: Path) -> None:
    open_and_close(path)
    _database(path, "INSERT INTO schema_migrations VALUES (99, '2030-01-01', 'from the future', 'x')")


def _lost_column(path: Path) -> None:
    open_and_close(path)
    _database(path, "DROP TABLE usage_summary; CREATE TABLE usage_summary (artifact_name TEXT)")


REFUSED: dict[str, tuple[Callable[[Path], Any], type[StoreError], str]] = {
    "text": (lambda p: p.write_text("dear diary, " * 500), NotAStoreError, "not an SQLite database"),
    "few bytes": (lambda p: p.write_bytes(b"hello"), NotAStoreError, "not an SQLite database"),
    "noise": (lambda p: p.write_bytes(bytes(range(256)) * 64), NotAStoreError, "not an SQLite database"),
    "foreign events": (
        lambda p: _database(p, "CREATE TABLE events (id INTEGER, title TEXT, starts TEXT)"),
        NotAStoreError,
        "table events",
    ),
    "foreign view": (
        lambda p: _database(p, "CREATE TABLE t (x); CREATE VIEW events AS SELECT x FROM t"),
        NotAStoreError,
        "events is a view",
    ),
    "foreign summary": (
        lambda p: _database(p, "CREATE TABLE usage_summary (day TEXT, bytes INTEGER)"),
        NotAStoreError,
        "table usage_summary",
    ),
    "foreign migrations": (
        lambda p: _database(p, "CREATE TABLE migrations (app TEXT, name TEXT)"),
        NotAStoreError,
        "table migrations",
    ),
    "foreign ledger": (
        lambda p: _database(p, "CREATE TABLE schema_migrations (version TEXT)"),
        NotAStoreError,
        "table schema_migrations",
    ),
    "foreign state": (
        lambda p: _database(p, "CREATE TABLE usagetrace_state (a, b)"),
        NotAStoreError,
        "usagetrace_state",
    ),
    "newer": (_newer, NewerSchemaError, "upgrade usagetrace"),
    "changed migration": (_changed_ledger, ChangedMigrationError, "migration 2"),
    "lost column": (_lost_column, NotAStoreError, "table usage_summary"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("read_only", [False, True])
def test_refused_untouched(path: Path, case: str, read_only: bool) -> None:
    """A file that is no store of this version is named in the error and stays as it is, byte for byte."""
    make, expected, words = REFUSED[case]
    path.parent.mkdir()
    make(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    with Store(path, read_only=read_only) as store, pytest.raises(expected, match=words) as caught:
        store.write([Event("deploy", "canvas", "skill", 0)])
    assert str(path) in str(caught.value)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before


CRASH_NEWER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO schema_migrations VALUES (99, '2030-01-01', 'from the future', 'x')")
connection.commit()
os._exit(0)
"""


def test_refused_with_a_journal(path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """A newer database whose last process crashed keeps its journal too: nothing is written back into it."""
    open_and_close(path)
    assert python(CRASH_NEWER, path).wait(timeout=30) == 0
    journal = path.with_name("analytics.db-wal")
    before = path.read_bytes(), journal.read_bytes()
    with Store(path) as store, pytest.raises(NewerSchemaError):
        store.get_stats()
    assert (path.read_bytes(), journal.read_bytes()) == before


# --- out of reach ------------------------------------------------------------------------------------------


def test_directory_that_is_a_file(tmp_path: Path) -> None:
    """A directory that can't be made gives an error that names the path as given, and the remedy."""
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "sub" / "analytics.db"
    with Store(target) as store, pytest.raises(StoreUnavailableError, match="db-path") as caught:
        store.get_stats()
    assert str(caught.value).startswith(f"{target}: ")


def test_path_that_is_a_directory(tmp_path: Path) -> None:
    """A directory in the file's place is an error that names it."""
    with Store(tmp_path) as store, pytest.raises(StoreUnavailableError, match="can't be opened"):
        store.get_stats()


def test_read_only_makes_nothing(path: Path) -> None:
    """A store for reading makes no file."""
    with Store(path, read_only=True) as store, pytest.raises(StoreUnavailableError):
        store.get_stats()
    assert not path.parent.exists()


def test_read_only_reads_and_refuses_to_write(path: Path) -> None:
    """A store for reading reads what is there and can't change it."""
    with Store(path) as writer:
        writer.record_event("deploy", "canvas", "skill")
    with Store(path, read_only=True) as store:
        assert store.get_stats()["total_events"] == 1
        with pytest.raises(StoreUnavailableError):
            store.record_event("deploy", "canvas", "skill")


def test_read_only_does_not_migrate(v1: MakeV1) -> None:
    """A store for reading says of an older schema what is to be done."""
    path = v1()
    with Store(path, read_only=True) as store, pytest.raises(StoreError, match="open it once for writing"):
        store.get_stats()

"""The schema goes forward and back, a whole step at a time."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.store import Store
from usagetrace.store.connection import MEMORY
from usagetrace.store.schema import LATEST, MIGRATIONS, V1_COLUMNS

Sql = Callable[..., list[tuple[Any, ...]]]
V1_EVENTS = ", ".join(V1_COLUMNS["events"])
COUNTS = "deploy_count, update_count, sync_count, remove_count, search_count, total_events"
SUMS = ", ".join(f"SUM({name})" for name in COUNTS.split(", "))
NAMES = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"


def made_events(count: int) -> list[Event]:
    """Return events of a month: names that several types share, sessions, items, failures."""
    draw = random.Random(3)
    return [
        Event(
            draw.choice(("deploy", "update", "sync", "remove", "search", "view")),
            f"artifact-{draw.randrange(40)}",
            draw.choice(("skill", "command", "agent")),
            1_790_000_000_000 + number * 250_000,
            metadata={"n": number, "success": draw.random() > 0.1},
            duration_ms=draw.choice((None, draw.expovariate(0.01), 0.0)),
            status=draw.choice(("ok", "ok", "error", "abandoned")),
            session_id=draw.choice((None, f"session-{draw.randrange(20)}")),
            item=draw.choice((None, None, 0, 1)),
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 10,000 events, as one file."""
    path = tmp_path_factory.mktemp("filled") / "analytics.db"
    with Store(path) as store:
        store.write(made_events(10_000))
        # Retention took these: only what they counted is left.
        store.connection.execute("DELETE FROM events WHERE id <= 500")
        store.connection.execute("INSERT INTO spool_positions VALUES ('segment', 5, 1, 0, 0, 9)")
        store.connection.execute("INSERT INTO spool_starts VALUES ('trace', 'span', 'segment', '{}')")
    return path


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path / "analytics.db"))


def test_back_and_forward_keeps_rows_and_counts(copy: Path, sql: Sql) -> None:
    """Each step back and all steps forward again keep each event's columns of version 1, and each name's counts."""
    rows = f"SELECT {V1_EVENTS} FROM events ORDER BY id"
    counts = f"SELECT artifact_name, {SUMS} FROM usage_summary GROUP BY artifact_name ORDER BY 1"
    before = sql(copy, rows), sql(copy, counts)
    with Store(copy) as store:
        for version in (2, 1, 0):
            assert store.rollback(version) == version
            assert (sql(copy, rows), sql(copy, counts)) == before
        for version in range(1, LATEST + 1):
            assert store.migrate(version) == version
            assert (sql(copy, rows), sql(copy, counts)) == before
        # One that is not there yet never has the id of one that was.
        assert store.record_event("deploy", "canvas", "skill") == 10_001


@pytest.mark.parametrize("version", range(1, LATEST + 1))
def test_each_step_back_and_forward_gives_the_same_schema(copy: Path, sql: Sql, version: int) -> None:
    """A step forward, back and forward again leaves the tables, indexes and triggers of one step forward."""
    with Store(copy) as store:
        store.rollback(version - 1)
        former = sql(copy, NAMES)
        store.migrate(version)
        forward = sql(copy, NAMES)
        store.rollback(version - 1)
        assert sql(copy, NAMES) == former
        store.migrate(version)
    assert sql(copy, NAMES) == forward
    assert sql(copy, "SELECT MAX(version) FROM schema_migrations") == [(version,)]


def test_rollups_come_back_from_the_events(copy: Path, sql: Sql) -> None:
    """Version 3, taken back and applied again, counts what the writer counted of the events that are left."""
    with Store(copy) as store:
        store.rollback(2)
        store.migrate()
        assert store.rebuild().differences == []
        # Rollups start anew; the summary still counts what was removed.
        summaries = store.connection.execute("SELECT COUNT(*) FROM usage_summary").fetchone()[0]
        assert store.rebuild().beyond == summaries - len(_exact(store))
    assert sql(copy, "SELECT SUM(events) FROM usage_daily") == [(9_500,)]


def _exact(store: Store) -> list[Any]:
    """Return the summary rows that count just the events that are left."""
    return store.connection.execute(
        "SELECT 1 FROM usage_summary AS s WHERE total_events = (SELECT COUNT(*) FROM events AS e WHERE "
        "e.artifact_type = s.artifact_type AND e.artifact_name = s.artifact_name)"
    ).fetchall()


def test_plain_sql_of_version_one_works_after_the_way_back(copy: Path, sql: Sql) -> None:
    """A tool of version 1 inserts, counts with its key, and reads, with its own SQL."""
    with Store(copy) as store:
        store.rollback(1)
    insert = "INSERT INTO events (event_type, artifact_name, artifact_type, metadata) VALUES ('deploy', 'new', 'x', ?)"
    sql(copy, insert, ('{"a": 1}',))
    upsert = """
    INSERT INTO usage_summary (artifact_name, artifact_type, first_used, last_used, deploy_count, total_events)
    VALUES ('artifact-1', 'skill', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1, 1)
    ON CONFLICT(artifact_name) DO UPDATE SET deploy_count = deploy_count + 1, total_events = total_events + 1"""
    before = sql(copy, "SELECT total_events FROM usage_summary WHERE artifact_name = 'artifact-1'")
    sql(copy, upsert)
    assert sql(copy, "SELECT total_events FROM usage_summary WHERE artifact_name = 'artifact-1'") == [
        (before[0][0] + 1,)
    ]
    for table in ("events", "usage_summary"):
        columns = sql(copy, "SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))
        assert [row[0] for row in columns] == list(V1_COLUMNS[table])


def test_the_merged_row_has_the_most_used_type(path: Path, sql: Sql) -> None:
    """Counts of one name become one row of the type that was used most, the first in order among equals."""
    with Store(path) as store:
        for name, kinds in {"review": ("skill", "skill", "command"), "tie": ("b", "a")}.items():
            for number, kind in enumerate(kinds):
                store.record_event("deploy", name, kind, ts_ms=1_763_287_200_000 + number * 1000)
        store.rollback(1)
    rows = sql(path, "SELECT artifact_name, artifact_type, first_used, last_used, total_events FROM usage_summary")
    assert rows == [
        ("review", "skill", "2025-11-16 10:00:00", "2025-11-16 10:00:02", 3),
        ("tie", "a", "2025-11-16 10:00:00", "2025-11-16 10:00:01", 2),
    ]


def test_positions_in_the_spool_survive_the_way_back(copy: Path, sql: Sql) -> None:
    """What was drained is not drained again after the schema went back and forward, and what began can still end."""
    with Store(copy) as store:
        store.rollback(0)
        store.migrate()
    assert sql(copy, "SELECT segment, position FROM spool_positions") == [("segment", 5)]
    assert sql(copy, "SELECT trace_id, span_id, segment, event FROM spool_starts") == [
        ("trace", "span", "segment", "{}")
    ]


def test_another_tools_tables_and_columns_survive(v1: Callable[..., Path], sql: Sql) -> None:
    """A table and a column of another tool in the same file are there after the way forward and back."""
    path = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    sql(path, "CREATE TABLE notes (text TEXT)")
    sql(path, "ALTER TABLE events ADD COLUMN mood TEXT DEFAULT 'glad'")
    with Store(path) as store:
        store.migrate()
        store.rollback(0)
    assert sql(path, "SELECT mood FROM events") == [("glad",)]
    assert sql(path, "SELECT COUNT(*) FROM notes") == [(0,)]


def test_a_view_that_needs_a_newer_column_stops_the_way_back(copy: Path, sql: Sql) -> None:
    """Where SQLite refuses a step the database stays at the step before, and the error says why."""
    sql(copy, "CREATE VIEW mine AS SELECT ts_ms FROM events")
    with Store(copy) as store, pytest.raises(StoreError, match="mine"):
        store.rollback(0)
    assert sql(copy, "SELECT MAX(version) FROM schema_migrations") == [(2,)]
    with Store(copy) as store:
        assert store.get_stats()["total_events"] == 9_500


# --- crashes -----------------------------------------------------------------------------------------------

CRASH = """
import contextlib, json, os, shutil, signal, sqlite3, sys
from usagetrace.store import Store, connection, migrations
from usagetrace.store.schema import MIGRATIONS, Migration

def state(path):
    with contextlib.closing(sqlite3.connect(path)) as looker:
        schema = looker.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        rows = [looker.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for kind, name, _ in schema
                if kind == "table"]
        return [schema, rows, looker.execute("SELECT version FROM schema_migrations ORDER BY 1").fetchall()]

def step(path, version, direction, dies_at):
    opened = connection.connect(path, "rw", 5000, None)
    opened.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    def cut(statements):
        return (*statements[:dies_at], "SELECT die()", *statements[dies_at:]) if dies_at is not None else statements
    checksums = {each: migrations.checksum(each) for each in MIGRATIONS}
    made = [Migration(each.version, each.description, cut(each.up), cut(each.down)) if each.version == version else each
            for each in MIGRATIONS]
    sums = {new: checksums[old] for new, old in zip(made, MIGRATIONS)}
    migrations.checksum = sums.__getitem__
    migrations.MIGRATIONS = tuple(made)
    if direction == "up":
        migrations.migrate(opened, path, version)
    else:
        migrations.rollback(opened, path, version - 1)
    opened.close()

template, work, version, direction = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
count = len(getattr(MIGRATIONS[version - 1], direction))
before, deaths, others = state(template), 0, []
for dies_at in range(count + 1):
    shutil.copy(template, work)
    child = os.fork()
    if child == 0:
        step(work, version, direction, dies_at)
        os._exit(0)
    deaths += os.waitpid(child, 0)[1] == signal.SIGKILL
    if state(work) != before:
        others.append(dies_at)
    for name in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(work + name)
shutil.copy(template, work)
step(work, version, direction, None)
print(json.dumps([count + 1, deaths, others, state(work) != before]))
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a forked process")
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("version", range(1, LATEST + 1))
def test_killed_between_any_two_statements(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]], version: int, direction: str
) -> None:
    """A process killed before, between or after the statements of a step leaves the schema and rows before it."""
    template = tmp_path / "template.db"
    with Store(template) as store:
        store.write(made_events(300))
        store.rollback(version if direction == "down" else version - 1)
    process = python(CRASH, template, tmp_path / "work.db", version, direction)
    out, err = process.communicate(timeout=120)
    assert err == ""
    tries, deaths, others, moved = json.loads(out)
    assert (deaths, others, moved) == (tries, [], True)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_failing_statement_leaves_the_step_before(
    copy: Path, sql: Sql, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    """A statement that fails undoes its step, and the next try, without the fault, is whole."""
    from usagetrace.store import migrations, schema

    third = MIGRATIONS[2]
    fault = "SELECT no_such_function()"
    sums = {each.version: schema.checksum(each) for each in MIGRATIONS}
    broken = schema.Migration(3, third.description, (*third.up, fault), (*third.down, fault))
    with Store(copy) as store:
        if direction == "up":
            store.rollback(2)
        before = sql(copy, NAMES)
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS[:2], broken, *MIGRATIONS[3:]))
            patch.setattr(migrations, "checksum", lambda migration: sums[migration.version])
            if direction == "down":
                store.rollback(3)
                before = sql(copy, NAMES)
            with pytest.raises(StoreError, match="no_such_function"):
                store.migrate() if direction == "up" else store.rollback(2)
        assert sql(copy, NAMES) == before
        assert (store.migrate() if direction == "up" else store.rollback(2)) in (2, LATEST)
        assert sql(copy, NAMES) != before


# --- asked for wrongly -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [-1, LATEST + 1])
def test_a_version_that_is_none(path: Path, version: int) -> None:
    """A version out of range is refused before the file is touched."""
    with Store(path) as store:
        for step in (store.migrate, store.rollback):
            with pytest.raises(ValueError, match="from 0 to"):
                step(version)
    assert not path.exists()


def test_not_inside_a_transaction(copy: Path) -> None:
    """Schema steps are transactions of their own: inside another one they are refused, and it goes on."""
    with Store(copy) as store:
        with store.atomic():
            for step in (lambda: store.rollback(1), store.migrate):
                with pytest.raises(StoreError, match="transaction is open"):
                    step()
            store.record_event("deploy", "canvas", "skill")
        assert store.get_stats()["total_events"] == 9_501


def test_waits_for_the_lock(copy: Path, locked: Callable[[Path], contextlib.AbstractContextManager[None]]) -> None:
    """While another process holds the lock a step back is unavailable, and works afterwards."""
    with Store(copy, busy_timeout_ms=50) as store:
        with locked(copy), pytest.raises(StoreUnavailableError):
            store.rollback(2)
        assert store.rollback(2) == 2


def test_in_memory() -> None:
    """A store in memory keeps its rows on the way back and forward."""
    with Store(MEMORY) as store:
        store.record_event("deploy", "canvas", "skill")
        assert (store.rollback(0), store.migrate()) == (0, LATEST)
        assert store.get_stats()["total_events"] == 1


@pytest.mark.parametrize("table", ["usage_daily", "duration_daily", "sessions"])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_table_of_another_program_is_in_the_way(copy: Path, sql: Sql, table: str, version: int) -> None:
    """A table that version 3 would make, by another hand, is named, and nothing is changed."""
    with Store(copy) as store:
        store.rollback(version)
    sql(copy, f"CREATE TABLE {table} (id INTEGER)")
    before = sql(copy, NAMES)
    with Store(copy) as store, pytest.raises(NotAStoreError, match=table):
        store.get_stats()
    assert sql(copy, NAMES) == before


@pytest.mark.parametrize("table", ["spool_positions", "spool_starts", "imported_records"])
@pytest.mark.parametrize("version", [1, LATEST])
def test_a_table_that_stays_is_ours_or_in_the_way(copy: Path, sql: Sql, table: str, version: int) -> None:
    """Under its name a table of another shape is refused at any version."""
    with Store(copy) as store:
        store.rollback(version)
    sql(copy, f"DROP TABLE {table}")
    sql(copy, f"CREATE TABLE {table} (x)")
    with Store(copy) as store, pytest.raises(NotAStoreError, match=table):
        store.get_stats()


@pytest.mark.parametrize("table", ["spool_positions", "spool_starts", "imported_records"])
def test_a_table_that_stays_is_not_missed_unnoticed(copy: Path, sql: Sql, table: str) -> None:
    """A ledger that says that it was made, and no table, is a damaged file."""
    sql(copy, f"DROP TABLE {table}")
    with Store(copy) as store, pytest.raises(NotAStoreError, match=table):
        store.get_stats()


# --- tools of version 1, beside this one -------------------------------------------------------------------


def test_rows_of_version_one_tools_are_in_the_rollups(path: Path, sql: Sql) -> None:
    """An INSERT of version 1 is counted in its day like an event of ours; a rebuild finds nothing to do there."""
    with Store(path) as store:
        store.record_event("deploy", "canvas", "skill", ts_ms=1_763_287_200_000)
    for metadata in (None, '{"result": "error"}'):
        sql(
            path,
            "INSERT INTO events (event_type, artifact_name, artifact_type, timestamp, metadata) "
            "VALUES ('deploy', 'canvas', 'skill', '2025-11-16 23:59:59', ?)",
            (metadata,),
        )
    assert sql(path, "SELECT day, events, errors, durations FROM usage_daily") == [(20_408, 3, 1, 0)]
    with Store(path) as store:
        assert {each.table for each in store.rebuild().differences} == {"usage_summary"}


def test_an_open_connection_of_sqlite3_is_closed(copy: Path) -> None:
    """After a step back the file is at rest: no journal is left beside it."""
    with Store(copy) as store:
        store.rollback(2)
        assert not store.is_open
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM events").fetchone() == (9_500,)

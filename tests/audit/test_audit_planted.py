"""What is planted in a store is found, wherever it lies, and no part of it is told."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.planting import COUNT, WHO, database, fifty, plant
from usagetrace.audit import Audit, audit
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import MAGIC, spool_directory
from usagetrace.store import Store

SECRETS = fifty()
COLUMNS = {f"s{number}" for number in range(COUNT)}


def looked(path: Path) -> Audit:
    """Audit a store; what comes back holds no part of what was planted."""
    found = audit(path, WHO)
    told = json.dumps(dataclasses.asdict(found)).replace(str(path.parent), "")
    assert [secret for secret in SECRETS if secret in told] == []
    assert found.problems == ()
    return found


def columns(found: Audit, area: str) -> set[str]:
    return {each.column for each in found.findings if each.area == area}


def counted(found: Audit, area: str) -> int:
    return sum(each.count for each in found.findings if each.area == area)


def in_rows(path: Path) -> None:
    with database(path) as connection:
        plant(connection, SECRETS)


def in_little_utf_16(path: Path) -> None:
    with database(path, "encoding='UTF-16le'") as connection:
        plant(connection, SECRETS)


def in_big_utf_16(path: Path) -> None:
    with database(path, "encoding='UTF-16be'") as connection:
        plant(connection, SECRETS)


def in_json(path: Path) -> None:
    with database(path) as connection:
        plant(connection, [json.dumps({"steps": [{"note": secret}]}) for secret in SECRETS])


def in_blobs(path: Path) -> None:
    with database(path) as connection:
        plant(connection, SECRETS)
        names = ", ".join(f"s{number} = CAST(s{number} AS BLOB)" for number in range(COUNT))
        connection.execute(f"UPDATE planted SET {names}")


def on_overflow_pages(path: Path) -> None:
    with database(path, "page_size=512") as connection:
        plant(connection, SECRETS, before="word " * 150, behind=" word" * 150)


def without_rowid(path: Path) -> None:
    with database(path, "page_size=16384") as connection:
        names = ", ".join(f"s{number}" for number in range(COUNT))
        connection.execute(f"CREATE TABLE planted ({names}, id, PRIMARY KEY (id)) WITHOUT ROWID")
        connection.execute(f"INSERT INTO planted VALUES ({', '.join('?' * COUNT)}, 1)", SECRETS)


IN_ROWS: list[Callable[[Path], None]] = [
    in_rows, in_little_utf_16, in_big_utf_16, in_json, in_blobs, on_overflow_pages, without_rowid,
]  # fmt: skip


@pytest.mark.parametrize("door", IN_ROWS)
def test_each_secret_in_a_table_is_found_in_its_column(tmp_path: Path, door: Callable[[Path], None]) -> None:
    """Any schema, any encoding, JSON inside texts, bytes, rows over many pages."""
    path = tmp_path / "notes.db"
    door(path)
    assert columns(looked(path), "row") == COLUMNS


def removed_row(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM planted WHERE id = 2")


def all_rows_removed(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM planted")


def overwritten(connection: sqlite3.Connection) -> None:
    names = ", ".join(f"s{number} = 'x'" for number in range(COUNT))
    connection.execute(f"UPDATE planted SET {names} WHERE id = 2")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize("removal", [removed_row, all_rows_removed, overwritten])
def test_each_secret_of_a_removed_row_is_found(
    tmp_path: Path, removal: Callable[[sqlite3.Connection], None], encoding: str
) -> None:
    """A row that was deleted, or overwritten, stays in free space until something else takes it."""
    path = tmp_path / "notes.db"
    with database(path, f"encoding='{encoding}'", "page_size=16384") as connection:
        plant(connection, ["before"] * COUNT)
        plant(connection, SECRETS)
        plant(connection, ["behind"] * COUNT)
        removal(connection)
    found = looked(path)
    # An overwriting row takes the place of the last ones.
    whole = {f"s{at}" for at, secret in enumerate(SECRETS) if secret.encode(encoding) in path.read_bytes()}
    assert len(whole) > COUNT * 0.8
    assert whole <= columns(found, "removed") <= COLUMNS
    assert counted(found, "row") == 0


def test_rows_of_a_table_that_is_gone_are_found_on_free_pages(tmp_path: Path) -> None:
    """Nothing says any more what the columns were called."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        plant(connection, SECRETS)
        connection.execute("DROP TABLE planted")
    assert counted(looked(path), "removed") >= COUNT


@pytest.mark.parametrize("kept", [(), (1,), (1, COUNT + 2)])
def test_one_secret_a_row_is_found_beside_its_neighbours(tmp_path: Path, kept: tuple[int, ...]) -> None:
    """Columns stand side by side in free space, without anything between them."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, name TEXT, body TEXT, tail TEXT)")
        rows = [("plain",), *((secret,) for secret in SECRETS), ("plain",)]
        connection.executemany("INSERT INTO notes (name, body, tail) VALUES ('canvas', ?, 'default')", rows)
        connection.execute(f"DELETE FROM notes WHERE id NOT IN ({', '.join(map(str, kept))})")
    assert counted(looked(path), "removed") >= COUNT


def test_pages_in_the_log_are_found_committed_or_not(tmp_path: Path) -> None:
    """The log holds old versions of pages until it is overwritten."""
    path = tmp_path / "notes.db"
    with database(path, "journal_mode=WAL", "wal_autocheckpoint=0") as connection:
        plant(connection, SECRETS)
        connection.execute("DELETE FROM planted")
        connection.execute("DROP TABLE planted")
        connection.execute("CREATE TABLE fresh (x)")
        found = looked(path)
    assert counted(found, "log") >= COUNT
    assert counted(found, "row") == 0


def test_pages_in_a_rollback_journal_are_found(tmp_path: Path) -> None:
    """A journal that is kept, with its head emptied, has the former pages still."""
    path = tmp_path / "notes.db"
    with database(path, "page_size=16384") as connection:
        plant(connection, SECRETS)
        connection.execute("PRAGMA journal_mode=PERSIST").fetchall()
        connection.execute("PRAGMA secure_delete=ON").fetchall()
        connection.execute("DELETE FROM planted")
    found = looked(path)
    assert columns(found, "journal") == COLUMNS
    assert counted(found, "removed") == 0


@pytest.mark.parametrize("module", ["fts5(body)", "fts4(body)", "fts3(body)"])
def test_each_secret_in_a_full_text_table_is_found(tmp_path: Path, module: str) -> None:
    """Its texts lie in a table of their own, its words in another one."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE notes USING {module}")
        connection.executemany("INSERT INTO notes (body) VALUES (?)", [(f"saw {secret} here",) for secret in SECRETS])
    found = looked(path)
    assert counted(found, "row") >= COUNT
    assert counted(found, "full-text") > COUNT // 2


@pytest.mark.parametrize(
    "module", ["fts5(body, content='')", "fts4(content='', body)", "fts5(body, content='', tokenize=trigram)"]
)
def test_tokens_are_found_in_an_index_whose_texts_are_gone(tmp_path: Path, module: str) -> None:
    """Capital letters and signs are lost, and yet a vendor's token is to be told; so are the machine's names."""
    path = tmp_path / "notes.db"
    wanted = [*SECRETS[:22], "/home/lovelace/engine/notes.txt", "ran by lovelace today", "on analytical-engine-7 again"]
    with database(path) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE notes USING {module}")
        for number, secret in enumerate(wanted, 1):
            connection.execute("INSERT INTO notes (rowid, body) VALUES (?, ?)", (number, f"saw {secret} here"))
    found = [each for each in looked(path).findings if each.area == "full-text"]
    assert {each.column for each in found} == {"body"}
    assert sum(each.count for each in found) >= len(wanted)


def test_texts_of_an_index_over_many_segments_are_found(tmp_path: Path) -> None:
    """The index of a large table has many segments and lists that go over pages."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        connection.execute("CREATE VIRTUAL TABLE notes USING fts5(body, content='')")
        rows = [(number, f"common words go here {number} {'more ' * 20}") for number in range(1, 800)]
        for at in range(0, len(rows), 160):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO notes (rowid, body) VALUES (?, ?)", rows[at : at + 160])
            connection.execute("COMMIT")
        connection.execute("INSERT INTO notes (rowid, body) VALUES (7777, ?)", (f"saw {SECRETS[0]} here",))
    assert [(each.rule, each.at) for each in looked(path).findings] == [("gh-token", ("row 7777",))]


def test_each_secret_in_the_spool_is_found_where_it_waits(tmp_path: Path) -> None:
    """Events that ended, and one that has only begun; the spool is not drained."""
    path = tmp_path / "analytics.db"
    spool = Spool(spool_directory(path))
    assert spool.append([Event("deploy", "canvas", "skill", 1, metadata={"note": secret}) for secret in SECRETS])
    spool.close()
    found = looked(path)
    assert found.waiting_events == COUNT
    assert {each.column for each in found.findings} == {"metadata"}
    assert counted(found, "spool") >= COUNT
    assert not path.exists()


def test_what_is_no_record_in_a_spool_is_looked_at_as_bytes(tmp_path: Path) -> None:
    """A torn record, a file of another format, one that somebody set aside."""
    path = tmp_path / "analytics.db"
    folder = Path(spool_directory(path))
    folder.mkdir()
    spool = Spool(folder)
    assert spool.append([Event("deploy", SECRETS[0], "skill", 1)])
    spool.close()
    segment = next(folder.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-1])
    (folder / "1-2-aa.seg.7.partial").write_bytes(MAGIC + b"\0\1" + SECRETS[1].encode() + b"\0")
    found = looked(path)
    assert {(each.file, each.rule) for each in found.findings} == {
        (f"spool/{segment.name}", "gh-token"), ("spool/1-2-aa.seg.7.partial", "gh-token"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "backups/analytics-20261101T120000Z.db", "analytics.before-restore-20261101T120000Z.db",
        "analytics.db.damaged-20261101T120000Z", ".analytics-20261101T120000Z.db.77.partial",
        "analytics.db.bak", "analytics.db-copy", "analytics.db.old", "analytics.db~", "analytics.bak",
    ],
)  # fmt: skip
def test_copies_beside_a_database_are_looked_at(tmp_path: Path, name: str) -> None:
    """A backup or what a repair set aside holds what the store held."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1)])
    copy = tmp_path / name
    copy.parent.mkdir(exist_ok=True)
    in_rows(copy)
    found = looked(path)
    assert {each.file for each in found.findings} == {name}
    assert columns(found, "row") == COLUMNS


@pytest.mark.parametrize("spoilt", [slice(0, 100), slice(0, 4096), slice(4096, 4200)])
def test_a_damaged_database_is_looked_at(tmp_path: Path, spoilt: slice) -> None:
    """Whatever SQLite could not read any more is there for everybody who looks at the bytes."""
    path = tmp_path / "analytics.db"
    with database(path) as connection:
        plant(connection, ["x"])
        plant_rows = [(secret,) for secret in SECRETS * 3]
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
        connection.executemany("INSERT INTO notes (body) VALUES (?)", plant_rows)
    data = bytearray(path.read_bytes())
    data[spoilt] = b"\xa5" * (spoilt.stop - spoilt.start)
    path.write_bytes(data)
    assert looked(path).found >= COUNT * 2


def test_an_archive_is_looked_at(tmp_path: Path) -> None:
    """Old events in Parquet files, in the folder that the spool's word for retention names."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "analytics.db"
    folder = Path(spool_directory(path))
    folder.mkdir()
    archive = tmp_path / "old"
    archive.mkdir()
    (folder / "keeping").write_text(f"90\n{archive}\n", "utf-8")
    parquet.write_table(pa.table({"note": SECRETS, "count": list(range(COUNT))}), archive / "s-2026-11-01-1-50.parquet")
    found = looked(path)
    assert columns(found, "archive") == {"note"}
    assert counted(found, "archive") >= COUNT

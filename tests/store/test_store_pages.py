"""Rows are read from the pages of a database and from its write-ahead log as SQLite would give them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from usagetrace.store.pages import Pages

VALUES = some.one_of(
    some.none(),
    some.integers(-(2**63), 2**63 - 1),
    some.floats(allow_nan=False),
    some.text(some.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60),
    some.binary(max_size=60),
    # What goes on from page to page.
    some.integers(400, 20_000).map(lambda size: "ä" * size),
)
ROWS = some.lists(
    some.tuples(some.integers(-(2**63), 2**63 - 1), VALUES, VALUES), max_size=40, unique_by=lambda r: r[0]
)


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Return the rows of two columns beside a number that the pages of a file hold."""
    found = []
    with Pages(path) as pages:
        for cells in pages.pages():
            for cell in cells:
                assert cell is not None
                if cell.rowid is not None and len(cell.values) == 3 and cell.values[0] is None:
                    found.append((cell.rowid, *cell.values[1:]))
    return sorted(found, key=lambda row: row[0])


@settings(max_examples=60)
@given(
    rows_=ROWS,
    size=some.sampled_from([512, 1024, 4096, 65536]),
    encoding=some.sampled_from(["UTF-8", "UTF-16le", "UTF-16be"]),
    journal=some.booleans(),
    vacuumed=some.sampled_from(["NONE", "INCREMENTAL"]),
)
def test_pages_hold_what_was_put_in(
    rows_: list[tuple[Any, ...]], size: int, encoding: str, journal: bool, vacuumed: str
) -> None:
    """Whatever the values, the size of pages, the encoding and the journal: every row is read as it was written."""
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder, "a.db"), Path(folder, "b.db")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for name, value in (("page_size", size), ("encoding", f"'{encoding}'"), ("auto_vacuum", vacuumed)):
                connection.execute(f"PRAGMA {name}={value}")
            if journal:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")
            for row in rows_:
                connection.execute("INSERT INTO t VALUES (?, ?, ?)", row)
            expected = [tuple(row) for row in connection.execute("SELECT * FROM t ORDER BY id")]
            # As it lies while it is open: what is committed may be in the journal alone.
            shutil.copyfile(path, copy)
            if journal:
                shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        assert rows(copy) == expected


@pytest.mark.parametrize("journal", [False, True])
def test_what_was_removed_or_not_committed_is_not_read(tmp_path: Path, journal: bool) -> None:
    """Rows of removed tables and of a transaction that is open are not among those that are read."""
    path, copy = tmp_path / "a.db", tmp_path / "b.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if journal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE gone (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany("INSERT INTO gone VALUES (?, 'gone', ?)", [(n, "x" * 50) for n in range(500)])
        connection.execute("DROP TABLE gone")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")
        connection.execute("INSERT INTO t VALUES (1, 'here', 2)")
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        if journal:
            connection.executemany("INSERT INTO t VALUES (?, 'open', ?)", [(n, "x" * 500) for n in range(2, 500)])
        shutil.copyfile(path, copy)
        if journal:
            shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        connection.execute("ROLLBACK")
    assert rows(copy) == [(1, "here", 2)]


@settings(max_examples=100)
@given(data=some.binary(max_size=3000), at=some.integers(0, 30_000), log=some.binary(max_size=2000))
def test_noise_is_read_to_its_end(data: bytes, at: int, log: bytes) -> None:
    """Whatever bytes a file and its journal have, reading comes to an end and raises nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.db")
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, "x" * (n * 40), n) for n in range(100)])
        whole = bytearray(path.read_bytes())
        whole[at : at + len(data)] = data
        path.write_bytes(whole)
        Path(f"{path}-wal").write_bytes(log)
        with Pages(path) as pages:
            count = sum(1 for cells in pages.pages() for _ in cells)
        # Each takes two bytes of its page at least.
        assert count <= len(whole) // 2

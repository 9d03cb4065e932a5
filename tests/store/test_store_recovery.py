"""A damaged database is set aside, and what it still holds is in a fresh one; nothing else is ever moved."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import NewerSchemaError, NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool import Spool, segments
from usagetrace.spool.layout import spool_directory
from usagetrace.spool.locks import LockedFile
from usagetrace.store import Store, beside, recovery
from usagetrace.store.catchup import catch_up
from usagetrace.store.connection import MEMORY, open_connection
from usagetrace.store.drain import drain
from usagetrace.store.metrics import HISTOGRAM, MetricPoint
from usagetrace.store.pages import Cell, Pages
from usagetrace.store.recovery import recover
from usagetrace.store.schema import LATEST, RECOVERED
from usagetrace.store.shapes import shape_of, shapes

Sql = Callable[..., list[tuple[Any, ...]]]
NOW = 1_763_287_200_000
PAGE = 4096


def events(first: int, last: int) -> list[Event]:
    """Return events that differ in everything; some do not fit on a page."""
    return [
        Event(
            ("search", "deploy", "invoke")[number % 3], f"a{number}", f"kind{number % 4}", NOW + number * 1000,
            collection_name=f"c{number % 5}", duration_ms=number % 50 + 0.5, session_id=f"s{number // 20}",
            status="error" if number % 7 == 0 else "ok", span_id=f"{number:016x}", item=number % 2 or None,
            metadata={"text": "ü" * (number % 40 if number % 100 else 9000), "workflow_path": f"p{number % 6}"},
        )
        for number in range(first, last)
    ]  # fmt: skip


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table; the ledgers, the numbers of events and when it was recovered are left out."""
    with Store(path) as store:
        found = {}
        for shape in shapes(store.connection):
            if "migrations" not in shape.table:
                columns = ", ".join(name for name in shape.columns if name != "id")
                rows = store.connection.execute(f"SELECT {columns} FROM {shape.table}")
                found[shape.table] = sorted((tuple(row) for row in rows if RECOVERED not in tuple(row)), key=repr)
        return found


def names(path: Path) -> list[str]:
    """Return the names of a database's events, sorted."""
    with Store(path) as store:
        return sorted(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))


@pytest.fixture
def full(path: Path) -> Path:
    """Return a database with something in every table, closed, and a spool whose writer still lives."""
    with Store(path) as store:
        store.write(events(0, 600))
        bounds, counts = (0.1, 1.0), (1, 2, 3)
        store.write_metrics(
            [MetricPoint("2025-11-16", "m", "s", "tool", "{}", HISTOGRAM, 6, 4.0, 0.1, 2.0, bounds, counts)]
        )
        store.run_retention(90, now_ms=NOW)
        store.connection.execute("INSERT INTO spool_positions VALUES ('finished', 0, 0, 3, 1, 5)")
        stream = bytes(range(16))
        store.connection.execute("INSERT INTO metric_seen VALUES (?, 1, 2, 3)", (stream,))
        store.connection.executemany("INSERT INTO imported_records VALUES (?)", [(-(2**63),), (-1,), (0,), (2**62,)])
        store.connection.execute("INSERT INTO metric_streams VALUES (?, 1, 2, 3, 4.0, NULL, 5.5, '[1.0]', '[1, 2]', 6)",
                                 (stream,))  # fmt: skip
    return path


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Write bytes into a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def noise(path: Path, pages: list[int], seed: int = 0) -> None:
    """Overwrite pages with noise, by their numbers from 0."""
    for page in pages:
        overwrite(path, page * PAGE, random.Random(seed + page).randbytes(PAGE))


# --- what comes back -----------------------------------------------------------------------------------------


def test_nothing_is_lost_with_the_first_page(full: Path) -> None:
    """With the first page, and so every way to the others, overwritten, each row of each table comes back."""
    before = content(full)
    noise(full, [0])
    recovered = recover(full, now_ms=NOW)
    assert recovered is not None
    assert (recovered.events, recovered.lost, recovered.refilled) == (600, 0, 0)
    assert content(full) == before
    with Store(full) as store:
        assert store.check() == []


def test_what_was_set_aside_is_whole(full: Path, tmp_path: Path) -> None:
    """The damaged file lies beside, byte for byte, with its journal, under the name of the moment."""
    with Store(full) as store:
        store.write(events(600, 650))
        shutil.copytree(full.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "analytics.db"
    # The first pages are in the journal as well; further ones are in the file alone.
    overwrite(copy, 20 * PAGE, b"noise" * 8000)
    broken, kept = copy.read_bytes(), copy.with_name("analytics.db-wal").read_bytes()
    recovered = recover(copy, now_ms=NOW)
    assert recovered is not None
    assert recovered.aside == copy.with_name("analytics.db.damaged-20251116T100000Z")
    assert recovered.aside.read_bytes() == broken
    assert Path(f"{recovered.aside}-wal").read_bytes() == kept
    assert {f"a{number}" for number in range(600, 650)} <= set(names(copy))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.02, 0.2, 0.7])
def test_noise_costs_what_it_covers(full: Path, seed: int, share: float) -> None:
    """Pages of noise cost about the rows on them; the fresh database is sound, and nothing in it is invented."""
    before = content(full)
    count = full.stat().st_size // PAGE
    chosen = random.Random(seed).sample(range(count), max(int(count * share), 1))
    noise(full, chosen, seed)
    with Store(full) as store:
        damaged = store.check() != []
    recovered = recover(full, now_ms=NOW)
    assert (recovered is not None) == damaged
    after = content(full)
    assert set(after["events"]) <= set(before["events"])
    # Long rows lie on several pages: a little more than the share is lost.
    assert len(after["events"]) >= 600 * (1 - share) * 0.35
    with Store(full) as store:
        assert store.check() == []


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_cut_short(full: Path, keep: float) -> None:
    """A file that is cut short gives what is left of it; one that was emptied begins anew."""
    before = content(full)
    os.truncate(full, int(full.stat().st_size * keep) // 100 * 100)
    recovered = recover(full)
    assert (recovered is None) == (keep == 0.0)
    after = content(full)
    assert set(after["events"]) <= set(before["events"])
    assert len(after["events"]) >= 600 * keep * 0.4
    with Store(full) as store:
        assert store.check() == []


def test_emptied_with_its_journal(path: Path, tmp_path: Path) -> None:
    """Of an emptied file the journal is read; SQLite alone would remove it."""
    with Store(path) as store:
        store.write(events(0, 100))
        shutil.copytree(path.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "analytics.db"
    copy.with_name("analytics.db-shm").unlink()
    os.truncate(copy, 0)
    with Store(copy) as store, pytest.raises(NotAStoreError, match="emptied"):
        store.get_stats()
    recovered = recover(copy)
    assert recovered is not None
    # What had been put back into the file is gone; the journal began with the first table.
    assert (recovered.events, names(copy)) == (100, sorted(f"a{number}" for number in range(100)))


def test_a_damaged_journal(path: Path, tmp_path: Path) -> None:
    """Behind a damaged place in the journal the later transactions are read all the same."""
    with Store(path) as store:
        for first in range(0, 200, 10):
            store.write(events(first, first + 10))
        shutil.copytree(path.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "analytics.db"
    copy.with_name("analytics.db-shm").unlink()
    journal = copy.with_name("analytics.db-wal")
    overwrite(journal, journal.stat().st_size // 3, b"\xaa" * 3000)
    # Nothing that lies in the file itself is left.
    os.truncate(copy, 0)
    recovered = recover(copy)
    assert recovered is not None
    assert set(names(copy)) >= {f"a{number}" for number in range(180)}


def test_removed_events_stay_removed(full: Path, sql: Sql) -> None:
    """Events that were removed do not come back from the pages that they were on; their counts stay."""
    sql(full, "DELETE FROM events WHERE id <= 300")
    before = content(full)
    # The page of the last leaf: everything that tells which pages are free is intact.
    with Pages(full) as pages:
        number = next(at for at in range(len(pages), 1, -1) if pages.read(at)[0] == 0x0D and at not in pages._free)
    noise(full, [number - 1])
    recovered = recover(full)
    assert recovered is not None
    after = content(full)
    assert set(after["events"]) <= set(before["events"])
    assert after["usage_summary"] == before["usage_summary"]


def test_numbers_are_not_used_again(full: Path) -> None:
    """The next event's number is beyond every number that was ever given, those of lost events among them."""
    with Store(full) as store:
        last = store.record_event("deploy", "last", "skill")
        store.connection.execute("DELETE FROM events WHERE id > 500")
    noise(full, [0, 5])
    recover(full)
    with Store(full) as store:
        assert store.record_event("deploy", "next", "skill") > last


def test_other_page_sizes(path: Path, sql: Sql) -> None:
    """A database with pages of another size, whose first page is gone, is read as well."""
    for size in (1024, 8192, 65536):
        file = path.with_name(f"{size}.db")
        beside.make_file(file)
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA page_size={size}")
            connection.execute("VACUUM")
        with Store(file) as store:
            store.write(events(0, 300))
        overwrite(file, 0, b"\xaa" * size)
        recovered = recover(file)
        assert recovered is not None
        assert (size, recovered.events) == (size, 300)


def test_an_adopted_database(v1: Callable[..., Path]) -> None:
    """A database of version 1 that was adopted comes back with its counts."""
    rows = [("deploy", f"a{number}", "skill", "2025-11-16 10:00:00", None) for number in range(50)]
    path = v1(rows, [("gone", "skill", "2025-01-01 00:00:00", "2025-01-02 00:00:00", 7, 0, 0, 0, 0, 7)])
    before = content(path)
    noise(path, [0])
    assert recover(path) is not None
    assert content(path) == before


def test_counts_are_raised(full: Path) -> None:
    """Rows of the summary and the rollups that can't be read are counted anew from the events."""
    before = content(full)
    tables = ("usage_summary", "usage_daily", "duration_daily", "sessions")
    with Pages(full) as pages, contextlib.closing(open_connection(MEMORY, busy_timeout_ms=0)) as fresh:
        known = shapes(fresh)
        damaged = []
        for number in range(1, len(pages) + 1):
            data = pages.read(number)
            first = next(pages._cells(data, 0), None) if number > 1 and data[0] in (2, 10) else None
            shape = None if first is None else shape_of(known, first)
            if shape is not None and shape.table in tables:
                damaged.append(number - 1)
    assert damaged
    noise(full, damaged)
    assert recover(full) is not None
    after = content(full)
    assert {table: after[table] for table in tables} == {table: before[table] for table in tables}


def test_noise_in_a_text_of_the_ledger(full: Path) -> None:
    """Noise that SQLite's check does not see, in a text without which the store can't be opened, is mended."""
    before = content(full)
    with Store(full) as store:
        text = store.connection.execute("SELECT checksum FROM schema_migrations WHERE version = 2").fetchone()[0]
    overwrite(full, full.read_bytes().index(text.encode()) + 20, b"\xff\xfe\xff")
    with Store(full) as store, pytest.raises(NotAStoreError):
        store.get_stats()
    assert recover(full) is not None
    assert content(full) == before


def test_damage_that_looks_like_a_full_disk(full: Path) -> None:
    """A damaged database that SQLite takes for a full disk is named as what it is; a disk that is full is not."""
    with Store(full) as store:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages}")
        more = [event for _ in range(9) for event in events(600, 700)]
        with pytest.raises(StoreUnavailableError, match="free some space"):
            store.write(more)
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        noise(full, list(range(pages // 2, pages)))
        with pytest.raises(NotAStoreError, match="damaged"):
            store.write(more)
    assert recover(full) is not None


def test_spoilt_before_it_had_a_table(path: Path) -> None:
    """A file that was spoilt while it was made is known as a store, and begun anew."""
    beside.make(str(path), str(path), 1.0, LATEST)
    path.write_bytes(b"noise" * 900)
    assert recover(path) is not None
    with Store(path) as store:
        store.write(events(0, 3))
        assert store.check() == []


def test_every_shape_is_its_own() -> None:
    """No row of a table or of an index has the shape of another table; of two that do, the salvage knows which."""
    with contextlib.closing(open_connection(MEMORY, busy_timeout_ms=0)) as fresh:
        known = shapes(fresh)
        samples = {int: 7, str: "x", bytes: b"x", float: 1.5, type(None): None}
        for shape in known:
            for pick in (0, -1):
                cell = Cell(1 if shape.numbered else None, tuple(samples[kinds[pick]] for kinds in shape.kinds))
                assert shape_of(known, cell) == shape
        # By index: the types that its entries have, the key of the table or the number of the row at the end.
        alike = []
        queries = "SELECT m.name, m.tbl_name FROM sqlite_master AS m WHERE m.type = 'index' ORDER BY m.name"
        for name, table in fresh.execute(queries).fetchall():
            of = next((shape for shape in known if shape.table == table), None)
            assert of is not None
            kinds = {column: kind[0] for column, kind in zip(of.columns, of.kinds, strict=True)}
            columns = [row[2] for row in fresh.execute(f"PRAGMA index_xinfo({name})")]
            values = tuple(samples[int if column is None else kinds[column]] for column in columns)
            found = shape_of(known, Cell(None, values))
            # The key of a table without numbers is the table itself.
            if found is not None and found.table != table:
                alike.append((name, found.table))
    assert alike == [("idx_usage_artifact_type", "usagetrace_state")]


# --- with the spool ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [[], ["position"], ["events"], ["position", "events"]])
def test_a_live_segment_is_counted_once(path: Path, lost: list[str]) -> None:
    """Whatever of a segment's position and events is damaged: each of its events is there once afterwards."""
    folder = spool_directory(path)
    spool = Spool(folder)
    for number in range(200):
        spool.append(events(number, number + 1))
    with Store(path) as store:
        drain(store, folder)
        for number in range(200, 250):
            spool.append(events(number, number + 1))
        if "position" in lost:
            store.connection.execute("DELETE FROM spool_positions")
        if "events" in lost:
            store.connection.execute("DELETE FROM events WHERE id % 3 = 0")
    noise(path, [0])
    recovered = recover(path)
    assert recovered is not None
    assert recovered.refilled == (67 if "events" in lost else 0) + 50 - ("events" in lost)
    for number in range(250, 260):
        spool.append(events(number, number + 1))
    with Store(path) as store:
        assert drain(store, folder).events == 10
        assert store.check() == []
        assert store.rebuild(repair=False).differences == []
        assert store.rebuild(repair=False).beyond == 0
    assert names(path) == sorted(f"a{number}" for number in range(260))
    spool.close()


def test_a_row_that_an_earlier_time_left_is_the_same_event(path: Path) -> None:
    """Found on two pages under two numbers, as where a page of before was left behind: it is there once."""
    made = [Event("deploy", f"a{n}", "skill", NOW, span_id=f"{n:016x}", item=n % 2 or None) for n in range(50)]
    with Store(path) as store:
        store.write(made)
        # By the plain SQL of another tool, so that both rows are there.
        columns = "event_type, artifact_name, artifact_type, timestamp, ts_ms, span_id, item"
        store.connection.execute(f"INSERT INTO events ({columns}) SELECT {columns} FROM events WHERE id <= 20")
    assert len(names(path)) == 70
    noise(path, [0])
    assert recover(path) is not None
    assert names(path) == sorted(each.artifact_name for each in made)
    with Store(path) as store:
        assert store.check() == []


def test_twins_in_a_segment(path: Path) -> None:
    """Events that can't be told apart are as many afterwards as calls recorded."""
    folder = spool_directory(path)
    spool = Spool(folder)
    for _ in range(5):
        spool.append([Event("deploy", "twin", "skill", NOW)])
    with Store(path) as store:
        drain(store, folder)
    for _ in range(3):
        spool.append([Event("deploy", "twin", "skill", NOW)])
    noise(path, [0])
    assert recover(path) is not None
    with Store(path) as store:
        drain(store, folder)
    assert names(path) == ["twin"] * 8
    spool.close()


def test_operations_that_have_begun(path: Path) -> None:
    """What began and has not ended is known afterwards, drained or not; what ended is not."""
    folder = spool_directory(path)
    spool = Spool(folder)
    begun = [event._replace(trace_id=f"{number:032x}") for number, event in enumerate(events(0, 6))]
    with Store(path) as store:
        for event in begun[:3]:
            spool.append_start(tuple(event))
        drain(store, folder)
        for event in begun[3:]:
            spool.append_start(tuple(event))
        spool.append([begun[0]])
        spool.append([begun[3]])
    noise(path, [0])
    assert recover(path) is not None
    with Store(path) as store:
        drain(store, folder)
        kept = store.connection.execute("SELECT trace_id FROM spool_starts ORDER BY trace_id").fetchall()
        assert [row[0] for row in kept] == [begun[number].trace_id for number in (1, 2, 4, 5)]
    assert names(path) == ["a0", "a3"]
    spool.close()


def test_catching_up_mends(full: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who catches up with the spool finds a sound database with everything in it, and is told once."""
    spool = Spool(spool_directory(full))
    for event in events(600, 650):
        spool.append([event])
    noise(full, [0])
    report = catch_up(full)
    assert report is not None
    assert report.complete
    assert names(full) == sorted(f"a{number}" for number in range(650))
    assert [".damaged-" in record.message for record in caplog.records] == [True]
    spool.close()


def test_nobody_drains_meanwhile(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database is not replaced while somebody drains into it."""
    monkeypatch.setattr(recovery, "_WAIT_S", 0.05)
    noise(full, [0])
    before = full.read_bytes()
    lock = LockedFile.take(os.path.join(spool_directory(full), beside.DRAIN_LOCK), make=True)
    assert lock is not None
    with contextlib.closing(lock), pytest.raises(StoreUnavailableError, match="drains"):
        recover(full)
    assert full.read_bytes() == before
    assert recover(full) is not None


# --- what is never touched -----------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def _document(path: Path) -> None:
    path.write_text("dear diary, " * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE events (mine TEXT)")


def _foreign_damaged(path: Path) -> None:
    _foreign(path)
    overwrite(path, 4096, b"\xaa" * 4096)


def _sound(path: Path) -> None:
    with Store(path) as store:
        store.write(events(0, 10))


def _missing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("make", [_document, _empty, _foreign, _foreign_damaged, _sound, _missing])
def test_what_is_not_a_damaged_store_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Documents, empty files, other programs' databases and sound stores stay as they are, and nothing is made."""
    path = tmp_path / "mine" / "notes.db"
    path.parent.mkdir()
    make(path)
    before = tree(path.parent)
    assert recover(path) is None
    after = tree(path.parent)
    # Reading a database makes the index of its journal; what lay there is as it was.
    assert {name: after[name] for name in before if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }


def test_a_document_where_a_store_was_refused(tmp_path: Path) -> None:
    """A path that was tried as a store, and is none, is not taken for one that was."""
    path = tmp_path / "letter.txt"
    _document(path)
    before = path.read_bytes()
    with Store(path) as store, pytest.raises(NotAStoreError):
        store.get_stats()
    assert recover(path) is None
    assert path.read_bytes() == before


def test_a_sound_database_of_another_program_in_its_place(full: Path) -> None:
    """A sound database that somebody put where a store was is not moved."""
    full.unlink()
    _foreign(full)
    with contextlib.closing(sqlite3.connect(full)) as connection, connection:
        connection.execute("CREATE TABLE schema_migrations (version TEXT)")
    before = full.read_bytes()
    assert recover(full) is None
    assert full.read_bytes() == before


@pytest.mark.parametrize("by", ["mark", "ledger", "rows"])
def test_a_newer_schema_is_left_alone(full: Path, sql: Sql, by: str) -> None:
    """A damaged database of a newer version stays where it is, by whatever it can be told."""
    sql(full, "INSERT INTO schema_migrations VALUES (?, '', '', '')", (LATEST + 1,))
    if by == "mark":
        beside.mark(str(full), LATEST + 1)
    noise(full, [0 if by != "ledger" else 9])
    before = full.read_bytes()
    if by == "rows":
        with pytest.raises(NewerSchemaError):
            recover(full)
        # It could be told only from its pages; it goes back to where it was.
        assert full.read_bytes() == before
        assert beside.unfinished(str(full)) is None
        return
    with pytest.raises(NewerSchemaError, match="upgrade"):
        recover(full)
    assert full.read_bytes() == before


# --- two at once, and one that dies --------------------------------------------------------------------------


def test_two_at_once(full: Path) -> None:
    """Of threads that find the damage at once, one recovers; the others find a sound store."""
    noise(full, [0])
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(recover(full))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each is None for each in found) == [False, True, True, True]
    assert len(list(full.parent.glob("*.damaged-*"))) == 1


def test_others_that_have_it_open_go_on(full: Path) -> None:
    """A store that was open before writes into the fresh database, and its journal has no part in that."""
    with Store(full) as other:
        other.write(events(600, 610))
        # The journal goes back into the file, so that what is damaged is damaged for everybody.
        other.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        noise(full, [0])
        recovered = recover(full)
        assert recovered is not None
        other.write(events(700, 701))
        assert names(full) == sorted(f"a{number}" for number in (*range(610), 700))
        assert other.check() == []


def test_it_is_not_opened_meanwhile(full: Path) -> None:
    """While a recovery is not over nobody opens or makes the database; the check says why."""
    beside.begin_recovery(str(full), "analytics.db.damaged-x")
    full.rename(full.with_name("analytics.db.damaged-x"))
    with Store(full) as store:
        with pytest.raises(NotAStoreError, match="not over"):
            store.write(events(0, 1))
        assert ["not over" in fault for fault in store.check()] == [True]
    assert not full.exists()
    recovered = recover(full)
    assert recovered is not None
    assert recovered.events == 600


STEPS = ("os.rename", "os.replace", "os.fsync", "os.unlink", "beside.begin_recovery", "migrations.migrate", "rebuild")


@contextlib.contextmanager
def _dying(monkeypatch: pytest.MonkeyPatch, step: str, count: int) -> Iterator[None]:
    """Make a step fail as a kill would, at its so many-th call."""
    left = [count]
    place = getattr(recovery, step.split(".")[0]) if "." in step else recovery
    name = step.split(".")[-1]
    real = getattr(place, name)

    def die(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, die)
        yield


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_interrupted_anywhere(full: Path, monkeypatch: pytest.MonkeyPatch, step: str, count: int) -> None:
    """A recovery that ends at any step is gone on with by the next one; the damaged file is never lost."""
    before = content(full)
    noise(full, [0])
    broken = full.read_bytes()
    full.with_name("analytics.db-wal").write_bytes(b"no journal")
    with contextlib.suppress(KeyboardInterrupt), _dying(monkeypatch, step, count):
        recover(full, now_ms=NOW)
    recover(full, now_ms=NOW)
    assert content(full) == before
    if (step, count) != ("os.rename", 1):
        # Else SQLite removed it, as it was closed while the file was still in its place.
        assert [each.read_bytes() for each in full.parent.glob("*.damaged-*-wal")] == [b"no journal"]
    assert broken in [each.read_bytes() for each in full.parent.glob("*.damaged-*")]
    assert beside.unfinished(str(full)) is None
    assert list(full.parent.glob(".*")) == []


RECOVER = """
import sys
from usagetrace.store.recovery import recover
print("begun", flush=True)
recover(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_killed_anywhere(full: Path, python: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """After a kill at any moment the next recovery ends it, with everything there."""
    before = content(full)
    noise(full, [0])
    kept = tmp_path / "kept"
    shutil.copytree(full.parent, kept)
    for number in range(6):
        shutil.rmtree(full.parent)
        shutil.copytree(kept, full.parent)
        process = python(RECOVER, full)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.02 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        recover(full)
        assert content(full) == before


# --- removed, moved and replaced -----------------------------------------------------------------------------


def _remove(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def _remove_all(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("away", [_remove, _move, _remove_all])
@pytest.mark.parametrize("kind", ["write", "atomic", "read", "metrics", "retention"])
def test_a_database_that_is_gone_is_made_anew(path: Path, away: Callable[[Path], None], kind: str) -> None:
    """A store whose file is gone begins another one at its next use; the journals of the former have no part in it."""
    with Store(path) as store:
        store.write(events(0, 50))
        away(path)
        if kind == "write":
            store.write(events(50, 60))
        elif kind == "atomic":
            with store.atomic():
                store.write(events(50, 55))
                store.write(events(55, 60))
        elif kind == "metrics":
            store.write_metrics([MetricPoint("2025-11-16", "m", "1", "tool", "{}", "sum", 1, 1.0)])
        elif kind == "retention":
            store.run_retention(90, now_ms=NOW)
        expected = sorted(f"a{number}" for number in range(50, 60)) if kind in ("write", "atomic") else []
        assert names(path) == expected
        assert store.get_stats()["total_events"] == len(expected)
        assert store.check() == []


def test_a_database_in_its_place(path: Path, tmp_path: Path) -> None:
    """A store goes on with the file that was put in the place of its own, at its next use."""
    with Store(tmp_path / "other.db") as other:
        other.write(events(100, 110))
    with Store(path) as store:
        store.write(events(0, 10))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink()
        os.replace(tmp_path / "other.db", path)
        store.write(events(200, 201))
        assert names(path) == sorted(f"a{number}" for number in (*range(100, 110), 200))


def test_replaced_while_waiting_for_the_lock(path: Path, tmp_path: Path) -> None:
    """A transaction that waited for the lock of a file which was replaced meanwhile goes to the one in its place."""
    with Store(path) as store, Store(path) as other:
        store.write(events(0, 10))
        other.get_stats()
        connection = store.connection
        connection.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=other.write, args=(events(10, 11),))
        thread.start()
        time.sleep(0.1)
        for suffix in ("", "-wal", "-shm"):
            os.rename(f"{path}{suffix}", f"{path}.former{suffix}")
        connection.execute("ROLLBACK")
        thread.join()
        assert names(path) == ["a10"]


def test_journals_of_another_database(path: Path, tmp_path: Path) -> None:
    """Journals that a removed database left are never applied to a new one, also where their processes still live."""
    with Store(path) as store:
        store.write(events(0, 100))
        path.unlink()
        with Store(path) as fresh:
            assert fresh.get_stats()["total_events"] == 0
            fresh.write(events(500, 501))
            assert store.get_stats()["total_events"] == 1
    assert names(path) == ["a500"]


def test_a_transaction_stays_where_it_began(path: Path) -> None:
    """A file that goes away within a transaction takes the transaction with it; the next one is in the new file."""
    with Store(path) as store:
        store.write(events(0, 1))
        with store.atomic():
            store.write(events(1, 2))
            path.unlink()
            store.write(events(2, 3))
        store.write(events(3, 4))
    assert names(path) == ["a3"]


def test_read_only_and_gone(path: Path) -> None:
    """A store that may only read says that its file is gone, and makes none."""
    with Store(path) as store:
        store.write(events(0, 1))
    with Store(path, read_only=True) as store:
        assert store.get_stats()["total_events"] == 1
        path.unlink()
        with pytest.raises(StoreError):
            store.get_stats()
    assert not path.exists()


def test_the_mark(path: Path, v1: Callable[..., Path]) -> None:
    """A store that was opened for writing is marked, also one that was adopted; one that was only read is not."""
    for file in (path, v1()):
        with Store(file) as store:
            store.get_stats()
        assert beside.marked(str(file)) == LATEST
        shutil.rmtree(spool_directory(file))
        with Store(file, read_only=True) as store:
            store.get_stats()
        assert beside.marked(str(file)) is None
    assert segments(spool_directory(path)) == []

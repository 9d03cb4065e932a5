"""A database is copied while it is in use, checked, and put back without losing the one that was there."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usagetrace.errors import NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.spool.locks import LockedFile
from usagetrace.store import Store, beside, copies
from usagetrace.store.connection import MEMORY
from usagetrace.store.drain import drain
from usagetrace.store.recovery import recover

Sql = Callable[..., list[tuple[Any, ...]]]
NOW = 1_763_287_200_000


@pytest.fixture
def store(path: Path) -> Any:
    with Store(path) as made:
        made.write([Event("deploy", f"a{number}", "skill", NOW, duration_ms=3.0) for number in range(100)])
        yield made


def total(path: Path) -> int:
    with Store(path) as store:
        return int(store.get_stats()["total_events"])


# --- backup ------------------------------------------------------------------------------------------------


def test_a_copy_is_whole(store: Store, tmp_path: Path) -> None:
    """A copy is one file with everything in it, for its owner alone, under a name that says when it was made."""
    copy = store.backup(tmp_path / "copies", now_ms=NOW)
    assert [each.name for each in copy.parent.iterdir()] == ["analytics-20251116T100000Z.db"]
    if os.name == "posix":
        assert [stat.S_IMODE(each.stat().st_mode) for each in (copy, copy.parent)] == [0o600, 0o700]
    assert total(copy) == 100
    assert Store(copy).check() == []


def test_the_last_ones_stay(store: Store, tmp_path: Path) -> None:
    """So many copies stay, the newest, those of one second told apart; other files in the folder are left alone."""
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in ("notes.txt", "other-20251116T100000Z.db", "analytics-yesterday.db"):
        (folder / name).write_text("mine")
    for number in range(12):
        store.backup(folder, keep=3, now_ms=NOW + (number // 11) * 1000)
    assert sorted(each.name for each in folder.iterdir()) == [
        "analytics-20251116T100000Z-10.db", "analytics-20251116T100000Z-11.db", "analytics-20251116T100001Z.db",
        "analytics-yesterday.db", "notes.txt", "other-20251116T100000Z.db",
    ]  # fmt: skip


def test_seven_stay_by_default(store: Store, tmp_path: Path) -> None:
    """Without a number seven copies stay."""
    for number in range(9):
        store.backup(tmp_path / "copies", now_ms=NOW + number * 1000)
    assert len(list((tmp_path / "copies").iterdir())) == 7


def test_keep_none_is_refused(store: Store, tmp_path: Path) -> None:
    """Keeping no copy at all is refused before one is made."""
    with pytest.raises(ValueError, match="at least 1"):
        store.backup(tmp_path / "copies", keep=0)
    assert not (tmp_path / "copies").exists()


def test_while_others_write(store: Store, path: Path, tmp_path: Path) -> None:
    """Copies made while another thread writes are sound, and every batch is in a copy whole or not at all."""
    done = threading.Event()

    def write() -> None:
        with Store(path) as other:
            while not done.is_set():
                other.write([Event("sync", "b", "skill", NOW)] * 10)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        copies = [store.backup(tmp_path / "copies", now_ms=NOW + number * 1000) for number in range(5)]
    finally:
        done.set()
        thread.join()
    for copy in copies:
        assert Store(copy).check() == []
        assert total(copy) % 10 == 0


def test_a_folder_that_is_none(store: Store, tmp_path: Path) -> None:
    """Where the folder can't be made the error names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="file/copies"):
        store.backup(tmp_path / "file" / "copies")


# --- restore -----------------------------------------------------------------------------------------------


def test_there_and_back(store: Store, path: Path, tmp_path: Path) -> None:
    """What was there lies beside it under a dated name, and can be restored in turn."""
    copy = store.backup(tmp_path / "copies", now_ms=NOW)
    store.record_event("deploy", "later", "skill")
    aside = store.restore(copy, now_ms=NOW)
    assert aside == path.with_name("analytics.before-restore-20251116T100000Z.db")
    assert (store.get_stats()["total_events"], total(aside)) == (100, 101)
    again = store.restore(aside, now_ms=NOW)
    assert again == path.with_name("analytics.before-restore-20251116T100000Z-2.db")
    assert (store.get_stats()["total_events"], total(again), store.check()) == (101, 100, [])


def test_others_that_have_it_open_go_on(store: Store, path: Path, tmp_path: Path) -> None:
    """A connection that was open before reads and writes the restored database."""
    copy = store.backup(tmp_path / "copies")
    store.record_event("deploy", "later", "skill")
    with Store(path) as other:
        assert other.get_stats()["total_events"] == 101
        store.restore(copy)
        assert other.get_stats()["total_events"] == 100
        other.record_event("deploy", "more", "skill")
    assert store.get_stats()["total_events"] == 101


def test_where_nothing_was(store: Store, tmp_path: Path) -> None:
    """A database that is not there is made from the copy, and nothing was set aside."""
    copy = store.backup(tmp_path / "copies")
    with Store(tmp_path / "fresh" / "analytics.db") as other:
        assert other.restore(copy) is None
        assert other.get_stats()["total_events"] == 100


def test_what_the_spool_still_has_comes_again(store: Store, path: Path, tmp_path: Path) -> None:
    """Events of a living process that were drained after the copy was made are in the restored database too, once."""
    folder = spool_directory(path)
    spool = Spool(folder)
    spool.append([Event("sync", "before", "skill", NOW)])
    drain(store, folder)
    copy = store.backup(tmp_path / "copies")
    spool.append([Event("sync", "after", "skill", NOW)])
    drain(store, folder)
    store.restore(copy)
    drain(store, folder)
    spool.append([Event("sync", "later", "skill", NOW)])
    drain(store, folder)
    synced = store.connection.execute("SELECT artifact_name FROM events WHERE event_type = 'sync' ORDER BY id")
    assert [row[0] for row in synced] == ["before", "after", "later"]
    spool.close()


def test_nobody_drains_meanwhile(store: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is not put in the place of a database that somebody drains into."""
    monkeypatch.setattr(copies, "_WAIT_S", 0.05)
    copy = store.backup(tmp_path / "copies")
    store.record_event("deploy", "later", "skill")
    lock = LockedFile.take(str(Path(spool_directory(path)) / beside.DRAIN_LOCK), make=True)
    assert lock is not None
    with contextlib.closing(lock), pytest.raises(StoreUnavailableError, match="drains"):
        store.restore(copy)
    assert store.get_stats()["total_events"] == 101


def test_journals_that_were_left(store: Store, path: Path, tmp_path: Path) -> None:
    """Where the database was removed and its journals were left, they have no part in the restored one."""
    copy = store.backup(tmp_path / "copies")
    store.record_event("deploy", "later", "skill")
    path.unlink()
    with Store(path) as other:
        assert other.restore(copy) is None
        assert (other.get_stats()["total_events"], other.check()) == (100, [])
    assert store.get_stats()["total_events"] == 100


def test_an_interrupted_recovery_is_over(store: Store, path: Path, tmp_path: Path) -> None:
    """A copy ends a recovery that was interrupted; what that one had set aside stays."""
    copy = store.backup(tmp_path / "copies")
    store.close()
    beside.begin_recovery(str(path), "analytics.db.damaged-x")
    path.rename(path.with_name("analytics.db.damaged-x"))
    with Store(path) as other:
        other.restore(copy)
        assert other.get_stats()["total_events"] == 100
    assert recover(path) is None
    assert path.with_name("analytics.db.damaged-x").exists()


@pytest.mark.parametrize("damage", ["noise", "empty", "cut", "page"])
def test_in_place_of_a_damaged_one(store: Store, path: Path, tmp_path: Path, damage: str) -> None:
    """A damaged database is set aside byte for byte, or as far as it can be read, and the copy takes its place."""
    copy = store.backup(tmp_path / "copies")
    store.close()
    content = path.read_bytes()
    broken = {
        "noise": bytes(range(256)) * 64,
        "empty": b"",
        "cut": content[: len(content) // 2],
        "page": content[:4096] + b"\xaa" * 4096 + content[8192:],
    }[damage]
    path.write_bytes(broken)
    with Store(path) as other:
        aside = other.restore(copy)
        assert aside is not None
        assert aside.exists()
        if damage == "noise":
            assert aside.read_bytes() == broken
        assert (other.get_stats()["total_events"], other.check()) == (100, [])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _noise(path: Path) -> None:
    path.write_bytes(b"noise" * 5000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, '', '', '')")


@pytest.mark.parametrize("spoil", [_cut, _noise, _empty, _newer])
def test_a_spoilt_copy_changes_nothing(store: Store, path: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """A copy that is damaged, empty or of a newer version is refused by name, and the database is as it was."""
    copy = store.backup(tmp_path / "copies")
    spoil(copy)
    before = sorted(each.name for each in path.parent.iterdir() if each.suffix == ".db")
    with pytest.raises(StoreError, match=copy.name):
        store.restore(copy)
    assert sorted(each.name for each in path.parent.iterdir() if each.suffix == ".db") == before
    assert (store.get_stats()["total_events"], store.check()) == (100, [])


def test_an_older_copy_comes_forward(store: Store, path: Path, tmp_path: Path, v1: Callable[..., Path]) -> None:
    """A copy in the schema of version 1 is restored and brought to this version at its next use."""
    copy = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    store.restore(copy)
    assert (store.get_stats()["total_events"], store.check()) == (1, [])


def test_in_a_transaction_or_in_memory(store: Store, tmp_path: Path) -> None:
    """Neither a copy nor a restore is made inside a transaction; a store in memory has no file to restore."""
    copy = store.backup(tmp_path / "copies")
    with store.atomic():
        for step in (lambda: store.restore(copy), lambda: store.backup(tmp_path / "copies")):
            with pytest.raises(StoreError, match="transaction is open"):
                step()
    with Store(MEMORY) as memory, pytest.raises(StoreError, match="in memory"):
        memory.restore(copy)


# --- check -------------------------------------------------------------------------------------------------

FAULTS = {
    "index": ("DROP INDEX idx_events_ts_ms", "the index idx_events_ts_ms is missing"),
    "trigger": ("DROP TRIGGER events_v1_insert", "the trigger events_v1_insert is missing"),
    "position": ("INSERT INTO spool_positions VALUES ('p-1', -5, 1, 0, 0, 9)", "segment p-1 is impossible"),
    "count": ("UPDATE usage_daily SET events = 0", "usage_daily: 100 rows count less"),
    "schema": ("DROP TABLE sessions", "table sessions"),
    "ledger": ("UPDATE schema_migrations SET checksum = 'x' WHERE version = 2", "migration 2"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_names_a_fault(store: Store, path: Path, sql: Sql, case: str) -> None:
    """Each fault is one text that names the file and the thing; a sound database has none."""
    assert store.check() == []
    store.close()
    statement, expected = FAULTS[case]
    sql(path, statement)
    (fault,) = store.check()
    assert fault.startswith(f"{path}: ")
    assert expected in fault


def test_names_damage(store: Store, path: Path) -> None:
    """Pages of noise, and a file of noise, are faults, not errors."""
    store.close()
    content = path.read_bytes()
    for broken in (content[:8192] + b"\xaa" * 8192 + content[16384:], b"noise" * 5000):
        path.write_bytes(broken)
        assert store.check() != []


def test_an_older_schema_is_named_and_stays(v1: Callable[..., Path]) -> None:
    """A database of version 1 is told to be older, and is not migrated by looking."""
    path = v1([("deploy", "canvas", "skill", "2025-11-16 10:00:00", None)])
    before = path.read_bytes()
    (fault,) = Store(path).check()
    assert "schema version 0" in fault
    assert path.read_bytes() == before


def test_in_memory() -> None:
    """A store in memory is checked too."""
    with Store(MEMORY) as store:
        store.record_event("deploy", "canvas", "skill")
        assert store.check() == []


def test_no_database(tmp_path: Path) -> None:
    """A file that is not there can't be checked, and is not made."""
    with pytest.raises(StoreUnavailableError):
        Store(tmp_path / "none.db").check()
    assert not (tmp_path / "none.db").exists()


def test_a_copy_is_refused_by_its_name(tmp_path: Path, store: Store) -> None:
    """A file that is no database is no copy."""
    (tmp_path / "letter.txt").write_text("dear diary, " * 500)
    with pytest.raises(NotAStoreError, match=r"letter\.txt"):
        store.restore(tmp_path / "letter.txt")

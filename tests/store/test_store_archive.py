"""Old events go to Parquet files before they go."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool.locks import LockedFile
from usagetrace.store import Store, archive
from usagetrace.store.connection import MEMORY
from usagetrace.store.queries import DAY_MS

NOW = 1_763_287_200_000
TODAY = NOW - NOW % DAY_MS
OLD = TODAY - 100 * DAY_MS
Sql = Callable[..., list[tuple[Any, ...]]]


def events_of(day_ms: int, count: int) -> list[Event]:
    """Return events that have every field, over one day."""
    return [
        Event(
            "sync", f"ünï-{n}", "skill", day_ms + n * 1000, "c" if n % 2 else None, "~/p", duration_ms=n / 3,
            metadata={"n": n, "text": "a\u2028b\"'"} if n % 3 else None, status="error" if n % 5 == 0 else "ok",
            error_type="ValueError" if n % 5 == 0 else None, session_id=f"s{n % 7}", service_name="shelf",
            trace_id=f"{n:032x}", span_id=f"{n:016x}", item=n % 2,
        )
        for n in range(count)
    ]  # fmt: skip


def rows(store: Store, before_ms: int = NOW - 90 * DAY_MS) -> list[dict[str, Any]]:
    found = store.connection.execute("SELECT * FROM events WHERE ts_ms < ? AND ts_ms <> 0 ORDER BY id", (before_ms,))
    return [dict(row) for row in found]


def archived(folder: Path) -> list[dict[str, Any]]:
    """Return every row of every file, in the order of their ids."""
    found = [row for path in sorted(folder.glob("*.parquet")) for row in parquet.ParquetFile(path).read().to_pylist()]
    return sorted(found, key=lambda row: row["id"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "archive"


@pytest.fixture
def store(path: Path) -> Any:
    with Store(path) as store:
        for days in (0, 1, 3):
            store.write(events_of(OLD + days * DAY_MS, 40))
        store.write([Event("deploy", "young", "skill", NOW), Event("deploy", "unknown", "skill", 0)])
        yield store


def test_the_files_have_what_the_table_had(store: Store, folder: Path) -> None:
    """Each day is one file with the table's columns and types, equal row by row; what is young or undated stays."""
    before = rows(store)
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 120
    assert archived(folder) == before
    assert json.loads(before[1]["metadata"]) == {"n": 1, "text": "a\u2028b\"'"}
    assert {row["artifact_name"] for row in store.get_events()} == {"young", "unknown"}
    files = sorted(path.name.split("-", 1)[1] for path in folder.iterdir())
    assert files == ["2025-08-08-1-40.parquet", "2025-08-09-41-80.parquet", "2025-08-11-81-120.parquet"]
    schema = parquet.read_schema(next(iter(folder.iterdir())))
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        row["name"]: {"INTEGER": "int64", "REAL": "double"}.get(row["type"], "string")
        for row in store.connection.execute("SELECT name, type FROM pragma_table_info('events')")
    }


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_files_are_their_owners_alone(store: Store, folder: Path) -> None:
    """The folder that is made and the files in it can be read by nobody else."""
    store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_nothing_old_writes_nothing(path: Path, folder: Path) -> None:
    """Where nothing is removed no file is made, and pyarrow is not needed for it."""
    with Store(path) as store:
        store.write([Event("deploy", "young", "skill", NOW)])
        assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 0
    assert list(folder.iterdir()) == []


def test_a_day_in_two_runs_is_two_files(store: Store, folder: Path) -> None:
    """What of a day became old since the last run goes to a file of its own."""
    before = rows(store)
    middle = OLD + 20 * 1000
    assert store.cleanup_old_events(1, now_ms=middle + DAY_MS, archive=folder) == 20
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 100
    assert archived(folder) == before
    assert len(list(folder.glob("*-2025-08-08-*"))) == 2


def test_two_stores_share_a_folder(store: Store, folder: Path, tmp_path: Path) -> None:
    """Stores number alike; the files of one neither replace nor stand for those of the other."""
    with Store(tmp_path / "other.db") as other:
        other.write([Event("deploy", f"other-{n}", "skill", OLD + n * 1000) for n in range(40)])
        for each in (store, other):
            each.cleanup_old_events(90, now_ms=NOW, archive=folder)
    names = [row["artifact_name"] for row in archived(folder)]
    assert len(names) == 160
    assert sum(name.startswith("other-") for name in names) == 40


@pytest.mark.parametrize("removed", [0, 1, 17, 39, 40])
def test_a_run_that_ended_before_the_removal(store: Store, folder: Path, removed: int) -> None:
    """What is archived and still there is removed by the next run, archived once, whatever part had gone already."""
    before = rows(store)
    store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    # As if the process had died within the removal: the rows come back, but for some.
    columns = ", ".join(before[0])
    marks = ", ".join("?" * len(before[0]))
    back = [tuple(row.values()) for row in (*before[:40][::-1][removed:], *before[40:])]
    store.connection.executemany(f"INSERT INTO events ({columns}) VALUES ({marks})", back)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == len(back)
    assert archived(folder) == before
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_an_id_that_is_used_again_is_another_event(store: Store, folder: Path) -> None:
    """After an older copy was restored ids begin again: such an event is archived beside the former one."""
    store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    insert = "INSERT INTO events (id, event_type, artifact_name, artifact_type, ts_ms) VALUES (?, 'deploy', ?, 'x', ?)"
    for number in (1, 40):
        store.connection.execute(insert, (number, f"again-{number}", OLD + 500 + number))
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 2
    found = archived(folder)
    assert [row["artifact_name"] for row in found if row["id"] in (1, 40)].count("again-1") == 1
    assert len(found) == 122
    # The span of ids is that of the first file: the name has a number.
    assert len(list(folder.glob("*-2025-08-08-1-40-2.parquet"))) == 1


def test_a_damaged_file_stands_for_nothing(store: Store, folder: Path) -> None:
    """A file that can't be read is left alone, and its events are written anew beside it."""
    before = rows(store)
    with contextlib.suppress(RuntimeError):
        store.run_retention(90, now_ms=NOW, archive=folder, may_go_on=lambda: not list(folder.glob("*.parquet")))
    (file,) = folder.glob("*.parquet")
    file.write_bytes(b"noise")
    store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert file.read_bytes() == b"noise"
    file.unlink()
    assert archived(folder) == before


def test_values_of_another_kind_are_kept_as_text(store: Store, folder: Path) -> None:
    """A number column that holds a text is text in that day's file; bytes that are no UTF-8 stop nothing."""
    insert = (
        "INSERT INTO events (event_type, artifact_name, artifact_type, ts_ms, duration_ms, metadata) "
        "VALUES ('deploy', ?, 'x', ?, ?, CAST(? AS TEXT))"
    )
    store.connection.execute(insert, ("odd", OLD + 5, "soon", b"\xff\xfe"))
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 121
    (odd,) = [row for row in archived(folder) if row["artifact_name"] == "odd"]
    assert (odd["duration_ms"], odd["metadata"]) == ("soon", "\ufffd\ufffd")


def test_columns_of_somebody_elses_are_archived(store: Store, folder: Path) -> None:
    """A column that another tool added to the table is a column of the file, whatever its name."""
    store.connection.execute("""ALTER TABLE events ADD COLUMN "my ""mood" TEXT DEFAULT 'glad'""")
    store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert {row['my "mood'] for row in archived(folder)} == {"glad"}


def test_memory_is_bounded(path: Path, folder: Path) -> None:
    """A day of fat events is written a few megabytes at a time."""
    with Store(path) as store:
        store.write([Event("deploy", f"a{n}", "skill", OLD + n, metadata={"x": f"{n}" * 12_000}) for n in range(1500)])
        size = path.stat().st_size + Path(f"{path}-wal").stat().st_size
        store.close()
        tracemalloc.start()
        try:
            assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 1500
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size > 60_000_000
    assert peak < 40_000_000
    (file,) = folder.iterdir()
    assert parquet.read_metadata(file).num_row_groups > 5


# --- when it can't be done ---------------------------------------------------------------------------------


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the import system find no pyarrow."""
    find = archive.importlib.util.find_spec
    monkeypatch.setattr(archive.importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name))


def test_without_pyarrow(store: Store, folder: Path, without_pyarrow: None) -> None:
    """By hand it is an error that names the extra; nothing is removed or made."""
    with pytest.raises(StoreError, match=r"pip install 'usagetrace\[archive\]'"):
        store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert len(rows(store)) == 120
    assert not folder.exists()


def test_automatic_without_pyarrow(
    store: Store, folder: Path, without_pyarrow: None, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """By itself it removes nothing and warns once; when pyarrow is there, it need not wait for a day."""
    for _ in range(3):
        assert store.run_retention(90, now_ms=NOW, archive=folder) == 0
    assert len(rows(store)) == 120
    assert [record.getMessage().count("usagetrace[archive]") for record in caplog.records] == [1]
    monkeypatch.undo()
    assert store.run_retention(90, now_ms=NOW, archive=folder) == 120
    assert store.run_retention(90, now_ms=NOW, archive=folder) == 0


def test_a_folder_that_can_not_be_made(store: Store, tmp_path: Path, caplog: Any) -> None:
    """Where the archive can't be written nothing is removed: an error by hand, one warning by itself."""
    (tmp_path / "file").touch()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match=r"folder: .*archive-dir, --archive"):
            store.cleanup_old_events(90, now_ms=NOW, archive=tmp_path / "file" / "folder")
    assert store.run_retention(90, now_ms=NOW, archive=tmp_path / "file" / "folder") == 0
    assert len(rows(store)) == 120
    assert len(caplog.records) == 1


@pytest.mark.parametrize("fault", ["fsync", "rename"])
def test_a_disk_that_fails(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A file that does not reach the disk, or its name, costs no event, and leaves no part of itself."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.os, fault, fail)
        with pytest.raises(StoreUnavailableError, match="No space left"):
            store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert len(rows(store)) == 120
    assert list(folder.iterdir()) == []
    before = rows(store)
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 120
    assert archived(folder) == before


def test_not_inside_a_transaction(store: Store, folder: Path) -> None:
    """Events of a transaction may never have been: archiving inside one is refused, and it goes on."""
    with store.atomic():
        store.write([Event("deploy", "inside", "skill", OLD)])
        with pytest.raises(StoreError, match="transaction is open"):
            store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    assert len(rows(store)) == 121


def test_one_process_at_a_time(store: Store, path: Path, folder: Path) -> None:
    """While another process archives the same store nothing is removed; afterwards no lock file is left."""
    lock = LockedFile.take(f"{path}.archiving", make=True)
    assert lock is not None
    with pytest.raises(StoreUnavailableError, match="another process"):
        store.cleanup_old_events(90, now_ms=NOW, archive=folder)
    lock.close()
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 120
    assert not Path(f"{path}.archiving").exists()


def test_in_memory(folder: Path) -> None:
    """A store in memory is archived as well, and makes no file beside itself."""
    with Store(MEMORY) as store:
        store.write(events_of(OLD, 10))
        before = rows(store)
        assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 10
        assert archived(folder) == before
    assert list(Path.cwd().iterdir()) == []


KILLED = """
import os, signal, sys
from usagetrace.store import Store, archive, maintenance
countdown = int(sys.argv[4])
def dying(function):
    def call(*arguments, **keywords):
        global countdown
        countdown -= 1
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return call
archive._File.add = dying(archive._File.add)
archive._File._free_name = dying(archive._File._free_name)
archive.sync_folder = dying(archive.sync_folder)
maintenance._remove = dying(maintenance._remove)
with Store(sys.argv[1]) as store:
    store.cleanup_old_events(90, now_ms=int(sys.argv[3]), archive=sys.argv[2])
"""


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_killed_anywhere(store: Store, path: Path, folder: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """However often it is killed, between any two steps, every event is in the files or the table, and once there."""
    before = rows(store)
    store.close()
    deaths = 0
    for number in range(1, 40):
        process = python(KILLED, path, folder, NOW, 1 + number % 5)
        _, err = process.communicate(timeout=60)
        deaths += process.returncode == -signal.SIGKILL
        with Store(path) as looker:
            left = {row["id"] for row in rows(looker)}
        found = [row["id"] for row in archived(folder)]
        assert left | set(found) == {row["id"] for row in before}
        assert len(found) == len(set(found))
        if process.returncode == 0:
            assert err == ""
            break
    assert deaths >= 5
    assert archived(folder) == before
    assert [path for path in folder.iterdir() if path.suffix != ".parquet"] == []


def test_the_lock_of_the_store_is_not_held_while_files_are_written(
    store: Store, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, sql: Sql
) -> None:
    """While a file is written and synced, others write to the store."""
    sync = os.fsync

    def beside(fd: int) -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as other, other:
            other.execute("INSERT INTO migrations (version) VALUES ((SELECT MAX(version) + 1 FROM migrations))")
        sync(fd)

    monkeypatch.setattr(archive.os, "fsync", beside)
    assert store.cleanup_old_events(90, now_ms=NOW, archive=folder) == 120
    # Three files, and the folder after each.
    assert sql(path, "SELECT COUNT(*) FROM migrations") == [(7,)]

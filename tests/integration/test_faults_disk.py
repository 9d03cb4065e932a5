"""Directories that may not be written and disks that are full, under tracked calls: nothing that was taken is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.test_store_faults import namespace
from tests.support.faults import Host, SmallDisk, as_anybody, command, eventually, heal, names, stored

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="namespaces and limits of another process are Linux's; what is shown is not"
)


def writable(folder: Path, yes: bool) -> None:
    """Allow or forbid everything in a directory."""
    for each in (folder, *(folder.rglob("*") if yes else ())):
        each.chmod(0o700 if each.is_dir() else 0o600)
    if not yes:
        for each in sorted(folder.rglob("*"), reverse=True):
            each.chmod(0o500 if each.is_dir() else 0o400)
        folder.chmod(0o500)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data" / "analytics.db"
    path.parent.mkdir()
    yield path
    writable(path.parent, True)


@pytest.mark.parametrize("how", ["flush", "by itself", "end"])
def test_read_only_from_the_beginning(tmp_path: Path, database: Path, how: str) -> None:
    """What was recorded in a directory that could not be written is there once it can, by each way."""
    writable(database.parent, False)
    with Host(database, tmp_path / "home", as_anybody()) as host:
        host.do("calls 300")
        host.do("flush 0.3")
        host.do("calls 300")
        assert list(database.parent.iterdir()) == []
        writable(database.parent, True)
        if how == "flush":
            host.do("flush 20")
        elif how == "by itself":
            assert eventually(lambda: database.exists() and stored(database).total() == host.count)
        host.do("calls 10")
        host.end()
        print(host.summary())
        assert host.figures["flushed"] == [False, True][: 2 if how == "flush" else 1]
        assert len(host.warnings) == 1
        heal(database)
        assert stored(database) == names(0, host.count)


def test_read_only_after_the_first_calls(tmp_path: Path, database: Path) -> None:
    """A directory that loses its modes in the middle stops no append: the segment is open."""
    with Host(database, tmp_path / "home", as_anybody()) as host:
        host.do("calls 100")
        host.do("flush 10")
        host.do("calls 10")
        writable(database.parent, False)
        host.do("calls 3000")
        host.do("flush 0.3")
        host.end()
        print(host.summary())
        assert len(host.warnings) <= 1
        writable(database.parent, True)
        heal(database)
        assert stored(database) == names(0, host.count)


@pytest.mark.parametrize("lives", ["short", "long"])
def test_read_only_until_the_end(tmp_path: Path, database: Path, lives: str) -> None:
    """What can be written nowhere before the process ends is lost: one warning says how many events that were."""
    writable(database.parent, False)
    with Host(database, tmp_path / "home", as_anybody()) as host:
        host.do("calls 300")
        if lives == "long":
            host.do("flush 0.3")
        host.end()
        print(host.summary())
        assert len([each for each in host.warnings if "300 usage events were lost" in each]) == 1
        assert len(host.warnings) == (1 if lives == "short" else 2)
        assert list(database.parent.iterdir()) == []


@pytest.mark.parametrize("drained", [False, True], ids=["nothing drained yet", "drained before"])
def test_no_file_descriptor_left(tmp_path: Path, database: Path, drained: bool) -> None:
    """A host that has every descriptor in use is as it was, not even a module can be loaded then; nothing is lost."""
    with Host(database, tmp_path / "home") as host:
        host.do("calls 10")
        if drained:
            host.do("flush 10")
        host.do("hoard 64")
        host.do("calls 1500")
        host.do("flush 0.2")
        host.do("hoard 0")
        host.do("calls 10")
        host.do("flush 20")
        host.end()
        print(host.summary())
        assert host.figures["flushed"][-1]
        assert len(host.warnings) <= 1
        heal(database)
        assert stored(database) == names(0, host.count)


# --- full disks --------------------------------------------------------------------------------------------


@pytest.fixture(params=["disk", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """Give a disk of 24 MB, or the limit to the size of files; where none may be mounted, the limit both times."""
    made = SmallDisk(tmp_path / "small", 24_576, namespace() if request.param == "disk" else ())
    yield made
    made.close()


def test_full_under_appends(tmp_path: Path, disk: SmallDisk) -> None:
    """While the disk is full calls go on; what they recorded waits in memory and is there once there is room."""
    path = disk.folder / "analytics.db"
    with Host(path, tmp_path / "home", disk.prefix) as host:
        host.do("calls 100")
        host.do("flush 10")
        disk.fill(host)
        host.do("calls 2000")
        host.do("flush 0.3")
        disk.make_room(host)
        host.do("calls 100")
        host.do("flush 20")
        host.do("calls 100")
        host.end()
        print(host.summary())
        assert host.figures["flushed"] == [True, False, True]
        assert len(host.warnings) <= 1
        assert disk.healed(path) == names(0, host.count)


def test_more_than_memory_takes(tmp_path: Path, disk: SmallDisk) -> None:
    """What neither the disk nor the memory's bound takes is lost, the oldest first; how many is told by every door."""
    path = disk.folder / "analytics.db"
    with Host(path, tmp_path / "home", disk.prefix) as host:
        host.do("calls 100")
        host.do("flush 10")
        disk.fill(host)
        host.do("calls 15000")
        disk.make_room(host)
        host.do("flush 20")
        host.do("calls 1")
        host.end()
        print(host.summary())
        code, status = command(path, "status", prefix=disk.prefix)
        found = disk.healed(path)
        missing = names(0, host.count) - found
        print(f"lost {missing.total()}")
        assert found - names(0, host.count) == {}
        assert 0 < missing.total() <= 5000
        assert code == 0
        assert status["stores"][0]["spool"]["lost"] == missing.total()
        assert len(host.warnings) == 1


def test_full_under_a_drain(tmp_path: Path, disk: SmallDisk) -> None:
    """A disk that is full when a spool on it is drained says so and keeps everything; with room it is there, once."""
    path = disk.folder / "analytics.db"
    with Host(path, tmp_path / "home", disk.prefix) as host:
        host.do("calls 900")
        # Killed, so that nothing is drained at its end.
        host.close()
    disk.fill(None, room=30_000)
    # The limit is that of the process: the database is to be smaller than the spool, to be refused.
    code, said = command(path, "db", "drain", prefix=disk.prefix)
    assert code == 1
    assert not (isinstance(said, dict) and said["complete"])
    with Host(path, tmp_path / "home", disk.prefix) as other:
        other.do("calls 50")
        other.do("flush 0.3")
        other.end()
        print(other.summary())
        assert len(other.warnings) == (2 if other.lost else 1)
        disk.make_room(None)
        code, _ = command(path, "db", "drain", prefix=disk.prefix)
        assert code == 0
        found = disk.healed(path)
        assert found - names(0, 900) <= names(0, 50)
        assert found.total() == 950 - other.lost


def test_full_when_the_database_is_made(tmp_path: Path, disk: SmallDisk) -> None:
    """Where there is room for a few appends and none for a database, the appends are there when one can be made."""
    path = disk.folder / "analytics.db"
    disk.fill(None, room=24_000)
    with Host(path, tmp_path / "home", disk.prefix) as host:
        host.do("calls 20")
        host.do("flush 0.3")
        host.do("calls 2")
        host.end()
        print(host.summary())
        assert host.figures["flushed"] == [False]
        assert len(host.warnings) == (2 if host.lost else 1)
    code, status = command(path, "status", prefix=disk.prefix)
    assert code == 0
    assert status["stores"][0]["spool"]["waiting_events"] == 22 - host.lost
    disk.make_room(None)
    # What the database took of the room, the last appends did not have.
    assert host.lost <= 2
    assert disk.healed(path) == names(0, 22 - host.lost)
    code, status = command(path, "status", prefix=disk.prefix)
    print(status["stores"][0]["spool"])


def test_full_under_a_migration(tmp_path: Path, disk: SmallDisk) -> None:
    """A database of an older schema that there is no room to migrate stays whole; with room nothing is missing."""
    path = disk.folder / "analytics.db"
    with Host(path, tmp_path / "home", disk.prefix) as host:
        host.do("calls 2000")
        host.do("flush 10")
        host.end()
    code, said = command(path, "db", "rollback", "--to", "1", prefix=disk.prefix, form=None)
    assert code == 0, said
    disk.fill(None, room=20_000, limit=150_000)
    with Host(path, tmp_path / "home", disk.prefix) as other:
        other.do("calls 20")
        other.do("flush 0.5")
        disk.make_room(other)
        other.do("calls 20")
        other.do("flush 20")
        other.end()
        print(other.summary())
        assert other.figures["flushed"] == [False, True]
        assert len(other.warnings) <= 1
    assert disk.healed(path) == names(0, 2000) + names(0, 40)

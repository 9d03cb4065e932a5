"""A connection through which much is written is set for it, and set back; a drain's memory stays what it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import usagetrace
from usagetrace.errors import StoreError
from usagetrace.store import Store
from usagetrace.store.easing import eased

DRAIN = """
import sys
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.store import Store
from usagetrace.store.drain import drain

folder, few, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Store(f"{folder}/analytics.db") as store:
    for count in (few, many):
        spool = Spool(f"{folder}/spool", max_segment_bytes=1_000_000)
        for n in range(count):
            spool.append([Event("deploy", f"canvas-{n % 500}", "skill", n * 1000, metadata={"n": n}, duration_ms=n)])
        spool.close()
        assert drain(store, f"{folder}/spool").events == count
        # What getrusage says begins with the memory of the process that started this one.
        with open("/proc/self/status") as status:
            print(*(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def _settings(connection: sqlite3.Connection) -> tuple[int, int]:
    pages: int = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    copies: int = connection.execute("PRAGMA temp_store").fetchone()[0]
    return pages, copies


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that is set as one of this package's."""
    with Store(tmp_path / "analytics.db") as store:
        yield store.connection


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("copies", [0, 1, 2])
@pytest.mark.parametrize(
    ("pages", "waiting", "eased_pages"),
    [(1000, 100, 1000), (1000, 5_000_000, 4000), (8000, 5_000_000, 8000), (0, 5_000_000, 0)],
)
def test_settings_come_back(
    connection: sqlite3.Connection, pages: int, waiting: int, eased_pages: int, copies: int, fails: bool
) -> None:
    """Copies stay in memory inside; checkpoints are rarer where much waits; all is as before afterwards, errors too."""
    connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
    connection.execute(f"PRAGMA temp_store={copies}")
    seen = []
    try:
        with eased(connection, "x", waiting):
            seen.append(_settings(connection))
            if fails:
                raise ValueError("in between")
    except ValueError:
        seen.append(_settings(connection))
    assert seen[0] == (eased_pages, 2)
    assert len(seen) == 1 + fails
    assert _settings(connection) == (pages, copies)


def test_a_connection_that_was_closed_inside_is_no_fault(tmp_path: Path) -> None:
    """The database may be replaced while it is drained, and its connection with it."""
    with Store(tmp_path / "analytics.db") as store:
        connection = sqlite3.connect(store.path)
        with eased(connection, "x", 0):
            connection.close()
        with pytest.raises(StoreError, match=r"^some\.db: "), eased(connection, "some.db", 0):
            pytest.fail("a closed connection can't be set")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much a program took at most")
def test_the_memory_of_a_drain_is_that_of_a_segment(tmp_path: Path) -> None:
    """The whole process, SQLite included, takes no more for ten times as many events."""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])}
    told = subprocess.run(
        [sys.executable, "-c", DRAIN, str(tmp_path), "3000", "30000"],
        env=environment, stdout=subprocess.PIPE, check=True, timeout=120,
    ).stdout  # fmt: skip
    few, many = (int(line) * 1024 for line in told.split())
    # It grows by 2.5 MB; by 27 MB where the events are kept.
    assert many - few < 12_000_000
    assert many < 100_000_000

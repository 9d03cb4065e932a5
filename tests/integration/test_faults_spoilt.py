"""A database that is removed, cut, overwritten or replaced under a program that tracks and others that read it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.faults import Host, heal, names, stored
from tests.support.process import clean_environment
from usagetrace.events import Event
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="an open file can't be removed or moved elsewhere")

OLD: Final = 400
OTHERS: Final = 30
Spoil = Callable[[Path], None]


def removed(path: Path) -> None:
    path.unlink()


def removed_with_journals(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def noise(path: Path, begin: float, end: float) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * begin))
        file.write(random.Random(1).randbytes(int(size * (end - begin))))


def noise_at_the_beginning(path: Path) -> None:
    noise(path, 0, 0.2)


def noise_in_the_middle(path: Path) -> None:
    noise(path, 0.4, 0.6)


def noise_all_over(path: Path) -> None:
    noise(path, 0, 1)


def another_store(path: Path) -> Path:
    other = path.with_name("other.db")
    with Store(other) as store:
        store.write([Event("deploy", f"other{n}", "skill", time.time_ns() // 1_000_000) for n in range(OTHERS)])
    return other


def replaced(path: Path) -> None:
    """Put another sound store in its place, without the journals of the one before."""
    other = another_store(path)
    removed_with_journals(path)
    other.replace(path)


def replaced_beside_its_journals(path: Path) -> None:
    """Put another sound store in its place by `mv` alone: SQLite applies the journal to it, and damages it."""
    another_store(path).replace(path)


def away_and_back(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    time.sleep(0.3)
    if path.parent.exists():
        # Somebody began anew there meanwhile: that is kept aside, as whoever moved it would.
        path.parent.rename(path.parent.with_name("meanwhile"))
    elsewhere.rename(path.parent)


def directory_removed(path: Path) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)


def spool_removed(path: Path) -> None:
    shutil.rmtree(spool_directory(path), ignore_errors=True)


# What of the old events, drained long ago, may be lost with the database.
SPOILS: Final[dict[Spoil, bool]] = {
    removed: True, removed_with_journals: True, emptied: True, cut_in_half: True, noise_at_the_beginning: True,
    noise_in_the_middle: True, noise_all_over: True, replaced: True, replaced_beside_its_journals: True,
    away_and_back: False, directory_removed: True, spool_removed: False,
}  # fmt: skip


@contextmanager
def somebody_reads(database: Path, home: Path) -> Iterator[list[int]]:
    """Read with the command line all the time; gives the exit codes, of which none is a crash."""
    source = """
import json, select, subprocess, sys
while not select.select([sys.stdin], [], [], 0)[0]:
    done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stderr]), flush=True)
"""
    reading = [sys.executable, "-m", "usagetrace", "--db", str(database), "db", "stats", "--format", "json"]
    with subprocess.Popen(
        [sys.executable, "-c", source, *reading],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(home),
    ) as reader:
        codes: list[int] = []
        assert reader.stdin is not None
        assert reader.stdout is not None
        try:
            yield codes
        finally:
            # Its last command ends by itself: killed in the middle of a recovery, it would leave that to others.
            reader.stdin.close()
        for line in reader.stdout.read().splitlines():
            code, said = json.loads(line)
            codes.append(code)
            assert "Traceback" not in said, said


# Those that differ least from the others are tried beside the longest tests.
RARE: Final = (removed_with_journals, emptied, noise_at_the_beginning, noise_all_over, directory_removed)


@pytest.mark.parametrize(
    "spoil",
    [pytest.param(each, marks=pytest.mark.e2e) if each in RARE else each for each in SPOILS],
    ids=lambda each: each.__name__,
)
def test_spoilt_while_in_use(tmp_path: Path, spoil: Spoil) -> None:
    """The host is as it was, whoever reads too; what the living host recorded is all there once, whatever was spoilt.

    Only what was drained from processes that had ended is in the database alone: of that, what was destroyed is lost.
    """
    database = tmp_path / "data" / "analytics.db"
    now = time.time_ns() // 1_000_000
    with Store(database) as store:
        store.write([Event("deploy", f"old{number}", "skill", now) for number in range(OLD)])
    with Host(database, tmp_path / "home") as host, somebody_reads(database, tmp_path / "home") as codes:
        host.do("calls 1100")
        host.do("flush 10")
        host.begin("calls 1500 0.0003")
        time.sleep(0.3)
        spoil(database)
        host.wait()
        host.do("calls 100")
        host.end()
    print(spoil.__name__, host.summary(), "reads", codes)
    assert len(host.warnings) <= 1
    heal(database)
    found = stored(database)
    old = {name for name in found if name.startswith("old")}
    others = {name for name in found if name.startswith("other")}
    aside = [each.name for each in database.parent.glob("analytics.db.damaged-*")]
    print(f"old events lost: {OLD - len(old)} of {OLD}; set aside: {aside}")
    assert set(found.values()) == {1}
    assert len(old) == OLD or SPOILS[spoil]
    assert len(others) == OTHERS or spoil is not replaced
    mine = {name: count for name, count in found.items() if name.isdecimal()}
    assert mine == names(0, host.count)

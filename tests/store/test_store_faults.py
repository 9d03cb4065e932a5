"""Disks that are full or read-only, databases spoilt while in use: afterwards nothing is lost, and nothing double."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import usagetrace
from usagetrace.errors import NotAStoreError, StoreError
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.drain import drain
from usagetrace.store.recovery import recover

NOW = 1_763_287_200_000
pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="file systems are mounted, and sizes limited, by POSIX means"
)

# A small disk of its own where one may be mounted; else a limit to the size of files, and modes.
DISK = """
import contextlib, json, os, resource, shutil, signal, sqlite3, subprocess, sys
from pathlib import Path
from usagetrace.errors import StoreUnavailableError
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.store import Store
from usagetrace.store.drain import drain
from usagetrace.store.recovery import recover

small, mounted, wide = Path(sys.argv[1]), sys.argv[2] == "mounted", Path(sys.argv[3])
path, spool = small / "analytics.db", wide / "segments"

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(small)], check=True)

if mounted:
    mount("size=48m,mode=700")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

def leave(room):
    "Leave so many bytes on the disk, or above the largest file."
    if mounted:
        found = os.statvfs(small)
        used = (found.f_blocks - found.f_bfree) * found.f_bsize
        mount(f"remount,size={(used + room) // 1024}k")
    else:
        largest = max((each.stat().st_size for each in small.rglob("*") if each.is_file()), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (min(largest, 100_000) + room, unlimited[1]))

def make_room():
    if mounted:
        mount("remount,size=48m")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

def forbid():
    if mounted:
        mount("remount,ro")
    else:
        for each in (*small.rglob("*"), small):
            each.chmod(0o500 if each.is_dir() else 0o400)

def allow():
    if mounted:
        mount("remount,rw")
    else:
        for each in (small, *small.rglob("*")):
            each.chmod(0o700 if each.is_dir() else 0o600)

def events(count):
    more = {"text": "x" * 300}
    return [Event("deploy", f"a{n}", "skill", 1_763_287_200_000 + n, metadata=more) for n in range(count)]

def refused(action):
    try:
        action()
    except StoreUnavailableError as error:
        return str(error).startswith(str(path)) or str(small) in str(error)
    return False

def fill_spool(count):
    writer = Spool(spool)
    for event in events(count):
        assert writer.append([event])
    writer.close()

def tell(**more):
    with Store(path) as store:
        rows = sorted(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))
        found = store.rebuild(repair=False)
        more |= {"names": rows, "faults": store.check(), "beyond": found.beyond, "differences": len(found.differences)}
    print(json.dumps(more))
"""

SCENARIOS = {
    "drain": """
fill_spool(3000)
with Store(path) as store:
    store.get_stats()
    leave(400_000)
    full = refused(lambda: drain(store, spool))
    before = store.get_stats()["total_events"]
    again = refused(lambda: drain(store, spool))
    make_room()
    drain(store, spool)
tell(refused=[full, again], partly=before < 3000)
""",
    "first use": """
fill_spool(300)
leave(8_000)
with Store(path) as store:
    full = refused(lambda: drain(store, spool))
    make_room()
    drain(store, spool)
tell(refused=[full])
""",
    "migration": """
with Store(path) as store:
    store.write(events(2000))
    store.rollback(1)
leave(60_000)
with Store(path) as store:
    full = refused(store.get_stats)
with contextlib.closing(sqlite3.connect(path)) as plain:
    versions = [row[0] for row in plain.execute("SELECT version FROM schema_migrations ORDER BY version")]
    rows = plain.execute("SELECT COUNT(*) FROM events").fetchone()[0]
make_room()
tell(refused=[full], whole=versions == list(range(1, len(versions) + 1)), rows=rows)
""",
    "recovery": """
with Store(path) as store:
    store.write(events(2000))
with path.open("r+b") as file:
    file.write(b"noise" * 900)
leave(200_000)
full = refused(lambda: recover(path))
aside = [each.name for each in small.iterdir() if ".damaged-" in each.name]
again = refused(lambda: recover(path))
make_room()
recovered = recover(path)
left = [each.name for each in small.iterdir() if each.name.startswith(".")]
tell(refused=[full, again], aside=len(aside), lost=recovered.lost, left=left)
""",
    "backup": """
with Store(path) as store:
    store.write(events(1000))
    store.backup(small / "copies", keep=2)
    store.write(events(2000)[1000:])
    leave(100_000)
    full = refused(lambda: store.backup(small / "copies", keep=1))
    left = len(os.listdir(small / "copies"))
    make_room()
    copy = store.backup(small / "copies", keep=1)
    copies = os.listdir(small / "copies")
with Store(copy) as other:
    copied = other.get_stats()["total_events"]
tell(refused=[full], left=left, copies=len(copies), copied=copied)
""",
    "read-only": """
fill_spool(500)
with Store(path) as store:
    drain(store, spool)
fill_spool(0)
writer = Spool(spool)
for number in range(500, 700):
    assert writer.append([Event("deploy", f"a{number}", "skill", number)])
writer.close()
forbid()
with Store(path) as store:
    first = refused(lambda: drain(store, spool))
with Store(path) as store:
    second = refused(lambda: drain(store, spool))
    allow()
    drain(store, spool)
tell(refused=[first, second])
""",
}
EXPECTED = {
    "drain": (3000, {"refused": [True, True], "partly": True}),
    "first use": (300, {"refused": [True]}),
    "migration": (2000, {"refused": [True], "whole": True, "rows": 2000}),
    "recovery": (2000, {"refused": [True, True], "aside": 1, "lost": 0, "left": []}),
    "backup": (2000, {"refused": [True], "left": 1, "copies": 1, "copied": 2000}),
    "read-only": (700, {"refused": [True, True]}),
}


@functools.cache
def namespace() -> tuple[str, ...]:
    """Return the command in front of a program that may mount a disk of its own; nothing where none may."""
    for options in (("-m",), ("-r", "-m")):
        command = ("unshare", *options)
        try:
            done = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, timeout=30)
        except OSError:
            continue
        if done.returncode == 0:
            return command
    return ()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("way", ["disk", "limit"])
def test_a_disk_that_is_full_or_read_only(tmp_path: Path, scenario: str, way: str) -> None:
    """What can't be written is refused by name, again and again; with room nothing is lost and nothing double.

    On a small disk of its own where one may be mounted, and with a limit to the size of files, which needs no right.
    """
    command = namespace() if way == "disk" else ()
    # Root may write anywhere, unless that one capability is given up.
    limits = ("setpriv", "--bounding-set=-dac_override") if not command and os.geteuid() == 0 else ()
    small, wide = tmp_path / "small", tmp_path / "wide"
    small.mkdir()
    wide.mkdir()
    kind = "mounted" if command else "limited"
    done = subprocess.run(
        [*command, *limits, sys.executable, "-c", DISK + SCENARIOS[scenario], small, kind, wide],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(usagetrace.__file__).parents[1])},
    )
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    count, expected = EXPECTED[scenario]
    sound = {"names": sorted(f"a{number}" for number in range(count)), "faults": [], "beyond": 0, "differences": 0}
    assert found == {**expected, **sound}


# --- spoilt while in use -------------------------------------------------------------------------------------

WRITER = """
import sys, time
from usagetrace.errors import StoreError
from usagetrace.events import Event
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store
from usagetrace.store.drain import drain

path, first, count, drains = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "drains"
spool = Spool(spool_directory(path), max_segment_bytes=20_000)
store = Store(path, busy_timeout_ms=500)
refused = 0
for number in range(first, first + count):
    assert spool.append([Event("deploy", f"a{number}", "skill", 1_763_287_200_000 + number)])
    if number % 50 == 0:
        print(number, flush=True)
    if drains and number % 20 == 0:
        try:
            drain(store, spool_directory(path))
        except StoreError:
            # The database is spoilt: this process does not mend it.
            refused += 1
    time.sleep(0.0002)
spool.close()
print("done", flush=True)
"""


def _noise(path: Path, dice: random.Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(dice.randint(1, 4)):
            file.seek(dice.randrange(max(size, 1)))
            file.write(dice.randbytes(dice.choice((100, 4096, 20_000))))


def _first_page(path: Path, dice: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(dice.randbytes(4096))


def _truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size + 1))


def _empty(path: Path, dice: random.Random) -> None:
    os.truncate(path, 0)


def _unlink(path: Path, dice: random.Random) -> None:
    path.unlink()


def _unlink_all(path: Path, dice: random.Random) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


SPOILS: tuple[Callable[[Path, random.Random], None], ...] = (
    _noise, _first_page, _truncate, _empty, _unlink, _unlink_all,
)  # fmt: skip


def heal(path: Path, folder: str) -> None:
    """Drain a spool to its end, recovering the database where that is needed, as the recorder does."""
    for _ in range(10):
        with Store(path) as store:
            try:
                if drain(store, folder).complete and not store.check():
                    return
            except NotAStoreError:
                store.close()
                recover(path)
                continue
            store.close()
            recover(path)
    raise AssertionError(Store(path).check())


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", range(2))
def test_spoilt_while_another_process_writes(
    path: Path, python: Callable[..., subprocess.Popen[str]], spoil: Callable[[Path, random.Random], None], seed: int
) -> None:
    """A database spoilt again and again while a process drains into it becomes sound, and has no event twice.

    What no drain has taken out of the spool is there, all of it; what was drained may be lost with the database.
    """
    dice = random.Random(seed)
    folder = spool_directory(path)
    for each in range(3):
        first = each * 1000
        process = python(WRITER, path, first, 400, "drains")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.random() * 0.15)
        if path.exists():
            spoil(path, dice)
        if dice.random() < 0.5:
            heal_meanwhile(path, folder)
        assert process.stdout.read().endswith("done\n")
        assert process.wait() == 0
        spool = Spool(folder)
        for number in range(first + 400, first + 450):
            assert spool.append([Event("deploy", f"a{number}", "skill", NOW + number)])
        spool.close()
        heal(path, folder)
        with Store(path) as store:
            found = Counter(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))
        assert set(found.values()) <= {1}
        # Of the one spoilt, what was written after the fault; nothing of it was in the database then.
        assert {f"a{number}" for number in range(first + 400, first + 450)} <= set(found)


def heal_meanwhile(path: Path, folder: str) -> None:
    """Mend a database while its writer goes on; what a moment does not allow, a later one does."""
    with contextlib.suppress(StoreError):
        recover(path)
        with Store(path) as store:
            drain(store, folder)


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", range(2))
def test_what_only_the_spool_has_is_there_once(
    path: Path, python: Callable[..., subprocess.Popen[str]], spoil: Callable[[Path, random.Random], None], seed: int
) -> None:
    """Events of a process that does not drain are all there once, whatever happens to the database meanwhile."""
    dice = random.Random(100 + seed)
    with Store(path) as store:
        store.write([Event("deploy", f"old{number}", "skill", NOW) for number in range(2000)])
    process = python(WRITER, path, 0, 400, "only appends")
    assert process.stdout is not None
    folder = spool_directory(path)
    ended = threading.Event()
    thread = threading.Thread(target=lambda: (process.wait(), ended.set()))
    thread.start()
    while not ended.wait(0.02):
        heal_meanwhile(path, folder)
        if dice.random() < 0.4 and path.exists():
            # A segment that was drained to its end is in the database alone: that one is not to be spoilt here.
            with Store(path) as store:
                alone = store.connection.execute("SELECT 1 FROM events WHERE artifact_name LIKE 'a%'").fetchone()
            if alone is None:
                spoil(path, dice)
    thread.join()
    heal(path, folder)
    with Store(path) as store:
        names = Counter(row[0] for row in store.connection.execute("SELECT artifact_name FROM events"))
    assert {name: count for name, count in names.items() if name.startswith("a")} == {
        f"a{number}": 1 for number in range(400)
    }
    assert set(names.values()) == {1}

"""A clean store gives nothing, whatever was removed from it; and looking at one leaves it as it was."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.planting import WHO, database, plant
from tests.support.faults import as_anybody
from tests.support.process import clean_environment
from usagetrace.audit import Identity, audit
from usagetrace.events import Event
from usagetrace.redaction import default_redactor
from usagetrace.spool import Spool
from usagetrace.spool.layout import spool_directory
from usagetrace.store import Store

TOKEN = "ghp_" + "7aB3dE6gH9jK2mN5pQ8s" + "1vW4yZ7aB3dE6gH9"
NOW = 1_793_534_400_000
METADATA = [
    {"sha": "8c99d0e7c7c7d80dccf170db61fc553b8c99d0e7", "version": "1.2.3.4", "token_count": 4096},
    {"query": "client/server patterns docs/home/index.md", "score": 0.19692, "rank": 3},
    {"url": "https://x.io/users/42/home/a?page=2", "ratio": "1/2", "route": "/users/{id}/items"},
    {"files": ["src/a.py", "~/app/b.py"], "note": "the password is required", "date": "2026-11-01"},
    None,
]
NAMES = ["canvas", "token-counter", "basic-auth-demo", "owner/name", "/review", "commit-message", "root", "home"]


def ordinary(count: int, seed: int = 3) -> Iterator[Event]:
    """Yield events as tools record them, redacted."""
    rng = random.Random(seed)
    for number in range(count):
        yield Event(
            rng.choice(["deploy", "update", "search"]), rng.choice(NAMES), rng.choice(["skill", "command"]),
            NOW + number * 7919, rng.choice(["default", "team/tools", None]), rng.choice(["~/app", "~", "work", None]),
            rng.choice(METADATA), duration_ms=rng.random() * 100, status=rng.choice(["ok", "error"]),
            error_type=rng.choice([None, "ValueError", "shelf.errors.NotFound"]),
            session_id=f"{rng.getrandbits(128):032x}", category="usage", service_name="shelf",
            trace_id=f"{rng.getrandbits(128):032x}", span_id=f"{rng.getrandbits(64):016x}",
        )  # fmt: skip


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Return what every file of a folder holds, and when it was written."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_an_ordinary_store_gives_nothing_however_much_was_removed_from_it(tmp_path: Path, seed: int) -> None:
    """Removed rows leave glued values, numbers that look like letters, halves of rows: none of it is a secret."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(list(ordinary(450 if seed == 1 else 300, seed)))
    with database(path, "wal_autocheckpoint=50") as connection:
        connection.execute("DELETE FROM events WHERE id % 3 = 0")
        connection.execute("DELETE FROM events WHERE id BETWEEN 200 AND 300")
        connection.execute("UPDATE events SET artifact_name = 'x' WHERE id % 7 = 0")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
        connection.execute("INSERT INTO words (rowid, text) SELECT id, metadata FROM events")
        connection.execute("INSERT INTO words (text) VALUES ('token ed25519 password sha256 key of the cache key')")
    found = audit(path, WHO)
    assert found.findings == ()
    assert found.is_clean


def test_a_span_id_of_digits_is_no_card(tmp_path: Path) -> None:
    """One in some thousand ids has no letter, and one in ten of these passes the check of a card's number."""
    path = tmp_path / "analytics.db"
    number = "4539578763621486"
    assert default_redactor().redact("", number) != number
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", NOW, span_id=number)])
    assert audit(path, WHO).is_clean


@pytest.mark.parametrize("name", ["root", "app", "ab"])
def test_a_common_user_name_is_not_reported_as_a_word_but_in_a_home(tmp_path: Path, name: str) -> None:
    """A name that is an ordinary word would be found everywhere; a path into its home is still one."""
    path = tmp_path / "analytics.db"
    home = "/root" if name == "root" else f"/home/{name}"
    with database(path) as connection:
        plant(connection, [f"the {name} of it", "a-" + name, f"{home}/work/x"])
    found = audit(path, Identity((home,), name, "localhost"))
    assert {(each.column, each.rule) for each in found.findings} == {("s2", "home")}


def test_a_name_of_a_column_that_is_private_is_not_told(tmp_path: Path) -> None:
    """A schema can hold a secret too, and so could what is printed of it."""
    path = tmp_path / "notes.db"
    with database(path) as connection:
        connection.execute(f'CREATE TABLE t ("{TOKEN}" TEXT)')
        connection.execute("INSERT INTO t VALUES ('ada@example.org')")
    found = audit(path, WHO)
    assert ("row", "[redacted:gh-token]", "email") in {(f.area, f.column, f.rule) for f in found.findings}
    assert ("schema", "sql", "gh-token") in {(f.area, f.column, f.rule) for f in found.findings}
    assert TOKEN not in repr(found)


def test_nothing_is_changed_while_others_have_it_open_and_locked(tmp_path: Path) -> None:
    """No lock is taken, no log is moved in, no spool is drained, no file is made."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(list(ordinary(50)))
    spool = Spool(spool_directory(path))
    assert spool.append([Event("deploy", TOKEN, "skill", NOW)])
    spool.close()
    with database(path, "wal_autocheckpoint=0") as connection:
        plant(connection, [TOKEN])
        connection.execute("BEGIN EXCLUSIVE")
        before = state(tmp_path)
        found = audit(path, WHO)
        assert state(tmp_path) == before
        connection.execute("ROLLBACK")
    assert {each.area for each in found.findings} == {"log", "spool"}
    assert found.notes == ()


def test_nothing_is_changed_where_nobody_has_it_open(tmp_path: Path) -> None:
    """SQLite itself would leave two files beside it."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(list(ordinary(50)))
    before = state(tmp_path)
    assert audit(path, WHO).is_clean
    assert state(tmp_path) == before


def test_a_directory_that_cannot_be_written_is_looked_at(tmp_path: Path) -> None:
    """Reading is all that it takes."""
    path = tmp_path / "store" / "analytics.db"
    path.parent.mkdir()
    with database(path, "journal_mode=WAL") as connection:
        plant(connection, [TOKEN])
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert [each.rule for each in audit(path, WHO).findings] == ["gh-token"]
    finally:
        path.parent.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="files have no modes there")
def test_what_cannot_be_read_is_told_and_is_not_clean(tmp_path: Path) -> None:
    """A proof that left something out is none. Told by a process that modes hold for, whoever runs the tests."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1_700_000_000_000)])
    path.chmod(0)
    source = (
        "import sys; from usagetrace.audit import audit; f = audit(sys.argv[1]); print(len(f.problems), f.is_clean)"
    )
    line = [*as_anybody(), sys.executable, "-c", source, str(path)]
    done = subprocess.run(line, capture_output=True, text=True, env=clean_environment(tmp_path), check=False)
    assert (done.stdout, done.stderr) == ("1 False\n", "")


@pytest.mark.skipif(os.name != "posix", reason="files have no modes there")
@pytest.mark.parametrize(("closed", "files"), [("spool", 1), (".", 0)])
def test_a_folder_that_cannot_be_read_is_told_and_the_rest_is_looked_at(
    tmp_path: Path, closed: str, files: int
) -> None:
    """A spool may be closed to others and its store open: the command still says what it saw, and what not."""
    path = tmp_path / "store" / "analytics.db"
    with Store(path) as store:
        store.write([Event("deploy", "canvas", "skill", 1_700_000_000_000)])
    spool = path.parent / "spool"
    spool.mkdir(exist_ok=True)
    folder = path.parent / closed
    folder.chmod(0)
    line = [*as_anybody(), sys.executable, "-m", "usagetrace", "audit", "--db", str(path), "--fail", "--format", "json"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, env=clean_environment(tmp_path), check=False)
    finally:
        folder.chmod(0o700)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["clean"], told["files"]) == (1, "", False, files)
    assert f"{folder.resolve()}: can't be read: Permission denied" in told["problems"]


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 9, b"SQLite format 3\0" + b"\xff" * 600])
def test_a_file_that_is_no_database_is_looked_at_as_bytes(tmp_path: Path, content: bytes) -> None:
    """Nothing is raised, and what is in it is found all the same."""
    path = tmp_path / "analytics.db"
    path.write_bytes(content)
    clean = audit(path, WHO)
    assert (clean.findings, clean.is_clean) == ((), not content)
    path.write_bytes(content + b"\0" * 8 + TOKEN.encode() + b"\0")
    assert [each.rule for each in audit(path, WHO).findings] == ["gh-token"]


def test_random_bytes_are_read_without_an_error(tmp_path: Path) -> None:
    """Whatever the numbers in a damaged file say, they lead nowhere."""
    path = tmp_path / "analytics.db"
    with Store(path) as store:
        store.write(list(ordinary(40)))
    whole = path.read_bytes()
    rng = random.Random(5)
    for _ in range(4):
        spoilt = bytearray(whole)
        for _ in range(40):
            at = rng.randrange(100, len(spoilt))
            spoilt[at] = rng.randrange(256)
        path.write_bytes(spoilt[: rng.randrange(len(spoilt) // 2, len(spoilt))])
        ends = "analytics.db: ends inside a page: something is missing, or was added"
        assert audit(path, WHO).problems == (ends,)

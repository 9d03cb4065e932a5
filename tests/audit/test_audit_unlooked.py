"""What is no sound database is no clean one: a proof that looked at nothing, or at a part, is none."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.planting import WHO, database, plant
from tests.audit.test_audit_clean import TOKEN, ordinary
from usagetrace.audit import Audit, audit
from usagetrace.store import Store

MISSING, NOT_ONE = "there is no such file", "no database of SQLite: looked at as bytes"
ENDS = "ends inside a page: something is missing, or was added"
PIPE = "a device, a pipe or a socket, and no file"
piped = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a sound store of thirty events."""
    path = tmp_path_factory.mktemp("sound") / "analytics.db"
    with Store(path) as store:
        store.write(list(ordinary(30)))
    return path.read_bytes()


def looked(path: Path, content: bytes) -> Audit:
    path.write_bytes(content)
    return audit(path, WHO)


def found(result: Audit) -> set[tuple[str, str]]:
    return {(each.area, each.file) for each in result.findings}


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "random bytes": (lambda _: random.Random(3).randbytes(50_000), NOT_ONE),
    "text": (lambda _: b"some words, and no more\n" * 300, NOT_ONE),
    "packed": (gzip.compress, "packed by gzip: what is in it can't be looked at"),
    "cut inside a page": (lambda whole: whole[:-100], ENDS),
    "cut between pages": (lambda whole: whole[:8192], "shorter than its head says: pages are missing"),
    "more than its pages": (lambda whole: whole + b"more", ENDS),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_that_is_no_whole_database_is_a_problem(tmp_path: Path, sound: bytes, name: str) -> None:
    """Nothing is found in it, and it is not clean."""
    spoil, problem = SPOILT[name]
    result = looked(tmp_path / "notes.db", spoil(sound))
    assert (result.findings, result.problems) == ((), (f"notes.db: {problem}",))
    assert not result.is_clean


@piped
def test_what_is_no_file_is_a_problem_and_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for somebody who writes into it."""
    pipe, link = tmp_path / "pipe.db", tmp_path / "link.db"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "gone")
    told = {path.name: audit(path, WHO).problems for path in (pipe, link, tmp_path, tmp_path / "absent.db")}
    assert told == {
        "pipe.db": (f"pipe.db: {PIPE}",), "link.db": ("link.db: a link that leads nowhere, and no file",),
        tmp_path.name: (f"{tmp_path.name}: a directory, and no file",), "absent.db": (f"absent.db: {MISSING}",),
    }  # fmt: skip
    assert audit(os.devnull, WHO).problems == (f"null: {PIPE}",)


@piped
@pytest.mark.parametrize("name", ["notes.db-wal", "notes.db-journal", "notes.db.bak"])
def test_a_pipe_beside_a_database_is_not_opened(tmp_path: Path, sound: bytes, name: str) -> None:
    """Its owner's log is read with it, if it is a file."""
    os.mkfifo(tmp_path / name)
    assert looked(tmp_path / "notes.db", sound).findings == ()


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"", b""), (b"", b"\0rest"), (b" " * (4096 - len(TOKEN)), b""), (b" " * (4096 - len(TOKEN)), b"\n"),
        (b"\n" * 4090, b"\n"), (b"word " * 5000, b"\0rest"), (b"x" * ((1 << 20) - 20) + b" ", b""),
    ],
)  # fmt: skip
def test_text_that_is_no_database_is_looked_at_from_its_first_byte_to_its_last(
    tmp_path: Path, before: bytes, behind: bytes
) -> None:
    """No page begins or ends there, whatever its length."""
    result = looked(tmp_path / "notes.db", before + TOKEN.encode() + behind)
    assert found(result) == {("file", "notes.db")}


@pytest.mark.parametrize("before", [0, 5, 4070, 4096, 9000])
def test_text_behind_a_database_is_found(tmp_path: Path, sound: bytes, before: int) -> None:
    """It is on no page of the database, even where it fills one."""
    added = b" " * before + TOKEN.encode()
    for whole in (added, added + b" " * (-len(added) % 4096)):
        assert found(looked(tmp_path / "notes.db", sound + whole)) == {("file", "notes.db")}


def test_a_packed_copy_is_a_problem_and_a_copy_of_another_kind_is_read(tmp_path: Path, sound: bytes) -> None:
    """What can't be looked into may hold what the store held."""
    (tmp_path / "notes.db.gz").write_bytes(gzip.compress(sound))
    (tmp_path / "notes.db.sql").write_text(f"INSERT INTO notes VALUES ('{TOKEN}');", "utf-8")
    result = looked(tmp_path / "notes.db", sound)
    assert result.problems == ("notes.db.gz: packed by gzip: what is in it can't be looked at",)
    assert found(result) == {("file", "notes.db.sql")}


@pytest.mark.parametrize("content", ["~owner/name", "!/home/review", "/root/review", "/home/review"])
def test_glued_values_that_look_like_a_home_are_none(tmp_path: Path, content: str) -> None:
    """A number before a value may read as a slash or a tilde; a real path goes on."""
    path = tmp_path / "notes.db.extra"
    with database(tmp_path / "notes.db") as connection:
        plant(connection, ["x"])
    path.write_bytes(b"\x01\x00" + content.encode() + b"\x01\x00")
    assert audit(tmp_path / "notes.db", WHO).is_clean
    path.write_bytes(b"\x01\x00/home/babbage/" + content.encode() + b"\x01\x00")
    assert [each.rule for each in audit(tmp_path / "notes.db", WHO).findings] == ["home"]

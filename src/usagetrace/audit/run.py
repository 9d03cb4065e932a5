"""Finds the files of a store and has each of them looked at, whatever state it is in."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from usagetrace.audit import parquet, spoolfiles
from usagetrace.audit.database import Database
from usagetrace.audit.judge import Identity, Judge, short_name
from usagetrace.audit.model import Audit, Tally
from usagetrace.errors import StoreError
from usagetrace.redaction.policy import Policy
from usagetrace.spool.layout import KEEPING, SUFFIX, spool_directory
from usagetrace.store.beside import JOURNALS

_COPIES: Final = "backups"
# How a file that is packed begins, and by what.
_PACKED: Final = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7-Zip",
}  # fmt: skip
_BUSY: Final = "was written while it was looked at: what was moved meanwhile may have been missed; run it again"


class _Part(NamedTuple):
    path: Path
    kind: str


def audit(
    path: str | os.PathLike[str], who: Identity | None = None, archives: Iterable[str | os.PathLike[str]] = (),
    policy: Policy | None = None,
) -> Audit:  # fmt: skip
    """Look at every file of a store for what redaction would have removed. Changes nothing, and takes no lock.

    Args:
        path: The database's file; it may be in use, damaged, or another tool's. Where it is missing, what waits in
            its spool is looked at.
        who: Whose home, user name and host name are looked for; this process's by default.
        archives: Folders with old events in Parquet files; the one that the spool names is looked at in any case.
        policy: What is looked for otherwise than by default: rules of one's own, values that may stand, keys.

    Returns:
        What was found and where, and what could not be looked at. It never holds any part of what was found.
    """
    began = time.monotonic()
    file = Path(os.path.abspath(path))
    judge = Judge(Identity() if who is None else who, policy)
    tally = Tally(judge.shown)
    other = _other_than_file(file)
    if other:
        tally.problems.append(f"{judge.shown(file.name)}: {other}, and no file")
    else:
        _look_at_all(file, [Path(folder) for folder in archives], judge, tally)
    return Audit(
        os.fspath(path), tally.findings(), tuple(tally.problems), tuple(tally.notes), tally.files, tally.size_bytes,
        tally.waiting_events, time.monotonic() - began,
    )  # fmt: skip


def _look_at_all(file: Path, archives: list[Path], judge: Judge, tally: Tally) -> None:
    spool = Path(spool_directory(file))
    met = False
    for part in _parts(file, spool, tally, archives):
        met = met or _is_recorded(part, file)
        _look(part, short_name(part.path, str(file.parent)), judge, tally, is_copy=part.path != file)
    if not met and not tally.problems:
        tally.problems.append(f"{judge.shown(file.name)}: there is no such file")


def _is_recorded(part: _Part, file: Path) -> bool:
    """Return whether a part holds what was recorded, so that there is a store even where its database is missing."""
    return part.path == file or part.kind == "archive" or (part.kind == "spool" and part.path.name.endswith(SUFFIX))


def _look(part: _Part, name: str, judge: Judge, tally: Tally, *, is_copy: bool) -> None:
    try:
        before = _state(part.path)
        if part.kind == "database":
            if before[0]:
                _database(part.path, name, judge, tally, is_copy=is_copy)
        elif part.kind == "spool":
            spoolfiles.look(part.path, name, judge, tally)
        elif part.kind == "archive":
            parquet.look(part.path, name, judge, tally)
        else:
            spoolfiles.look_at_bytes(part.path, name, judge, tally, "file")
        tally.files += 1
        tally.size_bytes += before[0]
        if part.kind == "database" and _state(part.path) != before:
            tally.notes.append(f"{name}: {_BUSY}")
    except FileNotFoundError:
        # Drained, checkpointed or rotated away meanwhile: what it held is elsewhere now.
        tally.notes.append(f"{name}: went away while the store was looked at; run it again")
    except OSError as error:
        tally.problems.append(f"{name}: can't be read: {error.strerror or type(error).__name__}")
    except StoreError as error:
        tally.problems.append(f"{name}: {error}")


def _database(path: Path, name: str, judge: Judge, tally: Tally, *, is_copy: bool) -> None:
    """Look at what should be a database: as one if it is, else as bytes, which proves nothing of the store itself."""
    with path.open("rb") as opened:
        head = opened.read(8)
    packed = next((word for start, word in _PACKED.items() if head.startswith(start)), "")
    if packed:
        tally.problems.append(f"{name}: packed by {packed}: what is in it can't be looked at")
    database = Database(path, name, judge, tally)
    if database.has_pages:
        database.look()
        return
    database.close()
    spoolfiles.look_at_bytes(path, name, judge, tally, "file")
    if not packed and not is_copy:
        tally.problems.append(f"{name}: no database of SQLite: looked at as bytes")


def _other_than_file(path: Path) -> str:
    """Return what stands where a file should; empty where one does, or nothing, or where that can't be seen."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        # Whether it is there is not known. The look at its folder says so.
        return ""
    except OSError:
        return "a link that leads nowhere" if path.is_symlink() else ""
    if stat.S_ISREG(mode):
        return ""
    return "a directory" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file, or the log beside it, is written."""
    found = []
    for each in (path, Path(f"{path}-wal")):
        with contextlib.suppress(FileNotFoundError):
            status = each.stat()
            found += [status.st_size, status.st_mtime_ns]
    return tuple(found) if path.exists() else (0,)


def _parts(file: Path, spool: Path, tally: Tally, archives: list[Path]) -> Iterator[_Part]:
    """Yield the files of a store: the spool first, whose events move into the database; then it and its copies."""
    for each in _files(spool, tally):
        yield _Part(each, "spool")
    kept = [folder for folder in _kept(spool) if folder not in archives]
    for folder in (file.parent, file.parent / _COPIES):
        for each in _files(folder, tally):
            if _is_of(each.name, file):
                yield from _beside(each)
    for folder in [*archives, *kept]:
        for each in _files(folder, tally):
            if each.suffix == ".parquet":
                yield _Part(each, "archive")
            elif each.name.endswith(".partial"):
                yield _Part(each, "file")


def _beside(path: Path) -> Iterator[_Part]:
    """Yield a database, or what is left of one that is gone; a database's journals are read with it."""
    for suffix in JOURNALS:
        if path.name.endswith(suffix):
            owner = path.with_name(path.name[: -len(suffix)])
            if suffix == "-shm" or not owner.exists() or not owner.stat().st_size:
                yield _Part(path, "file")
            return
    yield _Part(path, "file" if path.suffix == ".archiving" else "database")


def _is_of(name: str, file: Path) -> bool:
    """Return whether a file is a database's own, a copy of it, or one that was set aside or not finished.

    A copy has the whole name before whatever ends its own, or a word for a copy behind the name's stem.
    """
    stem, whole = re.escape(file.stem), re.escape(file.name)
    forms = (
        rf"{whole}(?:[^A-Za-z0-9].*)?",
        rf"{stem}[._-](?:bak|backup|copy|old|orig|save|tmp)(?:[^A-Za-z].*)?",
        rf"{stem}\.before-restore-.*",
        rf"{stem}-\d{{8}}T\d{{6}}Z.*",
        rf"\.(?:{stem}|{whole})[.-].*",
    )
    return any(re.fullmatch(form, name) for form in forms)


def _files(folder: Path, tally: Tally) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        tally.problems.append(f"{folder}: can't be read: {error.strerror or type(error).__name__}")
        return []


def _kept(spool: Path) -> list[Path]:
    """Return the folder that retention moves old events to, if the spool's word names one.

    A word that can't be read names none: the look at the spool says that it could not be read.
    """
    with contextlib.suppress(OSError):
        if (spool / KEEPING).is_file():
            lines = (spool / KEEPING).read_text("utf-8", "replace").splitlines()
            if len(lines) > 1 and lines[1]:
                return [Path(lines[1])]
    return []

"""The small files beside a database that say what may be done with it, and the locks for making and moving it.

Two lie in the database's spool directory, and one, while it is held, beside the database itself: whoever removes the
spool must not let anybody make a database while another one is being recovered, and takes that one's place then::

    spool/store         a release whose newest schema is the number in it had a store open at this path
    spool/recovery      a damaged database is being replaced; holds the name under which it is set aside
    .<database>.making  held by whoever makes, replaces or moves the database's file

This module knows paths and no SQL. What is made of a damaged database is in :mod:`usagetrace.store.recovery`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace.errors import NotAStoreError, StoreUnavailableError
from usagetrace.spool.layout import spool_directory
from usagetrace.spool.locks import LockedFile

# Held by whoever drains the spool into the database.
DRAIN_LOCK: Final = "drain.lock"
MAKING_LOCK: Final = ".making"
# Files that SQLite keeps beside a database; they mean nothing without it, and spoil another one in its place.
JOURNALS: Final = ("-wal", "-shm", "-journal")
# The index of the search, a cache that lies beside the database under its name and this.
SEARCH: Final = "-search"
_STORE: Final = "store"
_RECOVERY: Final = "recovery"
_PAUSE_S: Final = 0.01


# --- what was here -----------------------------------------------------------------------------------------


def mark(path: str, version: int) -> None:
    """Say that a store was opened at a path. What can't be written is left: only a recovery would miss it.

    Args:
        path: The database file, absolute.
        version: The newest schema that this release knows.
    """
    if marked(path) == version:
        return
    with contextlib.suppress(OSError):
        _put(path, _STORE, str(version), lasting=False)


def marked(path: str) -> int | None:
    """Return the newest schema of the release that last had a store open at a path; None where there was none."""
    text = _read(path, _STORE)
    return int(text) if text is not None and text.isdigit() else None


# --- a recovery that is under way --------------------------------------------------------------------------


def begin_recovery(path: str, aside: str) -> None:
    """Keep everybody from opening or making the database until the recovery is over, even by another process.

    Args:
        path: The database file, absolute.
        aside: The name, without a folder, that the damaged file gets.
    """
    _put(path, _RECOVERY, aside, lasting=True)


def unfinished(path: str) -> str | None:
    """Return the name that a recovery under way, or one that was interrupted, sets the damaged file aside under."""
    return _read(path, _RECOVERY)


def end_recovery(path: str) -> None:
    """Let the database be opened again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_place(path, _RECOVERY))


# --- the file itself ---------------------------------------------------------------------------------------


def require_whole(path: str, shown: str) -> None:
    """Raise where opening a database would destroy what can still be saved of it.

    Raises:
        NotAStoreError: Its recovery is not over, or it was emptied and its journal is still there: SQLite would
            take it for a new one, and remove the journal.
    """
    if unfinished(path) is not None:
        raise NotAStoreError(f"{shown}: it was damaged, and its recovery is not over: `usagetrace db stats` ends it")
    if is_emptied(path) and marked(path) is not None:
        raise NotAStoreError(f"{shown}: the database was emptied: `usagetrace db stats` recovers what its journal has")


def is_emptied(path: str) -> bool:
    """Return whether a file has no bytes, and a journal says that it had some: a new one has none yet."""
    return size(path) == 0 and any(os.path.exists(f"{path}{suffix}") for suffix in ("-wal", "-shm"))


def size(path: str) -> int | None:
    """Return a file's size in bytes; None where there is none."""
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def make(path: str, shown: str, wait_s: float, version: int) -> None:
    """Make a database's file where there is none, for its owner alone, and mark it; its journals inherit the mode.

    Journals that a removed database left are removed first: SQLite would apply them to the new one. Never opens a
    file that exists: closing any descriptor of it would release the locks of this process's other connections (POSIX
    record locks).

    Args:
        path: The database file, absolute.
        shown: The path that messages name.
        wait_s: How long to wait for another process that makes or moves it, in seconds.
        version: The newest schema that this release knows.

    Raises:
        NotAStoreError: Its recovery is not over.
        StoreUnavailableError: Another process held the lock for longer.
        OSError: It can't be made.
    """
    if os.path.exists(path):
        return
    make_folders(os.path.dirname(path))
    with _alone(path, shown, wait_s):
        if unfinished(path) is not None:
            require_whole(path, shown)
        if os.path.exists(path):
            return
        remove_journals(path)
        # First: what is spoilt before it has a table is ours as well.
        mark(path, version)
        make_file(path)


def remove_journals(path: str) -> None:
    """Remove the journals of a database that is not there any more."""
    for suffix in JOURNALS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def make_file(path: str | os.PathLike[str]) -> None:
    """Make an empty file for its owner alone, with its directories, unless it exists."""
    make_folders(os.path.dirname(os.path.abspath(path)))
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def make_folders(folder: str) -> None:
    """Make a directory and those above it for their owner alone; those that exist stay as they are."""
    path = Path(folder)
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            # Path.mkdir(parents=True) gives the mode to the last one only.
            each.mkdir(0o700)


@contextlib.contextmanager
def _alone(path: str, shown: str, wait_s: float) -> Iterator[None]:
    """Hold the lock for making a file; go on without it where the file system has none."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(held(path, MAKING_LOCK, shown, wait_s))
        yield


@contextlib.contextmanager
def held(path: str, lock: str, shown: str, wait_s: float) -> Iterator[None]:
    """Hold one of a database's locks.

    Args:
        path: The database file, absolute.
        lock: :data:`DRAIN_LOCK` or :data:`MAKING_LOCK`.
        shown: The path that messages name.
        wait_s: How long to wait for it, in seconds.

    Raises:
        StoreUnavailableError: Somebody else held it for longer.
        OSError: The file system has no locks, or the directory can't be written.
    """
    folder, name = os.path.split(path)
    place = os.path.join(folder, f".{name}{MAKING_LOCK}") if lock == MAKING_LOCK else _place(path, lock)
    make_folders(os.path.dirname(place))
    deadline = time.monotonic() + wait_s
    while (file := LockedFile.take(place, make=True)) is None:
        if time.monotonic() >= deadline:
            raise StoreUnavailableError(f"{shown}: another process drains, makes or repairs it; try again")
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        if lock == MAKING_LOCK and file.is_in_place():
            with contextlib.suppress(OSError):
                # No need to leave it among the files that people look at; whoever waits for it sees that it is gone.
                file.remove()
        file.close()


def sync_folder(folder: str) -> None:
    """Have a directory's names on the disk; where directories can't be opened, as on Windows, the system does so."""
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _place(path: str, name: str) -> str:
    return os.path.join(spool_directory(path), name)


def _read(path: str, name: str) -> str | None:
    try:
        with open(_place(path, name), encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _put(path: str, name: str, text: str, *, lasting: bool) -> None:
    """Write a small file whole or not at all; a lasting one is on the disk itself."""
    place = _place(path, name)
    make_folders(os.path.dirname(place))
    partial = f"{place}.{os.getpid()}.partial"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        os.replace(partial, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise

"""Replaces a damaged database: sets it aside, and puts a fresh one with all that can be read of it in its place.

Nothing is ever removed, and a file that never was a store is never touched. Every moment at which a process can die,
and what the next call finds:

- before the note (see :mod:`usagetrace.store.beside`) is written: the damaged database, as it was;
- after that, until the fresh database is in its place: the note, which keeps everybody from opening or making the
  database; the next call sets aside what is not yet, and begins the salvage anew from the file that was set aside;
- after that, before the note is removed: a sound database in its place; the next call removes the note.

The drain's lock is held throughout. So no position in the spool advances meanwhile, no segment is removed, and of two
processes that find the damage the second one finds a sound store.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from usagetrace.errors import NewerSchemaError
from usagetrace.events import timestamp_text
from usagetrace.guard import guard
from usagetrace.spool.layout import spool_directory
from usagetrace.store import beside, migrations
from usagetrace.store.connection import connect, is_damage, named_errors
from usagetrace.store.rebuild import rebuild
from usagetrace.store.salvage import Salvage
from usagetrace.store.schema import LATEST, RECOVERED
from usagetrace.store.upkeep import now_milliseconds

# How long to wait for whoever drains or repairs, and for a lock of SQLite's.
_WAIT_S: Final = 5.0
_WAIT_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of a damaged database.

    Attributes:
        path: The database.
        aside: Where the damaged one lies now, with its journals.
        events: Events in the fresh one.
        refilled: Those of them that came from the spool, not from the damaged file.
        lost: Events that are known to be lost: an index names them, and nothing has them.
        unreadable: Places on damaged pages where a row was.
        rows: Rows of each table.
        seconds: How long it took.
    """

    path: str
    aside: Path
    events: int
    refilled: int
    lost: int
    unreadable: int
    rows: dict[str, int]
    seconds: float

    def __str__(self) -> str:
        # Of what left no trace nobody knows: no number then, rather than a reassuring one.
        saved = f"{self.events} event{'s'[: self.events != 1]} saved" if self.events else "nothing of it could be read"
        lost = f", {self.lost} known to be lost" if self.lost else ""
        return f"{self.path}: the database was damaged: {saved}{lost}; it is {self.aside} now"


def recover(path: str | os.PathLike[str], *, now_ms: int | None = None) -> Recovered | None:
    """Replace a damaged database by a fresh one with everything in it that can still be read.

    Args:
        path: The database file; no connection of this process to it is to be in use.
        now_ms: The present, in milliseconds since 1970 UTC; it names the file that is set aside.

    Returns:
        What was done; None where nothing was to be done: the database is sound or not there, another process has
        recovered it, or the file never was a store.

    Raises:
        NewerSchemaError: A newer version of this package wrote it; it is left as it is.
        StoreUnavailableError: Somebody else is at it, or the disk is full or can't be written. What was set aside
            stays, and the next call goes on.
        StoreError: SQLite reports something else.
    """
    shown, file = os.fspath(path), os.path.abspath(path)
    with named_errors(shown):
        if beside.unfinished(file) is None and not _is_ours(file, shown):
            return None
        began = time.monotonic()
        with (
            beside.held(file, beside.DRAIN_LOCK, shown, _WAIT_S),
            beside.held(file, beside.MAKING_LOCK, shown, _WAIT_S),
        ):
            at_ms = now_milliseconds() if now_ms is None else now_ms
            aside = _set_aside(file, at_ms)
            if aside is None:
                return None
            try:
                salvage = _replace(file, shown, aside, at_ms)
            except NewerSchemaError:
                _put_back(file, aside)
                raise
            counts = salvage.counts
            return Recovered(
                shown, aside, counts["events"], salvage.refilled, salvage.lost, salvage.unreadable, counts,
                time.monotonic() - began,
            )  # fmt: skip


# --- what is there -----------------------------------------------------------------------------------------


def _is_ours(file: str, shown: str) -> bool:
    """Return whether a store was opened at a path before, by the mark beside it or by its ledger."""
    if beside.size(file) is None:
        return False
    version = beside.marked(file) or 0
    try:
        with _looking(file) as looker:
            version = max(version, migrations.schema_version(looker))
    except sqlite3.Error as error:
        # An emptied or damaged one; only the mark can tell.
        guard.note(error)
    if version > LATEST:
        raise NewerSchemaError(f"{shown}: damaged, and a newer version of usagetrace wrote it: upgrade usagetrace")
    return version > 0


@contextlib.contextmanager
def _looking(file: str) -> Iterator[sqlite3.Connection]:
    if beside.is_emptied(file):
        # SQLite would remove the journal.
        raise sqlite3.DatabaseError("the database was emptied")
    with contextlib.closing(connect(file, "ro", _WAIT_MS, None)) as looker:
        looker.execute("PRAGMA cell_size_check=ON")
        yield looker


def _is_damaged(file: str) -> bool:
    """Return whether a file is no sound database.

    Raises:
        sqlite3.OperationalError: It can't be read now.
    """
    if beside.size(file) == 0:
        # Without a journal nothing was lost, or nothing is left.
        return beside.is_emptied(file)
    try:
        with _looking(file) as looker:
            if looker.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                return True
            # SQLite checks no texts; without its ledger a store can't be opened.
            migrations.schema_version(looker)
            return False
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return True
        if str(error).startswith("no such column"):
            # A ledger of another program, sound.
            return False
        raise


# --- setting aside -----------------------------------------------------------------------------------------


def _set_aside(file: str, at_ms: int) -> Path | None:
    """Move a damaged database and its journals away; return where to, None where there is nothing to recover."""
    noted = beside.unfinished(file)
    if noted is None:
        if not _is_damaged(file):
            return None
        aside = _free(file, at_ms)
        beside.begin_recovery(file, aside.name)
        try:
            _move(file, aside)
        except BaseException:
            if not aside.exists():
                beside.end_recovery(file)
            raise
        return aside
    aside = Path(file).with_name(noted)
    if not aside.exists():
        if beside.size(file) is None:
            # Removed by somebody, in the middle.
            beside.end_recovery(file)
            return None
        _move(file, aside)
    elif beside.size(file):
        if not _is_damaged(file):
            # Only the note was left to be removed.
            beside.end_recovery(file)
            return None
        _move(file, _free(file, at_ms))
    else:
        _move_journals(file, aside)
    return aside


@contextlib.contextmanager
def _writers_out(file: str) -> Iterator[None]:
    """Hold SQLite's lock for writing, if the damage lets it be taken: whoever waits finds another file in its place.

    Raises:
        sqlite3.OperationalError: Somebody else holds it.
    """
    if beside.size(file) == 0 or os.name == "nt":
        # SQLite would remove the journal of an emptied one; and an open file can't be moved on Windows.
        yield
        return
    holder: sqlite3.Connection | None = None
    try:
        try:
            holder = connect(file, "rw", _WAIT_MS, None)
            holder.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        yield
    finally:
        # Closed when the file is elsewhere: SQLite notices, and leaves the journals alone.
        if holder is not None:
            holder.close()


def _free(file: str, at_ms: int) -> Path:
    stamp = timestamp_text(at_ms).replace("-", "").replace(":", "").replace(" ", "T") + "Z"
    wanted = Path(f"{file}.damaged-{stamp}")
    number = 1
    free = wanted
    while free.exists():
        number += 1
        free = Path(f"{wanted}-{number}")
    return free


def _move(file: str, aside: Path) -> None:
    """Move a database, then its journals: connections that close meanwhile leave those of a moved one alone."""
    with _writers_out(file):
        os.rename(file, aside)
        _move_journals(file, aside)
    with contextlib.suppress(OSError):
        beside.sync_folder(os.path.dirname(file))


def _move_journals(file: str, aside: Path) -> None:
    for suffix in beside.JOURNALS:
        with contextlib.suppress(FileNotFoundError):
            if not os.path.exists(f"{aside}{suffix}"):
                os.rename(f"{file}{suffix}", f"{aside}{suffix}")


def _put_back(file: str, aside: Path) -> None:
    """Move a database back to where it was, its journals first."""
    for suffix in (*beside.JOURNALS, ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{aside}{suffix}", f"{file}{suffix}")
    beside.end_recovery(file)


# --- the fresh one -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    counts: dict[str, int]
    refilled: int
    lost: int
    unreadable: int


def _replace(file: str, shown: str, aside: Path, at_ms: int) -> _Outcome:
    """Make a fresh database of what was set aside, and put it in its place."""
    folder, name = os.path.split(file)
    partial = os.path.join(folder, f".{name}.recovering")
    _remove(partial)
    try:
        beside.make_file(partial)
        outcome = _fill(partial, shown, aside, spool_directory(file), at_ms)
        _sync(partial)
        os.replace(partial, file)
    except BaseException:
        _remove(partial)
        raise
    with contextlib.suppress(OSError):
        beside.sync_folder(folder)
    beside.mark(file, LATEST)
    beside.end_recovery(file)
    return outcome


def _fill(partial: str, shown: str, aside: Path, spool: str, at_ms: int) -> _Outcome:
    with contextlib.closing(connect(partial, "rw", _WAIT_MS, None)) as fresh:
        # A crash throws the file away: nothing of it has to be on the disk before its end.
        fresh.execute("PRAGMA journal_mode=MEMORY").fetchone()
        fresh.execute("PRAGMA synchronous=OFF")
        migrations.migrate(fresh, shown)
        salvage = Salvage(fresh, shown)
        salvage.take_rows(aside)
        salvage.take_segments(spool, at_ms)
        rebuild(fresh, shown)
        # How far a segment was read that is out of sight now may have been on a page that is destroyed.
        fresh.execute(
            "INSERT OR REPLACE INTO usagetrace_state (key, value) VALUES (?, ?)", (RECOVERED, str(now_milliseconds()))
        )
        return _Outcome(salvage.counts(), salvage.refilled, salvage.lost(), salvage.unreadable)


def _sync(partial: str) -> None:
    fd = os.open(partial, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(partial: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial)
    beside.remove_journals(partial)

"""Copies of a database while it is in use, the way back from one, and the check of both.

This module owns the names of copies and what a sound database is. It never removes a database that was in use.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usagetrace.errors import NotAStoreError, StoreError, StoreUnavailableError
from usagetrace.events import timestamp_text
from usagetrace.store import beside, cursors, migrations
from usagetrace.store import connection as connections
from usagetrace.store.connection import MEMORY, named_errors, open_connection
from usagetrace.store.rebuild import rebuild
from usagetrace.store.schema import LATEST

_WAIT_MS: Final = 5000
_WAIT_S: Final = 5.0
# Faults that a check names; a database with more has lost more than a list can tell.
_MOST_FAULTS: Final = 20


def faults(path: str, connection: sqlite3.Connection | None = None) -> list[str]:
    """Return what is wrong with a database, in words; nothing for a sound one. Changes nothing.

    Looks at the pages (``integrity_check``), the schema, the positions in the spool and of endpoints, and whether
    summary and rollups count at least the events that are there.

    Args:
        path: The file.
        connection: A connection to it; one that can only read is opened by default.

    Raises:
        StoreUnavailableError: It can't be read now.
    """
    if connection is not None:
        return _faults(path, connection)
    try:
        beside.require_whole(os.path.abspath(path), path)
        with _looking(path) as looker:
            return _faults(path, looker)
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return [str(error)]


@contextlib.contextmanager
def _looking(path: str) -> Iterator[sqlite3.Connection]:
    with named_errors(path), contextlib.closing(connections.connect(path, "ro", _WAIT_MS, None)) as looker:
        yield looker


def _faults(path: str, connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(f"PRAGMA integrity_check({_MOST_FAULTS})").fetchall()
    broken = [f"{path}: {row[0]}" for row in rows if row[0] != "ok"]
    if broken:
        return broken
    try:
        pending = migrations.check(connection, path)
    except StoreError as error:
        return [str(error)]
    if pending:
        version = migrations.schema_version(connection)
        return [f"{path}: schema version {version}, not {LATEST}: `usagetrace db migrate` brings it up to date"]
    return [
        *_missing(path, connection),
        *_positions(path, connection),
        *_cursors(path, connection),
        *_counts(path, connection),
    ]


def _missing(path: str, connection: sqlite3.Connection) -> Iterator[str]:
    """Name the indexes, triggers and views that are gone."""
    query = "SELECT type, name FROM sqlite_master WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL"
    there = {tuple(row) for row in connection.execute(query)}
    with contextlib.closing(open_connection(MEMORY, busy_timeout_ms=_WAIT_MS)) as fresh:
        expected = {tuple(row) for row in fresh.execute(query)}
    for kind, name in sorted(expected - there):
        yield f"{path}: the {kind} {name} is missing"


def _positions(path: str, connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT segment FROM spool_positions WHERE segment IS NULL OR typeof(position) <> 'integer' OR position < 0 "
        "OR typeof(sequence) <> 'integer' OR sequence < 0 OR lost < 0 OR damaged < 0 ORDER BY segment LIMIT ?",
        (_MOST_FAULTS,),
    )
    for row in rows:
        yield f"{path}: the position in the spool segment {row[0]} is impossible"


def _cursors(path: str, connection: sqlite3.Connection) -> Iterator[str]:
    for endpoint, _ in cursors.impossible(connection):
        yield (
            f"{path}: the last event that {endpoint} is said to have never was: `usagetrace db rebuild` has all events "
            "delivered again"
        )


def _counts(path: str, connection: sqlite3.Connection) -> Iterator[str]:
    short: dict[str, set[tuple[object, ...]]] = {}
    for difference in rebuild(connection, path, repair=False).differences:
        short.setdefault(difference.table, set()).add(difference.key)
    for table, keys in short.items():
        if table == cursors.TABLE:
            # Told of already.
            continue
        rows = "1 row" if len(keys) == 1 else f"{len(keys)} rows"
        yield f"{path}: {table}: {rows} count less than the events: `usagetrace db rebuild` puts it right"


def _require_sound(path: str) -> None:
    """Raise unless a file is a whole store of this version or an earlier one.

    Raises:
        StoreError: It is not; the message names it.
    """
    with _looking(path) as looker:
        broken = [row[0] for row in looker.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
        if broken:
            raise NotAStoreError(f"{path}: the copy is damaged ({broken[0]}): take another one")
        migrations.check(looker, path)
        if not migrations.event_table_exists(looker):
            raise NotAStoreError(f"{path}: holds no events table: it is no copy of a store")


def backup(source: sqlite3.Connection, path: str, folder: str | os.PathLike[str], keep: int, now_ms: int) -> Path:
    """Copy a database while it is in use, check the copy, and remove the oldest copies.

    Args:
        source: A connection to it, with no transaction open.
        path: Its file; the copy has its name and the time.
        folder: Where copies lie; made if missing.
        keep: How many copies of this database stay in the folder, this one included.
        now_ms: The present, in milliseconds since 1970 UTC.

    Returns:
        The copy's file.

    Raises:
        ValueError: ``keep`` is less than 1.
        StoreError: The copy could not be made; none of the older ones was removed.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}")
    stem = Path(path).stem.lstrip(":") or "store"
    directory = Path(folder)
    with named_errors(str(directory)):
        copy = _copy(source, directory / f"{stem}-{_stamp(now_ms)}.db")
        _require_sound(str(copy))
        pattern = re.compile(rf"{re.escape(stem)}-\d{{8}}T\d{{6}}Z(?:-\d+)?\.db")
        copies = [each for each in directory.iterdir() if pattern.fullmatch(each.name)]
        for old in sorted(copies, key=_age)[:-keep]:
            if old != copy:
                old.unlink()
    return copy


def _age(copy: Path) -> tuple[str, int]:
    """Return what sorts copies by time, those of one second by their number."""
    moment, _, number = copy.stem[copy.stem.rindex("T") - 8 :].partition("-")
    return moment, int(number or 1)


def _stamp(now_ms: int) -> str:
    return timestamp_text(now_ms).replace("-", "").replace(":", "").replace(" ", "T") + "Z"


def _copy(source: sqlite3.Connection, wanted: Path) -> Path:
    """Copy a database to a new file, for its owner alone; return the name that was free."""
    target = _free(wanted)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    beside.make_file(partial)
    try:
        with contextlib.closing(connections.connect(str(partial), "rw", _WAIT_MS, None)) as copy:
            source.backup(copy)
            # One whole file: without this, opening it would make a journal beside it.
            copy.execute("PRAGMA journal_mode=DELETE").fetchone()
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def _free(wanted: Path) -> Path:
    """Return a name that is free and, by its number, later than those of the same moment."""
    pattern = re.compile(rf"{re.escape(wanted.stem)}(?:-(\d+))?{re.escape(wanted.suffix)}")
    found = [pattern.fullmatch(each.name) for each in wanted.parent.iterdir()] if wanted.parent.exists() else []
    taken = [int(each[1] or 1) for each in found if each]
    return wanted.with_name(f"{wanted.stem}-{max(taken) + 1}{wanted.suffix}") if taken else wanted


def restore(path: str, copy: str | os.PathLike[str], now_ms: int) -> Path | None:
    """Put a copy in a database's place; what was there is set aside beside it under a dated name.

    The copy is checked first. Processes that have the database open go on with the restored one. Nobody drains
    meanwhile; what another process writes without a spool between setting aside and replacing, some microseconds, may
    be in neither. A segment of the spool that is still there is drained from where the copy was.

    Args:
        path: The database's file, with no connection of this process open.
        copy: The copy's file.
        now_ms: The present, in milliseconds since 1970 UTC.

    Returns:
        Where the former database lies now; None where there was none.

    Raises:
        StoreError: The copy is none of ours or is damaged, somebody drains for too long, or the database can't be
            written; nothing was changed.
    """
    source_path, file = os.fspath(copy), Path(os.path.abspath(path))
    _require_sound(source_path)
    aside = file.with_name(f"{file.stem}.before-restore-{_stamp(now_ms)}.db")
    with (
        _looking(source_path) as source,
        named_errors(path),
        beside.held(str(file), beside.DRAIN_LOCK, path, _WAIT_S),
        beside.held(str(file), beside.MAKING_LOCK, path, _WAIT_S),
    ):
        former: Path | None = None
        if file.exists():
            former = _set_aside(file, aside)
        else:
            beside.remove_journals(str(file))
        beside.make_file(file)
        with contextlib.closing(connections.connect(str(file), "rw", _WAIT_MS, None)) as target:
            source.backup(target)
            cursors.renew(target, path)
            target.execute("PRAGMA journal_mode=WAL").fetchone()
        # What was set aside by a recovery that was interrupted stays where it is.
        beside.end_recovery(str(file))
    return former


def _set_aside(file: Path, aside: Path) -> Path:
    # SQLite would remove the journal of an emptied one.
    copied = None if beside.is_emptied(str(file)) else _copy_aside(file, aside)
    if copied is not None:
        return copied
    # Damaged beyond reading: the files themselves are what is left of it.
    aside = _free(aside)
    os.replace(file, aside)
    for journal in beside.JOURNALS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{file}{journal}", f"{aside}{journal}")
    return aside


def _copy_aside(file: Path, aside: Path) -> Path | None:
    """Copy a database to where it is set aside; None where it is too damaged for that."""
    try:
        with contextlib.closing(connections.connect(str(file), "rw", _WAIT_MS, None)) as current:
            # Others wait: what they have written is in the copy.
            current.execute("BEGIN IMMEDIATE")
            with contextlib.closing(connections.connect(str(file), "ro", _WAIT_MS, None)) as reader:
                return _copy(reader, aside)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
    return None

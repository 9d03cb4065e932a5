"""Which database a command looks at, and how it is opened for looking: nothing is migrated or changed.

What waits in its spool is moved in first, and a damaged one is replaced by what can be read of it. A database in an
older schema, such as one that another tool made, is shown from a migrated copy in memory.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import click

from usagetrace import places
from usagetrace.cli.context import Cli
from usagetrace.cli.output import say
from usagetrace.cli.settings import examine
from usagetrace.cli.waiting import bring_in, has_segments, tell_rest
from usagetrace.errors import NotAStoreError, StoreError
from usagetrace.reports import visible
from usagetrace.store import Store, beside
from usagetrace.store.connection import MEMORY, named_errors
from usagetrace.store.migrations import check, migrate

# Largest database in bytes that is copied to memory to be shown in the present schema.
COPY_LIMIT: Final = 256 * 1024 * 1024

T = TypeVar("T")


def found_stores(cli: Cli) -> list[tuple[str, Path]]:
    """Return the folder's name and the database of each tool that recorded at the default place, by name.

    The database may not be there yet: a tool that has run once or twice may have left a spool alone.
    """
    folder = places.data_dir(cli.environ)
    try:
        found = sorted((each.name, each / "analytics.db") for each in folder.iterdir())
        return [(name, path) for name, path in found if path.exists() or has_segments(path) or is_between(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def named_store(cli: Cli) -> Path | None:
    """Return the database that an option or a setting names; None where none does."""
    if cli.db is not None:
        return cli.db
    if cli.service is not None:
        return places.store_path(cli.environ, cli.service)
    examined = examine(cli.environ, cli.cwd)
    if examined.faults:
        # One of them may be the path of the database.
        say("the settings have faults, which `usagetrace config --check` lists; what they would say is left out")
    return examined.settings.db_path


def chosen_store(cli: Cli) -> Path | None:
    """Return the database to look at; None where no tool has recorded anything yet.

    Raises:
        click.UsageError: Several tools have one; the message lists what to type.
    """
    named = named_store(cli)
    if named is not None:
        return named
    found = found_stores(cli)
    if len(found) <= 1:
        return found[0][1] if found else None
    commands = "\n".join(f"  {shlex.join(['usagetrace', '--service', name, *cli.arguments])}" for name, _ in found)
    raise click.UsageError(f"{len(found)} tools have recorded something; say which one:\n{commands}")


def absent(cli: Cli, path: Path | None) -> str:
    """Return the message that there is no database yet, and where one was looked for."""
    return f"nothing recorded yet: {path if path is not None else places.data_dir(cli.environ)} does not exist"


def exists(path: Path | None) -> bool:
    """Return whether there is a file, an unreadable one included."""
    try:
        return path is not None and path.exists()
    except PermissionError:
        # Opening it says more.
        return True


def is_between(path: Path) -> bool:
    """Return whether a database is not in its place because its repair was cut short."""
    return not exists(path) and beside.unfinished(os.path.abspath(path)) is not None


def all_in(path: Path | None) -> bool:
    """Move in what waits in the spool of a database, going on with a repair that was cut short.

    Returns:
        Whether nothing is left outside.

    Raises:
        StoreError: The repair can't go on.
    """
    if path is None:
        return True
    whole = bring_in(path).complete
    if is_between(path):
        replaced(path)
    return whole


def _brought_in(cli: Cli) -> tuple[Path | None, bool]:
    """Return the chosen database, with what waited in its spool, and whether that was all; say where there is none."""
    path = chosen_store(cli)
    whole = all_in(path)
    if not exists(path):
        say(absent(cli, path))
        if path is not None:
            tell_rest(path, None)
    return path, whole


@contextlib.contextmanager
def reading(cli: Cli) -> Iterator[tuple[Path | None, Store | None]]:
    """Open the chosen database for looking, all of it at one moment, with what waited in its spool.

    Gives the path and the open store. Where there is none yet, says so on standard error and gives no store. What
    could not be moved in is told there as well.

    Raises:
        StoreError: There is one that can't be read.
    """
    path, whole = _brought_in(cli)
    if path is None or not exists(path):
        yield path, None
        return
    with healing(path), open_for_reading(path) as store:
        if not whole:
            tell_rest(path, store)
        yield path, store


def replaced(path: Path) -> bool:
    """Set a damaged store aside, put what can be read of it in its place, and say so.

    Returns:
        Whether it was done: not where the database is sound, or never was a store.

    Raises:
        StoreError: It could not be done.
    """
    # Imported here: a sound database has no need of it.
    from usagetrace.store.recovery import recover

    done = recover(path)
    if done is None:
        return False
    say(str(done))
    return True


@contextlib.contextmanager
def healing(path: Path) -> Iterator[None]:
    """Replace a store that turns out to be damaged in the middle of a command.

    Raises:
        StoreError: What was said by then can't be taken back, so the command is to be given again.
    """
    try:
        yield
    except NotAStoreError as error:
        # On pages that opening does not touch.
        if not replaced(path):
            raise
        raise StoreError(f"{path}: the damage cut this command short: give it again") from error


def _whole(path: Path, action: Callable[[Path], T]) -> T:
    try:
        return action(path)
    except NotAStoreError:
        if not replaced(path):
            raise
    return action(path)


@contextlib.contextmanager
def open_for_reading(path: Path) -> Iterator[Store]:
    """Open a database for looking, all of it at one moment; a damaged one is replaced first.

    Raises:
        StoreError: It can't be read, is no database of ours, or is large and in an older schema.
    """
    with _whole(path, _opened) as store:
        with named_errors(str(path)):
            # What is committed meanwhile must not make the parts of a report differ.
            store.connection.execute("BEGIN")
        try:
            yield store
        finally:
            store.connection.rollback()


def _opened(path: Path) -> Store:
    with named_errors(str(path)):
        looker, live = _looker(path)
        with contextlib.closing(looker):
            pending = check(looker, str(path))
            if live and not pending:
                return Store(path, read_only=True)
            if path.stat().st_size > COPY_LIMIT:
                raise StoreError(_too_large(path, pending=pending))
            copy = Store(MEMORY)
            try:
                looker.backup(copy.connection)
                migrate(copy.connection, str(path))
            except BaseException:
                copy.close()
                raise
            return copy


def _too_large(path: Path, *, pending: bool) -> str:
    if not pending:
        return f"{path}: its directory can't be written, which SQLite needs to read it: copy the file elsewhere"
    command = shlex.join(["usagetrace", "--db", str(path), "db", "stats"])
    return f"{path}: an older schema: bring it up to date with: {command}"


def _looker(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return a connection that can only read, and whether it sees what others write meanwhile.

    A database with a write-ahead log can't be read in a directory that can't be written. Where there is no log,
    nobody has it open, and the file alone is the whole.
    """
    address = path.absolute().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=5)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        return connection, True
    except sqlite3.OperationalError as error:
        connection.close()
        unwritable = "readonly" in str(error) or "unable to open" in str(error)
        if not unwritable or not os.access(path, os.R_OK) or not path.is_file() or exists(Path(f"{path}-wal")):
            raise
    except sqlite3.Error:
        connection.close()
        raise
    return sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True), False


@contextlib.contextmanager
def writing(cli: Cli) -> Iterator[tuple[Path | None, Store | None]]:
    """Open the chosen database for a change, with what waited in its spool; an older schema is brought up to date.

    Gives no store where there is none yet, and says so.

    Raises:
        StoreError: There is one that can't be written.
    """
    path, whole = _brought_in(cli)
    if path is None or not exists(path):
        yield path, None
        return
    bring_up_to_date(path)
    with healing(path), Store(path) as store:
        if not whole:
            tell_rest(path, store)
        yield path, store


def bring_up_to_date(path: Path) -> None:
    """Migrate an existing database to the present schema, and say so where there was something to do.

    A damaged one is replaced first.

    Raises:
        StoreError: It can't be read or written, or is no database of ours.
    """
    if _whole(path, _pending):
        with Store(path) as store:
            version = store.get_stats()["schema_version"]
        say(f"{visible(path)}: brought to schema version {version}")


def _pending(path: Path) -> bool:
    """Return whether a database is in an older schema."""
    with named_errors(str(path)):
        looker, _ = _looker(path)
        with contextlib.closing(looker):
            return bool(check(looker, str(path)))

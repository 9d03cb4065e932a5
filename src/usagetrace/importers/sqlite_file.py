"""An SQLite database that is looked at and never changed: no byte of its file, and no file made where none is open."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# How long to wait for another program's lock, in seconds.
_PATIENCE_S: Final = 5.0


@contextlib.contextmanager
def looking(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a database for reading, all of it at one moment.

    Where nobody has it open, it is read as a file that does not change, because SQLite would make a journal's index
    beside it. Somebody who opens it meanwhile is noticed at the end.

    Args:
        path: The file, which exists.

    Raises:
        sqlite3.Error: It can't be read, is none, or was written meanwhile.
    """
    whole = Path(path).absolute()
    alone = not any(os.path.exists(f"{whole}{suffix}") for suffix in ("-wal", "-journal"))
    before = _state(whole)
    address = f"{whole.as_uri()}?mode=ro{'&immutable=1' if alone and _uses_wal(whole) else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=_PATIENCE_S, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN")
        # Takes the view that everything afterwards sees.
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        yield connection
        connection.execute("ROLLBACK")
    if "immutable" in address and _state(whole) != before:
        raise sqlite3.OperationalError("another program wrote it meanwhile: try again")


def _uses_wal(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(20)[18:20] == b"\2\2"


def _state(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns

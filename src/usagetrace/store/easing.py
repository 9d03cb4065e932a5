"""How a connection is set while much is written through it, and set back afterwards.

This module owns those settings of SQLite; it knows no table and no spool.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from usagetrace.errors import StoreError
from usagetrace.store.connection import named_errors

# Bytes to be moved from which on the journal may grow to so many pages (usually of 4096 bytes).
_MUCH: Final = 1 << 20
_CHECKPOINT_PAGES: Final = 4000


@contextlib.contextmanager
def eased(
    connection: sqlite3.Connection,
    path: str,
    waiting: int,
    *,
    held: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    is_open: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Have what costs time beside the writing itself happen less often.

    A statement that adds rows to a table with triggers copies each page before it changes it, and beyond 64 kB SQLite
    writes the copies to a file: in here they stay in memory. Each time that the journal goes into the database waits
    for the disk: where much is to be written it goes less often.

    Args:
        connection: A connection in no transaction, and without temporary tables: they would be lost.
        path: The file, for messages.
        waiting: About how many bytes are to be written.
        held: Keeps other threads from closing the connection meanwhile.
        is_open: Says, while it is held, whether the connection is still in use.

    Raises:
        StoreError: The connection can't be set.
    """
    pages = copies = 0
    with held(), named_errors(path):
        eases = is_open()
        if eases:
            pages = int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
            copies = int(connection.execute("PRAGMA temp_store").fetchone()[0])
            if waiting > _MUCH and 0 < pages < _CHECKPOINT_PAGES:
                connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute("PRAGMA temp_store=MEMORY")
    try:
        yield
    finally:
        # It may be closed by now, where the process forked or the database was replaced.
        with contextlib.suppress(sqlite3.Error, StoreError), held():
            if eases and is_open():
                connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
                # What sorts or rebuilds the whole database afterwards is not to do so in memory.
                connection.execute(f"PRAGMA temp_store={copies}")

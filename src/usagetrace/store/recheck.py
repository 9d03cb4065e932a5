"""Looks whether what earlier drains brought in is still in the store, before the only other copy of it goes.

A database may be cut or overwritten where nobody reads for a while. As long as the segment is there, its events are
there too; so they are looked for once more before it is removed. Damage comes in pages, and the rows of a segment lie
side by side on them: a row here and there tells of every page.

This module reads, and removes nothing. What becomes of a damaged database is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from usagetrace.errors import NotAStoreError
from usagetrace.spool.layout import Row
from usagetrace.spool.reader import read_batches
from usagetrace.store.connection import MEMORY
from usagetrace.store.known import unknown
from usagetrace.store.store import Store

# Events that are looked at together.
_BATCH: Final = 2000
# Bytes of a segment for each row that is looked for: a page of a database holds about twice as much, or more.
_APART: Final = 2048
# Size of a database in bytes up to which all of it is read where events are missing: it takes about 0.3 s.
_READ_WHOLE: Final = 64 * 1024 * 1024


def recheck(store: Store, path: str, end: int, is_over: Callable[[], bool]) -> bool:
    """Look for events of a segment in the store.

    Those that somebody removed on purpose are missing from a sound database; that is no fault.

    Args:
        store: The store that the segment was drained into.
        path: The segment, which nobody appends to any more.
        end: Up to where earlier drains read it, in bytes.
        is_over: Says whether to stop.

    Returns:
        Whether all of it was looked at.

    Raises:
        NotAStoreError: The database is damaged.
        StoreError: It can't be read.
        OSError: The segment can't be read.
    """
    at = missing = 0
    for batch in read_batches(path, 0, 0, finished=True, events=_BATCH):
        rows = _here_and_there(batch.rows, batch.position - at)
        at = batch.position
        with store._using() as connection:
            missing += len(unknown(connection, rows))
        if at >= end:
            break
        if is_over():
            return False
    if missing and _is_small(store):
        with store._using() as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise NotAStoreError(f"{store.path}: the database is damaged: restore a copy or move it away")
    return True


def _here_and_there(rows: list[Row], size: int) -> list[Row]:
    """Return about one row for each so many bytes, the last one among them."""
    step = max(_APART * len(rows) // max(size, 1), 1)
    return rows[::-step]


def _is_small(store: Store) -> bool:
    return store.path != MEMORY and os.path.getsize(store._file) <= _READ_WHOLE

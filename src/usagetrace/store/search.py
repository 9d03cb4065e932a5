"""Finds invocations by the words of their workflow paths.

What can be asked: words, which must all be there, in any order; ``"words in quotes"``, which stand side by side; and
``word*``, the beginning of a word. Capitals and accents don't matter. Signs part words and mean nothing else, so a word
with signs in it, such as ``quick-fix``, is its parts side by side. Of a long text the first 4,096 characters and 64
different words count.

The index is FTS5's, in a file of its own beside the database (``analytics.db-search``): a cache that anybody may
remove, see :mod:`usagetrace.store.search_index`. It is made at the first search. From then on whoever drains in the
background keeps it up, each search adds what is new, and where retention removes events their texts go from it too.
Each answer is looked up in the database, so that an event which is not there, or says something else now, never shows
up. Building it takes no lock of the database. Where it can't be had (SQLite without FTS5, a folder that can't be
written, a store in memory) the events themselves are looked through.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from usagetrace.errors import StoreError
from usagetrace.guard import guard, warn_once
from usagetrace.store import beside
from usagetrace.store.connection import MEMORY, named_errors
from usagetrace.store.invocation_queries import scan
from usagetrace.store.invocations import said
from usagetrace.store.search_index import NotNowError, SpoiltError, connect, drop, opened, transaction
from usagetrace.store.search_terms import Term, matches, terms

if TYPE_CHECKING:
    from usagetrace.store.store import Store

# Events that are added to the index at once beside a program's own work: some 10 ms.
_FEW: Final = 400


def search(store: Store, text: str, limit: int) -> list[dict[str, Any]]:
    """Return the invocations whose path has all that a text looks for, newest first.

    Args:
        store: The store.
        text: What was typed: any text at all.
        limit: How many at most.

    Returns:
        Rows as :func:`usagetrace.store.invocation_queries.invocation` gives them.

    Raises:
        StoreError: The store can't be read.
    """
    wanted = terms(text)
    if not wanted or limit < 1:
        return []
    if store.path != MEMORY:
        for _ in range(2):
            try:
                with opened(store) as index:
                    index.catch_up()
                    return index.find(wanted, limit)
            except NotNowError as error:
                guard.note(error)
                warn_once(
                    "search", "workflow paths are searched without an index, word by word in every event: %s",
                    error.__cause__ or error,
                )  # fmt: skip
                break
            except SpoiltError as error:
                # It is only a cache.
                guard.note(error)
                forget(store._file)
    return _look_through(store, wanted, limit)


def follow(store: Store, may_go_on: Callable[[], bool]) -> None:
    """Bring a store's index up to date, if there is one: a search has little left to do then.

    Args:
        store: The store.
        may_go_on: Asked before each short transaction; what is left is for the next time, or the next search.
    """
    if not os.path.exists(store._file + beside.SEARCH):
        return
    try:
        with opened(store) as index:
            index.catch_up(may_go_on, _FEW)
    except (NotNowError, SpoiltError, StoreError) as error:
        # The next search says what is wrong, or mends it.
        guard.note(error)


def forget_removed(store: Store, may_go_on: Callable[[], bool]) -> None:
    """Take the texts of events that retention removed out of a store's index, if there is one.

    Args:
        store: The store.
        may_go_on: Asked before each short transaction; what is left is taken out at the next search.
    """
    if not os.path.exists(store._file + beside.SEARCH):
        return
    try:
        with opened(store) as index:
            index.forget_oldest(may_go_on)
    except (NotNowError, SpoiltError, StoreError) as error:
        guard.note(error)
        forget(store._file)


def forget(path: str) -> None:
    """Empty a database's index, if there is one: the next search makes it anew.

    The file stays where it can: whoever has it open goes on with it.

    Args:
        path: The database's file.
    """
    file = path + beside.SEARCH
    if not os.path.exists(file):
        return
    try:
        with contextlib.closing(connect(file)) as connection, transaction(connection):
            drop(connection)
    except sqlite3.Error as error:
        # Damaged, locked for long, or SQLite has no FTS5 to drop it with.
        guard.note(error)
        for suffix in ("", *beside.JOURNALS):
            with contextlib.suppress(OSError):
                os.unlink(f"{file}{suffix}")


# --- without an index --------------------------------------------------------------------------------------


def _look_through(store: Store, wanted: Sequence[Term], limit: int) -> list[dict[str, Any]]:
    """Return the newest invocations that have all terms, by looking at every path."""
    with named_errors(store.path), store._using() as connection:
        connection.create_function("usagetrace_has_terms", 1, lambda metadata: _has(metadata, wanted))
        try:
            return scan(connection, "usagetrace_has_terms(metadata)", (), limit)
        finally:
            connection.create_function("usagetrace_has_terms", 1, None)


def _has(metadata: object, wanted: Sequence[Term]) -> bool:
    path = said(metadata if isinstance(metadata, str) else None).path
    return path is not None and matches(path, wanted)

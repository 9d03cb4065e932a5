"""What ``SkillMetricsStore`` reads with: one database file, with everything in it that was completed.

This module owns when the spool is moved in, which connection is used, and telling of slow queries. It records nothing.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from usagetrace import api
from usagetrace.config import Settings, load_settings
from usagetrace.consent import consent
from usagetrace.guard import guard, warn_once
from usagetrace.pipeline import active
from usagetrace.reports.window import WindowError, parse_window
from usagetrace.store import invocation_queries as queries
from usagetrace.store.catchup import catch_up, close_quietly, healing
from usagetrace.store.connection import MEMORY
from usagetrace.store.store import Store

T = TypeVar("T")

logger = logging.getLogger("usagetrace")

# A query that takes longer is told of, in milliseconds.
SLOW_MS: Final = 100.0
# What a read may wait for the spool to be emptied, in seconds.
BUDGET_S: Final = 2.0

_UNITS: Final = {
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}  # fmt: skip
_SPAN: Final = re.compile(r"(\d{1,6})\s*([a-z]+)", re.ASCII)

# The clock of queries, in nanoseconds.
_ticks: Callable[[], int] = time.perf_counter_ns


class Reader:
    """Reads a database; each method raises StoreError where that can't be done. Making one touches no file.

    Args:
        file: The file, absolute; None for the one that tracked calls go to, whichever that is.
        write: Brings what waits in this process's memory to the disk.
    """

    def __init__(self, file: str | None, write: Callable[[float], object]) -> None:
        self._file = file
        self._write = write
        # One for what is asked here, and one to lend: a statement left open there would hold the other in the past.
        self._own: Store | None = None
        self._lent: Store | None = None

    def path(self) -> Path:
        """Return the file, made where there is none yet and the user allows it: who asks wants to look at it.

        Raises:
            ConfigurationError: No file was given, and the settings can't be read.
        """
        path = self._place()
        if path == MEMORY:
            return Path(self._file or settings().store_text())
        if not os.path.exists(path):
            with guard:
                self._own = self._whole(self._own)
                self._own.connection  # noqa: B018 -- opens it, which makes the file
        return Path(path)

    def metrics(self, name: str, skill_name: str | None = None) -> list[dict[str, Any]]:
        """Return the metrics of a skill, or of all; ``name`` is what was asked for."""
        return self._ask(name, lambda store: queries.metrics(store, skill_name))

    def summary(self) -> dict[str, Any]:
        """Return what is known of all skills together."""
        return self._ask("get_summary", queries.summary)

    def timeline(self, skill_name: str, window: str, limit: int) -> list[dict[str, Any]]:
        """Return the invocations of a skill within a window, see :func:`since_ms`."""
        since = since_ms(window, time.time_ns() // 1_000_000)
        return self._ask("get_skill_timeline", lambda store: queries.timeline(store, skill_name, since, limit=limit))

    def search(self, text: str) -> list[dict[str, Any]]:
        """Return the invocations whose workflow path has the words of a text."""
        return self._ask("search_workflow_paths", lambda store: queries.search(store, text))

    def _ask(self, name: str, query: Callable[[Store], T]) -> T:
        """Return what a query finds, and tell by name of one that takes its time."""
        store = self._own = self._whole(self._own)
        # First: to make a database, or bring it to the present schema, is no part of the query.
        healing(store, lambda: store.connection)
        began = _ticks()
        try:
            return healing(store, lambda: query(store))
        finally:
            took_ms = (_ticks() - began) / 1e6
            if took_ms > SLOW_MS:
                logger.warning("usagetrace: Slow query: %s took %.0fms", name, took_ms)

    def lend(self) -> sqlite3.Connection:
        """Return a connection for reading, by whatever SQL.

        Raises:
            StoreError: The database can't be used.
        """
        store = self._lent = self._whole(self._lent)
        connection = healing(store, lambda: store.connection)
        # Each time: the file may have been replaced, and the connection be another one.
        connection.execute("PRAGMA query_only = ON")
        return connection

    def write(self, action: Callable[[Store], Any]) -> None:
        """Write to a database that is in memory alone."""
        store = self._own = self._of(MEMORY, self._own)
        action(store)

    def close(self) -> None:
        """Close the connections. Never raises."""
        for store in (self._own, self._lent):
            if store is not None:
                with guard:
                    store.close()

    def _whole(self, store: Store | None) -> Store:
        """Return a store with everything in it that was completed, as far as that can be had now."""
        path = self._place()
        if path != MEMORY:
            self._write(BUDGET_S)
            report = catch_up(path, budget=BUDGET_S)
            if report is not None and not report.complete:
                warn_once(
                    f"behind:{path}",
                    "%s: not all that was recorded is in it yet, and what is read now lacks the rest: "
                    "`usagetrace db drain` brings it in, or says why it can't",
                    path,
                )
        return self._of(path, store)

    def _of(self, path: str, store: Store | None) -> Store:
        """Return the store of a file: the one in hand, unless tracked calls go to another file by now."""
        if store is not None and store.path == path:
            return store
        if store is not None:
            close_quietly(store)
        return Store(path)

    def _place(self) -> str:
        """Return the file to read; memory where the user said no, so that nothing is touched."""
        if not consent().allowed:
            return MEMORY
        return os.path.abspath(settings().store_text()) if self._file is None else self._file


def settings() -> Settings:
    """Return the settings that tracked calls have, or will have.

    Raises:
        ConfigurationError: They can't be read.
    """
    pipeline = active()
    return pipeline.settings if pipeline is not None else api._settings or load_settings()


def since_ms(window: str, now_ms: int) -> int:
    """Return when a window begins, in milliseconds since 1970 UTC.

    Args:
        window: A time back from now, such as ``7 days``, ``7d`` or ``24h``; a date; or ``all``.
        now_ms: The present, in milliseconds since 1970 UTC.

    Raises:
        ValueError: It names no time.
    """
    found = _SPAN.fullmatch(window.strip().lower())
    unit = None if found is None else next((short for short, words in _UNITS.items() if found[2] in words), None)
    try:
        return parse_window(window if found is None or unit is None else found[1] + unit, None, now_ms).since_ms or 0
    except WindowError as error:
        raise ValueError(f"time_window: {error}") from None

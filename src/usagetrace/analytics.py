"""``AnalyticsManager`` and ``AnalyticsDB`` for tools that were written against those two.

This module owns their methods, arguments, defaults and return values; it is a thin layer over the store. Everything
is redacted (:mod:`usagetrace.analytics_event`) before the store sees it. A tool changes one import and goes on.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from usagetrace.analytics_event import redacted_event, redacted_metadata, redacted_path
from usagetrace.config import load_settings
from usagetrace.consent import consent, to_bool
from usagetrace.errors import StoreError, StoreUnavailableError
from usagetrace.guard import guard
from usagetrace.store.catchup import catch_up, healing
from usagetrace.store.connection import MEMORY, is_lock
from usagetrace.store.recorder import Recorder
from usagetrace.store.store import Store
from usagetrace.track.values import to_value

logger = logging.getLogger("usagetrace")

EVENT_TYPES: Final = ("deploy", "update", "sync", "remove", "search")
ARTIFACT_TYPES: Final = ("skill", "command", "agent")

# What one call of a manager may wait for a lock, and the end of it for what was kept.
_CALL_BUDGET_MS: Final = 20
_CLOSE_TIMEOUT_S: Final = 1.0
# What reading may wait for the spool to be emptied, in seconds.
_DRAIN_BUDGET_S: Final = 2.0
# Events of an older schema that a manager migrates in its caller's thread; more is for the background.
_MIGRATE_AT_MOST: Final = 500


class AnalyticsConfig(Protocol):
    """The three questions that :class:`AnalyticsManager` asks a tool's own configuration."""

    def is_analytics_enabled(self) -> object:
        """Return whether the tool wants analytics; the user's no wins over it."""

    def get_analytics_retention_days(self) -> object:
        """Return the age in days at which events are removed; 0 keeps everything."""

    def get_analytics_db_path(self) -> Path | None:
        """Return the database file; None for the default one."""


class AnalyticsDB:
    """The database of events, opened at once. Each method raises StoreError where the store can't be used.

    What tracked calls left in the spool is moved in before anything is read or cleaned up, unless a transaction of
    the tool's own is open.

    Where the user said no (``DO_NOT_TRACK`` and the like), it works in memory alone: no file is made or opened.

    Args:
        db_path: The file; by default the one that the settings name.
        strict: Accept only ``valid_event_types`` and ``valid_artifact_types``.
        valid_event_types: Event types, with ``strict``.
        valid_artifact_types: Artifact types, with ``strict``.
        busy_timeout_ms: How long to wait for another process's lock.
        migrate_at_most: As for :class:`usagetrace.store.Store`.

    Raises:
        StoreError: The file can't be used; the message names it and the remedy.
        ConfigurationError: No path was given, and the settings can't be read.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
        valid_event_types: Collection[str] = EVENT_TYPES,
        valid_artifact_types: Collection[str] = ARTIFACT_TYPES,
        busy_timeout_ms: int = 5000,
        migrate_at_most: int | None = None,
    ) -> None:
        self.db_path = Path(load_settings().store_path() if db_path is None else db_path)
        self._strict = strict
        self._valid = {"event_type": valid_event_types, "artifact_type": valid_artifact_types}
        self._closed = False
        self._allowed = consent().allowed
        self._store = Store(
            self.db_path if self._allowed else MEMORY,
            busy_timeout_ms=busy_timeout_ms,
            # The default of sqlite3: a tool's own statements begin a transaction that its commit() ends.
            isolation_level="",
            migrate_at_most=migrate_at_most,
        )
        # Opens the file, so that a fault shows here; a damaged store is replaced by what can be read of it.
        healing(self._store, lambda: self._store.connection)

    @property
    def connection(self) -> sqlite3.Connection | None:
        """The connection, for SQL of the tool's own; None once closed. Rows can be read by column name."""
        return None if self._closed else self._store.connection

    def _live(self) -> Store:
        if self._closed:
            raise StoreError(f"{self.db_path}: this AnalyticsDB is closed: make a new one")
        return self._store

    def _whole(self) -> Store:
        """Return the store with what waited in its spool, as far as that can be had now."""
        store = self._live()
        # What is open on the connection keeps its view of the database, and may hold the lock that a drain needs.
        if self._allowed and not store.connection.in_transaction:
            catch_up(self.db_path, budget=_DRAIN_BUDGET_S)
        return store

    def _writable(self) -> Store:
        """Return the store, with the tool's own statements committed, as any writing method always did."""
        store = self._live()
        store.settle()
        return store

    def record_event(
        self,
        event_type: str,
        artifact_name: str,
        artifact_type: str,
        collection_name: str | None = None,
        project_path: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> int:
        """Redact and add one event, and count it in the summary.

        Args:
            event_type: ``deploy``, ``update``, ``sync``, ``remove``, ``search``, or any other type.
            artifact_name: The thing.
            artifact_type: Its kind.
            collection_name: The group it belongs to.
            project_path: The project.
            metadata: Further keys, nested as they may be.

        Returns:
            The id of the event.

        Raises:
            ValueError: ``strict``, and a type is not among the accepted ones.
            StoreError: The event could not be added.
            RedactionError: A value could not be redacted.
        """
        if self._strict:
            self._check("event_type", event_type)
            self._check("artifact_type", artifact_type)
        event = redacted_event(event_type, artifact_name, artifact_type, collection_name, project_path, metadata)
        return self._writable().write([event])[0]

    def _check(self, field: str, value: str) -> None:
        if value not in self._valid[field]:
            raise ValueError(f"Invalid {field}: {value!r}; expected one of {', '.join(self._valid[field])}")

    def get_events(
        self,
        event_type: str | None = None,
        artifact_name: str | None = None,
        artifact_type: str | None = None,
        collection_name: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Return events that meet every condition given, newest first; ``metadata`` is JSON text."""
        return self._whole().get_events(event_type, artifact_name, artifact_type, collection_name, limit, offset)

    def get_usage_summary(
        self, artifact_name: str | None = None, artifact_type: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the summary of the artifacts that meet the conditions, the most used first."""
        return self._whole().get_usage_summary(artifact_name, artifact_type)

    def get_top_artifacts(self, artifact_type: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """Return the artifacts with the most events."""
        return self._whole().get_top_artifacts(artifact_type, limit)

    def cleanup_old_events(self, days: int = 90) -> int:
        """Remove events older than so many days; return how many. 0 keeps everything, the summary stays.

        Raises:
            ValueError: ``days`` is negative.
            StoreError: The store can't be written.
        """
        self._writable()
        return self._whole().cleanup_old_events(days)

    def run_retention(self, days: int, archive: Path | None = None) -> int:
        """Remove older events, archived first if a folder is given, unless done within a day; say how many."""
        return self._writable().run_retention(days, now_ms=time.time_ns() // 1_000_000, archive=archive)

    def vacuum(self) -> None:
        """Give the space of removed events back to the file system."""
        self._writable().vacuum()

    def get_stats(self) -> dict[str, Any]:
        """Return what the database holds, see :func:`usagetrace.store.queries.get_stats`."""
        return self._whole().get_stats()

    def close(self) -> None:
        """Close the connection; again does nothing."""
        self._closed = True
        self._store.close()

    def __enter__(self) -> AnalyticsDB:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AnalyticsManager:
    """Records events where the user and the tool allow it, and never raises.

    Where either says no, no file is touched.

    Args:
        config: The tool's configuration, see :class:`AnalyticsConfig`; by default the settings of this package.
    """

    def __init__(self, config: AnalyticsConfig | None = None) -> None:
        self.config = config
        self.db: AnalyticsDB | None = None
        self._recorder: Recorder | None = None
        self._retention_days = 0
        self._archive_dir: Path | None = None
        self._recorded = False
        self._enabled = False
        try:
            path = self._allowed_path() if consent().allowed else None
            if path is not None:
                self._open(path)
        except Exception as error:  # noqa: BLE001 -- the tool runs on without analytics
            logger.warning("usagetrace: analytics are unavailable: %s", error)

    def _allowed_path(self) -> Path | None:
        """Return the file to use, or None where analytics are not wanted."""
        if self.config is None:
            settings = load_settings()
            self._retention_days = settings.retention_days
            self._archive_dir = settings.archive_dir
            return settings.store_path() if settings.enabled else None
        # What is neither a plain yes nor a word for it is a no.
        wanted = self.config.is_analytics_enabled()
        if wanted is not True and not (isinstance(wanted, str) and to_bool(wanted)):
            return None
        days = self.config.get_analytics_retention_days()
        self._retention_days = days if isinstance(days, int) and days > 0 else 0
        return Path(self.config.get_analytics_db_path() or load_settings().store_path())

    def _open(self, path: Path) -> None:
        try:
            self.db = AnalyticsDB(path, busy_timeout_ms=_CALL_BUDGET_MS, migrate_at_most=_MIGRATE_AT_MOST)
        except StoreUnavailableError as error:
            # A lock passes: until then events wait in memory.
            if not is_lock(error):
                raise
        self._recorder = Recorder(path, retention_days=0)
        self._enabled = True

    def record_event(
        self,
        event_type: str,
        artifact_name: str,
        artifact_type: str,
        collection_name: str | None = None,
        project_path: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> bool:
        """Redact and record one event.

        Args:
            event_type: ``deploy``, ``update``, ``sync``, ``remove``, ``search``, or any other type.
            artifact_name: The thing.
            artifact_type: Its kind.
            collection_name: The group it belongs to.
            project_path: The project.
            metadata: Further keys, nested as they may be.

        Returns:
            True when the event is committed, or kept for a store that is locked; False when analytics are off or
            it failed. Never raises.
        """
        recorder = self._recorder
        if not self._enabled or recorder is None:
            return False
        fields = (event_type, artifact_name, artifact_type, collection_name, project_path, metadata)
        try:
            if self.db is None or recorder.buffered:
                return recorder.submit([redacted_event(*fields)])
            try:
                self.db.record_event(*fields)
            except StoreUnavailableError:
                return recorder.submit([redacted_event(*fields)])
            self._recorded = True
            return True
        except Exception as error:  # noqa: BLE001 -- the tool's operation must not fail with it
            logger.debug("usagetrace: an analytics event was not recorded: %s", type(error).__name__)
            return False

    def _redact_path(self, path: str | os.PathLike[str] | None) -> str | None:
        """Return a path without the user's name and without foreign directories; None for none, or left out."""
        return redacted_path(path) if path else None

    def _redact_paths(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Return metadata with every path and secret in it redacted, at any depth; the original stays as it is."""
        return redacted_metadata(to_value(metadata))

    def close(self) -> None:
        """Commit what was kept, look after retention, close the database. Never raises."""
        self._enabled = False
        if self._recorder is not None:
            self._recorder.close(_CLOSE_TIMEOUT_S)
        if self.db is not None:
            with guard:
                if self._recorded and self._retention_days:
                    self.db.run_retention(self._retention_days, self._archive_dir)
            with guard:
                self.db.close()

    def __enter__(self) -> AnalyticsManager:
        return self

    def __exit__(self, *error: object) -> Literal[False]:
        self.close()
        return False

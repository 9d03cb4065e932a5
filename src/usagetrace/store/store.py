"""One store: a database of usage events, and everything that may be done with it, safe for threads.

This module owns what can be written and read. The connection is the handle's; the work itself is in the writer, the
queries, the metrics and the upkeep; who calls it, and what happens when it fails, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from usagetrace.events import Event, Status, category_of, priority_of
from usagetrace.store import metrics, queries, writer
from usagetrace.store.connection import named_errors
from usagetrace.store.handle import Handle
from usagetrace.store.metrics import MetricPoint
from usagetrace.store.upkeep import Upkeep, now_milliseconds


class Store(Handle, Upkeep):
    """A database of usage events. Making one touches no file: the first use opens it.

    One object may be shared by threads. A fork closes the connection; parent and child open their own. A closed
    store opens again at its next use. So does one whose file was removed, moved or replaced meanwhile: each use
    looks whether the path still is the file that is open, and a transaction begins only on that one.

    Args:
        path: The database file; made, with its directories, when it is missing. ``:memory:`` keeps it in memory.
        busy_timeout_ms: How long to wait for a lock of another process, or of another thread on this object.
        read_only: Never make, migrate or change the file.
        isolation_level: As in :func:`sqlite3.connect`, for those who run SQL of their own on :attr:`connection`.
        migrate_at_most: Leave an existing database alone (StoreUnavailableError) if more events than that would
            have to be migrated; None for no limit.
    """

    # --- writing -------------------------------------------------------------------------------------------

    def write(self, events: Sequence[Event]) -> list[int]:
        """Add redacted events and count them in the summary, in one transaction.

        Args:
            events: Redacted events; an empty sequence does nothing.

        Returns:
            The ids of the new rows, in the order of the events.

        Raises:
            StoreError: Nothing was added.
        """
        if not events:
            return []
        with self.atomic(), named_errors(self.path):
            return writer.write(self._open(), events)

    def write_metrics(self, points: Iterable[MetricPoint]) -> None:
        """Add metric points to their days, in one transaction.

        Raises:
            StoreError: Nothing was added.
        """
        with self.atomic(), named_errors(self.path):
            metrics.write_metrics(self._open(), points)

    def record_event(
        self,
        event_type: str,
        artifact_name: str,
        artifact_type: str,
        collection_name: str | None = None,
        project_path: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        ts_ms: int | None = None,
    ) -> int:
        """Add one event whose fields are redacted already.

        Args:
            event_type: What was done; any text.
            artifact_name: The thing.
            artifact_type: Its kind.
            collection_name: The group it belongs to.
            project_path: The project, in its redacted form.
            metadata: Further keys; ``result: "error"`` or ``success: False`` make the event an error.
            ts_ms: When it began, in milliseconds since 1970 UTC; now by default.

        Returns:
            The id of the new row.

        Raises:
            StoreError: Nothing was added.
        """
        failed = metadata is not None and (metadata.get("result") == "error" or metadata.get("success") is False)
        event = Event(
            event_type=event_type,
            artifact_name=artifact_name,
            artifact_type=artifact_type,
            ts_ms=now_milliseconds() if ts_ms is None else ts_ms,
            collection_name=collection_name,
            project_path=project_path,
            metadata=metadata,
            status=(Status.ERROR if failed else Status.OK).value,
            category=category_of(event_type).value,
            priority=priority_of(event_type).value,
        )
        return self.write([event])[0]

    # --- reading -------------------------------------------------------------------------------------------

    def get_events(
        self,
        event_type: str | None = None,
        artifact_name: str | None = None,
        artifact_type: str | None = None,
        collection_name: str | None = None,
        limit: int | None = 100,
        offset: int = 0,
        **conditions: Any,
    ) -> list[dict[str, Any]]:
        """Return events, newest first; see :func:`usagetrace.store.queries.get_events` for the conditions.

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return queries.get_events(
                connection, event_type, artifact_name, artifact_type, collection_name, limit, offset, **conditions
            )

    def get_usage_summary(
        self, artifact_name: str | None = None, artifact_type: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the summary rows that meet the conditions, the most used first.

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return queries.get_usage_summary(connection, artifact_name, artifact_type)

    def get_top_artifacts(
        self, artifact_type: str | None = None, limit: int = 10, **window: Any
    ) -> list[dict[str, Any]]:
        """Return the most used artifacts; see :func:`usagetrace.store.queries.get_top_artifacts` for the window.

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return queries.get_top_artifacts(connection, artifact_type, limit, **window)

    def count_events(self, by: Sequence[str] = (), **conditions: Any) -> list[dict[str, Any]]:
        """Count events in groups; see :func:`usagetrace.store.queries.count_events` for the conditions.

        Raises:
            StoreError: The store can't be read.
            ValueError: Events can't be grouped by one of the names.
        """
        with self._using() as connection:
            return queries.count_events(connection, by, **conditions)

    def get_metrics(
        self, name: str | None = None, since_day: str | None = None, until_day: str | None = None
    ) -> list[MetricPoint]:
        """Return metric points by day, from ``since_day`` until before ``until_day`` (``YYYY-MM-DD``).

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return metrics.get_metrics(connection, name, since_day, until_day)

    def get_totals(self) -> tuple[int, int]:
        """Return how many events were ever counted, and how many are known to be lost.

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return queries.get_totals(connection)

    def get_stats(self) -> dict[str, Any]:
        """Return what the store holds; see :func:`usagetrace.store.queries.get_stats`.

        Raises:
            StoreError: The store can't be read.
        """
        with self._using() as connection:
            return queries.get_stats(connection)

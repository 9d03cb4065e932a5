"""``SkillMetricsStore`` for tools that were written against that class, and for whoever asks about invocations.

This module owns its methods, arguments, defaults and return values; it is a thin layer over recording, which never
raises, and over the store's queries. A tool changes one import and goes on. Nothing that reads is imported before
something is read.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from usagetrace import api
from usagetrace.config import settings_or_off
from usagetrace.consent import consent
from usagetrace.errors import StoreError
from usagetrace.events import Event
from usagetrace.guard import guard
from usagetrace.invocations.invocation import SKILL, Invocation, begin, new_plan
from usagetrace.pipeline import active
from usagetrace.redaction import default_redactor
from usagetrace.semconv import SERVICE_NAME
from usagetrace.store.recorder import Recorder
from usagetrace.track import rates
from usagetrace.track import runtime as runtime_module
from usagetrace.track.runtime import OFF, Runtime

if TYPE_CHECKING:
    import sqlite3

    from usagetrace.invocations.reader import Reader
    from usagetrace.redaction import Redactor

    # What records, and the part of it that writes a file.
    Recording = tuple["Runtime", "_Sink | None"]

# As SQLite names a database that is no file.
_MEMORY: Final = ":memory:"
# What closing may take, in seconds.
_CLOSE_S: Final = 2.0
# Invocations that a timeline shows at most.
_TIMELINE_LIMIT: Final = 10_000


class _Sink:
    """Where invocations go that have a file of their own, as long as a store or an open invocation knows of it.

    Args:
        recorder: Writes them.
        exit_timeout: Seconds that this may take at the end.
    """

    __slots__ = ("__weakref__", "_end", "recorder")

    def __init__(self, recorder: Recorder, exit_timeout: float) -> None:
        self.recorder: Final = recorder
        # When the last of them is gone, at the latest when the program ends: whoever never closes a store, and never
        # reads, must not leave a file for each of its runs.
        self._end = weakref.finalize(self, recorder.close, exit_timeout, at_exit=True)

    def runtime(self, redactor: Redactor, service_name: str) -> Runtime:
        """Return what hands invocations over to here."""
        return Runtime(
            None,
            redactor=redactor,
            record=self._record,
            record_sampled=self._record_sampled,
            record_start=self._record_start,
            service_name=service_name,
        )

    def _record(self, rows: list[tuple[Any, ...]]) -> bool:
        return self.recorder.submit_rows(rows)

    def _record_sampled(self, rows: list[tuple[Any, ...]], minimum: int, window_ms: int) -> bool:
        return self.recorder.submit_sampled(rows, minimum, window_ms)

    def _record_start(self, row: tuple[Any, ...]) -> bool:
        return self.recorder.submit_start(row)

    def close(self) -> None:
        self._end.detach()
        self.recorder.close(_CLOSE_S)


class SkillMetricsStore:
    """Records invocations of skills, and says what is known of them. Making one touches no file.

    What is recorded is never in the way: :meth:`track_invocation` raises nothing, waits for nobody and does nothing
    where the user said no. What reads sees everything that was completed before, by any process, as far as seconds
    suffice to bring it in (a warning says where they don't), and raises StoreError where the database can't be used.
    One object may be shared by threads, and goes through a fork.

    Args:
        db_path: The file; by default the one that tracked calls go to.
    """

    # Set by the first invocation that goes to a file of its own.
    _recording: Recording | None = None

    def __init__(self, db_path: str | os.PathLike[str] | None = None) -> None:
        self._given = None if db_path is None else Path(db_path)
        # The working directory may change before the file is opened.
        self._file = None if db_path is None else _absolute(os.fspath(db_path))
        self._plan = new_plan()
        self._reader: Reader | None = None
        self._closed = False

    # --- recording -----------------------------------------------------------------------------------------

    def track_invocation(
        self,
        skill_name: str,
        workflow_path: str | None = None,
        session_id: str | None = None,
        *,
        artifact_type: str = SKILL,
        metadata: Mapping[str, Any] | None = None,
    ) -> Invocation:
        """Begin an invocation; see :func:`usagetrace.invocations.track_invocation`. Never raises.

        Args:
            skill_name: What is invoked.
            workflow_path: Which way of it is taken.
            session_id: Session that it belongs to; by default that of the context, of the environment or of the
                process.
            artifact_type: Kind of what is invoked. What is read here is of kind ``skill``.
            metadata: Further keys.

        Returns:
            The invocation, to be completed by its ``completer``, or used as a context manager.
        """
        return begin(self._runtime(), self._plan, skill_name, workflow_path, session_id, artifact_type, metadata)

    # It is safe for threads and processes by itself: no skill waits for another.
    track_invocation_concurrent = track_invocation

    def _runtime(self) -> Runtime:
        """Return what invocations are recorded with: that of all tracked calls, or one of this object's own file."""
        if self._file is None:
            return runtime_module.current()
        recording = self._recording
        if recording is None:
            try:
                made = self._make()
            except Exception as error:  # noqa: BLE001 -- the host runs on without
                guard.note(error)
                made = OFF, None
            # Of two threads that come at once both get what one of them has made.
            recording = self.__dict__.setdefault("_recording", made)
        return recording[0]

    def _make(self) -> Recording:
        settings = (api._settings or settings_or_off()) if consent().allowed else None
        if settings is None or self._file is None:
            return OFF, None
        redactor = default_redactor()
        service = redactor.redact(SERVICE_NAME, settings.service_name)
        name = service if isinstance(service, str) else ""
        if self._file == _MEMORY:
            return Runtime(None, redactor=redactor, record=self._write, service_name=name), None
        recorder = Recorder(self._file, retention_days=settings.retention_days, archive_dir=settings.archive_dir)
        sink = _Sink(recorder, settings.exit_timeout)
        if active() is None:
            # No tracked call has brought the settings into force yet.
            rates.apply(settings.sampling)
        return sink.runtime(redactor, name), sink

    def _write(self, rows: list[tuple[Any, ...]]) -> bool:
        """Add events to a database that is in memory."""
        self._reads().write(lambda store: store.write([Event(*row) for row in rows]))
        return True

    # --- reading -------------------------------------------------------------------------------------------

    def _reads(self) -> Reader:
        """Return what reads.

        Raises:
            StoreError: This object is closed.
        """
        if self._closed:
            raise StoreError(f"{self._given or 'the store'}: this SkillMetricsStore is closed: make a new one")
        if self._reader is None:
            from usagetrace.invocations.reader import Reader

            self._reader = Reader(self._file, self._bring)
        return self._reader

    def _bring(self, timeout_s: float) -> None:
        """Bring to the disk what waits in this process's memory, because the spool could not be written."""
        if self._file is None:
            pipeline = active()
            recorder = None if pipeline is None else pipeline.recorder
        else:
            recorder = None if self._recording is None or self._recording[1] is None else self._recording[1].recorder
        if recorder is not None and recorder.buffered:
            recorder.flush(timeout_s)

    @property
    def db_path(self) -> Path:
        """The database file, made where there is none yet and the user allows it: what asks wants to look at it.

        Raises:
            ConfigurationError: No path was given, and the settings can't be read.
        """
        path = self._reads().path()
        return path if self._given is None else self._given

    @property
    def conn(self) -> sqlite3.Connection:
        """A connection for SQL of the tool's own, which only reads. Rows can be read by column name as well.

        Raises:
            StoreError: The database can't be used.
        """
        return self._reads().lend()

    def get_skill_metrics(self, skill_name: str) -> dict[str, Any]:
        """Return what is known of a skill, by the columns of the view ``skill_metrics``.

        Args:
            skill_name: The skill.

        Returns:
            Counts, times as UTC text, durations in seconds, ``completion_rate`` in percent; ``workflow_paths``,
            ``common_errors`` and ``follow_up_actions`` are dicts of counts. Of a skill that was never invoked: zeros,
            and None for times, minimum, maximum and percentiles.

        Raises:
            StoreError: The database can't be read.
        """
        rows = self._reads().metrics("get_skill_metrics", skill_name)
        return rows[0] if rows else _nothing(skill_name)

    def get_all_metrics(self) -> list[dict[str, Any]]:
        """Return what is known of every skill, by name; each as :meth:`get_skill_metrics` does.

        Raises:
            StoreError: The database can't be read.
        """
        return self._reads().metrics("get_all_metrics")

    def get_summary(self) -> dict[str, Any]:
        """Return what is known of all skills together.

        Returns:
            ``total_skills``, ``total_invocations``, ``completed_invocations``, ``abandoned_invocations``,
            ``overall_completion_rate`` in percent, and more; see
            :func:`usagetrace.store.invocation_queries.summary`.

        Raises:
            StoreError: The database can't be read.
        """
        return self._reads().summary()

    def get_skill_timeline(self, skill_name: str, time_window: str = "7 days") -> list[dict[str, Any]]:
        """Return the invocations of a skill within a time.

        Args:
            skill_name: The skill.
            time_window: A time back from now, such as ``7 days``, ``7d``, ``24h`` or ``30 minutes``; a date; or
                ``all``.

        Returns:
            The columns of the view ``skill_invocation``, the newest first, 10,000 at most.

        Raises:
            ValueError: The window names no time.
            StoreError: The database can't be read.
        """
        return self._reads().timeline(skill_name, time_window, _TIMELINE_LIMIT)

    def search_workflow_paths(self, text: str) -> list[dict[str, Any]]:
        """Return invocations whose workflow path has the words of a text.

        Args:
            text: Words that must all be there; ``"some words"`` stand side by side; ``word*`` begins a word.

        Returns:
            As :meth:`get_skill_timeline`, of all skills, a hundred at most.

        Raises:
            StoreError: The database can't be read.
        """
        return self._reads().search(text)

    def close(self) -> None:
        """Write what was completed, and close the database; again does nothing. Never raises.

        An invocation that is completed afterwards is recorded all the same.
        """
        self._closed = True
        if self._recording is not None and self._recording[1] is not None:
            self._recording[1].close()
        if self._reader is not None:
            self._reader.close()

    @property
    def closed(self) -> bool:
        """Whether this object can't read any more."""
        return self._closed

    def __enter__(self) -> SkillMetricsStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_shared: SkillMetricsStore | None = None


def get_store() -> SkillMetricsStore:
    """Return the store of the database that tracked calls go to, the same object each time unless it was closed."""
    global _shared
    store = _shared
    if store is None or store.closed:
        store = _shared = SkillMetricsStore()
    return store


def check_database_health(store: SkillMetricsStore) -> dict[str, Any]:
    """Return the state of a store's database.

    Args:
        store: Whose database.

    Returns:
        ``database_size_mb``, ``total_invocations``, ``total_skills``, ``schema_version``, and ``integrity``: ``ok``, or
        what SQLite's own check of the file says first.

    Raises:
        StoreError: The database can't be read.
    """
    connection = store.conn
    path = store.db_path
    return {
        "database_size_mb": path.stat().st_size / (1024 * 1024) if path.exists() else 0.0,
        "total_invocations": connection.execute("SELECT COUNT(*) FROM skill_invocation").fetchone()[0],
        "total_skills": connection.execute("SELECT COUNT(*) FROM skill_metrics").fetchone()[0],
        "schema_version": connection.execute("SELECT MAX(version) FROM schema_migrations").fetchone()[0],
        "integrity": connection.execute("PRAGMA quick_check(1)").fetchone()[0],
    }


def _absolute(path: str) -> str:
    return path if path == _MEMORY else os.path.abspath(path)


def _nothing(skill_name: str) -> dict[str, Any]:
    """Return the metrics of a skill that was never invoked."""
    return {
        "skill_name": skill_name,
        "total_invocations": 0,
        "completed_invocations": 0,
        "abandoned_invocations": 0,
        "total_duration_seconds": 0.0,
        "workflow_paths": {},
        "common_errors": {},
        "follow_up_actions": {},
        "first_invoked": None,
        "last_invoked": None,
        "completion_rate": 0.0,
        "avg_duration_seconds": 0.0,
        "schema_version": 1,
        "min_duration_seconds": None,
        "max_duration_seconds": None,
        "p50_duration_seconds": None,
        "p95_duration_seconds": None,
        "p99_duration_seconds": None,
    }

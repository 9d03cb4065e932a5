"""``DataMigrator``: a legacy skill-metrics file into the database, each invocation once.

A thin layer over the importer; what it returns has the names of the document that asks for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from usagetrace.consent import consent
from usagetrace.errors import StoreUnavailableError
from usagetrace.importers import run as importing
from usagetrace.importers.skill_metrics import SkillMetricsReader
from usagetrace.store.catchup import catch_up

__all__ = ["DataMigrator"]


class _HasPath(Protocol):
    @property
    def db_path(self) -> Path:
        """The database."""


class DataMigrator:
    """Moves the history of a legacy file into the database. Again moves what has come since, and nothing twice.

    Args:
        json_path: The file; it is never changed.
        db_store: A :class:`~usagetrace.invocations.SkillMetricsStore`.
    """

    def __init__(self, json_path: str | os.PathLike[str], db_store: _HasPath) -> None:
        self.json_path = Path(json_path)
        self.db_store = db_store

    def migrate_all_data(self) -> dict[str, Any]:
        """Import the whole file, looked at as a whole before anything is written.

        Where the user said no to telemetry nothing is read or written, and ``reasons`` says so.

        Returns:
            ``invocations_migrated`` (new in the database), ``invocations_known`` (there before), ``skipped`` and
            ``reasons`` (why, with how many), ``skills_migrated`` (in the file's list), ``validation_errors`` (totals in
            the file that its list does not bear out), ``notes`` (what is to be told of the file), ``seconds``.

        Raises:
            ImportFileError: The file can't be read, or has a fault; nothing was written.
            StoreError: The database can't be written.
        """
        if not consent().allowed:
            return _stats(reasons={"telemetry is off": 1}, skipped=1)
        path = self.db_store.db_path
        self._bring_in(path)
        reader = SkillMetricsReader(self.json_path, store_path=path)
        report = importing.run(reader, path)
        return _stats(
            invocations_migrated=report.added,
            invocations_known=report.known,
            skills_migrated=len(reader.counted),
            validation_errors=len(reader.surplus),
            skipped=report.skipped,
            reasons=dict(report.reasons),
            notes=reader.notes,
            seconds=report.seconds,
        )

    def _bring_in(self, path: Path) -> None:
        """Have in the database what was written to both systems, and waits in memory or in the spool."""
        summary = getattr(self.db_store, "get_summary", None)
        if callable(summary):
            # A read brings in what this process has in memory.
            summary()
        report = catch_up(path, budget=None)
        if report is not None and not report.complete:
            raise StoreUnavailableError(f"{path}: its spool could not be emptied: `usagetrace db drain` says why")


def _stats(**known: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "invocations_migrated": 0, "invocations_known": 0, "skills_migrated": 0, "validation_errors": 0, "skipped": 0,
        "reasons": {}, "notes": [], "seconds": 0.0,
    }  # fmt: skip
    return {**nothing, **known}

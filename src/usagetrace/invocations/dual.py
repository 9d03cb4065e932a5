"""Both systems at once, while a tool moves from the legacy JSON to the database.

``DualWriteMetricsTracker`` writes to both and reads the JSON, which decides. ``DualReadMetricsTracker`` writes to both,
reads the database, and tells where the two differ. What the database can't do never becomes the tool's failure; it is
told once, and counted. After a cutover neither touches the JSON any more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from usagetrace.errors import UsageTraceError
from usagetrace.guard import guard, warn_once
from usagetrace.importers.dual_written import FROM, TO
from usagetrace.importers.skill_cutover import is_cut_over
from usagetrace.importers.skill_events import redacted_name
from usagetrace.importers.skill_totals import Rate
from usagetrace.invocations.agreement import Difference, differences, redacted_values, values_of

__all__ = ["Difference", "DualReadMetricsTracker", "DualWriteMetricsTracker"]

# Most differences that are kept; each skill and column is kept once.
_MOST_KEPT: Final = 1000


class JsonTracker(Protocol):
    """What is asked of a tracker of the JSON: :class:`~usagetrace.invocations.JsonMetricsTracker`, or a tool's own."""

    def track_invocation(self, skill_name: str, workflow_path: str | None = None) -> Any:
        """Begin an invocation; return what ends it: a function, or an object that has it as ``completer``."""

    def get_skill_metrics(self, skill_name: str) -> Any:
        """Return what is known of a skill, as an object with attributes, or None."""


class DatabaseStore(Protocol):
    """What is asked of a store: :class:`~usagetrace.invocations.SkillMetricsStore`."""

    def track_invocation(
        self,
        skill_name: str,
        workflow_path: str | None = None,
        session_id: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Begin an invocation; return an object that has what ends it as ``completer``."""

    def get_skill_metrics(self, skill_name: str) -> dict[str, Any]:
        """Return what is known of a skill."""


class DualCompleter:
    """Ends an invocation in both systems, the JSON first. It can be called, or asked for its ``completer``."""

    __slots__ = ("_database", "_fail", "_json")

    def __init__(
        self,
        in_json: Callable[..., Any] | None,
        in_database: Callable[..., Any] | None,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._json = in_json
        self._database = in_database
        self._fail = fail

    def __call__(self, **ended: Any) -> None:
        """End the invocation.

        Args:
            ended: ``completed``, ``follow_up_actions``, ``error_type``.

        Raises:
            Exception: What the JSON's tracker raised.
        """
        try:
            if self._json is not None:
                self._json(**ended)
        finally:
            if self._database is not None:
                try:
                    self._database(**ended)
                except Exception as error:  # noqa: BLE001 -- the database must not fail the tool; told by `_fail`
                    self._fail(error)

    # As a result of the store has it.
    completer = __call__


class _Answer(dict[str, Any]):
    """What the database says of a skill, in the form in which the tool knows it from the JSON, too.

    The tool goes on as it is after a cutover: a value is an attribute as well, and a rate can be called.
    """

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        for name in ("completion_rate", "avg_duration_seconds"):
            if isinstance(self.get(name), int | float):
                self[name] = Rate(self[name])

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the values alone."""
        return {name: float(value) if isinstance(value, Rate) else value for name, value in self.items()}


class DualWriteMetricsTracker:
    """Writes each invocation to the JSON and to the database; reads the JSON.

    Args:
        json_tracker: Of the JSON; whatever it raises is raised.
        db_store: The database; whatever it raises is told once and counted.
    """

    def __init__(self, json_tracker: JsonTracker, db_store: DatabaseStore) -> None:
        self.json_tracker = json_tracker
        self.db_store = db_store
        # How often the database failed, and with what it did last.
        self.database_failures = 0
        self.last_database_error: BaseException | None = None
        self._lock = threading.Lock()

    @property
    def cut_over(self) -> bool:
        """Whether the JSON was cut over: then the database alone is written and read."""
        path = getattr(self.json_tracker, "metrics_file", None) or getattr(self.json_tracker, "path", None)
        return isinstance(path, str | os.PathLike) and is_cut_over(path)

    def track_invocation(
        self, skill_name: str, workflow_path: str | None = None, session_id: str | None = None
    ) -> DualCompleter:
        """Begin an invocation.

        Args:
            skill_name: The skill.
            workflow_path: Which way of it is taken.
            session_id: Session that it belongs to; the JSON has none.

        Returns:
            What ends it in both.

        Raises:
            Exception: What the JSON's tracker raised.
        """
        in_json, metadata = None, None
        if not self.cut_over:
            since = _now()
            in_json = _completer_of(self.json_tracker.track_invocation(skill_name, workflow_path))
            # An import knows by it that both are one.
            metadata = {FROM: since, TO: _now()}
        in_database = None
        try:
            begun = self.db_store.track_invocation(skill_name, workflow_path, session_id, metadata=metadata)
            in_database = _completer_of(begun)
        except Exception as error:  # noqa: BLE001 -- the database must not fail the tool; told by `_failed`
            self._failed(error)
        return DualCompleter(in_json, in_database, self._failed)

    def get_skill_metrics(self, skill_name: str) -> Any:
        """Return what the JSON says of a skill; after a cutover what the database says, readable in both forms."""
        if not self.cut_over:
            return self.json_tracker.get_skill_metrics(skill_name)
        return _Answer(self.db_store.get_skill_metrics(skill_name))

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            self.database_failures += 1
            self.last_database_error = error
        guard.note(error)
        warn_once(
            f"dual:{type(error).__name__}",
            "skill metrics could not be written to the database, and are in the JSON alone: %s",
            error if isinstance(error, UsageTraceError) else type(error).__name__,
        )


class DualReadMetricsTracker(DualWriteMetricsTracker):
    """Writes each invocation to both; reads the database, and compares it with the JSON.

    Args:
        json_tracker: Of the JSON.
        db_store: The database. Where it can't be read, the JSON's answer is given.
    """

    def __init__(self, json_tracker: JsonTracker, db_store: DatabaseStore) -> None:
        super().__init__(json_tracker, db_store)
        self._found: dict[tuple[str, str], Difference] = {}

    @property
    def differences(self) -> list[Difference]:
        """What differed when it was last read, a skill and column once."""
        with self._lock:
            return list(self._found.values())

    def get_skill_metrics(self, skill_name: str) -> Any:
        """Return what the database says of a skill; where it differs from the JSON, that is noted and told once.

        Raises:
            Exception: Neither could be read: what the JSON's tracker raised.
        """
        try:
            name = redacted_name(skill_name)
            in_database = self.db_store.get_skill_metrics(name)
        except Exception as error:
            if self.cut_over:
                raise
            self._failed(error)
            return self._as_mapping(self.json_tracker.get_skill_metrics(skill_name))
        if not self.cut_over:
            self._compare(skill_name, name, in_database)
        return in_database

    def _compare(self, skill_name: str, name: str, in_database: Any) -> None:
        try:
            in_json = redacted_values(values_of(self.json_tracker.get_skill_metrics(skill_name)))
            never_ended = getattr(self.json_tracker, "never_ended", None)
            waiting = int(never_ended(skill_name)) if callable(never_ended) else 0
            found = list(differences(name, in_json, values_of(in_database), never_ended=waiting))
        except Exception as error:  # noqa: BLE001 -- the answer is there; that it can't be compared is told
            guard.note(error)
            warn_once(
                f"dual-read:{type(error).__name__}",
                "skill metrics of the JSON could not be compared with the database: %s",
                error if isinstance(error, UsageTraceError) else type(error).__name__,
            )
            return
        with self._lock:
            for key in [key for key in self._found if key[0] == name]:
                del self._found[key]
            if len(self._found) < _MOST_KEPT:
                self._found.update({(each.skill_name, each.column): each for each in found})
        for each in found:
            warn_once(f"dual-read:{each.skill_name}:{each.column}", "skill metrics differ: %s", each)

    def _as_mapping(self, metrics: Any) -> dict[str, Any] | None:
        """Return what the JSON says in the shape that the database's answers have."""
        if metrics is None or isinstance(metrics, dict):
            return metrics
        shape = getattr(metrics, "to_dict", None)
        return dict(shape()) if callable(shape) else values_of(metrics)


def _completer_of(begun: Any) -> Callable[..., Any]:
    """Return what ends an invocation: the legacy tool hands on a function, the store an object that has one."""
    completer = getattr(begun, "completer", None)
    return completer if callable(completer) else begun  # type: ignore[no-any-return]  # a tracker's own answer


def _now() -> str:
    return datetime.now().isoformat(timespec="microseconds")  # noqa: DTZ005 -- as the JSON's times are

"""``JsonMetricsTracker``: the legacy skill-metrics file, written and read as the tool does that made it.

It differs from that tool in what it does not destroy: a file that can't be read is never written, processes write one
after the other, and each puts the file in place whole.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from usagetrace.errors import ImportFileError, StoreUnavailableError
from usagetrace.guard import guard, warn_once
from usagetrace.importers.skill_records import MEMBERS, RecordError, read_record, read_totals
from usagetrace.importers.skill_totals import SkillTotals, has_ended
from usagetrace.invocations.legacy_file import LOCK_TIMEOUT_S, load, locked, replace

__all__ = ["JsonMetricsTracker"]

# Invocations that are kept while the file can't be written, or that never end.
_MOST_WAITING: Final = 10_000
_FULL: Final = f"{_MOST_WAITING} are waiting to end or to be written, and the oldest is given up for each new one"

Completer = Callable[..., None]


@dataclass(slots=True, eq=False)
class _Waiting:
    """An invocation that is not in the file as it is now.

    Attributes:
        record: Its members.
        listed: Whether the file has it as one that has begun.
    """

    record: dict[str, Any]
    listed: bool = False


class JsonMetricsTracker:
    """Tracks invocations in a legacy skill-metrics file. Threads and processes may share the file.

    Recording never raises: what can't be written now is written with the next invocation, and told once. Reading
    raises where the file can't be read.

    Args:
        path: The file; made with the first invocation that ends.
        lock_timeout_s: How long to wait for another process that writes it.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        # The name that the tool has it under.
        self.metrics_file = Path(path)
        self._timeout_s = lock_timeout_s
        self._lock = threading.RLock()
        # Invocations that are not in the file as they are now, in the order in which they began.
        self._waiting: list[_Waiting] = []
        # What the file held when it was last read or written, and what told that state from others.
        self._held: dict[str, Any] | None = None
        self._state: tuple[int, ...] | None = None

    @property
    def unsaved(self) -> int:
        """How many invocations have ended and are not in the file."""
        with self._lock:
            return sum(has_ended(each.record) for each in self._waiting)

    def track_invocation(self, skill_name: str, workflow_path: str | None = None) -> Completer:
        """Begin an invocation.

        Args:
            skill_name: The skill.
            workflow_path: Which way of it is taken.

        Returns:
            A function that ends it: ``completer(completed=True, follow_up_actions=None, error_type=None)``. Again does
            nothing.
        """
        began = _now()
        record: dict[str, Any] = {
            "skill_name": str(skill_name), "invoked_at": began.isoformat(),
            "workflow_path": None if workflow_path is None else str(workflow_path), "completed": False,
            "duration_seconds": None, "follow_up_actions": [], "error_type": None,
        }  # fmt: skip
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                warn_once(f"legacy-full:{self.metrics_file}", "invocations of the skill metrics are lost: %s", _FULL)
                del self._waiting[0]
            self._waiting.append(_Waiting(record))

        def completer(
            completed: bool = True, follow_up_actions: Iterable[str] | None = None, error_type: object = None
        ) -> None:
            """End the invocation, and write it."""
            with self._lock:
                if has_ended(record):
                    return
                # A clock that was set back must not make the file one that can't be read.
                record["duration_seconds"] = max((_now() - began).total_seconds(), 0.0)
                record["completed"] = bool(completed)
                record["follow_up_actions"] = [str(action) for action in follow_up_actions or ()]
                record["error_type"] = str(error_type) if error_type else None
                self._save()

        return completer

    def get_skill_metrics(self, skill_name: str) -> SkillTotals | None:
        """Return the totals of a skill; None where the file has none.

        Raises:
            ImportFileError: The file can't be read.
        """
        return self.get_all_metrics().get(skill_name)

    def get_all_metrics(self) -> dict[str, SkillTotals]:
        """Return the totals of every skill, in the order of the file.

        Raises:
            ImportFileError: The file can't be read.
        """
        with self._lock:
            skills = self._read()["skills"]
            return {name: read_totals(name, value)[0] for name, value in skills.items()}

    def never_ended(self, skill_name: str) -> int:
        """Return how many invocations of a skill the file lists that have not ended: they are in no total.

        Raises:
            ImportFileError: The file can't be read.
        """
        with self._lock:
            listed = self._read()["invocations"]
            return sum(each["skill_name"] == skill_name and not has_ended(read_record(each)) for each in listed)

    def _read(self) -> dict[str, Any]:
        """Return what the file holds, read anew if somebody has changed it."""
        state = self._look()
        if self._held is None or state != self._state:
            self._held, self._state = load(self.metrics_file), state
        return self._held

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self.metrics_file)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _save(self) -> None:
        """Write what waits; what can't be written waits on."""
        try:
            with locked(self.metrics_file, self._timeout_s):
                document = self._read()
                # What it held is not what the file holds, should writing fail.
                self._held = None
                written = self._put(document)
                replace(self.metrics_file, [json.dumps(document, indent=2)])
                self._held, self._state = document, self._look()
            self._waiting = [each for each in self._waiting if each not in written]
        except (ImportFileError, StoreUnavailableError, OSError) as error:
            warn_once(
                f"legacy:{self.metrics_file}",
                "an invocation could not be written to the skill metrics, and is kept until the next one: %s",
                error,
            )
        except Exception as error:  # noqa: BLE001 -- the tool's own operation must not fail with its metrics
            guard.note(error)

    def _put(self, document: dict[str, Any]) -> list[_Waiting]:
        """Put what waits into a document, in the order in which it began; return what ended of it."""
        listed = document["invocations"]
        written = []
        for waiting in self._waiting:
            record = waiting.record
            if not has_ended(record):
                # As the tool does: what has begun is in the list as soon as anything is written.
                if not waiting.listed:
                    listed.append(_copy(record))
                    waiting.listed = True
                continue
            written.append(waiting)
            try:
                read_record(record)
            except RecordError as error:
                # It would make the whole file one that can't be read.
                warn_once(
                    "legacy:record", "an invocation was left out of the skill metrics: %s: %s", error.member, error
                )
                continue
            place = _place_of(listed, record) if waiting.listed else None
            if place is None:
                listed.append(_copy(record))
            else:
                listed[place] = _copy(record)
            name = record["skill_name"]
            held = document["skills"].get(name, {})
            totals = read_totals(name, held)[0]
            totals.add(record)
            document["skills"][name] = {**held, **totals.to_dict()}
        document["last_updated"] = _now().isoformat()
        return written


def _place_of(listed: list[dict[str, Any]], record: dict[str, Any]) -> int | None:
    """Return where an invocation is listed as one that has begun; None where it is not any more."""
    for place in range(len(listed) - 1, -1, -1):
        each = listed[place]
        if (
            each["invoked_at"] == record["invoked_at"]
            and each["skill_name"] == record["skill_name"]
            and each.get("duration_seconds") is None
        ):
            return place
    return None


def _copy(record: dict[str, Any]) -> dict[str, Any]:
    return {member: record[member] for member in MEMBERS}


def _now() -> datetime:
    """Return the present as the tool writes it."""
    return datetime.now()  # noqa: DTZ005 -- the file has local times without an offset

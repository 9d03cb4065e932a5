"""A store's invocations as a legacy skill-metrics file: what the legacy tool reads after a rollback.

This module owns the shape of that file. The totals are counted as the tool counts; where retention has removed events,
the list is shorter than they are, as the tool's own may be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone, tzinfo
from typing import Any, Final

from usagetrace.importers.dual_written import FROM
from usagetrace.importers.skill_records import MEMBERS
from usagetrace.importers.skill_totals import COUNTERS, SkillTotals, has_ended
from usagetrace.store import invocation_queries as queries
from usagetrace.store.store import Store

_EVENTS: Final = (
    "SELECT id, artifact_name, ts_ms, metadata, duration_ms, status, error_type, session_id, NULL AS invoked_at "
    "FROM events WHERE event_type = 'invoke' AND artifact_type = 'skill' AND artifact_name <> '' AND ts_ms > 0 "
    "ORDER BY ts_ms, id"
)
# What a double keeps of a second, so that seconds made of milliseconds have the digits that they had.
_DIGITS: Final = 9


class LegacyDocument:
    """The text of a legacy file, piece by piece, and what was counted on the way.

    Args:
        store: The store, open for reading; what is committed meanwhile must not be seen.
        zone: Of the file's times, which have no offset; None for that of this machine.
    """

    def __init__(self, store: Store, zone: tzinfo | None = None) -> None:
        self._store = store
        self._zone = zone
        # Invocations in the list, after `parts`.
        self.invocations = 0
        self.skills = 0

    def parts(self, now_ms: int) -> Iterator[str]:
        """Yield the text, in the form that the legacy tool gives it.

        Args:
            now_ms: When it is written, in milliseconds since 1970 UTC.

        Raises:
            StoreError: The store can't be read.
        """
        counted: dict[str, SkillTotals] = {}
        waiting: dict[str, list[dict[str, Any]]] = {}
        yield '{\n  "invocations": ['
        for record in self._records():
            name = record["skill_name"]
            counted.setdefault(name, SkillTotals(name)).add(record)
            if not has_ended(record):
                waiting.setdefault(name, []).append(record)
            yield f"{',' if self.invocations else ''}\n    {_indented(record, 4)}"
            self.invocations += 1
        skills = {each.skill_name: each.to_dict() for each in self._totals(counted, waiting)}
        self.skills = len(skills)
        yield f'{chr(10) + "  " if self.invocations else ""}],\n  "skills": {_indented(skills, 2)},\n'
        yield f'  "last_updated": {json.dumps(self._local(now_ms))}\n}}'

    def _records(self) -> Iterator[dict[str, Any]]:
        for row in self._store.connection.execute(_EVENTS):
            found = queries.invocation(row)
            ended = row["status"] != "abandoned"
            seconds = found["duration_seconds"]
            if ended:
                # What ended has a duration there, and what has none did not end.
                seconds = 0.0 if seconds is None else max(round(seconds, _DIGITS), 0.0)
            record = {
                "skill_name": found["skill_name"],
                "invoked_at": self._invoked_at(row["metadata"]) or self._local(row["ts_ms"]),
                "workflow_path": found["workflow_path"],
                "completed": found["completed"],
                "duration_seconds": seconds if ended else None,
                "follow_up_actions": found["follow_up_actions"],
                "error_type": found["error_type"] if ended else None,
            }
            yield {member: record[member] for member in MEMBERS}

    def _invoked_at(self, metadata: str | None) -> str | None:
        """Return the time as a legacy file had it, where the event came from one or was written to one as well."""
        if metadata is None or ("invoked_at" not in metadata and FROM not in metadata):
            return None
        try:
            held = json.loads(metadata)
            text = held.get("invoked_at") or held.get(FROM)
            datetime.fromisoformat(text)
        except (ValueError, TypeError, AttributeError):
            return None
        return str(text)

    def _local(self, ts_ms: int) -> str:
        moment = datetime.fromtimestamp(ts_ms / 1000, timezone.utc).astimezone(self._zone)
        return moment.replace(tzinfo=None).isoformat()

    def _totals(
        self, counted: Mapping[str, SkillTotals], waiting: Mapping[str, list[dict[str, Any]]]
    ) -> Iterator[SkillTotals]:
        """Yield the totals of each skill that has some: of its list, or of the rollups where those count more."""
        known = {each["skill_name"]: each for each in queries.metrics(self._store)}
        for name in dict.fromkeys((*counted, *known)):
            listed = counted.get(name, SkillTotals(name))
            begun = waiting.get(name, [])
            metrics = known.get(name)
            if metrics is None or metrics["total_invocations"] <= listed.total_invocations + len(begun):
                if listed.total_invocations:
                    yield listed
                continue
            yield self._beyond(name, metrics, begun)

    def _beyond(self, name: str, metrics: Mapping[str, Any], begun: list[dict[str, Any]]) -> SkillTotals:
        """Return the totals of a skill of which some events are gone, without what has only begun."""
        total, completed = metrics["total_invocations"] - len(begun), metrics["completed_invocations"]
        found = SkillTotals(name, total, completed, total - completed, metrics["total_duration_seconds"])
        paths = Counter(metrics["workflow_paths"])
        paths.subtract(each["workflow_path"] for each in begun if each["workflow_path"])
        for column in COUNTERS:
            setattr(found, column, dict(metrics[column]))
        found.workflow_paths = {path: number for path, number in paths.items() if number > 0}
        found.first_invoked, found.last_invoked = (
            None if metrics[column] is None else self._local(_milliseconds(metrics[column]))
            for column in ("first_invoked", "last_invoked")
        )
        return found


def _milliseconds(text: str) -> int:
    """Return a time of the views, UTC text, in milliseconds since 1970 UTC."""
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


def _indented(value: Any, by: int) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n" + " " * by)

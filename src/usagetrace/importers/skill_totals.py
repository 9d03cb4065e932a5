"""What the legacy skill-metrics file says of one skill, counted as the tool counts that writes it.

This module owns the arithmetic and the shape of those totals. An invocation that began and never ended is in the
file's list and in no total; durations are those of completed invocations; times are texts, in the order of the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Totals that two sources have to agree on exactly.
COUNTS: Final = ("total_invocations", "completed_invocations", "abandoned_invocations")
COUNTERS: Final = ("workflow_paths", "common_errors", "follow_up_actions")
# How far two rates in per cent may be from one another.
RATE_TOLERANCE: Final = 0.01


class Rate(float):
    """A number that the legacy tool has as a method, and its file and our store as a value: it can be called, too."""

    def __call__(self) -> float:
        """Return the number."""
        return float(self)


@dataclass(slots=True)
class SkillTotals:
    """The totals of one skill, with the names that the legacy file has.

    Attributes:
        skill_name: The skill.
        total_invocations: How many ended.
        completed_invocations: How many of those were completed.
        abandoned_invocations: The others.
        total_duration_seconds: Of the completed ones.
        workflow_paths: How many of the ended ones took each path.
        common_errors: How many of them had each error.
        follow_up_actions: How often each action followed.
        first_invoked: When the first of them began, as the file has it.
        last_invoked: When the last of them began.
    """

    skill_name: str
    total_invocations: int = 0
    completed_invocations: int = 0
    abandoned_invocations: int = 0
    total_duration_seconds: float = 0.0
    workflow_paths: dict[str, int] = field(default_factory=dict)
    common_errors: dict[str, int] = field(default_factory=dict)
    follow_up_actions: dict[str, int] = field(default_factory=dict)
    first_invoked: str | None = None
    last_invoked: str | None = None

    @property
    def completion_rate(self) -> Rate:
        """Share of the completed ones in per cent; 0 where there are none."""
        return Rate(self.completed_invocations / self.total_invocations * 100 if self.total_invocations else 0.0)

    @property
    def avg_duration_seconds(self) -> Rate:
        """Mean duration of the completed ones; 0 where there are none."""
        return Rate(self.total_duration_seconds / self.completed_invocations if self.completed_invocations else 0.0)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one invocation of the list, if it has ended.

        Args:
            record: The members of an invocation, as the file has them.
        """
        if not has_ended(record):
            return
        self.total_invocations += 1
        if self.first_invoked is None:
            self.first_invoked = record["invoked_at"]
        self.last_invoked = record["invoked_at"]
        if record["completed"]:
            self.completed_invocations += 1
            self.total_duration_seconds += record["duration_seconds"] or 0.0
        else:
            self.abandoned_invocations += 1
        for counter, key in (
            (self.workflow_paths, record["workflow_path"]),
            (self.common_errors, record["error_type"]),
        ):
            if key:
                counter[key] = counter.get(key, 0) + 1
        for action in record["follow_up_actions"]:
            self.follow_up_actions[action] = self.follow_up_actions.get(action, 0) + 1

    def merge(self, other: SkillTotals) -> None:
        """Add the totals of a skill that has become the same one, because redaction made their names equal."""
        for name in (*COUNTS, "total_duration_seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in COUNTERS:
            own = getattr(self, name)
            for key, number in getattr(other, name).items():
                own[key] = own.get(key, 0) + number
        self.first_invoked = min(filter(None, (self.first_invoked, other.first_invoked)), default=None)
        self.last_invoked = max(filter(None, (self.last_invoked, other.last_invoked)), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the totals as the legacy file has them, in its order."""
        names = self.__slots__
        shape = {name: getattr(self, name) for name in names}
        return {
            **{name: dict(value) if isinstance(value, dict) else value for name, value in shape.items()},
            "completion_rate": float(self.completion_rate),
            "avg_duration_seconds": float(self.avg_duration_seconds),
        }


def has_ended(record: Mapping[str, Any]) -> bool:
    """Return whether an invocation of the list ended: only what ended has a duration, or says how."""
    return record["duration_seconds"] is not None or record["completed"] or bool(record["error_type"])

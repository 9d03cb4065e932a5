"""Whether two sources say the same of a skill: counts are equal, rates differ by at most 0.01.

This module owns what is compared, and how a difference is told. It knows neither a file nor a database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT
from usagetrace.importers.skill_events import ACTION_KEY, PATH_KEY, redacted_text
from usagetrace.importers.skill_totals import COUNTERS, COUNTS, RATE_TOLERANCE, SkillTotals

RATE: Final = "completion_rate"
# Below which name each counter's keys were redacted on their way into the store, and how much of them was kept.
_REDACTED_AS: Final = {
    "workflow_paths": (PATH_KEY, TEXT_LIMIT), "common_errors": (semconv.ERROR_TYPE, NAME_LIMIT),
    "follow_up_actions": (ACTION_KEY, TEXT_LIMIT),
}  # fmt: skip


class Difference(NamedTuple):
    """One column in which two sources differ.

    Attributes:
        skill_name: The skill, redacted.
        column: The column of ``skill_metrics``.
        json: What the legacy file says.
        database: What the store says.
    """

    skill_name: str
    column: str
    json: Any
    database: Any

    def __str__(self) -> str:
        both = f"{_shown(self.json)} in the JSON, {_shown(self.database)} in the database"
        return f"{self.skill_name}: {self.column} is {both}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)


def values_of(metrics: object) -> dict[str, Any]:
    """Return what is compared of one skill.

    Args:
        metrics: A mapping, or an object with attributes, with the names of ``skill_metrics``; a rate may be a method,
            as the legacy tool has it, and a counter may be JSON text. None stands for a skill that is not known.
    """
    found: dict[str, Any] = {}
    empty = SkillTotals("")
    for name in (*COUNTS, *COUNTERS, RATE):
        value = metrics.get(name) if isinstance(metrics, Mapping) else getattr(metrics, name, None)
        if callable(value) and not isinstance(value, float):
            value = value()
        if isinstance(value, str):
            value = json.loads(value)
        found[name] = getattr(empty, name) if value is None else value
    return found


def differences(
    skill_name: str, in_json: Mapping[str, Any], in_database: Mapping[str, Any], *, never_ended: int = 0
) -> Iterator[Difference]:
    """Yield where two sources differ.

    Args:
        skill_name: The skill, redacted.
        in_json: What :func:`values_of` says of the legacy file, redacted.
        in_database: What it says of the store.
        never_ended: Invocations that the file lists and does not count, because they have not ended. The store may
            count as many more as abandoned ones.
    """
    known = _without(in_json, in_database, never_ended)
    for name in (*COUNTS, *COUNTERS):
        if in_json[name] != known[name]:
            yield Difference(skill_name, name, in_json[name], in_database[name])
    if abs(in_json[RATE] - known[RATE]) > RATE_TOLERANCE:
        yield Difference(skill_name, RATE, float(in_json[RATE]), float(in_database[RATE]))


def _without(in_json: Mapping[str, Any], in_database: Mapping[str, Any], never_ended: int) -> Mapping[str, Any]:
    """Return what a store says, without what it counts as abandoned because the file lists it as not ended."""
    more = int(in_database["total_invocations"] - in_json["total_invocations"])
    if not 0 < more <= never_ended or in_database["abandoned_invocations"] - in_json["abandoned_invocations"] != more:
        return in_database
    found = {**in_database, "total_invocations": in_json["total_invocations"]}
    found["abandoned_invocations"] = in_json["abandoned_invocations"]
    total = in_json["total_invocations"]
    found[RATE] = in_database["completed_invocations"] / total * 100 if total else 0.0
    for name in COUNTERS:
        # They took their paths as well.
        if _within(in_json[name], in_database[name], more):
            found[name] = in_json[name]
    return found


def _within(smaller: Mapping[str, int], larger: Mapping[str, int], most: int) -> bool:
    """Return whether one counter counts what the other does, and at most so much more."""
    return all(larger.get(key, 0) >= number for key, number in smaller.items()) and (
        sum(larger.values()) - sum(smaller.values()) <= most
    )


def redacted_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :func:`values_of` says with the keys of its counters as the store has them.

    Raises:
        RedactionError: One can't be redacted.
    """
    found = dict(values)
    for name in COUNTERS:
        counter: dict[str, int] = {}
        for key, number in values[name].items():
            shown = redacted_text(_REDACTED_AS[name][0], key, _REDACTED_AS[name][1])
            if shown is not None:
                counter[shown] = counter.get(shown, 0) + number
        found[name] = counter
    return found

"""One invocation, and one skill's totals, of the legacy skill-metrics file: what may stand in them, and what they mean.

This module owns types, limits and times. It knows no file and no database.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from usagetrace.events import NAME_LIMIT, TEXT_LIMIT
from usagetrace.importers.skill_totals import COUNTERS, COUNTS, SkillTotals

# The members of an invocation, in the order of the file. The legacy tool takes a file with any other for an empty one.
MEMBERS: Final = (
    "skill_name", "invoked_at", "workflow_path", "completed", "duration_seconds", "follow_up_actions", "error_type",
)  # fmt: skip
# What the tool takes for members that are not there.
_DEFAULTS: Final[dict[str, Any]] = {
    "workflow_path": None, "completed": False, "duration_seconds": None, "follow_up_actions": (), "error_type": None,
}  # fmt: skip
_KNOWN: Final = frozenset(MEMBERS)
_MEMBERS_OF: Final = operator.itemgetter(*MEMBERS)
# So many actions of any length fit together.
_FEW: Final = 8
_TOTALS: Final = frozenset((*SkillTotals.__slots__, "completion_rate", "avg_duration_seconds"))
# Longest duration in seconds: a thousand years, which no clock error exceeds.
_DURATION_LIMIT: Final = 3.2e10
# Most actions of one invocation, and their characters in all: metadata has a limit.
_ACTIONS_LIMIT: Final = 200
_ACTIONS_LENGTH: Final = 32_768
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d(?::\d\d)?)?\Z", re.ASCII
)


class RecordError(ValueError):
    """A record that can't be taken.

    Args:
        member: Which member is wrong; ``""`` for the record itself.
        why: What was expected; no text of the file stands in it.
    """

    def __init__(self, member: str, why: str) -> None:
        self.member = member
        super().__init__(why)


def read_record(value: Any) -> dict[str, Any]:
    """Return an invocation with every member, the members that the tool does not know last.

    Raises:
        RecordError: A member is missing, has the wrong type or is out of bounds.
    """
    if type(value) is not dict:
        raise RecordError("", f"expected an object, found {_kind(value)}")
    if len(value) == len(MEMBERS) and _is_plain(value):
        return value
    record = {**_DEFAULTS, **value}
    _text(record, "skill_name", NAME_LIMIT)
    if not record["skill_name"]:
        raise RecordError("skill_name", "expected a name, found an empty text")
    _text(record, "invoked_at", NAME_LIMIT)
    if record["workflow_path"] is not None:
        _text(record, "workflow_path", TEXT_LIMIT)
    if record["error_type"] is not None:
        _text(record, "error_type", NAME_LIMIT)
    if type(record["completed"]) is not bool:
        raise RecordError("completed", f"expected true or false, found {_kind(record['completed'])}")
    if record["duration_seconds"] is not None:
        _duration(record, "duration_seconds")
    if record["follow_up_actions"] != () and record["follow_up_actions"] != []:
        _actions(record["follow_up_actions"])
    return record


def _is_plain(value: Mapping[str, Any]) -> bool:
    """Return whether an invocation is one as nearly all are; what is not is looked at member by member."""
    try:
        name, invoked_at, path, completed, seconds, actions, error = _MEMBERS_OF(value)
    except KeyError:
        return False
    return (
        type(name) is str
        and 0 < len(name) <= NAME_LIMIT
        and type(invoked_at) is str
        and (path is None or (type(path) is str and len(path) <= TEXT_LIMIT))
        and type(completed) is bool
        and (seconds is None or (type(seconds) is float and 0 <= seconds <= _DURATION_LIMIT))
        and type(actions) is list
        and len(actions) <= _FEW
        and all(type(action) is str and len(action) <= TEXT_LIMIT for action in actions)
        and (error is None or (type(error) is str and len(error) <= NAME_LIMIT))
    )


def _text(record: Mapping[str, Any], member: str, limit: int) -> None:
    try:
        value = record[member]
    except KeyError:
        raise RecordError("", f"{member} is missing") from None
    if type(value) is not str:
        raise RecordError(member, f"expected a text, found {_kind(value)}")
    if len(value) > limit:
        raise RecordError(member, f"expected at most {limit} characters, found {len(value)}")


def _duration(record: Mapping[str, Any], member: str) -> None:
    value = record[member]
    if type(value) is not float and type(value) is not int:
        raise RecordError(member, f"expected a number of seconds or null, found {_kind(value)}")
    if not 0 <= value <= _DURATION_LIMIT:
        raise RecordError(member, "expected seconds from 0, found a negative or impossible duration")


def _actions(actions: Any) -> None:
    member = "follow_up_actions"
    if type(actions) is not list:
        raise RecordError(member, f"expected a list of texts, found {_kind(actions)}")
    for index, action in enumerate(actions):
        if type(action) is not str:
            raise RecordError(f"{member}[{index}]", f"expected a text, found {_kind(action)}")
        if len(action) > TEXT_LIMIT:
            raise RecordError(f"{member}[{index}]", f"expected at most {TEXT_LIMIT} characters, found {len(action)}")
    if len(actions) > _ACTIONS_LIMIT or sum(map(len, actions)) > _ACTIONS_LENGTH:
        raise RecordError(member, f"expected at most {_ACTIONS_LIMIT} actions of {_ACTIONS_LENGTH} characters together")


def _kind(value: Any) -> str:
    names = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names[type(value)]


def unknown_members(value: Mapping[str, Any]) -> list[str]:
    """Return the members of an invocation that the tool does not know; mostly none."""
    return [] if _KNOWN.issuperset(value) else [name for name in value if name not in _KNOWN]


def read_totals(name: str, value: Any) -> tuple[SkillTotals, list[str]]:
    """Return the totals that the file has of one skill, and the members that are none of them.

    Raises:
        RecordError: A member has the wrong type or is out of bounds.
    """
    if type(value) is not dict:
        raise RecordError("", f"expected an object, found {_kind(value)}")
    totals = SkillTotals(name)
    for member in COUNTS:
        setattr(totals, member, _count(value.get(member, 0), member))
    if "total_duration_seconds" in value:
        _duration(value, "total_duration_seconds")
        totals.total_duration_seconds = value["total_duration_seconds"]
    for member in COUNTERS:
        counter = value.get(member, {})
        if type(counter) is not dict:
            raise RecordError(member, f"expected an object, found {_kind(counter)}")
        setattr(totals, member, {key: _count(number, member) for key, number in counter.items()})
    for member in ("first_invoked", "last_invoked"):
        if value.get(member) is not None:
            _text(value, member, NAME_LIMIT)
            setattr(totals, member, value[member])
    return totals, [member for member in value if member not in _TOTALS]


def _count(value: Any, member: str) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise RecordError(member, "expected a whole number from 0")
    return value


class Times:
    """Reads the times of one file, in its order.

    A time without an offset is of the given zone. In the hour that a change to winter time repeats it is the second
    one where it would otherwise be before the record above it.

    Args:
        zone: The zone of times without an offset; None for the one of this machine.
    """

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._last_us = 0

    def read(self, text: str) -> int:
        """Return a time in milliseconds since 1970 UTC.

        Raises:
            RecordError: It is no time, or none from 1970 on.
        """
        match = _TIME.match(text)
        if match is None:
            raise RecordError("invoked_at", "expected a time such as 2026-11-21T01:24:26.227224")
        whole, fraction, offset = match.groups()
        try:
            moment = datetime.fromisoformat(whole if offset is None or offset == "Z" else whole + offset)
            us = self._microseconds(moment, offset) + (int(fraction.ljust(6, "0")[:6]) if fraction else 0)
        except (ValueError, OverflowError, OSError):
            raise RecordError("invoked_at", "expected a time that the calendar has, from 1970 on") from None
        if us < 0:
            raise RecordError("invoked_at", "expected a time from 1970 on")
        if us < self._last_us and offset is None:
            later = self._microseconds(moment.replace(fold=1), offset) + us % 1_000_000
            us = later if later >= self._last_us else us
        self._last_us = us
        return us // 1000

    def _microseconds(self, moment: datetime, offset: str | None) -> int:
        """Return a whole second in microseconds since 1970 UTC."""
        if offset == "Z":
            # The offset of UTC, in the form that every supported Python reads.
            moment = datetime.fromisoformat(f"{moment.isoformat()}+00:00")
        elif offset is None and self._zone is not None:
            moment = moment.replace(tzinfo=self._zone)
        return math.floor(moment.timestamp()) * 1_000_000

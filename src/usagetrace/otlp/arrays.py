"""From the rows of one call to the attributes of its span or log event: the reverse of :mod:`usagetrace.track.rows`.

What all artifacts of a call have alike is said once, anything else by parallel arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from usagetrace import semconv
from usagetrace.track import conventions

# Places among the fields of an event.
_TYPE, _NAME, _KIND, _COLLECTION, _PROJECT, _METADATA, _STATUS, _ERROR_TYPE = 0, 1, 2, 4, 5, 6, 8, 9
_CATEGORY, _PRIORITY, _SESSION, _ITEM = 10, 11, 12, 16
_RESULT: Final = semconv.METADATA_PREFIX + "result"
# Outcomes that no status tells.
_TOLD: Final = conventions.OUTCOMES - {conventions.SUCCESS, conventions.ERROR}
_ABANDONED: Final = "abandoned"


def attributes_of(rows: Sequence[Sequence[Any]]) -> list[tuple[str, Any]]:
    """Return the attributes of a call, in a fixed order.

    Args:
        rows: Fields of its events, in the order of its artifacts.
    """
    first = rows[0]
    found = [
        (semconv.EVENT_TYPE, first[_TYPE]),
        (semconv.EVENT_CATEGORY, first[_CATEGORY]),
        (semconv.EVENT_PRIORITY, first[_PRIORITY]),
    ]
    if first[_SESSION] is not None:
        found.append((semconv.SESSION_ID, first[_SESSION]))
    tables = [row[_METADATA] or {} for row in rows]
    outcome = _outcome(rows, tables)
    if outcome is not None:
        found.append((semconv.OUTCOME, outcome))
        if outcome != _ABANDONED and "result" not in tables[0]:
            tables = [{key: value for key, value in table.items() if key != "outcome"} for table in tables]
    if first[_ITEM] is None:
        _put_single(found, first, tables[0])
    else:
        _put_items(found, rows, tables)
    return found


def _put_single(found: list[tuple[str, Any]], row: Sequence[Any], table: dict[str, Any]) -> None:
    # Of empty texts the absence says as much.
    for attribute, place in _TEXTS:
        if row[place]:
            found.append((attribute, row[place]))
    if row[_STATUS] == conventions.ERROR and row[_ERROR_TYPE] is not None:
        found.append((semconv.ERROR_TYPE, row[_ERROR_TYPE]))
    found.extend((semconv.METADATA_PREFIX + key, value) for key, value in table.items())


_TEXTS: Final = (
    (semconv.ARTIFACT_NAME, _NAME),
    (semconv.ARTIFACT_TYPE, _KIND),
    (semconv.COLLECTION_NAME, _COLLECTION),
    (semconv.PROJECT_PATH, _PROJECT),
)


def _put_items(found: list[tuple[str, Any]], rows: Sequence[Sequence[Any]], tables: list[dict[str, Any]]) -> None:
    found.append((semconv.ITEM_ARTIFACT_NAME, [row[_NAME] for row in rows]))
    places = [row[_ITEM] for row in rows]
    if places != list(range(len(rows))):
        found.append((semconv.ITEM_INDEX, places))
    for attribute, place in _TEXTS[1:]:
        column = [row[place] for row in rows]
        if column.count(column[0]) < len(column):
            found.append((semconv.ITEM_PREFIX + attribute.removeprefix(semconv.PREFIX), column))
        elif column[0]:
            found.append((attribute, column[0]))
    statuses, errors = [row[_STATUS] for row in rows], [row[_ERROR_TYPE] for row in rows]
    if statuses.count(statuses[0]) < len(rows) or errors.count(errors[0]) < len(rows):
        # Of those that succeeded as well: what is not said is taken from the call.
        words = [conventions.ERROR if each == conventions.ERROR else conventions.SUCCESS for each in statuses]
        found.append((semconv.ITEM_OUTCOME, words))
        found.append((semconv.ITEM_ERROR_TYPE, errors))
    elif statuses[0] == conventions.ERROR and errors[0] is not None:
        found.append((semconv.ERROR_TYPE, errors[0]))
    for key in dict.fromkeys(key for table in tables for key in table):
        values = [table.get(key) for table in tables]
        if all(key in table for table in tables) and len({_told_apart(value) for value in values}) == 1:
            found.append((semconv.METADATA_PREFIX + key, values[0]))
        else:
            found.append((semconv.ITEM_METADATA_PREFIX + key, values))


def _told_apart(value: Any) -> str:
    # True, 1 and 1.0 are equal, and are not the same.
    return repr(value)


def _outcome(rows: Sequence[Sequence[Any]], tables: Sequence[dict[str, Any]]) -> str | None:
    """Return how a call ended, where its status does not say it; None elsewhere."""
    statuses = {row[_STATUS] for row in rows}
    if len(statuses) > 1 or len({row[_ERROR_TYPE] for row in rows}) > 1:
        return None
    if statuses == {_ABANDONED}:
        return _ABANDONED
    if len(rows) == 1 and "result" in tables[0]:
        told = conventions.outcome_of(rows[0][_TYPE], {_RESULT: tables[0]["result"]})
        return told if told in _TOLD else None
    words = {table["outcome"] if type(table.get("outcome")) is str else "" for table in tables}
    if len(words) == 1 and not any("result" in table for table in tables):
        word = words.pop()
        return word if word in _TOLD else None
    return None

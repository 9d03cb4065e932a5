"""From a call to recorded values: each read, made plain and clean, redacted, then cut, in this order.

This module owns the order. When a value is read, and what becomes of it, is the operation's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT, bound_text, clean_text
from usagetrace.guard import guard
from usagetrace.track.plan import TEXT_FIELDS, Plan, Stage
from usagetrace.track.values import bounded, cleaned, to_text, to_value

if TYPE_CHECKING:
    from usagetrace.track.call import Call
    from usagetrace.track.runtime import Runtime

# Attributes that are a name, a type, a path or an id.
TEXT_ATTRIBUTES: Final = frozenset(TEXT_FIELDS.values())
# Most artifacts of one call that become events.
ITEM_LIMIT: Final = 1000
# The parallel arrays of the artifacts of one call, by attribute.
Items = dict[str, list[Any]]


def read(runtime: Runtime, call: Call, stage: Stage, target: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Read the fields of one stage that are not known yet. One that can't be read does not cost the others.

    Args:
        runtime: Redacts.
        call: Where the values are.
        stage: What is read.
        target: Where they go, by attribute.
        known: What needs no reading.
    """
    for attribute, reader in stage.attributes:
        if attribute in known:
            continue
        try:
            value = reader(call)
        except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything
            guard.note(error)
            continue
        if value is not None:
            put(runtime, target, attribute, value)
    for reader in stage.mappings:
        table = reader(call)
        if isinstance(table, Mapping):
            put_mapping(runtime, target, table)


def read_items(runtime: Runtime, call: Call, plan: Plan, merged: Mapping[str, Any]) -> Items | None:
    """Return the parallel arrays of the artifacts that a call touched; None where nothing says which."""
    found = _collection(plan.each(call)) if plan.each is not None else None
    if found is None:
        return None
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    stop = plan.each_slice.stop if plan.each_slice is not None else None
    for candidate in islice(found, ITEM_LIMIT):
        call.item, call.index = candidate, len(rows)
        row: dict[str, Any] = {}
        read(runtime, call, plan.items, row, row)
        row.setdefault(semconv.ARTIFACT_NAME, merged.get(semconv.ARTIFACT_NAME, ""))
        row.setdefault(semconv.ARTIFACT_TYPE, merged.get(semconv.ARTIFACT_TYPE, ""))
        identity = (row[semconv.ARTIFACT_NAME], row[semconv.ARTIFACT_TYPE])
        # Several matches of one artifact are one artifact found.
        if plan.event_type == "search" and identity in seen:
            continue
        seen.add(identity)
        rows.append(row)
        if stop is not None and stop >= 0 and len(rows) >= stop:
            break
    call.item = call.index = None
    return _arrays(rows if plan.each_slice is None else rows[plan.each_slice])


def put_mapping(runtime: Runtime, target: dict[str, Any], table: Mapping[Any, Any]) -> None:
    """Record a whole metadata table, keys redacted as well."""
    for key, value in islice(table.items(), ITEM_LIMIT):
        try:
            name = runtime.redactor.key(bound_text(clean_text(str(key)), NAME_LIMIT))
        except Exception as error:  # noqa: BLE001 -- a key that can't be redacted is dropped, and only that
            guard.note(error)
            continue
        put(runtime, target, semconv.METADATA_PREFIX + name, value)


def put(runtime: Runtime, target: dict[str, Any], attribute: str, value: object) -> None:
    """Record one value: plain, clean, redacted, then cut. What can't be redacted is dropped and counted."""
    try:
        if attribute in TEXT_ATTRIBUTES:
            text = to_text(value)
            if text is None:
                return
            recorded = str(runtime.redactor.redact(attribute, clean_text(text)))
            target[attribute] = bound_text(recorded, NAME_LIMIT)
            return
        plain = to_value(value)
        if plain is None:
            return
        target[attribute] = bounded(runtime.redactor.redact(attribute, cleaned(plain)), TEXT_LIMIT)
    except Exception as error:  # noqa: BLE001 -- one value that can't be recorded must not cost the others
        guard.note(error)


def _collection(found: object) -> Iterable[Any] | None:
    """Return what can be gone through without using it up; an iterator would be lost to the caller."""
    if isinstance(found, Mapping):
        return found.values()
    return found if isinstance(found, list | tuple | set | frozenset) else None


def _arrays(rows: list[dict[str, Any]]) -> Items:
    arrays: Items = {
        semconv.ITEM_ARTIFACT_NAME: [row.pop(semconv.ARTIFACT_NAME) for row in rows],
        semconv.ITEM_ARTIFACT_TYPE: [row.pop(semconv.ARTIFACT_TYPE) for row in rows],
    }
    for key in dict.fromkeys(key for row in rows for key in row):
        # usage.metadata.score becomes usage.item.metadata.score, and so on.
        arrays[semconv.ITEM_PREFIX + key.removeprefix(semconv.PREFIX)] = [row.get(key) for row in rows]
    return arrays

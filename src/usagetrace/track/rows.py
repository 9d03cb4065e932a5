"""From the attributes of an operation that ended to the rows of its events, as the spool and the store take them.

One operation is one row, or one for each artifact of a call that touched several: those come as parallel arrays.
What comes in is redacted, clean and short already, by :mod:`usagetrace.track.reading` or by
:mod:`usagetrace.exporters.convert`.
"""

from __future__ import annotations

from usagetrace.events import METADATA_LIMIT
from usagetrace.semconv import (
    ARTIFACT_NAME,
    ARTIFACT_TYPE,
    COLLECTION_NAME,
    EVENT_CATEGORY,
    EVENT_PRIORITY,
    EVENT_TYPE,
    ITEM_ARTIFACT_NAME,
    ITEM_ARTIFACT_TYPE,
    ITEM_METADATA_PREFIX,
    ITEM_PREFIX,
    METADATA_PREFIX,
    OUTCOME,
    PROJECT_PATH,
    SESSION_ID,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

_PREFIX: Final = METADATA_PREFIX
_ITEM_PREFIX: Final = ITEM_METADATA_PREFIX
_ITEM_COLLECTION: Final = ITEM_PREFIX + "collection.name"
_ITEM_PROJECT: Final = ITEM_PREFIX + "project.path"
# Operations of this type say when they begin, so that one that never ends is seen.
INVOKE: Final = "invoke"
# Metadata key of each attribute seen, "" for one that is no metadata; and most that are kept.
_keys: dict[str, str] = {}
_KEYS_LIMIT: Final = 4096


def rows_of(
    attributes: Mapping[str, Any],
    started_ns: int,
    elapsed_ns: int,
    error_type: str | None,
    failed: bool,
    service_name: str,
    trace_id: str | None,
    span_id: str | None,
) -> list[tuple[Any, ...]]:
    """Return the rows of an operation, in the order of its artifacts.

    Args:
        attributes: All of them, by the names of :mod:`usagetrace.semconv`.
        started_ns: When it began, in nanoseconds since 1970 UTC.
        elapsed_ns: How long it took; 0 for a point in time.
        error_type: What it raised.
        failed: Whether it ended in an error.
        service_name: The tool.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """
    get = attributes.get
    metadata: dict[str, Any] = {}
    plain = True
    for attribute, value in attributes.items():
        key = _keys.get(attribute)
        if key is None:
            key = _remember(attribute)
        if key:
            metadata[key] = value
            if type(value) is list or type(value) is dict:
                plain = False
    outcome = get(OUTCOME)
    if outcome is not None and "result" not in metadata:
        metadata["outcome"] = outcome
    # Ten texts of the longest size that a value may have fit.
    fitting: dict[str, Any] | None = metadata or None
    if not plain or len(metadata) > 10:
        fitting = fit(metadata)
    row = (
        get(EVENT_TYPE) or "",
        get(ARTIFACT_NAME) or "",
        get(ARTIFACT_TYPE) or "",
        started_ns // 1_000_000,
        get(COLLECTION_NAME),
        get(PROJECT_PATH),
        fitting,
        # Without length it is a point in time, not an operation that took no time.
        elapsed_ns / 1_000_000 if elapsed_ns > 0 else None,
        "error" if failed else "ok",
        error_type if failed else None,
        get(EVENT_CATEGORY) or "custom",
        get(EVENT_PRIORITY) or "normal",
        get(SESSION_ID),
        service_name,
        trace_id,
        span_id,
        None,
    )
    names = get(ITEM_ARTIFACT_NAME)
    if not names:
        return [row]
    return _item_rows(attributes, row, metadata, names)


def start_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the row that an operation leaves if it never ends: an abandoned one, of unknown duration."""
    return (*row[:7], None, "abandoned", None, *row[10:])


def _item_rows(
    attributes: Mapping[str, Any], row: tuple[Any, ...], metadata: dict[str, Any], names: Any
) -> list[tuple[Any, ...]]:
    columns = [
        (attribute[len(_ITEM_PREFIX) :], values)
        for attribute, values in attributes.items()
        if attribute.startswith(_ITEM_PREFIX)
    ]
    event_type, _, common_kind, ts_ms, common_collection, common_project, *_ = row
    rest = row[7:16]
    count = len(names)
    kinds = _whole(attributes.get(ITEM_ARTIFACT_TYPE), count)
    collections = _whole(attributes.get(_ITEM_COLLECTION), count)
    projects = _whole(attributes.get(_ITEM_PROJECT), count)
    columns = [(key, _whole(values, count)) for key, values in columns]
    plain = not any(type(value) is list or type(value) is dict for value in metadata.values())
    plain = plain and len(metadata) + len(columns) <= 10
    found = []
    for index, name in enumerate(names):
        own = metadata.copy()
        fits = plain
        for key, values in columns:
            value = values[index]
            if value is not None:
                own[key] = value
                if type(value) is list or type(value) is dict:
                    fits = False
        collection, project = collections[index], projects[index]
        found.append((
            event_type,
            name or "",
            kinds[index] or common_kind,
            ts_ms,
            common_collection if collection is None else collection,
            common_project if project is None else project,
            own or None if fits else fit(own),
            *rest,
            index,
        ))  # fmt: skip
    return found


def _whole(values: Any, count: int) -> Any:
    """Return a parallel array of at least so many elements; one that is missing or too short has None there."""
    if values is None:
        return (None,) * count
    return values if len(values) >= count else [*values, *(None,) * (count - len(values))]


def _remember(attribute: str) -> str:
    """Return the metadata key of an attribute, "" for one that is no metadata."""
    key = attribute[len(_PREFIX) :] if attribute.startswith(_PREFIX) else ""
    if len(_keys) < _KEYS_LIMIT:
        _keys[attribute] = key
    return key


def fit(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return metadata that fits the store; what does not is left out and named. None for none."""
    if not metadata:
        return None
    room = METADATA_LIMIT
    left_out: list[str] = []
    for key, value in metadata.items():
        size = len(key) + (len(value) if type(value) is str else _size(value))
        if size > room:
            left_out.append(key)
            continue
        room -= size
    if not left_out:
        return metadata
    kept = {key: value for key, value in metadata.items() if key not in left_out}
    kept["usagetrace_left_out"] = [key[:64] for key in left_out[:100]]
    return kept


def _size(value: Any) -> int:
    if type(value) is not list and type(value) is not dict:
        # A number or a bool is a few characters of JSON; only containers are worth writing out to be measured.
        return 24
    import json

    return len(json.dumps(value, default=str))

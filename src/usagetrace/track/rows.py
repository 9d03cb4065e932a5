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
    ERROR_TYPE,
    EVENT_CATEGORY,
    EVENT_PRIORITY,
    EVENT_TYPE,
    ITEM_METADATA_PREFIX,
    ITEM_PREFIX,
    METADATA_PREFIX,
    OUTCOME,
    PROJECT_PATH,
    SESSION_ID,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
# So many texts of the longest size that a value may have, with their keys, fit into an event.
_SURELY_FIT: Final = 10
# The outcomes that a row's status says, and the one of them that is a failure.
_ERROR: Final = "error"
_BY_STATUS: Final = frozenset(("success", _ERROR))


def rows_of(
    attributes: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]] | None,
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
        items: Attributes of each artifact by the same names, where it touched several; one that did not end like the
            operation holds an outcome, and what it failed with.
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
    # A few numbers and texts always fit; anything else is measured.
    fits = True
    for attribute, value in attributes.items():
        key = _keys.get(attribute)
        if key is None:
            key = _remember(attribute)
        if key:
            metadata[key] = value
            if type(value) is list or type(value) is dict:
                fits = False
    event_type, ts_ms = get(EVENT_TYPE) or "", started_ns // 1_000_000
    name, kind = get(ARTIFACT_NAME) or "", get(ARTIFACT_TYPE) or ""
    collection, project = get(COLLECTION_NAME), get(PROJECT_PATH)
    rest = (
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
    )
    outcome = get(OUTCOME)
    if not items:
        if outcome is not None and "result" not in metadata:
            metadata["outcome"] = outcome
        if not fits or len(metadata) > _SURELY_FIT:
            metadata = fit(metadata)
        return [(event_type, name, kind, ts_ms, collection, project, metadata or None, *rest, None)]
    return _item_rows(items, (event_type, kind, ts_ms, collection, project), rest, metadata, fits, outcome)


def _item_rows(
    items: Sequence[Mapping[str, Any]],
    shared: tuple[Any, ...],
    rest: tuple[Any, ...],
    metadata: dict[str, Any],
    fits: bool,
    outcome: str | None,
) -> list[tuple[Any, ...]]:
    """Return one row for each artifact: its own attributes, and those of the operation where it has none."""
    event_type, kind, ts_ms, collection, project = shared
    rows = []
    for index, item in enumerate(items):
        get = item.get
        own = metadata.copy()
        own_fits = fits
        for attribute, value in item.items():
            key = _keys.get(attribute)
            if key is None:
                key = _remember(attribute)
            if key:
                if value is None:
                    # Said to have none, although the call has one.
                    own.pop(key, None)
                    continue
                own[key] = value
                if type(value) is list or type(value) is dict:
                    own_fits = False
        ended = rest
        told = get(OUTCOME) or outcome
        if told is not None:
            if get(OUTCOME) is not None:
                failed = told == _ERROR
                ended = (rest[0], "error" if failed else "ok", get(ERROR_TYPE) if failed else None, *rest[3:])
            if told not in _BY_STATUS and "result" not in own:
                own["outcome"] = told
        if not own_fits or len(own) > _SURELY_FIT:
            own = fit(own)
        rows.append((
            event_type, get(ARTIFACT_NAME) or "", get(ARTIFACT_TYPE) or kind, ts_ms, get(COLLECTION_NAME, collection),
            get(PROJECT_PATH, project), own or None, *ended, index,
        ))  # fmt: skip
    return rows


def start_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the row that an operation leaves if it never ends: an abandoned one, of unknown duration."""
    return (*row[:7], None, "abandoned", None, *row[10:])


def _remember(attribute: str) -> str:
    """Return the metadata key of an attribute, "" for one that is no metadata."""
    key = attribute[len(_PREFIX) :] if attribute.startswith(_PREFIX) else ""
    if len(_keys) < _KEYS_LIMIT:
        _keys[attribute] = key
    return key


def fit(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that fits the store; what does not is left out and named."""
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

"""From a finished, redacted span to the events it stands for.

A span of this package is one event, or one for each artifact of a call that touched several: those come as parallel
arrays. Spans of other instrumentations are no events. Below this module nothing knows OpenTelemetry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

from usagetrace import semconv
from usagetrace.events import METADATA_LIMIT, NAME_LIMIT, TEXT_LIMIT, Event, Status, bound_text, clean_text
from usagetrace.track.values import bounded, cleaned, to_value

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_NS_PER_MS = 1_000_000
_CONTAINERS = (list, dict)
_TEXTS = (str, bytes)


def events_from_span(span: ReadableSpan, service_name: str) -> list[Event]:
    """Return the events of a span, in the order of their items; none for a span that is not of this package.

    Args:
        span: A finished span, redacted.
        service_name: The tool.
    """
    attributes = span.attributes
    if not attributes or semconv.EVENT_TYPE not in attributes:
        return []
    common = _common(span, attributes, service_name)
    metadata = _metadata(attributes, semconv.METADATA_PREFIX)
    outcome = attributes.get(semconv.OUTCOME)
    if outcome is not None and "result" not in metadata:
        metadata["outcome"] = _member(outcome)
    names = attributes.get(semconv.ITEM_ARTIFACT_NAME)
    if names is None or not isinstance(names, Sequence) or isinstance(names, _TEXTS) or not names:
        return [
            Event(
                artifact_name=_text(attributes.get(semconv.ARTIFACT_NAME), NAME_LIMIT) or "",
                artifact_type=_text(attributes.get(semconv.ARTIFACT_TYPE), NAME_LIMIT) or "",
                metadata=_fitting(metadata),
                **common,
            )
        ]
    return [_item_event(attributes, common, metadata, index, name) for index, name in enumerate(names)]


def _common(span: ReadableSpan, attributes: Mapping[str, Any], service_name: str) -> dict[str, Any]:
    start, end = span.start_time or 0, span.end_time or 0
    failed = span.status.status_code is StatusCode.ERROR
    context = span.context
    return {
        "event_type": _text(attributes[semconv.EVENT_TYPE], NAME_LIMIT) or "",
        "ts_ms": start // _NS_PER_MS,
        "collection_name": _text(attributes.get(semconv.COLLECTION_NAME), NAME_LIMIT),
        "project_path": _text(attributes.get(semconv.PROJECT_PATH), NAME_LIMIT),
        # A span without length is a point in time, not an operation that took no time.
        "duration_ms": (end - start) / _NS_PER_MS if end > start else None,
        "status": (Status.ERROR if failed else Status.OK).value,
        "error_type": _text(attributes.get(semconv.ERROR_TYPE), NAME_LIMIT) if failed else None,
        "category": _text(attributes.get(semconv.EVENT_CATEGORY), NAME_LIMIT) or "custom",
        "priority": _text(attributes.get(semconv.EVENT_PRIORITY), NAME_LIMIT) or "normal",
        "session_id": _text(attributes.get(semconv.SESSION_ID), NAME_LIMIT),
        "service_name": _text(service_name, NAME_LIMIT),
        "trace_id": f"{context.trace_id:032x}" if context else None,
        "span_id": f"{context.span_id:016x}" if context else None,
    }


def _item_event(
    attributes: Mapping[str, Any], common: dict[str, Any], metadata: dict[str, Any], index: int, name: object
) -> Event:
    prefix = semconv.ITEM_METADATA_PREFIX
    own = {
        key[len(prefix) :]: _member(value)
        for key, values in attributes.items()
        if key.startswith(prefix) and (value := _at(values, index)) is not None
    }
    fields = dict(common)
    for field, key in (
        ("collection_name", semconv.ITEM_PREFIX + "collection.name"),
        ("project_path", semconv.ITEM_PREFIX + "project.path"),
    ):
        value = _at(attributes.get(key), index)
        if value is not None:
            fields[field] = _text(value, NAME_LIMIT)
    return Event(
        artifact_name=_text(name, NAME_LIMIT) or "",
        artifact_type=_text(_at(attributes.get(semconv.ITEM_ARTIFACT_TYPE), index), NAME_LIMIT)
        or _text(attributes.get(semconv.ARTIFACT_TYPE), NAME_LIMIT)
        or "",
        metadata=_fitting({**metadata, **own}),
        item=index,
        **fields,
    )


def _at(values: object, index: int) -> Any:
    """Return an element of a parallel array; None where the array is shorter than it should be, or no array."""
    if isinstance(values, Sequence) and not isinstance(values, _TEXTS) and index < len(values):
        return values[index]
    return None


def _metadata(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the metadata among a span's attributes: plain values, clean, each text cut to its limit."""
    found: dict[str, Any] = {}
    length = len(prefix)
    for key, value in attributes.items():
        if key.startswith(prefix) and value is not None:
            name = key[length:]
            found[name if name.isascii() else clean_text(name)] = _member(value)
    return found


def _member(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, TEXT_LIMIT)
    if kind is bool or kind is int or kind is float:
        return to_value(value)
    return bounded(cleaned(to_value(value)), TEXT_LIMIT)


def _text(value: object, limit: int) -> str | None:
    if type(value) is str:
        # What our own tracking recorded is clean and short already: the common case costs three looks.
        if len(value) <= limit and value.isascii() and "\0" not in value:
            return value
        return bound_text(clean_text(value), limit)
    return None if value is None else bound_text(clean_text(str(value)), limit)


def _fitting(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return metadata that fits the store; what does not is left out and named."""
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
    # A number or a bool is a few characters of JSON; only containers are worth writing out to be measured.
    return len(json.dumps(value, default=str)) if isinstance(value, _CONTAINERS) else 24

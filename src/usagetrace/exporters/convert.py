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
        metadata["outcome"] = to_value(outcome)
    names = attributes.get(semconv.ITEM_ARTIFACT_NAME)
    if not isinstance(names, Sequence) or isinstance(names, str | bytes) or not names:
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
        key[len(prefix) :]: to_value(value)
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
    if isinstance(values, Sequence) and not isinstance(values, str | bytes) and index < len(values):
        return values[index]
    return None


def _metadata(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    length = len(prefix)
    return {
        key[length:]: to_value(value)
        for key, value in attributes.items()
        if key.startswith(prefix) and value is not None
    }


def _text(value: object, limit: int) -> str | None:
    if value is None:
        return None
    return bound_text(clean_text(value if type(value) is str else str(value)), limit)


def _fitting(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return metadata that fits the store; what does not is left out and named."""
    if not metadata:
        return None
    fitting = bounded(cleaned(metadata), TEXT_LIMIT)
    room = METADATA_LIMIT
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for key, value in fitting.items():
        size = len(key) + len(value) if type(value) is str else len(key) + len(json.dumps(value, default=str))
        if size > room:
            left_out.append(key[:64])
            continue
        room -= size
        kept[key] = value
    if left_out:
        kept["usagetrace_left_out"] = left_out[:100]
    return kept

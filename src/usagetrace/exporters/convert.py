"""From a finished, redacted span to the events it stands for.

A span of this package is one event, or one for each artifact of a call that touched several: those come as parallel
arrays. Spans of other instrumentations are no events. Below this module nothing knows OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT, Event, bound_text, clean_text
from usagetrace.track.conventions import OUTCOMES
from usagetrace.track.rows import rows_of
from usagetrace.track.values import bounded, cleaned, to_value

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_TEXTS = (str, bytes)
# Attributes that are one text, and arrays of them.
_TEXT_ATTRIBUTES = frozenset((
    semconv.EVENT_TYPE, semconv.EVENT_CATEGORY, semconv.EVENT_PRIORITY, semconv.ARTIFACT_NAME, semconv.ARTIFACT_TYPE,
    semconv.COLLECTION_NAME, semconv.PROJECT_PATH, semconv.SESSION_ID, semconv.ERROR_TYPE,
))  # fmt: skip
_ITEM_ARRAYS = frozenset((
    semconv.ITEM_ARTIFACT_NAME, semconv.ITEM_ARTIFACT_TYPE, semconv.ITEM_PREFIX + "collection.name",
    semconv.ITEM_PREFIX + "project.path", semconv.ITEM_OUTCOME, semconv.ITEM_ERROR_TYPE,
))  # fmt: skip
# Of an artifact, error.type stands without the prefix of our own attributes.
_ITEM_NAMES = {semconv.ITEM_ERROR_TYPE: semconv.ERROR_TYPE}


def events_from_span(span: ReadableSpan, service_name: str) -> list[Event]:
    """Return the events of a span, in the order of their items; none for a span that is not of this package.

    Args:
        span: A finished span, redacted.
        service_name: The tool.
    """
    attributes = span.attributes
    if not attributes or semconv.EVENT_TYPE not in attributes:
        return []
    start, end = span.start_time or 0, span.end_time or 0
    context = span.context
    plain = _plain(attributes)
    rows = rows_of(
        plain,
        _items(plain),
        start,
        end - start,
        plain.get(semconv.ERROR_TYPE),
        span.status.status_code is StatusCode.ERROR,
        _text(service_name, NAME_LIMIT) or "",
        f"{context.trace_id:032x}" if context else None,
        f"{context.span_id:016x}" if context else None,
    )
    return list(map(Event._make, rows))


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a span's attributes as an event can hold them: clean, each text cut to its limit, arrays as lists."""
    plain: dict[str, Any] = {}
    for key, value in attributes.items():
        if value is None:
            continue
        if key in _TEXT_ATTRIBUTES:
            plain[key] = _text(value, NAME_LIMIT)
        elif key in _ITEM_ARRAYS:
            if _is_array(value):
                plain[key] = [_text(each, NAME_LIMIT) for each in value]
        elif key.startswith(semconv.ITEM_METADATA_PREFIX):
            if _is_array(value):
                plain[_key(key)] = [None if each is None else _member(each) for each in value]
        else:
            plain[_key(key)] = _member(value)
    return plain


def _items(plain: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts of a span, each by attribute; an array that is too short says nothing of the last ones.

    None in an array says that this artifact has no such value, also where the span has one for all.
    """
    names = plain.get(semconv.ITEM_ARTIFACT_NAME) or ()
    columns = {
        _ITEM_NAMES.get(key) or semconv.PREFIX + key[len(semconv.ITEM_PREFIX) :]: values
        for key, values in plain.items()
        if key in _ITEM_ARRAYS or key.startswith(semconv.ITEM_METADATA_PREFIX)
    }
    outcomes = columns.get(semconv.OUTCOME)
    if outcomes is not None:
        # Anybody may have sent the span: a word that is no outcome says nothing.
        columns[semconv.OUTCOME] = [word if word in OUTCOMES else None for word in outcomes]
    return [
        {key: values[index] for key, values in columns.items() if index < len(values)} for index in range(len(names))
    ]


def _key(key: str) -> str:
    return key if key.isascii() else clean_text(key)


def _is_array(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, _TEXTS)


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

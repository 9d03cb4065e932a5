"""From a finished, redacted span to the events it stands for.

A span of this package is one event, or one for each artifact of a call that touched several: those come as parallel
arrays. Spans of other instrumentations are no events. What OTLP brings is read by the same functions, attribute by
attribute. Below this module nothing knows OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

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
TEXT_ATTRIBUTES: Final = frozenset((
    semconv.EVENT_TYPE, semconv.EVENT_CATEGORY, semconv.EVENT_PRIORITY, semconv.ARTIFACT_NAME, semconv.ARTIFACT_TYPE,
    semconv.COLLECTION_NAME, semconv.PROJECT_PATH, semconv.SESSION_ID, semconv.ERROR_TYPE,
))  # fmt: skip
ITEM_ARRAYS: Final = frozenset((
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
        items_of(plain),
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
    """Return a span's attributes as an event can hold them."""
    plain: dict[str, Any] = {}
    for key, value in attributes.items():
        found = fitted(key, value)
        if found is not None:
            plain[found[0]] = found[1]
    return plain


def fitted(key: str, value: Any) -> tuple[str, Any] | None:
    """Return one attribute as an event can hold it: clean, each text cut to its limit, arrays as lists.

    Args:
        key: Its name, redacted.
        value: Its value, redacted.

    Returns:
        Name and value; None where it says nothing.
    """
    if value is None:
        return None
    if key in TEXT_ATTRIBUTES:
        return key, _text(value, NAME_LIMIT)
    if key in ITEM_ARRAYS:
        return (key, [_text(each, NAME_LIMIT) for each in value]) if is_array(value) else None
    if key.startswith(semconv.ITEM_METADATA_PREFIX):
        members = [None if each is None else _member(each) for each in value] if is_array(value) else None
        return None if members is None else (_key(key), members)
    return _key(key), _member(value)


def items_of(plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts of a call, each by attribute; an array that is too short says nothing of the last ones.

    None in an array says that this artifact has no such value, also where the call has one for all.

    Args:
        plain: Attributes as :func:`fitted` returns them.
    """
    names = plain.get(semconv.ITEM_ARTIFACT_NAME) or ()
    if not names:
        return []
    columns = {
        _ITEM_NAMES.get(key) or semconv.PREFIX + key[len(semconv.ITEM_PREFIX) :]: values
        for key, values in plain.items()
        if key in ITEM_ARRAYS or key.startswith(semconv.ITEM_METADATA_PREFIX)
    }
    outcomes = columns.get(semconv.OUTCOME)
    if outcomes is not None:
        # Anybody may have sent the call: a word that is no outcome says nothing.
        columns[semconv.OUTCOME] = [word if word in OUTCOMES else None for word in outcomes]
    return [
        {key: values[index] for key, values in columns.items() if index < len(values)} for index in range(len(names))
    ]


def _key(key: str) -> str:
    return key if key.isascii() else clean_text(key)


def is_array(value: object) -> bool:
    """Return whether a value is an array: neither a text nor bytes."""
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

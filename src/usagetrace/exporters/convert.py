"""From a finished, redacted span or log event to the events it stands for.

A span of this package is one event, or one for each artifact of a call that touched several: those come as parallel
arrays; a log event is the same without a duration. What belongs to other instrumentations is no event. What OTLP brings
is read by the same functions, attribute by attribute. Below this module nothing knows OpenTelemetry.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT, Event, bound_text, category_of, clean_text, priority_of
from usagetrace.track.conventions import ERROR, OUTCOMES, SUCCESS
from usagetrace.track.rows import rows_of, start_row
from usagetrace.track.values import bounded, cleaned, to_value

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

# How a log event says that its operation never ended, and the least severity of one that tells of a failure.
ABANDONED: Final = "abandoned"
SEVERITY_ERROR: Final = 17
# Outcomes that a row's status says.
TOLD_BY_STATUS: Final = frozenset((SUCCESS, ERROR, ABANDONED))
_ID_BYTES: Final = 8
_HEX: Final = frozenset("0123456789abcdef")
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


def events_from_log(record: ReadableLogRecord, service_name: str) -> list[Event]:
    """Return the events of a log event, in the order of their items; none for one that is not of this package.

    Args:
        record: A log record, redacted.
        service_name: The tool.
    """
    log = record.log_record
    plain = _plain(log.attributes or {})
    name = log.event_name or ""
    if semconv.EVENT_TYPE not in plain and name.startswith(semconv.PREFIX):
        plain[semconv.EVENT_TYPE] = _text(name[len(semconv.PREFIX) :], NAME_LIMIT)
    event_type = plain.get(semconv.EVENT_TYPE)
    if not event_type or event_type.isspace():
        return []
    # A foreign sender may know no more than the name.
    plain.setdefault(semconv.EVENT_CATEGORY, category_of(event_type).value)
    plain.setdefault(semconv.EVENT_PRIORITY, priority_of(event_type).value)
    uid = plain.pop(semconv.LOG_RECORD_UID, None)
    outcome = plain.get(semconv.OUTCOME)
    failed = _tells_of_failure(log, plain)
    if type(outcome) is not str or outcome in TOLD_BY_STATUS:
        plain.pop(semconv.OUTCOME, None)
    rows = rows_of(
        plain,
        items_of(plain),
        log.timestamp or log.observed_timestamp or time.time_ns(),
        0,
        plain.get(semconv.ERROR_TYPE),
        failed,
        _text(service_name, NAME_LIMIT) or "",
        f"{log.trace_id:032x}" if log.trace_id else None,
        span_id_of(str(uid)) if uid else os.urandom(_ID_BYTES).hex(),
    )
    if outcome == ABANDONED:
        rows = [start_row(row) for row in rows]
    return list(map(Event._make, rows))


def _tells_of_failure(log: LogRecord, plain: Mapping[str, Any]) -> bool:
    severity = log.severity_number
    if severity is None or not severity.value:
        # Who says no severity says by the type of error that there was one.
        return bool(plain.get(semconv.ERROR_TYPE)) or plain.get(semconv.OUTCOME) == ERROR
    return severity.value >= SEVERITY_ERROR or plain.get(semconv.OUTCOME) == ERROR


def span_id_of(uid: str) -> str:
    """Return the span id of the row that a log record's own id stands for: the id itself, where it can be one."""
    return uid if len(uid) == 2 * _ID_BYTES and _HEX.issuperset(uid) else digest(uid)


def digest(text: str) -> str:
    """Return what stands for a text as the id of a row."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_ID_BYTES).hexdigest()


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span or log event as an event can hold them."""
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

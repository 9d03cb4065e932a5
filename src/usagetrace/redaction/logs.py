"""A log record in, a log record without anything private out: every channel of it.

Channels: body (text, map, list), attributes with their keys, a live exception, event name, severity text, the context
with what it carries (baggage, trace state), resource, scope. Times, severity and trace ids are kept. The result is
always a copy: the caller, and the other processors of a provider, go on with theirs. This module exports nothing.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, overload

from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.trace import NonRecordingSpan, get_current_span, set_span_in_context

from usagetrace.redaction.carriers import CarrierCache, own_attributes, redact_context

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadWriteLogRecord

    from usagetrace.redaction.engine import Redactor

_EXCEPTION_TYPE = "exception.type"
_EXCEPTION_MESSAGE = "exception.message"
_EXCEPTION_STACKTRACE = "exception.stacktrace"
# What a policy calls the body of a log record, which has no key of its own.
_BODY = "body"
_SCALARS = (str, bytes, bool, int, float, type(None))


@overload
def redact_log(
    record: ReadWriteLogRecord, redactor: Redactor, cache: CarrierCache | None = None
) -> ReadWriteLogRecord: ...
@overload
def redact_log(
    record: ReadableLogRecord, redactor: Redactor, cache: CarrierCache | None = None
) -> ReadableLogRecord: ...
def redact_log(
    record: ReadWriteLogRecord | ReadableLogRecord, redactor: Redactor, cache: CarrierCache | None = None
) -> ReadWriteLogRecord | ReadableLogRecord:
    """Return a copy of a log record without anything private.

    Args:
        record: What a processor or an exporter is given. It is not changed.
        redactor: The engine.
        cache: Remembers redacted resources and scopes from record to record.

    Raises:
        RedactionError: Something in the record can't be looked into; the record must be dropped.
    """
    cache = cache or CarrierCache(redactor)
    inner = _record(record.log_record, redactor)
    resource = record.resource and cache.resource(record.resource)
    scope = record.instrumentation_scope and cache.scope(record.instrumentation_scope)
    if isinstance(record, ReadableLogRecord):
        return ReadableLogRecord(inner, resource or record.resource, scope, record.limits)
    # Not by its constructor: that applies the limits once more, and warns of what it drops.
    written = copy.copy(record)
    written.log_record, written.resource, written.instrumentation_scope = inner, resource, scope
    return written


def _record(record: LogRecord, redactor: Redactor) -> LogRecord:
    context = _context(record.context, redactor)
    # Made anew, field by field: what a subclass or a caller has hung on a record does not come along.
    made = LogRecord(
        timestamp=record.timestamp,
        observed_timestamp=record.observed_timestamp,
        context=context,
        severity_text=record.severity_text and redactor.text(record.severity_text),
        severity_number=record.severity_number,
        body=_plain(redactor.redact(_BODY, record.body), redactor),
        attributes=own_attributes(record.attributes, redactor),
        event_name=record.event_name and redactor.text(record.event_name),
    )
    # The constructor fills in what is missing from the moment and the context that are now.
    made.observed_timestamp = record.observed_timestamp
    made.context = context
    made.trace_id, made.span_id, made.trace_flags = record.trace_id, record.span_id, record.trace_flags
    error = getattr(record, "exception", None)
    if error is not None:
        _describe(made, error, redactor)
    return made


def _context(context: Context | None, redactor: Redactor) -> Context:
    """Return a context that carries the span's identity alone: no baggage, no live span, nothing of the caller's."""
    around = get_current_span(context).get_span_context() if context else None
    if around is None or not around.is_valid:
        return Context()
    return set_span_in_context(NonRecordingSpan(redact_context(around, redactor)), Context())


def _describe(record: LogRecord, error: BaseException, redactor: Redactor) -> None:
    """Say in redacted attributes what a live exception says, where the SDK has not: the object stays behind."""
    attributes: Any = record.attributes
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    said = {_EXCEPTION_TYPE: name, _EXCEPTION_MESSAGE: str(error)}
    if _EXCEPTION_STACKTRACE not in attributes:
        said[_EXCEPTION_STACKTRACE] = "".join(traceback.format_exception(kind, error, error.__traceback__))
    for key, text in redactor.attributes(said).items():
        if key not in attributes:
            attributes[key] = text


def _plain(value: Any, redactor: Redactor) -> Any:
    """Return a redacted body as a copy of plain values.

    A caller who changes the map that was logged must not change what waits in a queue; and an object that is neither
    text nor number is handed on as the text that was looked at, since an exporter may ask it for something else.
    """
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping):
        return {_name(key, redactor): _plain(member, redactor) for key, member in value.items()}
    if isinstance(value, (Sequence, Set)):
        members = [_plain(member, redactor) for member in value]
        return tuple(members) if isinstance(value, tuple) else members
    return redactor.text(str(value))


def _name(key: object, redactor: Redactor) -> str:
    return key if isinstance(key, str) else redactor.text(str(key))

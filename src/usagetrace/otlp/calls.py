"""From a span or a log event to the rows of its events.

A span of this package is one event, or one for each artifact of a call that touched several; a log event is the same
without a duration. What belongs to somebody else becomes an event where a mapping says so. What is ours and can't be
an event is refused, with the reason; the others are let pass.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.events import category_of, priority_of
from usagetrace.exporters.convert import ABANDONED, SEVERITY_ERROR, TOLD_BY_STATUS, digest, items_of, span_id_of
from usagetrace.otlp.attributes import AttributeReader, short
from usagetrace.otlp.faults import TooManyError
from usagetrace.otlp.refused import RefusedError
from usagetrace.otlp.values import read_value
from usagetrace.track import conventions
from usagetrace.track.rows import rows_of, start_row
from usagetrace.track.values import to_value

if TYPE_CHECKING:
    from usagetrace.otlp.limits import Limits
    from usagetrace.otlp.mapping import Mapping

Row = tuple[Any, ...]

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_NO_TRACE: Final = bytes(_TRACE_BYTES)
_NO_SPAN: Final = bytes(_SPAN_BYTES)
# The status of a span that failed.
_STATUS_ERROR: Final = 2
_LEFT_OUT: Final = semconv.METADATA_PREFIX + "usagetrace_left_out"
# Most positions that artifacts of a call may have.
_PLACES: Final = 2**31
# What stands in the bytes of every span of ours.
_MARK: Final = semconv.EVENT_TYPE.encode()


class Around:
    """What a span or a log record is inside of: resource and scope.

    Attributes:
        service: Name of the tool, redacted; None where nothing says it.
        scope: Name of the instrumentation scope.
        resource: Attributes of the resource, as their bytes.
        mappings: Those that fit the scope.
    """

    __slots__ = ("mappings", "resource", "scope", "service")

    def __init__(self, service: str | None, scope: str, resource: Sequence[bytes], mappings: Sequence[Mapping]) -> None:
        self.service = service
        self.scope = scope
        self.resource = resource
        self.mappings = mappings


class CallReader:
    """Makes rows of the spans and log records of one request.

    Args:
        attributes: Reads and redacts what they hold.
        limits: What one span may have.
    """

    def __init__(self, attributes: AttributeReader, limits: Limits) -> None:
        self._attributes = attributes
        self._limits = limits
        # How many characters are repeated for the artifacts of calls so far.
        self._repeated = 0

    def span(self, span: Any, around: Around) -> list[Row]:
        """Return the rows of a span; none where it is no event.

        Raises:
            MalformedError: One of its attributes is none.
            TooManyError: With it the request becomes too large.
            RefusedError: It is ours, and can't be an event.
        """
        pairs = span.attributes
        ours = around.scope == semconv.SCOPE_NAME or any(_MARK in raw for raw in pairs)
        if not ours and not _fits(around.mappings, span.name):
            return []
        trace_id, span_id = span.trace_id, span.span_id
        if len(trace_id) != _TRACE_BYTES or trace_id == _NO_TRACE:
            raise RefusedError("a trace id is not 16 bytes, or all zero")
        if len(span_id) != _SPAN_BYTES or span_id == _NO_SPAN:
            raise RefusedError("a span id is not 8 bytes, or all zero")
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        try:
            found = self._ours(pairs) if ours else self._mapped(pairs, span.name, around)
        except RedactionError:
            raise RefusedError("a value can't be redacted") from None
        if found is None:
            return []
        failed = span.status.code == _STATUS_ERROR
        # Without a beginning, the end is the only time that is known.
        times = (start, end - start) if start else (end, 0)
        return self._rows(found, times, failed, around.service, trace_id.hex(), span_id.hex())

    def record(self, record: Any, around: Around) -> list[Row]:
        """Return the rows of a log record; none where it is no event. Raises as :meth:`span` does."""
        pairs, name = record.attributes, record.event_name
        ours = name.startswith(semconv.PREFIX) or any(_MARK in raw for raw in pairs)
        if not ours and not (name and _fits(around.mappings, name)):
            return []
        try:
            found = self._ours(pairs) if ours else self._mapped(pairs, name, around)
            if found is None:
                return []
            if ours and name.startswith(semconv.PREFIX) and semconv.EVENT_TYPE not in found:
                found[semconv.EVENT_TYPE] = self._attributes.text(semconv.EVENT_TYPE, name[len(semconv.PREFIX) :])
            ns = record.time_unix_nano or record.observed_time_unix_nano
            trace_id = record.trace_id.hex() if _is_trace(record.trace_id) else None
            uid = found.pop(semconv.LOG_RECORD_UID, None)
            span_id = span_id_of(str(uid)) if uid else self._digest(record, found, ns, trace_id, around.service)
        except RedactionError:
            raise RefusedError("a value can't be redacted") from None
        severity = record.severity_number
        # Who says no severity says by the type of error that there was one.
        failed = severity >= SEVERITY_ERROR or (not severity and bool(found.get(semconv.ERROR_TYPE)))
        return self._rows(found, (ns, 0), failed, around.service, trace_id, span_id)

    def _ours(self, pairs: Sequence[bytes]) -> dict[str, Any]:
        limit = self._limits.attributes
        if len(pairs) <= limit:
            return self._attributes.of_event(pairs)
        found = self._attributes.of_event(pairs[:limit])
        found[_LEFT_OUT] = [f"{len(pairs) - limit} attributes"]
        return found

    def _mapped(self, pairs: Sequence[bytes], name: str, around: Around) -> dict[str, Any] | None:
        """Return the attributes of an event by the first mapping that fits, and finds one."""
        pairs = pairs[: self._limits.attributes]
        for mapping in around.mappings:
            if mapping.fits_name(name):
                found = mapping.attributes(self._attributes, pairs, around.resource, name)
                if found is not None:
                    return found
        return None

    def _rows(
        self,
        found: dict[str, Any],
        times: tuple[int, int],
        failed: bool,
        service: str | None,
        trace_id: str | None,
        span_id: str,
    ) -> list[Row]:
        """Return the rows of a call that is ours, or was made ours."""
        event_type = found.get(semconv.EVENT_TYPE)
        if not event_type or event_type.isspace():
            raise RefusedError("an event has no type")
        if not times[0]:
            raise RefusedError("an event has no time")
        if semconv.EVENT_CATEGORY not in found:
            found[semconv.EVENT_CATEGORY] = category_of(event_type).value
        if semconv.EVENT_PRIORITY not in found:
            found[semconv.EVENT_PRIORITY] = priority_of(event_type).value
        outcome = found.get(semconv.OUTCOME)
        if outcome is not None and (type(outcome) is not str or outcome in TOLD_BY_STATUS):
            del found[semconv.OUTCOME]
            failed = failed or outcome == conventions.ERROR
        items = self._items(found) if semconv.ITEM_ARTIFACT_NAME in found else None
        # A row may be of no tool that is known.
        named: Any = service
        rows = rows_of(found, items, *times, found.get(semconv.ERROR_TYPE), failed, named, trace_id, span_id)
        if items and semconv.ITEM_INDEX in found:
            rows = _placed(rows, found[semconv.ITEM_INDEX])
        if outcome == ABANDONED:
            rows = [start_row(row) for row in rows]
        return rows

    def _items(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the artifacts of a call, where they are not too many."""
        count = len(found[semconv.ITEM_ARTIFACT_NAME])
        if count > self._limits.artifacts:
            raise RefusedError(f"a call has more than {self._limits.artifacts} artifacts")
        repeated = count * _shared_size(found)
        if repeated > self._limits.repeated:
            raise RefusedError("what a call's artifacts have in common is too large to be repeated for each")
        self._repeated += repeated
        if self._repeated > 2 * self._limits.repeated:
            raise TooManyError("what the calls of a request have in common with their artifacts is too large")
        return items_of(found)

    def _digest(self, record: Any, found: dict[str, Any], ns: int, trace_id: str | None, service: str | None) -> str:
        """Return the id of a log record that has none: of what it says, redacted, so that nothing can be tried out."""
        body = self._attributes.redactor.redact("body", short(to_value(read_value(record.body))))
        name = self._attributes.text(semconv.EVENT_TYPE, record.event_name)
        said = (name, ns, trace_id, record.span_id.hex(), body, sorted(found.items()), service)
        return digest(json.dumps(said, default=str, sort_keys=True))


def _placed(rows: list[Row], places: Any) -> list[Row]:
    """Return the rows of a call of which some are missing, each with the place that it had."""
    if (
        type(places) is not list
        or len(places) != len(rows)
        or any(type(place) is not int or not 0 <= place < _PLACES for place in places)
        or len(set(places)) < len(places)
    ):
        raise RefusedError("the positions of a call's artifacts are none")
    return [(*row[:-1], place) for row, place in zip(rows, places, strict=True)]


def _fits(mappings: Sequence[Mapping], name: str) -> bool:
    return any(mapping.fits_name(name) for mapping in mappings)


def _is_trace(trace_id: bytes) -> bool:
    return len(trace_id) == _TRACE_BYTES and trace_id != _NO_TRACE


def _shared_size(found: dict[str, Any]) -> int:
    """Return about how large the attributes are that each artifact of a call has, in characters."""
    size = 0
    for name, value in found.items():
        if not name.startswith(semconv.ITEM_PREFIX):
            kind = type(value)
            size += len(name) + (len(value) if kind is str else len(repr(value)) if kind in _CONTAINERS else 8)
    return size


_CONTAINERS: Final = frozenset((list, dict))

"""Stored events to OTLP: a call with a duration becomes a span, a point in time a log event.

What comes out is what tracking would have sent itself, with the ids of the rows, so that each delivery of an event is
the same one. Reading it with :mod:`usagetrace.otlp.decode` gives the rows back. Everything is redacted at this door
once more: a store may be older than today's rules.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.otlp.arrays import attributes_of
from usagetrace.otlp.attributes import AttributeWriter
from usagetrace.otlp.lean import CLASSES
from usagetrace.redaction import default_redactor
from usagetrace.version import __version__

if TYPE_CHECKING:
    from usagetrace.redaction.engine import Redactor
    from usagetrace.store.deliveries import StoredEvent

_NS_PER_MS: Final = 1_000_000
_LAST_NS: Final = 2**64 - 1
_INTERNAL: Final = 1
_STATUS_ERROR: Final = 2
# Severities of log events: number and text.
_INFO: Final = (9, "INFO")
_ERROR: Final = (17, "ERROR")
# Places among the fields of an event.
_TYPE, _TS_MS, _DURATION, _STATUS, _SERVICE, _TRACE, _SPAN, _ITEM = 0, 3, 7, 8, 13, 14, 15, 16
# Those that the rows of one call have in common.
_SHARED: Final = (0, 3, 7, 10, 11, 12, 13, 14, 15)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Requests for a batch of events.

    Attributes:
        traces: An ``ExportTraceServiceRequest``; None where there are no spans.
        logs: An ``ExportLogsServiceRequest``; None where there are no log events.
        spans: How many spans there are.
        records: How many log events.
        left_out: Ids of the events that could not be redacted and are in neither.
    """

    traces: bytes | None
    logs: bytes | None
    spans: int
    records: int
    left_out: tuple[int, ...] = ()


def encode(rows: Sequence[StoredEvent], *, store_id: str, redactor: Redactor | None = None) -> Encoded:
    """Return the requests that deliver some events.

    Args:
        rows: Whole calls, the rows of one next to each other.
        store_id: Of the store; events that have no ids get some that are made of it.
        redactor: Sees everything first; by default the process's own.
    """
    return _encoder(store_id, redactor if redactor is not None else default_redactor()).encode(rows)


class Encoder:
    """Makes requests of events, and remembers the attributes that come again. Arguments as for :func:`encode`."""

    def __init__(self, store_id: str, redactor: Redactor | None = None) -> None:
        self._store_id = store_id
        self._writer = AttributeWriter(redactor if redactor is not None else default_redactor())

    def encode(self, rows: Sequence[StoredEvent]) -> Encoded:
        """Return the requests that deliver some events: whole calls, the rows of one next to each other."""
        self._writer.settle()
        # By tool: its resource, and what is of it.
        spans: dict[str | None, tuple[Any, list[Any]]] = {}
        records: dict[str | None, tuple[Any, list[Any]]] = {}
        left_out: list[int] = []
        for call in calls(rows):
            first = call[0].row
            make, groups = (self._span, spans) if _is_span(first) else (self._record, records)
            service = first[_SERVICE]
            try:
                made = make(call)
                if service not in groups:
                    groups[service] = (self._resource(service), [])
                groups[service][1].append(made)
            except RedactionError:
                left_out += [event.id for event in call]
        return Encoded(
            _request("Traces", "Spans", list(spans.values())),
            _request("Logs", "Logs", list(records.values())),
            sum(len(members) for _, members in spans.values()),
            sum(len(members) for _, members in records.values()),
            tuple(left_out),
        )

    def _span(self, call: Sequence[StoredEvent]) -> Any:
        row = call[0].row
        start = _start(row)
        failed = all(event.row[_STATUS] == "error" for event in call)
        trace_id, span_id = self._ids(call[0])
        span = CLASSES["Span"](
            trace_id=trace_id,
            span_id=span_id,
            name=self._writer.text(semconv.EVENT_TYPE, row[_TYPE]),
            kind=_INTERNAL,
            start_time_unix_nano=start,
            end_time_unix_nano=min(start + max(round(row[_DURATION] * _NS_PER_MS), 1), _LAST_NS),
            attributes=self._writer.written(attributes_of([event.row for event in call])),
        )
        if failed:
            span.status.code = _STATUS_ERROR
        return span

    def _record(self, call: Sequence[StoredEvent]) -> Any:
        row = call[0].row
        attributes = attributes_of([event.row for event in call])
        trace_id, span_id = self._ids(call[0])
        number, word = _ERROR if all(event.row[_STATUS] == "error" for event in call) else _INFO
        return CLASSES["LogRecord"](
            time_unix_nano=_start(row),
            observed_time_unix_nano=_start(row),
            severity_number=number,
            severity_text=word,
            event_name=semconv.PREFIX + self._writer.text(semconv.EVENT_TYPE, row[_TYPE]),
            # Unlike a span, a log event may be of no trace.
            trace_id=trace_id if row[_TRACE] is not None else b"",
            attributes=[
                *self._writer.written(attributes),
                *self._writer.written([(semconv.LOG_RECORD_UID, span_id.hex())]),
            ],
        )

    def _ids(self, event: StoredEvent) -> tuple[bytes, bytes]:
        """Return trace id and span id of an event, the same at each delivery."""
        row = event.row
        trace_id, span_id = _bytes(row[_TRACE], 16), _bytes(row[_SPAN], 8)
        if span_id is None:
            derived = _hash(f"{self._store_id}:{event.id}", 24)
            return trace_id or derived[:16], derived[16:]
        return trace_id or _hash(f"usagetrace{row[_SPAN]}{row[_TS_MS]}", 16), span_id

    def _resource(self, service: str | None) -> Any:
        named = [] if service is None else [(semconv.SERVICE_NAME, service)]
        return CLASSES["Resource"](attributes=self._writer.written(named))


# A process delivers from one store, as a rule: what was written once is known the next time.
_encoder: Final = functools.lru_cache(maxsize=4)(Encoder)


def calls(rows: Sequence[StoredEvent]) -> Iterator[list[StoredEvent]]:
    """Yield the rows of each call."""
    call: list[StoredEvent] = []
    for event in rows:
        item = event.row[_ITEM]
        if call and item is not None and _same(call[-1].row, event.row) and item > call[-1].row[_ITEM]:
            call.append(event)
            continue
        if call:
            yield call
        call = [event]
    if call:
        yield call


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return one[_ITEM] is not None and one[_SPAN] is not None and all(one[place] == other[place] for place in _SHARED)


def _is_span(row: Sequence[Any]) -> bool:
    return row[_DURATION] is not None and row[_DURATION] > 0 and row[_STATUS] != "abandoned"


def _start(row: Sequence[Any]) -> int:
    # Zero means that the time is unknown; before 1970 nothing can be told.
    return int(min(max(row[_TS_MS] * _NS_PER_MS, 1), _LAST_NS))


def _bytes(digits: str | None, length: int) -> bytes | None:
    """Return an id from its hexadecimal digits; None where they are no valid one."""
    if digits is None or len(digits) != 2 * length:
        return None
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        return None
    return found if any(found) and len(found) == length else None


def _hash(text: str, length: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=length).digest()


def _request(kind: str, members: str, groups: Sequence[tuple[Any, list[Any]]]) -> bytes | None:
    """Return a request with one resource for each tool; None where there is nothing in it."""
    scope = CLASSES["Scope"](name=semconv.SCOPE_NAME, version=__version__)
    inner, outer = CLASSES[f"Scope{members}"], CLASSES[f"Resource{members}"]
    field = "spans" if members == "Spans" else "log_records"
    scopes = f"scope_{members.lower()}"
    if not groups:
        return None
    made = [
        outer(resource=resource, **{scopes: [inner(scope=scope, schema_url=semconv.SCHEMA_URL, **{field: each})]})
        for resource, each in groups
    ]
    return bytes(CLASSES[kind](**{f"resource_{members.lower()}": made}).SerializeToString())

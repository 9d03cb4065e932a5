"""A finished span in, a span without anything private out: every channel of it.

Channels: name, attributes with their keys, events, links with their trace states, status, the span's own and its
parent's trace state, resource, scope. Identity, times, kind and dropped counts are kept. This module exports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, Status
from opentelemetry.trace.span import TraceState

from usagetrace.redaction.carriers import CarrierCache, redact_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.util.types import Attributes

    from usagetrace.redaction.engine import Redactor


Member = TypeVar("Member")


def redact_span(span: ReadableSpan, redactor: Redactor, cache: CarrierCache | None = None) -> ReadableSpan:
    """Return a span without anything private; the same object where there is nothing to change.

    Args:
        span: A finished span. It is not changed: other processors hold it too.
        redactor: The engine.
        cache: Remembers redacted resources and scopes from span to span.

    Raises:
        RedactionError: Something in the span can't be looked into; the span must be dropped.
    """
    cache = cache or CarrierCache(redactor)
    name = redactor.text(span.name)
    raw = span.attributes
    attributes = redact_attributes(raw, redactor, span.dropped_attributes)
    raw_events = span.events
    events = [_event(event, redactor) for event in raw_events]
    raw_links = span.links
    links = [_link(link, redactor) for link in raw_links]
    status = _status(span.status, redactor)
    context = _context(span.context, redactor)
    parent = _context(span.parent, redactor)
    resource = cache.resource(span.resource)
    scope = span.instrumentation_scope
    new_scope = scope and cache.scope(scope)
    if (
        name is span.name
        and attributes is raw
        and all(map(_is, events, raw_events))
        and all(map(_is, links, raw_links))
        and status is span.status
        and context is span.context
        and parent is span.parent
        and resource is span.resource
        and new_scope is scope
    ):
        return span
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=_with_dropped(attributes, span.dropped_attributes),
        events=_bounded(events, span.dropped_events),
        links=_bounded(links, span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=new_scope,
    )


def _is(left: object, right: object) -> bool:
    return left is right


def _with_dropped(attributes: Attributes, dropped: int) -> Attributes:
    """Return attributes that know how many were dropped: a span's view of them doesn't."""
    if not dropped or isinstance(attributes, BoundedAttributes):
        return attributes
    bounded = BoundedAttributes(attributes=attributes)
    bounded.dropped = dropped
    return bounded


def _bounded(members: list[Member], dropped: int) -> Sequence[Member]:
    if not dropped:
        return members
    bounded: BoundedList[Member] = BoundedList.from_seq(len(members), members)
    bounded.dropped = dropped
    return bounded


def _event(event: Event, redactor: Redactor) -> Event:
    name = redactor.text(event.name)
    attributes = redact_attributes(event.attributes, redactor, event.dropped_attributes)
    if name is event.name and attributes is event.attributes:
        return event
    return Event(name, _with_dropped(attributes, event.dropped_attributes), event.timestamp)


def _link(link: Link, redactor: Redactor) -> Link:
    context = _context(link.context, redactor)
    attributes = redact_attributes(link.attributes, redactor, link.dropped_attributes)
    if context is link.context and attributes is link.attributes:
        return link
    return Link(context, _with_dropped(attributes, link.dropped_attributes))


def _status(status: Status, redactor: Redactor) -> Status:
    if not status.description:
        return status
    description = redactor.text(status.description)
    return status if description is status.description else Status(status.status_code, description)


@overload
def _context(context: SpanContext, redactor: Redactor) -> SpanContext: ...
@overload
def _context(context: SpanContext | None, redactor: Redactor) -> SpanContext | None: ...
def _context(context: SpanContext | None, redactor: Redactor) -> SpanContext | None:
    """Return a span context whose trace state holds nothing private: an entry that does is left out."""
    if context is None or not context.trace_state:
        return context
    state = context.trace_state
    kept = [
        (key, value)
        for key, value in state.items()
        if redactor.key(key) is key and redactor.redact(key, value) is value
    ]
    if len(kept) == len(state):
        return context
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, TraceState(kept))

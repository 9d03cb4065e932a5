"""A finished span in, a span without anything private out: every channel of it.

Channels: name, attributes with their keys, events, links with their trace states, status, the span's own and its
parent's trace state, resource, scope. Identity, times, kind and dropped counts are kept. This module exports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

from usagetrace.redaction.carriers import CarrierCache, redact_attributes, redact_context

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
    raw_events, raw_links, raw_scope = span.events, span.links, span.instrumentation_scope
    events = [_event(event, redactor) for event in raw_events]
    links = [_link(link, redactor) for link in raw_links]
    raw = (span.name, span.attributes, span.status, span.context, span.parent, span.resource, raw_scope)
    new = (
        redactor.text(span.name),
        redact_attributes(raw[1], redactor, span.dropped_attributes),
        _status(span.status, redactor),
        redact_context(span.context, redactor),
        redact_context(span.parent, redactor),
        cache.resource(span.resource),
        raw_scope and cache.scope(raw_scope),
    )
    if all(map(_is, new, raw)) and all(map(_is, events, raw_events)) and all(map(_is, links, raw_links)):
        return span
    name, attributes, status, context, parent, resource, scope = new
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
        instrumentation_scope=scope,
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
    context = redact_context(link.context, redactor)
    attributes = redact_attributes(link.attributes, redactor, link.dropped_attributes)
    if context is link.context and attributes is link.attributes:
        return link
    return Link(context, _with_dropped(attributes, link.dropped_attributes))


def _status(status: Status, redactor: Redactor) -> Status:
    if not status.description:
        return status
    # Free text, which a policy may leave out: it has a name, as an attribute has.
    description = redactor.redact("status.description", status.description)
    if description is status.description:
        return status
    return Status(status.status_code, None if description is None else str(description))

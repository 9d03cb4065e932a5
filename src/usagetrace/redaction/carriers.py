"""The OpenTelemetry objects that all signals share, redacted: attributes, span context, resource, scope.

Each function returns the very object it was given where nothing in it is private, so that callers can tell by
identity and pay for a copy only when one is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast, overload

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.span import SpanContext, TraceState

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

    from usagetrace.redaction.engine import Redactor


@overload
def redact_context(context: SpanContext, redactor: Redactor) -> SpanContext: ...
@overload
def redact_context(context: SpanContext | None, redactor: Redactor) -> SpanContext | None: ...
def redact_context(context: SpanContext | None, redactor: Redactor) -> SpanContext | None:
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


def redact_attributes(attributes: Attributes, redactor: Redactor, dropped: int = 0) -> Attributes:
    """Return attributes redacted, keys and values, with the count of dropped ones kept.

    Args:
        attributes: Attributes of any carrier, or None.
        redactor: The engine.
        dropped: How many attributes the carrier had already dropped.

    Raises:
        RedactionError: One of the values can't be looked into.
    """
    if not attributes:
        return attributes
    redacted: Mapping[str, Any] = redactor.attributes(attributes)
    if redacted is attributes:
        return attributes
    limit = attributes.maxlen if isinstance(attributes, BoundedAttributes) else None
    bounded = BoundedAttributes(maxlen=limit, attributes=redacted)
    bounded.dropped = attributes.dropped if isinstance(attributes, BoundedAttributes) else dropped
    return bounded


def own_attributes(attributes: Attributes, redactor: Redactor) -> BoundedAttributes:
    """Return attributes redacted, as a copy that nobody else holds: whoever changes the original changes no copy.

    Args:
        attributes: Attributes of any carrier, or None.
        redactor: The engine.

    Raises:
        RedactionError: One of the values can't be looked into.
    """
    plain = redactor.attributes(attributes) if attributes else None
    if not isinstance(attributes, BoundedAttributes):
        return BoundedAttributes(attributes=cast("Attributes", plain), immutable=False)
    copy = BoundedAttributes(maxlen=attributes.maxlen, attributes=cast("Attributes", plain), immutable=False)
    copy.dropped = attributes.dropped
    return copy


class CarrierCache:
    """Redacts resources and scopes once each: a process has few of them, and every span carries both.

    Args:
        redactor: The engine.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._policy = redactor.policy
        # By identity, the object kept beside its id: hashing a resource serialises all its attributes.
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, InstrumentationScope]] = {}

    def resource(self, resource: Resource) -> Resource:
        """Return a resource without private attributes; the same object where there are none."""
        self._renew()
        known = self._resources.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]
        attributes = redact_attributes(resource.attributes, self._redactor)
        schema = self._said("schema.url", resource.schema_url)
        redacted = resource
        if attributes is not resource.attributes or schema != resource.schema_url:
            redacted = Resource(attributes or {}, schema)
        _remember(self._resources, resource, redacted)
        return redacted

    def scope(self, scope: InstrumentationScope) -> InstrumentationScope:
        """Return an instrumentation scope without private data; the same object where there is none."""
        self._renew()
        known = self._scopes.get(id(scope))
        if known is not None and known[0] is scope:
            return known[1]
        attributes = redact_attributes(scope.attributes, self._redactor)
        name = self._redactor.text(scope.name) if scope.name else scope.name
        version = self._said("version", scope.version)
        schema = self._said("schema.url", scope.schema_url)
        redacted = scope
        same = attributes is scope.attributes and name is scope.name
        if not same or version != scope.version or schema != scope.schema_url:
            redacted = InstrumentationScope(name, version, schema, attributes)
        _remember(self._scopes, scope, redacted)
        return redacted

    def _renew(self) -> None:
        """Forget what was redacted under another policy."""
        policy = self._redactor.policy
        if policy is not self._policy:
            self._resources, self._scopes = {}, {}
            self._policy = policy

    def _said(self, key: str, text: str | None) -> str | None:
        """Return a text of its own key; None where nothing of it may be said."""
        found = self._redactor.redact(key, text) if text else text
        return None if found is None else str(found)


# Most objects that a cache holds: a program that makes resources without end must not be kept alive by it.
_CACHED = 64


def _remember(cache: dict[int, tuple[Any, Any]], original: object, redacted: object) -> None:
    if len(cache) >= _CACHED:
        cache.clear()
    cache[id(original)] = (original, redacted)

"""The OpenTelemetry objects that spans and metrics share, redacted: attributes, resource, scope.

Each function returns the very object it was given where nothing in it is private, so that callers can tell by
identity and pay for a copy only when one is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.util.types import Attributes

    from usagetrace.redaction.engine import Redactor


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


class CarrierCache:
    """Redacts resources and scopes once each: a process has few of them, and every span carries both.

    Args:
        redactor: The engine.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        # By identity, the object kept beside its id: hashing a resource serialises all its attributes.
        self._resources: dict[int, tuple[Resource, Resource]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, InstrumentationScope]] = {}

    def resource(self, resource: Resource) -> Resource:
        """Return a resource without private attributes; the same object where there are none."""
        known = self._resources.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]
        attributes = redact_attributes(resource.attributes, self._redactor)
        schema = self._redactor.redact("schema.url", resource.schema_url)
        redacted = resource
        if attributes is not resource.attributes or schema is not resource.schema_url:
            redacted = Resource(attributes or {}, str(schema))
        _remember(self._resources, resource, redacted)
        return redacted

    def scope(self, scope: InstrumentationScope) -> InstrumentationScope:
        """Return an instrumentation scope without private data; the same object where there is none."""
        known = self._scopes.get(id(scope))
        if known is not None and known[0] is scope:
            return known[1]
        attributes = redact_attributes(scope.attributes, self._redactor)
        name = self._redactor.text(scope.name) if scope.name else scope.name
        version = scope.version and str(self._redactor.redact("version", scope.version))
        schema = scope.schema_url and str(self._redactor.redact("schema.url", scope.schema_url))
        redacted = scope
        same = attributes is scope.attributes and name is scope.name
        if not same or version != scope.version or schema != scope.schema_url:
            redacted = InstrumentationScope(name, version, schema, attributes)
        _remember(self._scopes, scope, redacted)
        return redacted


# Most objects that a cache holds: a program that makes resources without end must not be kept alive by it.
_CACHED = 64


def _remember(cache: dict[int, tuple[Any, Any]], original: object, redacted: object) -> None:
    if len(cache) >= _CACHED:
        cache.clear()
    cache[id(original)] = (original, redacted)

"""The attributes of what our own pipeline sends, within the limits that somebody set.

The SDK's own default of 128 attributes does not count here: an event is bounded already, and what a receiver makes of
it is to be the local row. Where a limit is set, metadata goes first: without its type, its session or its id it would
be no event, or another one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes

from usagetrace.semconv import ITEM_METADATA_PREFIX, METADATA_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

_METADATA: Final = (METADATA_PREFIX, ITEM_METADATA_PREFIX)


def count_limit(found: int | None, variable: str) -> int | None:
    """Return how many attributes may be sent at most; None for any number.

    Args:
        found: What the SDK says.
        variable: The environment variable that says it for this signal.
    """
    said = any(os.environ.get(name, "").strip() for name in (variable, "OTEL_ATTRIBUTE_COUNT_LIMIT"))
    return found if said else None


def limited(attributes: Mapping[str, Any], most: int | None, longest: int | None) -> BoundedAttributes:
    """Return attributes within limits.

    Args:
        attributes: By name.
        most: How many, at most; None for any number.
        longest: Longest text, in characters; None for any.
    """
    if most is not None and len(attributes) > most:
        # The first ones are those that go.
        attributes = dict(sorted(attributes.items(), key=lambda pair: not pair[0].startswith(_METADATA)))
    return BoundedAttributes(most, attributes, immutable=False, max_value_len=longest, extended_attributes=True)

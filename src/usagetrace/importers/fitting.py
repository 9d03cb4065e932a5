"""From what a source says to an event that may be stored: plain, clean, redacted, then cut.

The one door through which texts of imported sources go. It knows no format and no database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.events import (
    METADATA_LIMIT,
    NAME_LIMIT,
    TEXT_LIMIT,
    Category,
    Event,
    Priority,
    bound_text,
    category_of,
    clean_text,
    priority_of,
)
from usagetrace.redaction import default_redactor
from usagetrace.track.values import bounded, cleaned, to_value

# Longest text that is redacted, in characters: many times what is kept of one. Cut before it is redacted, a text could
# hold half of a secret, which nobody would recognise.
_LONGEST: Final = 2**18
# Most keys of metadata that is looked at key by key, and the first integer that does not fit into 64 bits with a sign.
_FLAT: Final = 64
_INT_LIMIT: Final = 2**63
_CATEGORIES: Final = frozenset(each.value for each in Category)
_PRIORITIES: Final = frozenset(each.value for each in Priority)


def fitted(event: Event) -> Event:
    """Return an event as it may be stored.

    Args:
        event: What the source says.

    Raises:
        RedactionError: Something in it can't be redacted; it must not be stored.
    """
    kind = _text(semconv.EVENT_TYPE, event.event_type) or ""
    if not kind:
        raise RedactionError("the event's type is left out by the policy; the event is dropped")
    category = event.category if event.category in _CATEGORIES else category_of(kind).value
    priority = event.priority if event.priority in _PRIORITIES else priority_of(kind).value
    return event._replace(
        event_type=kind,
        artifact_name=_text(semconv.ARTIFACT_NAME, event.artifact_name) or "",
        artifact_type=_text(semconv.ARTIFACT_TYPE, event.artifact_type) or "",
        collection_name=_text(semconv.COLLECTION_NAME, event.collection_name),
        project_path=_text(semconv.PROJECT_PATH, event.project_path),
        metadata=_metadata(event.metadata) if event.metadata else None,
        error_type=_text(semconv.ERROR_TYPE, event.error_type),
        session_id=_text(semconv.SESSION_ID, event.session_id),
        service_name=_text(semconv.SERVICE_NAME, event.service_name),
        category=category,
        priority=priority,
    )


def _text(key: str, text: str | None) -> str | None:
    if text is None:
        return None
    plain = text if _is_plain(text) else clean_text(_short(text))
    redacted = default_redactor().redact(key, plain)
    # None as well where the policy of redaction leaves it out.
    return None if redacted is None else bound_text(str(redacted), NAME_LIMIT)


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata redacted at any depth, keys as well; keys that don't fit are left out and named."""
    flat = _is_flat(metadata)
    plain: dict[str, Any] = dict(metadata) if flat else cleaned(_short(to_value(metadata)))
    redacted: Any = default_redactor().redact(semconv.METADATA_PREFIX.rstrip("."), plain)
    # It gives back the same object where nothing in it is private.
    unchanged = redacted is plain
    if flat and unchanged and _is_small(plain):
        return plain
    if redacted is None:
        return {}
    if not isinstance(redacted, dict):
        raise RedactionError("metadata: the redacted form is no mapping; the event is dropped")
    kept: dict[str, Any] = bounded(redacted, TEXT_LIMIT)
    return kept if _is_small(kept) else _within(kept, METADATA_LIMIT)


def _is_plain(text: str) -> bool:
    """Return whether a text is short and clean as it is, as most are."""
    return len(text) <= NAME_LIMIT and text.isascii() and "\0" not in text


def _is_flat(metadata: Mapping[str, Any]) -> bool:
    """Return whether all there is in metadata is plain as it is: most hold a few short texts and numbers."""
    if len(metadata) > _FLAT:
        return False
    for key, value in metadata.items():
        kind = type(value)
        if type(key) is not str or not _is_plain(key):
            return False
        if kind is str:
            if not _is_plain(value):
                return False
        elif kind is int:
            if not -_INT_LIMIT <= value < _INT_LIMIT:
                return False
        elif kind is float:
            # JSON has no NaN and no infinity, whose difference from themselves is not zero.
            if value - value != 0.0:
                return False
        elif kind is not bool and value is not None:
            return False
    return True


def _is_small(metadata: dict[str, Any]) -> bool:
    """Return whether metadata fits for certain, without writing it out: it mostly does."""
    size = 0
    for key, value in metadata.items():
        kind = type(value)
        if kind is list or kind is dict:
            return False
        # A character takes six at most where it is escaped, and a number has less than thirty.
        size += 36 + 6 * (len(key) + (len(value) if kind is str else 0))
    return size <= METADATA_LIMIT


def _within(metadata: dict[str, Any], room: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for key, value in metadata.items():
        size = len(json.dumps({key: value}, ensure_ascii=False))
        if size > room:
            left_out.append(key[:64])
            continue
        room -= size
        kept[key] = value
    return {**kept, "usagetrace_left_out": left_out[:100]} if left_out else kept


def _short(value: Any) -> Any:
    """Return a plain value without texts that are too long to be looked at; what stands in their place says so."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= _LONGEST else f"[left out: {len(value)} characters]"
    if kind is list:
        return [_short(each) for each in value]
    if kind is dict:
        return {_short(key): _short(each) for key, each in value.items()}
    return value

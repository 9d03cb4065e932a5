"""What a tool hands to ``AnalyticsManager`` or ``AnalyticsDB``, as an event that is redacted and short enough.

This module owns the order: plain, clean, redacted, then cut. It knows no file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from usagetrace import semconv
from usagetrace.errors import RedactionError
from usagetrace.events import (
    METADATA_LIMIT,
    NAME_LIMIT,
    TEXT_LIMIT,
    Event,
    Status,
    bound_text,
    category_of,
    clean_text,
    priority_of,
)
from usagetrace.guard import guard
from usagetrace.redaction import redact
from usagetrace.track.values import bounded, cleaned, to_text, to_value


def redacted_event(
    event_type: str,
    artifact_name: str,
    artifact_type: str,
    collection_name: str | None,
    project_path: str | os.PathLike[str] | None,
    metadata: Mapping[str, Any] | None,
) -> Event:
    """Return an event whose texts are redacted, then bounded.

    Args:
        event_type: What was done.
        artifact_name: The thing.
        artifact_type: Its kind.
        collection_name: The group it belongs to.
        project_path: The project.
        metadata: Further keys, nested as they may be.

    Raises:
        RedactionError: A value can't be looked into.
    """
    plain: dict[str, Any] = to_value(metadata) if metadata else {}
    failed = plain.get("result") == "error" or plain.get("success") is False
    kind = _text(semconv.EVENT_TYPE, event_type) or ""
    return Event(
        event_type=kind,
        artifact_name=_text(semconv.ARTIFACT_NAME, artifact_name) or "",
        artifact_type=_text(semconv.ARTIFACT_TYPE, artifact_type) or "",
        ts_ms=time.time_ns() // 1_000_000,
        collection_name=_text(semconv.COLLECTION_NAME, collection_name),
        project_path=_text(semconv.PROJECT_PATH, project_path),
        metadata=_fitting(redacted_metadata(cleaned(plain))) if plain else None,
        status=(Status.ERROR if failed else Status.OK).value,
        category=category_of(kind).value,
        priority=priority_of(kind).value,
    )


def redacted_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a table of metadata, keys and values redacted at any depth; the original stays as it is.

    Raises:
        RedactionError: It can't be looked into.
    """
    redacted = redact(semconv.METADATA_PREFIX.rstrip("."), metadata)
    if not isinstance(redacted, dict):
        raise RedactionError("metadata: the redacted form is no mapping; the event is dropped")
    return redacted


def _text(key: str, value: object) -> str | None:
    text = to_text(value)
    redacted = None if text is None else redact(key, clean_text(text))
    # None as well where the policy of redaction leaves it out.
    return None if redacted is None else bound_text(str(redacted), NAME_LIMIT)


def _fitting(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that fits the store; keys that don't are left out and named."""
    room, left_out = METADATA_LIMIT, []
    kept: dict[str, Any] = {}
    for key, value in bounded(metadata, TEXT_LIMIT).items():
        size = len(json.dumps({key: value}, ensure_ascii=False))
        if size > room:
            left_out.append(key[:64])
            continue
        room -= size
        kept[key] = value
    return {**kept, "usagetrace_left_out": left_out[:100]} if left_out else kept


def redacted_path(path: str | os.PathLike[str]) -> str | None:
    """Return a project's path as it may be recorded; None where the policy leaves it out. Never raises."""
    try:
        redacted = redact(semconv.PROJECT_PATH, os.fspath(path))
        return None if redacted is None else str(redacted)
    except Exception as error:  # noqa: BLE001 -- what can't be redacted is not passed on
        guard.note(error)
        return "redacted"

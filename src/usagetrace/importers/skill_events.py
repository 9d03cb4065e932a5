"""An invocation of the legacy skill-metrics file as an event, redacted.

This module owns what each member becomes. The texts of such a file are few and come again and again: each is redacted
below the name that a tracked call would have it under, which the redactor remembers, and not the event as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, TEXT_LIMIT, Event, Status, bound_text, category_of, clean_text, priority_of
from usagetrace.importers.dual_written import FROM, TO
from usagetrace.importers.fitting import fitted
from usagetrace.importers.skill_totals import has_ended
from usagetrace.redaction import default_redactor

EVENT_TYPE: Final = "invoke"
ARTIFACT_TYPE: Final = "skill"
PATH_KEY: Final = semconv.METADATA_PREFIX + "workflow_path"
ACTION_KEY: Final = semconv.METADATA_PREFIX + "follow_up_actions"
_CATEGORY: Final = category_of(EVENT_TYPE).value
_PRIORITY: Final = priority_of(EVENT_TYPE).value
# Texts that one pass remembers.
_MOST_KNOWN: Final = 4096


def redacted_text(key: str, text: str, limit: int) -> str | None:
    """Return a text as the store has it; None where the policy of redaction leaves it out.

    Args:
        key: Name of the attribute.
        text: As the file has it.
        limit: Characters that are kept.

    Raises:
        RedactionError: It can't be redacted.
    """
    redacted = default_redactor().redact(key, clean_text(text))
    return None if redacted is None else bound_text(str(redacted), limit)


def redacted_name(skill_name: str) -> str:
    """Return a skill's name as the store has it; ``""`` where it may not be told.

    Raises:
        RedactionError: It can't be redacted.
    """
    return redacted_text(semconv.ARTIFACT_NAME, skill_name, NAME_LIMIT) or ""


class Texts:
    """Redacts the texts of one pass, each of them once while it comes again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}

    def redacted(self, key: str, text: str, limit: int) -> str | None:
        """Return a text as :func:`redacted_text` does."""
        if (key, text) in self._known:
            return self._known[key, text]
        found = redacted_text(key, text, limit)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key, text] = found
        return found


def event_of(record: Mapping[str, Any], ts_ms: int, unknown: Sequence[str], texts: Texts) -> Event:
    """Return an invocation as a redacted event.

    Args:
        record: What :func:`~usagetrace.importers.skill_records.read_record` returned.
        ts_ms: When it began.
        unknown: Members that the legacy tool does not know: they are kept as metadata, a session id as such.
        texts: Redacts.

    Raises:
        RedactionError: Something in it can't be redacted.
    """
    completed, seconds = record["completed"], record["duration_seconds"]
    redacted = texts.redacted
    error = redacted(semconv.ERROR_TYPE, record["error_type"], NAME_LIMIT) if record["error_type"] else None
    # The time was read as one: nothing else stands in it.
    metadata: dict[str, Any] = {"completed": completed, "invoked_at": record["invoked_at"]}
    if record["workflow_path"] is not None:
        path = redacted(PATH_KEY, record["workflow_path"], TEXT_LIMIT)
        if path is not None:
            metadata["workflow_path"] = path
    if record["follow_up_actions"]:
        actions = [redacted(ACTION_KEY, action, TEXT_LIMIT) for action in record["follow_up_actions"]]
        metadata["follow_up_actions"] = [action for action in actions if action is not None]
    status = Status.OK
    if not has_ended(record):
        status = Status.ABANDONED
    elif not completed and record["error_type"]:
        status = Status.ERROR
    elif not completed:
        metadata["outcome"] = "cancelled"
    elif error:
        metadata["error_type"] = error
    session, more = _further(record, unknown) if unknown else (None, {})
    return Event(
        event_type=EVENT_TYPE,
        artifact_name=redacted(semconv.ARTIFACT_NAME, record["skill_name"], NAME_LIMIT) or "",
        artifact_type=ARTIFACT_TYPE,
        ts_ms=ts_ms,
        metadata={**more, **metadata} if more else metadata,
        duration_ms=None if seconds is None else seconds * 1000.0,
        status=status.value,
        error_type=error if status is Status.ERROR else None,
        category=_CATEGORY,
        priority=_PRIORITY,
        session_id=session,
    )


def _further(record: Mapping[str, Any], unknown: Sequence[str]) -> tuple[str | None, Mapping[str, Any]]:
    """Return the session and the metadata that members give which the legacy tool does not know."""
    session = record.get("session_id")
    session = session if isinstance(session, str) and session else None
    # Those that say of an event that a file has it as well are not a file's to give.
    taken = (FROM, TO, "session_id") if session is not None else (FROM, TO)
    metadata = {name: record[name] for name in unknown if name not in taken}
    event = fitted(Event(EVENT_TYPE, "", ARTIFACT_TYPE, 0, metadata=metadata, session_id=session))
    return event.session_id, event.metadata or {}

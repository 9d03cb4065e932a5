"""What :func:`usagetrace.event` does: checks an event against its type and its time, and records it.

What does not fit is told once, by the names of type and field, never by a value. What an event type is, which payload
fits and which time, other modules know; this one decides what becomes of an event that does not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from time import time_ns

from usagetrace.config import Settings, settings_or_off
from usagetrace.errors import SelectorError
from usagetrace.event_types import lookup
from usagetrace.events import Category, Priority
from usagetrace.guard import guard, warn_once
from usagetrace.payloads import is_payload, payload_of, to_metadata
from usagetrace.track import conventions, runtime
from usagetrace.track.recording import name_of, record_moment
from usagetrace.track.values import to_text
from usagetrace.validation import time_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.event_types import EventType

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NS_PER_S: Final = 1_000_000_000
# The last moment that 64 bits of nanoseconds can say, in the year 2262.
_LAST_NS: Final = 2**63 - 1
_EVER: Final = float("inf")
# What is said of an event that is recorded in spite of a fault.
_UNKNOWN: Final = "it is recorded as a custom one; register it with usagetrace.event_types.register()"
_MISFIT: Final = "it is recorded all the same; correct the call"
_SURE: Final = frozenset((Priority.HIGH, Priority.CRITICAL))
# Keys in which payloads of errors say what went wrong, in one word.
_ERROR_KEYS: Final = ("error_type", "code")
# The settings of a runtime, by its mark: they are asked once.
_settings: tuple[object, Settings] | None = None


class RefusedError(Exception):
    """An event that is not to be recorded; what was to be said of it has been said."""


def record(
    event_type: str, payload: object, fields: Mapping[str, Any], timestamp: object = None, strict: bool | None = None
) -> bool:
    """Check and record an event; return whether it was recorded.

    Args:
        event_type: What happened.
        payload: A payload object or a mapping.
        fields: The other fields, by name; those that are None are not known.
        timestamp: When it happened; None for now.
        strict: Whether what does not fit is refused; None for what the settings say.
    """
    settings = _in_force()
    refusing = settings.event_strict if strict is None else strict
    at_ns = None if timestamp is None else _nanoseconds(timestamp)
    try:
        name = _name(event_type)
        kind = lookup(name)
        if kind is None:
            _complain(name, "nobody registered this type", refusing, _UNKNOWN)
        if timestamp is not None and not (at_ns is not None and 0 < at_ns <= _LAST_NS):
            _complain(name, "timestamp: expected a datetime, or seconds since 1970, before 2262", True, "")
        _check_time(name, at_ns, settings)
        _check_payload(name, kind, payload, refusing)
    except RefusedError:
        return False
    metadata = {**_table(payload), **_table(fields.get("metadata"))}
    said = {**fields, "metadata": metadata}
    failed_with = None
    if kind is not None and kind.category is Category.ERROR and kind.priority in _SURE:
        if said.get("outcome") is None:
            said["outcome"] = conventions.ERROR
        # An exception that was given knows better.
        failed_with = None if isinstance(said["outcome"], BaseException) else _told(metadata)
    return record_moment(name, said, at_ns=at_ns, failed_with=failed_with, lenient=strict is False)


def _name(event_type: object) -> str:
    """Return the name of an event type.

    Raises:
        RefusedError: It is none.
    """
    try:
        return name_of(event_type)
    except SelectorError:
        what = "an empty or too long text" if isinstance(event_type, str) else type(event_type).__name__
        warn_once("event:name", "event: expected the name of an event type, got %s; it is refused", what)
        raise RefusedError from None


def _check_time(name: str, at_ns: int | None, settings: Settings) -> None:
    """Tell, once, of a moment that lies in the future, or long ago.

    Raises:
        RefusedError: It lies in the future, where it would stand above all others for as long as it is there.
    """
    if at_ns is None:
        return
    found = time_problems(
        at_ns // 1_000_000,
        now_ms=time_ns() // 1_000_000,
        clock_skew_s=settings.event_clock_skew,
        max_age_days=settings.event_max_age_days or _EVER,
    )
    for what in found.errors:
        _complain(name, what, True, "")
    for what in found.warnings:
        warn_once(f"event:{name}:old", "event %s: %s; it is recorded all the same", name, what)


def _check_payload(name: str, kind: EventType | None, payload: object, refusing: bool) -> None:
    """Tell, once for each field, what does not fit the type.

    Raises:
        RefusedError: What does not fit is refused.
    """
    try:
        if kind is not None:
            faults = payload_of(kind, payload)[1]
        else:
            readable = payload is None or isinstance(payload, Mapping) or is_payload(payload)
            faults = [] if readable else [f"payload: expected a payload or a mapping, got {type(payload).__name__}"]
    except Exception as error:  # noqa: BLE001 -- a foreign mapping may raise anything; it is an event all the same
        guard.note(error)
        faults = [f"payload: a {type(payload).__name__} that can't be read"]
    for fault in faults:
        _complain(name, fault, refusing, _MISFIT)


def _complain(event_type: str, what: str, refusing: bool, otherwise: str) -> None:
    """Warn once of what does not fit.

    Raises:
        RefusedError: Nothing that does not fit is recorded.
    """
    # By the field: of a time that differs from call to call there is one warning, too.
    warn_once(
        f"event:{event_type}:{what.partition(':')[0]}:{refusing}",
        "event %s: %s; %s",
        event_type,
        what,
        "it is refused" if refusing else otherwise,
    )
    if refusing:
        raise RefusedError


def _table(given: object) -> dict[str, Any]:
    """Return the keys and values of a payload, or of metadata, as far as they can be read."""
    if given is None:
        return {}
    try:
        # The keys of a mapping as they are: one that has no text must not cost the others.
        return dict(given) if isinstance(given, Mapping) else to_metadata(given)
    except Exception as error:  # noqa: BLE001 -- as in `_check_payload`, which has told
        guard.note(error)
        return {}


def _told(metadata: Mapping[str, Any]) -> str | None:
    """Return what a payload says went wrong, in one word; None where it says nothing that can be read."""
    for key in _ERROR_KEYS:
        # An array has no truth, and a foreign class may have no text.
        with guard:
            value = metadata.get(key)
            text = None if value is None else to_text(value)
            if text:
                return text
    return None


def _nanoseconds(timestamp: object) -> int | None:
    """Return a time in nanoseconds since 1970 UTC; None for what is no time."""
    try:
        if isinstance(timestamp, datetime):
            # A naive one is local time, as Python itself has it.
            return (timestamp.astimezone(timezone.utc) - _EPOCH) // timedelta(microseconds=1) * 1000
        if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
            return None
        return round(timestamp * _NS_PER_S)
    except (OverflowError, ValueError):
        # Not finite, or beyond what a calendar has.
        return None


def _in_force() -> Settings:
    """Return the settings of the runtime in force; defaults where it has none, as a capture in a test."""
    global _settings
    mark = runtime.current().mark
    known = _settings
    if known is None or known[0] is not mark:
        pipeline = sys.modules.get("usagetrace.pipeline")
        active = None if pipeline is None else pipeline.active()
        settings = settings_or_off() if active is None else active.settings
        known = _settings = (mark, Settings() if settings is None else settings)
    return known[1]

"""An event as one JSON text, and back: ``from_text(to_text(event)) == event``.

For files and pipes between programs of this package; the store and the wire have forms of their own. This module
owns what becomes of values that JSON does not have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from os import PathLike, fspath
from typing import Any, Final

from usagetrace.errors import EventError
from usagetrace.events import Category, Event, Priority, Status

# Deepest nesting of metadata that is written and read. Deeper, Python itself gives up at some point.
_DEPTH: Final = 100
_TEXTS: Final = frozenset(
    ("event_type", "artifact_name", "artifact_type", "collection_name", "project_path", "error_type", "session_id",
     "service_name", "trace_id", "span_id")
)  # fmt: skip
_WORDS: Final[Mapping[str, type[Enum]]] = {"status": Status, "category": Category, "priority": Priority}
_WHOLE: Final = frozenset(("ts_ms", "item"))
_DEFAULTS: Final = Event._field_defaults


def to_text(event: Event) -> str:
    """Return an event as a JSON object of its fields; those that have their default are left out.

    Metadata that is made of JSON values comes back as it was. Of anything else: NaN and infinities become the texts
    ``nan``, ``inf`` and ``-inf``; tuples and sets lists; enums their values; paths, bytes and every other object
    their text; keys text as well. A duration that is not finite is left out. Every character beyond ASCII is escaped,
    so that any text can be held and every line is one event.
    """
    fields = {
        name: value for name, value in zip(Event._fields, event, strict=True)
        if name not in _DEFAULTS or value != _DEFAULTS[name]
    }  # fmt: skip
    if event.metadata is not None:
        fields["metadata"] = _plain(event.metadata, _DEPTH)
    duration = event.duration_ms
    if duration is not None and not _is_finite(duration):
        del fields["duration_ms"]
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def from_text(text: str | bytes) -> Event:
    """Return the event that a JSON text of :func:`to_text` holds.

    Raises:
        EventError: It is not JSON, with the place; or not an event, with each field that is wrong. No value is shown.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise EventError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise EventError(f"byte {error.start}: not UTF-8") from None
    except RecursionError:
        raise EventError("not an event: nested too deeply") from None
    except (ValueError, TypeError) as error:
        # Besides what `_refuse` raises: Python reads no number of thousands of digits.
        known = str(error) if str(error).startswith("not JSON") else "a number is too long, or the text is none"
        raise EventError(known) from None
    if not isinstance(found, dict):
        raise EventError(f"not an event: expected an object, got {type(found).__name__}")
    faults = list(_faults(found))
    if faults:
        raise EventError(f"not an event: {'; '.join(faults)}")
    return Event(**found)


def _refuse(constant: str) -> Any:
    raise ValueError(f"not JSON: {constant} is no number")


def _faults(found: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each field of an event that does not fit."""
    faults = [f"{name}: missing" for name in Event._fields if name not in _DEFAULTS and name not in found]
    unknown = sum(name not in Event._fields for name in found)
    if unknown:
        faults.append(f"{unknown} of its keys are no fields of an event")
    for name, value in found.items():
        wanted = _expected(name, value) if name in Event._fields else None
        if wanted is not None and not (value is None and name in _DEFAULTS and _DEFAULTS[name] is None):
            faults.append(f"{name}: expected {wanted}, got {type(value).__name__}")
    return faults


def _expected(name: str, value: Any) -> str | None:
    """Return what a field should hold, where it holds something else."""
    if name in _TEXTS:
        return None if isinstance(value, str) else "text"
    if name in _WORDS:
        words = [member.value for member in _WORDS[name]]
        return None if value in words else f"one of {', '.join(words)}"
    if name in _WHOLE:
        return None if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    if name == "metadata":
        return None if isinstance(value, dict) else "an object"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and _is_finite(value) else "a number"


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or value - value == 0.0


def _plain(value: Any, depth: int) -> Any:
    """Return a value that JSON has, for any object."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return float(value) if _is_finite(value) else str(float(value))
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _container(value, depth)
    if isinstance(value, PathLike):
        value = fspath(value)
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)


def _container(value: Any, depth: int) -> Any:
    if depth <= 0:
        # As far down as nobody looks; it may even hold itself.
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, Mapping):
        return {str(_plain(key, 0)): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        # A set's order differs from run to run; what is written must not.
        value = sorted(value, key=str)
    return [_plain(item, depth - 1) for item in value]


def _whole(value: int) -> int | str:
    try:
        str(int(value))
    except ValueError:
        # Python refuses to write out numbers of more than 4300 digits.
        return f"{value.bit_length()}-bit number"
    return int(value)

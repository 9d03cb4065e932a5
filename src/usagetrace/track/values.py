"""From any Python object to a value that a span, a log record and a row can hold.

Enums give their value, paths their text, dates ISO 8601. Containers are copied to a bounded depth and size, so
that nothing that the host changes later changes what was recorded.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Mapping
from enum import Enum
from itertools import islice

from usagetrace.events import NAME_LIMIT, bound_text, clean_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

# Deepest nesting and largest container that metadata may have.
_DEPTH: Final = 6
_WIDTH: Final = 200
# Most values that one may hold, over all levels: wide containers inside wide containers multiply.
_SIZE: Final = 5000
# What has no text but its place in memory: functions, and objects whose class says nothing of them.
_ROUTINES: Final = frozenset((types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType))
_NO_TEXT: Final = object.__str__
_NO_REPR: Final = object.__repr__
# First integer that does not fit into 64 bits with a sign.
_INT_LIMIT: Final = 2**63


def to_text(value: object) -> str | None:
    """Return the text of a name, type, path or id; None for None, and for an object that has no text of its own."""
    if type(value) is str or value is None:
        return value
    if isinstance(value, Enum):
        return to_text(value.value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, type):
        return value.__qualname__
    kind = type(value)
    if kind in _ROUTINES or (kind.__str__ is _NO_TEXT and kind.__repr__ is _NO_REPR):
        # It would be where the object lies in memory, another one at each run.
        return None
    text = str(value)
    # What a subclass says of itself, without what else it may do.
    return text if type(text) is str else str.__str__(text)


def to_value(value: object) -> Any:
    """Return a metadata value as None, bool, int, float, str, list or dict with text keys."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    return _plain(value, _DEPTH, [_SIZE])


def _plain(value: object, depth: int, room: list[int]) -> Any:
    """Return a value as :func:`to_value` does.

    Args:
        value: Any object.
        depth: Levels of nesting that may still follow.
        room: How many more values the whole may have, in a list of one.
    """
    room[0] -= 1
    if isinstance(value, Enum):
        return _plain(value.value, depth, room)
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        # OTLP and SQLite hold 64 bits; a longer number is kept as its digits.
        return int(value) if -_INT_LIMIT <= value < _INT_LIMIT else _digits(value)
    if isinstance(value, float):
        number = float(value)
        # JSON has no NaN and no infinity, whose difference from themselves is not zero.
        return number if number - number == 0.0 else str(number)
    if value is None or isinstance(value, str | bytes | bytearray | os.PathLike):
        return to_text(bytes(value) if isinstance(value, bytearray) else value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _container(value, depth, room)
    moment = _moment(value)
    return to_text(value) if moment is None else moment


def _container(value: Any, depth: int, room: list[int]) -> Any:
    if isinstance(value, Mapping) and depth:
        pairs = list(islice(value.items(), max(min(_WIDTH, room[0]), 0)))
        return {str(to_text(key)): _plain(item, depth - 1, room) for key, item in pairs}
    if depth:
        return [_plain(item, depth - 1, room) for item in _ordered(value)[: max(room[0], 0)]]
    # Deeper than what is looked into: its text may be of any size.
    return f"{type(value).__name__} of {len(value)}"


def _moment(value: object) -> str | float | None:
    """Return a date or a time as text and a span of time in seconds; None for anything else."""
    # A value can be one of these only where somebody has imported them, which takes 1 ms.
    clock = sys.modules.get("datetime")
    if clock is None or not hasattr(clock, "timedelta"):
        return None
    if isinstance(value, (clock.date, clock.time)):
        text: str = value.isoformat()
        return text
    if isinstance(value, clock.timedelta):
        seconds: float = value.total_seconds()
        return seconds
    return None


def _digits(value: int) -> str:
    try:
        return str(int(value))
    except ValueError:
        # Python refuses to write out numbers of more than 4300 digits.
        return f"{value.bit_length()}-bit number"


def _ordered(value: Iterable[Any]) -> list[Any]:
    if isinstance(value, set | frozenset):
        # A set's order differs from run to run; what is recorded must not.
        return sorted(value, key=str)[:_WIDTH]
    return list(islice(value, _WIDTH))


def qualified_name(kind: type) -> str:
    """Return a class's name as ``error.type`` wants it: with its module, builtins without."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def bounded(value: Any, limit: int) -> Any:
    """Return a value of :func:`to_value` whose texts, at any depth, have at most ``limit`` characters."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= limit else bound_text(value, limit)
    if kind is list:
        return [bounded(item, limit) for item in value]
    if kind is dict:
        return {bound_text(key, NAME_LIMIT): bounded(item, limit) for key, item in value.items()}
    return value


def cleaned(value: Any) -> Any:
    """Return a value of :func:`to_value` without NUL and lone surrogates in its texts, at any depth."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is list:
        return [cleaned(item) for item in value]
    if kind is dict:
        return {clean_text(key): cleaned(item) for key, item in value.items()}
    return value

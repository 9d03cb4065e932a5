"""What a declared type takes, in words: for messages that say what was expected."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final

UNIONS: Final = frozenset((typing.Union, types.UnionType))
TABLES: Final = (dict, Mapping)
LISTS: Final = (list, tuple, set, frozenset, Sequence, AbstractSet)
_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "none",
    bytes: "bytes",
}


def expected(hint: Any) -> str:
    """Return what a declared type takes, in words."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin in UNIONS:
        return " or ".join(expected(kind) for kind in arguments if kind is not type(None)) or "none"
    if origin is typing.Annotated:
        return expected(arguments[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in TABLES or hint in TABLES:
        return f"a table of {_plural(arguments[1])}" if arguments else "a table"
    if origin in LISTS or hint in LISTS:
        return f"a list of {_plural(arguments[0])}" if arguments else "a list"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(member.value) for member in hint)
    if hint is Any or hint is object or not isinstance(hint, type):
        return "any value"
    return "a table" if dataclasses.is_dataclass(hint) else hint.__name__


def _plural(hint: Any) -> str:
    words = expected(hint).removeprefix("a ").removeprefix("any ")
    return {"text": "texts", "value": "values", "true or false": "true or false"}.get(words, f"{words}s")

"""Attribute values: from the messages of OTLP to plain Python values, and back.

This module knows nothing of events, and redacts nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from usagetrace.events import clean_text
from usagetrace.otlp.lean import parse

# Deepest nesting that is read; the parser allows a hundred levels.
DEPTH: Final = 32
# What 64 bits with a sign hold.
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
# Longest text that is remembered with its bytes, in characters.
_SHORT: Final = 256


def read_pair(raw: bytes) -> tuple[str, Any]:
    """Return key and value of one attribute from its bytes.

    Raises:
        MalformedError: The bytes are no attribute.
    """
    pair = parse(KeyValue, raw)
    value = pair.value
    kind = value.WhichOneof("value")
    # As in `plain`, whose call would cost as much again.
    if kind == "string_value":
        return pair.key, value.string_value
    return pair.key, plain(value)


def read_value(raw: bytes) -> Any:
    """Return a value from its bytes; None from none.

    Raises:
        MalformedError: The bytes are no value.
    """
    return plain(parse(AnyValue, raw)) if raw else None


def plain(value: Any, depth: int = DEPTH) -> Any:
    """Return a value as None, bool, int, float, str, bytes, list or dict.

    Args:
        value: The message.
        depth: Levels of nesting that may still follow; what lies deeper is told by its size.
    """
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        members = value.array_value.values
        return [plain(each, depth - 1) for each in members] if depth else f"list of {len(members)}"
    if kind == "kvlist_value":
        pairs = value.kvlist_value.values
        return {pair.key: plain(pair.value, depth - 1) for pair in pairs} if depth else f"dict of {len(pairs)}"
    if kind == "string_value_strindex":
        # Points into a table that only profiles have.
        return None
    return getattr(value, kind)


def fill(target: Any, value: Any) -> None:
    """Put a plain value into an empty message; what is of another type as its text.

    Args:
        target: The message.
        value: What :func:`plain` returns; None leaves the message empty, which stands for it.
    """
    kind = type(value)
    if kind is str:
        target.string_value = clean_text(value)
    elif value is None:
        return
    elif kind is bool:
        target.bool_value = value
    elif kind is int:
        if _LEAST <= value <= _MOST:
            target.int_value = value
        else:
            target.string_value = str(value)
    elif kind is float:
        target.double_value = value
    elif kind is bytes:
        target.bytes_value = value
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for key, member in value.items():
            pair = target.kvlist_value.values.add(key=clean_text(str(key)))
            fill(pair.value, member)
            # A pair without a value is not valid; one whose value is empty is.
            pair.value.SetInParent()
    elif isinstance(value, list | tuple):
        target.array_value.SetInParent()
        for member in value:
            fill(target.array_value.values.add(), member)
    else:
        target.string_value = clean_text(str(value))


def written(key: str, value: Any) -> bytes:
    """Return one attribute as its bytes."""
    kind = type(value)
    if kind is str:
        return _known(key, value) if len(value) < _SHORT else _fresh(key, value)
    return _known(key, value) if kind is bool or kind is int else _fresh(key, value)


def _fresh(key: str, value: Any) -> bytes:
    pair = KeyValue(key=clean_text(key))
    fill(pair.value, value)
    pair.value.SetInParent()
    return bytes(pair.SerializeToString())


# Most attributes come again. By type as well: 1 and True are equal, and are not the same.
_known: Final = functools.lru_cache(maxsize=4096, typed=True)(_fresh)

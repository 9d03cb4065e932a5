"""Bytes that are text: in which encoding, so that what is private in them is found whichever it is.

Owns the choice of the encoding; knows no rule.
"""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Share of the zeros at every second place that text in two bytes a character has, unless it is in a script of its own.
_SHARE = 0.8


def decoded(value: bytes | bytearray) -> tuple[str, str, str]:
    """Return bytes as text, with the encoding and the error handler that give the same bytes back.

    Args:
        value: Any bytes: text in UTF-16 with or without its mark, in UTF-8 or like it, or no text at all.
    """
    for encoding in _candidates(value):
        try:
            text = value.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.encode(encoding) == value:
            return text, encoding, "strict"
    # Every byte survives the way there and back, valid text or not.
    return value.decode("utf-8", "surrogateescape"), "utf-8", "surrogateescape"


def _candidates(value: bytes | bytearray) -> list[str]:
    if b"\0" not in value:
        return []
    for mark, encoding in _MARKS:
        if value.startswith(mark):
            return [encoding]
    half = len(value) // 2
    found = []
    if value[1::2].count(0) >= _SHARE * half:
        found.append("utf-16-le")
    if value[::2].count(0) >= _SHARE * half:
        found.append("utf-16-be")
    return found

"""Text of unknown origin, made safe to show: what a terminal or a reader could be fooled by becomes visible.

Names of artifacts come from whoever made the artifact. This module knows no terminal library: it turns text into
text, and who shows anything passes it through here.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

# Controls (escape sequences, newlines), format characters (bidirectional overrides, zero-width), surrogates, private
# use, unassigned, line and paragraph separators: none of them has a look of its own.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Assigned to letters or symbols, and yet blank on the screen: Hangul fillers and the Braille blank.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, limit: int | None = None) -> str:
    """Return text in which every character that has no look of its own is an escape such as ``\\x1b``.

    Args:
        text: Anything; its ``str``. None becomes empty.
        limit: Longest result in characters; one that is cut ends with ``...``.

    Returns:
        Text without controls, bidirectional overrides, line breaks or surrogates.
    """
    if text is None:
        return ""
    shown = text if isinstance(text, str) else str(text)
    if not (shown.isascii() and shown.isprintable()):
        # Cut first, generously: a name may be long, and each character may become ten.
        shown = "".join(map(_visible, shown if limit is None else shown[: limit + 1]))
    if limit is not None and len(shown) > limit:
        return shown[: max(limit - 3, 0)] + "..."
    return shown


@lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    if character in _BLANK or unicodedata.category(character) in _UNSEEN:
        code = ord(character)
        if character in _SHORT:
            return _SHORT[character]
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character

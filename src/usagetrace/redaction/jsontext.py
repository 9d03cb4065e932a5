"""JSON inside a text: read, handed to a function, written back in the style that it had.

Keys inside JSON judge their values as attributes' keys do, which no search in the text can do for numbers,
lists and nested objects. A text that isn't whole JSON (a cut one) is left to the rules for texts.
"""

from __future__ import annotations

import json

from usagetrace.patterns import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

# Larger texts are searched as texts only: parsing and rewriting them costs more than a span may.
JSON_LIMIT: Final = 262_144
# Ways to write JSON that are in use: Python's, compact, indented.
_STYLES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"separators": (",", ":")},
    {"ensure_ascii": False},
    {"ensure_ascii": False, "separators": (",", ":")},
    {"indent": 2},
    {"indent": 2, "ensure_ascii": False},
    {"indent": 4},
    {"indent": 4, "ensure_ascii": False},
)


# What a JSON text consists of: strings, numbers and words, signs.
_TOKEN: Final = lazy(r'"(?:[^"\\]|\\.)*"|[^\s"{}\[\],:]+|[{}\[\],:]')


class _DuplicateKeyError(ValueError):
    """An object with the same key twice can't be written back without loss."""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _DuplicateKeyError
    return result


# Made once: `json.loads` would make one for each text.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs)


def looks_like_json(text: str) -> bool:
    """Say whether a text may be a JSON object or array."""
    return text[:1] in "{[ \n" and text.rstrip()[-1:] in ("}", "]") and text.lstrip()[:1] in ("{", "[")


def rewrite(text: str, change: Callable[[object], object]) -> str | None:
    """Return a JSON text with its content changed, in the style it had.

    Args:
        text: A text that may be JSON.
        change: Gets the content; returns the same object where there is nothing to change.

    Returns:
        The text itself where nothing changed; None where it isn't JSON that can be written back.
    """
    if len(text) > JSON_LIMIT:
        return None
    try:
        content = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    changed = change(content)
    if changed is content:
        return text
    before = text[: len(text) - len(text.lstrip())]
    core = text.strip()
    after = text[len(before) + len(core) :]
    for style in _STYLES:
        if json.dumps(content, **style) == core:
            return before + json.dumps(changed, **style) + after
    placed = _in_place(core, json.dumps(content), json.dumps(changed))
    return before + (json.dumps(changed, ensure_ascii=core.isascii()) if placed is None else placed) + after


def _in_place(core: str, old: str, new: str) -> str | None:
    """Return a JSON text of any style with what differs between two others put in; None where they don't fit."""
    places = list(_TOKEN.finditer(core))
    olds, news = _TOKEN.findall(old), _TOKEN.findall(new)
    if not len(places) == len(olds) == len(news):
        return None
    pieces: list[str] = []
    done = 0
    for place, one, other in zip(places, olds, news, strict=True):
        if one != other:
            pieces += (core[done : place.start()], other)
            done = place.end()
    return "".join((*pieces, core[done:]))

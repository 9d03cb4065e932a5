"""Members of a mapping or a sequence that are secrets because of the member beside them.

``{"name": "DB_PASSWORD", "value": ...}``, ``["X-Api-Key", ...]``, ``["tool", "config", "set", "api_key", ...]``: the
name stands apart from its value. This module says which members these are; what becomes of them is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.placeholders import is_placeholder, is_wording
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from usagetrace.redaction.engine import Redactor

# Below these, in any case, a mapping holds a name, and its value.
_NAMES: Final = words(
    "name key header headername id k variable env property propertyname field parameterkey parametername optionname"
)
_VALUES: Final = words(
    "value val v content parametervalue propertyvalue optionvalue stringvalue secretvalue current initial"
)
# A name and its value.
_PAIRED: Final = 2
# How names of keys end that say nothing but that it is some key.
_ANY_KEY: Final = ("_key", "-key", "_auth", "-auth")
# Where a manifest's secrets are.
_DATA: Final = ("data", "stringData")
# Longest name that is looked at, and longest command, in characters; most members of a mapping or a command.
_NAME_LENGTH: Final = 128
_COMMAND_LENGTH: Final = 4096
_MEMBERS: Final = 64
# A user before a password of the same word, a switch.
_PAIR: Final = lazy(r"[\w.@\\\\-]{1,128}[,%]|/[a-z]{1,9}:")
# One of these, or a flag, is in a list of words that is a command with a secret in it.
_VERBS: Final = words(
    "set put add config configure login auth config:set setx setenv connect alias wpa_passphrase add-authtoken"
)
# What holds its value itself: an assignment, an URL with its parameter.
_HELD: Final = lazy(r"=(?=[^=\s])|://|:(?=[^:\s]{10,}\Z)(?=\D*\d)")
_FOUND: Final = words("secret user-password flag cookie authorization bearer")


def named_value(engine: Redactor, mapping: Mapping[object, object]) -> tuple[Kind, str, object] | None:
    """Return what a mapping's name says of its value, the name, and the key of the value; None where it says nothing.

    Args:
        engine: Knows what names mean.
        mapping: Any mapping.
    """
    if len(mapping) > _MEMBERS:
        return None
    for key, member in mapping.items():
        if isinstance(key, str) and isinstance(member, str) and key.endswith(_ANY_KEY) and _is_key(key, member):
            return Kind.SECRET, key, key
    if len(mapping) < _PAIRED:
        return None
    if mapping.get("kind") == "Secret" and (held := next((key for key in mapping if key in _DATA), None)):
        # A manifest of Kubernetes.
        return Kind.SECRET, str(held), held
    place = next((key for key in mapping if isinstance(key, str) and key.lower() in _VALUES), None)
    if place is None:
        return None
    value = mapping[place]
    if isinstance(value, str) and is_placeholder(value, quoted=True):
        return None
    if isinstance(value, str) and "[redacted:" in value:
        return None
    if isinstance(value, str) and value[:7].lower() == "bearer " and any(map(str.isdigit, value)):
        # A rule of its own finds it, and leaves the word.
        return None
    for key, name in mapping.items():
        if isinstance(key, str) and isinstance(name, str) and len(name) <= _NAME_LENGTH and key.lower() in _NAMES:
            kind = Kind.PLAIN if _HELD.search(name) is not None else engine.kind(name)
            if kind is Kind.SECRET or (kind is Kind.PERSON and name.lower() != "login"):
                return kind, name, place
    return None


def _is_key(key: str, value: str) -> bool:
    # Imported here: few mappings have such names.
    from usagetrace.redaction.assigned import is_any_key, is_long_random

    return is_any_key(key) and is_long_random(value)


def expected(engine: Redactor, members: Sequence[object] | Set[object]) -> frozenset[int]:
    """Return the positions of the members that are secrets because of what stands before them.

    Args:
        engine: Knows what names mean.
        members: A pair, the words of a command, or anything else.
    """
    if isinstance(members, Set) or not 1 < len(members) <= _MEMBERS:
        return frozenset()
    if len(members) == 2 and _is_pair(engine, members[0], members[1]):
        return frozenset((1,))
    texts = [member for member in members if isinstance(member, str)]
    if len(texts) != len(members) or not texts[0] or texts[0][0] == "-" or " " in texts[0]:
        return frozenset()
    if not any(text[:1] == "-" or text in _VERBS for text in texts) or sum(map(len, texts)) > _COMMAND_LENGTH:
        return frozenset()
    return _in_command(texts)


def _is_pair(engine: Redactor, name: object, value: object) -> bool:
    """Say whether the first of two is the name of a secret, and the other no second name."""
    if isinstance(name, bytes) and isinstance(value, bytes):
        name, value = name.decode("latin-1"), value.decode("latin-1")
    if not isinstance(name, str) or not isinstance(value, str) or not 0 < len(name) <= _NAME_LENGTH or name[0] == "-":
        return False
    if engine.kind(name) is not Kind.SECRET or " " in name or "[redacted:" in value or _HELD.search(name) is not None:
        return False
    return not is_placeholder(value, quoted=True) and not is_wording(value) and engine.kind(value) is Kind.PLAIN


def _in_command(texts: list[str]) -> frozenset[int]:
    """Return which words of a command are a secret as a whole, as the same command in one text says."""
    from usagetrace.redaction.finder import findings

    line, places = _as_line(texts)
    found = [(start, end, name) for start, end, name in findings(line) if name in _FOUND]
    if not found:
        return frozenset()
    result: set[int] = set()
    for position, (text, (first, flagged, last)) in enumerate(zip(texts, places, strict=True)):
        # What is glued to a flag, and the user before a password, goes with it.
        latest = last if flagged else first
        if text[:1] != "-" and (user := _PAIR.match(text)) is not None:
            latest = first + user.end()
        names = {name for start, end, name in found if first <= start <= latest and end == last}
        if names and position and ("cookie" in names or not findings(text) or (" " in text and flagged)):
            result.add(position)
    return frozenset(result)


def _as_line(texts: list[str]) -> tuple[str, list[tuple[int, bool, int]]]:
    """Return a command as a shell reads it; of each word where it begins, whether it is a flag's, where it ends."""
    pieces: list[str] = []
    places: list[tuple[int, bool, int]] = []
    at = 0
    for text in texts:
        name, value = "", text
        flagged = text[:1] == "-" and ("=" not in text.rstrip("=") or text[:2] == "-b")
        if " " in text and "\n" not in text and "'" not in text:
            # Quotes around what has blanks: behind a flag's name, where it has one.
            if text[:2] == "--" and "=" in text:
                name, sign, value = text.partition("=")
                name, flagged = name + sign, True
            elif text[:1] == "-":
                name, value = text[:2], text[2:]
            value = f"'{value}'"
        word = name + value
        quoted = value[:1] == "'" and value is not text
        first = at + (len(name) + 1 if quoted and not name else 0)
        places.append((first, flagged, at + len(word) - quoted))
        pieces.append(word)
        at += len(word) + 1
    return " ".join(pieces), places

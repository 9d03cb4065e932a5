"""Mappings, sequences and sets inside a value: each member redacted below its key, the structure kept.

It knows neither rules nor policies: what becomes of a member is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from usagetrace.redaction.beside import expected, named_value
from usagetrace.redaction.engine import DEPTH_LIMIT, DROPPED, free
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.placeholders import is_placeholder
from usagetrace.redaction.rules import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from usagetrace.redaction.engine import Budget, Redactor

# Longest command-line flag that is looked at, in characters.
_FLAG_LENGTH: Final = 64

_DEPTH_MARKER: Final = marker("depth")


def members(
    engine: Redactor,
    kind: Kind,
    key: str,
    value: Mapping[object, object] | Sequence[object] | Set[object],
    budget: Budget,
    depth: int,
) -> object:
    """Return a mapping, sequence or set with its members redacted; the same object where nothing changed.

    Args:
        engine: Redacts the members.
        kind: What the key says.
        key: What the value stands below.
        value: Never changed.
        budget: How much more may be looked at.
        depth: How deep the value lies in others.
    """
    if depth >= DEPTH_LIMIT:
        if not len(value):
            return value
        if budget.care is not None:
            budget.care.note("depth")
        return _DEPTH_MARKER
    if isinstance(value, Mapping):
        return _mapping(engine, kind, key, value, budget, depth)
    return _sequence(engine, kind, key, value, budget, depth)


def _mapping(
    engine: Redactor, kind: Kind, key: str, value: Mapping[object, object], budget: Budget, depth: int
) -> object:
    inherited = kind if kind in (Kind.SECRET, Kind.PERSON) else None
    changed = False
    result: dict[object, object] = {}
    named = None if inherited else named_value(engine, value)
    for name, member in value.items():
        budget.spend()
        word = name if isinstance(name, str) else ""
        own = inherited or engine.kind(word)
        if named is not None and name is named[2]:
            own, word = named[:2]
        new_member = engine.any(own, key if inherited else word, member, budget, depth + 1)
        new_name = _name(engine, name, budget, depth + 1)
        if new_member is DROPPED or new_name is DROPPED:
            changed = True
            continue
        if new_name is not name or new_member is not member:
            changed = True
        if isinstance(new_name, str) and new_name in result:
            new_name = free(new_name, result)
        result[new_name] = new_member
    return result if changed else value


def _name(engine: Redactor, name: object, budget: Budget, depth: int) -> object:
    if budget.care is not None:
        return budget.care.name(name, budget, depth)
    return engine.key(name) if type(name) is str else engine.any(Kind.PLAIN, "", name, budget, depth)


def _sequence(
    engine: Redactor, kind: Kind, key: str, value: Sequence[object] | Set[object], budget: Budget, depth: int
) -> object:
    changed = False
    result: list[object] = []
    flag: str | None = None
    secret = expected(engine, value)
    for position, member in enumerate(value):
        budget.spend()
        own = Kind.SECRET if position in secret else kind
        if (
            flag is not None
            and isinstance(member, str)
            and member[:1] != "-"
            and not is_placeholder(member, quoted=True)
        ):
            own = Kind.SECRET
        new = engine.any(own, flag or key, member, budget, depth + 1)
        flag = _secret_flag(engine, member)
        changed = changed or new is not member
        # Parallel arrays stay as long as they are; a set is none of them.
        if new is not DROPPED:
            result.append(new)
        elif not isinstance(value, Set):
            result.append(None)
    if not changed:
        return value
    if isinstance(value, Set):
        return frozenset(result) if isinstance(value, frozenset) else set(result)
    if isinstance(value, tuple):
        return tuple(result)
    return result


def _secret_flag(engine: Redactor, member: object) -> str | None:
    """Return the name of a command's flag whose value is the next member: ``["--password", "..."]``."""
    if isinstance(member, str) and member[:1] == "-" and len(member) <= _FLAG_LENGTH and "=" not in member:
        name = member.lstrip("-")
        if name and engine.kind(name) is Kind.SECRET:
            return name
    return None

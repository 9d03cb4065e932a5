"""What a case is, and the marks by which a text says what of it is private.

A marked text has ``⟦…⟧`` around what must be gone and ``⟨…⟩`` around what may stay or go; all else must stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

_PARTS = re.compile("⟦([^⟧]*)⟧|⟨([^⟩]*)⟩|([^⟦⟧⟨⟩]+)")
_MARKS = str.maketrans("", "", "⟦⟧⟨⟩")


class Identity(NamedTuple):
    """Whose machine a case is run on."""

    home: str
    user: str
    host: str


class Raw(NamedTuple):
    """What a group yields: the value with marks, under a key."""

    value: object
    key: str = "usage.metadata.note"


@dataclass(frozen=True)
class Case:
    """One value, and what must become of it.

    Attributes:
        name: Group and running number.
        group: What kind of thing it is.
        key: Name of the attribute.
        value: The value as it is given to a redactor.
        gone: What must be gone; empty in a harmless case.
        stays: The rest, in its order.
        beside: All that is not private, in its order, with a sign where something private stood.
        identity: Whose machine it is run on.
    """

    name: str
    group: str
    key: str
    value: Any
    gone: tuple[str, ...]
    stays: tuple[str, ...]
    beside: str
    identity: Identity

    @property
    def benign(self) -> bool:
        """Whether nothing of it may change."""
        return not self.gone


def strings(value: object) -> Iterator[str]:
    """Yield every text of a value in its order: keys of mappings, and bytes as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (bytes, bytearray)):
        yield bytes(value).decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)


def plain(value: object) -> object:
    """Return a value without its marks."""
    if isinstance(value, str):
        return value.translate(_MARKS)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape").translate(_MARKS).encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(inner) for inner in value)
    return value


def case(group: str, number: int, raw: Raw, identity: Identity) -> Case:
    """Return a case of what a group yielded."""
    texts = [_PARTS.findall(text) for text in strings(raw.value)]
    gone, stays = (tuple(part[index] for text in texts for part in text if part[index]) for index in (0, 2))
    beside = "\x1f".join("".join(part[1] or part[2] or "\x1e" for part in text) for text in texts)
    return Case(f"{group} {number}", group, raw.key, plain(raw.value), gone, stays, beside, identity)


def planted(template: str, secret: str) -> str:
    """Return a template with a secret, marked, at its ``§``; a secret with marks of its own keeps them."""
    return template.replace("§", secret if "⟦" in secret else f"⟦{secret}⟧")


def some(rng: Random, alphabet: str, size: int) -> str:
    """Return characters of an alphabet."""
    return "".join(rng.choices(alphabet, k=size))

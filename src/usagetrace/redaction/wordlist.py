"""How lists of words are written in this package: as text, several to a line."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Return the words of a text that are set apart by white space."""
    return frozenset(text.split())

"""What a redaction rule is, and the table of all rules that find secrets and personal data by their shape.

The rules are data: name, reason, pattern, and examples that must and must not match. This module knows neither
OpenTelemetry nor how a finding is replaced; paths and names of this machine are found by their own modules,
because they depend on where the program runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from usagetrace.patterns import lazy

# What a finding becomes: `[redacted:` and the rule's name and `]`. Fixed, and echoes nothing of the value.
MARKER: Final = lazy(r"\[redacted:[a-z0-9-]{1,32}\]")


def marker(rule: str) -> str:
    """Return the fixed text that stands for a finding of a rule."""
    return f"[redacted:{rule}]"


@dataclass(frozen=True, slots=True)
class Rule:
    """One shape of secret or of personal data.

    Attributes:
        name: Name in the marker: lower-case letters, digits and hyphens.
        why: What it finds and why that must not leave, in one line.
        pattern: What it looks for. The first of the groups ``s``, ``s2``, ``s3`` that took part is what is
            masked; without such a group, the whole match.
        needs: Every match contains one of these, in lower case: the cheap test before the pattern is tried.
        spare: Says of a match that it is harmless after all; None where the pattern alone decides.
        value: For a pattern that finds only a name and a sign: what follows them. It is tried only where
            ``spare`` let the name pass, so that a long value is read once.
        spare_value: Says of both matches that the value is harmless after all.
        matches: Examples that must be found.
        spares: Examples that must stay as they are.
    """

    name: str
    why: str
    pattern: re.Pattern[str]
    needs: tuple[str, ...]
    spare: Callable[[re.Match[str]], bool] | None = None
    value: re.Pattern[str] | None = None
    spare_value: Callable[[re.Match[str], re.Match[str]], bool] | None = None
    matches: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()


_GROUPS: Final = ("s", "s2", "s3")


def secret_group(match: re.Match[str]) -> str | int:
    """Return the group of a rule's match that is to be masked; 0 is the whole match."""
    groups = match.re.groupindex
    for name in _GROUPS:
        if name in groups and match[name] is not None:
            return name
    return 0


@dataclass(frozen=True, slots=True)
class Token:
    """A vendor's token: known by its first characters.

    Attributes:
        name: Name in the marker.
        why: Whose token it is.
        prefixes: First characters; the search for all vendors' prefixes is one pass over a text.
        tail: Pattern of what follows the prefix. It may not need anything after an unbounded run.
        matches: Examples that must be found.
        spares: Examples that must stay as they are.
    """

    name: str
    why: str
    prefixes: tuple[str, ...]
    tail: str
    matches: tuple[str, ...]
    spares: tuple[str, ...] = ()

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern of a whole token; to be tried where one of the prefixes was found."""
        return lazy(f"(?:{'|'.join(map(re.escape, self.prefixes))})(?:{self.tail})")


def trie(words: tuple[str, ...]) -> str:
    """Return a pattern that matches the longest of some literals, with shared beginnings tried once.

    A flat alternation of a hundred literals costs a hundred comparisons at each position.
    """
    ends = "" in words
    branches: dict[str, list[str]] = {}
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
    if not branches:
        return ""
    parts = [re.escape(first) + trie(tuple(rest)) for first, rest in sorted(branches.items())]
    if len(parts) == 1 and not ends:
        return parts[0]
    return f"(?:{'|'.join(parts)}){'?' if ends else ''}"

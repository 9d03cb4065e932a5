"""What a redaction rule is, and the table of all rules that find secrets and personal data by their shape.

The rules are data: name, reason, pattern, and examples that must and must not match. This module knows neither
OpenTelemetry nor how a finding is replaced; paths and names of this machine are found by their own modules,
because they depend on where the program runs.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

    from usagetrace.redaction.catalog import Described

    # Says what stands in a finding's place: rule, what was found, what stands there otherwise -> text.
    Form: TypeAlias = Callable[[str, str, str], str]

# What a finding becomes: `[redacted:` and the rule's name and `]`. Fixed, and echoes nothing of the value.
MARKER: Final = lazy(r"\[redacted:[a-z0-9-]{1,32}\]")


def marker(rule: str) -> str:
    """Return the fixed text that stands for a finding of a rule."""
    return f"[redacted:{rule}]"


# The tables' classes are plain ones: `dataclasses` costs a short command 2 ms.
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

    __slots__ = ("matches", "name", "needs", "pattern", "spare", "spare_value", "spares", "value", "why")

    def __init__(
        self,
        *,
        name: str,
        why: str,
        pattern: re.Pattern[str],
        needs: tuple[str, ...],
        spare: Callable[[re.Match[str]], bool] | None = None,
        value: re.Pattern[str] | None = None,
        spare_value: Callable[[re.Match[str], re.Match[str]], bool] | None = None,
        matches: tuple[str, ...] = (),
        spares: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.why = why
        self.pattern = pattern
        self.needs = needs
        self.spare = spare
        self.value = value
        self.spare_value = spare_value
        self.matches = matches
        self.spares = spares


_GROUPS: Final = ("s", "s2", "s3")


def secret_group(match: re.Match[str]) -> str | int:
    """Return the group of a rule's match that is to be masked; 0 is the whole match."""
    groups = match.re.groupindex
    for name in _GROUPS:
        if name in groups and match[name] is not None:
            return name
    return 0


class Token:
    """A vendor's token: known by its first characters.

    Attributes:
        name: Name in the marker.
        why: Whose token it is.
        prefixes: First characters; the search for all vendors' prefixes is one pass over a text.
        tail: Pattern of what follows the prefix. It may not need anything after an unbounded run.
        example: What makes an example of each prefix.
        spares: Examples that must stay as they are.
    """

    __slots__ = ("example", "name", "prefixes", "spares", "tail", "why")

    def __init__(
        self, name: str, why: str, prefixes: tuple[str, ...], tail: str, example: str, spares: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.why = why
        self.prefixes = prefixes
        self.tail = tail
        self.example = example
        self.spares = spares

    @property
    def matches(self) -> tuple[str, ...]:
        """Examples that must be found. Made when they are asked for, which no program at work does."""
        return tuple(prefix + self.example for prefix in self.prefixes)

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern of a whole token; to be tried where one of the prefixes was found."""
        return lazy(f"(?:{'|'.join(map(re.escape, self.prefixes))})(?:{self.tail})")


def all_rules() -> tuple[Described, ...]:
    """Return every rule as data: name, reason, and examples that it finds and spares."""
    # Imported here: it loads all tables.
    from usagetrace.redaction.catalog import all_rules

    return all_rules()

"""What an audit says: where something was found and by which rule, never what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

# Places that are named for each finding; the count tells of the rest.
_NAMED: Final = 3
# Different findings that are told apart; a database of many thousand columns must not fill the memory.
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in one column, or in one part of a file.

    Attributes:
        file: The file, relative to the database's folder where it lies in there.
        area: ``row``, ``index``, ``schema``, ``full-text``, ``removed``, ``log``, ``journal``, ``spool``, ``archive``
            or ``file``.
        table: The table or index; empty where it is not known or there is none.
        column: The column, field or key; empty as above.
        rule: What was found, by the name in redaction's markers.
        count: How often.
        at: The first places: a row's number, a page.
    """

    file: str
    area: str
    table: str
    column: str
    rule: str
    count: int
    at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what was found.

    Attributes:
        store: The database's file, as it was given.
        findings: What was found, in the order of files.
        problems: What could not be looked at, and why: the store is not proved clean then.
        notes: What there is to know besides.
        files: Files that were looked at.
        size_bytes: Their size.
        waiting_events: Events that wait in the spool, and were looked at there.
        seconds: How long it took.
    """

    store: str
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    files: int
    size_bytes: int
    waiting_events: int
    seconds: float

    @property
    def found(self) -> int:
        """How much was found in all."""
        return sum(finding.count for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        """Whether everything was looked at and nothing was found."""
        return not self.findings and not self.problems


class Tally:
    """Collects findings while files are read.

    Args:
        shown: Makes a name of a table or column safe to be shown: it may hold a secret itself.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self._shown = shown
        self._counts: dict[tuple[str, str, str, str, str], tuple[int, list[str]]] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.files = 0
        self.size_bytes = 0
        self.waiting_events = 0

    def add(self, file: str, area: str, table: str, column: str, rules: Mapping[str, int], at: str) -> None:
        """Count what was found at one place."""
        for rule, count in rules.items():
            key = (file, area, self._shown(table), self._shown(column), rule)
            if key not in self._counts and len(self._counts) >= _MOST:
                key = (file, area, "", "", rule)
            before, places = self._counts.get(key, (0, []))
            if len(places) < _NAMED and at and at not in places:
                places.append(at)
            self._counts[key] = before + count, places

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, in the order in which it was met first."""
        return tuple(Finding(*key, count, tuple(places)) for key, (count, places) in self._counts.items())

"""What a redactor makes of the corpus: what leaked, what was damaged, what became of the rest, and how long it took."""

from __future__ import annotations

import copy
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from tests.redaction.corpus.kinds import Case, Identity, strings

# Redacts a value under a key on a machine.
Redact = Callable[[str, object], object]
# What stands in a secret's place is no part of the secret, whatever its letters.
MARKERS = re.compile(r"\[redacted:[a-z0-9-]+\]")
# A piece of a secret of this many characters is a leak.
PIECE = 4


@dataclass
class Measured:
    """Figures of one group.

    Attributes:
        cases: How many there were.
        gone: In how many nothing of the secret was left.
        changed: How many harmless ones were changed.
        rest: Characters beside the secrets.
        kept: How many of them stayed, in their order.
        unstable: How many a second pass changed.
        mutated: In how many the input was changed.
        raised: In how many an exception came out.
        retyped: In how many the type, or the structure, was another.
        faults: What was wrong, case by case, to be read.
        times: Microseconds of each first pass.
    """

    cases: int = 0
    gone: int = 0
    changed: int = 0
    rest: int = 0
    kept: int = 0
    unstable: int = 0
    mutated: int = 0
    raised: int = 0
    retyped: int = 0
    faults: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Percent of the cases in which nothing of the secret is left."""
        return 100 * self.gone / self.cases if self.cases else 100.0

    @property
    def intact(self) -> float:
        """Percent of the harmless cases that are unchanged."""
        return 100 - 100 * self.changed / self.cases if self.cases else 100.0

    @property
    def kept_share(self) -> float:
        """Percent of the characters beside the secrets that stayed."""
        return 100 * self.kept / self.rest if self.rest else 100.0

    def add(self, other: Measured) -> None:
        """Take another group's figures in."""
        for name in ("cases", "gone", "changed", "rest", "kept", "unstable", "mutated", "raised", "retyped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.times += other.times


def flat(value: object) -> str:
    """Return all texts of a value, one after the other."""
    return "\x1f".join(strings(value))


def left_of(case: Case, output: object, markers: re.Pattern[str] = MARKERS) -> str:
    """Return the longest piece of a secret that an output still holds; empty where there is none.

    A piece that stands beside the secret as well tells nothing. A secret of less than four characters counts as a word.
    """
    text = markers.sub("\x1e", flat(output))
    longest = ""
    for secret in case.gone:
        if len(secret) < PIECE:
            word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])")
            if word.search(text) and not word.search(case.beside):
                longest = longest or secret
            continue
        at = 0
        while at <= len(secret) - PIECE:
            size = PIECE
            if secret[at : at + size] in text and secret[at : at + size] not in case.beside:
                while at + size < len(secret) and secret[at : at + size + 1] in text:
                    size += 1
                longest = max(longest, secret[at : at + size], key=len)
            at += size - PIECE + 1
    return longest


def rest_of(case: Case, output: object, markers: re.Pattern[str] = MARKERS) -> tuple[int, int]:
    """Return how many characters there are beside the secrets, and how many of them an output still has in order."""
    rest = "".join(case.stays)
    text = markers.sub("\x1e", flat(output))
    at = 0
    for part in case.stays:
        found = text.find(part, at)
        if found < 0:
            blocks = SequenceMatcher(None, rest, text, autojunk=False).get_matching_blocks()
            return len(rest), sum(block.size for block in blocks)
        at = found + len(part)
    return len(rest), len(rest)


def same(one: object, other: object) -> bool:
    """Return whether two values are of the same type and structure, and their numbers are the same."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, (str, bytes, bytearray)) or one == other


def judge(case: Case, redact: Redact, markers: re.Pattern[str] = MARKERS) -> Measured:
    """Run one case through a redactor and say what became of it."""
    given = copy.deepcopy(case.value)
    measured = Measured(cases=1)
    began = time.perf_counter_ns()
    try:
        output = redact(case.key, given)
    except Exception as error:
        measured.raised = 1
        measured.faults.append(f"{case.name}: raised {type(error).__name__} for {case.value!r}")
        return measured
    measured.times.append((time.perf_counter_ns() - began) / 1000)
    said = f"{case.name}: {case.key} = {case.value!r} -> {output!r}"
    if given != case.value:
        measured.mutated = 1
        measured.faults.append(f"mutated {said}")
    if case.benign:
        measured.changed = int(type(output) is not type(case.value) or output != case.value)
        if measured.changed:
            measured.faults.append(f"changed {said}")
        return measured
    piece = left_of(case, output, markers)
    measured.gone = int(not piece)
    measured.rest, measured.kept = rest_of(case, output, markers)
    measured.retyped = int(not same(case.value, output))
    measured.unstable = int(redact(case.key, output) != output)
    if piece:
        measured.faults.append(f"leaked {piece!r} {said}")
    for name, wrong in (
        ("retyped", measured.retyped),
        ("unstable", measured.unstable),
        ("damaged", measured.kept < measured.rest),
    ):
        if wrong:
            measured.faults.append(f"{name} {said}")
    return measured


def measure(
    cases: Iterable[Case], redactor: Callable[[Identity], Redact], markers: re.Pattern[str] = MARKERS
) -> dict[str, Measured]:
    """Run cases through a redactor.

    Args:
        cases: What is to be redacted.
        redactor: Gives the redactor of a machine.
        markers: What this redactor puts in a secret's place.

    Returns:
        Figures by group, in the cases' order.
    """
    redactors: dict[Identity, Redact] = {}
    groups: dict[str, Measured] = {}
    for case in cases:
        if case.identity not in redactors:
            redactors[case.identity] = redactor(case.identity)
        groups.setdefault(case.group, Measured()).add(judge(case, redactors[case.identity], markers))
    return groups


def total(groups: dict[str, Measured], names: Iterable[str]) -> Measured:
    """Return the figures of several groups together."""
    whole = Measured()
    for name in names:
        whole.add(groups[name])
    return whole


def table(groups: dict[str, Measured], benign: Iterable[str]) -> list[str]:
    """Return the lines of a table of figures by group, in Markdown."""
    harmless = frozenset(benign)
    lines = ["| Group | Cases | Gone | Kept beside it | Unchanged | Median |", "|---|--:|--:|--:|--:|--:|"]
    for name, group in groups.items():
        figures = ("", "", f"{group.intact:.1f} %") if name in harmless else (
            f"{group.recall:.1f} %", f"{group.kept_share:.1f} %", "",
        )  # fmt: skip
        middle = f"{statistics.median(group.times):.1f} µs" if group.times else ""
        lines.append(f"| {name} | {group.cases} | {' | '.join(figures)} | {middle} |")
    return lines

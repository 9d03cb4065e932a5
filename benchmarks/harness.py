"""Timing several things in turn, and telling how they compare.

This module owns the interleaving and the arithmetic. What is timed, and whether it was done right, is each benchmark's.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Timed = Callable[[], float]
# Calls of a block that come before its clock starts: what ran since the last block emptied the processor's caches, and
# the first call pays four times the price of the tenth.
LEAD = 10


class BenchmarkError(RuntimeError):
    """What was timed did not do what it should: its time means nothing."""


@dataclass(frozen=True)
class Figure:
    """How one thing compares with another.

    Attributes:
        row: Number of the benchmark, such as ``P1``.
        what: What was measured.
        against: What it was measured against.
        ours: Median of our side, in `unit`.
        theirs: Median of the other side, in `unit`.
        unit: Unit of both.
        value: What is compared with the goal: a ratio, or a difference.
        low: Smallest value of one pair.
        high: Largest value of one pair.
        goal: The goal, as text; empty where there is none.
        met: Whether the value meets it; None where there is no goal.
        peer: Short name of the other side, where a row has several.
    """

    row: str
    what: str
    against: str
    ours: float
    theirs: float
    unit: str
    value: float
    low: float
    high: float
    goal: str
    met: bool | None
    peer: str = ""

    def verdict(self) -> str:
        """Return ``met``, ``missed``, or nothing where there is no goal."""
        return {True: "met", False: "missed", None: ""}[self.met]

    def line(self) -> str:
        """Return one line of the table."""
        what = f"{self.what}; theirs: {self.peer}" if self.peer else self.what
        return (
            f"{self.row:4} {what:54} {number(self.ours):>9} {number(self.theirs):>9} {self.unit:8} "
            f"{self.value:7.2f}  ({self.low:.2f} to {self.high:.2f})".ljust(114)
            + f" {self.goal:8} {self.verdict()}".rstrip()
        )

    def markdown(self) -> str:
        """Return one row of a Markdown table."""
        unit = {"us": "µs"}.get(self.unit, self.unit)
        goal = self.goal.replace("<=", "≤").replace(">=", "≥")
        return (
            f"| {self.row} | {self.what} | {self.against} | {number(self.ours)} {unit} | {number(self.theirs)} {unit} "
            f"| {self.value:.2f} ({self.low:.2f} to {self.high:.2f}) | {goal} | {self.verdict()} |"
        )


HEADER = f"{'':4} {'':54} {'ours':>9} {'theirs':>9} {'':8} {'value':>7}  (pairs)".ljust(114) + " goal"
MARKDOWN_HEADER = "| | What | Against | Ours | Theirs | Value (pairs) | Goal | |\n|---|---|---|---|---|---|---|---|"


def number(value: float) -> str:
    """Return a figure with three digits that count; whole numbers from 100 on."""
    if not value:
        return "0"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{digits}f}"


def per_call(action: Callable[[], object], calls: int, after: Callable[[], object] | None = None) -> Timed:
    """Return a timed block: microseconds for one of a number of calls, once :data:`LEAD` more have been made.

    Args:
        action: What is called.
        calls: How often, in one block.
        after: Called when the clock has stopped: what a block leaves behind must not burden the next one.
    """

    def timed() -> float:
        for _ in range(LEAD):
            action()
        began = time.perf_counter_ns()
        for _ in range(calls):
            action()
        took = (time.perf_counter_ns() - began) / calls / 1000
        if after is not None:
            after()
        return took

    return timed


def turns(*sides: Timed, rounds: int, warm: bool = True) -> list[list[float]]:
    """Time several sides in turn; return the times of each.

    Args:
        sides: What is timed.
        rounds: How often each has its turn.
        warm: Whether a round that is not counted comes first.
    """
    if warm:
        for side in sides:
            side()
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, taken in zip(sides, times, strict=True):
            taken.append(side())
    return times


@dataclass(frozen=True)
class Row:
    """What a figure is of: its number, what was measured, against what, and the unit.

    Attributes:
        row: Number of the benchmark.
        what: What was measured.
        against: What it was measured against.
        unit: Unit of both sides.
        peer: Short name of the other side, where a row has several.
    """

    row: str
    what: str
    against: str
    unit: str
    peer: str = ""

    def ratio(self, ours: Sequence[float], theirs: Sequence[float], *, at_most: float | None = None) -> Figure:
        """Return ours divided by theirs; a goal is an upper bound."""
        value = statistics.median(ours) / statistics.median(theirs)
        pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
        goal = "" if at_most is None else f"<= {at_most:.2f}"
        return self._figure(ours, theirs, value, pairs, goal, None if at_most is None else value <= at_most)

    def rate(self, ours: Sequence[float], theirs: Sequence[float], *, at_least: float) -> Figure:
        """Return our rate divided by theirs; the goal is a lower bound."""
        value = statistics.median(ours) / statistics.median(theirs)
        pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
        return self._figure(ours, theirs, value, pairs, f">= {at_least:.2f}", value >= at_least)

    def difference(self, ours: Sequence[float], theirs: Sequence[float], *, at_most: float) -> Figure:
        """Return ours minus theirs; the goal is an upper bound, in the row's unit."""
        value = statistics.median(ours) - statistics.median(theirs)
        pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
        return self._figure(ours, theirs, value, pairs, f"<= +{at_most:g}", value <= at_most)

    def ahead(self, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
        """Return ours divided by a peer's; the goal is to be ahead of it."""
        value = statistics.median(ours) / statistics.median(theirs)
        pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
        return self._figure(ours, theirs, value, pairs, "< 1", value < 1)

    def _figure(
        self,
        ours: Sequence[float],
        theirs: Sequence[float],
        value: float,
        pairs: Sequence[float],
        goal: str,
        met: bool | None,
    ) -> Figure:
        return Figure(
            self.row, self.what, self.against, statistics.median(ours), statistics.median(theirs), self.unit, value,
            min(pairs), max(pairs), goal, met, self.peer,
        )  # fmt: skip

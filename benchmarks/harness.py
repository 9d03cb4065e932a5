"""Timing two things in turn, and telling how they compare.

This module owns the interleaving and the arithmetic. What is timed, and whether it was done right, is each benchmark's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Timed = Callable[[], float]


@dataclass(frozen=True)
class Figure:
    """How one thing compares with another.

    Attributes:
        name: Number and short name of the benchmark.
        ours: Median of our side, in `unit`.
        theirs: Median of the other side, in `unit`.
        unit: Unit of both.
        value: What is compared with the goal: a ratio, or a difference.
        low: Smallest value of one pair.
        high: Largest value of one pair.
        goal: The goal, as text.
        met: Whether the value meets it.
    """

    name: str
    ours: float
    theirs: float
    unit: str
    value: float
    low: float
    high: float
    goal: str
    met: bool

    def line(self) -> str:
        """Return one line of the table."""
        mark = "met" if self.met else "missed"
        return (
            f"{self.name:44} {self.ours:10.2f} {self.theirs:10.2f} {self.unit:9} "
            f"{self.value:8.2f} ({self.low:.2f} to {self.high:.2f})  {self.goal:10} {mark}"
        )


HEADER = f"{'':44} {'ours':>10} {'theirs':>10} {'unit':9} {'value':>8} {'(pairs)':16}  {'goal':10}"


def per_call(action: Callable[[], object], calls: int) -> Timed:
    """Return a timed block: microseconds for one of a number of calls."""

    def timed() -> float:
        began = time.perf_counter_ns()
        for _ in range(calls):
            action()
        return (time.perf_counter_ns() - began) / calls / 1000

    return timed


def interleaved(ours: Timed, theirs: Timed, rounds: int) -> tuple[list[float], list[float]]:
    """Time both sides in turn, after one round that is not counted."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def ratio(name: str, unit: str, ours: list[float], theirs: list[float], *, at_most: float) -> Figure:
    """Return ours divided by theirs; the goal is an upper bound."""
    value = statistics.median(ours) / statistics.median(theirs)
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        name, statistics.median(ours), statistics.median(theirs), unit, value, min(pairs), max(pairs),
        f"<= {at_most:.2f}", value <= at_most,
    )  # fmt: skip


def rate_ratio(name: str, unit: str, ours: list[float], theirs: list[float], *, at_least: float) -> Figure:
    """Return our rate divided by theirs; the goal is a lower bound."""
    value = statistics.median(ours) / statistics.median(theirs)
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        name, statistics.median(ours), statistics.median(theirs), unit, value, min(pairs), max(pairs),
        f">= {at_least:.2f}", value >= at_least,
    )  # fmt: skip


def difference(name: str, unit: str, ours: list[float], theirs: list[float], *, at_most: float) -> Figure:
    """Return ours minus theirs; the goal is an upper bound."""
    value = statistics.median(ours) - statistics.median(theirs)
    pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        name, statistics.median(ours), statistics.median(theirs), unit, value, min(pairs), max(pairs),
        f"<= {at_most:g}", value <= at_most,
    )  # fmt: skip

"""P6c: the corpus through what others offer for redaction, each as its documentation advises, beside ours.

`python benchmarks/p6c_peers.py` prints the tables of the page that compares them.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import BenchmarkError, Figure, Row, number
from benchmarks.p6_redaction import measured
from benchmarks.world import PEERS as ENVIRONMENT
from benchmarks.world import home, peer_python, process
from tests.redaction.corpus import BENIGN_GROUPS, FAMILIES
from usagetrace.version import __version__

PROGRAMS = Path(__file__).resolve().parent / "redaction_peers"
PEERS = ("logfire", "sentry", "adot", "detect-secrets")
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Side:
    """What one redactor made of the corpus.

    Attributes:
        name: The redactor and its version.
        us: Median microseconds of a value.
        groups: Counts by group: cases, gone, changed, rest, kept.
    """

    name: str
    us: float
    groups: dict[str, dict[str, float]]

    def share(self, family: str) -> float:
        """Return the percent of a family's cases that are fully gone, or of the harmless that are unchanged."""
        return self.of(FAMILIES[family])

    def of(self, names: tuple[str, ...]) -> float:
        """Return the same of some groups."""
        cases = sum(self.groups[name]["cases"] for name in names)
        right = sum(
            self.groups[name]["cases"] - self.groups[name]["changed"]
            if name in BENIGN_GROUPS
            else self.groups[name]["gone"]
            for name in names
        )
        return 100 * right / cases

    def kept(self) -> float:
        """Return the percent of the characters beside what is private that stayed."""
        return 100 * self._sum("kept") / self._sum("rest")

    def _sum(self, name: str) -> float:
        return sum(group[name] for group in self.groups.values())


def ours() -> Side:
    """Return what our redactor made of the corpus."""
    groups = measured(SEEDS)
    counts = {
        name: {
            "cases": group.cases,
            "gone": group.gone,
            "changed": group.changed,
            "rest": group.rest,
            "kept": group.kept,
        }
        for name, group in groups.items()
    }
    us = statistics.median(took for group in groups.values() for took in group.times)
    return Side(f"usagetrace {__version__}", us, {name: dict(got) for name, got in counts.items()})


def peer(name: str) -> Side:
    """Return what a peer made of the corpus, in an environment of its own.

    Raises:
        BenchmarkError: It could not be run, or it raised for a value.
    """
    # Some of them write warnings; what they find is on standard output alone.
    _, said = process([peer_python(), PROGRAMS / "run_peer.py", name, *map(str, SEEDS)], quiet=False)
    found = json.loads(said)
    raised = sum(group["raised"] for group in found["groups"].values())
    if raised:
        raise BenchmarkError(f"{found['name']} raised for {raised} values")
    return Side(found["name"], found["us"], found["groups"])


def sides() -> list[Side]:
    """Return ours and the peers', ours first."""
    target = ENVIRONMENT / "adot"
    with home():
        if not target.exists():
            wanted = ["--requirement", PROGRAMS / "adot.txt", "--no-deps", "--target", target]
            process(
                [peer_python(), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *wanted], quiet=False
            )
        return [ours(), *map(peer, PEERS)]


def measure() -> list[Figure]:
    """Return the figures of P6c: what leaks and what is damaged, in percent, and what a value costs."""
    own, *others = sides()
    figures = []
    for other in others:
        for family in FAMILIES:
            benign = family == "benign"
            what = "harmless cases that change" if benign else f"{family}: cases that leak"
            row = Row("P6c", what, f"{other.name}, the same corpus", "percent", other.name)
            limit = 0.5 if benign else 0.0
            figures.append(row.difference([100 - own.share(family)], [100 - other.share(family)], at_most=limit))
        row = Row("P6c", "a new value, median of the corpus", f"{other.name}, the same corpus", "us", other.name)
        figures.append(row.ratio([own.us], [other.us]))
    return figures


def tables() -> str:
    """Return the page's tables, in Markdown: by family, and by group."""
    found = sides()
    head = "| | " + " | ".join(side.name for side in found) + " |\n|---|" + "--:|" * len(found)
    lines = [head]
    for family in FAMILIES:
        label = "harmless values unchanged" if family == "benign" else f"{family} fully gone"
        lines.append(f"| {label} | " + " | ".join(f"{side.share(family):.1f} %" for side in found) + " |")
    lines.append("| of the text beside it kept | " + " | ".join(f"{side.kept():.1f} %" for side in found) + " |")
    lines.append("| a value, median | " + " | ".join(f"{number(side.us)} µs" for side in found) + " |")
    lines += ["", head.replace("| |", "| Group |", 1)]
    for name in found[0].groups:
        lines.append(f"| {name} | " + " | ".join(f"{side.of((name,)):.1f} %" for side in found) + " |")
    return "\n".join(lines)


ROWS = {"P6c": measure}

if __name__ == "__main__":
    print(tables())

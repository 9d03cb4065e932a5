"""Three-way merge of texts and of whole trees.

This module owns the decision what becomes of two versions with a common ancestor. It is pure: bytes in, bytes
out. A text is merged by lines; any other file as a whole. Changes of both sides conflict when they touch: with
no common line between them there is nothing that says in which order they belong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from skillshelf.tree import File, Tree

_OPEN, _MIDDLE, _CLOSE = "<<<<<<<", "=======", ">>>>>>>"
_MARKED = re.compile(rf"(?ms)^{_OPEN} .*?^{_MIDDLE}\r?$.*?^{_CLOSE} ")


@dataclass(frozen=True)
class Conflict:
    """Where the two sides disagree.

    Attributes:
        path: File in the tree.
        count: Places in this file.
        reason: What the two sides did, in a few words.
    """

    path: str
    count: int
    reason: str


@dataclass(frozen=True)
class TreeMerge:
    """Outcome of merging trees: the merged files, and every conflict. Without conflicts it is final."""

    tree: dict[str, File]
    conflicts: tuple[Conflict, ...]

    @property
    def count(self) -> int:
        """Places where the two sides disagree, over all files."""
        return sum(conflict.count for conflict in self.conflicts)


@dataclass(frozen=True)
class _Edit:
    """Lines ``low`` to ``high`` (exclusive) of the base became ``lines``."""

    low: int
    high: int
    lines: tuple[str, ...]


def merge_text(base: str, ours: str, theirs: str, labels: tuple[str, str]) -> tuple[str, int]:
    """Merge two texts that come from a third.

    Args:
        base: The common ancestor.
        ours: One side; first in a conflict.
        theirs: The other side.
        labels: What to call the two sides in the markers.

    Returns:
        The merged text, with markers around each conflict, and the number of conflicts.
    """
    lines = base.splitlines(keepends=True)
    mine, other = _edits(lines, ours), _edits(lines, theirs)
    merged: list[str] = []
    conflicts = at = 0
    for low, high, left, right in _clusters(mine, other):
        merged += lines[at:low]
        at = high
        ours_here, theirs_here = _apply(lines, low, high, left), _apply(lines, low, high, right)
        if not left or ours_here == theirs_here:
            merged += theirs_here
        elif not right:
            merged += ours_here
        else:
            conflicts += 1
            merged += _marked(ours_here, theirs_here, labels)
    return "".join(merged + lines[at:]), conflicts


def _edits(base: list[str], side: str) -> list[_Edit]:
    after = side.splitlines(keepends=True)
    matcher = SequenceMatcher(None, base, after, autojunk=False)
    return [
        _Edit(low, high, tuple(after[start:end]))
        for tag, low, high, start, end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _clusters(mine: list[_Edit], other: list[_Edit]) -> list[tuple[int, int, list[_Edit], list[_Edit]]]:
    """Group the edits of both sides into stretches of the base that touch one another."""
    clusters: list[tuple[int, int, list[_Edit], list[_Edit]]] = []
    tagged = [(edit, 0) for edit in mine] + [(edit, 1) for edit in other]
    for edit, side in sorted(tagged, key=lambda pair: (pair[0].low, pair[0].high, pair[1])):
        if clusters and edit.low <= clusters[-1][1]:
            low, high, left, right = clusters.pop()
        else:
            low, high, left, right = edit.low, edit.high, [], []
        (right if side else left).append(edit)
        clusters.append((low, max(high, edit.high), left, right))
    return clusters


def _apply(base: list[str], low: int, high: int, edits: list[_Edit]) -> list[str]:
    out: list[str] = []
    at = low
    for edit in edits:
        out += base[at : edit.low]
        out += edit.lines
        at = edit.high
    return out + base[at:high]


def _marked(ours: list[str], theirs: list[str], labels: tuple[str, str]) -> list[str]:
    return [f"{_OPEN} {labels[0]}\n", *_ended(ours), f"{_MIDDLE}\n", *_ended(theirs), f"{_CLOSE} {labels[1]}\n"]


def _ended(lines: list[str]) -> list[str]:
    """Return the lines with a line end at the last one, so that a marker never shares its line."""
    if lines and not lines[-1].endswith(("\n", "\r")):
        return [*lines[:-1], lines[-1] + "\n"]
    return lines


def merge_trees(base: Tree, ours: Tree, theirs: Tree, labels: tuple[str, str]) -> TreeMerge:
    """Merge two trees that come from a third.

    Args:
        base: The common ancestor.
        ours: One side; what it has stays where no line-based merge is possible.
        theirs: The other side.
        labels: What to call the two sides in markers.

    Returns:
        The merged tree and its conflicts, in the order of their paths.
    """
    merged: dict[str, File] = {}
    conflicts: list[Conflict] = []
    for path in sorted({*base, *ours, *theirs}):
        file, conflict = _merge_file(path, base.get(path), ours.get(path), theirs.get(path), labels)
        if file is not None:
            merged[path] = file
        if conflict is not None:
            conflicts.append(conflict)
    return TreeMerge(merged, tuple(conflicts))


def _merge_file(
    path: str, base: File | None, ours: File | None, theirs: File | None, labels: tuple[str, str]
) -> tuple[File | None, Conflict | None]:
    if ours == theirs or base == theirs:
        return ours, None
    if base == ours:
        return theirs, None
    if ours is None or theirs is None:
        gone, kept = (labels[0], labels[1]) if ours is None else (labels[1], labels[0])
        return ours or theirs, Conflict(path, 1, f"{gone} deleted it, {kept} changed it")
    executable = theirs.executable if base and base.executable == ours.executable else ours.executable
    if ours.data == theirs.data:
        return File(ours.data, executable), None
    before, mine, other = base.text() if base else "", ours.text(), theirs.text()
    if before is None or mine is None or other is None:
        return ours, Conflict(path, 1, f"not text and changed on both sides; {labels[0]}'s was kept")
    text, count = merge_text(before, mine, other, labels)
    conflict = Conflict(path, count, "the same lines changed on both sides") if count else None
    return File(text.encode(), executable), conflict


def marked_files(tree: Tree) -> tuple[str, ...]:
    """Return the paths of files that still hold conflict markers."""
    return tuple(sorted(path for path, file in tree.items() if _MARKED.search(file.text() or "")))

"""Bring a new version of an artifact into a collection.

This module owns the three strategies and the promise that an update happens wholly or not at all. It knows
nothing of telemetry or of terminals: a question is asked through a function that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from skillshelf.artifact import Artifact
from skillshelf.collection import Collection
from skillshelf.errors import InvalidArtifactError, ShelfError, UpdateFailedError
from skillshelf.merge import TreeMerge, merge_trees
from skillshelf.results import Strategy, UpdateResult
from skillshelf.tree import Tree

# Asks a person to confirm what the text says.
Confirm = Callable[[str], bool]
# What to call the two sides in conflict markers.
LABELS = ("collection", "update")


def update(
    collection: Collection, current: Artifact, incoming: Artifact, strategy: Strategy, confirm: Confirm
) -> UpdateResult:
    """Replace an artifact by a new version of itself.

    Args:
        collection: Where it is.
        current: What is there.
        incoming: The new version.
        strategy: ``overwrite`` takes the new version as it is; ``merge`` keeps local edits, with markers
            where they disagree with it; ``prompt`` shows what would change, asks, then overwrites.
        confirm: Asks the question of ``prompt``.

    Returns:
        What was done; a declined update has the former version as ``version_after``.

    Raises:
        InvalidArtifactError: The new version is of another name.
        UpdateFailedError: Something failed half-way; the collection is as it was.
    """
    if incoming.name != current.name:
        raise InvalidArtifactError(
            incoming.name, [f"its front matter says name: {incoming.name}, expected {current.name}"]
        )
    merged = merge_trees(collection.origin_of(current), current.tree, incoming.tree, LABELS)
    choice: Literal["proceed", "cancel"] | None = None
    if strategy == "prompt":
        choice = "proceed" if confirm(_question(current, incoming, merged)) else "cancel"
    if choice == "cancel":
        after = current
    else:
        after = _swap(collection, current, incoming, merged, merged.tree if strategy == "merge" else incoming.tree)
    return UpdateResult(
        current.name,
        current.kind,
        collection.name,
        strategy,
        current.version,
        after.version,
        merged.count,
        merged.conflicts,
        choice,
        after.sha != current.sha,
    )


def _swap(collection: Collection, current: Artifact, incoming: Artifact, merged: TreeMerge, tree: Tree) -> Artifact:
    """Write the new files, then read them back: what can't be read back is undone."""
    kind, name = current.kind, current.name
    written = False
    try:
        with collection.rack.replacing(kind, name, tree):
            written = True
            after = collection.rack.load(kind, name)
            collection.origin.put(kind, name, incoming.tree)
    except (ShelfError, OSError) as error:
        state = "rolled back" if written else "nothing was changed"
        raise UpdateFailedError(
            f"update of {name!r} failed, {state}, version {current.version} stays: {error}",
            rollback=written,
            version_before=current.version,
            conflicts_detected=merged.count,
        ) from error
    return after


def _question(current: Artifact, incoming: Artifact, merged: TreeMerge) -> str:
    lines = [f"{current.name}: {current.version} -> {incoming.version}"]
    lines += [f"  {line}" for line in changes(current.tree, incoming.tree)] or ["  no file changes"]
    if merged.count:
        lines.append(f"  {merged.count} local edit(s) disagree with the new version and would be lost")
    return "\n".join(lines)


def changes(before: Tree, after: Tree) -> list[str]:
    """Return one line for each file that differs: ``+ path``, ``- path`` or ``~ path``."""
    lines = []
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            sign = "+" if path not in before else "-" if path not in after else "~"
            lines.append(f"{sign} {path}")
    return lines

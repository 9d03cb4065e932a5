"""Bring a project's copy of an artifact and the collection's together.

This module owns the three modes and the three-way comparison against the base: the files as both sides last agreed
on them. It knows nothing of telemetry or of terminals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from skillshelf.artifact import Artifact, from_tree
from skillshelf.collection import Collection
from skillshelf.errors import AlreadyThereError, InvalidArtifactError, ShelfError
from skillshelf.merge import TreeMerge, marked_files, merge_trees
from skillshelf.project import Project, Record
from skillshelf.results import SyncOutcome, SyncResult, SyncType
from skillshelf.tree import Tree, digest
from skillshelf.updating import Confirm

# What to call the two sides in conflict markers.
LABELS = ("project", "collection")


@dataclass(frozen=True)
class _Sides:
    """The three versions that a sync compares, and where they live."""

    collection: Collection
    project: Project
    record: Record
    mine: Tree
    base: Tree

    def merged(self, theirs: Tree) -> TreeMerge:
        return merge_trees(self.base, self.mine, theirs, LABELS)


@dataclass(frozen=True)
class _Done:
    """What one mode did, for the result."""

    result: SyncOutcome
    after: Tree
    merged: TreeMerge
    changed: tuple[str, ...] = ()
    forked_as: str | None = None


def sync(
    collection: Collection,
    project: Project,
    record: Record,
    sync_type: SyncType,
    *,
    confirm: Confirm,
    fork_name: str | None = None,
) -> SyncResult:
    """Compare both sides with their base and bring them together.

    Args:
        collection: Where the copy came from.
        project: Where the copy is.
        record: The copy.
        sync_type: ``overwrite`` puts the collection's files into the project; ``merge`` combines the changes of
            both and gives both the result; ``fork`` makes the project's copy a new artifact of the collection.
        confirm: Asks before edits in the project are lost.
        fork_name: Name of the new artifact; by default the old one's with the project's appended.

    Returns:
        The outcome. What stops a sync that was under way (the source is gone, markers are left, the result would
        be no artifact, ...) is an outcome too: ``error``, with its message, and nothing is changed.
    """
    name, kind = record.name, record.kind
    before = ""
    try:
        mine = project.deployed.read(kind, name)
        before = digest(mine)
        sides = _Sides(collection, project, record, mine, project.base.read(kind, name))
        if sync_type != "overwrite":
            _no_markers(sides)
        done = _fork(sides, fork_name) if sync_type == "fork" else _bring(sides, sync_type, confirm)
    except (ShelfError, OSError) as error:
        return SyncResult(
            name, kind, collection.name, str(project.root), sync_type, "error", before, before, error_message=str(error)
        )
    return SyncResult(
        name,
        kind,
        collection.name,
        str(project.root),
        sync_type,
        done.result,
        before,
        digest(done.after),
        done.merged.count,
        done.merged.conflicts,
        None,
        done.forked_as,
        done.changed,
    )


def _no_markers(sides: _Sides) -> None:
    marked = marked_files(sides.mine) if sides.record.conflicted else ()
    if marked:
        where = sides.project.deployed.path(sides.record.kind, sides.record.name)
        raise InvalidArtifactError(where, [f"conflict markers are left in {', '.join(marked)}: edit them first"])


def _bring(sides: _Sides, sync_type: SyncType, confirm: Confirm) -> _Done:
    theirs = sides.collection.find(sides.record.name, sides.record.kind)
    merged = sides.merged(theirs.tree)
    if sync_type == "overwrite":
        return _overwrite(sides, theirs, merged, confirm)
    return _merge(sides, theirs, merged)


def _overwrite(sides: _Sides, theirs: Artifact, merged: TreeMerge, confirm: Confirm) -> _Done:
    edited = digest(sides.mine) not in (sides.record.base_sha, theirs.sha)
    question = f"{theirs.name}: the edits in {sides.project.root} will be lost"
    if edited and not confirm(question):
        return _Done("cancelled", sides.mine, merged)
    _agree(sides, theirs, theirs.tree)
    changed = ("project",) if digest(sides.mine) != theirs.sha else ()
    return _Done("success", theirs.tree, merged, changed)


def _merge(sides: _Sides, theirs: Artifact, merged: TreeMerge) -> _Done:
    if merged.conflicts:
        # From here on the collection's version is the base: whoever edits the markers has seen it.
        record = _record(sides.record, theirs, conflicted=True)
        sides.project.place(record, merged.tree, theirs.tree)
        return _Done("conflict", merged.tree, merged, ("project",))
    where = sides.project.deployed.path(theirs.kind, theirs.name)
    both = from_tree(theirs.kind, merged.tree, where)
    if both.name != theirs.name:
        raise InvalidArtifactError(where, [f"its front matter says name: {both.name}, expected {theirs.name}"])
    changed = []
    if both.sha != digest(sides.mine):
        changed.append("project")
    if both.sha != theirs.sha:
        changed.append("collection")
        with sides.collection.rack.replacing(both.kind, both.name, both.tree):
            _agree(sides, both, both.tree)
    else:
        _agree(sides, both, both.tree)
    return _Done("success", both.tree, merged, tuple(changed))


def _fork(sides: _Sides, fork_name: str | None) -> _Done:
    record, project, collection = sides.record, sides.project, sides.collection
    where = project.deployed.path(record.kind, record.name)
    copy = from_tree(record.kind, sides.mine, where).renamed(fork_name or _fork_name(record, project))
    if collection.rack.has(copy.kind, copy.name):
        raise AlreadyThereError(f"{copy.name!r} is in collection {collection.name!r} already; choose another with --as")
    if project.deployed.has(copy.kind, copy.name):
        raise AlreadyThereError(f"{copy.name!r} is in {project.root} already; choose another with --as")
    gone = not collection.rack.has(record.kind, record.name)
    theirs = sides.base if gone else collection.rack.read(record.kind, record.name)
    collection.take(copy)
    try:
        project.place(Record(copy.kind, copy.name, collection.name, copy.version, copy.sha), copy.tree, copy.tree)
    except BaseException:
        collection.delete(copy.kind, copy.name)
        raise
    project.remove(record)
    return _Done("success", copy.tree, sides.merged(theirs), ("project", "collection"), copy.name)


def _fork_name(record: Record, project: Project) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", project.root.resolve().name.lower()).strip("-") or "fork"
    return f"{record.name}-{slug}"[:64].rstrip("._-")


def _agree(sides: _Sides, artifact: Artifact, tree: Tree) -> None:
    sides.project.place(_record(sides.record, artifact), tree, tree)


def _record(record: Record, artifact: Artifact, *, conflicted: bool = False) -> Record:
    return replace(record, version=artifact.version, base_sha=artifact.sha, conflicted=conflicted)

"""One function a command: open the shelf, run the operation, say what came of it, return the exit code.

This module owns the words. It holds no rule of what an operation may do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence

from skillshelf import library
from skillshelf.artifact import Artifact
from skillshelf.errors import ShelfError
from skillshelf.merge import Conflict
from skillshelf.project import Project, Record
from skillshelf.results import SyncResult
from skillshelf.shelf import DEFAULT_COLLECTION, Shelf, default_root
from skillshelf.show import as_json, asker, fail, record, say, table
from skillshelf.tree import digest


def _open(options: argparse.Namespace) -> Shelf:
    return Shelf.open(options.shelf or default_root())


def init(options: argparse.Namespace) -> int:
    """Make a shelf and a collection."""
    shelf = Shelf.create(options.shelf or default_root())
    collection = shelf.create_collection(options.collection)
    say(f"shelf {shelf.root}, collection {collection.name}")
    if options.starter:
        added, there = library.stock(collection)
        say(f"starter library: {added} artifacts added, {there} were there already")
    return 0


def list_artifacts(options: argparse.Namespace) -> int:
    """List a shelf's artifacts or a project's copies."""
    shelf = _open(options)
    if options.project is not None:
        return _list_project(shelf, options)
    collections = shelf.collections() if options.collection is None else [shelf.collection(options.collection)]
    rows: list[tuple[str, Artifact]] = []
    code = 0
    for collection in collections:
        good, bad = collection.artifacts(options.kind)
        rows += [(collection.name, artifact) for artifact in good]
        for fault in bad:
            code = fail(fault)
    if options.json:
        as_json([_facts(artifact, collection) for collection, artifact in rows])
    else:
        table(
            [(a.kind.value, a.name, a.version, collection, a.description) for collection, a in rows],
            ("TYPE", "NAME", "VERSION", "COLLECTION", "DESCRIPTION"),
        )
    return code


def _facts(artifact: Artifact, collection: str) -> dict[str, object]:
    return {
        "name": artifact.name,
        "type": artifact.kind.value,
        "version": artifact.version,
        "collection": collection,
        "description": artifact.description,
        "tags": list(artifact.tags),
        "sha": artifact.sha,
        "files": sorted(artifact.tree),
    }


def _list_project(shelf: Shelf, options: argparse.Namespace) -> int:
    project = Project.open(options.project)
    rows = [
        {"type": r.kind.value, "name": r.name, "version": r.version, "collection": r.collection,
         "state": _state(shelf, project, r)}
        for r in project.records() if options.kind in (None, r.kind)
    ]  # fmt: skip
    if options.json:
        as_json(rows)
    else:
        table([tuple(row.values()) for row in rows], ("TYPE", "NAME", "VERSION", "COLLECTION", "STATE"))
    return 0


def _state(shelf: Shelf, project: Project, record: Record) -> str:
    """Say how a copy stands: clean, edited, behind, both, conflict, missing or orphan."""
    if not project.deployed.has(record.kind, record.name):
        return "missing"
    if shelf.is_orphan(record):
        return "orphan"
    if record.conflicted:
        return "conflict"
    source = shelf.collection(record.collection).rack.read(record.kind, record.name)
    behind = digest(source) != record.base_sha
    if project.is_edited(record):
        return "edited, behind" if behind else "edited"
    return "behind" if behind else "clean"


def show(options: argparse.Namespace) -> int:
    """Show one artifact."""
    collection = _open(options).collection(options.collection)
    artifact = collection.find(options.name, options.kind)
    if options.json:
        as_json({**_facts(artifact, collection.name), "content": artifact.main_text()})
        return 0
    for key, value in _facts(artifact, collection.name).items():
        say(f"{key:<12} {', '.join(value) if isinstance(value, list) else value}")
    say(f"\n{artifact.main_text()}")
    return 0


def search(options: argparse.Namespace) -> int:
    """Find artifacts by words; nothing found is no failure."""
    found = _open(options).search(options.query, options.search_type, options.kind, options.limit, options.collection)
    if options.json:
        as_json({**record(found), "matches": [record(match) for match in found.matches]})
        return 0
    rows = [(n, f"{m.score:.2f}", m.kind.value, m.name, m.field, m.description) for n, m in enumerate(found.matches, 1)]
    if rows:
        table(rows, ("#", "SCORE", "TYPE", "NAME", "FOUND IN", "DESCRIPTION"))
    say(f"{found.total} found" + (f", {len(rows)} shown" if len(rows) < found.total else ""))
    return 0


def add(options: argparse.Namespace) -> int:
    """Take an artifact into a collection."""
    done = _open(options).add(options.path, options.collection, artifact_type=options.kind, replace=options.replace)
    verb = "replaced" if done.replaced else "added"
    say(f"{verb} {done.artifact_type.value} {done.artifact_name} {done.version} in {done.collection_name}")
    return 0


def update(options: argparse.Namespace) -> int:
    """Bring a new version into a collection."""
    done = _open(options).update(
        options.name, options.source, options.strategy, options.kind, options.collection,
        confirm=asker(options.answer),
    )  # fmt: skip
    _say_conflicts(done.conflicts)
    if done.user_choice == "cancel":
        say(f"cancelled: {done.artifact_name} stays at {done.version_before}")
    elif not done.changed:
        say(f"{done.artifact_name} {done.version_before}: nothing to change")
    else:
        say(f"updated {done.artifact_name} {done.version_before} -> {done.version_after}")
    if done.strategy == "merge" and done.conflicts_detected:
        return fail(f"{done.conflicts_detected} conflict(s) in {done.artifact_name}: edit the marked lines")
    return 0


def _say_conflicts(conflicts: Iterable[Conflict]) -> None:
    for conflict in conflicts:
        say(f"conflict: {conflict.path}: {conflict.count} place(s): {conflict.reason}")


def _each(names: Sequence[str], run: Callable[[str], str]) -> int:
    """Run an operation for each name; one that fails does not stop the others."""
    code = 0
    for name in dict.fromkeys(names):
        try:
            say(run(name))
        except ShelfError as error:
            code = fail(str(error))
    return code


def deploy(options: argparse.Namespace) -> int:
    """Copy artifacts into a project."""
    shelf = _open(options)

    def one(name: str) -> str:
        done = shelf.deploy(name, options.project, options.kind, options.collection, force=options.force)
        verb = "deployed" if done.changed else "already there:"
        return f"{verb} {done.artifact_type.value} {name} {done.version} ({done.sha[:12]}) in {done.project_path}"

    return _each(options.names, one)


def sync(options: argparse.Namespace) -> int:
    """Bring a project's copy and its collection together."""
    done = _open(options).sync(
        options.name, options.project, options.mode, options.kind,
        confirm=asker(options.answer), fork_name=options.fork_name,
    )  # fmt: skip
    _say_conflicts(done.conflicts)
    if done.result == "error":
        return fail(f"sync of {done.artifact_name!r} failed, nothing was changed: {done.error_message}")
    if done.result == "conflict":
        return fail(
            f"{done.conflicts_detected} conflict(s) in {done.artifact_name}: edit the marked files in "
            f"{done.project_path}, then sync again"
        )
    say(_sync_line(done))
    return 0


def _sync_line(done: SyncResult) -> str:
    if done.result == "cancelled":
        return f"cancelled: {done.artifact_name} is as it was"
    if done.forked_as:
        return f"forked {done.artifact_name} as {done.forked_as}; the project uses the fork from now on"
    what = " and ".join(done.changed) or "nothing to change"
    return f"synced {done.artifact_name}: {what} ({done.sha_before[:12]} -> {done.sha_after[:12]})"


def remove(options: argparse.Namespace) -> int:
    """Remove artifacts from a collection, or copies from a project."""
    shelf = _open(options)
    if options.cleanup:
        done = shelf.cleanup(options.project)
        for removed in done.removed:
            say(f"removed {removed.artifact_type.value} {removed.artifact_name}: its source is gone")
        for name in done.kept:
            fail(f"{name!r} stays: its source is gone, but it was edited")
        say(f"{len(done.removed)} removed")
        return 1 if done.kept else 0

    def one(name: str) -> str:
        if options.project is not None:
            gone = shelf.remove_from_project(name, options.project, options.kind, force=options.force)
            return f"removed {gone.artifact_type.value} {name} from {gone.project_path}"
        gone = shelf.remove(name, options.kind, options.collection or DEFAULT_COLLECTION)
        return f"removed {gone.artifact_type.value} {name} from collection {gone.collection_name}"

    return _each(options.names, one)

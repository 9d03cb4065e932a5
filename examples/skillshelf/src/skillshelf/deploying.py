"""Put copies of artifacts into projects, and take them out again.

This module owns the rules that protect a person's edits there. It knows nothing of telemetry or of terminals.
"""

from __future__ import annotations

from skillshelf.artifact import Artifact
from skillshelf.collection import Collection
from skillshelf.errors import AlreadyThereError, EditedCopyError
from skillshelf.project import Project, Record
from skillshelf.results import DeployResult, Reason, RemoveResult


def deploy(artifact: Artifact, collection: Collection, project: Project, *, force: bool = False) -> DeployResult:
    """Copy an artifact into a project and remember the copy as the base of later comparisons.

    Args:
        artifact: What to copy.
        collection: Where it comes from.
        project: Where it goes.
        force: Overwrite a copy that was edited, and files that this tool did not put there.

    Raises:
        EditedCopyError: The copy there was edited.
        AlreadyThereError: Something of that name is there that was never deployed.
    """
    kind, name, sha = artifact.kind, artifact.name, artifact.sha
    record = project.get(kind, name)
    there = project.deployed.has(kind, name)
    if record is None and there and not force:
        path = project.deployed.path(kind, name)
        raise AlreadyThereError(f"{path}: this was not deployed from a shelf; move it away, or use --force")
    if record is not None and not force and project.is_edited(record):
        raise EditedCopyError(
            f"{name!r} was edited in {project.root} since it was deployed; "
            "use 'skillshelf sync', or --force to lose the edits"
        )
    wanted = Record(kind, name, collection.name, artifact.version, sha)
    changed = record != wanted or not there or project.is_edited(wanted)
    if changed:
        project.place(wanted, artifact.tree, artifact.tree)
    return DeployResult(
        name, kind, collection.name, str(project.root), artifact.version, sha, len(artifact.tree), changed
    )


def undeploy(record: Record, project: Project, reason: Reason, *, force: bool = False) -> RemoveResult:
    """Remove a deployed copy from a project.

    Args:
        record: The copy.
        project: Where it is.
        reason: Why: a person asked for it, or its source is gone.
        force: Remove it even if it was edited.

    Raises:
        EditedCopyError: It was edited.
    """
    if not force and project.is_edited(record):
        raise EditedCopyError(
            f"{record.name!r} was edited in {project.root}; "
            "keep the edits with 'skillshelf sync --mode fork', or use --force"
        )
    project.remove(record)
    return RemoveResult(record.name, record.kind, record.collection, reason, True, str(project.root))

"""What each operation hands back. Frozen records; no behaviour, no knowledge of how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from skillshelf.artifact import Kind
from skillshelf.merge import Conflict

Strategy = Literal["overwrite", "merge", "prompt"]
SyncType = Literal["overwrite", "merge", "fork"]
SyncOutcome = Literal["success", "conflict", "error", "cancelled"]
Reason = Literal["user_action", "cleanup"]
SearchType = Literal["metadata", "content", "both"]


@dataclass(frozen=True)
class AddResult:
    """An artifact that was taken into a collection; ``replaced`` says whether it took another's place."""

    artifact_name: str
    artifact_type: Kind
    collection_name: str
    version: str
    sha: str
    replaced: bool


@dataclass(frozen=True)
class DeployResult:
    """A copy that was placed in a project; ``sha`` is its content hash, ``changed`` False if it was there."""

    artifact_name: str
    artifact_type: Kind
    collection_name: str
    project_path: str
    version: str
    sha: str
    files: int
    changed: bool
    success: bool = True


@dataclass(frozen=True)
class UpdateResult:
    """An update that was done, or declined.

    Attributes:
        conflicts_detected: Places where local edits and the new version disagree, whatever the strategy.
        conflicts: The same by file.
        user_choice: Answer to the question that the strategy ``prompt`` asks; None for the others.
        rollback: Always False here: an update that was rolled back raises.
    """

    artifact_name: str
    artifact_type: Kind
    collection_name: str
    strategy: Strategy
    version_before: str
    version_after: str
    conflicts_detected: int
    conflicts: tuple[Conflict, ...]
    user_choice: Literal["proceed", "cancel"] | None
    changed: bool
    rollback: bool = False


@dataclass(frozen=True)
class SyncResult:
    """How bringing a project and its collection together ended.

    Attributes:
        sha_before: Content hash of the project's copy before.
        sha_after: The same afterwards.
        conflicts_detected: Places where the two sides disagree, whatever the mode.
        error_message: What went wrong, where ``result`` is ``error``.
        forked_as: Name of the new artifact, in mode ``fork``.
        changed: What was written: ``project``, ``collection``, both or neither.
    """

    artifact_name: str
    artifact_type: Kind
    collection_name: str
    project_path: str
    sync_type: SyncType
    result: SyncOutcome
    sha_before: str
    sha_after: str
    conflicts_detected: int = 0
    conflicts: tuple[Conflict, ...] = ()
    error_message: str | None = None
    forked_as: str | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoveResult:
    """An artifact that was removed from a collection, or a copy from a project."""

    artifact_name: str
    artifact_type: Kind
    collection_name: str
    reason: Reason
    from_project: bool
    project_path: str | None = None


@dataclass(frozen=True)
class CleanupResult:
    """Copies without a source that were removed, and those that stay because they were edited."""

    removed: tuple[RemoveResult, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """One artifact that fits a query.

    Attributes:
        name: Its name.
        kind: Its type.
        collection: Collection that holds it; the best fitting one, where several do.
        score: How well it fits; higher is better.
        field: What fits best: name, tags, description or content.
        description: Its description.
    """

    name: str
    kind: Kind
    collection: str
    score: float
    field: str
    description: str


@dataclass(frozen=True)
class SearchResult:
    """Matches, best first, cut to the limit; ``total`` counts all."""

    query: str
    search_type: SearchType
    matches: tuple[Match, ...]
    total: int

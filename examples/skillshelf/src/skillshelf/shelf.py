"""The shelf: collections in one folder, and every operation on them.

This module owns what a caller sees: names are resolved, collections and projects opened, then a plain function
does the work. It is the one module that knows telemetry: each operation is tracked where a person's intention
enters, so what operations do for one another is not counted again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from skillshelf import deploying, searching, syncing, updating
from skillshelf.artifact import Artifact, Kind, load
from skillshelf.collection import Collection, check_collection_name
from skillshelf.errors import (
    AlreadyThereError,
    EditedCopyError,
    NoAnswerError,
    NoShelfError,
    UnknownCollectionError,
    about,
)
from skillshelf.project import Project, Record
from skillshelf.results import (
    AddResult,
    CleanupResult,
    DeployResult,
    Reason,
    RemoveResult,
    SearchResult,
    SearchType,
    Strategy,
    SyncResult,
    SyncType,
    UpdateResult,
)
from skillshelf.updating import Confirm
from usagetrace import track

# Collection that commands use when none is named.
DEFAULT_COLLECTION = "default"
# Where telemetry finds an artifact's type: people seldom name it, and the tool knows it once it found the artifact.
_TYPE = "$result.artifact_type | $error.artifact_type | $artifact_type"
# File that marks a folder as a shelf.
MARKER = "shelf.toml"


def default_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the shelf is when nothing else is said: ``SHELF_HOME``, else ``~/.skillshelf``."""
    said = environ.get("SHELF_HOME", "").strip()
    return Path(said).expanduser() if said else Path.home() / ".skillshelf"


def unanswered(question: str) -> bool:
    """Refuse to guess an answer.

    Raises:
        NoAnswerError: Always.
    """
    raise NoAnswerError(f"{question}\nnobody can be asked here: answer with --yes or --no")


class Shelf:
    """A shelf on disk. Open one with :meth:`open`, make one with :meth:`create`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> Shelf:
        """Make a shelf with a default collection; an existing one is left as it is."""
        root.mkdir(parents=True, exist_ok=True)
        marker = root / MARKER
        if not marker.exists():
            marker.write_text("# skillshelf: this folder is a shelf\nformat = 1\n", encoding="utf-8")
        shelf = cls(root)
        shelf.create_collection(DEFAULT_COLLECTION)
        return shelf

    @classmethod
    def open(cls, root: Path) -> Shelf:
        """Open a shelf.

        Raises:
            NoShelfError: There is none.
        """
        if not (root / MARKER).is_file():
            raise NoShelfError(f"{root}: there is no shelf here; make one with 'skillshelf init'")
        return cls(root)

    def create_collection(self, name: str) -> Collection:
        """Make a collection; an existing one is left as it is."""
        collection = self._collection(name)
        collection.root.mkdir(parents=True, exist_ok=True)
        return collection

    def collection(self, name: str = DEFAULT_COLLECTION) -> Collection:
        """Return a collection.

        Raises:
            UnknownCollectionError: There is none of that name.
        """
        collection = self._collection(name)
        if not collection.root.is_dir():
            known = ", ".join(each.name for each in self.collections()) or "none"
            raise UnknownCollectionError(
                f"no collection {name!r} on the shelf {self.root} (there is: {known}); "
                "make it with 'skillshelf init --collection'"
            )
        return collection

    def _collection(self, name: str) -> Collection:
        return Collection(check_collection_name(name), self.root / "collections" / name)

    def collections(self) -> list[Collection]:
        """Return every collection, by name."""
        folder = self.root / "collections"
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
        return [Collection(name, folder / name) for name in names if not name.startswith(".")]

    @track(
        "add",
        artifact_name="$result.artifact_name | $path.stem",
        artifact_type=_TYPE,
        collection_name="$collection",
        metadata={"version": "$result.version", "sha": "$result.sha", "replaced": "$result.replaced"},
    )
    def add(
        self,
        path: Path,
        collection: str = DEFAULT_COLLECTION,
        *,
        artifact_type: Kind | None = None,
        replace: bool = False,
    ) -> AddResult:
        """Take an artifact from anywhere on the disk into a collection.

        Args:
            path: A skill's folder, or the file of a command or an agent.
            collection: Collection to take it into.
            artifact_type: Its type, where that can't be told from the path.
            replace: Remove what has its type and name there.

        Raises:
            ShelfError: It is no artifact, there is no such collection, or the name is taken.
        """
        into = self.collection(collection)
        artifact = load(path, artifact_type)
        taken = into.rack.has(artifact.kind, artifact.name)
        if taken and not replace:
            with about(artifact.kind):
                raise AlreadyThereError(
                    f"{artifact.kind.value} {artifact.name!r} is in collection {into.name!r} already; "
                    "use 'skillshelf update', or add --replace"
                )
        if taken:
            self.remove(artifact.name, artifact.kind, collection)
        into.take(artifact)
        return AddResult(artifact.name, artifact.kind, into.name, artifact.version, artifact.sha, taken)

    @track.deploy(artifact_type=_TYPE)
    def deploy(
        self,
        name: str,
        project: Path,
        artifact_type: Kind | None = None,
        collection: str = DEFAULT_COLLECTION,
        *,
        force: bool = False,
    ) -> DeployResult:
        """Copy an artifact into a project; see :func:`skillshelf.deploying.deploy`.

        Raises:
            ShelfError: There is no such artifact, collection or project, or edits would be lost.
        """
        source = self.collection(collection)
        artifact = source.find(name, artifact_type)
        with about(artifact.kind):
            return deploying.deploy(artifact, source, Project.open(project), force=force)

    @track.update(artifact_type=_TYPE)
    def update(
        self,
        name: str,
        source: Path,
        strategy: Strategy = "overwrite",
        artifact_type: Kind | None = None,
        collection: str = DEFAULT_COLLECTION,
        *,
        confirm: Confirm = unanswered,
    ) -> UpdateResult:
        """Bring a new version into a collection; see :func:`skillshelf.updating.update`.

        Raises:
            ShelfError: There is no such artifact or new version, or the update was rolled back.
        """
        into = self.collection(collection)
        current = into.find(name, artifact_type)
        with about(current.kind):
            return updating.update(into, current, load(source, current.kind), strategy, confirm)

    @track.sync(artifact_type=_TYPE, collection_name="$result.collection_name")
    def sync(
        self,
        name: str,
        project: Path,
        sync_type: SyncType = "merge",
        artifact_type: Kind | None = None,
        *,
        confirm: Confirm = unanswered,
        fork_name: str | None = None,
    ) -> SyncResult:
        """Bring a project's copy and its collection together; see :func:`skillshelf.syncing.sync`.

        Raises:
            ShelfError: There is no such project, or the artifact is not deployed in it.
        """
        opened = Project.open(project)
        record = opened.find(name, artifact_type)
        collection = self._collection(record.collection)
        return syncing.sync(collection, opened, record, sync_type, confirm=confirm, fork_name=fork_name)

    @track.remove(artifact_type=_TYPE, skip_within=("add",))
    def remove(
        self, name: str, artifact_type: Kind | None = None, collection: str = DEFAULT_COLLECTION
    ) -> RemoveResult:
        """Remove an artifact from a collection; copies in projects stay.

        Raises:
            ShelfError: There is no such artifact or collection.
        """
        source = self.collection(collection)
        kind = source.find_entry(name, artifact_type)
        source.delete(kind, name)
        return RemoveResult(name, kind, source.name, "user_action", False)

    @track.remove(
        artifact_type=_TYPE,
        collection_name="$result.collection_name",
    )
    def remove_from_project(
        self,
        name: str,
        project: Path,
        artifact_type: Kind | None = None,
        *,
        reason: Reason = "user_action",
        force: bool = False,
    ) -> RemoveResult:
        """Remove a deployed copy from a project; the collection is not touched.

        Raises:
            ShelfError: There is no such project or copy, or its edits would be lost.
        """
        opened = Project.open(project)
        record = opened.find(name, artifact_type)
        with about(record.kind):
            return deploying.undeploy(record, opened, reason, force=force)

    def cleanup(self, project: Path) -> CleanupResult:
        """Remove from a project each copy whose source is no longer on the shelf; edited copies stay.

        Raises:
            ProjectError: There is no such project.
        """
        removed: list[RemoveResult] = []
        kept: list[str] = []
        for record in Project.open(project).records():
            if not self.is_orphan(record):
                continue
            try:
                removed.append(self.remove_from_project(record.name, project, record.kind, reason="cleanup"))
            except EditedCopyError:
                kept.append(record.name)
        return CleanupResult(tuple(removed), tuple(kept))

    def is_orphan(self, record: Record) -> bool:
        """Return whether a deployed copy's source is no longer on the shelf."""
        return not self._collection(record.collection).rack.has(record.kind, record.name)

    @track.search(
        each="$result.matches[:5]",
        artifact_name="$item.name",
        artifact_type="$item.kind",
        collection_name="$item.collection",
        metadata={
            "query": "$query",
            "search_type": "$search_type",
            "score": "$item.score",
            "rank": "$rank",
            "total_results": "$result.total",
        },
    )
    def search(
        self,
        query: str,
        search_type: SearchType = "both",
        kind: Kind | None = None,
        limit: int = 20,
        collection: str | None = None,
    ) -> SearchResult:
        """Find artifacts by words; see :func:`skillshelf.searching.search`.

        Args:
            query: Words.
            search_type: Where to look.
            kind: Type to look at; all by default.
            limit: Most matches to return.
            collection: Collection to look at; all by default.

        Raises:
            UnknownCollectionError: There is no such collection.
        """
        return searching.search(self._readable(kind, collection), query, search_type, limit)

    def _readable(self, kind: Kind | None, name: str | None) -> Iterator[tuple[str, Artifact]]:
        for collection in self.collections() if name is None else [self.collection(name)]:
            good, _ = collection.artifacts(kind)
            for artifact in good:
                yield collection.name, artifact

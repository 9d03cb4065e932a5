"""A folder with ``skills``, ``commands`` and ``agents`` in it: the one way artifacts lie on a disk.

Collections, deployed copies in projects and the snapshots of both are racks. This module owns their layout and
keeps every access inside the rack's folder. It knows nothing of what a rack is for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from skillshelf.artifact import Artifact, Kind, check_name, from_tree
from skillshelf.errors import InvalidArtifactError
from skillshelf.tree import Tree, discard, read_file, read_folder, replacing


@dataclass(frozen=True)
class Rack:
    """Artifacts below one folder, at most one of each type and name.

    Attributes:
        root: The folder; it need not exist before something is put into it.
        within: A folder that nothing of this rack may lie outside of, links followed.
    """

    root: Path
    within: Path

    def path(self, kind: Kind, name: str) -> Path:
        """Return where an artifact lies or would lie.

        Raises:
            InvalidNameError: The name can't be a file name.
            InvalidArtifactError: A link leads out of the folder that the rack belongs to.
        """
        check_name(name)
        path = self.root / kind.folder / (f"{name}.md" if kind.single else name)
        if not path.resolve().is_relative_to(self.within.resolve()):
            raise InvalidArtifactError(path, [f"a link leads out of {self.within}"])
        return path

    def has(self, kind: Kind, name: str) -> bool:
        """Return whether something of that type and name is there, valid or not."""
        return self.path(kind, name).exists()

    def names(self, kind: Kind) -> list[str]:
        """Return the names of one type, sorted."""
        folder = self.root / kind.folder
        if not folder.is_dir():
            return []
        names = (
            entry.name.removesuffix(".md") if kind.single else entry.name
            for entry in folder.iterdir()
            if not entry.name.startswith(".") and (entry.name.endswith(".md") or not kind.single)
        )
        return sorted(names)

    def read(self, kind: Kind, name: str) -> Tree:
        """Return the files of one artifact, unchecked.

        Raises:
            InvalidArtifactError: It can't be read as a tree of files.
        """
        path = self.path(kind, name)
        if not path.exists():
            raise InvalidArtifactError(path, ["there is no such file or folder"])
        return {kind.main_file: read_file(path)} if kind.single else read_folder(path)

    def load(self, kind: Kind, name: str) -> Artifact:
        """Return one artifact, checked, its name included.

        Raises:
            InvalidArtifactError: The files form no artifact, or one of another name.
        """
        path = self.path(kind, name)
        artifact = from_tree(kind, self.read(kind, name), path)
        if artifact.name != name:
            raise InvalidArtifactError(path, [f"its front matter says name: {artifact.name}, expected {name}"])
        return artifact

    def replacing(self, kind: Kind, name: str, tree: Tree) -> AbstractContextManager[None]:
        """Put files in place, for good only if the block succeeds; see :func:`skillshelf.tree.replacing`."""
        return replacing(self.path(kind, name), tree, single=kind.single)

    def put(self, kind: Kind, name: str, tree: Tree) -> None:
        """Put files in place."""
        with self.replacing(kind, name, tree):
            pass

    def delete(self, kind: Kind, name: str) -> None:
        """Delete one artifact; nothing happens where there is none."""
        discard(self.path(kind, name))

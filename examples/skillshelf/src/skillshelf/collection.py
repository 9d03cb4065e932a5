"""Collections: named sets of artifacts on a shelf.

This module owns where the parts of a collection lie. Beside each artifact it keeps the files as they last came
from outside (its origin), so that an update can tell local edits from the author's. It knows nothing of projects.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skillshelf.artifact import Artifact, Kind, check_name
from skillshelf.errors import AmbiguousArtifactError, ShelfError, UnknownArtifactError
from skillshelf.rack import Rack
from skillshelf.tree import Tree


@dataclass(frozen=True)
class Collection:
    """One collection.

    Attributes:
        name: Unique on the shelf.
        root: Its folder.
    """

    name: str
    root: Path

    @property
    def rack(self) -> Rack:
        """The artifacts as they are used."""
        return Rack(self.root, self.root)

    @property
    def origin(self) -> Rack:
        """The same artifacts as they last came from outside."""
        return Rack(self.root / ".origin", self.root)

    def entries(self, kind: Kind | None = None) -> Iterator[tuple[Kind, str]]:
        """Yield type and name of each artifact, sorted."""
        for each in Kind if kind is None else (kind,):
            for name in self.rack.names(each):
                yield each, name

    def find(self, name: str, kind: Kind | None = None) -> Artifact:
        """Return the artifact of that name.

        Args:
            name: Its name.
            kind: Its type; needed only where the name fits several.

        Raises:
            UnknownArtifactError: There is none; close names are suggested.
            AmbiguousArtifactError: There are several and ``kind`` is None.
        """
        return self.rack.load(self.find_entry(name, kind), name)

    def find_entry(self, name: str, kind: Kind | None = None) -> Kind:
        """Return the type of the artifact of that name, which need not be valid; else as :meth:`find`."""
        check_name(name)
        kinds = [each for each in ((kind,) if kind else Kind) if self.rack.has(each, name)]
        if not kinds:
            raise UnknownArtifactError(self._unknown(name, kind))
        if len(kinds) > 1:
            types = " and as ".join(each.value for each in kinds)
            raise AmbiguousArtifactError(f"{name!r} is in collection {self.name!r} as {types}: say which with --type")
        return kinds[0]

    def _unknown(self, name: str, kind: Kind | None) -> str:
        near = difflib.get_close_matches(name, [other for _, other in self.entries(kind)], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; 'skillshelf list' shows what there is"
        return f"no {kind.value if kind else 'artifact'} {name!r} in collection {self.name!r}{hint}"

    def artifacts(self, kind: Kind | None = None) -> tuple[list[Artifact], list[str]]:
        """Return every valid artifact, and one sentence for each entry that is none or can't be read."""
        good: list[Artifact] = []
        bad: list[str] = []
        for each, name in self.entries(kind):
            try:
                good.append(self.rack.load(each, name))
            except (ShelfError, OSError) as error:
                bad.append(f"{each.value} {name!r} in collection {self.name!r}: {error}")
        return good, bad

    def take(self, artifact: Artifact) -> None:
        """Put an artifact from outside into the collection; what had its name is replaced."""
        with self.rack.replacing(artifact.kind, artifact.name, artifact.tree):
            self.origin.put(artifact.kind, artifact.name, artifact.tree)

    def origin_of(self, artifact: Artifact) -> Tree:
        """Return the artifact's files as they last came from outside; its own where nothing is known."""
        if self.origin.has(artifact.kind, artifact.name):
            return self.origin.read(artifact.kind, artifact.name)
        return artifact.tree

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an artifact and its origin."""
        self.rack.delete(kind, name)
        self.origin.delete(kind, name)


def check_collection_name(name: str) -> str:
    """Return the name if a collection may have it.

    Raises:
        InvalidNameError: It may not.
    """
    return check_name(name, "collection")

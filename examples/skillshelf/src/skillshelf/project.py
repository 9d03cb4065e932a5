"""Projects: folders that artifacts are deployed into, below ``.shelf``.

This module owns the manifest and the base snapshots: for each deployed artifact, where it came from and the files
as both sides last agreed on them. It knows nothing of how collections are kept.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skillshelf.artifact import Kind, check_name
from skillshelf.errors import AmbiguousArtifactError, ProjectError, ShelfError, UnknownArtifactError
from skillshelf.rack import Rack
from skillshelf.tree import Tree, digest

# Version of the manifest's form.
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What the manifest says of one deployed artifact.

    Attributes:
        kind: Type.
        name: Name.
        collection: Collection that it came from.
        version: Version as last agreed on.
        base_sha: Content hash of the files as last agreed on.
        conflicted: Whether the last sync left conflict markers in the project.
    """

    kind: Kind
    name: str
    collection: str
    version: str
    base_sha: str
    conflicted: bool = False


class Project:
    """One project. Open it with :meth:`open`."""

    def __init__(self, root: Path, records: dict[tuple[Kind, str], Record]) -> None:
        self.root = root
        self._records = records
        self.deployed = Rack(root / ".shelf", root)
        self.base = Rack(root / ".shelf" / "base", root)

    @classmethod
    def open(cls, root: Path) -> Project:
        """Read a project's manifest; a project without one has nothing deployed.

        Raises:
            ProjectError: The folder is not there, or its manifest can't be read.
        """
        if not root.is_dir():
            raise ProjectError(f"{root}: there is no such project folder; create it first")
        manifest = root / ".shelf" / "manifest.json"
        if not manifest.resolve().is_relative_to(root.resolve()):
            raise ProjectError(f"{manifest}: a link leads out of the project")
        try:
            text = manifest.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(root, {})
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"{manifest}: can't be read: {error}") from error
        try:
            records = _records(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, ShelfError) as error:
            raise ProjectError(f"{manifest}: this is not a manifest of format {FORMAT}: {error}") from error
        return cls(root, {(record.kind, record.name): record for record in records})

    def records(self) -> list[Record]:
        """Return what is deployed, by type and name."""
        return [self._records[key] for key in sorted(self._records, key=lambda key: (key[0].folder, key[1]))]

    def get(self, kind: Kind, name: str) -> Record | None:
        """Return the record of one artifact, or None where it is not deployed."""
        return self._records.get((kind, name))

    def find(self, name: str, kind: Kind | None = None) -> Record:
        """Return the record of the artifact of that name.

        Raises:
            UnknownArtifactError: It is not deployed here.
            AmbiguousArtifactError: Several types are, and ``kind`` is None.
        """
        check_name(name)
        found = [record for record in self.records() if record.name == name and kind in (None, record.kind)]
        if not found:
            what = kind.value if kind else "artifact"
            raise UnknownArtifactError(
                f"no {what} {name!r} is deployed in {self.root}; 'skillshelf list --project' shows what is"
            )
        if len(found) > 1:
            types = " and as ".join(record.kind.value for record in found)
            raise AmbiguousArtifactError(f"{name!r} is deployed in {self.root} as {types}: say which with --type")
        return found[0]

    def is_edited(self, record: Record) -> bool:
        """Return whether the deployed copy differs from what both sides last agreed on."""
        if not self.deployed.has(record.kind, record.name):
            return False
        return digest(self.deployed.read(record.kind, record.name)) != record.base_sha

    def place(self, record: Record, tree: Tree, base: Tree) -> None:
        """Write a deployed copy, its base snapshot and its record; all of it or nothing."""
        key = (record.kind, record.name)
        former = self._records.get(key)
        with (
            self.deployed.replacing(record.kind, record.name, tree),
            self.base.replacing(record.kind, record.name, base),
        ):
            self._records[key] = record
            try:
                self._save()
            except BaseException:
                self._records.pop(key)
                if former is not None:
                    self._records[key] = former
                raise

    def remove(self, record: Record) -> None:
        """Delete a deployed copy, its snapshot and its record."""
        del self._records[(record.kind, record.name)]
        self._save()
        self.deployed.delete(record.kind, record.name)
        self.base.delete(record.kind, record.name)

    def _save(self) -> None:
        manifest = self.root / ".shelf" / "manifest.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        entries = []
        for record in self.records():
            entry = asdict(record)
            entries.append({"type": entry.pop("kind").value, **entry})
        incoming = manifest.with_suffix(".new")
        incoming.write_text(json.dumps({"format": FORMAT, "artifacts": entries}, indent=2) + "\n", encoding="utf-8")
        os.replace(incoming, manifest)


def _records(manifest: dict[str, Any]) -> list[Record]:
    if manifest.get("format") != FORMAT:
        raise ValueError(f"format is {manifest.get('format')!r}")
    return [
        Record(
            Kind(entry["type"]),
            check_name(entry["name"]),
            check_name(entry["collection"], "collection"),
            str(entry["version"]),
            str(entry["base_sha"]),
            bool(entry["conflicted"]),
        )
        for entry in manifest["artifacts"]
    ]

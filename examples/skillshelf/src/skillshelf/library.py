"""The starter library: artifacts that come with this tool.

This module owns copying them out of the package. What they say lies in ``starter/`` as plain files.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from skillshelf.artifact import Artifact, load
from skillshelf.collection import Collection
from skillshelf.rack import Rack


def starter_artifacts() -> list[Artifact]:
    """Return every artifact of the starter library, by type and name."""
    with resources.as_file(resources.files("skillshelf") / "starter") as folder:
        collection = Collection("starter", folder)
        return [load(collection.rack.path(kind, name)) for kind, name in collection.entries()]


def write_starter(folder: Path) -> list[Path]:
    """Write the starter library as plain files.

    Args:
        folder: Where to; ``skills``, ``commands`` and ``agents`` are made in it.

    Returns:
        The path of each artifact: a skill's folder, or the file of a command or an agent.
    """
    rack = Rack(folder, folder)
    return list(_written(rack))


def _written(rack: Rack) -> Iterator[Path]:
    for artifact in starter_artifacts():
        rack.put(artifact.kind, artifact.name, artifact.tree)
        yield rack.path(artifact.kind, artifact.name)


def stock(collection: Collection) -> tuple[int, int]:
    """Put the starter library into a collection; what has an artifact's name there is left alone.

    Returns:
        How many artifacts were added, and how many were there already.
    """
    added = there = 0
    for artifact in starter_artifacts():
        if collection.rack.has(artifact.kind, artifact.name):
            there += 1
        else:
            collection.take(artifact)
            added += 1
    return added, there

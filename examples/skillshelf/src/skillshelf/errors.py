"""What can go wrong on a shelf, as one tree of errors. Messages name the thing, the place and the remedy.

::

    ShelfError
    ├── NoShelfError             the folder holds no shelf
    ├── InvalidNameError         a name that can't be a file name on every system
    ├── InvalidArtifactError     a file or folder that is not an artifact; lists every fault
    ├── UnknownCollectionError   no such collection
    ├── UnknownArtifactError     no such artifact
    ├── AmbiguousArtifactError   the name fits artifacts of several types
    ├── AlreadyThereError        something of that name exists and would be lost
    ├── EditedCopyError          a deployed copy was edited and would be lost
    ├── ProjectError             a project that is not there, or whose manifest can't be read
    ├── NoAnswerError            a question had to be asked and nobody can answer
    └── UpdateFailedError        an update that did not happen; says whether it was rolled back
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class ShelfError(Exception):
    """Base of every error that this tool raises on purpose.

    Attributes:
        artifact_type: Type of the artifact that the error is about, where it is known; see :func:`about`.
    """

    artifact_type: str | None = None


@contextmanager
def about(artifact_type: str) -> Iterator[None]:
    """Note on each error of this tool raised in the block which type of artifact it is about."""
    try:
        yield
    except ShelfError as error:
        error.artifact_type = artifact_type
        raise


class NoShelfError(ShelfError):
    """The folder holds no shelf."""


class InvalidNameError(ShelfError):
    """A name that can't be used for an artifact or a collection."""


class InvalidArtifactError(ShelfError):
    """A file or folder that is not an artifact.

    Args:
        where: The file or folder.
        faults: One sentence for each fault.
    """

    def __init__(self, where: object, faults: Sequence[str]) -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        super().__init__(f"{where}: {'; '.join(self.faults)}")


class UnknownCollectionError(ShelfError):
    """No collection of that name is on the shelf."""


class UnknownArtifactError(ShelfError):
    """No artifact of that name is where it was looked for."""


class AmbiguousArtifactError(ShelfError):
    """The name fits artifacts of several types."""


class AlreadyThereError(ShelfError):
    """Something of that name exists already and would be lost."""


class EditedCopyError(ShelfError):
    """A deployed copy was edited since it was deployed, and the edits would be lost."""


class ProjectError(ShelfError):
    """A project that is not there, or whose manifest can't be read."""


class NoAnswerError(ShelfError):
    """A question had to be asked, and there is no terminal to ask at."""


class UpdateFailedError(ShelfError):
    """An update that did not happen.

    Args:
        message: What failed, and what state the collection is in.
        rollback: Whether files had been changed and were put back.
        version_before: Version that is in the collection.
        conflicts_detected: Places where local edits and the new version disagree.
    """

    def __init__(self, message: str, *, rollback: bool, version_before: str, conflicts_detected: int) -> None:
        super().__init__(message)
        self.rollback = rollback
        self.version_before = version_before
        # Named as in UpdateResult, so that whoever reads either finds the version that is there now.
        self.version_after = version_before
        self.conflicts_detected = conflicts_detected

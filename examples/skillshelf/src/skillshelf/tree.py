"""The files of one artifact, in memory: reading them, writing them, and their content hash.

This module owns the step between a disk and a :data:`Tree`. It knows nothing of front matter or shelves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from skillshelf.errors import InvalidArtifactError

# Leftovers of other programs, which are no part of an artifact.
IGNORED_NAMES = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store", "Thumbs.db"})


class File(NamedTuple):
    """One file: its bytes, and whether its owner may run it."""

    data: bytes
    executable: bool = False

    def text(self) -> str | None:
        """Return the content as text, or None where it is not UTF-8 text."""
        if b"\0" in self.data:
            return None
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError:
            return None


# Files by their path below the artifact's folder, with ``/`` between the parts.
Tree = Mapping[str, File]


def read_folder(folder: Path) -> dict[str, File]:
    """Read every file below a folder.

    Args:
        folder: An existing folder.

    Returns:
        The files; a link to a file inside the folder counts as that file.

    Raises:
        InvalidArtifactError: A link leaves the folder, leads to another folder or to nothing.
        OSError: A file can't be read.
    """
    root = folder.resolve()
    tree: dict[str, File] = {}
    for where, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in IGNORED_NAMES)
        for name in [*files, *(name for name in folders if (Path(where) / name).is_symlink())]:
            if name in IGNORED_NAMES or name.endswith(".pyc"):
                continue
            path = Path(where) / name
            if path.is_symlink():
                _check_link(path, root)
            tree[path.relative_to(root).as_posix()] = read_file(path)
    return tree


def _check_link(path: Path, root: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(root):
        raise InvalidArtifactError(path, ["the link leaves the artifact's folder; put a copy there instead"])
    if not target.is_file():
        raise InvalidArtifactError(path, ["the link does not lead to a file"])


def read_file(path: Path) -> File:
    """Read one file.

    Raises:
        InvalidArtifactError: The path is a device, a pipe or a socket.
        OSError: The file can't be read.
    """
    if not path.is_file():
        raise InvalidArtifactError(path, ["this is not a regular file"])
    return File(path.read_bytes(), bool(path.stat().st_mode & 0o100))


def digest(tree: Tree) -> str:
    """Return the content hash of a tree: 64 hexadecimal digits.

    It is the SHA-256 of one line a file, sorted by path: the SHA-256 of its bytes, ``x`` or ``-`` for the
    executable bit, and its path, with two spaces between.
    """
    lines = (
        f"{hashlib.sha256(file.data).hexdigest()}  {'x' if file.executable else '-'}  {path}\n"
        for path, file in sorted(tree.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def replacing(target: Path, tree: Tree, *, single: bool) -> Iterator[None]:
    """Put a tree in place of what is at a path, for good only if the block succeeds.

    Args:
        target: Folder, or the file of an artifact that is one file. It need not exist.
        tree: The new files.
        single: Whether the target is one file; the tree has one entry then.

    Raises:
        Exception: Whatever the writing or the block raised, after the former state is back.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.with_name(f".{target.name}.new")
    backup = target.with_name(f".{target.name}.old")
    if os.path.lexists(backup) and not os.path.lexists(target):
        backup.rename(target)  # a former run was killed between the two renames below
    for leftover in (incoming, backup):
        discard(leftover)
    placed = False
    try:
        _write(incoming, tree, single=single)
        if os.path.lexists(target):
            target.rename(backup)
        incoming.rename(target)
        placed = True
        yield
    except BaseException:
        discard(incoming)
        if placed:
            discard(target)
        if os.path.lexists(backup):
            backup.rename(target)
        raise
    discard(backup)


def _write(target: Path, tree: Tree, *, single: bool) -> None:
    for name, file in tree.items():
        path = target if single else target.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        if file.executable:
            path.chmod(path.stat().st_mode | 0o111)


def discard(path: Path) -> None:
    """Delete a file, a link or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

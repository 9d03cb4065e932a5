"""What an artifact is: a skill (a folder), a command or an agent (one Markdown file each).

This module owns the types of artifacts, their names, and the check that files form a valid one. It does not
know where artifacts are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from skillshelf import frontmatter
from skillshelf.errors import InvalidArtifactError, InvalidNameError
from skillshelf.tree import File, Tree, digest, read_file, read_folder

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_VERSION = re.compile(r"v?\d+(?:\.\d+){0,3}(?:[-+][0-9A-Za-z.+-]+)?")
# Device names that Windows reserves in every folder.
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


class Kind(str, Enum):
    """Type of an artifact."""

    SKILL = "skill"
    COMMAND = "command"
    AGENT = "agent"

    @property
    def folder(self) -> str:
        """Name of the folder that holds artifacts of this type."""
        return f"{self.value}s"

    @property
    def single(self) -> bool:
        """Whether the artifact is one file."""
        return self is not Kind.SKILL

    @property
    def main_file(self) -> str:
        """Path, in the artifact's tree, of the file with the front matter."""
        return f"{self.value.upper()}.md"


@dataclass(frozen=True)
class Artifact:
    """One valid artifact, with its files.

    Attributes:
        kind: Type.
        name: Unique among artifacts of one type in one collection.
        version: As its author wrote it.
        description: One sentence.
        tags: Words to find it by.
        tree: Its files; never without :attr:`Kind.main_file`.
    """

    kind: Kind
    name: str
    version: str
    description: str
    tags: tuple[str, ...]
    tree: Tree

    @property
    def sha(self) -> str:
        """Content hash of the files."""
        return digest(self.tree)

    def main_text(self) -> str:
        """Return the text of the file with the front matter."""
        return self.tree[self.kind.main_file].data.decode("utf-8")

    def renamed(self, name: str) -> Artifact:
        """Return the same artifact under another name, in its front matter too."""
        text = frontmatter.with_field(self.main_text(), "name", name)
        main = self.tree[self.kind.main_file]._replace(data=text.encode())
        return from_tree(self.kind, {**self.tree, self.kind.main_file: main}, where=name)


def check_name(name: str, what: str = "artifact") -> str:
    """Return the name if it may be used for a file on every system.

    Raises:
        InvalidNameError: It holds a separator, ``..``, a control character, or is too long.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.split(".")[0] in _RESERVED:
        raise InvalidNameError(
            f"{name[:80]!r} can't be the name of {_article(what)} {what}: use 1 to 64 of a-z 0-9 . _ -, "
            "with a letter or digit at both ends"
        )
    return name


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def from_tree(kind: Kind, tree: Tree, where: object) -> Artifact:
    """Check files and return the artifact they form.

    Args:
        kind: Type that the files should have.
        tree: The files.
        where: The place they come from, for messages.

    Raises:
        InvalidArtifactError: With every fault found.
    """
    main = tree.get(kind.main_file)
    if main is None:
        raise InvalidArtifactError(where, [f"a {kind.value} needs a file {kind.main_file}"])
    text = main.text()
    if text is None:
        raise InvalidArtifactError(where, ["the file with the front matter is binary, not UTF-8 text"])
    front = frontmatter.parse(text)
    faults = list(front.faults)
    if front.fields or not faults:
        faults += _field_faults(kind, front.fields)
    if faults:
        raise InvalidArtifactError(where, faults)
    return Artifact(
        kind, _text(front, "name"), _text(front, "version"), _text(front, "description"), _tags(front), tree
    )


def _field_faults(kind: Kind, fields: dict[str, frontmatter.Value]) -> list[str]:
    faults = []
    for key in ("name", "description", "version"):
        value = fields.get(key)
        if not value or not isinstance(value, str):
            faults.append(f"{key} is missing in the front matter")
        elif key == "name":
            try:
                check_name(value)
            except InvalidNameError as error:
                faults.append(str(error))
        elif key == "version" and not _VERSION.fullmatch(value):
            faults.append(f"version {value[:40]!r} is not like 1.2.3")
    if fields.get("type", kind.value) != kind.value:
        faults.append(f"type is {fields['type']!r}, expected {kind.value!r}")
    return faults


def _text(front: frontmatter.FrontMatter, key: str) -> str:
    value = front.fields[key]
    return value if isinstance(value, str) else ", ".join(value)


def _tags(front: frontmatter.FrontMatter) -> tuple[str, ...]:
    raw = front.fields.get("tags", "")
    parts = raw if isinstance(raw, list) else raw.split(",")
    return tuple(part.strip() for part in parts if part.strip())


def load(path: Path, kind: Kind | None = None) -> Artifact:
    """Read an artifact from anywhere on the disk.

    Args:
        path: A folder with a SKILL.md, or a Markdown file. For a file the type is ``kind``, else what its
            front matter says under ``type``, else its folder's name (``commands`` or ``agents``).
        kind: Type to insist on.

    Raises:
        InvalidArtifactError: There is nothing, or no artifact.
    """
    if path.is_dir():
        if kind not in (None, Kind.SKILL):
            raise InvalidArtifactError(path, [f"this is a folder, and a {kind.value} is one Markdown file"])
        return from_tree(Kind.SKILL, read_folder(path), path)
    if not path.exists():
        raise InvalidArtifactError(path, ["there is no such file or folder"])
    if kind is Kind.SKILL or path.name == Kind.SKILL.main_file:
        raise InvalidArtifactError(path, ["a skill is a folder with a SKILL.md: give the folder"])
    file = read_file(path)
    found = kind or _kind_of(path, file)
    return from_tree(found, {found.main_file: file}, path)


def _kind_of(path: Path, file: File) -> Kind:
    says = frontmatter.parse(file.text() or "").fields.get("type")
    for kind in (Kind.COMMAND, Kind.AGENT):
        if says == kind.value or (says is None and path.resolve().parent.name == kind.folder):
            return kind
    if file.text() is None:
        raise InvalidArtifactError(path, ["the file is binary, not UTF-8 text"])
    raise InvalidArtifactError(path, ["command or agent? say 'type: command' in the front matter, or --type"])

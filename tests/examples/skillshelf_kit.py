"""Files that the tests of the example tool work on, and the way to its package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# The example is a package of its own, which need not be installed to be tested.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "skillshelf" / "src"))

if TYPE_CHECKING:
    from skillshelf.shelf import Shelf

BODY = "# Title\n\nfirst\n\nmiddle\n\nlast\n"


def front(name: str = "note", version: str = "1.0.0", more: str = "") -> str:
    """Return a block of front matter."""
    return f"---\nname: {name}\ndescription: Keeps notes\nversion: {version}\n{more}---\n\n"


def skill(parent: Path, name: str = "note", version: str = "1.0.0", body: str = BODY) -> Path:
    """Write a skill and return its folder."""
    folder = parent / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SKILL.md").write_text(front(name, version) + body)
    (folder / "data.bin").write_bytes(b"\0\1")
    return folder


def command_file(parent: Path, name: str, kind: str = "command") -> Path:
    """Write a command or an agent and return its file."""
    parent.mkdir(parents=True, exist_ok=True)
    path = parent / f"{name}.md"
    path.write_text(front(name, more=f"type: {kind}\n") + BODY)
    return path


def copy_of(project: Path, name: str = "note") -> Path:
    """Return the main file of a deployed skill."""
    return project / ".shelf" / "skills" / name / "SKILL.md"


def source_of(shelf: Shelf, name: str = "note") -> Path:
    """Return the main file of a skill in the default collection."""
    return shelf.root / "collections" / "default" / "skills" / name / "SKILL.md"


def change(path: Path, before: str, after: str) -> None:
    """Replace a text in a file, which must be there."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def everything(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

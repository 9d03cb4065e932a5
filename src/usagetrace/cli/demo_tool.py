"""A small real tool that the demo runs: notes in a shelf are deployed to a project, updated, synced, removed, searched.

It is a tool like any other: decorated with ``track``, and knowing nothing of where its events go. Run as
``python -m usagetrace.cli.demo_tool FOLDER``; everything it does is inside that folder.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from usagetrace import track


@dataclass(frozen=True)
class Done:
    """What an operation found; the names are those that ``track`` looks for."""

    version: str = ""
    sha: str = ""
    version_before: str = ""
    version_after: str = ""
    strategy: str = "overwrite"
    result: str = "success"
    sha_before: str = ""
    sha_after: str = ""
    conflicts_detected: int = 0


@dataclass(frozen=True)
class Match:
    """One note that a search found."""

    name: str
    type: str
    score: float


@dataclass(frozen=True)
class Found:
    """What a search found, the best first."""

    matches: list[Match]
    total: int


class Shelf:
    """A folder of notes, ``KIND/NAME.md``, whose first line is the version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, kind: str, name: str) -> Path:
        """Return the file of a note."""
        return self.folder / kind / f"{name}.md"

    @track.deploy(collection_name="shelf")
    def deploy(self, name: str, kind: str, project: Path) -> Done:
        """Copy a note into a project, and remember what was copied."""
        content = self.note(kind, name).read_bytes()
        _write(project / kind / f"{name}.md", content)
        _write(project / ".base" / kind / name, content)
        return Done(version=_version(content), sha=_sha(content))

    @track.update(collection_name="shelf")
    def update(self, name: str, kind: str) -> Done:
        """Raise the version of a note on the shelf."""
        before = self.note(kind, name).read_text("utf-8")
        rest = before.partition("\n")[2]
        version = _version(before.encode())
        _write(self.note(kind, name), f"version {int(version) + 1}\n{rest}".encode())
        return Done(version_before=version, version_after=str(int(version) + 1))

    @track.sync(collection_name="shelf", metadata={"sync_type": "from_shelf"})
    def sync(self, name: str, kind: str, project: Path) -> Done:
        """Bring a project's copy up to date, unless it was changed there as well."""
        target, base = project / kind / f"{name}.md", project / ".base" / kind / name
        ours, theirs, common = target.read_bytes(), self.note(kind, name).read_bytes(), base.read_bytes()
        if ours not in (theirs, common) and theirs != common:
            return Done(result="conflict", conflicts_detected=1, sha_before=_sha(ours), sha_after=_sha(ours))
        _write(target, theirs)
        _write(base, theirs)
        return Done(sha_before=_sha(ours), sha_after=_sha(theirs))

    @track.remove(collection_name="shelf")
    def remove(self, name: str, kind: str, project: Path, reason: str = "user_action") -> None:
        """Delete a project's copy."""
        (project / kind / f"{name}.md").unlink()
        (project / ".base" / kind / name).unlink()

    @track.search(collection_name="shelf")
    def search(self, query: str, search_type: str = "content") -> Found:
        """Find the notes that hold a word, those that hold it most often first."""
        counts = {path: path.read_text("utf-8").lower().count(query.lower()) for path in self.folder.glob("*/*.md")}
        best = sorted((path for path in counts if counts[path]), key=lambda path: (-counts[path], path.name))
        return Found([Match(path.stem, path.parent.name, float(counts[path])) for path in best], len(best))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _version(content: bytes) -> str:
    return content.decode().partition("\n")[0].removeprefix("version ")


_NOTES = {
    ("skill", "canvas"): "Draw boxes and arrows. Review the drawing.",
    ("skill", "summarise"): "Say it in three sentences, then review them.",
    ("skill", "translate"): "Say it in another language.",
    ("command", "review"): "Review a change. Review its tests. Review its words.",
    ("command", "release"): "Build, review, tag, publish.",
    ("agent", "reviewer"): "Reads what others wrote, and says what it saw.",
    ("agent", "librarian"): "Knows where everything is.",
}


def run(folder: Path) -> None:
    """Use the tool for a while, as a person would, mistakes included."""
    shelf, project = Shelf(folder / "shelf"), folder / "project"
    for (kind, name), text in _NOTES.items():
        _write(shelf.note(kind, name), f"version 1\n{text}\n".encode())
        shelf.deploy(name, kind, project)
    _attempt(lambda: shelf.deploy("no-such-note", "skill", project))
    for word in ("review", "say it", "quantum"):
        shelf.search(word)
    for kind, name in (("skill", "canvas"), ("command", "review"), ("skill", "translate")):
        shelf.update(name, kind)
    _attempt(lambda: shelf.update("no-such-note", "command"))
    # Changed in the project as well as on the shelf: the next sync is a conflict.
    (project / "skill" / "canvas.md").write_text("version 1\nDraw circles.\n", "utf-8")
    for kind, name in (("skill", "canvas"), ("command", "review"), ("skill", "translate"), ("agent", "librarian")):
        shelf.sync(name, kind, project)
    shelf.remove("translate", "skill", project)
    _attempt(lambda: shelf.remove("translate", "skill", project))


def _attempt(action: Callable[[], object]) -> None:
    """Do what is going to fail, as a command line does that tells its user and goes on."""
    try:
        action()
    except FileNotFoundError as error:
        print(f"  (the tool said: no such file: {Path(error.filename).name})", file=sys.stderr)


if __name__ == "__main__":
    run(Path(sys.argv[1]))

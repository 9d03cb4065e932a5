"""A scripted story with papis: real commands on real folders, and the events that they must give.

This module owns the story and works out the expected events from what papis did: from the ``info.yaml`` files before
and after a command, from what it printed and from its exit code. It knows nothing of how papis is instrumented.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
INSTRUMENTED = (sys.executable, "-m", "usagetrace", "run", "--config", str(HERE / "usagetrace.toml"), "--", "papis")

# reference, type, title, author, year; a document without a reference gets one from papis
DOCUMENTS = (
    ("frogs1999", "article", "Frogs in still water", "Ada Love", 1999),
    ("toads2003", "article", "Toads near water", "Ada Love", 2003),
    ("newts2011", "article", "Newts under water", "Bob Lee", 2011),
    ("rivers1987", "book", "Running water", "Cleo Ray", 1987),
    ("ponds2015", "book", "Small bodies of water", "Cleo Ray", 2015),
    ("moss2020", "techreport", "Moss and water", "Dan Poe", 2020),
    ("", "thesis", "Stones", "Ida Moore", 1975),
)


@dataclass(frozen=True)
class Expected:
    """One event that must be in the store; ``metadata`` holds the keys that are compared."""

    event_type: str
    artifact_name: str
    artifact_type: str
    status: str = "ok"
    collection_name: str = "papers"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """What a library's folder says of one document."""

    type: str
    folder: Path
    digest: str


@dataclass(frozen=True)
class Command:
    """A command that ran, and what there was in the libraries before and after it."""

    arguments: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    before: Mapping[str, Document]
    after: Mapping[str, Document]

    @property
    def added(self) -> list[str]:
        """References of the documents that it added, sorted."""
        return sorted(self.after.keys() - self.before.keys())

    @property
    def changed(self) -> list[str]:
        """References of the documents that it changed, sorted."""
        both = sorted(self.before.keys() & self.after.keys())
        return [name for name in both if self.before[name].digest != self.after[name].digest]

    @property
    def removed(self) -> list[str]:
        """References of the documents that it removed, sorted."""
        return sorted(self.before.keys() - self.after.keys())


class Session:
    """Runs papis with a home of its own, and keeps a record of every command.

    Args:
        workdir: Where everything lives: home, libraries, settings, cache, temporary files.
        env: Environment of the commands; HOME, TMPDIR and papis's own variables are set here.
        program: The command line that papis's arguments are added to.
    """

    def __init__(self, workdir: Path, env: Mapping[str, str], program: Sequence[str] = INSTRUMENTED) -> None:
        self.workdir = workdir
        self.home = workdir / "home"
        self.inbox = workdir / "inbox"
        self.program = tuple(program)
        self.commands: list[Command] = []
        for name in ("home/papers", "home/archive", "inbox", "config", "tmp"):
            (workdir / name).mkdir(parents=True, exist_ok=True)
        (workdir / "config" / "config").write_text(
            "[settings]\ndefault-library = papers\nadd-folder-name = {doc[ref]}\n"
            f"[papers]\ndir = {self.folder('papers')}\n[archive]\ndir = {self.folder('archive')}\n",
            encoding="utf-8",
        )
        own = {"HOME": "home", "PAPIS_CONFIG_DIR": "config", "PAPIS_CACHE_DIR": "cache", "TMPDIR": "tmp"}
        self.env = {
            **env,
            **{name: str(workdir / folder) for name, folder in own.items()},
            "PATH": os.pathsep.join([sysconfig.get_path("scripts"), env.get("PATH", os.defpath)]),
            "PAPIS_NP": "2",
            "PAPIS_LOG_COLOR": "no",
        }

    def folder(self, library: str) -> Path:
        """Return the folder of a library."""
        return self.home / library

    def documents(self, library: str) -> dict[str, Document]:
        """Return the documents of a library by reference, read from their ``info.yaml``."""
        found = {}
        for path in sorted(self.folder(library).rglob("info.yaml")):
            raw = path.read_bytes()
            data = yaml.safe_load(raw)
            found[data["ref"]] = Document(data["type"], path.parent, hashlib.sha256(raw).hexdigest())
        return found

    def __call__(self, *arguments: str, library: str = "papers") -> Command:
        """Run papis, watching one library."""
        before = self.documents(library)
        done = subprocess.run(
            [*self.program, "--lib", library, *arguments],
            cwd=self.workdir,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        after = self.documents(library)
        command = Command(arguments, done.returncode, done.stdout, done.stderr, before, after)
        self.commands.append(command)
        return command


def run(workdir: Path, env: dict[str, str]) -> list[Expected]:
    """Tell the whole story and return the events that it must have given, in order.

    Args:
        workdir: An empty folder; everything that papis and the store keep goes below it, unless ``env`` says otherwise.
        env: Environment of the commands.
    """
    return tell(Session(workdir, env))


def tell(papis: Session) -> list[Expected]:
    """Tell the whole story in a session."""
    chapters = (deploys, searches, updates, syncs, exports, moves, removes)
    return [event for chapter in chapters for event in chapter(papis)]


def tell_briefly(papis: Session) -> list[Expected]:
    """Tell of one document in a session: added, met again, found, changed, removed."""
    steps = (
        added(papis, DOCUMENTS[:1]),
        refused(papis),
        listed(papis, "title:water"),
        changed(papis, "update", "--batch", "--set", "year", "2000", "ref:frogs1999"),
        removed(papis, "ref:frogs1999"),
    )
    return [event for step in steps for event in step]


def deploys(papis: Session) -> Iterable[Expected]:
    """Add documents with and without files; refuse a folder outside the library; meet a duplicate."""
    yield from added(papis, DOCUMENTS)
    done = papis("add", "--batch", "--subfolder", "../../elsewhere", "--set", "ref", "lost", "--set", "type", "book")
    if done.returncode == 1 and not done.added:
        yield Expected("deploy", "lost", "book", status="error", metadata={"files": 0, "success": False})
    yield from refused(papis)


def added(papis: Session, documents: Sequence[tuple[str, str, str, str, int]]) -> Iterable[Expected]:
    """Add documents, articles with a file."""
    for reference, kind, title, author, year in documents:
        given = {"type": kind, "title": title, "author": author, "year": str(year)}
        given |= {"ref": reference, "doi": f"10.1000/{reference}"} if reference else {}
        arguments = [word for key, value in given.items() for word in ("--set", key, value)]
        files = attachments(papis, reference) if kind == "article" else []
        done = papis("add", "--batch", *arguments, *files)
        if not done.added:
            raise RuntimeError(f"the story can't be told: papis add exited with {done.returncode}:\n{done.stderr}")
        (name,) = done.added
        held = [path for path in done.after[name].folder.iterdir() if path.name != "info.yaml"]
        metadata = {"strategy": "copy", "files": len(held), "success": True, "cache": "add"}
        yield Expected("deploy", name, done.after[name].type, metadata=metadata)


def refused(papis: Session) -> Iterable[Expected]:
    """Add a document that is there: papis warns, exits with 0, and adds nothing."""
    again = ("--set", "ref", "frogs1999", "--set", "type", "article", "--set", "doi", "10.1000/frogs1999")
    done = papis("add", "--batch", *again)
    if "No new document is created" in done.stderr and not done.added:
        metadata = {"files": 0, "success": False, "duplicate_of": "frogs1999", "cache": None}
        yield Expected("deploy", "frogs1999", "article", status="error", metadata=metadata)


def attachments(papis: Session, reference: str) -> list[str]:
    """Write a file for a document, and the arguments that add it without asking any server about its name."""
    data, text = papis.inbox / f"{reference}.yaml", papis.inbox / f"{reference}.txt"
    data.write_text(f"note: from the inbox of {reference}\n", encoding="utf-8")
    text.write_text(f"The text of {reference}.\n", encoding="utf-8")
    return ["--from", "yaml", str(data), str(text)]


def searches(papis: Session) -> Iterable[Expected]:
    """Find many, one and none, and ask what can't be parsed."""
    for query in ("title:water", "author:moore", "title:volcano"):
        yield from listed(papis, query)
    done = papis("list", "--all", "title:(")
    if done.returncode != 0:
        yield Expected("search", "", "", status="error", metadata={"query": "title:("})


def listed(papis: Session, query: str, library: str = "papers") -> Iterable[Expected]:
    """Search; one event for each of the first five documents, or one for none."""
    done = papis("list", "--all", "--format", "{doc[ref]}", query, library=library)
    names = done.stdout.split()
    for rank, name in enumerate(names[:5], start=1):
        metadata = {"query": query, "rank": rank, "total_results": len(names)}
        yield Expected("search", name, done.after[name].type, collection_name=library, metadata=metadata)
    if not names:
        metadata = {"query": query, "total_results": 0}
        yield Expected("search", "", "", collection_name=library, metadata=metadata)


def updates(papis: Session) -> Iterable[Expected]:
    """Change one document and several, tag, attach, edit; fail on a missing file; edit without a change."""
    editor = papis.inbox / "editor.py"
    editor.write_text(
        "import pathlib, sys\npath = pathlib.Path(sys.argv[1])\ntext = path.read_text(encoding='utf-8')\n"
        "if 'Moss' in text:\n    path.write_text(text.replace('Moss', 'Mosses'), encoding='utf-8')\n",
        encoding="utf-8",
    )
    note = papis.inbox / "note.txt"
    note.write_text("A note.\n", encoding="utf-8")
    for arguments in (
        ("update", "--batch", "--set", "year", "2000", "ref:frogs1999"),
        ("update", "--batch", "--all", "--sort", "ref", "--append", "tags", "shelf", "type:book"),
        ("tag", "--batch", "--all", "--sort", "ref", "--add", "amphibian", "type:article"),
        ("addto", "--files", str(note), "ref:ponds2015"),
        ("edit", "--editor", f"{sys.executable} {editor}", "ref:moss2020"),
    ):
        yield from changed(papis, *arguments)
    (papis.folder("papers") / "toads2003" / "toads2003.txt").unlink()
    done = papis("update", "--batch", "--rename", "files", "toads2003.txt", "renamed.txt", "ref:toads2003")
    if done.returncode == 1 and not done.changed:
        yield Expected("update", "toads2003", "article", status="error", metadata={"strategy": "update", "cache": None})
    done = papis("edit", "--editor", f"{sys.executable} {editor}", "ref:rivers1987")
    if not done.changed:
        yield Expected("update", "rivers1987", "book", metadata={"strategy": "edit", "cache": None})


def changed(papis: Session, *arguments: str) -> Iterable[Expected]:
    """Run a command that changes documents; one event for each that it changed."""
    done = papis(*arguments)
    metadata = {"strategy": arguments[0], "cache": "update"}
    for name in done.changed:
        yield Expected("update", name, done.after[name].type, metadata=metadata)


def syncs(papis: Session) -> Iterable[Expected]:
    """Bring the cache in line with files that were changed, made and dropped behind its back."""
    newer = papis.folder("papers") / "newts2011" / "info.yaml"
    newer.write_text(newer.read_text(encoding="utf-8").replace("under", "deep under"), encoding="utf-8")
    stamp = newer.stat().st_mtime + 60
    os.utime(newer, (stamp, stamp))
    done = papis("cache", "update-newer", "--all")
    for name, kind, title, *_ in DOCUMENTS:
        if f"Updating newer '{title} - " in done.stderr:
            yield synced(name, kind, "update-newer")
    done = papis("cache", "update", "ref:rivers1987")
    if "Updated 1 documents" in done.stderr:
        yield synced("rivers1987", "book", "update")
    made = papis.folder("papers") / "handmade"
    made.mkdir()
    (made / "info.yaml").write_text("ref: handmade\ntype: misc\ntitle: Made by hand\nauthor: Me\n", encoding="utf-8")
    done = papis("cache", "update", "--doc-folder", str(made))
    if done.returncode == 1:
        yield synced("handmade", "misc", "update", result="error")
    done = papis("cache", "add", "--doc-folder", str(made))
    if "Successfully added" in done.stderr:
        yield synced("handmade", "misc", "add")
    done = papis("cache", "rm", "ref:handmade")
    if "Removed 1 documents" in done.stderr and not done.removed:
        yield synced("handmade", "misc", "rm")
    done = papis("cache", "reset")
    if "Indexing library" in done.stderr:
        yield synced("papers", "library", "reset")


def synced(name: str, kind: str, sync_type: str, result: str = "success") -> Expected:
    """Return the event of one sync."""
    status = "ok" if result == "success" else "error"
    return Expected("sync", name, kind, status, metadata={"sync_type": sync_type, "result": result})


def exports(papis: Session) -> Iterable[Expected]:
    """Write several documents to one BibTeX file: one call, one event a document."""
    out = papis.inbox / "books.bib"
    done = papis("export", "--all", "--sort", "ref", "--format", "bibtex", "--out", str(out), "type:book")
    text = out.read_text(encoding="utf-8")
    names = sorted((name for name in done.after if f"{{{name}," in text), key=text.index)
    for name in names:
        yield Expected("export", name, done.after[name].type, metadata={"format": "bibtex"})


def moves(papis: Session) -> Iterable[Expected]:
    """Move a document to another library, and look for it there."""
    yield from listed(papis, "type:book", library="archive")
    done = papis("mv", "--batch", "--target-library", "archive", "ref:ponds2015")
    there = papis.documents("archive")
    for name in done.removed:
        metadata = {"strategy": "move", "target_library": "archive"}
        yield Expected("deploy", name, there[name].type, metadata=metadata)
    yield from listed(papis, "type:book", library="archive")


def removes(papis: Session) -> Iterable[Expected]:
    """Remove one document and several; find none to remove; fail on one whose folder is gone."""
    for query in ("ref:moss2020", "title:toads or title:newts", "ref:moss2020"):
        yield from removed(papis, query)
    folder = papis.folder("papers") / "frogs1999"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    done = papis("rm", "--force", "ref:frogs1999")
    if done.returncode == 1:
        yield Expected("remove", "frogs1999", "article", status="error", metadata={"part": "document", "cache": None})


def removed(papis: Session, query: str) -> Iterable[Expected]:
    """Remove what a query finds; one event for each document."""
    done = papis("rm", "--force", "--all", "--sort", "ref", query)
    for name in done.removed:
        metadata = {"reason": "rm", "part": "document", "cache": "delete"}
        yield Expected("remove", name, done.before[name].type, metadata=metadata)


def main() -> None:
    """Run the story in a temporary folder and print each command, its exit code and the expected events."""
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), os.environ)
        events = tell(session)
        for command in session.commands:
            print(f"{command.returncode}  papis {' '.join(command.arguments)}")
        for event in events:
            print(event)


if __name__ == "__main__":
    main()

"""Drives the ``skillshelf`` command line over real folders, and keeps an account of what must be recorded.

This module owns running commands, reading files without the tool, and comparing the account with recorded rows. It
does not know the story (:mod:`demo_skillshelf`) nor how events are stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

_SOURCES = Path(__file__).resolve().parent / "skillshelf" / "src"
# Projects, all below the home directory.
PROJECTS = ("shop", "blog", "lab", "billing", "atlas", "handbook")


@dataclass(frozen=True)
class Expected:
    """One event that must be recorded.

    Attributes:
        event_type: What was done.
        artifact_name: To which artifact; ``""`` where none was found.
        artifact_type: Its kind; ``""`` where the command could not tell.
        status: ``ok`` or ``error``.
        item: Position among the artifacts of a search, from 0; None for every other operation.
        metadata: Keys that must be there with these values; ``...`` stands for any value.
        project_path: The project as it must be recorded, or None where there is none.
    """

    event_type: str
    artifact_name: str
    artifact_type: str
    status: str = "ok"
    item: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    project_path: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What must be equal before metadata is compared."""
        return (
            self.event_type, self.artifact_name, self.artifact_type, self.status, -1 if self.item is None else self.item
        )  # fmt: skip


class Search(NamedTuple):
    """One search of the story: where to look, further options, and the names that must be found, where known."""

    query: str
    where: str = "both"
    options: tuple[str, ...] = ()
    found: Sequence[str] | None = None


class Run(NamedTuple):
    """What one command printed."""

    out: str
    err: str


def planted_secrets() -> tuple[str, ...]:
    """Return the fake secrets of the story; no recorded event may hold one. They exist only at run time."""
    return "gh" + "p_" + "Zx81Qw" * 6, "AK" + "IA" + "R7T2MP4WQ9ZK3LXV"


class Story:
    """Runs commands, edits files, and keeps the account."""

    def __init__(self, workdir: Path, env: Mapping[str, str], *, in_process: bool) -> None:
        self.home = workdir.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.in_process = in_process
        self.expected: list[Expected] = []
        self.runs = 0
        package = importlib.util.find_spec("usagetrace")
        library = [str(Path(package.origin).parents[1])] if package and package.origin else []
        paths = [str(_SOURCES), *library, *filter(None, [env.get("PYTHONPATH")])]
        self.env = {
            **env,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "SHELF_HOME": str(self.home / "shelf"),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONIOENCODING": "utf-8",
        }
        for name in PROJECTS:
            self.project(name).mkdir(parents=True)

    # --- places ----------------------------------------------------------------------------------------------

    def project(self, name: str) -> Path:
        """Return a project's folder."""
        return self.home / "projects" / name

    def copy(self, project: str, kind: str, name: str) -> Path:
        """Return a deployed artifact."""
        return _place(self.project(project) / ".shelf", kind, name)

    def shelved(self, kind: str, name: str) -> Path:
        """Return an artifact of the default collection."""
        return _place(self.home / "shelf" / "collections" / "default", kind, name)

    def download(self, kind: str, name: str, *edits: tuple[str, str]) -> Path:
        """Write a new version of a shelved artifact, as its author would publish it, and return where."""
        target = _place(self.home / "downloads" / str(len(self.expected)), kind, name)
        for source in _files(self.shelved(kind, name)):
            below = source.relative_to(self.shelved(kind, name)) if kind == "skill" else Path()
            destination = target / below
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read_bytes())
            destination.chmod(source.stat().st_mode)
        edit(target, *edits)
        return target

    # --- commands --------------------------------------------------------------------------------------------

    def shelf(self, *argv: object, code: int = 0) -> Run:
        """Run one command.

        Raises:
            RuntimeError: Its exit code is not the expected one.
        """
        arguments = [str(argument) for argument in argv]
        self.runs += 1
        found, done = self._inside(arguments) if self.in_process else self._outside(arguments)
        if found != code:
            raise RuntimeError(f"skillshelf {shlex.join(arguments)}: exit code {found}, expected {code}\n{done.err}")
        return done

    def _outside(self, arguments: Sequence[str]) -> tuple[int, Run]:
        done = subprocess.run(
            [sys.executable, "-m", "skillshelf", *arguments],
            env=self.env, cwd=self.home, capture_output=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, Run(done.stdout, done.stderr)

    def _inside(self, arguments: Sequence[str]) -> tuple[int, Run]:
        with _environment(self.env), _importable(_SOURCES):
            from skillshelf import cli

            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.main(arguments)
        return code, Run(out.getvalue(), err.getvalue())

    def batch(self, *lines: Sequence[object]) -> Run:
        """Run many commands in one process; all must succeed."""
        script = self.home / "batch.txt"
        script.write_text("\n".join(shlex.join(map(str, line)) for line in lines), encoding="utf-8")
        return self.shelf("batch", script)

    # --- the account -----------------------------------------------------------------------------------------

    def expect(
        self, event: str, name: str, kind: str, status: str = "ok", project: str | None = None, **metadata: object
    ) -> None:
        """Write down one event."""
        path = None if project is None else f"~/projects/{project}"
        self.expected.append(Expected(event, name, kind, status, None, metadata, path))

    def expect_deploy(self, project: str, kind: str, name: str) -> None:
        """Write down a deployment that succeeded, from the files it left."""
        copy = self.copy(project, kind, name)
        self.expect("deploy", name, kind, "ok", project, version=version(copy), sha=sha(copy), success=True)

    def search(self, *searches: Search) -> None:
        """Search, check the answers against names known beforehand, and write down one event a result.

        Several searches run in one process.
        """
        lines = [("search", each.query, "--in", each.where, "--json", *each.options) for each in searches]
        out = self.shelf(*lines[0]).out if len(lines) == 1 else self.batch(*lines).out
        for each in searches:
            told, end = json.JSONDecoder().raw_decode(out)
            out = out[end:].lstrip()
            self._expect_search(each, told)

    def _expect_search(self, search: Search, told: Mapping[str, Any]) -> None:
        matches = told["matches"]
        names = sorted(match["name"] for match in matches)
        if search.found is not None and names != sorted(search.found):
            raise RuntimeError(f"search {search.query!r}: found {names}, expected {search.found}")
        secret = any(secret in search.query for secret in planted_secrets())
        common = {"query": ... if secret else search.query, "search_type": search.where, "total_results": told["total"]}
        if not matches:
            self.expected.append(Expected("search", "", "", "ok", None, common))
        for index, match in enumerate(matches[:5]):
            metadata = {**common, "rank": index + 1, "score": match["score"]}
            self.expected.append(Expected("search", match["name"], match["kind"], "ok", index, metadata))


# --- files, read without the tool ----------------------------------------------------------------------------


def _place(root: Path, kind: str, name: str) -> Path:
    return root / f"{kind}s" / (name if kind == "skill" else f"{name}.md")


def _files(artifact: Path) -> list[Path]:
    return sorted(path for path in artifact.rglob("*") if path.is_file()) if artifact.is_dir() else [artifact]


def main_file(artifact: Path) -> Path:
    """Return the file with an artifact's front matter."""
    return artifact / "SKILL.md" if artifact.is_dir() else artifact


def version(artifact: Path) -> str:
    """Return the version that an artifact's front matter says."""
    found = re.search(r"(?m)^version: *(\S+)", main_file(artifact).read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{artifact}: no version")
    return found[1]


def sha(artifact: Path) -> str:
    """Return an artifact's content hash, as the tool's README describes it."""
    lines = []
    for path in _files(artifact):
        parent = artifact.parent.name.removesuffix("s")
        name = path.relative_to(artifact).as_posix() if artifact.is_dir() else f"{parent.upper()}.md"
        runs = "x" if path.stat().st_mode & 0o100 else "-"
        lines.append((name, f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {runs}  {name}\n"))
    return hashlib.sha256("".join(line for _, line in sorted(lines)).encode()).hexdigest()


def edit(artifact: Path, *edits: tuple[str, str]) -> None:
    """Replace texts in an artifact's main file; each must be there exactly once."""
    path = main_file(artifact)
    text = path.read_text(encoding="utf-8")
    for before, after in edits:
        if text.count(before) != 1:
            raise RuntimeError(f"{path}: {before!r} is there {text.count(before)} times, expected once")
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


# --- comparing -----------------------------------------------------------------------------------------------


def differences(expected: Sequence[Expected], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the account with recorded events, whatever their order.

    Args:
        expected: The account.
        rows: Rows of the table ``events`` by column; ``metadata`` as JSON text or as a mapping.

    Returns:
        One sentence for each event that is missing, too many, or has other metadata; empty when all is right.
    """
    left = [_row(row) for row in rows]
    faults: list[str] = []
    # What leaves values open comes last, or it takes the rows of those that say what they expect.
    for each in sorted(expected, key=lambda each: sum(value is ... for value in each.metadata.values())):
        same = [row for row in left if row.key == each.key]
        best = min(same, key=lambda row: len(_faults(each, row)), default=None)
        if best is None:
            faults.append(f"missing: {each}")
            continue
        left.remove(best)
        faults += [f"{each.key}: {fault}" for fault in _faults(each, best)]
    return faults + [f"not expected: {row}" for row in left]


def _row(row: Mapping[str, Any]) -> Expected:
    raw = row["metadata"]
    metadata = json.loads(raw) if isinstance(raw, str) else dict(raw or {})
    return Expected(
        row["event_type"], row["artifact_name"], row["artifact_type"], row["status"], row["item"], metadata,
        row["project_path"],
    )  # fmt: skip


def _faults(each: Expected, row: Expected) -> list[str]:
    faults = [
        f"metadata {key!r} is {row.metadata.get(key)!r}, expected {value!r}"
        for key, value in each.metadata.items()
        if (row.metadata.get(key) is None if value is ... else row.metadata.get(key) != value)
    ]
    if each.project_path != row.project_path:
        faults.append(f"project is {row.project_path!r}, expected {each.project_path!r}")
    return faults

"""A small foreign program, and runs of it: bare, and as ``usagetrace run`` executes it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.support.process import clean_environment
from usagetrace.autoinstrument import launch
from usagetrace.autoinstrument.launch import Start
from usagetrace.store.catchup import catch_up

# A package that knows nothing of us: `shelf.core:deploy` is what targets name.
CORE = """
    def deploy(name):
        print("deployed", name)
        return name
"""
MAIN = """
    import sys
    from shelf.core import deploy

    def main():
        for name in sys.argv[1:]:
            deploy(name)

    if __name__ == "__main__":
        main()
"""


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str


@dataclass
class Lab:
    """A folder that is home and working directory, with the package ``shelf`` and a database.

    Attributes:
        folder: The folder.
        variables: What the environment says beyond the folder.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """Where the events go."""
        return self.folder / "analytics.db"

    def write(self, name: str, source: str, *, mode: int = 0o644) -> Path:
        """Write a file into the folder, without what all of its lines are indented by."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source).lstrip("\n"), "utf-8")
        path.chmod(mode)
        return path

    def script(self, name: str, source: str, interpreter: str = sys.executable) -> Path:
        """Write a file that the system executes."""
        return self.write(name, f"#!{interpreter}\n{dedent(source)}", mode=stat.S_IRWXU)

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of a bare run."""
        return clean_environment(self.folder, {**self.variables, **more})

    def start(self, command: Sequence[str | Path], *, follow: bool = False, **more: str) -> Start:
        """Return what ``usagetrace run`` executes for a command."""
        said = {"USAGETRACE_DB_PATH": str(self.database)}
        return launch.prepare([str(word) for word in command], self.environ(**more), said, follow=follow)

    def bare(self, command: Sequence[str | Path], *, stdin: str = "", **more: str) -> Ended:
        """Run a command without us."""
        return self._run([str(word) for word in command], None, self.environ(**more), stdin)

    def covered(self, command: Sequence[str | Path], *, stdin: str = "", follow: bool = False, **more: str) -> Ended:
        """Run a command as ``usagetrace run`` does, short of its own process."""
        start = self.start(command, follow=follow, **more)
        return self._run(start.words, start.path, start.environ, stdin)

    def typed(self, *arguments: str | Path, **more: str) -> Ended:
        """Run ``usagetrace run`` itself."""
        words = [sys.executable, "-m", "usagetrace", "run", *map(str, arguments)]
        return self._run(words, None, self.environ(USAGETRACE_DB_PATH=str(self.database), **more), "")

    def _run(self, words: list[str], path: str | None, environ: Mapping[str, str], stdin: str) -> Ended:
        done = subprocess.run(
            words,
            executable=path,
            env=dict(environ),
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def rows(self, columns: str = "event_type, artifact_name") -> list[tuple[Any, ...]]:
        """Return the events, in the order of their artifacts' names."""
        if not self.database.parent.joinpath("spool").exists() and not self.database.exists():
            return []
        catch_up(self.database)
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(f"SELECT {columns} FROM events ORDER BY artifact_name, id").fetchall()

    def names(self) -> list[str]:
        """Return the names of the artifacts that were recorded, sorted."""
        return [row[0] for row in self.rows("artifact_name")]


def make_lab(folder: Path) -> Lab:
    """Return a folder with the package, and with a settings file that names its one function."""
    lab = Lab(folder)
    lab.write("shelf/__init__.py", "")
    lab.write("shelf/core.py", CORE)
    lab.write("shelf/__main__.py", MAIN)
    lab.write("usagetrace.toml", '[track]\ndeploy = "shelf.core:deploy"\n')
    return lab


def other_python(folder: Path, *, with_package: bool) -> Path:
    """Return the Python of another virtual environment.

    Args:
        folder: Where it is made.
        with_package: Whether this package, and what it needs, can be imported there.
    """
    base = Path(os.path.realpath(sys.executable))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n", "utf-8")
    python = folder / "bin" / "python"
    python.symlink_to(base)
    if with_package:
        (packages / "all.pth").write_text("".join(f"{entry}\n" for entry in sys.path if os.path.isdir(entry)), "utf-8")
    return python

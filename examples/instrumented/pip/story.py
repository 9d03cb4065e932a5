"""A scripted story with pip: real commands on a real environment, and the events that they must give.

This module owns the story and works out the expected events from what pip did: from the ``.dist-info`` folders and the
downloaded files before and after a command, and from its exit code. It knows nothing of how pip is instrumented.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INSTRUMENTED = (sys.executable, "-m", "usagetrace", "run", "--config", str(HERE / "usagetrace.toml"), "--")

# Name, version, what it requires, its commands: pip stops in the middle where a command names no function.
WHEELS = (
    ("alpha", "1.0", (), ""),
    ("alpha", "2.0", (), ""),
    ("beta", "1.0", ("epsilon",), ""),
    ("delta", "1.0", (), ""),
    ("epsilon", "0.5", (), ""),
    ("gamma", "1.0", (), ""),
    ("gamma", "2.0", (), "gamma = gamma"),
)


@dataclass(frozen=True)
class Expected:
    """One event that must be in the store; ``metadata`` holds the keys that are compared."""

    event_type: str
    artifact_name: str
    artifact_type: str = "package"
    status: str = "ok"
    collection_name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Installed:
    """What a ``.dist-info`` folder says: the version, whether a user asked for it, and which folder it is."""

    version: str
    requested: bool
    inode: int


@dataclass(frozen=True)
class Command:
    """A command that ran, and what was installed before and after it."""

    arguments: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    before: Mapping[str, Installed]
    after: Mapping[str, Installed]

    @property
    def added(self) -> list[str]:
        """Names of the packages that are new."""
        return sorted(self.after.keys() - self.before.keys())

    @property
    def replaced(self) -> list[str]:
        """Names of the packages whose files were put there anew."""
        both = self.before.keys() & self.after.keys()
        return sorted(name for name in both if self.before[name].inode != self.after[name].inode)

    @property
    def removed(self) -> list[str]:
        """Names of the packages that are gone."""
        return sorted(self.before.keys() - self.after.keys())


class Session:
    """Runs pip in an environment of its own, without an index, and keeps a record of every command.

    Args:
        workdir: Where everything lives: the environment, the wheels, home.
        env: Environment of the commands; HOME and pip's own variables are set here.
        program: What comes before ``python -m pip`` on the command line.
    """

    def __init__(self, workdir: Path, env: Mapping[str, str], program: Sequence[str] = INSTRUMENTED) -> None:
        self.workdir = workdir
        self.program = tuple(program)
        self.commands: list[Command] = []
        self.outside = workdir / "outside"
        for name in ("home", "tmp", "wheels", "outside", "downloads"):
            (workdir / name).mkdir(parents=True)
        builder, environment = venv.EnvBuilder(symlinks=os.name != "nt"), workdir / "environment"
        builder.create(environment)
        self.python = builder.ensure_directories(environment).env_exe
        self.site = Path(sysconfig.get_path("purelib", vars={"base": environment, "platbase": environment}))
        # pip and what watches it come from this environment; so does a package that pip may not touch.
        here = importlib.util.find_spec("usagetrace")
        source = str(Path(here.origin).parents[1]) if here and here.origin else ""
        paths = (str(self.outside), sysconfig.get_path("purelib"), source)
        (self.site / "host.pth").write_text("\n".join(paths), encoding="utf-8")
        for wheel in WHEELS:
            build(workdir / "wheels", *wheel)
        own = {
            "HOME": str(workdir / "home"),
            "TMPDIR": str(workdir / "tmp"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(workdir / "wheels"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.env = {**env, **own}

    def installed(self) -> dict[str, Installed]:
        """Return what is installed, read from the ``.dist-info`` folders."""
        found = {}
        for path in [*self.site.glob("*.dist-info"), *self.outside.glob("*.dist-info")]:
            if not (path / "INSTALLER").exists():
                continue  # what pip leaves behind of a package that it could not install
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            found[name] = Installed(version, (path / "REQUESTED").exists(), (path / "METADATA").stat().st_ino)
        return found

    def downloads(self) -> set[str]:
        """Return the names of the files that were downloaded."""
        return {path.name for path in (self.workdir / "downloads").iterdir()}

    def __call__(self, *arguments: str, typed: str = "") -> Command:
        """Run pip."""
        before = self.installed()
        done = subprocess.run(
            [*self.program, self.python, "-m", "pip", *arguments],
            cwd=self.workdir,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        command = Command(arguments, done.returncode, done.stdout, done.stderr, before, self.installed())
        self.commands.append(command)
        return command


def build(folder: Path, name: str, version: str, requires: Iterable[str], commands: str) -> None:
    """Write a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {other}\n" for other in requires)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: story\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{commands}\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def run(workdir: Path, env: Mapping[str, str]) -> list[Expected]:
    """Tell the whole story and return the events that it must have given, in no order.

    Args:
        workdir: An empty folder; everything that pip writes goes below it.
        env: Environment of the commands.
    """
    return tell(Session(workdir, env))


def tell(pip: Session) -> list[Expected]:
    """Tell the whole story in a session; meanwhile what neither changes the environment nor looks at it."""
    with ThreadPoolExecutor(2) as threads:
        told = [
            threads.submit(_tell, pip, chapters)
            for chapters in ((searches, installs, shows, removals, refusals), (downloads,))
        ]
        return [event for part in told for event in part.result()]


def _tell(pip: Session, chapters: Iterable[Callable[[Session], Iterable[Expected]]]) -> list[Expected]:
    return [event for chapter in chapters for event in chapter(pip)]


def installs(pip: Session) -> Iterable[Expected]:
    """Install, upgrade with a dependency, install anew what is there; only say what would be done."""
    yield from changes(pip("install", "alpha==1.0", "gamma==1.0"))
    yield from changes(pip("install", "--upgrade", "alpha", "beta"))
    yield from changes(pip("install", "--force-reinstall", "alpha", "gamma==1.0"))
    yield from changes(pip("install", "--dry-run", "delta"))


def changes(done: Command) -> Iterable[Expected]:
    """Return the events of what an install put there."""
    for name in done.added:
        now = done.after[name]
        yield Expected("deploy", name, metadata={"version": now.version, "requested": now.requested, "success": True})
    for name in done.replaced:
        was, now = done.before[name], done.after[name]
        metadata = {"version_before": was.version, "version_after": now.version, "requested": now.requested}
        yield Expected("update", name, metadata=metadata)


def refusals(pip: Session) -> Iterable[Expected]:
    """Ask for what there is not; for a version that can't be installed: the one before comes back."""
    done = pip("install", "alpha", "nosuch")
    if done.returncode and done.before == done.after:
        for name in ("alpha", "nosuch"):
            yield Expected("deploy", name, status="error", metadata={"requested": True, "success": False})
    done = pip("install", "--upgrade", "gamma")
    if done.returncode and done.before["gamma"].version == done.after["gamma"].version:
        metadata = {"version_before": "1.0", "version_after": "2.0", "requested": True}
        yield Expected("update", "gamma", status="error", metadata=metadata)


def downloads(pip: Session) -> Iterable[Expected]:
    """Download a package and what it needs, then one that there is not."""
    folder = str(pip.workdir / "downloads")
    before = pip.downloads()
    pip("download", "--dest", folder, "beta==1.0")
    for file in sorted(pip.downloads() - before):
        name, version, *_ = file.split("-")
        yield Expected("download", name, metadata={"version": version, "file": file})
    before = pip.downloads()
    done = pip("download", "--dest", folder, "nosuch")
    if done.returncode and pip.downloads() == before:
        yield Expected("download", "nosuch", status="error")


def searches(pip: Session) -> Iterable[Expected]:
    """Ask which versions there are, of a package and of none."""
    for name in ("alpha", "nosuch"):
        found = [wheel for wheel in (pip.workdir / "wheels").iterdir() if wheel.name.startswith(f"{name}-")]
        done = pip("index", "versions", name)
        status = "error" if done.returncode else "ok"
        yield Expected("search", name, status=status, metadata={"query": name, "total_results": len(found)})


def shows(pip: Session) -> Iterable[Expected]:
    """Ask what there is of two packages that are installed and one that is not, in one call."""
    names = ["alpha", "nosuch", "beta"]
    done = pip("show", *names)
    there = done.after.keys() & names
    for name in names:
        held = done.after.get(name)
        metadata = {"query": names, "total_results": len(there), "version": held.version if held else None}
        yield Expected("search", name, status="ok" if held else "error", metadata=metadata)


def removals(pip: Session) -> Iterable[Expected]:
    """Remove one, one that is not there and one that pip may not touch, in one call; say no when asked."""
    with zipfile.ZipFile(pip.workdir / "wheels" / "delta-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(pip.outside)
    (pip.outside / "delta-1.0.dist-info" / "INSTALLER").write_text("another", encoding="utf-8")
    names = ("alpha", "delta", "nosuch")
    done = pip("uninstall", "--yes", *names)
    for name in names:
        was = done.before.get(name)
        status = "ok" if name in done.removed else "error"
        yield Expected("remove", name, status=status, metadata={"version_before": was.version if was else None})
    done = pip("uninstall", "gamma", typed="n\n")
    if not done.removed:
        version = done.after["gamma"].version
        yield Expected("remove", "gamma", metadata={"version_before": version, "outcome": "cancelled"})


def main() -> None:
    """Run the story in a temporary folder and print each command, its exit code and the expected events."""
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), os.environ)
        events = tell(session)
        for command in session.commands:
            print(f"{command.returncode}  pip {' '.join(command.arguments)}")
        for event in events:
            print(event)


if __name__ == "__main__":
    main()

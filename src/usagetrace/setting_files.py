"""The settings files: where they are looked for, and what they hold before anybody checks it.

The project's file is ``usagetrace.toml``, or ``[tool.usagetrace]`` in ``pyproject.toml``; the user's lies in the
user's configuration directory. What the keys mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usagetrace import places
from usagetrace.consent import fault_text, read_toml


@dataclass(frozen=True, slots=True)
class Source:
    """A settings file: its raw table, its path and what people call it."""

    label: str
    table: Mapping[str, Any]
    is_project: bool


def read_files(env: Mapping[str, str], cwd: Path | None, faults: list[str]) -> list[Source]:
    """Return the settings files that exist, the strongest first."""
    found: list[Source] = []
    named = env.get("USAGETRACE_CONFIG", "").strip()
    project = Path(named) if named else find_project_file(cwd or _working_directory(), places.home(env))
    if project is not None:
        # A file that the user names in the environment is the user's own word, not a repository's.
        found.extend(_read_source(project, is_project=not named, must_exist=bool(named), faults=faults))
    found.extend(_read_source(places.config_file(env), is_project=False, must_exist=False, faults=faults))
    return found


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # Deleted under the program: there is no project there, nor above.
        return Path("/")


def _read_source(path: Path, *, is_project: bool, must_exist: bool, faults: list[str]) -> Iterator[Source]:
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        faults.append(f"{path}: {fault_text(error)}")
        return
    if table is None:
        if must_exist:
            faults.append(f"environment variable USAGETRACE_CONFIG: no such file: {path}")
        return
    label = str(path)
    if path.name == "pyproject.toml":
        label = f"{path} [tool.usagetrace]"
        table = _own_table(table)
        if not isinstance(table, Mapping):
            faults.append(f"{label}: expected a table")
            return
    yield Source(label, table, is_project)


def find_project_file(start: Path, home: Path) -> Path | None:
    """Return the project's settings file: in the working directory, or above it up to the project's root.

    The search ends at a directory that holds ``.git``, at the home directory, and at the root of the file system.
    """
    homes = {home, home.resolve()}
    for directory in (start, *start.parents):
        own = directory / "usagetrace.toml"
        if own.is_file():
            return own
        project = directory / "pyproject.toml"
        if project.is_file() and _speaks_to_us(project):
            return project
        if directory in homes or (directory / ".git").exists():
            return None
    return None


def _speaks_to_us(path: Path) -> bool:
    """Return whether a pyproject.toml has a table of ours; one that can't be read is looked at by who reads it."""
    # A look at the bytes spares the parser, which takes 3 ms to import, in the many projects that are not ours.
    try:
        if b"usagetrace" not in path.read_bytes():
            return False
        return _own_table(read_toml(path) or {}) is not None
    except (OSError, ValueError):
        return True


def _own_table(table: Mapping[str, Any]) -> Any:
    """Return what a pyproject.toml holds under tool.usagetrace; None where there is nothing."""
    tool = table.get("tool", {})
    return tool.get("usagetrace") if isinstance(tool, Mapping) else None

"""The settings files: where they are looked for, and what they hold before anybody checks it.

The project's file is ``usagetrace.toml``, or ``[tool.usagetrace]`` in ``pyproject.toml``; the user's lies in the
user's configuration directory. What the keys mean is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from usagetrace import places
from usagetrace.consent import fault_text, read_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any, TypeVar

    # A directory as text or as a path: a file comes back in the same form.
    Place = TypeVar("Place", str, Path)


class Source:
    """A settings file.

    Attributes:
        label: Its path, and what people call the part that is ours.
        path: Its path.
        table: What it holds, unchecked.
        is_project: Whether it may come from somebody else's repository.
    """

    __slots__ = ("is_project", "label", "path", "table")

    def __init__(self, label: str, path: str, table: Mapping[str, Any], is_project: bool) -> None:
        self.label = label
        self.path = path
        self.table = table
        self.is_project = is_project


def read_files(env: Mapping[str, str], cwd: str | Path | None, faults: list[str]) -> list[Source]:
    """Return the settings files that exist, the strongest first."""
    found: list[Source] = []
    named = env.get("USAGETRACE_CONFIG", "").strip()
    start = _working_directory() if cwd is None else os.fspath(cwd)
    project = named or find_project_file(start, places.home_text(env))
    if project is not None:
        # A file that the user names in the environment is the user's own word, not a repository's.
        found.extend(_read_source(project, is_project=not named, must_exist=bool(named), faults=faults))
    found.extend(_read_source(places.config_text(env), is_project=False, must_exist=False, faults=faults))
    return found


def unknown_keys(source: Source, known: set[str], other_tables: frozenset[str]) -> Iterator[str]:
    """Yield one sentence for each table and key of a file that means nothing.

    Args:
        source: The file.
        known: Dotted keys of settings.
        other_tables: Tables that others check.
    """
    tables = {key.partition(".")[0] for key in known}
    for name, value in source.table.items():
        if name in other_tables:
            continue
        if name not in tables:
            yield f"{source.label}: {name}: unknown table, expected one of {', '.join(sorted(tables | other_tables))}"
        elif not isinstance(value, Mapping):
            yield f"{source.label}: {name}: expected a table"
        else:
            for key in value:
                if f"{name}.{key}" not in known:
                    expected = sorted(k.partition(".")[2] for k in known if k.startswith(f"{name}."))
                    yield f"{source.label}: {name}.{key}: unknown key, expected one of {', '.join(expected)}"


def looked_up(table: Mapping[str, Any], key: str) -> object:
    """Return what a table holds under a dotted key; None where there is nothing."""
    value: object = table
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        # Deleted under the program: there is no project there, nor above.
        return os.sep


def _read_source(path: str, *, is_project: bool, must_exist: bool, faults: list[str]) -> Iterator[Source]:
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        faults.append(f"{path}: {fault_text(error)}")
        return
    if table is None:
        if must_exist:
            faults.append(f"environment variable USAGETRACE_CONFIG: no such file: {path}")
        return
    label = path
    if os.path.basename(path) == "pyproject.toml":
        label = f"{path} [tool.usagetrace]"
        table = _own_table(table)
        if not isinstance(table, Mapping):
            faults.append(f"{label}: expected a table")
            return
    yield Source(label, path, table, is_project)


def find_project_file(start: Place, home: str | Path) -> Place | None:
    """Return the project's settings file: in the working directory, or above it up to the project's root.

    The search ends at a directory that holds ``.git``, at the home directory, and at the root of the file system.

    Args:
        start: Where the search begins, absolute.
        home: The user's home directory.
    """
    form = type(start)
    homes = {os.path.normcase(os.path.normpath(home)), os.path.normcase(os.path.realpath(home))}
    for directory in upward(os.fspath(start)):
        own = os.path.join(directory, "usagetrace.toml")
        if os.path.isfile(own):
            return form(own)
        project = os.path.join(directory, "pyproject.toml")
        if os.path.isfile(project) and _speaks_to_us(project):
            return form(project)
        if os.path.normcase(directory) in homes or os.path.exists(os.path.join(directory, ".git")):
            return None
    return None


def upward(directory: str) -> Iterator[str]:
    """Yield a directory and those above it."""
    above = os.path.dirname(directory)
    yield directory
    while above != directory:
        directory, above = above, os.path.dirname(above)
        yield directory


def _speaks_to_us(path: str) -> bool:
    """Return whether a pyproject.toml has a table of ours; one that can't be read is looked at by who reads it."""
    # A look at the bytes spares the parser, which takes 3 ms to import, in the many projects that are not ours.
    try:
        with open(path, "rb") as file:
            if b"usagetrace" not in file.read():
                return False
        return _own_table(read_toml(path) or {}) is not None
    except (OSError, ValueError):
        return True


def _own_table(table: Mapping[str, Any]) -> Any:
    """Return what a pyproject.toml holds under tool.usagetrace; None where there is nothing."""
    tool = table.get("tool", {})
    return tool.get("usagetrace") if isinstance(tool, Mapping) else None

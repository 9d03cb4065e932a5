"""Where targets come from: arguments, the environment, settings files, and packages that ship their own.

Of two sources that name the same function the stronger counts; the order is that of :func:`find_targets`. Nothing here
imports a program's module, and nothing raises: what can't be used is a fault with its place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from usagetrace.autoinstrument.target import Target, is_function, targets_from, targets_of
from usagetrace.consent import fault_text, read_toml
from usagetrace.setting_files import read_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    Given = str | os.PathLike[str] | Iterable[Target | Mapping[str, Any]]

VARIABLE: Final = "USAGETRACE_TARGETS"
# Group of entry points by which a package ships targets: of its own functions, or of another program's.
GROUP: Final = "usagetrace.targets"
# The file of targets in such a package, where its entry point names no other.
RESOURCE: Final = "usagetrace.toml"


class Found:
    """What the sources say.

    Attributes:
        targets: Of each function one, the strongest source's first.
        faults: One sentence for each fault.
        untrusted: Project files whose targets were left out, because they merely lie in the working directory.
    """

    __slots__ = ("faults", "targets", "untrusted")

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.faults: list[str] = []
        self.untrusted: list[str] = []


def find_targets(
    given: Given | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    *,
    trust_project: bool = True,
) -> Found:
    """Return the targets of all sources, the strongest first.

    In order: the arguments; ``USAGETRACE_TARGETS``; the project's file, or the one that ``USAGETRACE_CONFIG`` names;
    the user's file; entry points of the group ``usagetrace.targets``.

    Args:
        given: The path of a TOML file; or targets, or tables as in ``[[targets]]``.
        env: The environment; ``os.environ`` by default.
        cwd: Where the search for a project file starts; the working directory by default.
        trust_project: False for a program that somebody runs anywhere: a project file counts only if the program takes
            code from its folder.
    """
    environ: Mapping[str, str] = os.environ if env is None else env
    found = Found()
    by_function: dict[str, Target] = {}

    def take(targets: Iterable[Target]) -> None:
        for target in targets:
            by_function.setdefault(target.function, target)

    if given is not None:
        take(_given(given, found.faults))
    take(_environment(environ.get(VARIABLE, ""), found.faults))
    for source in read_files(environ, cwd, found.faults):
        if "targets" not in source.table and "track" not in source.table:
            continue
        if source.is_project and not trust_project and not _holds_code(os.path.dirname(source.path)):
            found.untrusted.append(source.label)
            continue
        take(targets_of(source.table, source.label, found.faults))
    take(_shipped(found.faults))
    found.targets.extend(by_function.values())
    return found


def _given(given: Given, faults: list[str]) -> Iterator[Target]:
    if isinstance(given, str | os.PathLike):
        yield from _file(os.fspath(given), faults)
        return
    for number, entry in enumerate(given, 1):
        if isinstance(entry, Target):
            yield entry
        else:
            yield from targets_from(entry, f"instrument(targets=...)[{number}]", faults)


def _environment(value: str, faults: list[str]) -> Iterator[Target]:
    """Yield the targets of the variable: paths of files, or pairs such as ``deploy=tool.core:deploy``."""
    pairs = [part.strip() for part in value.split(",") if part.strip()]
    if pairs and all("=" in pair and is_function(pair.partition("=")[2].strip()) for pair in pairs):
        for pair in pairs:
            event, _, function = (part.strip() for part in pair.partition("="))
            entry = {"event": event, "function": function}
            yield from targets_from(entry, f"environment variable {VARIABLE}", faults)
        return
    for path in value.split(os.pathsep):
        if path.strip():
            yield from _file(path.strip(), faults)


def _file(path: str, faults: list[str]) -> list[Target]:
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        faults.append(f"{path}: {fault_text(error)}")
        return []
    if table is None:
        faults.append(f"no such file of targets: {path}")
        return []
    if os.path.basename(path) == "pyproject.toml":
        tool = table.get("tool")
        own = tool.get("usagetrace") if isinstance(tool, Mapping) else None
        table = own if isinstance(own, dict) else {}
    return targets_of(table, path, faults)


def _holds_code(folder: str) -> bool:
    """Return whether this process takes code from a folder or from below it: who writes there runs here anyway."""
    above = os.path.normcase(os.path.realpath(folder))
    for entry in sys.path:
        path = os.path.normcase(os.path.realpath(entry or os.curdir))
        if path == above or path.startswith(above.rstrip(os.sep) + os.sep):
            return True
    return False


def _shipped(faults: list[str]) -> Iterator[Target]:
    """Yield the targets that installed packages ship."""
    if not any(_announces(folder) for folder in sys.path):
        return
    # Imported here: it takes longer than everything else, and most programs have no such package.
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        where = f"entry point {point.name} = {point.value}"
        module, _, file = point.value.partition(":")
        folder = _folder_of(module.strip())
        if folder is None:
            faults.append(f"{where}: no such package, or not one that is a folder")
            continue
        yield from _file(os.path.join(folder, file.strip() or RESOURCE), faults)


def _announces(folder: str) -> bool:
    """Return whether a package that is installed in a folder has entry points of the group."""
    try:
        names = os.listdir(folder or os.curdir)
    except OSError:
        return False
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                    if GROUP.encode() in file.read():
                        return True
            except OSError:
                # Most packages have none.
                continue
    return False


def _folder_of(package: str) -> str | None:
    """Return where a package lies, without importing it or what it is in."""
    from importlib.util import find_spec

    top, _, rest = package.partition(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    for location in (spec.submodule_search_locations if spec is not None else None) or ():
        folder = os.path.join(location, *rest.split(".")) if rest else location
        if os.path.isdir(folder):
            return folder
    return None

"""Where targets come from: arguments, the environment, settings files, and packages that ship their own.

Of two sources that name the same function the stronger counts; the order is that of :func:`find_targets`. Nothing here
imports a program's module, and nothing raises: what can't be used is a fault with its place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from usagetrace.autoinstrument.target import Target, has_targets, is_function, once_each, targets_from, targets_of
from usagetrace.consent import fault_text, read_toml
from usagetrace.setting_files import read_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    Entry = Target | Mapping[str, Any]
    Given = str | os.PathLike[str] | Entry | Iterable[Entry]

VARIABLE: Final = "USAGETRACE_TARGETS"
# Group of entry points by which a package ships targets: of its own functions, or of another program's.
GROUP: Final = "usagetrace.targets"
# The file of targets in such a package, where its entry point names no other.
RESOURCE: Final = "usagetrace.toml"
# Bits of a folder's mode: anybody may write there, and only owners may remove.
_SHARED: Final = 0o1002


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
        take(once_each(_given(given, found.faults), found.faults))
    named = _environment(environ.get(VARIABLE, ""), cwd or "", found.faults)
    take(once_each(named, found.faults))
    for source in read_files(environ, cwd, found.faults):
        if not has_targets(source.table):
            continue
        if source.is_project and not trust_project and not holds_code(os.path.dirname(source.path)):
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
    if isinstance(given, Target | Mapping):
        given = [given]
    try:
        entries = list(given)
    except TypeError:
        faults.append(f"instrument(targets=...): expected targets or a path, found a {type(given).__name__}")
        return
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, Target):
            yield entry
        else:
            yield from targets_from(entry, f"instrument(targets=...)[{number}]", faults)


def _environment(value: str, cwd: str, faults: list[str]) -> Iterator[Target]:
    """Yield the targets of the variable: paths of files, or pairs such as ``deploy=tool.core:deploy``."""
    if is_pairs(value):
        for pair in filter(None, map(str.strip, value.split(","))):
            event, _, function = (part.strip() for part in pair.partition("="))
            entry = {"event": event, "function": function}
            yield from targets_from(entry, f"environment variable {VARIABLE}: {event}", faults)
        return
    for path in value.split(os.pathsep):
        if path.strip():
            yield from _file(os.path.join(cwd, path.strip()), faults)


def is_pairs(value: str) -> bool:
    """Return whether the variable holds pairs, or nothing at all, and not paths."""
    return all(_is_pair(part) for part in map(str.strip, value.split(",")) if part)


def _is_pair(part: str) -> bool:
    """Return whether a part of the variable is meant as a pair, even a faulty one, and not as a path."""
    _, equals, function = part.partition("=")
    return bool(equals) and (is_function(function.strip()) or not (os.sep in part or os.path.exists(part)))


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


def holds_code(folder: str) -> bool:
    """Return whether this process takes code from a folder or from below it: who writes there runs here anyway."""
    above = os.path.normcase(os.path.realpath(folder))
    places = {os.path.normcase(os.path.realpath(entry)) for entry in _code_folders()}
    if above in places:
        return True
    # Where anybody may put files but not replace others' folders, as in /tmp, what is below says nothing of who wrote.
    is_shared = os.stat(above).st_mode & _SHARED == _SHARED
    return not is_shared and any(place.startswith(above.rstrip(os.sep) + os.sep) for place in places)


def _import_folders() -> Iterator[str]:
    for entry in sys.path:
        # A program may put anything there.
        if isinstance(entry, str):
            yield entry or os.curdir


def _code_folders() -> Iterator[str]:
    """Yield the folders that this process takes code from; that of its program is not always among the others."""
    yield from _import_folders()
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(program, str):
        yield os.path.dirname(program) or os.curdir


def _shipped(faults: list[str]) -> Iterator[Target]:
    """Yield the targets that installed packages ship."""
    if not ships_any():
        return
    # Imported here: it takes longer than everything else, and most programs have no such package.
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        where = f"entry point {point.name} = {point.value}"
        package, _, file = (part.strip() for part in point.value.partition(":"))
        folders = _folders_of(package)
        if not folders:
            faults.append(
                f"{where}: no such package, or not one that is a folder; expected package or package:file.toml"
            )
            continue
        paths = [os.path.join(folder, file or RESOURCE) for folder in folders]
        # A namespace package may be in several places.
        yield from _file(next(filter(os.path.isfile, paths), paths[0]), faults)


def ships_any() -> bool:
    """Return whether any installed package announces targets; this reads no more than the names and entry points."""
    return any(map(_announces, _import_folders()))


def _announces(folder: str) -> bool:
    """Return whether a package that is installed in a folder has entry points of the group."""
    try:
        names = os.listdir(folder)
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


def _folders_of(package: str) -> list[str]:
    """Return where a package lies, without importing it or what it is in."""
    from importlib.util import find_spec

    top, _, rest = package.partition(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    locations = (spec.submodule_search_locations if spec is not None else None) or ()
    folders = [os.path.join(location, *rest.split(".")) if rest else location for location in locations]
    return [folder for folder in folders if os.path.isdir(folder)]

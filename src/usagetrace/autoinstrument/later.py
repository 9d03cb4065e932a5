"""Targets that are read when the program imports one of their modules, and not before.

Parsing TOML takes 7 ms at a program's start, most of it for importing the parser; which modules a file may name is seen
in its text in a tenth of one. So a program that imports none of them does not wait for what it has no use for. Faults
of such files are told when they are read.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping

from usagetrace import places
from usagetrace.autoinstrument import finder, sources
from usagetrace.autoinstrument.main_script import names_of_main
from usagetrace.autoinstrument.target import is_function
from usagetrace.guard import guard
from usagetrace.setting_files import find_project_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType


def read_later(take: Callable[[sources.Found], object], *, trust_project: bool = True) -> bool:
    """Have the targets of this process found when it imports a module that may have some.

    Args:
        take: Is called once, with what the sources say by the environment and the directory of now.
        trust_project: Whether a project file always counts.

    Returns:
        False where they are to be found at once; then nothing is called.
    """
    environ = dict(os.environ)
    try:
        cwd = os.getcwd()
    except OSError:
        return False
    modules = modules_named(environ, cwd, trust_project=trust_project)

    def read() -> None:
        take(sources.find_targets(env=environ, cwd=cwd, trust_project=trust_project))

    return modules is not None and wait(modules, read)


def modules_named(
    env: Mapping[str, str] | None = None, cwd: str | None = None, *, trust_project: bool = True
) -> frozenset[str] | None:
    """Return the modules in which :func:`~.sources.find_targets` may find targets, without parsing a file.

    Args:
        env: As there, and so the others.
        cwd: Where the search for a project file starts.
        trust_project: Whether a project file always counts.

    Returns:
        At least those that have targets; None where only parsing can tell: packages that ship targets, a
        ``pyproject.toml``, a file that can't be read, that is named by a relative path, that writes texts with escapes,
        or whose targets name nothing.
    """
    environ: Mapping[str, str] = os.environ if env is None else env
    if sources.ships_any():
        return None
    named: set[str] = set()
    try:
        for path, is_project in _files(environ, cwd):
            if os.path.basename(path) == "pyproject.toml":
                return None
            found = _modules_in(path)
            if found is None:
                return None
            if not is_project or trust_project or sources.holds_code(os.path.dirname(path)):
                named |= found
    except (OSError, ValueError):
        # Whoever reads them says what is wrong.
        return None
    pairs = environ.get(sources.VARIABLE, "")
    named.update(function.partition(":")[0] for part in pairs.split(",") for function in _functions(part, "="))
    return frozenset(named)


def wait(modules: Iterable[str], read: Callable[[], object]) -> bool:
    """Have something called when the first of some modules has been executed.

    Args:
        modules: Their names.
        read: Reads the targets and puts them in force. It is called once, in the thread that imports the module.

    Returns:
        False where one of them is there already, or is the program itself: then it is not called.
    """
    names = frozenset(modules)
    if not names.isdisjoint(sys.modules) or not names.isdisjoint(names_of_main()):
        return False
    if names:
        _Waiting(names, read).begin()
    return True


def forget() -> None:
    """Wait no longer."""
    for waiting in tuple(_all):
        waiting.end()


class _Waiting:
    """Modules that are watched for together."""

    def __init__(self, names: frozenset[str], read: Callable[[], object]) -> None:
        self._names = names
        self._read = read
        self._lock = threading.Lock()
        self._is_over = False

    def begin(self) -> None:
        _all.append(self)
        for name in self._names:
            finder.watch(name, self._told)

    def end(self) -> bool:
        """Watch no longer; return whether somebody did so before."""
        with self._lock:
            was_over, self._is_over = self._is_over, True
        if not was_over:
            _all.remove(self)
            for name in self._names:
                finder.unwatch(name, self._told)
        return was_over

    def _told(self, module: ModuleType, imported_before: bool) -> None:
        if not self.end():
            # The finder tells of this module once more, now to those who have targets in it.
            guard(self._read)()


_all: list[_Waiting] = []


def _files(environ: Mapping[str, str], cwd: str | None) -> Iterator[tuple[str, bool]]:
    """Yield the files that may have targets, and whether each is a project's that nobody named."""
    named = environ.get("USAGETRACE_CONFIG", "").strip()
    if named and not os.path.isabs(named):
        raise ValueError("the program may be in another directory by then")
    project = named or find_project_file(os.getcwd() if cwd is None else cwd, places.home_text(environ))
    if project:
        yield project, not named
    yield places.config_text(environ), False
    value = environ.get(sources.VARIABLE, "")
    if not sources.is_pairs(value):
        yield from ((os.path.join(cwd or "", path.strip()), False) for path in value.split(os.pathsep) if path.strip())


def _modules_in(path: str) -> set[str] | None:
    """Return the modules of everything in a file that looks like a function; None where texts may hide some."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return set()
    if "\\" in text:
        return None
    found = {function.partition(":")[0] for function in _functions(text, '"', "'")}
    # Targets that all have faults are told of now: nothing else would have them read.
    return None if not found and ("targets" in text or "track" in text) else found


def _functions(text: str, *quotes: str) -> Iterator[str]:
    for quote in quotes[1:]:
        text = text.replace(quote, quotes[0])
    return (part.strip() for part in text.split(quotes[0]) if ":" in part and is_function(part.strip()))

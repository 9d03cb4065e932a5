"""Targets in the program that Python was asked to run: its module is ``__main__``, and no import system tells of it.

``python deploy.py`` and ``python -m tool.cli`` execute their module under another name than a target has for it, and
nothing says when a function in it has been defined: what calls it follows in the same module. So the lines of that
one module are traced until all names that targets want are there, and not a line longer. Programs without such
targets are not traced.
"""

from __future__ import annotations

import os
import sys

from usagetrace.guard import guard, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, ModuleType
    from typing import Any, Final

_MAIN: Final = "__main__"
# Options of the interpreter that take what follows them: letters, which may stand together as in `-BW ignore`.
_WITH_VALUE: Final = frozenset("WX")
_LONG_WITH_VALUE: Final = "--check-hash-based-pycs"


def names_of_main(arguments: list[str] | None = None) -> frozenset[str]:
    """Return the names under which targets may mean the program's main module.

    Args:
        arguments: The command line with the interpreter's own options; that of this process by default.
    """
    spec = getattr(sys.modules.get(_MAIN), "__spec__", None)
    if spec is not None:
        return frozenset((_MAIN, spec.name))
    module, script = _program((sys.orig_argv if arguments is None else arguments)[1:])
    if module:
        return frozenset((_MAIN, module, f"{module}.__main__"))
    stem, kind = os.path.splitext(os.path.basename(script))
    return frozenset((_MAIN, stem)) if kind == ".py" else frozenset((_MAIN,))


def _program(arguments: list[str]) -> tuple[str, str]:
    """Return the module and the script that Python was asked to run, of which one is empty, or both."""
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            return "", next(given, "")
        if argument == "-" or not argument.startswith("-"):
            return "", argument
        if argument == _LONG_WITH_VALUE:
            next(given, "")
        for place, letter in enumerate(argument[1:], 2):
            if letter == "m":
                return argument[place:] or next(given, ""), ""
            if letter == "c":
                return "", ""
            if letter in _WITH_VALUE and place == len(argument):
                next(given, "")
            if letter in _WITH_VALUE or letter == "-":
                break
    return "", ""


def watch_main(wanted: Iterable[str], told: Callable[[ModuleType, str], object]) -> None:
    """Call something for each name that the main module defines, before the line after its definition runs.

    Args:
        wanted: Names at the top of the module.
        told: Is called with the module and a name, once for each name.
    """
    waiting = set(wanted)
    module = sys.modules.get(_MAIN)
    if module is not None:
        _tell_defined(module, waiting, told)
    if not waiting:
        return
    if sys.gettrace() is not None:
        warn_once(
            "main-script:traced",
            "functions of the program's own script are not recorded, because a debugger or a coverage tool traces it",
        )
        return
    _Trace(waiting, told).begin()


def _tell_defined(module: ModuleType, waiting: set[str], told: Callable[[ModuleType, str], object]) -> None:
    defined = waiting.intersection(vars(module))
    waiting -= defined
    for name in defined:
        with guard:
            told(module, name)


class _Trace:
    """Follows the lines of the main module, in the thread that executes it."""

    def __init__(self, waiting: set[str], told: Callable[[ModuleType, str], object]) -> None:
        self._waiting = waiting
        self._told = told

    def begin(self) -> None:
        """Follow the main module, which may be running by now, or is about to."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and not _is_main(frame):
            frame = frame.f_back
        if frame is not None:
            self._forget_unknown(frame)
            if not self._waiting:
                return
            frame.f_trace = self._line
        sys.settrace(self._call)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not _is_main(frame):
            return None
        self._forget_unknown(frame)
        return self._line if self._waiting else self._end(frame)

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        module = sys.modules.get(_MAIN)
        if module is None or vars(module) is not frame.f_globals:
            return self._end(frame)
        _tell_defined(module, self._waiting, self._told)
        if self._waiting and event != "return":
            return self._line
        return self._end(frame)

    def _forget_unknown(self, frame: FrameType) -> None:
        """Wait for nothing that the module's code does not even name: it would slow the program for ever."""
        missing = self._waiting.difference(frame.f_code.co_names)
        self._waiting -= missing
        module = sys.modules.get(_MAIN)
        for name in missing:
            with guard:
                if module is not None:
                    self._told(module, name)

    def _end(self, frame: FrameType) -> None:
        # Somebody else may have begun to trace meanwhile.
        if sys.gettrace() == self._call:
            sys.settrace(None)
        frame.f_trace = None


def _is_main(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == _MAIN

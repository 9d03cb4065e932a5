"""Commands of a Typer application, before Typer makes commands of click from them, and where it has done so already.

A command is tracked at the ``callback`` of what Typer keeps of it, so that whatever is built from it later runs the
tracked one. What is added after the application's module was executed is tracked when Typer builds it.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import typing
import weakref

from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.autoinstrument.frameworks.click_commands import Tree, is_command, track_tree
from usagetrace.autoinstrument.frameworks.commands import (
    Argument,
    Command,
    event_of,
    hook,
    require,
    track_function,
)
from usagetrace.autoinstrument.patches import Ledger, Patch, TargetError, find
from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.autoinstrument.target import Target

_PACKAGES: Final = frozenset(("typer", "click"))
_LISTS: Final = (list, tuple, set, frozenset)
# Applications within applications.
_DEPTH: Final = 20


def apply_typer(ledger: Ledger, target: Target, module: ModuleType, faults: list[str]) -> list[Patch]:
    """Track the commands of a Typer application; otherwise as for :func:`..apply`."""
    app = find(module, target.qualname)[2]
    if is_command(app):
        # Typer has built it already.
        return track_tree(ledger, target, app, faults)
    kind = next((k for k in type(app).__mro__ if k.__name__ == "Typer" and k.__module__.startswith("typer")), None)
    if kind is None:
        raise TargetError(f"{target.qualname} is no Typer application: it is a {type(app).__name__}")
    commands = _Commands(ledger, target, app)
    require(target, commands.described(), faults, is_closed=True, what="command")
    return commands.begin(sys.modules.get(kind.__module__), module)


class _Commands:
    """The commands of an application and of those that it was given."""

    def __init__(self, ledger: Ledger, target: Target, app: Any) -> None:
        self._ledger = ledger
        self._target = target
        self._app = app
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()
        # Which operation a function is, before it was tracked.
        self._events: dict[int, tuple[Any, str]] = {}
        self._counter: Patch | None = None
        self._lock = threading.RLock()

    def described(self) -> list[Command]:
        """Return all commands that there are now."""
        return [_described(info, path) for info, path in _commands_of(self._app, (), 0)]

    def begin(self, typer_main: ModuleType | None, module: ModuleType) -> list[Patch]:
        """Track what is there, and watch for what is not; return the patches."""
        patches = self._track_new()
        for value in list(namespace_of(module).values()):
            if is_command(value):
                with guard:
                    patches += self._track_built(value)
        if typer_main is not None and "get_command_from_info" in vars(typer_main):
            patches.append(hook(self._ledger, self._target, typer_main, "get_command_from_info", self._around))
        self._counter = next(iter(patches), None)
        return patches

    def _around(self, patch: Patch, original: Any) -> Any:
        @functools.wraps(original)
        def get_command_from_info(*args: Any, **kwargs: Any) -> Any:
            info = kwargs.get("command_info", args[0] if args else None)
            if patch.live and info is not None:
                with guard, self._lock:
                    if info not in self._seen:
                        self._track_new()
                        # Another application's, perhaps: it need not be looked for again.
                        self._seen.add(info)
            return original(*args, **kwargs)

        return get_command_from_info

    def _track_new(self) -> list[Patch]:
        patches = []
        for info, path in _commands_of(self._app, (), 0):
            if info in self._seen:
                continue
            self._seen.add(info)
            with guard:
                command = _described(info, path)
                event = event_of(self._target, command)
                if event is not None and not self._ledger.made(info.callback):
                    self._events[id(info.callback)] = info.callback, event
                    patches.append(self._put(info, event, command))
        return patches

    def _put(self, holder: Any, event: str, command: Command) -> Patch:
        patch = Patch(self._target, holder, "callback", holder.callback, inherited=False)
        function = track_function(self._target, event, command, holder.callback, self._counter or patch)
        patch.replacement = function
        self._ledger.put(patch)
        return patch

    def _track_built(self, root: Any) -> list[Patch]:
        """Track commands of click that Typer made of the application before its functions were tracked."""
        tree = Tree()
        tree.add(root, ())
        patches = []
        for entry in tree.entries():
            made_of = getattr(entry.command.callback, "__wrapped__", None)
            function, event = self._events.get(id(made_of), (None, ""))
            if event and function is made_of:
                patches.append(self._put(entry.command, event, entry.described()))
        return patches


def _commands_of(app: Any, path: tuple[str, ...], depth: int) -> list[tuple[Any, tuple[str, ...]]]:
    """Return what an application keeps of each command, with the names that lead to it."""
    found = []
    for info in app.registered_commands:
        if info.callback is not None:
            # As Typer names it.
            name = info.name or getattr(info.callback, "__name__", "").lower().replace("_", "-")
            found.append((info, (*path, name)))
    for group in app.registered_groups if depth < _DEPTH else ():
        inner = group.typer_instance
        if inner is not None:
            name = _given(group.name) or _given(getattr(inner.registered_callback, "name", None))
            name = name or _given(inner.info.name)
            found += _commands_of(inner, (*path, name) if name else path, depth + 1)
    return found


def _given(value: Any) -> Any:
    """Return a value, also where Typer marks that it is a default."""
    return value.value if type(value).__name__ == "DefaultPlaceholder" else value


def _described(info: Any, path: tuple[str, ...]) -> Command:
    function = info.callback
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # noqa: BLE001 -- what a program writes as annotations may raise anything
        guard.note(error)
        hints = {}
    names, arguments = [], []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, parameter.annotation)
        if _is_context(hint):
            continue
        names.append(parameter.name)
        if _is_argument(hint, parameter.default):
            arguments.append(_argument(parameter.name, hint))
    return Command((" ".join(path),), names, arguments)


def _is_context(hint: Any) -> bool:
    return any(
        kind.__name__ == "Context" and kind.__module__.partition(".")[0] in _PACKAGES
        for kind in getattr(hint, "__mro__", ())
    )


def _is_argument(hint: Any, default: Any) -> bool:
    for mark in (default, *getattr(hint, "__metadata__", ())):
        names = [kind.__name__ for kind in type(mark).__mro__]
        if "ArgumentInfo" in names or "OptionInfo" in names:
            return "ArgumentInfo" in names
    return default is inspect.Parameter.empty


def _argument(name: str, hint: Any) -> Argument:
    if hasattr(hint, "__metadata__"):
        hint = typing.get_args(hint)[0]
    # Optional[...] of one kind.
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) not in _LISTS and len(kinds) == 1:
        hint = kinds[0]
    origin = typing.get_origin(hint) or hint
    fixed = origin is tuple and Ellipsis not in typing.get_args(hint)
    is_file = any(kind.__name__ == "FileText" or kind.__name__ == "FileBinaryRead" for kind in _mro(hint))
    step = ".name" if is_file else ""
    if fixed:
        return Argument(name, step="[0]")
    return Argument(name, many=origin in _LISTS, step=step)


def _mro(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__mro__", ())

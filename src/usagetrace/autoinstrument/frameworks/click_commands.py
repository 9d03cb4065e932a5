"""Commands of click, and of what builds on it: asyncclick, rich-click, Typer's finished commands.

A command is tracked at its ``callback``. Groups are asked for nothing: what they hold is looked at where it lies, and
what they find when the program asks them, lazily or because it was added later, is tracked then.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Mapping

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
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.autoinstrument.target import Target

# Packages whose own groups hold all of their commands in a table.
_PACKAGES: Final = frozenset(("click", "asyncclick", "typer", "rich_click", "cloup"))
_COMMANDS: Final = frozenset(("Command", "BaseCommand"))
# Groups within groups.
_DEPTH: Final = 20


def apply_click(ledger: Ledger, target: Target, module: ModuleType, faults: list[str]) -> list[Patch]:
    """Track the commands of a click command or group; otherwise as for :func:`..apply`."""
    root = find(module, target.qualname)[2]
    if not is_command(root):
        raise TargetError(f"{target.qualname} is no click command or group: it is a {type(root).__name__}")
    return track_tree(ledger, target, root, faults)


def track_tree(ledger: Ledger, target: Target, root: Any, faults: list[str]) -> list[Patch]:
    """Track a command, or the commands of a group; otherwise as for :func:`..apply`."""
    tree = Tree()
    tree.add(root, ())
    require(target, (entry.described() for entry in tree.entries()), faults, is_closed=not tree.is_lazy, what="command")
    return _Tracked(ledger, target, tree).begin()


def is_command(value: Any) -> bool:
    """Return whether an object is a command or a group of click or of what builds on it."""
    return any(
        kind.__name__ in _COMMANDS and kind.__module__.partition(".")[0] in _PACKAGES for kind in type(value).__mro__
    )


class Entry:
    """A command, and where it was found.

    Attributes:
        command: The command of click.
        paths: Under which names, with those of its groups.
    """

    __slots__ = ("command", "paths")

    def __init__(self, command: Any) -> None:
        self.command = command
        self.paths: list[tuple[str, ...]] = []

    def described(self) -> Command:
        """Return what tracking needs to know of it."""
        names = [" ".join(path) for path in self.paths if path]
        parameters = [one for one in self.command.params if one.name and getattr(one, "expose_value", True)]
        arguments = [_argument(one) for one in parameters if one.param_type_name == "argument"]
        return Command(dict.fromkeys((*names, self.command.name or "")), (one.name for one in parameters), arguments)


def _argument(parameter: Any) -> Argument:
    # Typer's own parameters have no type of click's.
    is_file = any(kind.__name__ == "File" for kind in type(getattr(parameter, "type", None)).__mro__)
    step = ".name" if is_file else ""
    return Argument(parameter.name, many=parameter.nargs == -1, step=f"[0]{step}" if parameter.nargs > 1 else step)


class Tree:
    """The commands of a group that are there now.

    Attributes:
        groups: The groups, each with the names that lead to it.
        is_lazy: Whether one of them may know more commands than it holds.
    """

    def __init__(self) -> None:
        self.groups: dict[int, tuple[Any, tuple[str, ...]]] = {}
        self.is_lazy = False
        self._entries: dict[int, Entry] = {}

    def entries(self) -> list[Entry]:
        """Return the commands, each once, in the order in which they were found."""
        return list(self._entries.values())

    def knows(self, command: Any) -> bool:
        """Return whether a command or group was found already."""
        return id(command) in self._entries or id(command) in self.groups

    def add(self, command: Any, path: tuple[str, ...]) -> None:
        """Add a command, or a group with all that it holds.

        Args:
            command: The command or group.
            path: The names that lead to it.
        """
        if not _is_group(command):
            entry = self._entries.setdefault(id(command), Entry(command))
            entry.paths.append(path)
        elif id(command) not in self.groups and len(path) <= _DEPTH:
            self.groups[id(command)] = command, path
            self.is_lazy = self.is_lazy or _is_lazy(command)
            for name, inner in _held(command):
                self.add(inner, path if name is None else (*path, name))


def _is_group(command: Any) -> bool:
    return hasattr(command, "get_command") and hasattr(command, "list_commands")


def _held(group: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield what a group holds by name, and other groups whose commands are its own, without a name."""
    commands = getattr(group, "commands", None)
    if isinstance(commands, Mapping):
        # What has several names is what the name says that it was made with, the same for a group's commands.
        yield from sorted(commands.items(), key=lambda item: item[0] != getattr(item[1], "name", None))
    for source in getattr(group, "sources", ()):
        yield None, source


def _is_lazy(group: Any) -> bool:
    for name in ("get_command", "list_commands"):
        if name in vars(group):
            return True
        kind = _holder(type(group), name)
        if kind is None or kind.__module__.partition(".")[0] not in _PACKAGES:
            return True
    return False


def _holder(kind: type, attribute: str) -> type | None:
    return next((base for base in kind.__mro__ if attribute in vars(base)), None)


class _Tracked:
    """The commands of a tree that are operations, and those that are found later."""

    def __init__(self, ledger: Ledger, target: Target, tree: Tree) -> None:
        self._ledger = ledger
        self._target = target
        self._tree = tree
        self._done: set[int] = set()
        self._hooked: set[int] = set()
        self._patches: list[Patch] = []
        # What is found later counts here.
        self._counter: Patch | None = None
        self._lock = threading.RLock()

    def begin(self) -> list[Patch]:
        """Track what is there, and watch for what is not; return the patches."""
        self._track_new()
        patches, self._patches = self._patches, []
        self._counter = next(iter(patches), None)
        return patches

    def _track_new(self) -> None:
        for entry in self._tree.entries():
            if id(entry.command) not in self._done:
                self._done.add(id(entry.command))
                with guard:
                    self._track(entry)
        for group, _path in list(self._tree.groups.values()):
            with guard:
                self._watch(group)

    def _track(self, entry: Entry) -> None:
        command, function = entry.command, entry.command.callback
        described = entry.described()
        event = event_of(self._target, described)
        if event is None or function is None or self._ledger.made(function):
            return
        patch = Patch(self._target, command, "callback", function, inherited="callback" not in vars(command))
        patch.replacement = track_function(self._target, event, described, function, self._counter or patch)
        self._ledger.put(patch)
        self._patches.append(patch)

    def _watch(self, group: Any) -> None:
        """See what a group finds when the program looks a command up."""
        holder: Any = group if "get_command" in vars(group) else _holder(type(group), "get_command")
        if holder is None or id(holder) in self._hooked:
            return
        self._hooked.add(id(holder))

        def around(patch: Patch, original: Any) -> Any:
            @functools.wraps(original)
            def get_command(*args: Any, **kwargs: Any) -> Any:
                command = original(*args, **kwargs)
                if patch.live and command is not None:
                    with guard:
                        # Where the object itself holds the function, the group is not among the arguments.
                        asked = group if holder is group else args[0]
                        self._found(asked, kwargs.get("cmd_name", args[-1]), command)
                return command

            return get_command

        self._patches.append(hook(self._ledger, self._target, holder, "get_command", around))

    def _found(self, group: Any, name: Any, command: Any) -> None:
        """Track what a group has found under a name, if it is new."""
        with self._lock:
            known = self._tree.groups.get(id(group))
            if known is None or self._tree.knows(command) or inspect.isawaitable(command):
                return
            self._tree.add(command, (*known[1], str(name)))
            self._track_new()
            self._patches.clear()

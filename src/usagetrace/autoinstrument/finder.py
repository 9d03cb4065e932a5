"""Import hooks: tell somebody each time that a module has been executed, without ever importing it.

One finder stands first on ``sys.meta_path``. For a module that is watched it asks the finders behind it, as the import
system would, and puts a loader that tells before the one they found. It differs from :func:`wrapt.when_imported` in
three ways, for which it exists: a reload is told as well; a module that is still being executed is told of when it
is whole, not at once; and watching loads nothing, which a program that imports none of the watched modules would pay
for.

What is done with a module is not known here. What a callback raises is noted and goes no further: an import must not
fail because somebody looked on.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec

from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any, Final

    # Called with a module, and whether it had been imported before anybody watched it.
    Told = Callable[[ModuleType, bool], object]

_watched: Final[dict[str, list[Told]]] = {}
# Modules that a thread is looking for on behalf of the import system: the finders behind this one may ask it again.
_looking: Final = threading.local()


def watch(name: str, told: Told) -> None:
    """Call something after each execution of a module.

    A module that was imported already is told of at once; one that is being imported, by any thread, when it is whole;
    one that was set up to be loaded lazily, when it is.

    Args:
        name: Absolute name of the module. It need not exist.
        told: Is called with the module, in the thread that imports it, and with whether it had been imported before.
    """
    _watched.setdefault(name, []).append(told)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    module = sys.modules.get(name)
    if module is not None and not _is_to_come(name, module):
        _call(told, module, True)


def unwatch(name: str, told: Told) -> None:
    """Call something no longer; the last that goes takes the finder with it."""
    callbacks = _watched.get(name, [])
    if told in callbacks:
        callbacks.remove(told)
    if not callbacks:
        _watched.pop(name, None)
    if not _watched and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def namespace_of(module: ModuleType) -> dict[str, Any]:
    """Return what a module holds, without waking one that is loaded lazily, and without its ``__getattr__``."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


class _Finder:
    """Finds what is watched by asking the finders behind it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the others found, its loader behind one that tells; None for anything not watched."""
        if fullname not in _watched:
            return None
        names: set[str] = _looking.__dict__.setdefault("names", set())
        if fullname in names:
            return None
        names.add(fullname)
        try:
            spec = _ask_others(fullname, path, target)
        finally:
            names.discard(fullname)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Telling(spec.loader)  # type: ignore[assignment]  # it is whatever loader it stands for
        return spec


_finder: Final = _Finder()


def _ask_others(fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        find_spec = getattr(finder, "find_spec", None)
        if finder is _finder or find_spec is None:
            continue
        spec: ModuleSpec | None = find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


class _Telling:
    """Stands for a loader until its module is executed, and tells when that is done."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    @property  # type: ignore[misc]  # nobody sets it
    def __class__(self) -> Any:
        # Who asks what kind of loader it is gets the other's answer.
        return type(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as the loader does; None leaves it to the import system."""
        create: Callable[[ModuleSpec], ModuleType | None] | None = getattr(self._loader, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module as the loader does, which the module finds as its own."""
        namespace = namespace_of(module)
        spec: Any = namespace.get("__spec__")
        name = getattr(spec, "name", None) or namespace.get("__name__", "")
        if getattr(spec, "loader", None) is self:
            spec.loader = self._loader
        if namespace.get("__loader__") is self:
            namespace["__loader__"] = self._loader
        self._loader.exec_module(module)
        if getattr(type(spec), "usagetrace_told", False):
            # Somebody began to watch meanwhile, and it is told of at its end.
            return
        if not _is_lazy(module):
            tell(name, module)
        elif spec is not None:
            # Only set up so far; the loader that will execute it was put into the spec.
            spec.loader = _Telling(spec.loader)


# Python leaves the frames of the import system out of tracebacks, and of what warnings count, by their file: this is
# one of them. An import that fails looks as it does when nobody watches.
_Telling.exec_module.__code__ = _Telling.exec_module.__code__.replace(
    co_filename=ModuleSpec.__init__.__code__.co_filename
)


def tell(name: str, module: ModuleType) -> None:
    """Tell everybody who watches a module that it has been executed."""
    # A module may have put something else in its place.
    module = sys.modules.get(name, module)
    for told in list(_watched.get(name, ())):
        _call(told, module, False)


def _call(told: Told, module: ModuleType, imported_before: bool) -> None:
    try:
        told(module, imported_before)
    except Exception as error:  # noqa: BLE001 -- the import is the program's, and must not fail for our sake
        guard.note(error)


def _is_to_come(name: str, module: ModuleType) -> bool:
    """Return whether a module in ``sys.modules`` is not whole yet; then see to it that its end is told."""
    try:
        spec = namespace_of(module).get("__spec__")
        if _is_lazy(module) and spec is not None:
            spec.loader = _Telling(spec.loader)
            return True
        if getattr(spec, "_initializing", False):
            return _tell_at_end(spec, name)
    except Exception as error:  # noqa: BLE001 -- what stands in sys.modules may be any object
        guard.note(error)
    return False


def _is_lazy(module: ModuleType) -> bool:
    """Return whether a module is one of ``importlib.util.LazyLoader`` that nobody has used yet."""
    # Asked by name: the class is private. `type`, since any look at the module itself would load it.
    return type(module).__name__ == "_LazyModule"


def _tell_at_end(spec: Any, name: str) -> bool:
    """See to it that the end of an import that is under way is told: its spec is marked whole then."""
    kind = type(spec)
    if getattr(kind, "usagetrace_told", False):
        return True

    class Watched(kind):  # type: ignore[misc, valid-type]  # a spec of the class that this one has
        usagetrace_told = True

        def __setattr__(self, attribute: str, value: object) -> None:
            object.__setattr__(self, attribute, value)
            if attribute == "_initializing" and not value:
                object.__setattr__(self, "__class__", kind)
                module = sys.modules.get(name)
                # An import that failed has taken its module away.
                if module is not None and namespace_of(module).get("__spec__") is self:
                    tell(name, module)

    try:
        spec.__class__ = Watched
    except TypeError as error:
        # A spec of a class that can't be changed: what the module holds by now is all that can be seen.
        guard.note(error)
        return False
    return True

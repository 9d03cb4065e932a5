"""Functions that somebody took before they were replaced, on their way to another process.

Python pickles a function by its name, and refuses where that name has another function by now. What ``multiprocessing``
sends is pickled once more then, with such functions as what their name leads to: in the other process that is the
function, tracked if targets are in force there. What can be pickled at once is pickled as ever, at the same cost.
Nothing of ``pickle`` itself is changed, so ``pickle.dumps`` of such a function still refuses.
"""

from __future__ import annotations

from types import FunctionType

from usagetrace.autoinstrument import finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Final

_MODULE: Final = "multiprocessing.reduction"
# What was replaced: the holder, the name, what was there, and what is there now.
_replaced: Final[list[tuple[Any, str, Any, Any]]] = []
_users = 0


def begin() -> None:
    """See to it that multiprocessing can send such functions, as soon as the program has imported it."""
    global _users
    _users += 1
    if _users == 1:
        finder.watch(_MODULE, _told)


def end() -> None:
    """Make multiprocessing what it was, once each that began has ended."""
    global _users
    _users -= 1
    if _users:
        return
    finder.unwatch(_MODULE, _told)
    while _replaced:
        holder, name, before, ours = _replaced.pop()
        if vars(holder).get(name) is ours:
            setattr(holder, name, before)


def _told(module: ModuleType, imported_before: bool) -> None:
    import pickle  # multiprocessing has these
    from contextlib import suppress

    namespace = finder.namespace_of(module)
    pickler: Any = namespace["ForkingPickler"]
    plain = vars(pickler)["dumps"]

    def dumps(cls: Any, obj: Any, protocol: int | None = None) -> Any:
        try:
            return plain.__get__(None, cls)(obj, protocol)
        except pickle.PicklingError:
            # What can't be sent so either has been refused for another reason, which is told.
            with suppress(Exception):
                return plain.__get__(None, _by_name(cls))(obj, protocol)
            raise

    def dump(obj: Any, file: Any, protocol: int | None = None) -> None:
        # As a whole: what has been written can't be taken back.
        file.write(pickler.dumps(obj, protocol))

    for holder, name, ours in ((pickler, "dumps", classmethod(dumps)), (module, "dump", dump)):
        _replaced.append((holder, name, vars(holder)[name], ours))
        setattr(holder, name, ours)


def _by_name(pickler: Any) -> Any:
    """Return a pickler that sends a function whose place has a tracked one by its name."""

    class ByName(pickler):  # type: ignore[misc]  # multiprocessing's, or a subclass
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is FunctionType and _is_replaced(obj):
                from pkgutil import resolve_name  # Python's own: the other process may know nothing of us

                return resolve_name, (f"{obj.__module__}:{obj.__qualname__}",)
            further = getattr(super(), "reducer_override", None)
            return NotImplemented if further is None else further(obj)

    return ByName


def _is_replaced(function: FunctionType) -> bool:
    """Return whether a function's name leads to the function that stands for it now."""
    import sys
    from operator import attrgetter

    from usagetrace.track.wrappers import TrackedFunction

    try:
        found = attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (KeyError, AttributeError):
        return False
    return type(found) is TrackedFunction and found.__wrapped__ is function

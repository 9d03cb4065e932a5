"""The ledger of what was put into a program's modules, so that all of it can be taken out again.

This module knows how a function is found in a module, how a tracked one is put in its place, and how the module becomes
what it was, also where somebody else has wrapped our wrapper meanwhile. Which functions, and when, is not known here.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from itertools import count
from types import MethodType

from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.autoinstrument.holders import Holders, others
from usagetrace.guard import guard
from usagetrace.track import track
from usagetrace.track.wrappers import transparent, without_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.autoinstrument.target import Target

    Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

_MISSING: Final = object()
# What is no function itself, but makes one when it is looked up.
_DESCRIPTORS: Final = (property, functools.cached_property, functools.partialmethod, classmethod, staticmethod)
# Of these, what looks its function up itself, once.
_LOOKED_UP_ELSEWHERE: Final = (functools.cached_property, functools.partialmethod)
# Flag of a type whose attributes can't be set: Py_TPFLAGS_IMMUTABLETYPE.
_IMMUTABLE: Final = 1 << 8
# Longest chain of wrappers around one function that is looked through.
_DEPTH: Final = 100


class TargetError(Exception):
    """A target that can't be applied: the message says what was found in its place."""


class Patch:
    """One function that was replaced.

    Attributes:
        target: What asked for it.
        parent: The module, class or object that holds the function.
        attribute: Its name there.
        original: What was found there; for an inherited function, what the class inherits.
        inherited: Whether the parent held nothing under that name itself.
        replacement: What stands there now.
        live: Whether calls are tracked. A wrapper that others hold, and can't be taken away, is silent.
        held: In how many places others still have the original.
        undo: Take the replacement out of those that were given it.
    """

    __slots__ = (
        "_calls", "attribute", "held", "inherited", "live", "original", "parent", "replacement", "target", "undo",
    )  # fmt: skip

    def __init__(self, target: Target, parent: Any, attribute: str, original: Any, *, inherited: bool) -> None:
        self.target = target
        self.parent = parent
        self.attribute = attribute
        self.original = original
        self.inherited = inherited
        self.replacement: Any = None
        self.live = True
        self.held = 0
        self.undo: list[functools.partial[Any]] = []
        self._calls = count()

    @property
    def calls(self) -> int:
        """How often the function has been called."""
        # `count` has no other way to be read without being counted up: `count(7)`.
        return int(repr(self._calls)[6:-1])

    def _next(self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Return what a class inherits, looked up as Python does: by the class of the object at hand, and now.

        It is called with the arguments that it stands for: a method's object is the first, unless it is given here.
        """
        kind, parent = type(self.original), self.parent
        if not isinstance(parent, type) or kind in _LOOKED_UP_ELSEWHERE or (instance is None and not args):
            return wrapped
        holder = args[0] if instance is None else instance
        if kind is staticmethod:
            # It has no object at hand.
            holder = parent
        elif kind is property:
            # To look it up on the object would be to call it.
            holder = type(holder)
        try:
            found: Any = getattr(super(parent, holder), self.attribute)
        except (TypeError, AttributeError):
            # Called with an object that is not of the class.
            return wrapped
        if kind is property:
            return found.fget if isinstance(found, property) and found.fget is not None else wrapped
        if kind is staticmethod or instance is not None:
            return found  # type: ignore[no-any-return]  # what a class holds
        if type(found) is MethodType and found.__self__ is holder:
            return found.__func__
        # Replaced by what does not bind.
        return lambda _own, *others, **named: found(*others, **named)

    def counted(self, wrapper: Wrapper) -> Wrapper:
        """Return a wrapper that counts its calls, and can be silenced."""
        # In C, and in one step: two threads may call at once.
        called = self._calls.__next__

        def count_call(
            wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            if self.inherited:
                wrapped = self._next(wrapped, instance, args)
            if not self.live:
                return wrapped(*args, **kwargs)
            called()
            try:
                return wrapper(wrapped, instance, args, kwargs)
            except BaseException as error:
                # A program's traceback looks as it does without us: a bare `raise` does not add this frame again.
                error.__traceback__ = without_own(error.__traceback__)
                raise

        return transparent(count_call)


class Ledger:
    """What was replaced, in order."""

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        # Whether some function stays bare somewhere, for all that is known.
        self._is_kept = False
        # Modules may be imported by several threads.
        self._lock = threading.RLock()

    def patches(self) -> list[Patch]:
        """Return what is replaced now."""
        with self._lock:
            return list(self._patches)

    def apply(self, target: Target, module: ModuleType) -> Patch:
        """Track the function that a target names, in a module that has been executed.

        Args:
            target: What to track, and how.
            module: The module that the target names.

        Raises:
            TargetError: There is no such function, or it is none, or it is tracked already by another target.
            SelectorError: A field's selector does not fit the function.
            TypeError: A field has a value that ``track`` does not take.
        """
        with self._lock:
            parent, attribute, original, inherited = find(module, target.qualname)
            # Asked now: what tracks the function has it as well.
            held = others(original)
            if any(patch.replacement is original for patch in self._patches):
                raise TargetError(f"{target.function} is tracked by another target already")
            patch = Patch(target, parent, attribute, original, inherited=inherited)
            patch.held = held
            patch.replacement = tracked(target, original, patch)
            _put(patch)
            self._patches.append(patch)
            return patch

    def put(self, patch: Patch) -> None:
        """Put a patch's replacement in place, to be taken out by :meth:`restore`.

        Raises:
            TargetError: What holds the original can't hold anything else.
        """
        with self._lock:
            _put(patch)
            self._patches.append(patch)

    def made(self, function: object) -> bool:
        """Return whether a function is the replacement of another, put in place by this ledger."""
        with self._lock:
            return any(patch.replacement is function for patch in self._patches)

    def hand_on(self, patches: list[Patch], module: ModuleType, *, everywhere: bool) -> None:
        """Give replacements to what took originals before they could be replaced.

        These are names in other modules, by ``from m import f``; and if somebody still has an original then, what these
        modules, the module itself and its neighbours hold.

        Args:
            patches: Of functions in a module.
            module: That module.
            everywhere: False where the module has only just been executed: then only modules of its own package, in a
                circle of imports, can have taken anything.
        """
        package = _named(module).partition(".")[0]
        taken = (patch for patch in patches if _may_be_held(patch, module))
        # Where a class has a module's function, and both are targets, others have the module's.
        holders = Holders(sorted(taken, key=lambda patch: patch.parent is not module))
        home = frozenset((id(module), id(sys.modules.get(package, module))))
        near = []
        for name, other in list(sys.modules.items()) if holders else ():
            top = name.partition(".")[0]
            # What records must not be recorded by itself.
            if other is not module and (top == package or (everywhere and top != "usagetrace")):
                with guard:
                    if holders.names(other, home):
                        near.append(other)
        holders.search(module, near)
        if holders.left() and not self._is_kept:
            # Imported here: few programs need it.
            from usagetrace.autoinstrument import handed

            self._is_kept = True
            handed.begin()

    def restore(self) -> None:
        """Put every original back, the newest patch's first."""
        with self._lock:
            while self._patches:
                patch = self._patches.pop()
                patch.live = False
                with guard:
                    _take_out(patch)
                for undo in reversed(patch.undo):
                    with guard:
                        undo()
            if self._is_kept:
                from usagetrace.autoinstrument import handed

                self._is_kept = False
                handed.end()


def tracked(target: Target, original: Any, patch: Patch) -> Any:
    """Return a function, tracked as a target says and counted by its patch."""
    tracker = track(target.event, **target.fields)
    if isinstance(original, functools.partialmethod):
        return functools.partialmethod(
            tracker.decorate(original.func, patch.counted), *original.args, **original.keywords
        )
    if isinstance(original, functools.cached_property):
        made = functools.cached_property(tracker.decorate(original.func, patch.counted))
        made.attrname = original.attrname
        made.__doc__ = original.__doc__
        return made
    return tracker.decorate(original, patch.counted)


def find(module: ModuleType, qualname: str) -> tuple[Any, str, Any, bool]:
    """Return where a module has a function: its holder, its name there, itself, and whether it is inherited.

    Nothing is called on the way: neither a property, nor a module's own ``__getattr__``, which may import more.

    Raises:
        TargetError: There is nothing of that name, or something that can't be called.
    """
    *path, attribute = qualname.split(".")
    holder: Any = module
    for number, name in enumerate(path):
        holder, _inherited = _look_up(holder, name, ".".join(path[: number + 1]), module)
    found, inherited = _look_up(holder, attribute, qualname, module)
    if isinstance(found, type):
        raise TargetError(f"{qualname} is a class; name a method of it, such as {qualname}.__init__")
    if not (callable(found) or isinstance(found, _DESCRIPTORS)):
        raise TargetError(f"{qualname} can't be called: it is {_an(type(found).__name__)}")
    return holder, attribute, found, inherited


def _look_up(holder: Any, name: str, path: str, module: ModuleType) -> tuple[Any, bool]:
    """Return what a holder has under a name, unbound, and whether it only inherits it."""
    if holder is module:
        namespace = namespace_of(module)
        if name in namespace:
            return namespace[name], False
        raise TargetError(f"{_named(module)} has no {path}{_hint(module, name)}")
    if isinstance(holder, type):
        for number, base in enumerate(holder.__mro__):
            if name in base.__dict__:
                if holder.__flags__ & _IMMUTABLE:
                    raise TargetError(f"{path} can't be replaced: {holder.__qualname__} is a built-in type")
                return base.__dict__[name], number > 0
        raise TargetError(f"{_named(module)} has no {path}: the class {holder.__qualname__} has no {name}")
    own: Any = getattr(holder, "__dict__", {})
    if name in own:
        return own[name], False
    # An object in a module, such as a command. What its class makes anew at each look can't be replaced.
    of_class: Any = inspect.getattr_static(type(holder), name, None)
    found = _MISSING if isinstance(of_class, property) else getattr(holder, name, _MISSING)
    if found is _MISSING:
        raise TargetError(f"{_named(module)} has no {path}: {_an(type(holder).__name__)} has no {name}")
    # A slot is the object's own place, though its class knows of it.
    return found, not hasattr(of_class, "__set__")


def _hint(module: ModuleType, name: str) -> str:
    namespace = namespace_of(module)
    if "__getattr__" in namespace:
        return "; it makes some names only when they are asked for: name the module that defines the function"
    # Imported here: only a mistake needs it.
    import difflib

    near = difflib.get_close_matches(name, [known for known in namespace if not known.startswith("__")], 1)
    return f"; did you mean {near[0]}?" if near else ""


def _named(module: ModuleType) -> str:
    return str(namespace_of(module).get("__name__", "the module"))


def _an(name: str) -> str:
    return f"an object of type {name}"


def _put(patch: Patch) -> None:
    try:
        setattr(patch.parent, patch.attribute, patch.replacement)
    except (AttributeError, TypeError) as error:
        # Built-in types and frozen objects.
        raise TargetError(f"{patch.target.qualname} can't be replaced: {error}") from error
    if isinstance(patch.replacement, functools.cached_property) and isinstance(patch.parent, type):
        patch.replacement.__set_name__(patch.parent, patch.attribute)


def _may_be_held(patch: Patch, module: ModuleType) -> bool:
    """Return whether others can have taken what a patch replaced, under its own name."""
    if patch.parent is module:
        return True
    # What a class inherits is in its place still, and so is the function that a command calls.
    return patch.held > 0 and isinstance(patch.parent, type) and not patch.inherited


def _take_out(patch: Patch) -> None:
    parent, attribute = patch.parent, patch.attribute
    own = getattr(parent, "__dict__", None)
    # Where it has no table of its own, in a slot.
    present = getattr(parent, attribute, _MISSING) if own is None else own.get(attribute, _MISSING)
    if present is patch.replacement:
        if patch.inherited:
            delattr(parent, attribute)
        else:
            setattr(parent, attribute, patch.original)
        return
    # Somebody wrapped our wrapper: theirs stays, and ours goes from beneath it.
    outer: Any = present
    for _ in range(_DEPTH):
        inner = getattr(outer, "__wrapped__", _MISSING)
        if inner is _MISSING:
            return
        if inner is patch.replacement:
            outer.__wrapped__ = patch.original
            return
        outer = inner

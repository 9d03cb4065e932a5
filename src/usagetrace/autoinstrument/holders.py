"""Where else a program has a function that was replaced: tables, lists, classes, objects, defaults, partials.

What takes a function while its module is executed has the bare one. This module finds such places, gives them the
replacement, and gives the original back. It looks into what modules name and one level deeper, so that what it does
follows from the program's text and not from what the heap happens to hold. It runs no ``__setattr__``, ``__setitem__``
or property of the program. Tuples and sets stay as they are: a program may rely on which object they are. Which
functions are replaced, and when, is not known here.
"""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict, defaultdict
from functools import partial, partialmethod
from types import FunctionType, GetSetDescriptorType, MethodType, ModuleType

import wrapt

from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

    from usagetrace.autoinstrument.patches import Patch

# Whose entries can be set without running code of the program, which a subclass may have.
_TABLES: Final = (dict, defaultdict, OrderedDict)
_CONTAINERS: Final = (*_TABLES, list)
_NO_PROGRAM: Final = sys.stdlib_module_names | {"usagetrace", "wrapt", "opentelemetry"}
# Looked into by themselves, or not at all: what tracks a function shows that function's attributes as its own.
_NO_HOLDERS: Final = (ModuleType, wrapt.ObjectProxy)
# Flag of a type whose attributes can't be set: Py_TPFLAGS_IMMUTABLETYPE.
_IMMUTABLE: Final = 1 << 8
# Entries of one table or list that is looked into, and of all of them together: beyond, it is data and no registry.
_ENTRIES: Final = 10_000
_ROOM: Final = 100_000


def bare(original: Any) -> Any:
    """Return the function that others can have taken: of a static method the one inside."""
    return original.__func__ if type(original) is staticmethod else original


def references(original: object) -> int:
    """Return how many references there are to a function."""
    return sys.getrefcount(bare(original))


def others(original: object) -> int:
    """Return how many have a function, besides the namespace that it was found in and one variable of the caller."""
    return references(original) - _alone(type(original) is staticmethod)


@functools.cache
def _alone(is_static: bool) -> int:
    """Return how many references there are where nobody else has a function: it differs by version of Python."""

    def function() -> None: ...

    namespace: dict[str, object] = {"function": staticmethod(function) if is_static else function}
    del function
    original = namespace["function"]
    return _as_others(original)


def _as_others(original: object) -> int:
    """Ask as :func:`others` does, with as many variables on the way."""
    return references(original)


class Holders:
    """Gives the replacements of some patches to what holds their originals, and has each patch note how to undo it.

    Args:
        patches: Those whose originals others may hold; of two with the same original the first counts.
    """

    def __init__(self, patches: Iterable[Patch]) -> None:
        # By identity: a program's objects may compare in any way.
        self._given: dict[int, tuple[Any, Any, Patch]] = {}
        for patch in patches:
            original = bare(patch.original)
            self._given.setdefault(id(original), (original, bare(patch.replacement), patch))
        self._ids = frozenset(self._given)
        self._seen: set[int] = set()
        self._room = _ROOM
        self._is_default_sought = True

    def __bool__(self) -> bool:
        return bool(self._ids)

    def left(self) -> bool:
        """Return whether somebody has an original still, for all that is known."""
        return any(patch.held > 0 for _, _, patch in self._given.values())

    def names(self, module: ModuleType, home: frozenset[int]) -> bool:
        """Replace a module's own names; return whether it had any, or something of which it may have taken some.

        Args:
            module: Any module.
            home: Ids of what has the originals as attributes.
        """
        namespace = namespace_of(module)
        found = set(map(id, list(namespace.values())))
        if not self._ids.isdisjoint(found):
            self._table(namespace)
            return True
        return not home.isdisjoint(found)

    def search(self, module: ModuleType, near: list[ModuleType]) -> None:
        """Replace in all that may hold an original, until nothing is left.

        Args:
            module: Where the originals were found.
            near: Modules that had one by name.
        """
        for each in (module, *near):
            if self.left():
                with guard:
                    self.look_into(each)
        for each in neighbours(module) if self.left() else ():
            with guard:
                # Its functions were made before: their defaults are others.
                self.look_into(each, defaults=False)
            if not self.left():
                break

    def look_into(self, module: ModuleType, *, defaults: bool = True) -> None:
        """Replace in what a module names, and in tables and lists in that."""
        self._is_default_sought = defaults
        namespace = namespace_of(module)
        package = _top(namespace.get("__name__"))
        self._table(namespace)
        for value in list(namespace.values()):
            kind = type(value)
            if kind in _CONTAINERS:
                self._container(value, inner=True)
            elif kind is FunctionType:
                self._defaults(value)
            elif kind is partial:
                self._partial(value)
            elif issubclass(kind, type):
                # Its own, and those that it imported from beside it, where a decorator's table may be.
                if _top(_attributes_of_class(value).get("__module__")) == package:
                    self._class(value)
            elif not issubclass(kind, _NO_HOLDERS):
                attributes = attributes_of(value)
                if attributes is not None:
                    self._container(attributes, inner=True)

    def _container(self, value: Any, *, inner: bool) -> None:
        if id(value) in self._seen or len(value) > min(_ENTRIES, self._room):
            return
        self._seen.add(id(value))
        self._room -= len(value)
        is_list = type(value) is list
        if is_list:
            self._list(value)
        else:
            self._table(value)
        for held in list(value if is_list else value.values()):
            if type(held) is partial:
                self._partial(held)
            elif inner and type(held) in _CONTAINERS:
                self._container(held, inner=False)

    def _table(self, table: dict[Any, Any]) -> None:
        for found in self._ids.intersection(map(id, list(table.values()))):
            original, ours, patch = self._given[found]
            _note(patch, exchange_values(table, original, ours), partial(exchange_values, table, ours, original))

    def _list(self, row: list[Any]) -> None:
        for found in self._ids.intersection(map(id, row)):
            original, ours, patch = self._given[found]
            _note(patch, exchange_items(row, original, ours), partial(exchange_items, row, ours, original))

    def _partial(self, held: partial[Any] | partialmethod[Any]) -> None:
        if id(held.func) in self._ids:
            original, ours, patch = self._given[id(held.func)]
            _note(patch, exchange_func(held, original, ours), partial(exchange_func, held, ours, original))

    def _defaults(self, function: FunctionType) -> None:
        if not self._is_default_sought:
            return
        for found in self._ids.intersection(map(id, function.__defaults__ or ())):
            _, ours, patch = self._given[found]
            before = function.__defaults__ or ()
            after = tuple(ours if id(value) == found else value for value in before)
            exchange_defaults(function, before, after)
            # The newest is undone first, so each finds what it left.
            patch.held -= sum(id(value) == found for value in before)
            patch.undo.append(partial(exchange_defaults, function, after, before))
        if function.__kwdefaults__:
            self._table(function.__kwdefaults__)

    def _class(self, kind: type) -> None:
        if id(kind) in self._seen or kind.__flags__ & _IMMUTABLE:
            return
        self._seen.add(id(kind))
        for name, value in list(_attributes_of_class(kind).items()):
            binds = type(value)
            inside = value.__func__ if binds is staticmethod or binds is classmethod else value
            if id(inside) in self._ids:
                _, ours, patch = self._given[id(inside)]
                made = ours if inside is value else binds(ours)
                _note(
                    patch,
                    exchange_attribute(kind, name, value, made),
                    partial(exchange_attribute, kind, name, made, value),
                )
            elif type(inside) is FunctionType:
                self._defaults(inside)
            elif binds in _CONTAINERS:
                self._container(value, inner=False)
            elif binds is partialmethod:
                self._partial(value)


def _note(patch: Patch, number: int, undo: partial[Any]) -> None:
    if number:
        patch.held -= number
        patch.undo.append(undo)


# Each of these replaces one object by another in one place, and returns how often; undone by the opposite, which leaves
# alone what somebody else has put there meanwhile.


def exchange_values(table: dict[Any, Any], before: object, after: object) -> int:
    """Exchange an object for another in a table's values."""
    put: Callable[[Any, Any, Any], None] = type(table).__setitem__
    keys = [key for key, value in list(table.items()) if value is before]
    for key in keys:
        put(table, key, after)
    return len(keys)


def exchange_items(row: list[Any], before: object, after: object) -> int:
    """Exchange an object for another in a list."""
    places = [place for place, value in enumerate(row) if value is before]
    for place in places:
        row[place] = after
    return len(places)


def exchange_func(held: partial[Any] | partialmethod[Any], before: object, after: Any) -> int:
    """Exchange the function of a partial or partial method."""
    if held.func is not before:
        return 0
    if isinstance(held, partialmethod):
        held.func = after
    else:
        # As when it is copied or unpickled: it has no other way to be changed.
        state: tuple[Any, ...] = held.__reduce__()[2]  # type: ignore[assignment]  # it is declared for any object
        held.__setstate__((after, *state[1:]))  # type: ignore[attr-defined]  # it is there, and not declared
    return 1


def exchange_defaults(function: FunctionType, before: tuple[Any, ...], after: tuple[Any, ...]) -> int:
    """Exchange a function's defaults."""
    if function.__defaults__ is not before:
        return 0
    function.__defaults__ = after
    return 1


def exchange_attribute(kind: type, name: str, before: object, after: object) -> int:
    """Exchange an attribute of a class, past what its metaclass does when one is set."""
    if _attributes_of_class(kind).get(name) is not before:
        return 0
    type.__setattr__(kind, name, after)
    return 1


def _attributes_of_class(kind: type) -> Any:
    """Return what a class itself has, whatever it or its metaclass calls so."""
    return type.__dict__["__dict__"].__get__(kind)


def attributes_of(value: object) -> dict[str, Any] | None:
    """Return an object's own attributes, where it has a plain table of them."""
    for base in type.__dict__["__mro__"].__get__(type(value)):
        own = _attributes_of_class(base).get("__dict__")
        if own is not None:
            found = own.__get__(value) if type(own) is GetSetDescriptorType else None
            return found if type(found) is dict else None
    return None


def neighbours(module: ModuleType) -> Iterator[ModuleType]:
    """Yield the modules where the table of a decorator may be, those of the same package first.

    A module of its package counts where it has the module or a function of it; one of another package, but Python's
    own, where it has a function of it: to look through whole libraries takes a millisecond.
    """
    package = _top(namespace_of(module).get("__name__"))
    names = set()
    for value in list(namespace_of(module).values()):
        name, is_function = _origin(value)
        if isinstance(name, str):
            top = _top(name)
            if top == package or (is_function and top not in _NO_PROGRAM):
                names.add(name)
    for name in sorted(names, key=lambda name: (_top(name) != package, name)):
        each = sys.modules.get(name)
        if isinstance(each, ModuleType) and each is not module:
            yield each


def _top(name: Any) -> str:
    """Return the package of a module, by the module's name; a program may have put anything there."""
    return name.partition(".")[0] if isinstance(name, str) else ""


def _origin(value: Any) -> tuple[Any, bool]:
    """Return the name of the module that something is of, and whether that is a function."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        return namespace_of(value).get("__name__"), False
    function = value.__func__ if kind is MethodType else value
    return (function.__module__, True) if type(function) is FunctionType else (None, False)

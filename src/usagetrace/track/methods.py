"""Whether a function that was called with an object is a method of it.

A tracked method gets its object as its first argument, as any function in a class does. Where that parameter is called
``self`` and the function was written in a class, nobody has to ask; else the classes of the object are looked through.
Nothing is called on the way: neither a property nor an attribute that somebody computes.
"""

from __future__ import annotations

import functools
import types

import wrapt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

# Flag of a type whose attributes can't be set, so that nothing of ours can stand in it: Py_TPFLAGS_IMMUTABLETYPE.
_IMMUTABLE: Final = 1 << 8
# Longest chain of wrappers around one function that is looked through.
_DEPTH: Final = 100


def is_method_of(function: Any, holder: object) -> bool:
    """Return whether a function stands in a class of an object, or in the object where that is a class.

    Args:
        function: What was tracked, without what binds it.
        holder: The first argument of a call of it.
    """
    kinds = [kind.__dict__ for kind in _classes(holder)]
    name = getattr(function, "__name__", None)
    if isinstance(name, str) and any(name in kind and _leads_to(kind[name], function) for kind in kinds):
        return True
    # Under another name. A copy: another thread may be adding to the class.
    return any(_leads_to(value, function) for kind in kinds for value in list(kind.values()))


def _classes(holder: object) -> Iterator[type]:
    kind = type(holder)
    # Of the type itself: an object may say of itself that it is a class.
    own = type.__dict__["__mro__"].__get__(holder) if issubclass(kind, type) else ()
    for each in (*own, *type.__dict__["__mro__"].__get__(kind)):
        if not each.__flags__ & _IMMUTABLE:
            yield each


def _leads_to(value: Any, function: Any) -> bool:
    """Return whether what stands in a class hands its object on to a function, through wrappers or without."""
    for _ in range(_DEPTH):
        if value is function:
            return True
        value = _inner(value)
        if value is None:
            return False
    return False


def _inner(value: Any) -> Any:
    """Return what a wrapper of a known kind wraps; None of a static method, which gets no object, and of others."""
    kind = type(value)
    if kind is types.FunctionType:
        return value.__dict__.get("__wrapped__")
    if issubclass(kind, wrapt.ObjectProxy | wrapt.FunctionWrapper):
        return value.__wrapped__
    if issubclass(kind, classmethod):
        return value.__func__
    if issubclass(kind, property):
        return value.fget
    if issubclass(kind, functools.cached_property | functools.partialmethod):
        return value.func
    return None

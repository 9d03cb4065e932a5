"""Steps of selectors that an annotation says can't be there: ``$shelf.nmae`` where ``shelf`` is a ``Shelf``.

Only a hint: annotations may be wrong, and objects may have more than their class says. Nothing is said where a class
makes attributes when they are asked for, where one of its methods names the attribute, or where a selector has an
alternative.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

_STEP: Final = re.compile(r"\$(\w+)\.(\w+)")
_QUOTED: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


def missing_attributes(fields: Mapping[str, Any], parent: Any, original: Any) -> Iterator[str]:
    """Yield a sentence for each attribute that a class lacks by which a parameter or the result is annotated.

    Args:
        fields: A target's.
        parent: What holds the function: a class, or anything else.
        original: The function as it stands there.
    """
    classes = _classes(parent, original)
    if not classes:
        return
    for name, text in _texts("", fields):
        if "|" in _QUOTED.sub("", text):
            continue
        for root, attribute in _STEP.findall(_QUOTED.sub('""', text)):
            kind = classes.get(root)
            if kind is not None and not _may_have(kind, attribute):
                near = get_close_matches(attribute, _known(kind), 1)
                meant = f"; did you mean .{near[0]}?" if near else ""
                yield f"{name}: ${root} is a {kind.__qualname__}, which has no .{attribute}{meant}"


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every selector and condition among fields, with the field's name."""
    if isinstance(value, str):
        if "$" in value:
            yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str) and "$" in key:
                yield name, key
                yield from _texts(name, inner)
            else:
                yield from _texts(f"{name}.{key}" if name else str(key), inner)


def _classes(parent: Any, original: Any) -> dict[str, type]:
    """Return the class of each root that is known to have one."""
    function = getattr(original, "__func__", None) or getattr(original, "fget", None) or original
    if isinstance(function, functools.cached_property | functools.partialmethod):
        function = function.func
    function = inspect.unwrap(function) if callable(function) else function
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 -- annotations may be any text; then nothing is known
        hints = {}
    result = hints.pop("return", None)
    if not inspect.isgeneratorfunction(function) and not inspect.isasyncgenfunction(function):
        hints["result"] = result
    found = {name: kind for name, hint in hints.items() if (kind := _class_of(hint)) is not None}
    if isinstance(parent, type):
        found["self"] = parent
    return found


def _class_of(hint: Any) -> type | None:
    """Return the one class that an annotation allows beside None; None where there is no such class."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        allowed = [each for each in typing.get_args(hint) if each is not type(None)]
        hint = allowed[0] if len(allowed) == 1 else None
    if not isinstance(hint, type) or typing.get_origin(hint) is not None:
        return None
    # From Python 3.11 on Any is a class.
    is_open = hint in (object, Any) or issubclass(hint, Mapping) or getattr(hint, "_is_protocol", False)
    return None if is_open or typing.is_typeddict(hint) else hint


def _may_have(kind: type, attribute: str) -> bool:
    if hasattr(kind, "__getattr__") or getattr(kind, "__getattribute__", None) is not object.__getattribute__:
        return True
    if issubclass(kind, types.SimpleNamespace):
        return True
    named = {name for code in _codes(kind) for name in code.co_names}
    # One that sets attributes by name, as those that hold a command line's options do, may have any.
    return attribute in _known(kind) or not named.isdisjoint((attribute, "setattr", "__dict__"))


def _known(kind: type) -> set[str]:
    """Return the attributes that a class names, those that are only annotated included."""
    annotated = {name for base in kind.__mro__ for name in inspect.get_annotations(base)}
    return {name for name in (*dir(kind), *annotated) if not name.startswith("__")}


def _codes(kind: type) -> Iterator[types.CodeType]:
    # `self.name = ...` in a method, mostly in __init__, makes an attribute that no class names.
    for base in kind.__mro__:
        for member in base.__dict__.values():
            code = getattr(member, "__code__", None)
            if isinstance(code, types.CodeType):
                yield code

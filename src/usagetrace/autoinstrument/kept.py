"""Who keeps a bare function when a target is put in force: tried, and looked for on the whole heap.

Only where targets are checked, in a process of its own: it takes milliseconds for each hundred thousand objects.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import CellType, FrameType, MethodType, ModuleType
from typing import Any, Final

from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.autoinstrument.holders import attributes_of, bare, others
from usagetrace.autoinstrument.patches import Ledger
from usagetrace.autoinstrument.target import Target

# What has no name of its own, said of those who made it.
_KINDS: Final = {CellType: "a closure", MethodType: "a bound method", tuple: "a tuple", dict: "a table", list: "a list"}


def holders_of(original: Any) -> list[Any]:
    """Return what holds a function, besides the namespace that it was found in: before anything of ours does."""
    # A caller's variable, and this function's.
    if others(original) <= 1:
        return []
    # What an earlier trial with the same function has left.
    gc.collect()
    return [each for each in gc.get_referrers(bare(original)) if not isinstance(each, FrameType)]


def kept(target: Target, module: ModuleType, original: Any, had: list[Any]) -> list[str]:
    """Return where a function stays bare, by name as far as there is one; what was tried is undone.

    Args:
        target: A target without a fault.
        module: Its module.
        original: What it names, that nothing has been put in place of.
        had: What held it, by :func:`holders_of`.
    """
    if not had:
        return []
    function = bare(original)
    ledger = Ledger()
    try:
        patch = ledger.apply(target, module)
        ledger.hand_on([patch], module, everywhere=False)
        have = [each for each in had if any(found is function for found in gc.get_referents(each))]
        # What was put aside, to be put back.
        aside = {id(each) for undo in patch.undo for each in undo.args}
        # A wrapper's note of what it wraps calls nothing.
        have = [each for each in have if not (type(each) is dict and each.get("__wrapped__") is function)]
        return sorted(
            {_name(each, module, function) for each in have if each is not original and id(each) not in aside}
        )
    finally:
        ledger.restore()


def _name(holder: Any, module: ModuleType, function: object) -> str:
    """Return what a program calls something that holds a function."""
    modules = [module, *(each for each in list(sys.modules.values()) if type(each) is ModuleType)]
    for each in modules:
        before = "" if each is module else f"{namespace_of(each).get('__name__')}."
        for name, value in list(namespace_of(each).items()):
            if holder is namespace_of(each) and value is function:
                return f"{before}{name}"
            for inner, suffix in _within(value):
                if inner is holder:
                    return f"{before}{name}{suffix}"
    return _KINDS.get(type(holder), f"an object of type {type(holder).__qualname__}")


def _within(value: Any) -> Iterator[tuple[Any, str]]:
    """Yield an object, and what it holds, with how a program gets there."""
    yield value, ""
    if type(value) is dict:
        yield from ((inner, f"[{key!r:.40}]" if type(key) is str else "[…]") for key, inner in list(value.items()))
    elif type(value) in (list, tuple):
        yield from ((inner, "[…]") for inner in list(value))
    else:
        attributes = dict(vars(value)) if type(value) is type else attributes_of(value)
        if attributes is not None:
            yield attributes, ""
            yield from ((inner, f".{name}") for name, inner in list(attributes.items()))

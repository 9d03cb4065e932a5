"""Cases: a value that depends on conditions, ``{"$link": "link", "$move": "move", "else": "copy"}``.

The first condition that holds gives the value, ``else`` where none does, whatever its place; without ``else`` there is
none then. As an event type, cases choose when a call begins what it is (see :mod:`usagetrace.track.choosing`).
"""

from __future__ import annotations

from usagetrace.errors import SelectorError
from usagetrace.track.call import is_condition
from usagetrace.track.conditions import judge, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from usagetrace.track.call import Call
    from usagetrace.track.conventions import Read
    from usagetrace.track.plan import Builder

# Key of the value where no condition holds.
ELSE: Final = "else"
_MOMENTS: Final = ("early", "late", "items")


def reader(builder: Builder, name: str, cases: Mapping[Any, Any]) -> tuple[Read, str]:
    """Return the reader of cases, and the moment at which all that they look at can be read.

    Args:
        builder: Of the function.
        name: Of the field.
        cases: Conditions, and the value of each: a literal, a selector or a callable.

    Raises:
        SelectorError: A key is no condition, or a selector is wrong.
    """
    pairs: list[tuple[Callable[[Call], bool], Read]] = []
    otherwise: Read | None = None
    moments = []
    for key, value in cases.items():
        read, moment = builder.reader(name, value)
        moments.append(moment)
        if key == ELSE:
            otherwise = read
            continue
        holds, moment = condition(builder, name, key)
        moments.append(moment)
        pairs.append((holds, read))

    def choose(call: Call) -> Any:
        for holds, read in pairs:
            if holds(call):
                return read(call)
        return None if otherwise is None else otherwise(call)

    return choose, max(moments, key=_MOMENTS.index)


def condition(builder: Builder, name: str, key: object) -> tuple[Callable[[Call], bool], str]:
    """Return what judges one key of cases, and the moment at which it can be judged.

    Raises:
        SelectorError: The key is no condition.
    """
    where = f"{builder.where}, field {name}"
    if not is_condition(key):
        raise SelectorError(
            f"{where}: among cases, the key {key!r} is neither a condition, which begins with $, not or (, nor else"
        )
    parsed = parse(str(key), where)
    roots, moment = builder.roots(name, parsed)
    return judge(parsed, roots), moment

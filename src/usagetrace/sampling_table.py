"""What people write to say how much is kept of which events, and what it means.

In a settings file it is the table ``[sampling]``, in the environment a list of pairs, in code a mapping::

    [sampling]
    search = 0.1                                            # one of ten
    view = { rate = 0.01, minimum = 20, window = 60 }       # one of a hundred, at least 20 in each minute
    category.performance = 0.5                              # every type of a category that is not named itself

    USAGETRACE_SAMPLING="search=0.1,view=0.01/20/60,category.performance=0.5"

This module owns that form, its faults, and which of two entries counts. What is in force is
:mod:`usagetrace.track.rates`'s. Loaded only where somebody says something of sampling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from usagetrace.events import NAME_LIMIT, Category
from usagetrace.setting_types import InvalidTableError, InvalidValueError, to_number

# What a name begins with that means every type of a category.
CATEGORY: Final = "category."
_CATEGORIES: Final = tuple(category.value for category in Category)
_PARTS: Final = ("rate", "minimum", "window")
_RATE: Final = "expected a rate from 0 to 1"
_MINIMUM: Final = "expected a whole number of events from 0 to 1000000"
_WINDOW: Final = "expected a number of seconds, more than 0 and at most 86400 (a day)"
_RULE: Final = "expected a rate from 0 to 1, or a table of rate, minimum and window"
_PAIR: Final = "expected name=rate or name=rate/minimum/window, where name is an event type or category.NAME"
_TABLE: Final = "expected a table from event types, or category.NAME, to rates"
_MOST: Final = 1_000_000
_LONGEST_S: Final = 86_400.0

# Key, what was expected, and what was found.
_Fault = tuple[str, str, object]


class Rule(NamedTuple):
    """What is said of an event type, or of a category. None leaves a part to what else is known of it.

    Attributes:
        rate: Share that is kept, from 0 to 1.
        minimum: How many are kept in each window at least, where there are so many.
        window_s: How long a window is, in seconds.
    """

    rate: float | None = None
    minimum: int | None = None
    window_s: float | None = None

    def __str__(self) -> str:
        parts = ["" if part is None else f"{part:.10g}" for part in self]
        return "/".join(parts).rstrip("/")


class Rules(dict[str, Rule]):
    """Rules by event type, and by ``category.`` and a category's name.

    Attributes:
        lasting: Those that stay whatever the files say later: code or environment named them.
    """

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        super().__init__(rules or {})
        self.lasting: set[str] = set()

    def empty(self) -> Rules:
        """Return an empty table."""
        return Rules()

    def take(self, other: Rules, *, lasting: bool) -> bool:
        """Take what a weaker source says of names that are not here yet; return whether there are any.

        Args:
            other: What it says.
            lasting: Whether it can't change while the process runs.
        """
        new = {name: rule for name, rule in other.items() if name not in self}
        self.update(new)
        if lasting:
            self.lasting.update(new)
        return bool(new)

    def __str__(self) -> str:
        return ", ".join(f"{name}={rule}" for name, rule in self.items())


def rules_of(value: object) -> Rules:
    """Return what a source says of sampling.

    Args:
        value: A table, or a text of pairs.

    Raises:
        InvalidTableError: Lists every entry that can't be taken.
        InvalidValueError: It is neither.
    """
    if isinstance(value, str):
        return _of_text(value)
    if not isinstance(value, Mapping):
        raise InvalidValueError(_TABLE)
    faults: list[_Fault] = []
    rules = Rules()
    for name, said in _entries(value):
        wrong = _wrong_name(name)
        if wrong:
            faults.append((str(name), wrong, said))
            continue
        rules[str(name)] = _rule(str(name), said, faults)
    if faults:
        raise InvalidTableError(faults)
    return rules


def rule_of(rate: object, minimum: object = None, window_s: object = None) -> Rule:
    """Return a rule of three values.

    Raises:
        InvalidValueError: One of them is none.
    """
    faults: list[_Fault] = []
    rule = _checked(("", "", ""), (rate, minimum, window_s), faults)
    if faults:
        raise InvalidValueError("; ".join(f"{expected}, found {found!r}" for _key, expected, found in faults))
    return rule


def name_fault(name: object) -> str:
    """Return what is wrong with the name that a rule is for; empty where nothing is."""
    return _wrong_name(name)


def _of_text(text: str) -> Rules:
    faults: list[_Fault] = []
    rules = Rules()
    for pair in text.split(","):
        name, equals, said = (part.strip() for part in pair.partition("="))
        if not name and not equals:
            # A comma too many.
            continue
        parts = [part.strip() or None for part in said.split("/")]
        wrong = _PAIR if not equals or len(parts) > len(_PARTS) else _wrong_name(name)
        if wrong:
            faults.append(("", wrong, pair.strip()))
            continue
        while len(parts) < len(_PARTS):
            parts.append(None)
        keys = (name, f"{name}, minimum", f"{name}, window")
        if parts == [None, None, None]:
            faults.append((name, _RATE, said))
        rules[name] = _checked(keys, tuple(parts), faults)
    if faults:
        raise InvalidTableError(faults)
    return rules


def _entries(table: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the entries of a table; what TOML holds below a key of its own, ``category``, is named in one word."""
    found: list[tuple[Any, Any]] = []
    for name, said in table.items():
        if name == CATEGORY[:-1] and isinstance(said, Mapping):
            found.extend((f"{CATEGORY}{category}", rule) for category, rule in said.items())
        else:
            found.append((name, said))
    return found


def _wrong_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LIMIT:
        return "expected the name of an event type"
    if name.startswith(CATEGORY) and name[len(CATEGORY) :] not in _CATEGORIES:
        return f"expected category. and one of {', '.join(_CATEGORIES)}"
    return ""


def _rule(name: str, said: object, faults: list[_Fault]) -> Rule:
    if not isinstance(said, Mapping):
        if not isinstance(said, int | float | str):
            faults.append((name, _RULE, said))
            return Rule()
        return _checked((name, "", ""), (said, None, None), faults)
    unknown = [str(key) for key in said if key not in _PARTS]
    for key in unknown:
        why = f"unknown key, expected {', '.join(_PARTS)}; the name of an event type with a dot in it is quoted"
        faults.append((f"{name}.{key}", why, said[key]))
    if not unknown and not said:
        faults.append((name, _RULE, said))
    keys = (f"{name}.rate", f"{name}.minimum", f"{name}.window")
    return _checked(keys, (said.get("rate"), said.get("minimum"), said.get("window")), faults)


def _checked(keys: tuple[str, str, str], parts: tuple[object, ...], faults: list[_Fault]) -> Rule:
    """Return a rule of the parts that are said, and note those that can't be."""
    rate = _number(keys[0], parts[0], _RATE, faults)
    if rate is not None and not 0 <= rate <= 1:
        faults.append((keys[0], _RATE, parts[0]))
    minimum = _number(keys[1], parts[1], _MINIMUM, faults)
    if minimum is not None and (not 0 <= minimum <= _MOST or minimum != int(minimum)):
        faults.append((keys[1], _MINIMUM, parts[1]))
        minimum = None
    window_s = _number(keys[2], parts[2], _WINDOW, faults)
    if window_s is not None and not 0.001 <= window_s <= _LONGEST_S:
        faults.append((keys[2], _WINDOW, parts[2]))
    return Rule(rate, None if minimum is None else int(minimum), window_s)


def _number(key: str, said: object, expected: str, faults: list[_Fault]) -> float | None:
    if said is None:
        return None
    try:
        number = to_number(said, expected)
    except InvalidValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    faults.append((key, expected, said))
    return None

"""Event types: what is known of each, and how code and plugins add their own.

::

    from usagetrace.event_types import EventType, Sampling, register

    register(EventType("page_opened", "usage", sampling=Sampling(0.1, minimum=10), payload=PageOpened))

Register where the program is imported, before the first event of the type: what a tracked function asked of its type
at its first call, it keeps. A package that other tools use can bring types by the entry point group
``usagetrace.event_types``.

This module owns what an event type is, and which there are; `events` holds what each tracked call asks of it. It knows
no payload class until one is asked for.
"""

from __future__ import annotations

import os
import threading
from collections import namedtuple

from usagetrace import events
from usagetrace.errors import EventError
from usagetrace.events import CATEGORIES, CHANGED, REGISTERED, SAMPLING, SAMPLING_ELSE, Category, Priority
from usagetrace.guard import guard, warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import Enum
    from typing import Any, Final, NamedTuple, NoReturn, TypeVar

    E = TypeVar("E", bound=Enum)

__all__ = ["GROUP", "EventType", "Sampling", "all_types", "default_sampling", "lookup", "register"]

# Entry points of this group give an EventType, several of them, or a callable that returns those.
GROUP: Final = "usagetrace.event_types"
# Longest name of an event type, in characters.
_LONGEST: Final = 128
_ATTRIBUTES: Final = ("name", "category", "priority", "sampling", "_payload", "description")

if TYPE_CHECKING:

    class _SamplingFields(NamedTuple):
        rate: float = 1.0
        minimum: int = 1
        window_s: float = 60.0

else:
    # The same, without loading `typing`.
    _SamplingFields = namedtuple("_SamplingFields", "rate minimum window_s", defaults=SAMPLING_ELSE)


class Sampling(_SamplingFields):
    """How many events of a type are kept as rows; all of them are counted.

    Attributes:
        rate: Share that is kept, from 0.0 to 1.0.
        minimum: How many are kept in each window at least, when so many happen.
        window_s: Length of a window, in seconds.
    """

    __slots__ = ()


class EventType:
    """What is known of one event type. It can't change.

    Args:
        name: ``page_opened``: ASCII letters, digits, ``_``, ``.`` and ``-``, a letter first.
        category: Class of the type, or its text.
        priority: How much an event matters, or its text. High and critical ones are never sampled away.
        sampling: How many are kept as rows; None for what its category has.
        payload: Dataclass that says which metadata keys its events have, and of which types; None for any keys.
        description: One sentence for documentation.

    Raises:
        EventError: One of these can't be used.
    """

    __slots__ = ("_payload", "category", "description", "name", "priority", "sampling")

    name: str
    category: Category
    priority: Priority
    sampling: Sampling
    description: str
    # A class, or the name of one in `payloads`.
    _payload: type[Any] | str | None

    def __init__(
        self,
        name: str,
        category: Category | str = "custom",
        priority: Priority | str = "normal",
        sampling: Sampling | tuple[float, int, float] | None = None,
        payload: type[Any] | None = None,
        description: str = "",
    ) -> None:
        _check_payload(payload, name)
        kind = _member(Category, category, name, "category")
        given = default_sampling(kind) if sampling is None else _sampling(sampling, name)
        if not isinstance(description, str):
            raise EventError(f"event type {_shown(name)}: description: expected text")
        self._fill(_checked(name), kind, _member(Priority, priority, name, "priority"), given, payload, description)

    def _fill(self, *values: object) -> None:
        for attribute, value in zip(_ATTRIBUTES, values, strict=True):
            object.__setattr__(self, attribute, value)

    @property
    def payload(self) -> type[Any] | None:
        """The dataclass that events of this type have as their metadata; None for any keys, or none."""
        if isinstance(self._payload, str):
            from usagetrace import payloads

            found: type[Any] = getattr(payloads, self._payload)
            return found
        return self._payload

    @property
    def payload_kind(self) -> str:
        """Name of the payload's class; ``key_value`` where any keys may be given."""
        if self._payload is None:
            return "key_value"
        return self._payload if isinstance(self._payload, str) else self._payload.__name__

    def _values(self) -> tuple[Any, ...]:
        return (self.name, self.category, self.priority, self.sampling, self._payload, self.description)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, EventType) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return (
            f"EventType({self.name!r}, {self.category.value!r}, {self.priority.value!r}, {self.sampling!r}, "
            f"{self.payload_kind}, {self.description!r})"
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an event type can't change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an event type can't change: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        # A built-in type's payload is known by its name alone.
        return (_built_in, (self.name,)) if isinstance(self._payload, str) else (EventType, self._values())


def default_sampling(category: Category | str) -> Sampling:
    """Return the sampling of types of a category that have none of their own.

    Raises:
        EventError: There is no such category.
    """
    return Sampling(*SAMPLING.get(_member(Category, category, None, "category"), SAMPLING_ELSE))


# What is registered, by name; `events.REGISTERED` holds the part of it that each tracked call asks for.
_types: dict[str, EventType] = {}
_lock = threading.RLock()


def register(*types: EventType) -> None:
    """Add event types, all of them or, where one can't be, none.

    One that is there already and equal changes nothing. A different one of the same name takes its place, with one
    warning.

    Raises:
        EventError: One of them is no event type, or redefines a built-in one.
    """
    for name in _add(types, replace=True):
        warn_once(
            f"event-type:{name}",
            "the event type %s is registered twice, with different definitions; the later one counts",
            name,
        )


def add_from_plugin(types: Iterable[EventType]) -> list[str]:
    """Add a plugin's event types; return the names of those that were there already, otherwise, and stay.

    Raises:
        EventError: As in :func:`register`.
    """
    return _add(tuple(types), replace=False)


def _add(types: tuple[EventType, ...], *, replace: bool) -> list[str]:
    """Add event types; return the names of those that were there already, with another definition."""
    for found in types:
        if not isinstance(found, EventType):
            raise EventError(f"expected an EventType, got an object of type {type(found).__name__}")
        if found.name in CATEGORIES and found != _built_in(found.name):
            raise EventError(f"event type {found.name}: it is built in; give your own type another name")
    differ, changed = [], []
    with _lock:
        for found in types:
            before = _types.get(found.name)
            if before == found or found.name in CATEGORIES:
                continue
            if before is not None:
                differ.append(found.name)
            if before is None or replace:
                _types[found.name] = found
                REGISTERED[found.name] = (found.category, found.priority, found.sampling)
                changed.append(found.name)
    _tell(changed)
    return differ


def _tell(changed: Iterable[str]) -> None:
    """Tell who keeps what was asked of types; outside the lock, for what they do is not known here."""
    for name in changed:
        for watcher in CHANGED:
            with guard:
                watcher(name)


def forget() -> None:
    """Forget every registered type, and look for plugins anew when an unknown one is asked for. For test suites."""
    from usagetrace import event_plugins

    with _lock:
        names = list(_types)
        _types.clear()
        REGISTERED.clear()
        event_plugins.forget()
        events.ask_plugins()
    _tell(names)


def lookup(name: str) -> EventType | None:
    """Return an event type by its name; None where neither this version, code nor a plugin knows it."""
    if name in CATEGORIES:
        return _built_in(name)
    if name not in _types:
        # Asks the plugins, where nobody has yet.
        events.category_of(name)
    return _types.get(name)


def all_types() -> tuple[EventType, ...]:
    """Return every event type: the built-in ones in the order of their categories, then the others by name."""
    # No type has this name: whatever plugins there are, they are asked.
    events.category_of("")
    with _lock:
        others = sorted(_types.items())
    return (*map(_built_in, CATEGORIES), *(found for _, found in others))


# Built-in types that somebody has asked for.
_made: dict[str, EventType] = {}


def _built_in(name: str) -> EventType:
    found = _made.get(name)
    if found is None:
        from usagetrace.event_type_table import BUILT_IN

        payload, description = BUILT_IN[name]
        found = EventType.__new__(EventType)
        sampling = default_sampling(CATEGORIES[name])
        found._fill(name, CATEGORIES[name], events.priority_of(name), sampling, payload, description)
        found = _made.setdefault(name, found)
    return found


def _check_payload(payload: object, name: object) -> None:
    if payload is not None and not (isinstance(payload, type) and hasattr(payload, "__dataclass_fields__")):
        raise EventError(f"event type {_shown(name)}: payload: expected a dataclass, the class itself")


def _shown(name: object) -> str:
    return name[:_LONGEST] if isinstance(name, str) and name.isprintable() else f"of {type(name).__name__}"


def _checked(name: object) -> str:
    """Return the name of an event type.

    Raises:
        EventError: It is none.
    """
    if not isinstance(name, str):
        raise EventError(f"event type: name: expected text, got {type(name).__name__}")
    if not (0 < len(name) <= _LONGEST and name.isascii() and name[0].isalpha() and _plain(name)):
        raise EventError(
            f"event type {_shown(name)!r}: name: expected at most {_LONGEST} ASCII letters, digits, '_', '.' and '-', "
            "a letter first"
        )
    return str(name)


def _plain(name: str) -> bool:
    return all(character.isalnum() or character in "_.-" for character in name)


def _member(kind: type[E], value: object, name: object, field: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        place = "" if name is None else f"event type {_shown(name)}: "
        raise EventError(f"{place}{field}: expected one of {known}") from None


def _sampling(given: object, name: object) -> Sampling:
    """Return a sampling whose numbers can be used.

    Raises:
        EventError: One of them can't.
    """
    place = f"event type {_shown(name)}: sampling"
    if not isinstance(given, tuple) or len(given) != 3:
        raise EventError(f"{place}: expected a Sampling: rate, minimum, window_s")
    rate, minimum, window_s = given
    if not _is_number(rate) or not 0.0 <= rate <= 1.0:
        raise EventError(f"{place}: rate: expected a number from 0.0 to 1.0")
    if not _is_number(minimum) or not isinstance(minimum, int) or minimum < 0:
        raise EventError(f"{place}: minimum: expected a whole number, 0 or more")
    if not _is_number(window_s) or not 0.001 <= window_s < float("inf"):
        raise EventError(f"{place}: window_s: expected seconds, 0.001 or more")
    return Sampling(float(rate), int(minimum), float(window_s))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _in_child() -> None:
    """Forget who held the lock: a thread that was not forked."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""How much of each event type is kept: one shared object a type, changed in place, so that a change holds at once.

What counts, the strongest first: what code set (:mod:`usagetrace.sampling`), the settings, what the type itself says
(:mod:`usagetrace.events`); in the first two a type by its name before its category. This module decides about a single
call by its rate alone; the minimum a window is looked after by whoever sees the calls of a window: the drain of the
local store, and :mod:`usagetrace.track.windows` for what is sent.
"""

from __future__ import annotations

import os
import threading

from usagetrace.events import CATEGORIES, CHANGED, REGISTERED, SAMPLING, SAMPLING_ELSE, Category, Event, category_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from usagetrace.track.runtime import Runtime

    # Rate, minimum and window in seconds; None where it is not said. A `usagetrace.sampling_table.Rule` is one.
    Said = tuple[float | None, int | None, float | None]

# The numbers that an id may be are those below it: its low 64 bits count, as OpenTelemetry's samplers have it.
_ALL_IDS: Final = 1 << 64
_ID_DIGITS: Final = 16
# More than happen in a window, and the most that a store takes: what has this minimum is kept.
_ANY_NUMBER: Final = 1_000_000
# The longest window that a store takes, in seconds: some thousand years.
_LONGEST_S: Final = 31_536_000_000.0
# Most types that are remembered; a program that makes up names for ever gets rates that nobody changes.
_MOST: Final = 4096
_CATEGORY: Final = "category."
_STATUS: Final = Event._fields.index("status")
_PRIORITY: Final = Event._fields.index("priority")
# What is never sampled away, by status and by priority.
_SURE_STATUSES: Final = frozenset(("error", "abandoned"))
SURE_PRIORITIES: Final = frozenset(("high", "critical"))


class Rate:
    """How much is kept of an event type.

    Attributes:
        bound: An id whose low 64 bits are below it is kept; None keeps all.
        minimum: How many are kept in each window at least, where there are so many.
        window_ms: How long a window is, in milliseconds.
    """

    __slots__ = ("bound", "minimum", "window_ms")

    bound: int | None
    minimum: int
    window_ms: int

    def __init__(self) -> None:
        self.bound, self.minimum, self.window_ms = None, 1, 60_000

    def keeps(self, identity: int) -> bool:
        """Return whether the rate alone keeps what has this id: the same answer each time, and in each process."""
        bound = self.bound
        return bound is None or identity % _ALL_IDS < bound


# A rate that keeps everything: that of a plan before its first call.
KEEP_ALL: Final = Rate()

_lock = threading.RLock()
_rates: dict[str, Rate] = {}
_of_settings: Mapping[str, Said] = {}
_of_code: dict[str, Said] = {}


def rate_of(event_type: str) -> Rate:
    """Return the rate of an event type: the same object each time, for it is changed in place."""
    rate = _rates.get(event_type)
    if rate is None:
        rate = Rate()
        # Plugins may be imported here, and nowhere below: an import has locks of its own, and a plugin that is being
        # imported by another thread may be waiting for this one.
        category_of(event_type)
        with _lock:
            _resolve(event_type, rate)
            if len(_rates) < _MOST:
                rate = _rates.setdefault(event_type, rate)
    return rate


def apply(rules: Mapping[str, Said] | None) -> None:
    """Put in force what the settings say, in place of what they said before.

    Args:
        rules: By event type, or ``category.`` and a category's name; None where they say nothing.
    """
    global _of_settings
    with _lock:
        if rules is None and not _of_settings:
            return
        _of_settings = {} if rules is None else dict(rules)
        _resolve_all()


def set_in_code(name: str, said: Said | None) -> None:
    """Put in force what code says of a name, before what settings say; None forgets what it said."""
    with _lock:
        if said is None:
            _of_code.pop(name, None)
        else:
            _of_code[name] = said
        _resolve_all()


def forget(*, settings: bool = True) -> None:
    """Forget what code set, and what the settings say unless told otherwise."""
    global _of_settings
    with _lock:
        _of_code.clear()
        if settings:
            _of_settings = {}
        _resolve_all()


def resolved(event_type: str) -> tuple[float, int, float]:
    """Return what is in force for an event type: rate, minimum of events a window, and window in seconds."""
    # Plugins are asked, as far as they can be.
    category_of(event_type)
    return _in_force(event_type)


def _in_force(event_type: str) -> tuple[float, int, float]:
    found, own = _of_type(event_type)
    category = f"{_CATEGORY}{found.value}"
    parts: list[Any] = [None, None, None]
    for said in (
        _of_code.get(event_type),
        _of_code.get(category),
        _of_settings.get(event_type),
        _of_settings.get(category),
        own,
    ):
        if said is not None:
            parts = [new if part is None else part for part, new in zip(parts, said, strict=True)]
    return parts[0], parts[1], parts[2]


def _of_type(event_type: str) -> tuple[Category, tuple[float, int, float]]:
    """Return an event type's category and its own sampling, as far as they are known: nothing is imported for it."""
    category = CATEGORIES.get(event_type)
    if category is not None:
        return category, SAMPLING.get(category, SAMPLING_ELSE)
    found = REGISTERED.get(event_type)
    return (Category.CUSTOM, SAMPLING_ELSE) if found is None else (found[0], found[2])


def _resolve_all() -> None:
    # A copy: a signal handler may come in between, with a type of its own.
    for event_type, rate in list(_rates.items()):
        _resolve(event_type, rate)


def _resolve(event_type: str, rate: Rate) -> None:
    share, minimum, window_s = _in_force(event_type)
    # The bound last: a call that looks meanwhile finds a minimum that belongs to it, or keeps all.
    rate.minimum, rate.window_ms = int(minimum), max(int(min(window_s, _LONGEST_S) * 1000), 1)
    rate.bound = None if share >= 1 else round(share * _ALL_IDS)


def identity_of(digits: str) -> int:
    """Return what is compared with a rate: the low 64 bits of an id.

    Args:
        digits: A trace id, or a span id where there is no trace: hexadecimal digits.
    """
    return int(digits[-_ID_DIGITS:], 16)


def deliver(runtime: Runtime, rate: Rate, digits: str, rows: list[tuple[Any, ...]]) -> bool:
    """Hand the rows of a call to the local store, as events or to be counted; return whether it took them.

    Args:
        runtime: Knows the store.
        rate: Of the call's event type.
        digits: The call's trace id, or its span id where there is no trace: hexadecimal digits.
        rows: All of the call: where one of them is never sampled away, none is.
    """
    taken = runtime.record_sampled is not None and not rate.keeps(identity_of(digits)) and not any(map(is_sure, rows))
    if not taken:
        return bool(runtime.record(rows))
    return bool(runtime.record_sampled(rows, rate.minimum, rate.window_ms))


def deliver_taken(runtime: Runtime, rate: Rate, rows: list[tuple[Any, ...]]) -> bool:
    """Hand over the rows of a call whose span a sampler took away: counted, or kept if they are never sampled away.

    Args:
        runtime: Knows the store, or at least who counts.
        rate: Of the call's event type.
        rows: All of the call.
    """
    sure = any(map(is_sure, rows))
    if runtime.record is not None and (sure or runtime.record_sampled is None):
        return bool(runtime.record(rows))
    return bool(runtime.record_sampled(rows, _ANY_NUMBER if sure else 0, rate.window_ms))


def is_sure(row: tuple[Any, ...]) -> bool:
    """Return whether a row is never sampled away: a failure, or one of a high priority."""
    return row[_STATUS] in _SURE_STATUSES or row[_PRIORITY] in SURE_PRIORITIES


def _registered(event_type: str) -> None:
    """Take notice of an event type that was registered, maybe anew."""
    with _lock:
        rate = _rates.get(event_type)
        # One that was forgotten keeps its rate until something else changes.
        if rate is not None and event_type in REGISTERED:
            _resolve(event_type, rate)


CHANGED.append(_registered)


def _in_child() -> None:
    # Another thread of the parent may have held it: nobody would ever give it back here.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

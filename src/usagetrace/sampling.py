"""How much of which events is kept, changed while a program runs; and the sampler for an application's own provider.

::

    from usagetrace import sampling

    sampling.set_rate("search", 0.1)                             # one of ten searches is a row; all are counted
    sampling.set_rate("category.performance", 0.01, minimum=20)  # at least 20 of each type in each window
    sampling.reset()                                             # back to what the settings say

    TracerProvider(sampler=sampling.UsageSampler())

What is in force is :mod:`usagetrace.track.rates`'s; the sampler is made in :mod:`usagetrace.sampler`, for it needs the
OpenTelemetry SDK, which a program that only sets rates must not pay for.
"""

from __future__ import annotations

from usagetrace.events import NAME_LIMIT
from usagetrace.sampling_table import Rule, name_fault, rule_of
from usagetrace.setting_types import InvalidValueError
from usagetrace.track import rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.sampler import UsageSampler, make_sampler

__all__ = ["Rule", "UsageSampler", "make_sampler", "rate_in_force", "reset", "set_rate"]

_OF_SAMPLER = frozenset(("UsageSampler", "make_sampler"))


def set_rate(name: str, rate: float, minimum: int | None = None, window_s: float | None = None) -> None:
    """Set how much is kept of an event type, from the next call on; it counts before what the settings say.

    Args:
        name: The event type; or ``category.`` and a category's name, for each type of it that is not named itself.
        rate: Share that is kept, from 0 to 1.
        minimum: How many events of a type are kept in each window at least, where there are so many; None leaves that
            to settings and type.
        window_s: How long a window is, in seconds, at most a day; None as for the minimum.

    Raises:
        ValueError: One of them is none of these; the message names it.
    """
    wrong = name_fault(name)
    if wrong:
        raise ValueError(f"set_rate: {wrong}, found {name!r:.{NAME_LIMIT}}")
    if rate is None:
        raise ValueError("set_rate: expected a rate from 0 to 1, found None")
    try:
        said = rule_of(rate, minimum, window_s)
    except InvalidValueError as error:
        raise ValueError(f"set_rate({name!r}): {error}") from None
    rates.set_in_code(name, said)


def reset(name: str | None = None) -> None:
    """Forget what :func:`set_rate` set: settings and types count again.

    Args:
        name: What it was called with; None for all that it set.
    """
    if name is None:
        rates.forget(settings=False)
    else:
        rates.set_in_code(name, None)


def rate_in_force(event_type: str) -> Rule:
    """Return how much is kept of an event type now, whoever said it.

    Args:
        event_type: Any, also one that nobody registered.
    """
    return Rule(*rates.resolved(event_type))


def __getattr__(name: str) -> Any:
    if name in _OF_SAMPLER:
        # Imported here: see above.
        from usagetrace import sampler

        return getattr(sampler, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

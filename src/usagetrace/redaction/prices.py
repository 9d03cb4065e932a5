"""What each search of a long text costs that some words announce, measured on texts that consist of little else.

It knows the rules that words announce, and nothing of how a text is searched or cut.
"""

from __future__ import annotations

import functools

from usagetrace.redaction.dense import Announced
from usagetrace.redaction.told import STEMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from usagetrace.redaction.rules import Rule

# What a search costs for each character and for each of its words, in nanoseconds, where it is more than the usual.
_RATE: Final = 40
_EACH: Final = 6000
# In many a secret's name; the others are too rare to be counted everywhere.
_FREQUENT: Final = ("token", "secret", "pass", "auth", "key")
_RATES: Final = {"identified": 10, "chpasswd": 600}


@functools.cache
def searches(hinted: tuple[Rule, ...], placed: tuple[Rule, ...]) -> tuple[Announced, ...]:
    """Return what each search of a long text costs, by the words without which it is not made.

    Args:
        hinted: Rules for names and phrases.
        placed: Rules for commands and formats: each of their words is looked around at.
    """
    made = []
    for rule in (*hinted, *placed):
        # What a sign announces is in the price of the sign.
        if min(map(len, rule.needs)) > 1:
            rate = next((_RATES[need] for need in rule.needs if need in _RATES), _RATE)
            made.append(Announced(rule.needs, rate, _EACH if rule in placed else 0))
    # Each of these words is looked at as the name of something told.
    made.append(Announced(_FREQUENT, 0, 360))
    made += [Announced((stem,), 0, 700) for stem in STEMS if not any(word in stem for word in _FREQUENT)]
    made.append(Announced(("cookie",), 0, 1500))
    # What follows these is read for a token.
    made.append(Announced(("okta",), 0, 2500))
    made.append(Announced(("test_", "live_"), 0, 300))
    return tuple(made)

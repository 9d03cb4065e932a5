"""Which rules for addresses of machines, phone numbers and cards a text may match: cheap tests before dear patterns.

It knows the rules' shapes, and nothing of what becomes of a finding. Each test must be true of every text in which its
rule finds something.
"""

from __future__ import annotations

from usagetrace.patterns import any_of, lazy
from usagetrace.redaction.personal import PERSONAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from usagetrace.redaction.rules import Rule

_IPV4, _IPV6 = (rule for rule in PERSONAL if rule.name == "ip")
_MAC, _DOTTED_MAC = (rule for rule in PERSONAL if rule.name == "mac")
_ABROAD: Final = next(rule for rule in PERSONAL if rule.needs == ("+",))
_BY_WORD: Final = tuple(rule for rule in PERSONAL if "phone" in rule.needs or rule.name == "id-number")
_ACCOUNT: Final = next(rule for rule in PERSONAL if rule.name == "iban")
_NUMBERED: Final = tuple(
    rule for rule in PERSONAL if rule.name in ("phone", "card") and rule is not _ABROAD and rule not in _BY_WORD
)

# Each of these begins with a sign, or with the first of several digits, so that a search skips what is between.
_DOTTED: Final = lazy(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_FOURS: Final = lazy(r"\.[0-9A-Fa-f]{4}\.")
_PAIRS: Final = lazy(r"[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]")
# The colons of a whole IPv6 address, which may end with an IPv4 one; if it leaves out zeros, two are together.
_SIX: Final = lazy(r":(?:[0-9A-Fa-f]{1,4}:){5}")
# Seven digits that stand close together: nothing shorter is an address, a phone number or a card.
_SEVEN: Final = lazy(r"[0-9][ .()/-]{0,2}[0-9][0-9 ().-]{3,}[0-9]")
# The beginning of a bank account's number, and what stands before numbers that nothing else tells.
_COUNTRY: Final = lazy(r"[A-Z][A-Z](?<![A-Za-z0-9]..)[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4} ?[A-Z0-9]{3}")
_WORDS: Final = (
    "tel", "fax", "phone", "mobil", "cell ", "handy ", "whatsapp", "sms", "call ", "ring ", "dial ", "ssn", "social",
    "тел", "电话", "手机", "電話", "tél",
)  # fmt: skip
_WORD: Final = any_of(_WORDS)
# Longer texts, in characters, are searched for them one by one.
_LONG: Final = 4096
# Ten of them: no card and no number in the North American form has less.
_TEN: Final = lazy(r"[0-9](?<![0-9][0-9])(?:[-. )]{0,2}\d){9}")


def _may_tell(low: str) -> bool:
    """Say whether a text in lower case holds a word that numbers of persons stand behind."""
    if len(low) <= _LONG:
        return _WORD.search(low) is not None
    # Without letters, it holds none.
    return (low.islower() or not low.isascii()) and any(map(low.__contains__, _WORDS))


def numbered(text: str) -> list[Rule]:
    """Return the rules for numbers that may find something in a text.

    Args:
        text: A text with a digit.
    """
    rules = []
    if _SEVEN.search(text) is not None:
        if "." in text and _DOTTED.search(text) is not None:
            rules.append(_IPV4)
        if "+" in text:
            rules.append(_ABROAD)
        if _may_tell(text.lower()):
            rules += _BY_WORD
        if _COUNTRY.search(text) is not None:
            rules.append(_ACCOUNT)
        if _TEN.search(text) is not None:
            rules += _NUMBERED
    has_colon = ":" in text
    if has_colon and ("::" in text or _SIX.search(text) is not None):
        rules.append(_IPV6)
    if (has_colon or "-" in text) and _PAIRS.search(text) is not None:
        rules.append(_MAC)
    if "." in text and _FOURS.search(text) is not None:
        rules.append(_DOTTED_MAC)
    return rules

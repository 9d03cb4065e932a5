"""Plain texts, of ASCII letters, digits and ``. _ -`` with either slashes or spaces: most names, versions, paths and
queries are such.

All but a few of the rules need a sign that such a text has not: a colon, an equals sign, an @. What is left is told
here without a pattern, because compiling patterns costs a short command more than all else that redaction does. This
module may only say that a text is harmless to the rules of :mod:`usagetrace.redaction.finder`, never that it is not.
"""

from __future__ import annotations

from usagetrace.patterns import any_of
from usagetrace.redaction.keys import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

# Below these lengths and numbers nothing matches: the run of a token, a row of digits or an address, its digits,
# its dots, the hyphens of a hardware address.
_TOKEN_LENGTH: Final = 11
_NUMBER_LENGTH: Final = 7
_DIGITS: Final = 10
_DOTS: Final = 3
_HYPHENS: Final = 5
# Longer texts, in characters, hold most of their words many times.
_LONG: Final = 16_384
# Of such a text this much, in characters, is looked at before the rest: most that announce something do it there.
_FIRST: Final = 4096
_SPACED: Final = bytes.maketrans(b"-_./", b"    ")
# The length of each group of a hardware address with two dots.
_MAC_GROUP: Final = 4
# The shortest number of a bank account that begins with a country.
_ACCOUNT_LENGTH: Final = 15
# Of the first part of a key in hexadecimal digits, which hyphens go on.
_HEX_LENGTH: Final = 32
# The shortest token that is known by a sign in its middle.
_INNER_LENGTH: Final = 36
_INNER_SIGN: Final = any_of(("-us", "live_", "test_", "_mmk", "NRAL", "AZDO", "okta", "Okta", "OKTA"))
# In lower case, one of these is in each plain text with spaces that tells a secret: after words, after a flag, in PEM.
_PHRASES: Final = (" is", " was", "bearer ", "basic ", "login ", " -", ".-", "-----begin")
_PHRASE: Final = any_of(_PHRASES)
# In lower case, one of these is in each name of a secret that a value with a digit may stand beside, and in each
# command that takes a password without a sign.
_NAMES: Final = (
    "pass", "pw", "token", "secret", "key", "cred", "pin", "auth", "wort", "woord", "senha", "psk", "clave", "code",
    "contrase", "vault", "net use", "_pat ", "poetry", "doctl", "parola", "salasana", "heslo", "adgangsk", "phone ",
    "tel ", "tel.", "telefon", "fax ", "mobile ", "call ", "whatsapp ", "ssn ",
)  # fmt: skip
_PHRASE_OR_NAME: Final = any_of((*_PHRASES, *_NAMES))

# The vendors' prefixes by their first run of letters and digits: those that go on with another sign, and those that are
# no more than this, by their first two letters, with the length of the shortest word that may hold the token.
# Read from the table when the first text comes that may hold one.
_going_on: dict[str, list[str]] = {}
_alone: dict[str, list[tuple[str, int]]] = {}


def is_harmless(text: str, kind: Kind) -> bool:
    """Say whether a text is plain and no rule for secrets and personal data can match in it.

    Paths and names of this machine are not looked at.

    Args:
        text: Any text.
        kind: What the text's key says of it.
    """
    if not text.isascii():
        return False
    if len(text) > _LONG:
        first = text[: text.rfind(" ", 0, _FIRST)]
        if len(first) < _FIRST and not is_harmless(first, kind):
            # What a part of the words announces, all of them do.
            return False
    letters = text.replace("-", "").replace("_", "").replace(".", "").replace("/", "")
    if not letters.isalnum():
        letters = letters.replace(" ", "")
        if not letters.isalnum() or "/" in text or text[0] == "-":
            return False
        if _may_hold_a_phrase(text.lower(), letters.isalpha() and "_" not in text and "-" not in text):
            return False
    if len(text) < _NUMBER_LENGTH:
        return True
    has_digit = not letters.isalpha()
    if has_digit:
        dots = text.count(".")
        if len(text) >= _INNER_LENGTH and (dots > 1 or _INNER_SIGN.search(text) is not None):
            return False
        if dots and (text[:2] == "s." or " s." in text):
            return False
        if kind is Kind.VERSION:
            has_digit = False
        elif (
            # The signs of an address.
            dots >= _DOTS
            or (dots == _DOTS - 1 and len(text.split(".")[1]) == _MAC_GROUP)
            or text.count("-") >= _HYPHENS
        ):
            return False
    elif text.islower():
        # A token of letters in one case and no digit is as good as impossible.
        return True
    return (len(text) < _TOKEN_LENGTH and (not has_digit or len(letters) < _DIGITS)) or not _may_hold_more(
        text, has_digit
    )


def _may_hold_a_phrase(low: str, is_alpha: bool) -> bool:
    """Say whether a plain text with spaces, in lower case, may tell a secret in words or after a command's flag."""
    if len(low) > _LONG:
        if "-" not in low and not low.islower():
            # Nothing but digits.
            return False
        return any(map(low.__contains__, _PHRASES)) or (not is_alpha and any(map(low.__contains__, _NAMES)))
    return (_PHRASE if is_alpha else _PHRASE_OR_NAME).search(low) is not None


def _may_hold_more(text: str, is_counted: bool) -> bool:
    """Say whether a word of a plain text begins as a vendor's token does, or there are digits for a phone or a card.

    Args:
        text: A plain text.
        is_counted: Whether its digits mean anything. A phone number and a card are digits from one sign to another: a
            hash or a UUID has letters between.
    """
    if not _alone:
        _read_prefixes()
    digits, heads = 0, set()
    words: Collection[str]
    if len(text) > _LONG:
        # Each word once, and one of digits is enough.
        words = frozenset(text.encode().translate(_SPACED).decode().split())
        digits = _DIGITS if any(map(str.isdigit, words)) else 0
    else:
        words = text.replace("/", "-").replace("_", "-").replace(".", "-").replace(" ", "-").split("-")
    for word in words:
        if word.isdigit():
            digits += len(word)
        elif is_counted and len(word) >= _ACCOUNT_LENGTH and word[2:4].isdigit() and word.isupper():
            # It may be a bank account's number.
            return True
        elif len(word) == _HEX_LENGTH and word + "-" in text:
            # It may be the first part of a key.
            return True
        elif word[:2] in _alone:
            for prefix, length in _alone[word[:2]]:
                if len(word) >= length and word.startswith(prefix):
                    return True
        if word in _going_on:
            heads.add(word)
    if is_counted and digits >= _DIGITS:
        return True
    # Each head once: a long text may hold nothing else.
    return bool(heads) and any(prefix in text for head in heads for prefix in _going_on[head])


def _read_prefixes() -> None:
    # Imported here: a short text needs no table.
    from usagetrace.redaction.vendors import TOKENS

    going_on: dict[str, list[str]] = {}
    alone: dict[str, list[tuple[str, int]]] = {}
    for token in TOKENS:
        for prefix in token.prefixes:
            head = prefix[: next((at for at, letter in enumerate(prefix) if not letter.isalnum()), len(prefix))]
            if head == prefix:
                alone.setdefault(prefix[:2], []).append((prefix, len(prefix) + _run(token.tail)))
            else:
                going_on.setdefault(head, []).append(prefix)
    _going_on.update(going_on)
    # The last: another thread looks at it to see whether all are there.
    _alone.update(alone)


def _run(tail: str) -> int:
    """Return how many letters and digits a token's tail begins with at least; 0 where its pattern does not say so."""
    letters, closed, more = tail.partition("]{")
    if not closed or letters[0] != "[" or "-" in (letters[1], letters[-1]) or "|" in tail:
        return 0
    return int(more.partition("}")[0].partition(",")[0]) if letters[1:].replace("-", "").isalnum() else 0

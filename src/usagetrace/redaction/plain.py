"""Plain texts, of ASCII letters, digits and ``. _ -`` with either slashes or spaces: most names, versions, paths and
queries are such.

All but a few of the rules need a sign that such a text has not: a colon, an equals sign, an @. What is left is told
here without a pattern, because compiling patterns costs a short command more than all else that redaction does. This
module may only say that a text is harmless to the rules of :mod:`usagetrace.redaction.finder`, never that it is not.
"""

from __future__ import annotations

from usagetrace.redaction.keys import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Below these lengths and numbers nothing matches: the run of a token, a row of digits or an address, its digits,
# its dots, the hyphens of a hardware address.
_TOKEN_LENGTH: Final = 11
_NUMBER_LENGTH: Final = 7
_DIGITS: Final = 10
_DOTS: Final = 3
_HYPHENS: Final = 5
# The length of each group of a hardware address with two dots.
_MAC_GROUP: Final = 4
# The shortest token that is known by a sign in its middle.
_INNER_LENGTH: Final = 36
# In lower case, one of these is in each plain text with spaces that tells a secret: after words, after a flag, in PEM.
_PHRASES: Final = (" is", " was", "bearer ", "basic ", "login ", " -", ".-", "-----begin")

# In lower case, one of these is in each name of a secret that a value with a digit may stand beside, and in each
# command that takes a password without a sign.
_NAMES: Final = (
    "pass", "pw", "token", "secret", "key", "cred", "pin", "auth", "wort", "woord", "senha", "psk", "clave", "code",
    "contrase", "vault", "net use", "_pat ", "poetry", "doctl",
)  # fmt: skip

# The vendors' prefixes by their first run of letters and digits: those that go on with another sign, and those that are
# no more than this, and how these begin. Read from the table when the first text comes that may hold one.
_going_on: dict[str, list[str]] = {}
_alone: tuple[str, ...] = ()
_starts: frozenset[str] = frozenset()


def is_harmless(text: str, kind: Kind) -> bool:
    """Say whether a text is plain and no rule for secrets and personal data can match in it.

    Paths and names of this machine are not looked at.

    Args:
        text: Any text.
        kind: What the text's key says of it.
    """
    if not text.isascii():
        return False
    letters = text.replace("-", "").replace("_", "").replace(".", "").replace("/", "")
    if not letters.isalnum():
        letters = letters.replace(" ", "")
        if not letters.isalnum() or "/" in text or _may_hold_a_phrase(text.lower()):
            return False
    if len(text) < _NUMBER_LENGTH:
        return True
    if not letters.isalpha():
        if len(text) >= _INNER_LENGTH and (text.count(".") > 1 or "-us" in text):
            return False
        if kind is not Kind.VERSION and _may_hold_a_number(text, letters):
            return False
    elif text.islower():
        # A token of letters in one case and no digit is as good as impossible.
        return True
    return len(text) < _TOKEN_LENGTH or not _may_hold_a_token(text)


def _may_hold_a_phrase(low: str) -> bool:
    """Say whether a plain text with spaces, in lower case, may tell a secret in words or after a command's flag."""
    for phrase in _PHRASES:
        if phrase in low:
            return True
    if low[0] == "-":
        return True
    if not low.replace(" ", "").isalpha():
        for name in _NAMES:
            if name in low:
                return True
    return False


def _may_hold_a_number(text: str, letters: str) -> bool:
    """Say whether a plain text has the signs of an address, a phone number or a card; and its letters and digits."""
    dots = text.count(".")
    if dots >= _DOTS or (dots == _DOTS - 1 and len(text.split(".")[1]) == _MAC_GROUP) or text.count("-") >= _HYPHENS:
        return True
    if len(letters) < _DIGITS:
        return False
    # A phone number and a card are digits from one sign to another: a hash or a UUID has letters between.
    digits = 0
    for part in text.replace("/", "-").replace(".", "-").replace(" ", "-").split("-"):
        if part.isdigit():
            digits += len(part)
    return digits >= _DIGITS


def _may_hold_a_token(text: str) -> bool:
    """Say whether a word of a plain text begins as a vendor's token does."""
    if not _starts:
        _read_prefixes()
    for word in text.replace("/", "-").replace("_", "-").replace(".", "-").replace(" ", "-").split("-"):
        if word[:2] in _starts and word.startswith(_alone):
            return True
        if word in _going_on and any(prefix in text for prefix in _going_on[word]):
            return True
    return False


def _read_prefixes() -> None:
    global _alone, _starts
    # Imported here: a short text needs no table.
    from usagetrace.redaction.vendors import TOKENS

    going_on: dict[str, list[str]] = {}
    alone: set[str] = set()
    for prefix in {prefix for token in TOKENS for prefix in token.prefixes}:
        head = prefix[: next((at for at, letter in enumerate(prefix) if not letter.isalnum()), len(prefix))]
        if head == prefix:
            alone.add(prefix)
        else:
            going_on.setdefault(head, []).append(prefix)
    _going_on.update(going_on)
    _alone = tuple(sorted(alone))
    # The last: another thread looks at it to see whether all are there.
    _starts = frozenset(prefix[:2] for prefix in alone)

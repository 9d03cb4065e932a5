"""What follows a command's flag or a parameter's name in an URL: whether it is a value, or a manual's word for one.

This module knows the groups of the rules' matches, and nothing of how they are found.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.coded import is_alike
from usagetrace.redaction.keys import Kind, is_count, kind_of, words_of
from usagetrace.redaction.placeholders import is_of_manual, is_placeholder
from usagetrace.redaction.rules import secret_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Final

# What ends a usage message's argument: brackets, those of a manual's source, a line that goes on.
_MANUAL_END: Final = lazy(r"(?:\\\[[lr]B\]|[\])|]*\\)+\Z|(?<=[A-Z>;])[\])]+\Z")
# Signs, line ends and brackets in an URL's parameter: what a server hands out for a login has none.
_SOURCE: Final = lazy(r"%(?:0[AaDd]|2[0128]|5[BbDd]|7[BbCcDd]|3[BbCcEe])|[(+]")


def is_harmless_flag(match: re.Match[str]) -> bool:
    return kind_of(match["key"]) is not Kind.SECRET


def _is_open(value: str) -> bool:
    """Say whether a bracket is opened behind a word and not closed: no command's argument is code."""
    return value[0].isalnum() and "(" in value[1:-1] and ")" not in value


def is_harmless_argument(match: re.Match[str], held: re.Match[str]) -> bool:
    value = held[secret_group(held)]
    bare = held["s3"] is not None
    if match.string.endswith("[", 0, match.start()):
        # In brackets it may be left out, in a usage message: the value is a word for it.
        value = value.rstrip("])")
        if value.isalpha() and (value.islower() or value.istitle()):
            return True
    if bare:
        # A manual's brackets, and its page's or a line's end.
        value = _MANUAL_END.sub("", value)
        if not value or _is_open(value):
            return not value
    if value.isupper() and value.replace("_", "").isalpha():
        # The name of an argument, in a usage message.
        return True
    if value[0] == "<" and value[1:].replace("-", "").isalpha() and value.islower():
        # The first of several words in angle brackets.
        return True
    if value in ("=", "=>", ":=", "==", "|") or is_alike(words_of(match["key"]), value):
        return True
    if is_placeholder(value, quoted=not bare) or (bare and is_of_manual(value)):
        return True
    # A flag that says of the next word that it names a secret, whose value follows.
    if not value.isidentifier() or any(map(str.isdigit, value)) or kind_of(value) is not Kind.SECRET:
        return False
    return "_" in value or match["key"] == "secret"


def is_harmless_parameter(match: re.Match[str]) -> bool:
    key, value = match["key"].lower(), match["s"]
    if key in (
        "sig",
        "signature",
        "x-amz-signature",
        "x-amz-credential",
        "x-goog-signature",
        "x-goog-credential",
        "sid",
    ):
        return False
    if key == "code" and _SOURCE.search(value) is not None:
        # A program, which a link hands over.
        return True
    if key in ("key", "code", "auth", "sign"):
        return len(value) < 12
    if value[0] in "$<{%" and is_placeholder(value):
        return True
    kind = kind_of(key)
    return (kind is not Kind.SECRET and kind is not Kind.PERSON) or (value.isdigit() and is_count(key))

"""What becomes of a whole text below a key that means a secret: nothing but a reference stays, of what tells where a
database is only the credentials go, all else goes.

This module knows how such values are written; what it leaves is searched by the rules as any text is.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind, kind_of, words_of
from usagetrace.redaction.placeholders import is_placeholder, is_random
from usagetrace.redaction.rules import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# A variable's, a setting's or a secret's name, of several parts.
_NAME: Final = r"[A-Za-z_][\w.-]{0,127}"
# Nothing but what is put in later: no default beside it, which would be a secret itself.
_REFERENCE: Final = lazy(
    rf"(?:\$?\$\{{(?:(?:env|sys|secrets?|var|vars|config|ssm|vault):)?{_NAME}(?::?[-?+=]?)\}}"
    rf"|\$\{{\{{\s{{0,3}}(?:secrets|vars|env|github|inputs|needs|steps)\.{_NAME}\s{{0,3}}\}}\}}"
    rf"|\{{\{{-?\s{{0,3}}[.$]{{0,2}}{_NAME}(?:\s{{0,3}}\|\s{{0,3}}[a-z]\w{{0,31}}){{0,3}}\s{{0,3}}-?\}}\}}"
    rf"|\$\({_NAME}\)|%\({_NAME}\)s|%[A-Z]{{2,32}}(?:_[A-Z]{{1,32}}){{0,8}}%"
    r"|\$(?:env:)?(?:[A-Z]{1,32}(?:_[A-Z]{1,32}){1,8}|TOKEN|SECRET|PASSWORD|PASSWD|PASS|APIKEY)"
    r"|<[A-Za-z]{1,32}(?:[ _.-][A-Za-z]{1,32}){0,7}>|\*{3,64})\Z"
)
# From letters to digits or back, and how often it goes so where no name does.
_TURN: Final = lazy(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_TURNS: Final = 3
# Last words of keys whose value tells where something is, and how to log in to it.
_PLACES: Final = frozenset(
    [("dsn",), ("connectionstring",), ("connection", "string"), ("conn", "str"), ("connection", "uri")]
)
# Such values: an URL, Go's form of one, pairs with semicolons or blanks between them. All of the value is one of these.
_URL: Final = lazy(r"(?:jdbc:)?[a-z][a-z0-9+.-]{1,31}://[^\s\"'`<>]{1,2048}\Z")
_PAIR: Final = r"[A-Za-z][\w.-]{0,40}(?: [A-Za-z][\w.-]{0,24}){0,4}\s?=\s?"
_PAIRS: Final = lazy(
    rf"(?:{_PAIR}(?:\"[^\"]{{0,512}}\"|'[^']{{0,512}}'|[^;\"'\s][^;\"']{{0,512}}|)(?:;\s{{0,3}}|\Z)){{1,64}}\Z"
)
_BLANKS: Final = lazy(r"(?:[a-z_]{2,40}=(?:'[^']{0,512}'|[^\s'\"=;]{0,512})(?:\s{1,3}|\Z)){2,64}\Z")
_LONGEST: Final = 4096
# A password in such pairs that needs no quotes; signs that end the part of an URL in which a password is.
_PLAIN: Final = lazy(r"[\w+/=!@#$%^*~?-](?:[\w+/=!@#$%^*~?.:-]{0,510}[\w+/=!@#$%^*~?-])?\Z")
_ENDS: Final = frozenset("/?#")


def is_reference(value: str) -> bool:
    """Say whether a text is nothing but the name of what is put there later: ``${DB_PASSWORD}``, ``<password>``."""
    if value[:1] not in ("$", "{", "%", "<", "*") or _REFERENCE.match(value) is None:
        return False
    return len(_TURN.findall(value)) < _TURNS and not is_random(value)


def _is_told(name: str, value: str) -> bool:
    """Say whether the rules for texts find what is given to a name, all of it, or there is no secret in it."""
    if not value or kind_of(name) is not Kind.SECRET or is_reference(value) or MARKER.fullmatch(value) is not None:
        return True
    return _PLAIN.match(value) is not None and not is_placeholder(value)


def is_place(key: str, value: str) -> bool:
    """Say whether a text below a key tells where something is: an URL or pairs, of which only credentials are secret.

    Args:
        key: A key that means a secret.
        value: What stands below it.
    """
    if "=" not in value and "://" not in value:
        return False
    parts = words_of(key[-64:])
    if parts[-1:] not in _PLACES and parts[-2:] not in _PLACES:
        return False
    if len(value) > _LONGEST:
        return False
    if _URL.match(value) is not None:
        # A password with a sign that ends it elsewhere.
        return _ENDS.isdisjoint(value.partition("://")[2].rpartition("@")[0])
    if ";" in value:
        pairs = value.split(";") if _PAIRS.match(value) is not None else []
    else:
        pairs = value.split() if _BLANKS.match(value) is not None else []
    parted = [pair.partition("=") for pair in pairs]
    return bool(pairs) and all(_is_told(name.strip(), given.strip()) for name, _, given in parted)


def kind_of_value(kind: Kind, key: str, value: str) -> Kind | None:
    """Return what a key means for a text below it once the text was seen; None where the text stays as it is.

    Args:
        kind: What the key alone says: a secret, or any other.
        key: The key.
        value: The text.
    """
    if kind is not Kind.SECRET:
        return kind
    if is_reference(value):
        return None
    return Kind.PLAIN if is_place(key, value) else kind

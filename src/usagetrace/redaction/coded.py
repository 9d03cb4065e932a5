"""Values that are no secret, although the name that they are assigned to sounds like one, by name and value together.

``PASS: tests/cart.sh`` is a verdict, ``token = "=>"`` a sign that a parser reads, ``IDENT_TOKEN = r"\\w+"`` a pattern,
``MOBILE = 55`` a constant, ``"displayName": "Weekly overview"`` the title of a thing. This module knows no rule.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import words_of
from usagetrace.redaction.placeholders import is_random, is_wording
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Final

# A regular expression: classes with a quantifier, groups with a meaning.
_PATTERN: Final = lazy(
    r"(?:\\[wWdDsSb][+*{)\]]|\(\?(?:[:=!]|P?<[A-Za-z=!])|\[\^[^\]\n]{1,16}\][+*{]"
    r"|\[[aA0]-[zZ9][^\]\n]{0,16}\][+*{])"
)
_COLOUR: Final = lazy(r"#[0-9a-fA-F]{3,8}\Z")
_CONSTANT: Final = lazy(r"0[xX][0-9a-fA-F]{1,4}[,;)]?\Z")
# What tests print of themselves.
_VERDICTS: Final = words("PASS Pass XPASS")
# Last words of names whose value, in words that the name holds, only says it again. A password may do that.
_GOES_ON: Final = lazy(r" [a-z]+ [a-z]")
_NAMING: Final = words("token user username email login cookie credential creds name key auth jwt secret mail address")
# The names of people and things alike.
_TITLES: Final = frozenset([("display", "name"), ("full", "name"), ("real", "name"), ("fullname",), ("displayname",)])
_PERSON: Final = lazy(r"[^\W\da-z_][\w'\u2019-]*\.?(?: (?:[a-z]{2,3} )?[^\W\da-z_][\w'\u2019-]*\.?){1,3}\Z")
# What a thing is called in code, at a host, in capitals.
_CALLED: Final = lazy(r"(?:[A-Za-z_]\w*(?:::?|\.))+[A-Z]\w*\Z|[A-Z][A-Z0-9]*_[A-Z0-9_]+\Z")
# How the names of types end.
_TYPE: Final = lazy(
    r"[A-Z][a-z]+(?:[A-Z][a-z]+)*(?:Path|Types?|Credentials?|Tokens?|Handler|Provider|Factory|Config|Options|Info|Auth|Store|Str|Like"
    r"|Callback|Func|List|Map|Set|Class|Protocol|Model|Schema|Enum|Kind|Manager|Builder)\Z|[A-Z]\Z"
)
# Behind a type: another one, a value, the next argument, the end of the arguments.
_DEFAULT: Final = lazy(r"\s=\s(?:None|False|True|\.{3}|[a-z_]\w*\()")
_TYPE_BEHIND: Final = lazy(r"\s{0,2}(?:\|\s|,\s*(?:\Z|[\w*]+\s?[:=,)])|\)|\]|=\s|,?\s*\Z)")
# No name has so many consonants in a row.
_UNSAID: Final = lazy(r"(?i:[bcdfghjklmnpqrstvwxz]{5})")
_ACCESS_TOKEN: Final = 12
_CHARACTER: Final = 1
# Spaces in the shortest phrase that a wallet is restored from, nearly.
_PHRASE: Final = 8
# Before `token`, where it is the place of a page.
_PAGES: Final = words("input output next page pagination continuation limit more previous prev start")
# Behind a package's name and a colon.
_MACHINES: Final = words("all any native amd64 arm64 armhf i386 ppc64el riscv64 s390x")
# A machine's address for itself.
_OWN: Final = words("127.0.0.1 ::1 0.0.0.0 localhost")
_ADDRESSES: Final = frozenset((one, "address") for one in words("ip mac email mail home street postal billing"))
# Digits of a secret that is a number.
_FEW: Final = 4
_CODES: Final = words("pin cvv cvc otp totp code passcode")


def is_coded(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    """Say whether a value is none of what its name says.

    Args:
        match: The name and the sign of an assignment, as groups ``key``, ``kq`` and ``sep``.
        held: The match of what follows.
        value: The value in it, without quotes.
    """
    key, quoted = match["key"], held["s3"] is None
    parts = words_of(key[-256:])
    last = parts[-1] if parts else ""
    bare = value.strip() if quoted else value.rstrip(",;")
    if _is_of_code(match, value, last, bare) or is_alike(parts, bare):
        return True
    if quoted:
        if _is_phrase(match, bare, parts) or _is_short(last, bare):
            return True
    elif _is_verdict(match, held, value) or _is_type(match, held, bare) or _is_expression(match, bare, parts):
        return True
    if parts == ("signature",):
        return not any(map(str.isdigit, bare)) and _is_name(bare)
    if parts[-2:] in _ADDRESSES and bare in _OWN:
        return True
    if last == "token" and not _PAGES.isdisjoint(parts) and bare.replace(".", "").isalpha() and _is_name(bare):
        # The name of the field that holds the place of the next page.
        return True
    if parts[-2:] not in _TITLES and parts[-1:] not in _TITLES:
        return False
    # Of a thing: people are not made by commands, or by elements of a page.
    made = quoted and (key[0] == "-" or (key == "DisplayName" and match["sep"] == "="))
    return (made and parts[-2:] == ("display", "name")) or _is_title(held, bare, quoted=quoted)


def _is_of_code(match: re.Match[str], value: str, last: str, bare: str) -> bool:
    """Say whether a value has a form that code gives it, or what stands around its name says so."""
    text, start, sign = match.string, match.start(), match["sep"]
    if value[:1] == "/" == text[start - 1 : start] and sign == ":":
        # The last part of a path in a list of paths.
        return True
    if value.startswith("[redacted:") and value.partition("]")[2][:1] in ("", "\\"):
        return True
    if ("\\" in value or "[" in value or "(?" in value) and _PATTERN.search(value) is not None:
        return True
    if value[:1] == "#" and last in ("token", "tokens") and _COLOUR.match(bare) is not None:
        return True
    if match["key"].startswith("token.") and bare.isalpha() and bare.islower():
        # What a parser says of a piece of its input.
        return True
    if last in ("mail", "user", "login") and text.endswith("::", 0, start):
        # A function of a module.
        return True
    if match["kq"] != "]":
        return False
    # Which part of a file a change log speaks of, what is found at a variable's place.
    return (sign.strip() == ":" and text.endswith("[", 0, start)) or (match["key"] == "token" and sign[:1].isspace())


def _is_short(last: str, value: str) -> bool:
    """Say whether a value in quotes is too short for what its name may mean: a pattern, a key of the keyboard."""
    if last == "accesskey":
        return len(value) <= _CHARACTER
    return last == "pat" and len(value) < _ACCESS_TOKEN and not any(map(str.isdigit, value))


def is_alike(name: tuple[str, ...], value: str) -> bool:
    """Say whether a value in words says again what its name says: ``AUTHORIZED_USER = "authorized_user"``.

    Args:
        name: The words of the name.
        value: The value.
    """
    if not name or not value or len(value) > 64:
        return False
    if not value.replace("-", "").replace("_", "").replace(".", "").isalnum() or is_random(value):
        return False
    said = words_of(value)
    if len(said) > 1 and name[-len(said) :] == said and value.islower():
        return True
    if name[-1].rstrip("s") not in _NAMING:
        return False
    letters = sum(map(len, said))
    if not said or sum(map(str.isalpha, value)) != letters or sum(map(str.isdigit, value)) > 1:
        return False
    if set(said) <= set(name):
        return True
    return len(said) > 1 and said[-1].rstrip("s") == name[-1].rstrip("s") and value.isascii()


def _is_name(value: str) -> bool:
    """Say whether letters are words that somebody chose: their capitals and vowels do not stand by chance."""
    return not is_random(value) and _UNSAID.search(value) is None


def _is_expression(match: re.Match[str], value: str, parts: tuple[str, ...]) -> bool:
    """Say whether a value without quotes is a word of code or of a manual, and the name one of code."""
    key = match["key"]
    if key[0] == "-" and value.isupper() and value.strip("[]").replace("_", "").replace("=", "").isalpha():
        # The name of an argument.
        return True
    if value[:1] == "0" and _CONSTANT.match(value) is not None:
        return True
    if value.isdigit():
        # A constant of a programme.
        return len(value) < _FEW and key.isupper() and "_" in key and parts[-1] not in _CODES
    if parts[-1] in ("mail", "email") and match["sep"].strip() == ":" and "@" not in value:
        return value.isascii() and value.isalpha() and value.islower()
    if "$" in key[1:] and match["sep"] == ":" and value[:1] == ".":
        # A file in a directory of VMS.
        return True
    parted = match.string[match.end("sep") : match.end()] == " "
    if (
        match["sep"] == "="
        and parted
        and value.isalpha()
        and (key[0] == "-" or _GOES_ON.match(match.string, match.end() + len(value)))
    ):
        # A sentence about the flag.
        return True
    if match["sep"] == ":" and value in _MACHINES:
        return True
    if parts[-2:] in _ADDRESSES and match["sep"].strip() == ":":
        return value.isalpha() and value.isascii()
    if key in ("token", "tok") and match["sep"][:1].isspace() and value[:1].isupper():
        return value.replace(".", "").isalpha() and _is_name(value)
    owner, dot, member = key.rpartition(".")
    if value.rpartition(".")[2] == (member or key) and "." in value and value.replace(".", "").isidentifier():
        return not is_random(value)
    if not dot or "=" not in match["sep"] or not value.isidentifier() or any(map(str.isdigit, value)):
        return False
    return value == member or (owner in ("token", "tok") and value.islower())


def _is_phrase(match: re.Match[str], value: str, parts: tuple[str, ...]) -> bool:
    """Say whether a value in quotes is a question to somebody, or words for a thing that is learned by heart."""
    if " " not in value or any(map(str.isdigit, value)):
        return False
    return value.rstrip()[-1:] in (":", "?") or (parts[-1:] == ("mnemonic",) and value.count(" ") < _PHRASE)


def _is_verdict(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    """Say whether a word at the beginning of a line is what a test has come to, and the value which test it was."""
    if match["key"] not in _VERDICTS or match["kq"] is not None or match["sep"].strip() != ":":
        return False
    before = match.string[max(0, match.start() - 80) : match.start()].rpartition("\n")[2]
    if before.endswith("--- "):
        return is_wording(value) or "/" in value
    if before.strip():
        return False
    if value.lower() != value and not is_wording(value):
        return False
    behind = held.string[held.end() : held.end() + 3]
    return match["key"] != "PASS" or "/" in value or "-" in value or behind[:1] == ":" or behind[:1] == " "


def _is_type(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    """Say whether what stands behind a name and a colon is the type of a variable."""
    if match["sep"].strip() != ":" or match["kq"] is not None or not match["key"].replace("_", "").isalnum():
        return False
    behind = held.string[held.end() - (held["s3"] or "").endswith(",") :]
    named = value.rpartition(".")[2]
    if behind[:3] == " | " and behind[3:4].isalpha() and named.isalpha() and named[:1].isupper() and _is_name(named):
        return True
    if _DEFAULT.match(behind) is not None and named.isalpha() and named[:1].isupper() and _is_name(named):
        return True
    if _TYPE.match(named) is None or _TYPE_BEHIND.match(behind, 0, 40) is None:
        return False
    return not value.rpartition(".")[0] or value.replace(".", "").isidentifier()


def _is_title(held: re.Match[str], value: str, *, quoted: bool) -> bool:
    """Say whether a name is a thing's: in small letters behind the first, a place in code, all in capitals."""
    if _CALLED.match(value) is not None or "/" in value:
        return True
    if not quoted:
        line = held.string[held.start() : held.end() + 80].partition("\n")[0]
        value = line.strip().rstrip(",;.")
    if not value.isascii() or _PERSON.match(value) is not None:
        return False
    return " " in value or (not value[:1].isupper() and not value.replace("'", "").isalnum())

"""What is assigned to a name in a text: whether the name means a secret or a person, and the value is one.

``token_count=15`` is harmless by its name, ``token = next(tokens)`` by its value. This module knows no rule.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.coded import is_coded
from usagetrace.redaction.keys import Kind, is_count, is_number_of_person, is_secret_phrase, kind_of, words_of
from usagetrace.redaction.placeholders import is_placeholder, is_wording
from usagetrace.redaction.rules import secret_group
from usagetrace.redaction.whole import is_place
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# A name with digits, in characters, that is longer is none.
_LONGEST_NAME: Final = 44
# A variable's name, on the other side of a comparison.
_NAME: Final = lazy(r"[A-Za-z_][A-Za-z_.]*:?")
# The word before a value in a header, and what may stand there for one that is put in later.
_SCHEME: Final = lazy(r"(?i:bearer|basic|token|apikey|digest|negotiate)(?:\s+(?P<rest>[^\n]*))?")
_STAND_IN: Final = lazy(r"\s*(?P<rest>[\[{(<$%*.`][^\s\"']{0,64})")
# A chain of names, as keys of caches and message catalogues are.
_CHAIN: Final = lazy(r"(?:[A-Za-z_-]+|\d+)(?::[\w-]+)+")
# A second name, and its sign, behind the first.
# Functions that are given the name of what they return.
_LOOKUP: Final = lazy(
    r"(?i:get(?!bytes)|load|read|find|fetch|lookup|env|open|import|require|select|query|input|prompt|format)\w*\(\s*\Z"
)
# Letters and digits in turn, without the signs that stand between words.
_MIXED: Final = lazy(r"(?=[A-Za-z+/=!@#$%^&*~]*\d+[A-Za-z+/=!@#$%^&*~])[A-Za-z0-9+/=!@#$%^&*~]{8,512}\Z")
_INNER: Final = lazy(r"(?P<key>[A-Za-z][\w.-]{1,40})=(?!=)")
# A name that ends as files do, before what is said of it; what a property of a style sheet may be.
_FILE: Final = lazy(
    r"[\w.-]+\.(?:txt|json|jsonl|ya?ml|toml|ini|cfg|conf|csv|tsv|md|rst|html?|xml|log|py|pyi|js|jsx|ts|tsx|mjs|go|rs|java|kt|rb"
    r"|php|cs?|cc|cpp|hp?p?|sh|sql|bin|parquet|gz|zip|whl|safetensors|proto|env|lock|swift|scala|vue|tf)\Z"
)
_STYLE: Final = lazy(r"#[0-9a-fA-F]{3,8}\Z|-?[\d.]+(?:px|r?em|%|m?s|v[hw]|deg|fr)?\Z|[a-z-]+\(|[a-z-]+\Z")
# A key's public number, as programs write that sign or encrypt with it.
_KEY_ID: Final = lazy(r"(?:0x)?(?:[0-9A-F]{8}|[0-9A-F]{16}|[0-9A-F]{32}|[0-9A-F]{40})[:;,.)!?]?\Z")
_SIGNS_WITH: Final = words("gpg pgp rsa dsa eddsa ecdsa signing primary")
# What may be named as the way to prove who one is; what parsers say before the word for a piece of their input.
_METHODS: Final = words("ldap oauth oauth2 oidc saml kerberos gssapi ntlm iam mtls cert pam plain scram md5 anonymous")
_PARSING: Final = ("unexpected ", "illegal ", "unrecognized ", "next ")
# What follows a name that may be any key's, or a login's: long, and of letters and digits by chance.
_ANY_KEY: Final = lazy(r"(?i:(?P<of>[a-z][a-z0-9]{1,23})[_-](?:key|pass|auth))\Z")
_LONG_RANDOM: Final = lazy(r"(?=[A-Za-z+/=_-]{0,32}\d)(?=[0-9+/=_-]{0,24}[A-Za-z])[A-Za-z0-9+/=_-]{20,256}\Z")
# From letters to digits or back, and how often it goes so where no name does.
_TURN: Final = lazy(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_TURNS: Final = 3
# Shortest value, in characters, of a password whose name says only that it is some pass.
_SHORTEST_PASS: Final = 8
# Keys that are no secrets although they look like that: names of what is stored, sums, public halves.
_NO_SECRETS: Final = words(
    """
    cache primary foreign public pub partition sort idempotency idempotent object s3 dedup group row lookup hash index
    composite natural surrogate cluster trace request span job task event message routing unique content artifact build
    file store map dict data item node tree blob etag redis memo search translation i18n locale shard version host
    known entity record order range batch lock state bucket dedupe digest sha md5 checksum correlation tracking parent
    child config conf env var param query section feature flag product session_cache publishable site dataset api_cache
    image layer commit revision ref test unit first last second max min sub super any each every one key by react
    """
)
# A glued flag of a define: the name begins behind it.
_DEFINE: Final = lazy(r"-{1,2}[DPdp](?=[A-Za-z]\w*[.-]|[a-z])")
# Words of a person's key whose value in running text is too often an ordinary word.
_VAGUE: Final = words(
    """
    user login mail fax mobile tel email phone
    """
)
# Words of a secret's that also begin the names of other things, without a space behind the colon.
_SPACES: Final = words("token secret auth key session cookie")


def _meaning(match: re.Match[str]) -> Kind:
    """Return what the name of an assignment in a text means; two words of prose may mean it together."""
    key = match["key"]
    if len(key) > _LONGEST_NAME and any(map(str.isdigit, key)):
        # A token itself, with a colon behind it.
        return Kind.PLAIN
    kind = kind_of(key)
    if kind is Kind.PLAIN and key[0] == "-":
        kind = kind_of(_DEFINE.sub("", key, count=1))
    if kind is Kind.SECRET or kind is Kind.PERSON:
        return kind
    before = match.string[max(0, match.start() - 32) : match.start()]
    if before[-1:].isspace() and is_secret_phrase(before.rstrip(), key):
        return Kind.SECRET
    return Kind.PLAIN


def is_key_id(before: str, value: str) -> bool:
    """Say whether a value behind ``... key`` is the public number of a key that signs, or its fingerprint.

    Args:
        before: What stands before the word ``key``.
        value: What stands behind it.
    """
    return _KEY_ID.match(value) is not None and not _SIGNS_WITH.isdisjoint(
        before[-32:].lower().rstrip(": ").split()[-1:]
    )


def is_harmless_name(match: re.Match[str]) -> bool:
    if match["sep"] == ":" and match.string[match.end() : match.end() + 1] == ":":
        # The name of something inside a module or a test.
        return True
    if match["sep"].strip() == ":" and match["kq"] is None and _FILE.match(match["key"]) is not None:
        return True
    if _meaning(match) is Kind.PLAIN:
        return not is_any_key(match["key"])
    return _is_in_arn(match.string, match.start())


def is_any_key(key: str) -> bool:
    """Say whether a name says nothing but that it is some key: a long value of chance is a secret then."""
    name = _ANY_KEY.search(key)
    return name is not None and name["of"].lower() not in _NO_SECRETS


def is_long_random(value: str) -> bool:
    """Say whether a value is long, and of letters and digits that no words are made of."""
    return _LONG_RANDOM.match(value) is not None and len(_TURN.findall(value)) >= _TURNS


def _is_in_arn(text: str, start: int) -> bool:
    """Say whether a name is a part of an ARN: what follows it there is the name of a resource."""
    if text[start - 1 : start] != ":":
        return False
    begin = max(0, start - 128)
    return text[begin:start].split()[-1].lstrip("\"'(").startswith(("arn:", "urn:"))


def is_harmless_value(match: re.Match[str], held: re.Match[str]) -> bool:
    """Say whether what is assigned to the name of a secret or a person is none: a number, a word, code."""
    value = held[secret_group(held)]
    if _meaning(match) is Kind.PLAIN:
        return _is_harmless_of_any(match["key"], held, value)
    if held["s3"] is not None and "\n" in match.group() and held.string[held.end() : held.end() + 1] == ":":
        # The first name of a mapping below this one.
        return True
    scheme = _SCHEME.fullmatch(value)
    if is_coded(match, held, value) or is_place(match["key"], value):
        return True
    if held["type"] is not None and is_wording(value):
        # The name of a thing of that type.
        return True
    if held["call"] is not None and _is_argument(held["call"], value):
        return True
    if held["s3"] is None:
        return _is_harmless_quoted(match, held, value) or (scheme is not None and is_placeholder(scheme["rest"] or ""))
    compared = match["sep"].strip() in ("==", "===") and not any(map(str.isdigit, value))
    if compared and _NAME.fullmatch(value.rstrip("){;")):
        return True
    if scheme is not None and (after := _STAND_IN.match(held.string, held.end())) and is_placeholder(after["rest"]):
        return True
    key = match["key"]
    if _is_elsewhere(match, held, value):
        return True
    if key[:2] == "--" and match["sep"].strip() == ":" and _STYLE.match(value) is not None:
        return True
    if key.lower() == "key" and is_key_id(match.string[max(0, match.start() - 32) : match.start()], value):
        return True
    if is_placeholder(value) and not _is_open_call(held, value):
        return True
    if _is_same_name(key, value) or (key == "auth" and value[0] == "("):
        return True
    return _is_harmless_bare(match, held, value)


def _is_harmless_of_any(key: str, held: re.Match[str], value: str) -> bool:
    """Say whether what is assigned to a name that may be any key's, or any pass's, is no secret."""
    if held["s3"] is None and key.lower().endswith("pass") and len(value) >= _SHORTEST_PASS:
        return not any(map(str.isdigit, value)) or not any(map(str.isalpha, value)) or " " in value
    return not is_long_random(value)


def _is_harmless_bare(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    """Say whether a word without quotes, which is no code, is harmless all the same: a number, a word of prose."""
    key = match["key"]
    told = match["sep"].strip() == ":" and match["kq"] is None
    glued = told and match["sep"] == ":"
    if told and (inner := _INNER.match(value)) and _is_component(key, inner["key"], value[inner.end() :]):
        return True
    if _meaning(match) is Kind.PERSON:
        if told and key.lower() in _VAGUE:
            if _is_number(value.partition(",")[0].lstrip("[(")):
                return not is_number_of_person(key)
            return not any(map(str.isdigit, value)) or (glued and _CHAIN.fullmatch(value) is not None)
        return _is_number(value.lstrip("[(-")) and not is_number_of_person(key)
    if (
        glued
        and value.islower()
        and value.isalpha()
        and (key in _SPACES or match.string[match.start() - 1 : match.start()] == ":")
    ):
        return True
    if _is_small(key, value) or (words_of(key)[-1:] == ("auth",) and value.lower().rstrip(",;)") in _METHODS):
        return True
    if key == "token" and match.string.endswith(_PARSING, 0, match.start()):
        return True
    if is_count(key) and (_is_number(value) or (told and value.isalpha())):
        return True
    return told and _is_prose(held, value)


# A call or an index, up to where the value ends.
_CALL: Final = lazy(r"[&$]?[A-Za-z_][\w.:>-]*[(\[](?P<given>.+)\Z")
_IN_NO_CALL: Final = lazy(r"[!#%^~?@;]|[-+*/<>=&|]\Z|[A-Za-z]\d[A-Za-z]|[(\[].*[\[(]\W")


def _is_open_call(held: re.Match[str], value: str) -> bool:
    """Say whether what looks like a call or an index ends without the bracket that closes it, as passwords do."""
    call = _CALL.match(value)
    if call is None or value[-1] in ")]":
        return False
    if value.count("(") == value.count(")") and value.count("[") == value.count("]"):
        return False
    behind = held.string[held.end() : held.end() + 1]
    if behind in ("", "\n", ";", "|", "&"):
        return True
    return behind not in (")", "]") and _IN_NO_CALL.search(call["given"]) is not None


def _is_argument(call: str, value: str) -> bool:
    """Say whether a literal that code does something with is no secret: the name of one, a format, a word."""
    return _LOOKUP.search(call) is not None or _MIXED.match(value) is None or not any(map(str.islower, value))


def _is_component(key: str, name: str, value: str) -> bool:
    """Say whether a word with a colon stands before an assignment, which is looked at next."""
    if kind_of(name) in (Kind.SECRET, Kind.PERSON):
        return True
    return key.lower() in _VAGUE | {"auth"} and (value.isdigit() or is_wording(value) or is_placeholder(value))


def _is_harmless_quoted(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    if (
        held["open"] is not None
        and match["kq"] is None
        and match.string[match.start() - 1 : match.start()] == held["open"]
    ):
        # The quote closes what began before the name.
        return True
    if match["sep"].strip() in ("==", "===") and value.isalpha() and value.islower():
        return True
    if match.string[max(0, match.start() - 5) : match.start()] == "type ":
        # One of the words that a type is made of.
        return True
    if match["key"].endswith("tokens") and match.string[match.end() : match.end() + 1] == "[" and is_wording(value):
        return True
    if held["open"] == "`" and (is_wording(value) or "${" in value):
        return True
    return is_placeholder(value, quoted=True)


def _is_elsewhere(match: re.Match[str], held: re.Match[str], value: str) -> bool:
    """Say whether another rule finds the value, and less of it; or it is the host of a connection."""
    text, start = match.string, match.start()
    if match["key"] == "HostName":
        return text[held.end() : held.end() + 1] == ";"
    return (
        "#" in value
        and match["sep"] == "="
        and text[start - 1 : start] in ("?", "&")
        and "://" in text[max(0, start - 512) : start]
    )


def _is_same_name(key: str, value: str) -> bool:
    """Say whether a value without quotes is a name of the same thing: ``password=password``, ``password=pw``."""
    name = value.lstrip("@:&*$").rstrip(",;)")
    if not name.isidentifier() or any(map(str.isdigit, name)):
        return False
    return name.lower() == key.lower() or (name == value and kind_of(name) is Kind.SECRET)


def _is_small(key: str, value: str) -> bool:
    """Say whether a value is too short a number for a secret: how many passed, which pin, which token."""
    last = words_of(key)[-1:]
    value = value.rstrip(".,;)]}")
    if not value.isdigit():
        return last == ("pin",) and value[1:].isdigit() and len(value) < 4
    # A site's session is a long number, if it is one.
    return len(value) < (10 if last == ("sessionid",) else 5 if last == ("pass",) else 4 if last == ("token",) else 3)


def _is_number(value: str) -> bool:
    return value.rstrip("]}),.").replace(".", "", 1).isdigit()


def _is_prose(match: re.Match[str], value: str) -> bool:
    """Say whether a word after ``password: `` only goes on with the sentence."""
    if not value.isalpha() or not (value.islower() or value.istitle() or len(value) < 5):
        return False
    rest = match.string[match.end() : match.end() + 2]
    return bool(re.match(r" \w", rest))

"""Secrets told without an assignment's sign: ``set -x API_KEY x``, ``password 'x'``, ``name: TOKEN``, ``value: x``.

A search finds the few words that mean a secret; what surrounds the word says whether a value stands beside it. Where
nothing but the place speaks for a value, it must look like one itself: no word of prose is taken. This module knows
nothing of how findings are replaced.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy, trie
from usagetrace.redaction.keys import Kind, is_secret_phrase, kind_of
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

# Most words of a secret's name that are looked at in one text.
TOLD_LIMIT: Final = 1000
# Last words of the names that are looked for, in lower case.
_STEMS: Final = tuple(
    words(
        """
        password passwd passphrase passcode passwort kennwort contraseña wachtwoord hasło senha пароль 密码 密碼 密钥
        パスワード 비밀번호 secret token apikey key pwd pass credential credentials pin auth bindpw rootpw requirepass
        masterauth secret_key_base psk privkey secretkey accesskey authkey code clave passe
        """
    )
)
_STEM: Final = lazy(lambda: rf"(?:{trie(_STEMS)})(?![a-z0-9_])")
# The beginning of a name, whose end was found.
_HEAD: Final = lazy(r"[\w.-]{0,48}\Z")
# Words before `clave` and `passe` that make a password of them, and words of one meaning with that.
_VAGUE: Final = words("clave passe code auth key pin")
_FIXED: Final = words("bindpw rootpw requirepass masterauth psk secretkey accesskey authkey pass passe")

_QUOTED: Final = r"[\"'](?P<{0}>[^\"'\n]{{3,256}})[\"']"
# Each form of a value beside a name. The names of groups say how much the value itself must look like a secret:
# `s` nothing, `n` no placeholder, `q` no plain word, `t` letters and digits mixed.
_BESIDE: Final = tuple(
    lazy(pattern)
    for pattern in (
        # A block of lines: YAML, a shell's here-document, text in three quotes, a part of a form.
        r"[\"']?\s{0,3}:\s{0,3}[|>][-+0-9]{0,2}[ \t]*\r?\n[ \t]+"
        r"(?P<s>[^\s][^\r\n]{0,4096}(?:\r?\n[ \t]+[^\s][^\r\n]{0,4096}){0,64})",
        r"\s{0,3}=\s{0,3}<<[-~]?[\"']?(?P<end>\w{1,32})[\"']?\n(?P<s>[^\n]{1,4096}?)(?:\n|\Z)",
        r"[\"']?\s{0,3}[:=]\s{0,3}(?:\"\"\"|''')(?P<s>[^\"']{1,4096})",
        r"\"(?:;[^\n]{0,128})?\r?\n(?:[A-Za-z-]{2,40}:[^\n]{0,200}\n){0,3}\r?\n(?P<s>[^\r\n]{1,4096})",
        # An element's or a pair's second half: value="...", "value": "...", <x key="...">...</x>.
        r"[\"'](?:\s{1,3}[\w:-]{1,32}=[\"'][^\"'\n]{0,64}[\"']){0,3}\s{1,3}(?i:value|content)=[\"'](?P<n>[^\"'\n]{1,512})",
        r"[\"'][^<>\n]{0,64}>\s{0,3}(?P<n>[^<>\n]{3,512})</",
        r"[\"']?\s{0,2},?\s{0,40}[\"']?(?i:value)[\"']?\s{0,2}[:=]\s{0,2}\\?[\"']?(?P<n>[^\s\"',;}<>\\]{3,512})",
        # A pair of arguments, one argument, a quoted word right behind.
        r"[\"']\s{0,3},\s{0,3}" + _QUOTED.format("q"),
        r"\(" + _QUOTED.format("q") + r"\)",
        r"\s{1,3}(?:for [\"']?[\w.@%-]{1,64}[\"']?\s{0,2}=?\s?)?" + _QUOTED.format("q"),
        # Percent signs instead of the usual ones.
        r"(?:%22|%27)?%3[AaDd](?:%20|%22|%27){0,2}(?P<s>[^%&\s\"'<>]{1,512})",
        # A verb between.
        r" {0,2}(?:is|was|ist|lautet|est|es|é|è|это|是|为|は|는|은|provided|given|used|to"
        r"|(?:changed|set|reset|updated) to|with|--body|value)[ :\uff1a]{0,3}[\"'`]?"
        r"(?P<t>[^\s\"'`<>(){}\[\],;。\uff0c]{4,512})",
        # A sign, or nothing but space.
        r"[\"']?(?:[ \t]{0,8}(?:\||-{1,2}>|<-|,|=|:)[ \t]{0,8}|\s{1,3})(?:!!\w{1,16}\s|&\w{1,16}\s|N(?='))?"
        r"[\"'`<(\[]{0,2}"
        r"(?P<t>[^\s\"'`<>(){}\[\],;|]{5,512})",
    )
)
# What mixes letters and digits and is no secret: algorithms, formats, measures, versions, placeholders, paths.
_KNOWN: Final = lazy(
    r"(?i:[a-z]{1,10}-?(?:1|2|3|4|5|8|16|32|64|128|224|256|384|512|521|1024|2048|3072|4096|25519)|v?\d+(?:\.\d+)*[a-z]{0,4}\d?|x509|pkcs\d+|\d{1,4}(?:st|nd|rd|th)"
    r"|\d{4}-\d\d-\d\d.{0,20}|[0-9a-f]{8}-[0-9a-f-]{20,32})\Z"
    r"|[./~$%{]|\w+://|[A-Z][A-Z_]*\Z|\[redacted:"
)
# Commands and lines of which a name and then its value is expected.
_SETS: Final = lazy(
    r"(?:(?<![\w-])(?:ENV|ARG|LABEL|setenv|setx|set(?:\s{1,3}-\w{1,8}){1,3}"
    r"|(?:secrets?|config|env|variables?)[ :](?:set|put|add|create))"
    r"(?:\s{1,3}-{1,2}[\w-]{1,20})*)\s{1,3}[\"']?[\w.-]{1,60}\Z"
)
_STAND_INS: Final = words(
    "true false null none yes no on off string text password token secret required optional hidden"
)
_SPACED: Final = lazy(r"[a-zA-Z]+(?:[ _.-][a-zA-Z]+)*[.!?]?\Z")


def told(text: str, low: str) -> list[tuple[int, int, str]]:
    """Return where a text tells a secret without an assignment: starts, ends and the rule's name.

    Args:
        text: Any text.
        low: The same in lower case.
    """
    if len(low) != len(text):
        low = text
    found: list[tuple[int, int, str]] = []
    match = _STEM.search(low)
    tried = 0
    while match is not None and tried < TOLD_LIMIT:
        tried += 1
        end = match.end()
        span = _value(text, end) if _is_name(text, match.start(), end) else None
        if span is not None:
            found.append((*span, "secret"))
            end = span[1]
        match = _STEM.search(low, end)
    return found


def _is_name(text: str, start: int, end: int) -> bool:
    """Say whether a word, with what stands before it, means a secret."""
    word = text[start:end].lower()
    before = _HEAD.search(text, max(0, start - 48), start)
    head = before.group() if before is not None and not word[0] > "\u0300" else ""
    if "[redacted:" in text[max(0, start - 42) : start] and text[end : end + 1] == "]":
        return False
    if head and word in _FIXED and kind_of(head + word) is not Kind.SECRET:
        return False
    if not head and word in _VAGUE:
        return is_secret_phrase(text[max(0, start - 32) : start].rstrip(), word) or (
            word == "passe" and text[max(0, start - 7) : start].lower() == "mot de "
        )
    return (not head and word in _FIXED) or word[0] > "\u0300" or kind_of(head + word) is Kind.SECRET


def _value(text: str, end: int) -> tuple[int, int] | None:
    """Return where the value beside a name is; None where there is none."""
    for pattern in _BESIDE:
        match = pattern.match(text, end)
        if match is None:
            continue
        group = next(name for name in ("s", "n", "q", "t") if name in pattern.groupindex)
        start, value = match.start(group), match[group].rstrip(".,:!?。")
        if group == "t" and _SETS.search(text, max(0, end - 80), end):
            group = "n"
        if not _SPARES[group](value):
            return start, start + len(match[group] if group == "s" else value)
    return None


def _is_stand_in(value: str) -> bool:
    """Say whether a value that its place makes a secret is a placeholder, a number, or yes or no."""
    return value.isdigit() or value.lower() in _STAND_INS or value[:1] in "$<{[%!&*-" or len(value) < 3


def _is_wording(value: str) -> bool:
    """Say whether a quoted text is words, a number or a placeholder rather than a secret."""
    return len(value) < 4 or value.isdigit() or bool(_SPACED.match(value)) or bool(_KNOWN.match(value))


def _is_mixed(value: str) -> bool:
    """Say whether a word has the look of a secret: letters and digits mixed, and no usual name of anything."""
    digits = sum(map(value.count, "0123456789"))
    if not digits or len(value) < 6 or not re.search(r"[A-Za-z]", value) or _KNOWN.match(value):
        return False
    return "/" not in value and "=" not in value.rstrip("=") and ":" not in value and value.count(".") < 2


# What spares a value, by its form's group.
_SPARES: Final[dict[str, Callable[[str], bool]]] = {
    "s": lambda value: False,
    "n": _is_stand_in,
    "q": _is_wording,
    "t": lambda value: not _is_mixed(value),
}

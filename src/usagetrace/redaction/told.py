"""Secrets told without an assignment's sign: ``set -x API_KEY x``, ``password 'x'``, ``name: TOKEN``, ``value: x``.

A search finds the few words that mean a secret; what surrounds the word says whether a value stands beside it. Where
nothing but the place speaks for a value, it must look like one itself: no word of prose is taken. This module knows
nothing of how findings are replaced.
"""

from __future__ import annotations

import functools
import re

from usagetrace.patterns import lazy, trie
from usagetrace.redaction.assigned import is_key_id
from usagetrace.redaction.keys import Kind, is_secret_phrase, kind_of
from usagetrace.redaction.placeholders import is_code, is_placeholder, is_random, is_wording
from usagetrace.redaction.rows import ARRAY, below, headless, inserted, listed, manifest
from usagetrace.redaction.rules import MARKER
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

# Most words of a secret's name that are looked at in one text.
TOLD_LIMIT: Final = 1000
# Last words of the names that are looked for, in lower case.
STEMS: Final = tuple(
    words(
        """
        password passwd passphrase passcode passwort kennwort contraseña wachtwoord hasło senha пароль 密码 密碼 密钥
        パスワード 비밀번호 secret token apikey key pwd pass credential credentials pin auth bindpw rootpw requirepass
        masterauth parola lösenord lösenordet losenord salasana şifre sifre heslo jelszó jelszo adgangskode passord
        secret_key_base psk privkey secretkey accesskey authkey
        code clave passe otp totp pat authorization cookie connection_string connectionstring dsn
        """
    )
)
# The plural only before a list.
_STEM: Final = lazy(
    lambda: (
        rf"(?:{trie(STEMS)})(?:(?![a-z0-9_])|s(?=[\"']?\s{{0,3}}[:=]\s{{0,3}}(?:{ARRAY}|[\[{{])|[\"']?:[ \t]*\r?\n"
        rf"|\[\d{{0,4}}\]\s{{0,3}}=))"
    )
)
# The beginning of a name, whose end was found.
_HEAD: Final = lazy(r"[\w.-]{0,48}\Z")
# Words before `clave` and `passe` that make a password of them, and words of one meaning with that.
_VAGUE: Final = words("clave passe code auth key pin pat")
_FIXED: Final = words("bindpw rootpw requirepass masterauth psk secretkey accesskey authkey pass passe otp totp")

# In quotes of one kind, up to the next of them that no backslash stands before.
_QUOTED: Final = r"(?P<open>[\"'])(?P<{0}>(?:(?!(?P=open))[^\\\n]|\\[^\n]){{3,256}})(?P=open)"
# What stands behind the name of a column.
_ABOVE: Final = lazy(r"[\"'`]?(?:[ \t]{0,40}[,;|\n\r]|\t|  )")
# Each form of a value beside a name. The names of groups say how much the value itself must look like a secret:
# `s` nothing, `n` no placeholder, `q` no plain word, `t` letters and digits mixed, `v` that or a UUID, `j` that by
# chance, `e` as the element's attribute says.
_BESIDE: Final = tuple(
    lazy(pattern)
    for pattern in (
        # A block of lines: YAML, a shell's here-document, text in three quotes, a part of a form.
        r"[\"']?\s{0,3}:\s{0,3}[|>][-+0-9]{0,2}[ \t]{0,8}(?:#[^\n]{0,128})?\r?\n(?:[ \t]{0,40}\r?\n)?"
        r"(?P<in>[ \t]{1,40})"
        r"(?P<s>[^\s][^\r\n]{0,4096}(?:\r?\n(?P=in)[^\r\n]{1,4096}){0,64})",
        r"[\"']?\s{0,3}:[ \t]{1,8}#[^\n]{0,128}\r?\n[ \t]{1,40}(?P<q>[^\s\"'#:-][^\s\"':]{2,512})[ \t]*\r?(?:\n|\Z)",
        r"\s{0,3}=\s{0,3}<<[-~]?[\"']?(?P<end>\w{1,32})[\"']?\n(?P<s>[^\n]{1,4096}?)(?:\n|\Z)",
        r"[\"']?\s{0,3}[:=]\s{0,3}(?:\"\"\"|''')(?P<s>[^\"']{1,4096})",
        r"\"(?:;[^\n]{0,128})?\r?\n(?:[A-Za-z-]{2,40}:[^\n]{0,200}\n){0,3}\r?\n(?P<s>[^\r\n]{1,4096})",
        # A name with its type, an array, a property; a sign of assignment of its own.
        r"(?:\s{0,2}:\s{0,2}[A-Za-z][\w<>\[\]?.]{0,40}|\s{1,3}(?:(?:As\s)?[sS]tring|text|N?(?:VARCHAR|varchar|CHAR)\(\w{1,4}\))"
        r"|\[\d{0,4}\]|\s{0,3}\{[ \w;]{0,40}\})\s{0,3}=\s{0,3}[@$NL]?[\"'](?P<n>[^\"'\n]{1,512})[\"']",
        r"[\"']?\]?\s{0,3}(?:\|\|=|\?\?=|&&=|[+.?]=(?!\s{0,3}[\"'][;,&? ])|<<<|\{)\s{0,3}" + _QUOTED.format("q"),
        # Makefiles' signs; a list that grows; a name of a namespace that is none.
        r"\s{0,3}[?+]=\s{0,3}(?P<v>[\w!@#%^&*+/=~.-]{6,512})(?![\w(:<\[])",
        r"::(?P<j>[\w!@#%^&*+/=~.-]{6,512})(?![\w(:<\[])",
        r"\[\d{0,4}\]\s{0,3}=\s{0,3}(?P<v>[^\s\"'&;,<>()]{5,512})",
        # A part of a form, its line ends written out.
        r"\\{1,4}\"(?:\\{1,4}r\\{1,4}n){2}(?P<n>[^\\\s\"]{1,512})",
        r"[\"']\]\s{0,3}=>\s{0,8}string\(\d{1,5}\) \"(?P<n>[^\"\n]{1,512})\"",
        r" <\w{1,16}> ?" + _QUOTED.format("q"),
        r"\"\s{0,3}\{\s{0,8}(?:[a-z_]{1,20}\s{0,8}=\s{0,8}[^\n{}]{0,100}\n\s{0,8}){0,4}default\s{0,8}=\s{0,3}\"(?P<n>[^\"\n]{1,512})",
        # A change: what was and what will be.
        r"[\"']?\s{0,3}[:=]\s{0,3}(?:\"[^\"\n]{0,256}\"|'[^'\n]{0,256}'|[^\s\"'(),]{1,256})\s{1,3}(?:->|=>|\u2192)\s{1,3}"
        r"[\"']?(?P<n>[^\s\"']{1,512})",
        # An element's or a pair's second half: value="...", "value": "...", <x key="...">...</x>.
        r"[\"'](?:\s{1,3}[\w:-]{1,32}=[\"'][^\"'\n]{0,64}[\"']){0,3}\s{1,3}(?i:value|content)=(?P<open>[\"'])(?P<n>(?:(?!(?P=open))[^\n]){1,512})",
        r"[\"']\s{0,3}/?>\s{0,40}<value=[\"'](?P<n>[^\"'\n]{1,512})",
        r"(?<!for=\")[\"'][^<>\n]{0,64}>\s{0,40}(?:<(?:value|string)>)?(?P<e>[^<>\n]{3,512})</",
        r"</(?:key|name)>\s{0,40}<(?:string|data|value)>(?P<n>[^<>\n]{1,512})</",
        r"(?:\\{0,8}[\"'])?\s{0,2},?\s{0,40}(?:\\{0,8}[\"'][\w-]{1,32}\\{0,8}[\"']\s?:\s?[\w\"']{1,64},\s{0,40}){0,2}"
        r"(?:\\{0,8}[\"'])?\w{0,24}(?i:(?<![a-z])value|(?<=[a-z])Value)(?:\\{0,8}[\"'])?\s{0,2}[:=]\s{0,2}"
        r"(?:\"(?P<n4>(?:[^\"\n\\]|\\[^\n]){1,512})|\\{1,8}\"(?P<n>[^\"\n\\]{1,512})|'(?P<n2>[^'\n\\]{1,512})|(?P<n3>[^\s\"',;}<>\\]{3,512}))",
        r"[\"'];s:\d{1,5}:\\?[\"'](?P<n>[^\"'\n]{1,512})",
        # A pair of arguments, one argument, a quoted word right behind.
        r"[\"']\s{0,3},\s{0,3}[bfru]?" + _QUOTED.format("q"),
        r"\([bfru]?" + _QUOTED.format("q") + r"(?:\)|,\s{0,3}\w{1,24}\s?=)",
        r"\((?:[bfru]?(?:\"[^\"\n]{0,128}\"|'[^'\n]{0,128}'),\s{0,3}){1,2}[bfru]?" + _QUOTED.format("q") + r"\s?\)",
        r"\s{1,3}(?:for [\"']?[\w.@%-]{1,64}[\"']?\s{0,2}=?\s?)?" + _QUOTED.format("q"),
        # A name in bold or in a tag, and its value.
        r"(?:[*_`]{1,3}|</\w{1,10}>)\s{0,3}[:=\uff1a|]\s{0,3}(?:[*_`]{1,3})?\s{0,3}[\"'`]?(?P<q>[^\s\"'`<>]{3,512})",
        r"\s{0,3}[:=\uff1a]\s{0,3}(?:[*_`]{1,3}|</\w{1,10}>)\s{0,3}[\"'`]?(?P<q>[^\s\"'`<>]{3,512})",
        # Percent signs instead of the usual ones.
        r"(?:%22|%27)?%3[AaDd](?:%20|%22|%27){0,2}(?P<s>[^%&\s\"'<>]{1,512})",
        # A secret's body, after options of a command.
        r"[\"']?(?:\s{1,3}--?(?!b\b|body\b)[\w-]{1,20}[ =][^\s-]\S{0,64}){0,3}\s{1,3}"
        r"(?:--body|-b)[ =][\"']?(?P<n>[^\s\"']{1,512})",
        # Words in quotes behind a verb.
        r" (?:is|was|ist|lautet|est|es|to|\u00e8|\u00e4r|er|je|on)[ :]{1,2}" + _QUOTED.format("q"),
        # What it was and what it is.
        r" (?:was )?(?:changed|updated|rotated|reset|set) from [\"']?"
        r"(?P<v>[^\s\"']{4,256}[\"']? to [\"']?[^\s\"']{4,256})",
        # User and password.
        r"[\"']?:[ \t]{1,3}[\w.@-]{1,64} ?[/:] ?(?P<v>[^\s\"'`<>(){}\[\],;/]{4,512})",
        # In brackets.
        r"\[(?P<v>[A-Za-z0-9+/=-]{12,512})\]",
        # A verb between.
        r"(?:'s| {0,2}(?:is|was|ist|lautet|est|es|é|è|это|是|为|は|는|은|är|er|je|on|provided|given|used|to"
        r"|(?:was )?(?:changed|set|reset|updated) to|with|value))[ :\uff1a]{0,3}[\"'`]?"
        r"(?P<v>[^\s\"'`<>(){}\[\],;。\uff0c]{4,512})",
        # The same, and what it is for between.
        r" (?:for|of|to|on|from|für|pour|para|de|del)(?: [\w.@'/-]{1,40}){1,5}?"
        r"(?: (?:is|was|ist|est|es)(?: now| set to)?[ :]{1,3}|: )[\"'`]?"
        r"(?P<v>[^\s\"'`<>(){}\[\],;]{4,512})",
        # A table's cells, in lines or columns.
        r"[`\"']?[ \t]{0,8}\|[ \t]{0,8}[`\"']?(?P<v>[^\s\"'`<>|]{5,512})",
        # An arrow or a dash.
        r"[\"']?[ \t]{0,8}(?:-{1,2}>|<-|-(?= )|\u2192|\u2013)[ \t]{0,8}[\"'`<(\[]{0,2}"
        r"(?P<v>[^\s\"'`<>(){}\[\],;|]{5,512})",
        # Another sign, or nothing but space.
        r"[\"']?(?:[ \t]{0,40}[,=:][ \t]{0,40}|[ \t]{1,40}|\s{1,3})(?:!!\w{1,16}\s|&\w{1,16}\s|N(?='))?"
        r"[\"'`<(\[]{0,2}"
        r"(?P<t>[^\s\"'`<>(){}\[\],;|]{5,512})",
    )
)
# What each form begins with, behind the name; the space stands for all white space, `~` for letters beyond ASCII.
_BEGINNINGS: Final = (
    "\"': ", "\"': ", "= ", "\"':= ", "\"", " :[{", "\"'] |?<{&+.", " ?+", ":", "[", "\\", "\"'", " ", "\"", "\"':= ",
    "\"'", "\"'", "\"'", "<", "\\\"' ,", "\"'", "\"'", "(", "(", " ", "*_`<", " :=\uff1a", "%", "\"' ",
    " ", " ", "\"':", "[", " ~'", " ", "`\"' |", "\"' -<\u2192\u2013", "\"' ,=:",
)  # fmt: skip
# The other half of a pair that is written the other way round: the value before its name.
_BEFORE: Final = lazy(
    r"(?i:value|content)\\{0,4}[\"']?\s{0,2}[:=]\s{0,2}\\{0,4}[\"'](?P<n>[^\"'\n\\]{1,512})\\{0,4}[\"'],?\s{1,40}"
    r"(?:\\{0,4}[\"'])?(?i:name|key|property|id|header)\\{0,4}[\"']?\s{0,2}[:=]\s{0,2}\\{0,4}[\"'][\w.-]{0,60}\Z"
)
_NAMED: Final = lazy(r"(?i:name|key|id|property)=[\"'][\w.:-]{0,60}\Z")
# What mixes letters and digits and is no secret: algorithms, formats, measures, versions, placeholders, paths.
_KNOWN: Final = lazy(
    r"(?i:v?\d+(?:\.\d+)*[a-z]{0,4}\d?|x509|pkcs#?\d+|\d{1,4}(?:st|nd|rd|th)|\d{4}-\d\d-\d\d.{0,20}"
    r"|(?:sha|md|aes|rsa|dsa|hs|rs|es|ps|ed|ec|ecdsa|p|x|utf|base|latin|iso|oauth|python|py|http|ipv|argon|blake|crc|otp|v|version|part|step"
    r"|level|test|user|key|token|secret|password|pass|pin|card|account|field|item|page|line|col|id|arg|param|route|gpt|llama)"
    r"[-_]?\d{1,5}(?:-?[a-z]{2,4})?)\Z"
    r"|[./~$%{@#]|\*[a-z]|\\f[\dBIRP]|\[?[0aA]-[9zZF]|[a-z]+\.[A-Z][A-Za-z]+\d+(?:_\d+)?\Z|\w+://|[A-Z][A-Z_]*\Z|\[redacted:"
)
# From letters to digits or back, and how often it goes so where no name does.
_TURN: Final = lazy(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_TURNS: Final = 3
# The same in running text: any word with a number that algorithms have.
_NUMBERED: Final = lazy(
    r"(?i:[a-z]{1,10}-?(?:1|2|3|4|5|8|16|32|64|128|224|256|384|512|521|1024|2048|3072|4096|25519))\Z"
)
_UUID: Final = lazy(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,32}\Z")
_BASE64: Final = lazy(r"(?=[A-Za-z0-9]{0,512}[+/])[A-Za-z0-9+/]{8,512}={0,2}\Z")
# A name as code writes it: no word of prose, so that a value may follow it with nothing but space between.
_CODED: Final = lazy(r"[A-Za-z]\w*(?:[.:/-]\w+)*[._:]\w+\Z|[a-z]+[A-Z]\w*\Z")
_CALL: Final = lazy(r"\w\((?=[^()]*\Z|[^()]*\)\W*\Z)|\A\([^()]*\)?\Z")
_LOOKUP: Final = lazy(
    r"(?i:(?<![a-z])(?:get|load|read|find|fetch|lookup|delete|remove|list|has|need|require))_?(?i:[a-z]{0,12}_?)\Z"
)
# A value before its name, and the words of which one stands between.
_ITS: Final = lazy(
    r"(?P<v>[^\s\"'`*/#(){}\[\]<>,;:=]{6,128})[\"'`]? (?:is|was) (?:the|my|your|our|his|her|their)"
    r"(?: [a-z]{2,12}){0,2} \Z"
)
_BETWEEN: Final = words("the my your our his her their new old current admin root api access secret temporary")
# Words whose value is a number of few digits.
_CODES: Final = words("otp pin totp code passcode")
# Words that say of a name that its value follows.
_WITH: Final = lazy(r"(?i:(?<![a-z])(?:with|using|connect \S{1,32})(?: \w{1,16}){0,2} )\Z")
# Commands and lines of which a name and then its value is expected.
_SETS: Final = lazy(
    r"(?:(?<![\w-])(?:ENV|ARG|LABEL|setenv|setx|set(?:\s{1,3}-\w{1,8}){1,3}|--set|kv put|etcdctl put|user-secrets set"
    r"|config(?:ure)?(?: set)?|s3|(?:secrets?|config|configure|env|variables?)[ :](?:set|put|add|create))"
    r"(?:\s{1,3}-{1,2}[\w-]{1,20}){0,3})\s{1,3}[\"']?[A-Za-z_/][\w.:/-]{0,60}\Z"
)


@functools.cache
def _forms(first: str) -> tuple[re.Pattern[str], ...]:
    """Return the forms that may begin with a character."""
    pairs = zip(_BEGINNINGS, _BESIDE, strict=True)
    return tuple(form for beginnings, form in pairs if first in beginnings)


def _class_of(letter: str) -> str:
    if letter.isspace():
        return " "
    return "~" if letter > "\u00bf" and letter.isalpha() else letter


def told(text: str, low: str) -> list[tuple[int, int, str]]:
    """Return where a text tells a secret without an assignment: starts, ends and the rule's name.

    Args:
        text: Any text.
        low: The same in lower case.
    """
    if len(low) != len(text):
        low = text
    found: list[tuple[int, int, str]] = []
    if "into" in low and "values" in low:
        found += _spared(text, inserted(text))
    if "kind" in low and "data" in low and "secret" in low:
        found += _spared(text, manifest(text))
    if "private key" in low and "-----end" in low:
        found += _spared(text, headless(text))
    if "[redacted:" in low:
        # What a first pass put there must not count as names, or a second one would come less far.
        low = MARKER.sub(_blank, low)
    match = _STEM.search(low)
    tried = done = 0
    while match is not None and tried < TOLD_LIMIT:
        tried += 1
        end = match.end()
        if _is_name(text, match.start(), end):
            cells: list[tuple[int, int, str]] = []
            if match.start() >= done and _ABOVE.match(text, end) is not None:
                cells, done = below(text, match.start(), end)
            if not cells and (cells := listed(text, end)):
                end = cells[-1][1]
            span = None if cells else _value(text, match.start(), end)
            found += _spared(text, cells)
            if span is not None:
                found.append((*span, "secret"))
                end = span[1]
        match = _STEM.search(low, end)
    if match is not None:
        # Nobody has looked behind here.
        found.append((match.start(), len(text), "dense"))
    return found


def _blank(match: re.Match[str]) -> str:
    return " " * (match.end() - match.start())


def _spared(text: str, cells: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return the findings among values that stand below their names."""
    return [
        (start, end, "secret")
        for start, end, group in cells
        if end > start and not text.startswith("[redacted:", start) and not _SPARES[group](text[start:end])
    ]


def _is_name(text: str, start: int, end: int) -> bool:
    """Say whether a word, with what stands before it, means a secret."""
    word = text[start:end].lower()
    head = _head(text, start)
    if text[end : end + 1] == "=" and text[start - len(head) - 1 : start - len(head)] in ("?", "&"):
        # A parameter of an URL: a rule of its own knows where it ends.
        return False
    if "[redacted:" in text[max(0, start - 42) : start] and text[end : end + 1] == "]":
        return False
    if head[-4:].lower() == "with" and text[end : end + 1] == "(":
        head = head[:-4]
    if text[end : end + 1] == "(" and _LOOKUP.search(head) is not None:
        # A call that gives the value is given its name.
        return False
    if head and word in _FIXED and kind_of(head + text[start:end]) is not Kind.SECRET:
        return False
    if word == "auth" and head[-1:] == "." and text[end : end + 2] in ("('", '("'):
        # A call that logs in.
        return True
    if not head and word in _VAGUE:
        return is_secret_phrase(text[max(0, start - 32) : start].rstrip(), word) or (
            word == "passe" and text[max(0, start - 7) : start].lower() == "mot de "
        )
    return (not head and word in _FIXED) or word[0] > "\u0300" or kind_of(head + text[start:end]) is Kind.SECRET


def _head(text: str, start: int) -> str:
    """Return the part of a name that stands before its last word; none where that is of a script without spaces."""
    before = _HEAD.search(text, max(0, start - 48), start) if text[start] < "\u0300" else None
    return "" if before is None else before.group()


def _value(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return where the value beside a name is; None where there is none."""
    if text[end : end + 1] in "\"'\\" and (before := _before(text, start)) is not None:
        return None if is_placeholder(before["n"], quoted=True) else before.span("n")
    if text[start - 1 : start] == " " and text[max(0, start - 16) : start].split(" ")[-2] in _BETWEEN:
        its = _ITS.search(text, max(0, start - 160), start)
        if its is not None and not _is_unlikely_object(its["v"]):
            return its.span("v")
    for pattern in _forms(_class_of(text[end : end + 1] or "~")):
        match = pattern.match(text, end)
        if match is None:
            continue
        group = match.lastgroup or ""
        first, value = match.start(group), match[group].rstrip(".,:!?。")
        if value.startswith("[redacted:") or is_key_id(text[max(0, start - 32) : start], value):
            return None
        if text[match.end(group) : match.end(group) + 1] == "(" and value[-1].isalnum():
            # A call.
            return None
        if not _SPARES[_strength(text, start, end, first, group[0])](value):
            return first, first + len(match[group] if group == "s" else value)
    return None


def _before(text: str, start: int) -> re.Match[str] | None:
    """Return the value that stands before its name, in a pair that is written the other way round."""
    first = max(0, start - 700)
    low = text[first:start].lower()
    # Words are found sooner than a pattern that begins with them.
    return _BEFORE.search(text, first, start) if "value" in low or "content" in low else None


def _strength(text: str, start: int, end: int, first: int, group: str) -> str:
    """Return how much a value must look like a secret, by its form and by the name that it stands beside."""
    if group == "e":
        return "n" if _NAMED.search(text, max(0, start - 60), start) is not None else "q"
    if group not in ("t", "v"):
        return group
    if _SETS.search(text, max(0, end - 80), end) is not None:
        return "n"
    if group == "t" and text[end:first].strip("\"'`([< \t\r\n|"):
        # Behind a sign it is an assignment, or a list.
        return group
    name = _head(text, start) + text[start:end]
    if group == "t" and _WITH.search(text, max(0, start - 48), start) is not None:
        group = "v"
    if name.lower() in _CODES and group == "v":
        return "d"
    return "q" if name[0] != "-" and _CODED.match(name) is not None else group


def _is_stand_in(value: str) -> bool:
    """Say whether a value that its place makes a secret is a placeholder, a number, or yes or no."""
    return value.isdigit() or is_placeholder(value) or len(value) < 3 or value[0] in "&-"


def _is_wording(value: str) -> bool:
    """Say whether a text beside a name is words, a number, a place or a placeholder rather than a secret."""
    value = value.strip("*_`").rstrip(" .:;,?\u2026")
    if len(value) < 4 or value.isdigit() or is_wording(value.lstrip("-")) or is_placeholder(value, quoted=True):
        return True
    if (
        "::" in value
        or is_code(value)
        or _CALL.search(value) is not None
        or value[-1] == ")"
        or (value[-1] == "=" and value[:-1].isalpha() and value.islower())
    ):
        return True
    return _KNOWN.match(value) is not None


def _is_unlikely_object(value: str) -> bool:
    """Say whether a word behind a verb has not the look of a secret: letters and digits mixed, capitals by chance."""
    if len(value) < 6 or value.isalpha() or _KNOWN.match(value) or is_placeholder(value):
        return True
    if _UUID.match(value) or (_BASE64.match(value) and (value[-1] == "=" or is_random(value))):
        return False
    if "/" in value or "=" in value.rstrip("=") or ":" in value or value.count(".") > 1:
        return True
    if not any(map(str.isdigit, value)):
        return not is_random(value)
    return not re.search(r"[A-Za-z]", value)


def _is_unlikely(value: str) -> bool:
    """Say the same of a word with nothing but space before it, where names of things stand too."""
    return _UUID.match(value) is not None or _NUMBERED.match(value) is not None or _is_unlikely_object(value)


# What spares a value, by its form's group.
_SPARES: Final[dict[str, Callable[[str], bool]]] = {
    "s": lambda value: value.startswith("[redacted:"),
    "n": _is_stand_in,
    "q": _is_wording,
    "v": _is_unlikely_object,
    "j": lambda value: _is_unlikely_object(value) or (len(_TURN.findall(value)) < _TURNS and not is_random(value)),
    "d": lambda value: not (value.isdigit() and len(value) in range(4, 9)) and _is_unlikely_object(value),
    "t": _is_unlikely,
}

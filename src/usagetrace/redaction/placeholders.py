"""What stands where a secret could, and is none: placeholders, variables, expressions, types, words of prose.

Every rule that finds a value by its place asks here, so that a value is spared after a flag if it is spared after an
equals sign. This module knows neither keys nor how values are found.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Values that say there is no secret, or where it comes from.
_NOTHING: Final = words(
    """
    none null nil true false yes no on off undefined unset empty n/a na not-set void
    """
)
# The same without quotes: types, states, words of code and of prose that follow a secret's name.
_WORDS: Final = words(
    """
    str string int integer number bytes bool boolean object any char varchar text token key secret password value
    write read optional required invalid missing incorrect wrong expired valid ok changed unchanged reset hidden masked
    redacted sensitive encrypted omitted unknown default enabled disabled failed not must is the a an this that should
    was be to and or for with from in if of it are can will has have your you we use see type your-token
    name header headers same-origin include omit
    await new yield shift lambda function async typeof return input basic bearer digest self cls
    """
)
# A template, a variable, a format's place: the whole value, in quotes or not.
_TEMPLATE: Final = lazy(
    r"(?:<[^<>\n]{0,128}>|&lt;[^&\n]{0,128}(?:&gt;?)?|\$\{\{?\s?[A-Za-z_!#][^\n]*|\$\([^\n]*"
    r"|\$[A-Za-z_]\w{0,63}(?:[.\[][\w.'\"\[\]-]*)?|\$[\d!@?&#*]"
    r"|(?:\{\{[^{}\n]{0,256}\}\}[\w.:/@-]*)+|\{\{[-\w .|$]*|\{%[^{}\n]*(?:%\})?"
    r"|\{[!A-Za-z_][\w .:!\[\]'\"]{0,64}\}?|\{\d?\}"
    r"|#\{\s?[A-Za-z_@:$][^\n]*|<%[^\n]*|%[A-Za-z_]\w{0,63}%|%(?:\(\w{1,64}\))?[-+#0]?(?:\.?\d{1,2})?[a-zA-Z]|@\{[^\n]*"
    r"|\[[A-Za-z _-]{1,64}\]?|\([a-z ]{1,64}\)|\*\.\w{1,8}"
    r"|\[?[A-Z_]{2,32}(?:=[A-Z_]{2,32})?(?:[|,/]\s?(?:[A-Z_]{2,32}|\.{3})){1,8}\]?"
    r"|\^?[~^<>=]{1,2}\d+(?:\.[\dx]+){0,3}(?:[-.+][\w.-]{0,12}|[a-z]{1,2}\d*)?"
    r"|[*.xX#\u2022\u2026\u25cf_-]+|[xX]{3,}[xX-]*|~|-+|\?+"
    r"|!(?:vault|secret|Ref|Sub|env|include|GetAtt|ImportValue)\b[^\n]*|\[redacted:[a-z0-9-]{1,32}\]"
    r"|(?i:(?:your|my|insert|replace|enter|put|some|the)[-_ ](?:\w|[- ]){0,48}?"
    r"(?:key|token|secret|password|here|value|pass|pat|user|username|name|email|login))"
    r"|(?:[A-Z]+_)*(?:YOUR|KEY|TOKEN|SECRET|PASSWORD|PASS|PASSWD|USER|USERNAME|VALUE|HERE)(?:_[A-Z]+)*)\Z"
)
# Code that gives the value, where no quotes say that it is the value.
_CODE: Final = lazy(
    r"(?:self|cls|settings|config|conf|cfg|os|env|environ|args|ctx|context|request|req|res|options|opts|params|process|"
    r"secrets|data|kwargs|var|local|module|each|this|props|state|vars|resource|random_password|aws_\w+|google_\w+|azurerm_\w+)"
    r"[.\[]|&?[A-Za-z_][\w.]*(?:::\w+)*(?:\(|(?:->|::)[A-Za-z_]|-$)|\$(?:[{(]|[A-Za-z_]\w*(?:[-.\[({:/>\\}@$;)+]|,\$|$))|[A-Za-z_][\w.]*\[(?:[\w\"'.:-]*\](?:$|\.[a-z_])|\d{0,4}$|[a-z_]+$)|`\$?\(?[a-z]"
    r"|[A-Za-z_][\w.]*\[[A-Za-z_][\w.]*(?:\[[\w.]*)*\]*$|_[A-Za-z][A-Za-z_]*$"
    r"|(?:Get|Read|New|Import|Invoke|ConvertTo|ConvertFrom|Connect|Resolve|Select|Find|Request|Unprotect|Join)-[A-Z][A-Za-z]+$"
    r"|\([a-z_][A-Za-z_]*(?::\w+)?\)?$"
    r"|[|>][-+0-9]{0,2}$|[bru]?N?$|&\w+$|\*{3,}|\.{3}|x{4,}$|<[^>]*>$|[\[(]?\{\{?[\w. ]*\}?\}$|%\("
)
# A prompt's or a manual's words, behind a flag that they speak of.
_OF_MANUALS: Final = words(
    """
    arg args file val filename do does don't has have must should may might shall
    expects requires needs takes accepts near option options argument arguments parameter parameters flag flags
    conflicts conflict instead cannot could does did given specified provided supplied passed was were already only via
    before after without when while unless unrecognized unexpected found used using deprecated once twice
    """
)
# A class by its module's name, as settings name them.
_CLASS: Final = lazy(r"(?:[a-z_]{1,32}\.){2,8}[A-Z](?:[a-z]*(?:\d{1,2}(?=[A-Z]))?[A-Z]?){0,12}\Z")
_DOTTED: Final = lazy(r"[a-z_]+(?:\.[a-z_]+)+\Z")
# The short parts of names in code.
_SHORT: Final = 4
_MEMBERS: Final = words("value token string content result fullname username password secret credentials")
# What no call is given: a number that goes on with letters, a sign at the end.
_NO_ARGUMENT: Final = lazy(r"[(\[]\d+[A-Za-z]{2}|[(\[].*[!#%^~?@]$|^&[a-z]*[A-Z]\w*\d")
# Turns from letters to digits and back that names seldom have.
_TURN: Final = lazy(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_TURNS: Final = 3
# Most signs, without letter or digit, that no secret is made of alone.
_SIGNS: Final = 3
_IN_QUOTES: Final = _WORDS & words("same-origin redacted masked hidden sensitive omitted unset your-token")
_EMPTY: Final = "\"'`.,;:!?()[]{}*- "
_SPACED: Final = lazy(r"[^\W\d_]+(?:[ _.-][^\W\d_]+)*[.!?]?\Z")
_HUMP: Final = lazy(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+")


def is_placeholder(value: str, *, quoted: bool = False) -> bool:
    r"""Say whether a value is no secret wherever it stands.

    Args:
        value: The value alone, without the quotes around it.
        quoted: Whether it stands in quotes: a word or an expression is then the value itself.
    """
    value = value.strip()
    if not quoted:
        value = value.partition("\\n")[0].rstrip(",;)")
    core = value.strip("\"'`").strip()
    low = core.lower()
    if not core or low in _NOTHING or (_TEMPLATE.match(core) is not None and not _is_chance(core)) or is_class(core):
        return True
    if quoted:
        few = len(core) <= _SIGNS and not any(map(str.isalnum, core))
        return few or low in _IN_QUOTES or not core.strip(")]};, ")
    low = low.strip(_EMPTY)
    return not low or low in _NOTHING or low in _WORDS or is_code(value)


def is_code(value: str) -> bool:
    """Say whether a value without quotes is an expression: a call, a member, a variable."""
    if _CODE.match(value) is not None:
        return not is_jumbled(value) and _NO_ARGUMENT.search(value) is None
    return _DOTTED.match(value) is not None and any(
        len(part) <= _SHORT or "_" in part or part in _MEMBERS for part in value.split(".")
    )


def is_class(value: str) -> bool:
    """Say whether a value is the name of a class behind that of its module: ``django.contrib.auth.hashers.Argon2``."""
    return _CLASS.match(value) is not None and not is_random(value.rpartition(".")[2])


def is_of_manual(value: str) -> bool:
    """Say whether a word behind a flag goes on with a sentence about the flag."""
    return value.rstrip(".,:;!?").lower() in _OF_MANUALS


def is_wording(value: str) -> bool:
    """Say whether a value is words: in one case style each, without a digit."""
    return _SPACED.match(value) is not None and not is_random(value)


def _is_chance(value: str) -> bool:
    """Say whether what has a template's form is a password all the same."""
    if value[0] in "{[" and value[-1] not in "}]" and not value.islower() and any(map(str.isdigit, value)):
        return True
    return is_jumbled(value)


def is_jumbled(value: str) -> bool:
    """Say whether letters of both cases and digits stand in a value as chance puts them, and not as in names."""
    if not any(map(str.isdigit, value)) or value.islower() or value.isupper():
        return is_random(value)
    return len(_TURN.findall(value)) >= _TURNS or is_random(value)


def is_random(value: str) -> bool:
    """Say whether the capitals of a word stand as chance puts them, and not where words begin."""
    for word in re.split(r"[^A-Za-z]+", value):
        humps = _HUMP.findall(word)
        if len(humps) > 2 and len(word) < 3 * len(humps):
            return True
    return False

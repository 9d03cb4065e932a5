"""What is found without a boundary on its left: tokens, homes and the machine's own names inside glued values.

In a file of SQLite the columns of a row stand side by side, so that a token follows the last letter of the column
before. Only what is unmistakable is looked for like this. This module is pure: text in, counts out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Final

from usagetrace.patterns import trie
from usagetrace.redaction.identity import maskable
from usagetrace.redaction.vendors import TOKENS
from usagetrace.redaction.wordlist import words

# Shorter prefixes, and these, end ordinary words: `monkey-`, `task-`, `format`.
_SHORTEST: Final = 4
_ORDINARY: Final = words(
    """
    key- sdk- mob- pul- secret_ cio dapi npm_ voy- csk- xai- ubs_ jina_ phx_ phc_ pnu_ pnb_ pubkey- rubygems_ sgp_
    1//0 fo1_ fm1_ fm2_ ntn_ vci_ vca_ vcp_ vck_ vcr_ nfo_ nfc_ nfu_ nfp_ sk.eyJ pk.eyJ sbp_
    """
)
# So many letters of a row's head may stand before its first column and look like text.
_HEAD: Final = 8
# A slash there may be a number before `home`, next to a value that begins with one: only what goes on is a path.
_HOMES: Final = re.compile(r"/(?:home|Users|root)/[\w.-]+/[\w.-]|[A-Z]:\\+Users\\+[\w.-]+")
_MAYBE_HOMES: Final = re.compile(rf"~(?=[\w.-])|\A[^/]{{0,{_HEAD - 1}}}/(?=(?:home|Users|root)/[\w.-]+(?:[^\w./-]|\Z))")
_TO_THE_END: Final = re.compile(r"\S*")
# From this length on a name is taken for itself even inside a longer word.
_LONG_NAME: Final = 8
# Says whether the policy lets a text stand that the rules find something in.
Spares = Callable[[str], bool]


@functools.cache
def _by_prefix() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for token in TOKENS:
        for prefix in token.prefixes:
            table.setdefault(prefix, []).append((token.name, token.compiled()))
    return table


@functools.cache
def _any_prefix() -> re.Pattern[str]:
    return re.compile(trie(tuple(_by_prefix())))


def _distinctive(prefix: str) -> bool:
    return (len(prefix) >= _SHORTEST and prefix not in _ORDINARY) or prefix == "eyJ"


def glued_tokens(text: str, spares: Spares) -> dict[str, int]:
    """Return how many tokens of each rule follow a letter or a digit of something else."""
    found: dict[str, int] = {}
    at = 0
    while (match := _any_prefix().search(text, at)) is not None:
        start = match.start()
        at = start + 1
        if start < _HEAD or _distinctive(match.group()):
            for prefix, rules in _by_prefix().items():
                if not text.startswith(prefix, start):
                    continue
                whole = next(((name, hit) for name, rule in rules if (hit := rule.match(text, start))), None)
                if whole is not None:
                    if not spares(whole[1].group()):
                        found[whole[0]] = found.get(whole[0], 0) + 1
                    at = whole[1].end()
                    break
    return found


def homes_at_the_start(text: str, spares: Spares) -> dict[str, int]:
    """Return whether a path into somebody's home stands where a row's first column does."""
    for start in range(min(_HEAD, len(text))):
        if text[start] in "/ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            match = _HOMES.match(text, start)
            if match is not None:
                return {} if spares(_path_at(text, start)) else {"home": 1}
    return {}


def without_accidents(text: str) -> str:
    """Return a text without what looks like a home where values stand side by side, and may be none.

    A tilde is a number, or a value of its own (``~`` is what a home becomes); so is a slash that begins the text.
    """
    return _MAYBE_HOMES.sub(" ", text)


class OwnNames:
    """The machine's own home, user and host, as they may stand in bytes.

    A name that is short or an ordinary word (``root``, ``app``) is not looked for as a word, only as part of a home.

    Args:
        homes: The home directory in every spelling.
        user: The user's name.
        host: The machine's name.
        spares: Says what the policy lets stand.
    """

    def __init__(self, homes: Iterable[str], user: str, host: str, spares: Spares) -> None:
        self._spares = spares
        self.homes = tuple(home for home in homes if len(home.strip("/\\")) > 1)
        short = host.partition(".")[0]
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        if self.homes:
            self._patterns.append(("home", re.compile("|".join(_home(home) for home in self.homes))))
        for rule, forms in (("host", (host, short)), ("user", (user,))):
            chosen = [_word(name) for name in dict.fromkeys(forms) if maskable(name)]
            if chosen:
                self._patterns.append((rule, re.compile("|".join(chosen), re.IGNORECASE)))

    def glued(self, text: str) -> dict[str, int]:
        """Return how often each of them stands in a text, whatever stands before it."""
        found = {}
        for rule, pattern in self._patterns:
            count = sum(1 for match in pattern.finditer(text) if not self._lets_stand(rule, text, match))
            if count:
                found[rule] = count
        return found

    def _lets_stand(self, rule: str, text: str, match: re.Match[str]) -> bool:
        return self._spares(match[0]) or (rule == "home" and self._spares(_path_at(text, match.start())))


def _path_at(text: str, start: int) -> str:
    match = _TO_THE_END.match(text, start)
    return match[0] if match is not None else ""


def _home(home: str) -> str:
    """Return a pattern of a home with any separator, written out, escaped or encoded."""
    parts = [part for part in re.split(r"[/\\]+", home) if part]
    separator = r"(?:\\+/?|/+|%2[fF])"
    # A home of one part (`/root`) also ends relative paths.
    edge = r"(?<![\w.~-])" if len(parts) == 1 else ""
    body = separator.join(map(re.escape, parts))
    return rf"{edge}{'' if ':' in parts[0] else separator}{body}(?![a-z_-])"


def _word(name: str) -> str:
    edge = "" if len(name) >= _LONG_NAME else r"(?<![A-Za-z0-9])"
    return rf"{edge}{re.escape(name)}(?![A-Za-z0-9])"

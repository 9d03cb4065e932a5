"""Judges the words of a full-text index, which have no capital letters and no signs between them.

What depends on a sign can't be told here (an address, a path of somebody else's, prose about a password). This module
is pure: words in, counts out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Final

from usagetrace.audit.judge import Identity
from usagetrace.redaction.identity import maskable
from usagetrace.redaction.keys import Kind, kind_of
from usagetrace.redaction.vendors import TOKENS

# Prefixes that are ordinary words once their sign is gone.
_ORDINARY: Final = frozenset(
    {"key", "secret", "sdk", "mob", "re", "pul", "pubkey", "1", "api", "cio", "pat", "sk", "ac"}
)
_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+")
_SIGNS: Final = ("-", "_", ".", "/", "$")
# Words that a token may be cut into, and the fewest characters of a word that alone may be one.
_LONGEST: Final = 24
_SHORTEST: Final = 6
# Names of methods stand behind `password` too.
_METHOD: Final = re.compile(r"(?:sha|md|base|utf|ed|rsa|aes|argon|bcrypt|pbkdf|hs|rs|es|oauth|x|v)\d+\w{0,3}")
_STRONG: Final = frozenset({"password", "passwd", "passphrase", "pwd", "apikey", "secret"})
# Behind these only what is no word, number or hash at all.
_WEAK: Final = {
    "token": "secret", "bearer": "bearer", "sid": "cookie", "key": "secret", "postgres": "url-credentials",
    "postgresql": "url-credentials", "mysql": "url-credentials", "redis": "url-credentials",
    "amqp": "url-credentials", "mongodb": "url-credentials",
}  # fmt: skip
_WEAK_LENGTH: Final = 12
_TURNS: Final = 4
_TURN: Final = re.compile(r"[a-z](?=[0-9])|[0-9](?=[a-z])")
_HASH: Final = re.compile(r"[0-9a-f]+")


class _Shape:
    """A vendor's token without signs: the words of its prefix, and what it looks like whole."""

    __slots__ = ("name", "open_end", "pattern", "prefix", "words")

    def __init__(self, name: str, prefix: str, pattern: re.Pattern[str]) -> None:
        self.name = name
        self.prefix = prefix
        self.words = tuple(word for word in _SPLIT.split(prefix.lower()) if word)
        # The last word goes on with the token itself: AKIA..., eyJ...
        self.open_end = prefix[-1].isalnum()
        self.pattern = pattern


@functools.cache
def _shapes() -> tuple[_Shape, ...]:
    found = []
    for token in TOKENS:
        pattern = re.compile(token.compiled().pattern, re.IGNORECASE)
        found += [_Shape(token.name, prefix, pattern) for prefix in token.prefixes]
    return tuple(
        shape for shape in found if shape.words and not (len(shape.words) == 1 and shape.words[0] in _ORDINARY)
    )


def _words(text: str) -> list[str]:
    return [word for word in _SPLIT.split(text.lower()) if word]


class Words:
    """Judges runs of words.

    Args:
        who: Whose home, user name and host name are looked for.
        spares: Says what the policy lets stand.
        values: Texts that it names as such.
    """

    def __init__(self, who: Identity, spares: Callable[[str], bool], values: Iterable[str] = ()) -> None:
        self._spared = [words for value in values if (words := tuple(_words(value)))]
        homes = [tuple(_words(home)) for home in who.homes if not spares(home)]
        self._names = [("home", home) for home in homes if len(home) > 1]
        for rule, name in (("host", who.host.partition(".")[0]), ("user", who.user)):
            if maskable(name) and not spares(name):
                self._names.append((rule, tuple(_words(name))))
        self._known = {word for _, words in self._names for word in words}
        self._known |= {*_STRONG, *_WEAK, "begin", "users"}
        self._heads = {shape.words[0] for shape in _shapes()}
        self._starts = tuple({shape.words[-1] for shape in _shapes() if shape.open_end})
        self._known |= {word for shape in _shapes() for word in shape.words}

    def matters(self, word: str) -> bool:
        """Return whether a word may be part of something that is looked for."""
        return len(word) >= _SHORTEST or len(word) == 1 or word in self._known or any(map(str.isdigit, word))

    def judge(self, run: list[str]) -> dict[str, int]:
        """Return which rules find something in words that stand side by side, and how often."""
        found: dict[str, int] = {}
        at = 0
        while at < len(run):
            hit = self._at(run, at)
            if hit is None:
                at += 1
                continue
            rule, length = hit
            if rule:
                found[rule] = found.get(rule, 0) + 1
            at += length
        return found

    def _at(self, run: list[str], at: int) -> tuple[str, int] | None:
        for words in self._spared:
            if tuple(run[at : at + len(words)]) == words:
                return "", len(words)
        for rule, words in self._names:
            if tuple(run[at : at + len(words)]) == words:
                return rule, len(words)
        word = run[at]
        if word in self._heads or word.startswith(self._starts):
            for shape in _shapes():
                if _is_token(shape, run, at):
                    return shape.name, len(shape.words) + (not shape.open_end)
        if word in _STRONG and at + 1 < len(run) and kind_of(word) is Kind.SECRET and _is_password(run[at + 1]):
            return "secret", 2
        if word in _WEAK:
            # Between them stands the user's name, in an URL.
            for behind, value in enumerate(run[at + 1 : at + 3], 2):
                if _is_random(value):
                    return _WEAK[word], behind
        return _phrase(run, at)


def _phrase(run: list[str], at: int) -> tuple[str, int] | None:
    """Return what is known by its words alone: the first line of a private key, a home on Windows."""
    if run[at] == "begin" and "private" in run[at + 1 : at + 4] and "key" in run[at + 2 : at + 5]:
        return "private-key", run.index("key", at) - at + 1
    if len(run[at]) == 1 and run[at + 1 : at + 2] == ["users"] and len(run) > at + 2:
        return "home", 3
    return None


def _is_random(word: str) -> bool:
    return len(word) >= _WEAK_LENGTH and len(_TURN.findall(word)) >= _TURNS and _HASH.fullmatch(word) is None


def _is_token(shape: _Shape, run: list[str], at: int) -> bool:
    count = len(shape.words)
    head, rest = run[at : at + count], run[at + count : at + count + _LONGEST]
    if len(head) < count or tuple(head[:-1]) != shape.words[:-1]:
        return False
    if shape.open_end:
        if not head[-1].startswith(shape.words[-1]):
            return False
        rest = [head[-1][len(shape.words[-1]) :], *rest]
    elif head[-1] != shape.words[-1] or not rest:
        return False
    if not any(map(str.isdigit, "".join(rest[:3]))):
        return False
    # In which case its letters were, and which signs stood between them, is not known any more.
    return any(
        (whole := shape.pattern.match(shape.prefix + sign.join(rest))) is not None
        and any(map(str.isdigit, whole.group()[len(shape.prefix) :]))
        for sign in _SIGNS
    )


def _is_password(word: str) -> bool:
    """Return whether the word behind one for a password has letters and digits, and is no method's name."""
    if len(word) < _SHORTEST or word.isalpha() or word.isdigit():
        return False
    return word.isalnum() and _METHOD.fullmatch(word) is None

"""Decides whether a value, or a stretch of bytes, holds what redaction removes, and says by which rule.

A value that can be told from its neighbours is judged by all rules. Of bytes that nothing tells apart (free space,
damaged records) only what can't be an accident of two values that stand side by side counts: numbers and paths that
begin anywhere do not. This module knows no file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from usagetrace.audit import names
from usagetrace.audit.attributes import ATTRIBUTES, METADATA, looking
from usagetrace.errors import RedactionError
from usagetrace.redaction import identity
from usagetrace.redaction.engine import Redactor
from usagetrace.redaction.policy import Policy

Rules = Mapping[str, int]
NOTHING: Final[Rules] = MappingProxyType({})

# What can't be judged counts as found: redaction would have dropped it.
_UNREADABLE: Final = "unreadable"
# Where two values stand side by side, their digits and slashes make numbers, addresses and paths that are none.
_UNCERTAIN: Final = frozenset({"phone", "card", "ip", "mac", "path", "dense", "depth"})
# A number behind a value may look like an equals sign and a letter; so many bytes at the end of a stretch may be one.
_SIGNED: Final = frozenset({"secret", "person", "flag", "user-password", "cookie", "url-parameter"})
_TAIL: Final = 4
# Numbers hold an @ by chance, next to another value: both sides must be longer than what a number adds to them.
_DOMAIN: Final = re.compile(r"[A-Za-z0-9._%+-]{4}@(?=[a-z0-9.-]{8})[a-z0-9-]+(?:\.[a-z0-9-]+)+")
# In SQL, a name and an equals sign are no assignment of a secret.
_NOT_IN_SQL: Final = frozenset({"secret", "person", "path"})
# What OpenTelemetry numbers traces and spans by, and a session's number: random, so some look like a card's.
_NUMBERED: Final = frozenset({"trace_id", "span_id", "session_id"})
_ID: Final = re.compile(rb"[0-9a-f]{16}(?:[0-9a-f]{16})?")
# Most clean values that are remembered for each key, and the longest of them in bytes.
_SEEN_LIMIT: Final = 50_000
_SEEN_LENGTH: Final = 256
# Most bytes that are judged as one text where nothing says how long it is, and those that are judged twice at a seam.
_RUN: Final = 1 << 20
_SEAM: Final = 4096
_TEXT_RUN: Final = re.compile(
    rb"(?:[\t\n\r\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}){6,}"
)
_WIDE_RUNS: Final = (
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00|[\x00-\xff][\x01-\x05]){6,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[\t\n\r\x20-\x7e]|[\x01-\x05][\x00-\xff]){6,}")),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose machine this is.

    Attributes:
        homes: The home directory, in every spelling.
        user: The user's name.
        host: The machine's name.
    """

    homes: tuple[str, ...] = field(default_factory=identity.own_homes)
    user: str = field(default_factory=identity.own_user)
    host: str = field(default_factory=identity.own_host)


class Judge:
    """Judges values and bytes.

    Args:
        who: Whose home, user name and host name are looked for.
        policy: What is looked for otherwise than by default.
    """

    def __init__(self, who: Identity, policy: Policy | None = None) -> None:
        home, *more = who.homes or ("",)
        self.who = who
        self._usual = Redactor(home, who.user, who.host, more)
        self._redactor = self._usual
        self._attributes: Mapping[str, str] = {}
        if policy is not None:
            self._redactor = Redactor(home, who.user, who.host, more, policy=looking(policy))
            self._attributes = ATTRIBUTES
        self._own = names.OwnNames(who.homes, who.user, who.host, self.spares)
        self._clean: dict[str, set[bytes]] = {}
        self._numbers: dict[str, bool] = {}

    def shown(self, name: str) -> str:
        """Return a name of a table, column or file without anything private in it."""
        return self._redactor.key(name)

    @property
    def spared(self) -> tuple[str, ...]:
        """Texts that the policy lets stand."""
        policy = self._redactor.policy
        return () if policy is None else tuple(value for value in policy.values if "*" not in value)

    def keeps(self, key: str) -> bool:
        """Return whether the policy lets everything below a key stand."""
        policy = self._redactor.policy
        return policy is not None and policy.mode_of(self._attributes.get(key, key)) == "keep"

    def spares(self, text: str) -> bool:
        """Return whether the policy lets a text stand that the usual rules find something in."""
        if self._redactor is self._usual:
            return False
        try:
            return self._redactor.redact("", text) == text != self._usual.redact("", text)
        except RedactionError:
            return False

    def value(self, key: str, value: Any) -> Rules:
        """Return which rules find something in a value whose key is known, and how often."""
        if value is None or value is True or value is False:
            return NOTHING
        if isinstance(value, (int, float)) and self.passes_number(key):
            return NOTHING
        try:
            if self._attributes:
                key, value = self._as_attribute(key, value)
            # The fast door first: nearly all values are clean.
            redacted = self._redactor.redact(key, value)
            if redacted is value or redacted == value:
                return NOTHING
            return self._counted(key, value)
        except RedactionError:
            return {_UNREADABLE: 1}

    def passes_number(self, key: str) -> bool:
        """Return whether numbers below a key are never private."""
        passes = self._numbers.get(key)
        if passes is None:
            passes = self._numbers[key] = self._redactor.passes_number(self._attributes.get(key, key))
        return passes

    def text(self, key: str, raw: bytes, encoding: str = "utf-8") -> Rules:
        """Return the same for the bytes of a text."""
        seen = self._clean.get(key)
        if seen is None:
            seen = self._clean[key] = set()
        elif raw in seen:
            return NOTHING
        if key in _NUMBERED and encoding == "utf-8" and _ID.fullmatch(raw):
            return NOTHING
        found = self.value(key, raw.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace"))
        if not found and len(raw) <= _SEEN_LENGTH:
            if len(seen) >= _SEEN_LIMIT:
                seen.clear()
            seen.add(raw)
        return found

    def blob(self, key: str, raw: bytes) -> Rules:
        """Return the same for a value of bytes: a text below its key, or whatever they are."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            return self.raw(raw)
        if b"\0" in raw:
            return self.raw(raw)
        return self.text(key, raw)

    def sql(self, raw: bytes, encoding: str) -> Rules:
        """Return the same for the SQL of a schema."""
        found = self.text("", raw, encoding)
        return {rule: count for rule, count in found.items() if rule not in _NOT_IN_SQL} if found else NOTHING

    def certain(self, found: Rules) -> Rules:
        """Return what counts where values can't be told apart for sure."""
        return {rule: count for rule, count in found.items() if rule not in _UNCERTAIN} if found else NOTHING

    def raw(self, data: bytes) -> Rules:
        """Return the same for bytes in which nothing tells values apart."""
        total: dict[str, int] = {}
        for text in _runs(data):
            for rule, count in self._run(text).items():
                total[rule] = total.get(rule, 0) + count
        return total or NOTHING

    def _run(self, text: str) -> dict[str, int]:
        found = dict(self.certain(self.value("", text)))
        if "email" in found and _DOMAIN.search(text) is None:
            del found["email"]
        if "home" in found and "home" not in self.value("", names.without_accidents(text)):
            del found["home"]
        if not _SIGNED.isdisjoint(found):
            certain = self.value("", text[:-_TAIL])
            found = {rule: count for rule, count in found.items() if rule not in _SIGNED or rule in certain}
        for more in (
            names.glued_tokens(text, self.spares),
            names.homes_at_the_start(text, self.spares),
            self._own.glued(text),
        ):
            for rule, count in more.items():
                # One and the same secret may be found with its boundary and without.
                found[rule] = max(found.get(rule, 0), count)
        return found

    def _as_attribute(self, key: str, value: Any) -> tuple[str, Any]:
        """Return a column's value as the attribute that it was recorded as, by whose name the policy knows it."""
        name = self._attributes.get(key, key)
        if name == METADATA and isinstance(value, str) and value[:1] == "{":
            # What can't be read as JSON is a text.
            with contextlib.suppress(ValueError, RecursionError):
                return name, json.loads(value)
        return name, value

    def _counted(self, key: str, value: Any) -> Rules:
        counts: dict[str, int] = {}
        for note in self._redactor.examine(key, value).notes:
            counts[note.rule] = counts.get(note.rule, 0) + note.count
        # It was changed: something was found, whatever the notes say.
        return counts or {_UNREADABLE: 1}


def _runs(data: bytes) -> Iterator[str]:
    """Yield what reads as text, in UTF-8 and in both orders of UTF-16."""
    yield from _pieces(_TEXT_RUN, data, "utf-8")
    if data.count(b"\0") > 5:
        for encoding, pattern in _WIDE_RUNS:
            yield from _pieces(pattern, data, encoding)


def _pieces(pattern: re.Pattern[bytes], data: bytes, encoding: str) -> Iterator[str]:
    for match in pattern.finditer(data):
        low, high = match.span()
        for at in range(low, high, _RUN - _SEAM):
            if at == low or at + _SEAM < high:
                yield data[at : min(at + _RUN, high)].decode(encoding, "replace")


def short_name(path: str | os.PathLike[str], folder: str) -> str:
    """Return a file's name relative to a folder, if it lies in there; else its whole path."""
    whole = os.path.abspath(path)
    return os.path.relpath(whole, folder) if whole.startswith(folder + os.sep) else whole

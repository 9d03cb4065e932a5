"""Attributes of spans and log records, both ways: redacted and bounded, each as an event can hold it.

Of somebody's attributes those that are no part of an event are neither read nor redacted. This module knows nothing of
spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from usagetrace import semconv
from usagetrace.events import NAME_LIMIT, bound_text, clean_text
from usagetrace.exporters.convert import ITEM_ARRAYS, TEXT_ATTRIBUTES, fitted, is_array
from usagetrace.otlp.values import read_pair, written
from usagetrace.redaction.engine import free
from usagetrace.track.values import cleaned, to_text, to_value

if TYPE_CHECKING:
    from usagetrace.redaction.engine import Redactor
    from usagetrace.redaction.policy import Policy

# One attribute: its name and its value, and whether the name is not the one that it came with.
Known = tuple[str, Any, bool]

# Attributes that are part of an event.
_NAMES: Final = frozenset((*TEXT_ATTRIBUTES, *ITEM_ARRAYS, semconv.OUTCOME, semconv.ITEM_INDEX, semconv.LOG_RECORD_UID))
# A look at the bytes tells most that are not: they hold neither our prefix nor a standard name.
_MARKS: Final = tuple(
    sorted({(semconv.PREFIX if name.startswith(semconv.PREFIX) else name).encode() for name in _NAMES})
)
_MARK: Final = re.compile(b"|".join(map(re.escape, _MARKS))).search
# Behind them stands the key of somebody's metadata.
_PREFIXES: Final = (semconv.METADATA_PREFIX, semconv.ITEM_METADATA_PREFIX)
# Longest attribute that is remembered, in bytes, and most of them.
_SEEN_LENGTH: Final = 512
_SEEN_LIMIT: Final = 8192
# Most attributes whose numbers (or texts) are known to need no look (at their names); what both a float and 64 bits
# with a sign hold.
_NUMBERS: Final = 1024
_LEAST: Final = -(2**62)
_MOST: Final = 2**62
# Longest text that is redacted, in characters: many times what is kept of one.
_LONGEST: Final = 2**18
_SCALARS: Final = frozenset((str, int, float, bool))


class AttributeReader:
    """Reads attributes from their bytes, and remembers what each became. Threads may share one.

    Args:
        redactor: Sees every name and every value.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self._seen: dict[bytes, Known | None] = {}
        # Attributes whose numbers need no look, and the names that they become.
        self._numbers: dict[str, str] = {}
        # Attributes that hold one text, and the names that they become.
        self._texts: dict[str, str] = {}
        self._policy: Policy | None = redactor.policy

    def settle(self) -> None:
        """Forget everything where another policy is in force by now."""
        if self.redactor.policy is not self._policy:
            self._policy, self._seen, self._numbers, self._texts = self.redactor.policy, {}, {}, {}

    def of_event(self, pairs: Sequence[bytes]) -> dict[str, Any]:
        """Return those attributes that are part of an event, by name.

        Args:
            pairs: Attributes as they came, each as its bytes.

        Raises:
            MalformedError: One of them is no attribute.
            RedactionError: One of them can't be redacted; what has it must be dropped.
        """
        seen = self._seen
        found: dict[str, Any] = {}
        for raw in pairs:
            known = seen.get(raw, _UNSEEN)
            if known is _UNSEEN:
                known = self._learn(raw)
            if known is None:
                continue
            name, value, renamed = known
            if renamed and name in found:
                # Two private names have become one marker.
                name = free(name, found)
            found[name] = value
        return found

    def named(self, pairs: Sequence[bytes], names: Mapping[bytes, str]) -> dict[str, Any]:
        """Return some attributes by name, whatever they are called: plain, and redacted as their names want it.

        Args:
            pairs: Attributes as they came, each as its bytes.
            names: Those that are wanted, by what stands in their bytes.

        Raises:
            MalformedError: One of them is no attribute.
            RedactionError: One of them can't be redacted; what has it must be dropped.
        """
        found: dict[str, Any] = {}
        for raw in pairs:
            if not any(mark in raw for mark in names):
                continue
            name, value = read_pair(raw)
            if name.encode() not in names:
                continue
            found[name] = self.redactor.redact(name, cleaned(short(to_value(value))))
        return found

    def text(self, name: str, value: object) -> str | None:
        """Return a text of an event: clean, redacted and cut; None where there is none, or the policy leaves it out.

        Args:
            name: What it is, as an attribute.
            value: Anything.
        """
        text = to_text(value)
        if text is None:
            return None
        redacted = self.redactor.redact(name, clean_text(short(text)))
        return None if redacted is None else bound_text(str(redacted), NAME_LIMIT)

    def member(self, name: str, value: Any) -> tuple[str, Any] | None:
        """Return one attribute of an event, with its name redacted as well; None where nothing is left of it."""
        kind = type(value)
        if (kind is int or kind is float) and _LEAST < value < _MOST:
            known = self._numbers.get(name)
            if known is not None:
                return known, value
        if kind is str and len(value) <= NAME_LIMIT and value.isascii() and "\0" not in value:
            known = self._texts.get(name)
            # Short and clean as it is: where it holds nothing private, the whole way below would change nothing.
            if known is not None and self.redactor.redact(name, value) is value:
                return known, value
        named = self._name(clean_text(name))
        plain = _plain(name, value)
        if plain is None:
            # A key without a value is a key all the same.
            return (named, None) if named and name.startswith(semconv.METADATA_PREFIX) else None
        redact = self.redactor.redact
        if (
            (kind is int or kind is float)
            and named
            and name.startswith(_PREFIXES)
            and self.redactor.passes_number(name)
        ):
            if len(self._numbers) >= _NUMBERS:
                self._numbers.clear()
            self._numbers[name] = named
        if kind is str and named and (name in TEXT_ATTRIBUTES or name.startswith(semconv.METADATA_PREFIX)):
            if len(self._texts) >= _NUMBERS:
                self._texts.clear()
            self._texts[name] = named
        redacted: Any
        if type(plain) is list and name.startswith(semconv.ITEM_PREFIX):
            # One by one: of different artifacts none says what the next one is, as in a command line.
            redacted = [redact(name, each) for each in plain]
        else:
            redacted = redact(name, plain)
        return None if redacted is None or not named else fitted(named, redacted)

    def _name(self, name: str) -> str:
        """Return an attribute's name with the key of somebody's metadata redacted; empty where that is left out."""
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                key = name[len(prefix) :]
                # By itself: with what stands before it, it may look like something else.
                redacted = self.redactor.key(short(key))
                if redacted != key:
                    policy = self.redactor.policy
                    if policy is not None and policy.mode == "drop":
                        return ""
                return prefix + bound_text(redacted, NAME_LIMIT)
        return name

    def _learn(self, raw: bytes) -> Known | None:
        """Read and redact an attribute that was not seen before."""
        known: Known | None = None
        if _MARK(raw) is not None:
            name, value = read_pair(raw)
            if name in _NAMES or name.startswith(_PREFIXES):
                made = self.member(name, value)
                known = None if made is None else (*made, made[0] != name)
        # Lists and mappings are not shared between events.
        if len(raw) <= _SEEN_LENGTH and (known is None or type(known[1]) in _SCALARS):
            if len(self._seen) >= _SEEN_LIMIT:
                self._seen.clear()
            self._seen[raw] = known
        return known


class AttributeWriter:
    """Writes attributes of events as their bytes, and remembers what each became. Threads may share one.

    Args:
        redactor: Sees every name and every value.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._reader = AttributeReader(redactor)
        self._seen: dict[tuple[str, type, Any], bytes | None] = {}
        self._policy = redactor.policy

    def settle(self) -> None:
        """Forget everything where another policy is in force by now."""
        self._reader.settle()
        if self._reader.redactor.policy is not self._policy:
            self._policy, self._seen = self._reader.redactor.policy, {}

    def written(self, attributes: Iterable[tuple[str, Any]]) -> list[bytes]:
        """Return attributes as their bytes, redacted; those that the policy leaves out are missing.

        Raises:
            RedactionError: One of them can't be redacted; what has it must be dropped.
        """
        seen = self._seen
        found: list[bytes] = []
        for name, value in attributes:
            kind = type(value)
            if kind not in _SCALARS:
                made = self._write(name, value)
            else:
                # By type as well: 1 and True are equal, and are not the same.
                made = seen.get((name, kind, value), _UNSEEN)
                if made is _UNSEEN:
                    made = self._write(name, value)
                    if kind is not str or len(value) <= _SEEN_LENGTH:
                        if len(seen) >= _SEEN_LIMIT:
                            seen.clear()
                        seen[name, kind, value] = made
            if made is not None:
                found.append(made)
        return found

    def text(self, name: str, value: object) -> str:
        """Return a text of an event, redacted; empty where nothing is left of it."""
        return self._reader.text(name, value) or ""

    def _write(self, name: str, value: Any) -> bytes | None:
        member = self._reader.member(name, value)
        return None if member is None else written(*member)


def _plain(name: str, value: Any) -> Any:
    """Return a value before it is redacted: clean, of bounded depth and width, a text where it has to be one."""
    if name in TEXT_ATTRIBUTES:
        if type(value) is not str:
            value = to_text(to_value(value))
        return None if value is None else clean_text(short(value))
    if name in ITEM_ARRAYS or name.startswith(semconv.ITEM_METADATA_PREFIX):
        # One value an artifact, each bounded by itself: how many there may be is judged with the span.
        return [cleaned(short(to_value(each))) for each in value] if is_array(value) else None
    return cleaned(short(to_value(value)))


def short(value: Any) -> Any:
    """Return a plain value without texts that are too long to be looked at; what stands in their place says so.

    Cut before it is redacted, a text could hold half of a secret, which nobody would recognise.
    """
    kind = type(value)
    if kind is str:
        return value if len(value) <= _LONGEST else f"[left out: {len(value)} characters]"
    if kind is list:
        return [short(each) for each in value]
    if kind is dict:
        return {short(key): short(each) for key, each in value.items()}
    return value


_UNSEEN: Final[Any] = object()

"""The redaction engine: a value in, the value without secrets, paths and persons out.

Pure but for its caches, and safe to share between threads. It reads no environment by itself beyond the
defaults of its constructor, and knows no OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from os import PathLike, fspath

from usagetrace.errors import RedactionError
from usagetrace.redaction import identity
from usagetrace.redaction.keys import Kind, is_count, is_number_of_person, kind_of
from usagetrace.redaction.paths import PathFinder
from usagetrace.redaction.plain import is_harmless
from usagetrace.redaction.rules import MARKER, marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Final

# Deepest nesting that is looked into; what lies deeper is masked.
DEPTH_LIMIT: Final = 32
# Deepest nesting of JSON texts inside JSON texts.
JSON_DEPTH_LIMIT: Final = 4
# Most members of one value, over all its levels.
MEMBER_LIMIT: Final = 200_000
# Longest text that a cache keeps, in characters.
SEEN_LENGTH: Final = 512
# Most texts that a cache keeps for each kind of key, and most keys.
SEEN_LIMIT: Final = 4096

_SECRET_MARKER: Final = marker("secret")
_PERSON_MARKER: Final = marker("person")
_DEPTH_MARKER: Final = marker("depth")
_PLAIN_TYPES: Final = frozenset((int, float, bool, type(None)))
# A cached None means: unchanged. This means: not seen.
_UNSEEN: Final = object()


class Budget:
    """How much more of one value may be looked at."""

    __slots__ = ("json_depth", "left")

    def __init__(self, left: int = MEMBER_LIMIT, json_depth: int = 0) -> None:
        self.left = left
        self.json_depth = json_depth

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RedactionError(f"a value has more than {MEMBER_LIMIT} members: it is dropped unread")

    def deeper(self) -> Budget:
        return Budget(self.left, self.json_depth + 1)


class Redactor:
    """Removes secrets, absolute paths and personal data from keys and values.

    Args:
        home: Own home directory; None reads it from the environment, ``""`` and ``/`` mean there is none.
        user_name: Own user name; None reads it from the environment.
        host_name: Own host name, short or full; None reads it from the machine.
        extra_homes: More spellings of the own home, for example one behind a symbolic link.

    A user or host name that is short or an ordinary word (``root``, ``app``, ``localhost``) is not masked as a
    word: that would damage harmless texts.
    """

    def __init__(
        self,
        home: str | None = None,
        user_name: str | None = None,
        host_name: str | None = None,
        extra_homes: Sequence[str] = (),
    ) -> None:
        homes = identity.own_homes() if home is None else (home,)
        user = identity.own_user() if user_name is None else user_name
        host = identity.own_host() if host_name is None else host_name
        self._paths = PathFinder((*homes, *extra_homes))
        # Marker, cheap test and pattern of each name; the host first: its name often holds the user's.
        self._names: list[tuple[str, str, re.Pattern[str]]] = []
        short = host.partition(".")[0]
        for rule, name, forms in (("host", short, (host, short)), ("user", user, (user,))):
            pattern = identity.word_pattern(forms)
            if pattern is not None:
                self._names.append((rule, name.lower(), pattern))
        self._kinds: dict[str, Kind] = {}
        # Texts seen below each key: keys of one kind share one dict.
        self._seen: dict[str, dict[str, str | None]] = {}
        self._by_kind: dict[Kind, dict[str, str | None]] = {kind: {} for kind in Kind}
        self._keys: dict[str, str] = {}

    def redact(self, key: str, value: object) -> object:
        """Return a value without what its shape or its key says is private.

        Args:
            key: Name of the attribute, as in ``project.path`` or ``apiKey``; ``""`` where there is none.
            value: Text, bytes, number, bool, None, or mappings and sequences of these, nested.

        Returns:
            The value itself where nothing changed; else a new one of the same structure. The input is never
            changed.

        Raises:
            RedactionError: The value can't be looked into; what it belongs to must be dropped.
        """
        if type(value) is str:
            seen = self._seen.get(key)
            if seen is not None:
                found = seen.get(value, _UNSEEN)
                if found is None:
                    return value
                if found is not _UNSEEN:
                    return found
        try:
            if type(value) is str:
                return self._fresh(self.kind(key), value, None)
            return self._any(self.kind(key), key, value, Budget(), 0)
        except RedactionError:
            raise
        except Exception as error:  # noqa: BLE001 -- fail closed, whatever a foreign __str__ or __iter__ raises
            # The cause may hold the value in its message: it is named by its type alone.
            raise RedactionError(
                f"a value of type {type(value).__name__} could not be redacted: {type(error).__name__}"
            ) from None

    def text(self, text: str) -> str:
        """Return a text without secrets, absolute paths and personal data; the same object if there are none."""
        redacted = self.redact("", text)
        return redacted if isinstance(redacted, str) else str(redacted)

    def key(self, key: str) -> str:
        """Return the name of an attribute without anything private in the name itself."""
        found = self._keys.get(key)
        if found is None:
            found = self.text(key)
            if len(key) <= SEEN_LENGTH:
                if len(self._keys) >= SEEN_LIMIT:
                    self._keys.clear()
                self._keys[key] = found
        return found if found != key else key

    def passes_number(self, key: str) -> bool:
        """Return whether every number below a key passes unchanged."""
        return self._number(self.kind(key), key, 0) == 0

    def attributes(self, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """Return attributes with keys and values redacted; the same object where nothing changed.

        Args:
            attributes: Any mapping of names to values.

        Raises:
            RedactionError: One of the values can't be looked into.
        """
        changed = False
        result: dict[str, object] = {}
        for key, value in attributes.items():
            new_key = self.key(key)
            new_value = self.redact(key, value)
            if new_key is not key or new_value is not value:
                changed = True
            result[_free(new_key, result) if new_key in result else new_key] = new_value
        return result if changed else attributes

    def kind(self, key: str) -> Kind:
        """Return what a key means for the value below it; the verdict is remembered."""
        kind = self._kinds.get(key)
        if kind is None:
            kind = kind_of(key)
            if len(key) <= SEEN_LENGTH:
                if len(self._kinds) >= SEEN_LIMIT:
                    self._kinds.clear()
                    self._seen.clear()
                self._kinds[key] = kind
                self._seen[key] = self._by_kind[kind]
        return kind

    def _any(self, kind: Kind, key: str, value: object, budget: Budget, depth: int) -> object:
        """Return one value, of any type, redacted."""
        if isinstance(value, str):
            return self._text(kind, value, budget)
        if type(value) in _PLAIN_TYPES or isinstance(value, (int, float)):
            return self._number(kind, key, value)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(kind, value, budget)
        budget.spend()
        if isinstance(value, (Mapping, Sequence, Set)) and not isinstance(value, memoryview):
            if depth >= DEPTH_LIMIT:
                return _DEPTH_MARKER if len(value) else value
            if isinstance(value, Mapping):
                return self._mapping(kind, key, value, budget, depth)
            return self._members(kind, key, value, budget, depth)
        if isinstance(value, memoryview):
            return self._bytes(kind, value.tobytes(), budget)
        plain = fspath(value) if isinstance(value, PathLike) else str(value)
        redacted = self._any(kind, key, plain, budget, depth)
        return value if redacted is plain else redacted

    def _number(self, kind: Kind, key: str, value: object) -> object:
        """Return a number, bool or None: only a number that is itself a secret or names somebody is masked."""
        if value is None or isinstance(value, bool):
            return value
        if kind is Kind.SECRET and not is_count(key):
            return _SECRET_MARKER
        if kind is Kind.PERSON and is_number_of_person(key):
            return _PERSON_MARKER
        return value

    def _text(self, kind: Kind, value: str, budget: Budget) -> str:
        """Return a text inside a value, redacted; most have been seen before."""
        found = self._by_kind[kind].get(value, "")
        if found is None:
            return value
        return found or self._fresh(kind, value, budget)

    def _fresh(self, kind: Kind, value: str, budget: Budget | None) -> str:
        """Return a text that was not seen before, redacted, and remember it if it is short."""
        if not value:
            return value
        if kind is Kind.SECRET or kind is Kind.PERSON:
            if MARKER.fullmatch(value):
                return value
            return _SECRET_MARKER if kind is Kind.SECRET else _PERSON_MARKER
        # A plain text even of a subclass, whose own methods might say something else.
        text = value if type(value) is str else str.__str__(value)
        redacted = self._new_text(kind, text, budget)
        unchanged = redacted is text or redacted == text
        if len(text) <= SEEN_LENGTH:
            seen = self._by_kind[kind]
            if len(seen) >= SEEN_LIMIT:
                seen.clear()
            seen[text] = None if unchanged else redacted
        return value if unchanged else redacted

    def _new_text(self, kind: Kind, text: str, budget: Budget | None) -> str:
        if is_harmless(text, kind):
            short = self._paths.shorten_plain(text, kind) if "/" in text else text
            return self._without_names(self._paths.shorten(text, kind) if short is None else short)
        if text[0] in "{[ \n":
            rewritten = self._json(kind, text, budget)
            if rewritten is not None:
                return rewritten
        text = _mask(text, kind)
        if "/" in text or "\\" in text or "%2" in text:
            text = self._paths.shorten(text, kind)
        return self._without_names(text)

    def _json(self, kind: Kind, text: str, budget: Budget | None) -> str | None:
        """Return a JSON text redacted; None where it is none, or too deep inside others."""
        # Imported here: few texts begin like this, and the module `json` takes 2 ms.
        from usagetrace.redaction.jsontext import looks_like_json, rewrite

        inner = (budget or Budget()).deeper()
        if inner.json_depth > JSON_DEPTH_LIMIT or not looks_like_json(text):
            return None
        return rewrite(text, lambda content: self._any(kind, "", content, inner, 0))

    def _without_names(self, text: str) -> str:
        if self._names:
            low = text.lower()
            for rule, name, pattern in self._names:
                if name in low:
                    from usagetrace.redaction.finder import mask_words

                    text = mask_words(text, pattern, rule)
        return text

    def _bytes(self, kind: Kind, value: bytes | bytearray, budget: Budget) -> object:
        if not value:
            return value
        # Every byte survives the way there and back, valid text or not.
        text = value.decode("utf-8", "surrogateescape")
        redacted = self._text(kind, text, budget)
        if redacted is text:
            return value
        return type(value)(redacted.encode("utf-8", "surrogateescape"))

    def _mapping(self, kind: Kind, key: str, value: Mapping[object, object], budget: Budget, depth: int) -> object:
        inherited = kind if kind in (Kind.SECRET, Kind.PERSON) else None
        changed = False
        result: dict[object, object] = {}
        for name, member in value.items():
            budget.spend()
            word = name if isinstance(name, str) else ""
            own = inherited or self.kind(word)
            new_member = self._any(own, key if inherited else word, member, budget, depth + 1)
            new_name = self.key(name) if type(name) is str else self._any(Kind.PLAIN, "", name, budget, depth + 1)
            if new_name is not name or new_member is not member:
                changed = True
            if isinstance(new_name, str) and new_name in result:
                new_name = _free(new_name, result)
            result[new_name] = new_member
        return result if changed else value

    def _members(
        self, kind: Kind, key: str, value: Sequence[object] | Set[object], budget: Budget, depth: int
    ) -> object:
        changed = False
        result: list[object] = []
        flag: str | None = None
        for member in value:
            budget.spend()
            own = kind
            if flag is not None and isinstance(member, str) and not member.startswith("-"):
                own = Kind.SECRET
            new = self._any(own, flag or key, member, budget, depth + 1)
            flag = self._secret_flag(member)
            changed = changed or new is not member
            result.append(new)
        if not changed:
            return value
        if isinstance(value, Set):
            return frozenset(result) if isinstance(value, frozenset) else set(result)
        if isinstance(value, tuple):
            return tuple(result)
        return result

    def _secret_flag(self, member: object) -> str | None:
        """Return the name of a command's flag whose value is the next member: ``["--password", "..."]``."""
        if isinstance(member, str) and member[:1] == "-" and len(member) <= 64 and "=" not in member:
            name = member.lstrip("-")
            if name and self.kind(name) is Kind.SECRET:
                return name
        return None


def _first_mask(text: str, kind: Kind) -> str:
    """Load the tables of rules, when the first text comes that they may match, and ask them from then on."""
    global _mask
    from usagetrace.redaction.finder import mask

    _mask = mask
    return mask(text, kind)


_mask = _first_mask


def _free(name: str, taken: Mapping[object, object] | Mapping[str, object]) -> str:
    """Return a key that is still free: two private keys may have become one marker."""
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"

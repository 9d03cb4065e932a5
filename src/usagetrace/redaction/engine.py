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

    from usagetrace.redaction.care import Care
    from usagetrace.redaction.examined import Examined
    from usagetrace.redaction.governor import Governor
    from usagetrace.redaction.policy import Policy
    from usagetrace.redaction.rules import Form

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

_PLAIN_TYPES: Final = frozenset((int, float, bool, type(None)))
# A cached None means: unchanged. This means: not seen.
_UNSEEN: Final = object()
# What a policy left out; it never leaves this package.
DROPPED: Final = object()
# What a keyed hash begins with; 16 hexadecimal digits follow.
HASH_START: Final = "~h:"


class Budget:
    """How much more of one value may be looked at, and who decides what stands in a finding's place.

    Args:
        left: Members.
        json_depth: How many JSON texts this one lies in.
        care: Treats and notes each finding; None leaves it at the fixed marker or the short path.
    """

    __slots__ = ("care", "json_depth", "left")

    def __init__(self, left: int = MEMBER_LIMIT, json_depth: int = 0, care: Care | None = None) -> None:
        self.left = left
        self.json_depth = json_depth
        self.care = care

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RedactionError(f"a value has more than {MEMBER_LIMIT} members: it is dropped unread")

    def deeper(self) -> Budget:
        return Budget(self.left, self.json_depth + 1, self.care)


class Redactor:
    """Removes secrets, absolute paths and personal data from keys and values.

    Args:
        home: Own home directory; None reads it from the environment, ``""`` and ``/`` mean there is none.
        user_name: Own user name; None reads it from the environment.
        host_name: Own host name, short or full; None reads it from the machine.
        extra_homes: More spellings of the own home, for example one behind a symbolic link.
        policy: What else is to happen: other modes, rules of one's own, keys; None is the default everywhere.

    A user or host name that is short or an ordinary word (``root``, ``app``, ``localhost``) is not masked as a
    word: that would damage harmless texts.
    """

    def __init__(
        self,
        home: str | None = None,
        user_name: str | None = None,
        host_name: str | None = None,
        extra_homes: Sequence[str] = (),
        *,
        policy: Policy | None = None,
    ) -> None:
        homes = identity.own_homes() if home is None else (home,)
        user = identity.own_user() if user_name is None else user_name
        host = identity.own_host() if host_name is None else host_name
        self._whose = ((*homes, *extra_homes), user, host)
        self.paths = PathFinder(self._whose[0])
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
        # Does everything in this one's place where there is a policy, with caches of its own.
        self._governor: Governor | None = None
        self.govern(policy)

    @property
    def policy(self) -> Policy | None:
        """The policy in force; None where there is none. What was redacted under another one may be out of date."""
        return None if self._governor is None else self._governor.policy

    def govern(self, policy: Policy | None) -> None:
        """Put a policy in the place of the one before, for everybody who holds this object.

        Args:
            policy: The new one; None for the default.
        """
        if policy is None:
            self._governor = None
            return
        from usagetrace.redaction.governor import Governor

        # One assignment: a call that has begun ends under the policy that it began with, in that one's caches.
        self._governor = Governor(self, policy)

    def redact(self, key: str, value: object) -> object:
        """Return a value without what its shape or its key says is private.

        Args:
            key: Name of the attribute, as in ``project.path`` or ``apiKey``; ``""`` where there is none.
            value: Text, bytes, number, bool, None, or mappings and sequences of these, nested.

        Returns:
            The value itself where nothing changed; else a new one of the same structure. The input is never
            changed. None where the policy leaves the attribute out.

        Raises:
            RedactionError: The value can't be looked into; what it belongs to must be dropped.
        """
        if self._governor is not None:
            return self._governor.redact(key, value)
        if type(value) is str:
            seen = self._seen.get(key)
            if seen is not None:
                found = seen.get(value, _UNSEEN)
                if found is None:
                    return value
                if found is not _UNSEEN:
                    return found
        return self.walk(key, value, None)

    def examine(self, key: str, value: object) -> Examined:
        """Return a value as :meth:`redact` does, with a note of each rule that acted.

        Args:
            key: Name of the attribute; the name itself is not examined, those of mappings inside the value are.
            value: As for :meth:`redact`.

        Returns:
            The redacted value, and for each rule and channel (``value``, or ``key`` for a mapping's key) how often it
            acted. No note holds any part of the value.

        Raises:
            RedactionError: As for :meth:`redact`.
        """
        from usagetrace.redaction.governor import examine

        return examine(self, self._governor, key, value)

    def walk(self, key: str, value: object, care: Care | None) -> object:
        """Return a value redacted, whatever was seen before; :data:`DROPPED` where a policy leaves it out.

        Arguments and errors are those of :meth:`redact`; ``care`` treats and notes each finding.
        """
        try:
            if type(value) is str and care is None:
                return self._fresh(self.kind(key), key, value, None)
            return self.any(self.kind(key), key, value, Budget(care=care), 0)
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
        if self._governor is not None:
            return self._governor.key(key)
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
        if self._governor is not None and not self._governor.passes_number(key):
            return False
        return self._number(self.kind(key), key, 0, None) == 0

    def attributes(self, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """Return attributes with keys and values redacted; the same object where nothing changed.

        Args:
            attributes: Any mapping of names to values. Those that the policy leaves out are left out.

        Raises:
            RedactionError: One of the values can't be looked into.
        """
        changed = False
        result: dict[str, object] = {}
        for key, value in attributes.items():
            new_key = self.key(key)
            new_value = self.redact(key, value)
            if self._governor is not None and self._governor.leaves_out(key, new_key, value, new_value):
                changed = True
                continue
            changed = changed or new_key is not key or new_value is not value
            result[free(new_key, result) if new_key in result else new_key] = new_value
        return result if changed else attributes

    def kind(self, key: str) -> Kind:
        """Return what a key means for the value below it; the verdict is remembered."""
        kind = self._kinds.get(key)
        if kind is None:
            # A marker in the key says what stood there, and nothing of the value.
            kind = kind_of(MARKER.sub("", key) if "[redacted:" in key else key)
            if len(key) <= SEEN_LENGTH:
                if len(self._kinds) >= SEEN_LIMIT:
                    self._kinds.clear()
                    self._seen.clear()
                self._kinds[key] = kind
                self._seen[key] = self._by_kind[kind]
        return kind

    def any(self, kind: Kind, key: str, value: object, budget: Budget, depth: int) -> object:
        """Return one value, of any type and at any depth, redacted; :data:`DROPPED` where a policy leaves it out."""
        if budget.care is not None:
            decided = budget.care.decided(kind, key, value)
            if decided is not None:
                return decided
        if isinstance(value, str):
            return self._text(kind, key, value, budget)
        if type(value) in _PLAIN_TYPES or isinstance(value, (int, float)):
            return self._number(kind, key, value, budget.care)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(kind, key, value, budget)
        budget.spend()
        if isinstance(value, (Mapping, Sequence, Set)) and not isinstance(value, memoryview):
            # Imported here: most values are texts and numbers.
            from usagetrace.redaction.nested import members

            return members(self, kind, key, value, budget, depth)
        if isinstance(value, memoryview):
            return self._bytes(kind, key, value.tobytes(), budget)
        plain = fspath(value) if isinstance(value, PathLike) else str(value)
        redacted = self.any(kind, key, plain, budget, depth)
        return value if redacted is plain else redacted

    def _number(self, kind: Kind, key: str, value: object, care: Care | None) -> object:
        """Return a number, bool or None: only a number that is itself a secret or names somebody is masked."""
        if value is None or isinstance(value, bool):
            return value
        if kind is Kind.SECRET and not is_count(key):
            rule = "secret"
        elif kind is Kind.PERSON and is_number_of_person(key):
            rule = "person"
        else:
            return value
        return marker(rule) if care is None else care.number(key, value, rule)

    def _text(self, kind: Kind, key: str, value: str, budget: Budget) -> object:
        """Return a text inside a value, redacted; most have been seen before."""
        if budget.care is not None:
            return budget.care.text(kind, key, value, budget)
        found = self._by_kind[kind].get(value, "")
        return value if found is None else found or self._fresh(kind, key, value, budget)

    def _fresh(self, kind: Kind, key: str, value: str, budget: Budget | None) -> str:
        """Return a text that was not seen before, redacted, and remember it if it is short."""
        if not value:
            return value
        if kind is Kind.SECRET or kind is Kind.PERSON:
            # Imported here: few attributes have such keys.
            from usagetrace.redaction.whole import kind_of_value

            meant = None if is_marked(value) else kind_of_value(kind, key, value)
            if meant is not Kind.PLAIN:
                return value if meant is None else marker(meant.value)
            kind = meant
        # A plain text even of a subclass, whose own methods might say something else.
        text = value if type(value) is str else str.__str__(value)
        redacted = self._new_text(kind, key, text, budget)
        unchanged = redacted is text or redacted == text
        if len(text) <= SEEN_LENGTH:
            seen = self._by_kind[kind]
            if len(seen) >= SEEN_LIMIT:
                seen.clear()
            seen[text] = None if unchanged else redacted
        return value if unchanged else redacted

    def _new_text(self, kind: Kind, key: str, text: str, budget: Budget | None) -> str:
        if is_harmless(text, kind):
            short = self.paths.shorten_plain(text, kind) if "/" in text else text
            return self.without_names(self.paths.shorten(text, kind) if short is None else short)
        if HASH_START in text:
            from usagetrace.redaction.care import plainly

            # The hashes in it were made by a policy, and have to be kept from the rules.
            return plainly(self, kind, key, text, budget or Budget())
        if text[0] in "{[ \n":
            rewritten = self.json(kind, key, text, budget)
            if rewritten is not None:
                return rewritten
        text = _mask(text, kind)
        if "/" in text or "\\" in text or "%2" in text:
            text = self.paths.shorten(text, kind)
        return self.without_names(text)

    def json(self, kind: Kind, key: str, text: str, budget: Budget | None) -> str | None:
        """Return a JSON text redacted; None where it is none, or too deep inside others."""
        # Imported here: the module `json` takes 2 ms.
        from usagetrace.redaction.jsontext import looks_like_json, rewrite

        inner = (budget or Budget()).deeper()
        if inner.json_depth > JSON_DEPTH_LIMIT or not looks_like_json(text):
            return None
        return rewrite(text, lambda content: self.any(kind, key, content, inner, 0))

    def without_names(self, text: str, form: Form | None = None) -> str:
        """Return a text without the names of this machine and its user; ``form`` says what stands in their place."""
        low = text.lower()
        for _, name, _ in self._names:
            if name in low:
                # Imported here: few texts hold one.
                from usagetrace.redaction.machine import mask_names

                return mask_names(text, self._names, form)
        return text

    def _bytes(self, kind: Kind, key: str, value: bytes | bytearray, budget: Budget) -> object:
        if not value:
            return value
        # Imported here: few values are bytes.
        from usagetrace.redaction.encodings import decoded

        text, encoding, errors = decoded(value)
        redacted = self._text(kind, key, text, budget)
        if not isinstance(redacted, str):
            return redacted
        return value if redacted is text else type(value)(redacted.encode(encoding, errors))


def whose(redactor: Redactor) -> tuple[tuple[str, ...], str, str]:
    """Return all spellings of the home directory that a redactor takes for its own, and the names of user and host."""
    return redactor._whose


def _first_mask(text: str, kind: Kind) -> str:
    """Load the tables of rules, when the first text comes that they may match, and ask them from then on."""
    global _mask
    from usagetrace.redaction.finder import mask

    _mask = mask
    return mask(text, kind)


_mask = _first_mask


def is_marked(text: str) -> bool:
    """Say whether a text is a marker or a keyed hash, and nothing else."""
    if text[:3] == HASH_START:
        return len(text) == 19 and all(digit in "0123456789abcdef" for digit in text[3:])
    return MARKER.fullmatch(text) is not None


def free(name: str, taken: Mapping[object, object] | Mapping[str, object]) -> str:
    """Return a key that is still free: two private keys may have become one marker."""
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"

"""A policy in force: it decides for whole attributes, and remembers what became of which text.

It stands in the engine's place where there is a policy. Its caches are its own, because under a policy a text may
become something else below another key; they go with it when another policy takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from usagetrace import semconv
from usagetrace.redaction.care import Care, is_asking
from usagetrace.redaction.engine import DROPPED, SEEN_LENGTH, SEEN_LIMIT, Budget, free
from usagetrace.redaction.examined import Examined, Note
from usagetrace.redaction.policy import Policy
from usagetrace.redaction.rules import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from usagetrace.redaction.engine import Redactor

# Most texts that the cache keeps, over all keys.
_TEXTS: Final = 4 * SEEN_LIMIT
_UNSEEN: Final = object()
# An attribute of this name is no attribute, but a table of metadata whose keys are judged one by one.
_METADATA: Final = semconv.METADATA_PREFIX.rstrip(".")
# What the name of an artifact becomes that the allow-list does not name: the record can't be without one.
UNLISTED: Final = marker("unlisted")


class Governor:
    """Applies a policy to attributes. Safe to share between threads.

    Args:
        engine: Looks into values.
        policy: What becomes of them.
    """

    def __init__(self, engine: Redactor, policy: Policy) -> None:
        self.policy = policy
        self._engine = engine
        self._seen: dict[str, dict[str, object]] = {}
        self._keys: dict[str, str] = {}
        # Texts remembered, about: threads that count at once may miscount, and the next clearing mends it.
        self._remembered = 0

    def redact(self, key: str, value: object) -> object:
        """Return an attribute's value as the policy wants it; None where it is left out. See the engine's own."""
        if type(value) is not str:
            result = self._fresh(key, value, None)
            return None if result is DROPPED else result
        seen = self._seen.get(key)
        if seen is not None:
            found = seen.get(value, _UNSEEN)
            if found is None:
                return value
            if found is not _UNSEEN:
                return None if found is DROPPED else found
        result = self._fresh(key, value, None)
        if len(value) <= SEEN_LENGTH and len(key) <= SEEN_LENGTH and not is_asking():
            self._remember(key, value, None if result is value else result)
        return None if result is DROPPED else result

    def examine(self, key: str, value: object) -> Examined:
        """Return a value with what acted on it; see the engine's own."""
        notes: dict[tuple[str, str], int] = {}
        result = self._fresh(key, value, notes)
        found = tuple(Note(rule, channel, count) for (rule, channel), count in notes.items())
        return Examined(None if result is DROPPED else result, found)

    def key(self, key: str) -> str:
        """Return the name of an attribute without anything private in the name itself."""
        found = self._keys.get(key)
        if found is None:
            found = self._engine.text(key)
            if len(key) <= SEEN_LENGTH and not is_asking():
                if len(self._keys) >= SEEN_LIMIT:
                    self._keys.clear()
                self._keys[key] = found
        return found if found != key else key

    def passes_number(self, key: str) -> bool:
        """Return whether a number below a key passes unless the key means a secret or a person."""
        kind = self._engine.kind(key)
        return self.policy.lets(key) and self.policy.mode_of(key, kind) in (None, "keep")

    def leaves_out(self, key: str, new_key: str, value: object, new_value: object) -> bool:
        """Return whether an attribute is left out: for its value, or for what its name holds."""
        if new_value is None and value is not None:
            return True
        return new_key != key and self.policy.mode == "drop"

    def _fresh(self, key: str, value: object, notes: dict[tuple[str, str], int] | None) -> object:
        if key == _METADATA and isinstance(value, Mapping):
            return self._metadata(value, notes)
        if not self.policy.lets(key):
            return self._unlisted(key, value, notes)
        return self._engine.walk(key, value, Care(self._engine, self.policy, notes))

    def _metadata(self, table: Mapping[object, object], notes: dict[tuple[str, str], int] | None) -> object:
        """Return a table of metadata, each key judged as the attribute that it would be."""
        care = Care(self._engine, self.policy, notes)
        budget = Budget(care=care)
        kept: dict[object, object] = {}
        changed = False
        for name, value in table.items():
            new = self._fresh(semconv.METADATA_PREFIX + name if isinstance(name, str) else "", value, notes)
            new_name = care.name(name, budget, 1)
            changed = changed or new is not value or new_name is not name
            if new is DROPPED or new_name is DROPPED:
                continue
            if isinstance(new_name, str) and new_name in kept:
                new_name = free(new_name, kept)
            kept[new_name] = new
        return kept if changed else table

    def _unlisted(self, key: str, value: object, notes: dict[tuple[str, str], int] | None) -> object:
        if value is None or value == "":
            return value
        if notes is not None:
            notes["only", "value"] = notes.get(("only", "value"), 0) + 1
        if not self.policy.is_artifact_name(key):
            return DROPPED
        if isinstance(value, (list, tuple)):
            return type(value)([UNLISTED if member else member for member in value])
        return UNLISTED

    def _remember(self, key: str, text: str, result: object) -> None:
        self._remembered += 1
        if self._remembered > _TEXTS or len(self._seen) > SEEN_LIMIT:
            self._seen = {}
            self._remembered = 1
        self._seen.setdefault(key, {})[text] = result


def examine(engine: Redactor, governor: Governor | None, key: str, value: object) -> Examined:
    """Return a value with what acted on it.

    Args:
        engine: Looks into the value.
        governor: Its policy in force; None for the default.
        key: Name of the attribute.
        value: Any value.
    """
    return (governor or Governor(engine, Policy())).examine(key, value)

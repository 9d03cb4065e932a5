"""One pass over one value with care: each finding is noted, and a policy says what stands in its place.

The walk through nested values is the engine's; what is found is the rules'. This module owns what happens between a
finding and the text that takes its place, and that no later rule looks at that text again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence, Set
from functools import partial

from usagetrace.guard import guard
from usagetrace.patterns import lazy
from usagetrace.redaction import own
from usagetrace.redaction.engine import DROPPED, HASH_START, Budget, is_marked
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.plain import is_harmless
from usagetrace.redaction.policy import Match, Policy
from usagetrace.redaction.rules import marker
from usagetrace.redaction.whole import kind_of_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.redaction.engine import Redactor
    from usagetrace.redaction.rules import Form

# Rules whose findings are shortened in every mode: what is left of a path is not private.
PATH_RULES: Final = frozenset({"home", "path"})
# Rules that stand for what was not looked at: there is no value to hash.
_UNREAD: Final = frozenset({"dense", "depth"})
# Stands in a text for one that is settled. It has a marker's form, which every rule leaves alone; nobody outside can
# know it, so no input can hold one.
_NONCE: Final = os.urandom(6).hex()
HELD: Final = lazy(rf"\[redacted:held-{_NONCE}-([0-9]+)\]")
_HASHED: Final = lazy(r"~h:[0-9a-f]{16}(?![0-9A-Za-z])")
_DENSE: Final = marker("dense")

_DEFAULT: Final = Policy()


class _Asking(threading.local):
    """Whether this thread is inside a callback: a redaction there asks none, and nothing is remembered of it."""

    now = False


_asking: Final = _Asking()


def is_asking() -> bool:
    """Return whether this thread is inside a policy's callback."""
    return _asking.now


def plainly(engine: Redactor, kind: Kind, key: str, text: str, budget: Budget) -> str:
    """Return a text redacted as without a policy, the keyed hashes in it left alone."""
    inner = Budget(budget.left, budget.json_depth, Care(engine, _DEFAULT))
    redacted = inner.care.text(kind, key, text, inner) if inner.care is not None else text
    return redacted if isinstance(redacted, str) else text


class Care:
    """How the findings of one value are treated. Not shared between threads.

    Args:
        engine: Whose value it is.
        policy: What becomes of findings.
        notes: Where findings are counted, by rule and channel; None counts none.
    """

    __slots__ = ("_channel", "_converted", "_engine", "_findings", "_held", "_joins", "_notes", "_policy", "_raw")

    def __init__(self, engine: Redactor, policy: Policy, notes: dict[tuple[str, str], int] | None = None) -> None:
        self._engine = engine
        self._policy = policy
        self._notes = notes
        self._channel = "value"
        # Findings other than paths, up to now.
        self._findings = 0
        # Texts that are settled, while rules go on around them.
        self._held: list[str] = []
        # What stood in the place of each of them before.
        self._raw: list[str] = []
        # Those of them that are paths written in another way than before.
        self._converted: set[str] = set()
        # Whether rules of the user's own follow: what was found is held for them.
        self._joins = False

    def note(self, rule: str) -> None:
        """Count one finding of a rule."""
        if self._notes is not None:
            place = (rule, self._channel)
            self._notes[place] = self._notes.get(place, 0) + 1

    def decided(self, kind: Kind, key: str, value: object) -> object:
        """Return what the key's own mode makes of a whole value; None where the value is to be looked into.

        Args:
            kind: What the key says.
            key: What the value stands below.
            value: Any value.
        """
        mode = self._policy.mode_of(key, kind) if self._channel == "value" else None
        if mode is None or value is None:
            return None
        if mode == "keep":
            return value
        if mode == "drop" and self._policy.may_drop(key):
            self.note("key")
            return DROPPED
        if isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray, memoryview)):
            # Member by member: arrays stay arrays, and parallel ones parallel.
            return None
        return self._whole(value, mode)

    def text(self, kind: Kind, key: str, value: str, budget: Budget) -> object:
        """Return a text redacted; :data:`DROPPED` where the policy leaves out what holds a finding.

        Args:
            kind: What the key says.
            key: What the text stands below.
            value: The text.
            budget: How much more may be looked at.
        """
        if not value or is_marked(value):
            return value
        text = value if type(value) is str else str.__str__(value)
        if self._policy.spares(text):
            return value
        before = self._findings
        seen = kind_of_value(kind, key, text)
        if seen is None:
            return value
        if seen is Kind.SECRET or seen is Kind.PERSON:
            new = self._in_whole(key, text, kind.value, text)
        else:
            new = self._searched(seen, key, text, budget)
        if self._findings > before and self._drops(key):
            return DROPPED
        return value if new == text else new

    def number(self, key: str, value: object, rule: str) -> object:
        """Return what stands in the place of a number that is a secret or names a person."""
        before = self._findings
        text = str(value)
        if self._policy.spares(text) or self._policy.spares_like(text):
            return value
        new = self._in_whole(key, value, rule, text)
        if self._findings > before and self._drops(key):
            return DROPPED
        return value if new == text else new

    def name(self, name: object, budget: Budget, depth: int) -> object:
        """Return a mapping's key redacted; :data:`DROPPED` where the policy leaves out what it stands for."""
        outer, self._channel = self._channel, "key"
        try:
            new = self._engine.any(Kind.PLAIN, "", name, budget, depth)
        finally:
            self._channel = outer
        return DROPPED if new is not name and self._policy.mode == "drop" else new

    def _in_whole(self, key: str, value: object, rule: str, text: str) -> str:
        """Return what stands in the place of a value that is a finding as a whole."""
        return self._stand_in(key, value, rule, text, marker(rule))[0]

    def _drops(self, key: str) -> bool:
        return self._policy.mode == "drop" and self._channel == "value" and self._policy.may_drop(key)

    def _whole(self, value: object, mode: str) -> object:
        """Return what stands in the place of a value whose key has a mode of its own."""
        raw = bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else _as_text(value)
        if not raw:
            return value
        plain = raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")
        if is_marked(plain):
            return value
        self.note("key")
        new = (self._policy.hashed(raw) if mode == "hash" else None) or marker("key")
        return new.encode() if isinstance(raw, bytes) else new

    def _searched(self, kind: Kind, key: str, text: str, budget: Budget) -> str:
        """Return a text with what the rules find in it replaced."""
        engine, before = self._engine, self._findings
        if text[0] in "{[ \n":
            rewritten = engine.json(kind, key, text, budget)
            if rewritten is not None:
                # What was to be left out for a finding is left out inside.
                self._findings = before
                return rewritten
        rules = [rule for rule in self._policy.rules if rule.concerns(key)]
        self._joins = bool(rules)
        form: Form = partial(self._form, key, text)
        inside = partial(self._inside, key, text)
        dense = text.endswith(_DENSE)
        if HASH_START in text:
            text = _HASHED.sub(lambda match: self._hold(match.group(), match.group()), text)
        if not is_harmless(text, kind):
            from usagetrace.redaction.finder import mask

            text = mask(text, kind, form)
        if "/" in text or "\\" in text or "%2" in text:
            text = engine.paths.shorten(text, kind, form)
            if text.endswith(_DENSE) and not dense:
                self.note("dense")
        text = engine.without_names(text, form)
        return self._released(own.masked(text, self._raw_of, rules, form, inside) if rules else text)

    def _form(self, key: str, value: str, rule: str, found: str, replacement: str) -> str:
        text, settled = self._stand_in(key, value, rule, self._released(found), replacement)
        if settled:
            return self._hold(text, self._raw_of(found))
        if not self._joins or rule in _UNREAD:
            return text
        if rule in PATH_RULES:
            return self._kept_of_path(rule, found, text, partial(self._form, key, value))
        return self._hold(text, self._raw_of(found))

    def _kept_of_path(self, rule: str, found: str, short: str, form: Form) -> str:
        """Return what stands for a short path: what is gone of it is held, what is left can be looked at."""
        left = own.common_end(found, short)
        head = short[: len(short) - left]
        if head in ("", "~"):
            return self._hold(head, self._raw_of(found[: len(found) - left]), rule) + short[len(head) :]
        # Another way to write the path: nothing tells what was where in it.
        held = self._hold(self._released(self._engine.without_names(short, form)), self._raw_of(found), rule)
        self._converted.add(held)
        return held

    def _inside(self, key: str, value: str, rule: str, held: str, found: str) -> None:
        """Redact a whole path that was written in another way, where a rule found in it what may be left of it."""
        if held in self._converted:
            number = int(held[held.rindex("-") + 1 : -1])
            short = self._held[number]
            if found in short or "\\" in found or "/" in found:
                self._held[number] = self._stand_in(key, value, rule, short, marker(rule))[0]
                self._converted.discard(held)

    def _stand_in(self, key: str, value: object, rule: str, found: str, replacement: str) -> tuple[str, bool]:
        """Return what stands in a finding's place, and whether no rule may look at it again."""
        policy = self._policy
        if policy.spares(found) or (policy.spares_like(found) and self._is_all(rule, found)):
            return found, True
        if policy.callback is not None and not _asking.now:
            said = _ask(policy, Match(key, value, rule, found))
            if said is not None:
                if said != found:
                    self.note(rule)
                return said, True
        if rule != "dense":
            self.note(rule)
        if rule in PATH_RULES:
            return replacement, False
        self._findings += 1
        hashed = policy.hashed(found) if policy.mode == "hash" and rule not in _UNREAD else None
        return (replacement, False) if hashed is None else (hashed, True)

    def _is_all(self, rule: str, found: str) -> bool:
        """Return whether nothing is found in a text that is not allowed by itself."""
        from usagetrace.redaction.finder import findings

        places = [(start, end) for start, end, _ in findings(found)]
        places += [place for each in self._policy.rules for place in own.places(each, found)]
        allowed = all(
            self._policy.spares(found[start:end]) or self._policy.spares_like(found[start:end]) for start, end in places
        )
        return allowed and (rule in PATH_RULES or self._engine.paths.shorten(found) == found)

    def _hold(self, text: str, raw: str, rule: str = "") -> str:
        """Return what stands for a text that is settled, until the end of the pass.

        Args:
            text: What stands there in the end.
            raw: What stood there before.
            rule: What found it, for who wants to know.
        """
        self._held.append(text)
        self._raw.append(raw)
        return f"[redacted:held-{_NONCE}-{len(self._held) - 1}]"

    def _raw_of(self, text: str) -> str:
        """Return a text as it was before anything in it was held."""
        return HELD.sub(lambda match: self._raw[int(match[1])], text) if self._raw else text

    def _released(self, text: str) -> str:
        return HELD.sub(lambda match: self._held[int(match[1])], text) if self._held else text


def _ask(policy: Policy, match: Match) -> str | None:
    """Return what the callback wants to stand there; None for the usual, also where it fails."""
    callback: Any = policy.callback
    _asking.now = True
    try:
        said = callback(match)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- somebody else's code: whatever it raises, the finding is redacted
        # Neither the message nor the frames of what it raised are logged: they may hold the value.
        guard.note(RuntimeError(f"the callback of the redaction policy failed with {type(error).__name__}"))
        return None
    finally:
        _asking.now = False
    if said is None or isinstance(said, str):
        return said
    kind = type(said).__name__
    guard.note(TypeError(f"the callback of the redaction policy returned a {kind}: expected str or None"))
    return None


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        import json

        return json.dumps(value, sort_keys=True, default=str)
    return str(value)

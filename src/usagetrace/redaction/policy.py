"""What somebody wants redacted otherwise than by default: modes, keys, an allow-list, rules, a callback.

A policy is a decision: it can't be changed, and it finds nothing by itself. Where policies come from, and how those of
several sources become one, is not known here.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from usagetrace import semconv
from usagetrace.errors import ConfigurationError
from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Final, NoReturn, TypeAlias

    # Gets a finding; returns what stands in its place, or None for the usual.
    Callback: TypeAlias = Callable[["Match"], "str | None"]

# What may become of a finding.
MODES: Final = ("mask", "drop", "hash")
# What may become of the whole value below a key, the weakest first.
KEY_MODES: Final = ("keep", "hash", "mask", "drop")
# What stands before each part of a call's artifacts, and what such an attribute is otherwise called.
_ITEM: Final = semconv.ITEM_PREFIX
_OWN: Final = semconv.PREFIX
# What a record can't be without: under `drop` it is masked instead. The name "" is that of a text without a key.
NEEDED: Final = frozenset(
    {
        "", "schema.url", "version", semconv.EVENT_TYPE, semconv.EVENT_CATEGORY, semconv.EVENT_PRIORITY,
        semconv.OUTCOME, semconv.ERROR_TYPE, semconv.SERVICE_NAME, semconv.ARTIFACT_NAME,
    }
)  # fmt: skip
# What leaves under an allow-list although it is not named; an artifact's name leaves as a marker.
ALWAYS: Final = (NEEDED - {semconv.ARTIFACT_NAME}) | {
    semconv.SESSION_ID, semconv.CODE_FUNCTION_NAME, semconv.SERVICE_VERSION, "trace_id", "span_id",
    "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version", "telemetry.distro.name",
    "telemetry.distro.version",
}  # fmt: skip
# Where one word of a key ends and the next begins: signs, and capitals after small letters or before them.
_SEAM: Final = lazy(r"[._\-/ ]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Most keys whose verdict is remembered.
_KEYS_LIMIT: Final = 4096


class Match:
    """A finding, as a callback sees it.

    Attributes:
        key: What the value stands below; empty where there is no key.
        value: The text, or the number, in which it was found.
        rule: Name of the rule, as in its marker; ``home`` and ``path`` for paths.
        text: What was found.
    """

    __slots__ = ("key", "rule", "text", "value")

    def __init__(self, key: str, value: object, rule: str, text: str) -> None:
        self.key = key
        self.value = value
        self.rule = rule
        self.text = text

    def __repr__(self) -> str:
        # What was found stays out of logs and tracebacks.
        return f"Match(key={self.key!r}, rule={self.rule!r})"


class PolicyRule:
    """A rule of one's own. It can't be changed.

    Args:
        name: Stands in the marker: lower-case letters, digits and hyphens, 24 at most.
        pattern: A regular expression. What its group ``secret`` matches is redacted, or the whole match where there
            is no such group.
        keys: The rule is for values below these keys alone; for every value where there are none.

    Raises:
        ConfigurationError: The name or the pattern can't be used; every fault is listed.
    """

    __slots__ = ("_keys", "compiled", "keys", "name", "pattern")

    name: str
    pattern: str
    keys: tuple[str, ...]
    compiled: re.Pattern[str]

    def __init__(self, name: str, pattern: str, keys: Iterable[str] = ()) -> None:
        from usagetrace.redaction.policy_check import rule_faults

        faults = rule_faults({"name": name, "pattern": pattern, "keys": _listed(keys)}, "PolicyRule: ")
        if faults:
            raise ConfigurationError(faults)
        fill = object.__setattr__
        fill(self, "name", name)
        fill(self, "pattern", pattern)
        fill(self, "keys", tuple(keys))
        fill(self, "compiled", re.compile(pattern))
        fill(self, "_keys", KeyPatterns(self.keys))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"PolicyRule can't be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicyRule) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def __repr__(self) -> str:
        return "PolicyRule({!r}, {!r}, {!r})".format(*self._said())

    def __reduce__(self) -> tuple[type[PolicyRule], tuple[str, str, tuple[str, ...]]]:
        # By its arguments: what can't be changed can't be filled either, in the process that it is sent to.
        return PolicyRule, self._said()

    def concerns(self, key: str) -> bool:
        """Return whether the rule is for values below a key."""
        keys: KeyPatterns = self._keys
        return not self.keys or keys.match(key)

    def _said(self) -> tuple[str, str, tuple[str, ...]]:
        return self.name, self.pattern, self.keys

    if TYPE_CHECKING:
        _keys: KeyPatterns


class KeyPatterns:
    """Patterns of keys: a whole key, its last words, or a glob of either. Verdicts are remembered.

    Args:
        patterns: ``usage.metadata.query``, ``query``, ``project.path``, ``http.*``.
    """

    __slots__ = ("_exact", "_globs", "_seen", "_tails")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
        self._tails = tuple({words_of(pattern) for pattern in self._exact} - {()})
        globs = [pattern for pattern in patterns if "*" in pattern]
        self._globs = tuple(map(_glob, dict.fromkeys((*globs, *map(_apart, globs)))))
        self._seen: dict[str, bool] = {}

    def match(self, key: str) -> bool:
        """Return whether one of the patterns is of a key; none is of a text that has no key."""
        if not key:
            return False
        known = self._seen.get(key)
        if known is None:
            known = self._judge(_plain_name(key))
            if len(self._seen) >= _KEYS_LIMIT:
                self._seen.clear()
            self._seen[key] = known
        return known

    def _judge(self, key: str) -> bool:
        if key in self._exact:
            return True
        if self._globs:
            forms = (key, _apart(key))
            if any(glob.search(form) for glob in self._globs for form in forms):
                return True
        words = words_of(key)
        return any(words[-len(tail) :] == tail for tail in self._tails)


def _glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern that finds a glob in a key, from one of its words on to its end."""
    body = ".*".join(re.escape(part) for part in re.sub(r"\*+", "*", pattern).split("*"))
    return re.compile(rf"(?:\A|[._\-/])(?:{body})\Z", re.IGNORECASE | re.DOTALL)


def _apart(key: str) -> str:
    """Return a key, or a glob of keys, in lower case with a dot between its words, whatever style it is written in."""
    return _SEAM.sub(".", key).lower()


def _plain_name(key: str) -> str:
    """Return the name that an attribute of one artifact among several has for one artifact alone."""
    return _OWN + key[len(_ITEM) :] if key.startswith(_ITEM) else key


class Policy:
    """What is redacted otherwise than by default. It can't be changed.

    Args:
        mode: What becomes of a finding: ``mask`` puts a marker in its place; ``drop`` leaves out the attribute, or the
            entry of a mapping, that holds one; ``hash`` puts ``~h:`` and 16 hexadecimal digits there, of an HMAC with a
            key of this installation, so that equal values stay equal and none can be looked up. Paths are shortened in
            every mode.
        keys: What becomes of whole values by key, whatever they hold: ``mask``, ``drop``, ``hash`` or ``keep``. A key
            is named by its whole name or its last words; ``*`` stands for anything. Of several, the strictest counts.
        only: Where given, only the attributes that it names leave, and what a record can't be without.
        rules: Rules of one's own: :class:`PolicyRule`, or mappings of its arguments.
        values: Texts that are never redacted: exact ones, or with ``*``, which stands for anything but white space.
        callback: Called for each finding with a :class:`Match`; returns the text that stands there, ``match.text`` to
            keep it, or None for the usual. Where it raises, the usual happens. Results are remembered.

    Raises:
        ConfigurationError: Something of it can't be used; every fault is listed.
    """

    mode: str
    keys: Mapping[str, str]
    only: tuple[str, ...] | None
    rules: tuple[PolicyRule, ...]
    values: tuple[str, ...]
    callback: Callback | None

    def __init__(
        self,
        *,
        mode: str = "mask",
        keys: Mapping[str, str] | None = None,
        only: Iterable[str] | None = None,
        rules: Iterable[PolicyRule | Mapping[str, Any]] = (),
        values: Iterable[str] = (),
        callback: Callback | None = None,
    ) -> None:
        said: dict[str, Any] = {"mode": mode, "keys": {} if keys is None else keys, "values": _listed(values)}
        said["rules"] = _listed(rules)
        if only is not None:
            said["only"] = _listed(only)
        if (mode, keys, only, rules, values) != ("mask", None, None, (), ()):
            from usagetrace.redaction.policy_check import table_faults

            faults = table_faults(said, "Policy: ")
            if faults:
                raise ConfigurationError(faults)
        if callback is not None and not callable(callback):
            raise ConfigurationError(["Policy: callback: expected a function that takes a Match"])
        made = tuple(rule if isinstance(rule, PolicyRule) else PolicyRule(**rule) for rule in said["rules"])
        self.__dict__.update(
            mode=mode, keys=MappingProxyType(dict(said["keys"])), only=None if only is None else tuple(said["only"]),
            rules=made, values=tuple(said["values"]), callback=callback,
        )  # fmt: skip
        lists = () if only is None else (KeyPatterns(said["only"]),)
        self._prepare(tuple((KeyPatterns((key,)), each, True) for key, each in self.keys.items()), lists)

    def _prepare(self, key_modes: tuple[tuple[KeyPatterns, str, bool], ...], lists: tuple[KeyPatterns, ...]) -> None:
        self.__dict__.update(
            _key_modes=key_modes,
            _lists=lists,
            _spared=frozenset(value for value in self.values if "*" not in value),
            _spared_globs=tuple(map(_value_glob, (value for value in self.values if "*" in value))),
            _verdicts={},
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Policy can't be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash((self.mode, self.only, self.rules, self.values))

    def __repr__(self) -> str:
        # Allowed values may be private themselves: they are counted.
        names = ", ".join(rule.name for rule in self.rules)
        said = f"mode={self.mode!r}, keys={dict(self.keys)!r}, only={self.only!r}, rules=[{names}]"
        return f"Policy({said}, values={len(self.values)})"

    def __getstate__(self) -> dict[str, Any]:
        # A read-only view can be neither copied nor sent to another process.
        return {**self.__dict__, "keys": dict(self.keys)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "keys": MappingProxyType(state["keys"])})

    def joined(self, other: Policy, *, mode: str | None = None, trusted: bool = True) -> Policy:
        """Return a policy at least as strict as this one for what the other one says as well.

        Args:
            other: What is said besides. Allow-lists: what both name leaves.
            mode: The mode; None for the stricter one of both.
            trusted: False where the other one may come from a stranger's repository: what it allows or keeps does not
                count, and its hashes take the place of nothing that was masked.
        """
        joined = Policy.__new__(Policy)
        both = [each.only for each in (self, other) if each.only is not None]
        joined.__dict__.update(
            mode=mode or max(self.mode, other.mode, key=KEY_MODES.index),
            keys=MappingProxyType(_strictest(self.keys, other.keys)),
            only=None if not both else tuple(dict.fromkeys(key for each in both for key in each)),
            rules=tuple(dict.fromkeys((*self.rules, *other.rules))),
            values=tuple(dict.fromkeys((*self.values, *(other.values if trusted else ())))),
            callback=self.callback or (other.callback if trusted else None),
        )  # fmt: skip
        others = [
            (patterns, mode, own and trusted) for patterns, mode, own in other._key_modes if trusted or mode != "keep"
        ]
        joined._prepare((*self._key_modes, *others), (*self._lists, *other._lists))
        return joined

    def mode_of(self, key: str, kind: Kind = Kind.PLAIN) -> str | None:
        """Return what becomes of the whole value below a key; None where nothing is said.

        Args:
            key: Name of an attribute or of a mapping's entry.
            kind: What the key says.
        """
        if not self._key_modes:
            return None
        place = (key, kind)
        found: str | None = self._verdicts.get(place, "")
        if found == "":
            shy = kind in (Kind.SECRET, Kind.PERSON) and self.mode != "hash"
            said = [
                "mask" if mode == "hash" and shy and not own else mode
                for patterns, mode, own in self._key_modes
                if patterns.match(key)
            ]
            found = max(said, key=KEY_MODES.index) if said else None
            if len(self._verdicts) >= _KEYS_LIMIT:
                self._verdicts.clear()
            self._verdicts[place] = found
        if found == "drop" and not self.may_drop(key):
            return "mask"
        return found

    def may_drop(self, key: str) -> bool:
        """Return whether a record can be without an attribute."""
        return _plain_name(key) not in NEEDED

    def lets(self, key: str) -> bool:
        """Return whether an attribute may leave at all."""
        return _plain_name(key) in ALWAYS or all(patterns.match(key) for patterns in self._lists)

    def is_artifact_name(self, key: str) -> bool:
        """Return whether an attribute is the name of an artifact."""
        return _plain_name(key) == semconv.ARTIFACT_NAME

    def spares(self, text: str) -> bool:
        """Return whether a text is exactly one of those that are never redacted."""
        return text in self._spared

    def spares_like(self, text: str) -> bool:
        """Return whether a text has the form of those that are never redacted, whatever else may be found in it."""
        return any(glob.fullmatch(text) for glob in self._spared_globs)

    def hashed(self, value: str | bytes) -> str | None:
        """Return the keyed hash of a value; None where this installation has no key and can't make one."""
        from usagetrace.redaction.hashkey import keyed_hash

        return keyed_hash(value)

    def _said(self) -> tuple[object, ...]:
        modes = tuple((patterns._exact, patterns._globs, mode, own) for patterns, mode, own in self._key_modes)
        lists = tuple((patterns._exact, patterns._globs) for patterns in self._lists)
        return self.mode, modes, lists, self.rules, self.values, self.callback

    if TYPE_CHECKING:
        _key_modes: tuple[tuple[KeyPatterns, str, bool], ...]
        _lists: tuple[KeyPatterns, ...]
        _spared: frozenset[str]
        _spared_globs: tuple[re.Pattern[str], ...]
        _verdicts: dict[tuple[str, Kind], str | None]


def _strictest(keys: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return both tables of modes as one; of two modes of one key, the stricter one."""
    both = {**others, **keys}
    return {key: max(mode, others.get(key, mode), key=KEY_MODES.index) for key, mode in both.items()}


def _value_glob(pattern: str) -> re.Pattern[str]:
    # Not over white space: a text that merely begins or ends as allowed is none.
    body = r"\S*".join(re.escape(part) for part in re.sub(r"\*+", "*", pattern).split("*"))
    return re.compile(body)


def _listed(values: Iterable[Any]) -> list[Any] | object:
    """Return what can be gone through as a list; anything else as it is, for the check to name."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        return values
    return list(values)

"""Finds the faults of a redaction policy before it is in force, all at once: each with its place and what was expected.

It makes no policy. Where a table comes from is its caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from usagetrace.redaction.policy import KEY_MODES, MODES, PolicyRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TypeGuard

# What a table may hold; each is also an argument of :class:`Policy`.
TABLE_KEYS: Final = ("mode", "keys", "only", "values", "rules")
_RULE_KEYS: Final = ("name", "pattern", "keys")
# The marker has room for 32 characters.
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?")
# Names that say something else already: what was not looked at, what stands for a settled text, what a policy does.
_TAKEN: Final = re.compile(r"dense|depth|home|path|key|only|unlisted|held-.*")
# Longest pattern of a rule in characters.
_PATTERN_LENGTH: Final = 1000


def table_faults(table: object, label: str, *, project: bool = False) -> list[str]:
    """Return the faults of a policy's table.

    Args:
        table: What was said, unchecked.
        label: Stands before each key's name: where the table is.
        project: Whether the table may come from a stranger's repository: it may make redaction stricter, no weaker.
    """
    if not isinstance(table, Mapping):
        place = f"{label[:-1]}: " if label.endswith(".") else label
        return [f"{place}expected a table, found {_shown(table)}"]
    return list(_faults(table, label, project))


def rule_faults(rule: object, label: str) -> list[str]:
    """Return the faults of one rule.

    Args:
        rule: A mapping of its name, pattern and keys, or a :class:`PolicyRule`.
        label: Stands before each key's name.
    """
    return list(_rule_faults(rule, label))


def _faults(table: Mapping[str, object], label: str, project: bool) -> Iterator[str]:
    for key in table:
        if key not in TABLE_KEYS:
            yield f"{label}{key}: unknown key, expected one of {', '.join(TABLE_KEYS)}"
    yield from _mode_faults(table.get("mode", "mask"), f"{label}mode", project)
    yield from _key_faults(table.get("keys", {}), f"{label}keys", project)
    yield from _text_faults(table.get("only", ()), f"{label}only", "names of keys", is_key=True)
    yield from _text_faults(table.get("values", ()), f"{label}values", "texts")
    if project and table.get("values"):
        yield f"{label}values: {_NOT_FOR_PROJECTS}"
    rules = table.get("rules", ())
    if not _is_list(rules):
        yield f"{label}rules: expected a list of tables with name and pattern"
        return
    names: set[object] = set()
    for number, rule in enumerate(rules, 1):
        place = f"{label}rules[{number}]"
        yield from _rule_faults(rule, f"{place}.")
        name = rule.get("name") if isinstance(rule, Mapping) else getattr(rule, "name", None)
        if isinstance(name, str) and name in names:
            yield f"{place}.name: {name} is the name of an earlier rule"
        names.add(name if isinstance(name, str) else None)


_NOT_FOR_PROJECTS: Final = (
    "a project file may make redaction stricter only, because it may come from somebody else; set it in your own "
    "settings file"
)


def _mode_faults(mode: object, place: str, project: bool) -> Iterator[str]:
    if mode not in MODES:
        yield f"{place}: expected {' or '.join(MODES)}, found {_shown(mode)}"
    elif project and mode == "hash":
        yield f"{place}: {_NOT_FOR_PROJECTS}; expected mask or drop here"


def _key_faults(keys: object, place: str, project: bool) -> Iterator[str]:
    if not isinstance(keys, Mapping):
        yield f"{place}: expected a table of keys and modes"
        return
    for key, mode in keys.items():
        yield from _pattern_faults(key, place)
        if mode not in KEY_MODES:
            yield f"{place}.{_shown(key)}: expected {' or '.join(KEY_MODES)}, found {_shown(mode)}"
        elif project and mode == "keep":
            yield f"{place}.{_shown(key)}: {_NOT_FOR_PROJECTS}"


def _text_faults(texts: object, place: str, what: str, *, is_key: bool = False) -> Iterator[str]:
    if not _is_list(texts):
        yield f"{place}: expected a list of {what}"
        return
    for number, text in enumerate(texts, 1):
        if is_key:
            yield from _pattern_faults(text, f"{place}[{number}]")
        elif not isinstance(text, str) or not text.replace("*", "").strip():
            # The text itself may be private: it is not shown.
            yield f"{place}[{number}]: expected a text with more in it than * and spaces"


def _pattern_faults(key: object, place: str) -> Iterator[str]:
    if not isinstance(key, str) or not key.strip():
        yield f"{place}: expected the name of a key such as project.path, found {_shown(key)}"


def _rule_faults(rule: object, label: str) -> Iterator[str]:
    if isinstance(rule, PolicyRule):
        return
    if not isinstance(rule, Mapping):
        yield f"{label.rstrip('.')}: expected a table with name and pattern"
        return
    for key in rule:
        if key not in _RULE_KEYS:
            yield f"{label}{key}: unknown key, expected one of {', '.join(_RULE_KEYS)}"
    name = rule.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{label}name: expected 1 to 24 lower-case letters, digits and hyphens, found {_shown(name)}"
    elif _TAKEN.fullmatch(name):
        yield f"{label}name: {name} has a meaning of its own: expected another one"
    yield from _regex_faults(rule.get("pattern"), f"{label}pattern")
    yield from _text_faults(rule.get("keys", ()), f"{label}keys", "names of keys", is_key=True)


def _regex_faults(pattern: object, place: str) -> Iterator[str]:
    if not isinstance(pattern, str) or not pattern:
        yield f"{place}: expected a regular expression, found {_shown(pattern)}"
        return
    if len(pattern) > _PATTERN_LENGTH:
        yield f"{place}: expected {_PATTERN_LENGTH} characters at most, found {len(pattern)}"
        return
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{place}: no regular expression: {error}"
        return
    if compiled.match(""):
        yield f"{place}: matches the empty text: expected a pattern of at least one character"
        return
    # Imported here: it reads patterns by the parser of `re`, which only a check needs.
    from usagetrace.redaction.ambiguity import slowness

    slow = slowness(pattern)
    if slow:
        yield f"{place}: {slow}"


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

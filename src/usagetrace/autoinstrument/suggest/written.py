"""A suggestion as TOML: one line a function where conventions suffice, a table where fields have to be said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from usagetrace.autoinstrument.suggest.model import Proposal, Suggestion

# Below this, fields are guesses.
_SURE: Final = 0.6
# The order of the operations in the file.
_ORDER: Final = ("deploy", "update", "sync", "remove", "search")


def to_toml(suggestion: Suggestion) -> str:
    """Write a suggestion as the text of a target file.

    Args:
        suggestion: What :func:`usagetrace.autoinstrument.suggest.suggest` returned.

    Returns:
        TOML: what is unsure, where each function is and what could not be read stand in comments.
    """
    lines = list(_head(suggestion))
    plain = [proposal for proposal in suggestion.proposals if not _is_long(proposal)]
    if plain:
        lines += ["", "[track]", *_short(plain)]
    for group in _grouped([proposal for proposal in suggestion.proposals if _is_long(proposal)]):
        lines += ["", *_long(group)]
    return "\n".join(lines) + "\n"


def _is_long(proposal: Proposal) -> bool:
    """Return whether a proposal gets a table of its own: one that only guesses is a line, its guesses a comment."""
    return bool(proposal.fields) and proposal.sure >= _SURE


def _head(suggestion: Suggestion) -> Iterator[str]:
    shown, more = len(suggestion.proposals), suggestion.left_out
    total = f" of {shown + more} functions" if more else " functions"
    name = _one_line(suggestion.package)
    yield f"# {name}: {shown}{total} that may be operations, by their names; nothing was imported or run."
    for note in suggestion.notes:
        yield f"# not read: {_one_line(note)}"


def _short(proposals: list[Proposal]) -> Iterator[str]:
    for event in _ORDER:
        of_event = [proposal for proposal in proposals if proposal.event == event]
        if len(of_event) == 1:
            yield f"{event} = {_value(of_event[0].function)}  # {_comment(of_event[0])}"
        elif of_event:
            yield f"{event} = ["
            yield from (f"    {_value(proposal.function)},  # {_comment(proposal)}" for proposal in of_event)
            yield "]"


def _grouped(proposals: list[Proposal]) -> list[list[Proposal]]:
    """Return proposals that say the same together, by operation, the best first."""
    groups: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        groups.setdefault(json.dumps([proposal.event, proposal.fields], sort_keys=True), []).append(proposal)
    return sorted(groups.values(), key=lambda group: _ORDER.index(group[0].event))


def _long(group: list[Proposal]) -> Iterator[str]:
    first = group[0]
    yield "[[targets]]"
    if len(group) == 1:
        yield f"function = {_value(first.function)}  # {_comment(first)}"
    else:
        yield "function = ["
        yield from (f"    {_value(proposal.function)},  # {_comment(proposal)}" for proposal in group)
        yield "]"
    yield f"event = {_value(first.event)}"
    for key, value in first.fields.items():
        yield f"{key} = {_value(value)}"


def _comment(proposal: Proposal) -> str:
    doubts = list(proposal.unsure)
    if not _is_long(proposal):
        doubts += [f"{key} = {_value(value)}" for key, value in proposal.fields.items()]
    return _one_line(f"{proposal.place}; unsure: {', '.join(doubts)}" if doubts else proposal.place)


def _value(value: Any) -> str:
    """Return a TOML value: a text, or a table of texts on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    return _text(str(value))


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else _text(key)


def _text(text: str) -> str:
    # Basic strings of TOML take JSON's escapes, surrogates apart; DEL has to be escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Return a text that can't leave its comment: control characters are not allowed in one."""
    return "".join(char if char.isprintable() else " " for char in text)

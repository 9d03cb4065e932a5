"""The reference of event types as Markdown: one table of the types, one of the payloads, one of sampling.

This module owns how they are shown; what is shown comes from the taxonomy and the payloads' own declarations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from usagetrace import payload_checks, payload_words, payloads
from usagetrace.event_types import EventType, default_sampling, lookup
from usagetrace.events import CATEGORIES, Category
from usagetrace.track import conventions


def render() -> str:
    """Return the whole reference."""
    return "\n\n".join((_types(), "## Payloads", *map(_payload, _kinds()), "## Sampling by category", _sampling()))


def _built_in() -> list[EventType]:
    # Not `all_types()`: a plugin that is installed here must not get onto the page.
    return [found for name in CATEGORIES if (found := lookup(name)) is not None]


def _types() -> str:
    parts = []
    for category in Category:
        rows = [_row(found) for found in _built_in() if found.category is category]
        if rows:
            head = ("Event type", "When", "Priority", "Kept, at least, in each", "Payload")
            parts.append(f"### {category.value.capitalize()} events\n\n{_table(head, rows)}")
    return "\n\n".join(parts)


def _row(found: EventType) -> tuple[str, ...]:
    rate, minimum, window_s = found.sampling
    return (
        f"`{found.name}`",
        found.description,
        found.priority.value,
        f"{rate:.0%}, {minimum}, {window_s:g} s",
        _payload_cell(found),
    )


def _payload_cell(found: EventType) -> str:
    if found.payload is not None:
        name = found.payload_kind
        fields = payload_checks.fields_of(found.payload)
        return f"[{name}](#{name.lower()}): " + ", ".join(f"`{field.name}`" for field, _ in fields)
    keys = (*conventions.METADATA.get(found.name, ()), *conventions.ITEM_METADATA.get(found.name, ()))
    return "any keys; found by themselves: " + ", ".join(f"`{key}`" for key in keys) if keys else "any keys"


def _kinds() -> list[type[payloads.Payload]]:
    found = (getattr(payloads, name) for name in payloads.__all__)
    return [
        kind
        for kind in found
        if isinstance(kind, type) and issubclass(kind, payloads.Payload) and kind is not payloads.Payload
    ]


def _payload(kind: type[payloads.Payload]) -> str:
    text = inspect.getdoc(kind) or ""
    meanings = dict(re.findall(r"^    (\w+): (.+)$", text, re.MULTILINE))
    rows = []
    for field, hint in payload_checks.fields_of(kind):
        takes = payload_words.expected(hint)
        least = field.metadata.get(payload_checks.LEAST)
        takes += "" if least is None else f", {least} or more"
        given = "yes" if payload_checks.is_required(field) else ""
        rows.append((f"`{field.name}`", takes, given, meanings[field.name].replace("``", "`")))
    return f"### {kind.__name__}\n\n{text.splitlines()[0]}\n\n{_table(('Field', 'Takes', 'Needed', 'Meaning'), rows)}"


def _sampling() -> str:
    rows = []
    for category in Category:
        rate, minimum, window_s = default_sampling(category)
        rows.append((f"`{category.value}`", f"{rate:g}", str(minimum), f"{window_s:g} s"))
    return _table(("Category", "Rate", "Minimum in each window", "Window"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

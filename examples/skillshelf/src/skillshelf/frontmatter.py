"""The block between two ``---`` lines at the top of a Markdown file: a small, strict part of YAML.

This module owns reading and changing that block. It knows nothing of artifacts or files. Understood are
``key: value``, quoted values, ``[a, b]`` and lists of ``- item`` lines; anything else is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# A value of the block: text, or a list of texts.
Value = str | list[str]

_FENCE = "---"
_KEY = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*)[ \t]*:(?:[ \t]+(.*?))?[ \t]*$")
_ITEM = re.compile(r"^[ \t]*-[ \t]+(.+?)[ \t]*$")


@dataclass(frozen=True)
class FrontMatter:
    """What one Markdown file says about itself.

    Attributes:
        fields: Keys in lower case, with their values.
        body: Text after the block.
        faults: One sentence for each line that could not be understood; empty when all is well.
    """

    fields: dict[str, Value]
    body: str
    faults: tuple[str, ...] = field(default=())


def parse(text: str) -> FrontMatter:
    """Read the block at the top of a text.

    Args:
        text: A whole Markdown file.

    Returns:
        Fields, body and faults. A file without a block has no fields and one fault.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return FrontMatter({}, text, ("front matter is missing: the first line must be ---",))
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        return FrontMatter({}, text, ("front matter has no end: a second line --- is missing",))
    fields, faults = _fields(lines[1:end])
    return FrontMatter(fields, "\n".join(lines[end + 1 :]).strip("\n"), tuple(faults))


def with_field(text: str, key: str, value: str) -> str:
    """Return a text whose block says ``key: value``, every other line unchanged.

    Args:
        text: A Markdown file whose block can be read.
        key: Field to replace; added at the end of the block when it isn't there.
        value: One line of plain text.

    Raises:
        ValueError: The text has no block.
    """
    fences = [found.start() for found in re.finditer(r"(?m)^---[ \t]*\r?$", text)]
    if len(fences) < 2 or parse(text).faults:
        raise ValueError("the text has no readable front matter")
    block, rest = text[: fences[1]], text[fences[1] :]
    line = re.compile(rf"(?mi)^{re.escape(key)}[ \t]*:[^\r\n]*")
    if line.search(block):
        return line.sub(lambda _: f"{key}: {value}", block, count=1) + rest
    return f"{block}{key}: {value}\n{rest}"


def _fields(lines: list[str]) -> tuple[dict[str, Value], list[str]]:
    fields: dict[str, Value] = {}
    faults: list[str] = []
    open_list: list[str] | None = None
    for number, line in _content_lines(lines):
        item = _ITEM.match(line)
        if item and open_list is not None:
            open_list.append(_plain(item[1]))
            continue
        found = _KEY.match(line)
        if not found:
            faults.append(f"line {number} of the front matter is not 'key: value': {line.strip()!r}")
            continue
        key, raw = found[1].lower(), found[2] or ""
        if key in fields:
            faults.append(f"line {number} of the front matter repeats {key!r}")
            continue
        open_list = [] if not raw else None
        fields[key] = open_list if open_list is not None else _value(raw)
    return {key: value if value != [] else "" for key, value in fields.items()}, faults


def _content_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 2):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _value(raw: str) -> Value:
    if raw.startswith("[") and raw.endswith("]"):
        return [_plain(part) for part in raw[1:-1].split(",") if part.strip()]
    return _plain(raw)


def _plain(raw: str) -> str:
    text = raw.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text

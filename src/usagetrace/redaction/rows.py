"""Secrets whose name stands above them: a list or mapping below its name, columns of a table, the rows of an SQL
statement, a manifest's data; and a key whose name stands below it, because its beginning was cut off.

Told from what the name, the line that it stands in and the lines below it look like. This module knows nothing of how
names are found, nor of how findings are replaced.
"""

from __future__ import annotations

import re
from itertools import islice

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    # Where a value is, and how much it must look like a secret: a name of the forms of `told`.
    Cell = tuple[int, int, str]

# Most items of a list, and most lines of a table, that are looked at; longest head of a table, in characters.
_LIST_LIMIT: Final = 64
_ROW_LIMIT: Final = 500
_HEAD_LENGTH: Final = 1024
# Longest row of an SQL statement, in characters.
_ROW_LENGTH: Final = 8192
# A name with nothing behind it but the items of a list, one to a line.
_LIST: Final = lazy(r"[\"']?[ \t]{0,3}:[ \t]{0,8}(?:#[^\n]{0,128})?\r?\n(?P<in>[ \t]{0,40})-[ \t]{1,4}(?=\S)")
_ITEM: Final = lazy(r"(?P<q>[\"'])?(?P<v>(?(q)[^\"'\n]{1,4096}|[^\s\"'][^\r\n]{0,4096}))[\"']?[ \t]*\r?(?:\n|\Z)")
# The beginning of a list in one line, and its items.
ARRAY: Final = (
    r"(?:\[\]string|new\s?\w{0,16}\s?\[\]|(?:List|Set|Arrays)\.(?:of|asList)|listOf|arrayOf|vec!|c|list|set|array)?"
    r"\s?[\[({]\s{0,40}(?=\\{0,8}[\"'])"
)
_ARRAY: Final = lazy(r"\\{0,8}[\"']?\s{0,3}(?::=|[:=])\s{0,3}" + ARRAY)
_IN_ARRAY: Final = lazy(
    r"(?:&?[bfru]?)(?P<esc>\\{0,8})(?P<q>[\"'])(?P<v>(?:(?!(?P=esc)(?P=q))[^\n]){1,4096})(?P=esc)(?P=q)\s{0,40}"
    r"(?:,\s{0,40}|(?=[\])}]))"
)
# The same without quotes; a mapping of names that do not matter to secrets.
_FLOW: Final = lazy(r"[\"']?\s{0,3}:\s{0,3}\[\s{0,8}(?=[^\s\"'\[{])")
_IN_FLOW: Final = lazy(r"(?P<v>[^\s\"'\[\]{},]{1,512})(?:,\s{0,40}|(?=\s{0,40}\]))")
_MAP: Final = lazy(r"[\"']?\]?\s{0,3}(?:=>|[:=])\s{0,3}\{\s{0,40}(?=[\w\"':])")
_IN_MAP: Final = lazy(
    r"(?:[\"'][^\"'\n]{1,64}[\"']|:?[\w-]{1,64})\s{0,3}(?::|=>?)\s{0,3}(?P<q>[\"'])(?P<v>(?:(?!(?P=q))[^\n]){1,4096})(?P=q)"
    r"\s{0,3}(?:,\s{0,40}|(?=\s{0,40}\}))"
)
_LISTS: Final = ((_ARRAY, _IN_ARRAY, "q"), (_FLOW, _IN_FLOW, "t"), (_MAP, _IN_MAP, "v"))
# A mapping, an anchor or another list: its own names are looked at.
_NESTED: Final = lazy(r"[\w.-]{1,64}:(?:\s|\Z)|[a-z_]{2,16}:[\w,]{1,8}\Z|- |[\[{&*]")
# What a column is called.
_TITLE: Final = lazy(r"[A-Za-z_][\w.-]{0,40}(?: [\w.-]{1,16}){0,2}\Z")
# A line of such, without indentation and a comma at its end: that is a list in code.
_HEAD: Final = lazy(r"(?![ \t]+[^|]*\Z)[\w .,;|\t\"'`#-]+(?<![,;])\Z")
_RULER: Final = lazy(r"[-+|: =\t]{3,}\Z")
# What stands between two cells, and one cell with the sign that ends it.
_CELLS: Final = {
    "|": lazy(r"(?P<v>[^|\n]*)(?P<end>\||\Z)"),
    "\t": lazy(r"(?P<v>[^\t\n]*)(?P<end>\t|\Z)"),
    ",": lazy(r"(?P<v>[ \t]*\"(?:[^\"\n]|\"\")*\"[ \t]*|[ \t]*'(?:[^'\n]|'')*'[ \t]*|[^,\n]*)(?P<end>,|\Z)"),
    ";": lazy(r"(?P<v>\"(?:[^\"\n]|\"\")*\"|[^;\n]*)(?P<end>;|\Z)"),
    "  ": lazy(r"(?P<v>\S+(?: \S+)*)(?P<end> {2,}|\Z)"),
}
_CLOSED: Final = ("'", '"', "`")
# A mapping with its names indented, one to a line.
_MAPPING: Final = lazy(r"[\"']?[ \t]{0,3}:[ \t]{0,8}(?:#[^\n]{0,128})?\r?\n(?=[ \t]{1,40}[\"'\w])")
_MEMBER: Final = lazy(
    r"(?P<in>[ \t]{1,40})[\"']?(?P<name>[\w.$/-]{1,128})[\"']?[ \t]{0,3}:"
    r"(?:[ \t]{1,8}(?:(?P<q>[\"'])(?P<v>(?:(?!(?P=q))[^\n]){1,4096})"
    r"|(?P<block>[|>][-+0-9]{0,2}[ \t]*$)|(?P<v2>[^\s\"'#&*{\[][^\r\n]{0,4096})))?[^\n]*(?:\n|\Z)",
    re.MULTILINE,
)
# A manifest of Kubernetes that holds secrets, its parts, and the beginning of the next one.
_MANIFEST: Final = lazy(r"^[ \t-]{0,16}[\"']?kind[\"']?[ \t]{0,3}:[ \t]{0,3}[\"']?Secret[\"']?[ \t]*\r?$", re.MULTILINE)
_DATA: Final = lazy(r"^(?P<of>[ \t-]{0,16})[\"']?(?:data|stringData)[\"']?(?=[ \t]{0,3}:[ \t]*\r?$)", re.MULTILINE)
_NEXT: Final = "\n---"
# The last line of a private key, and, read from right to left, what may stand before it: one line of any length,
# whole ones, with the ends of lines written out or not.
_LAST: Final = lazy(r"-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_LINE_BACK: Final = r"(?:\s|[nr]\\+){1,8}[A-Za-z0-9+/=]{40,80}?(?=[nr]\\|[^A-Za-z0-9+/=]|\Z)"
_LINES_BACK: Final = lazy(
    rf"(?:{_LINE_BACK}|(?:\s|[nr]\\+){{1,8}}[A-Za-z0-9+/=]{{1,80}}?{_LINE_BACK})(?:{_LINE_BACK})*"
)
# Longest key, in characters.
_KEY_LENGTH: Final = 16_384
# The columns of a statement that puts rows into a table, up to the first row; what stands in a row.
_INSERT: Final = lazy(
    r"(?i:into)\s{1,8}[^\s(]{1,128}\s{0,8}\((?P<columns>[^()]{1,2000})\)\s{0,8}(?i:values?)\s{0,8}(?=\()"
)
_ROW: Final = lazy(
    # A doubled quote is the end of one string and the beginning of the next: told one way only.
    r"\s{0,40},?\s{0,40}\((?P<cells>(?:'(?:[^'\\]|\\[\s\S])*'|\"(?:[^\"\\]|\\[\s\S])*\"|[^()'\"])*)(?:\)|\Z)"
)
_IN_ROW: Final = lazy(r"\s*(?P<v>[A-Za-z]?'(?:[^'\\]|''|\\[\s\S])*'?|\"(?:[^\"\\]|\\[\s\S])*\"?|[^,]*)\s*(?P<end>,|\Z)")


def listed(text: str, end: int) -> list[Cell]:
    """Return the items of a list below a name.

    Args:
        text: Any text.
        end: Where the name ends.
    """
    head = _LIST.match(text, end)
    if head is None:
        return _mapped(text, end, "j") or _array(text, end)
    begin = "\n" + head["in"] + "-"
    found: list[Cell] = []
    at = head.end()
    for _ in range(_LIST_LIMIT):
        item = _ITEM.match(text, at)
        if item is None:
            break
        value = item["v"].rstrip()
        if item["q"] is None and _NESTED.match(value) is not None:
            break
        found.append((item.start("v"), item.start("v") + len(value), "q"))
        if not text.startswith(begin, item.end() - 1):
            break
        at = item.end() - 1 + len(begin)
        at += len(text[at : at + 8]) - len(text[at : at + 8].lstrip(" \t"))
    return found


def _mapped(text: str, end: int, strength: str) -> list[Cell]:
    """Return the values of a mapping below a name, however deep they are."""
    head = _MAPPING.match(text, end)
    if head is None:
        return []
    line = text.rfind("\n", 0, end) + 1
    outer = len(text[line:end]) - len(text[line:end].lstrip(" \t-"))
    found: list[Cell] = []
    member = _MEMBER.match(text, head.end())
    while member is not None and len(member["in"]) > outer and len(found) < _LIST_LIMIT:
        at = member.end()
        if member["block"]:
            while at < len(text) and text[at : at + len(member["in"]) + 1].isspace():
                stop = text.find("\n", at)
                stop = len(text) if stop < 0 else stop
                begin = at + len(text[at:stop]) - len(text[at:stop].lstrip())
                found.append((begin, stop, strength))
                at = stop + 1
        for name in ("v", "v2"):
            if member[name] is not None and (strength == "s" or kind_of(f"secret_{member['name']}") is Kind.SECRET):
                value = member[name].rstrip()
                found.append((member.start(name), member.start(name) + len(value), strength))
        member = _MEMBER.match(text, at)
    return found


def manifest(text: str) -> Iterator[Cell]:
    """Yield the values of the secrets that manifests of Kubernetes hold."""
    done = 0
    kind = _MANIFEST.search(text)
    while kind is not None:
        first = max(done, text.rfind(_NEXT, done, kind.start()) + 1)
        done = text.find(_NEXT, kind.end())
        done = len(text) if done < 0 else done
        for data in islice(_DATA.finditer(text, first, done), _ROW_LIMIT):
            yield from _mapped(text, data.end(), "s")
        kind = _MANIFEST.search(text, done)


def headless(text: str) -> Iterator[Cell]:
    """Yield what is left of private keys whose beginning was cut off."""
    done = 0
    for end in islice(_LAST.finditer(text), _ROW_LIMIT):
        start, done = max(done, end.start() - _KEY_LENGTH), end.end()
        if "-----BEGIN" in text[start : end.start()]:
            continue
        lines = _LINES_BACK.match(text[start : end.start()][::-1])
        if lines is not None:
            yield end.start() - lines.end(), end.start(), "s"


def _array(text: str, end: int) -> list[Cell]:
    """Return the items of a list or mapping in brackets behind a name."""
    found: list[Cell] = []
    for head, each, strength in _LISTS:
        begin = head.match(text, end)
        item = begin and each.match(text, begin.end())
        while item and len(found) < _LIST_LIMIT:
            found.append((*item.span("v"), strength))
            item = each.match(text, item.end())
        if found:
            break
    return found


def below(text: str, start: int, end: int) -> tuple[list[Cell], int]:
    """Return the cells below a column's name, for all columns of its line, and up to where the text has been read.

    Args:
        text: Any text.
        start: Where the name begins.
        end: Where it ends.
    """
    first = text.rfind("\n", max(0, start - _HEAD_LENGTH), start) + 1
    last = text.find("\n", end, end + _HEAD_LENGTH)
    if last < 0 or (first == 0 and start > _HEAD_LENGTH):
        return [], end
    head = text[first:last].rstrip("\r")
    if _HEAD.match(head) is None:
        return [], last
    for sign, pattern in _CELLS.items():
        if sign not in head:
            continue
        titles = [_core(text, *span) for span in _cells(pattern, text, first, first + len(head))]
        names = {
            place: text[begin:stop]
            for place, (begin, stop) in enumerate(titles)
            if _TITLE.match(text[begin:stop]) and kind_of(text[begin:stop]) is Kind.SECRET
        }
        if len(titles) > 1 and names and all(_is_title(text[begin:stop]) for begin, stop in titles):
            if sign == "  " and not head.isupper():
                continue
            return _columns(text, last + 1, pattern, len(titles), names)
    return [], last


def _columns(text: str, at: int, pattern: re.Pattern[str], width: int, names: dict[int, str]) -> tuple[list[Cell], int]:
    """Return the cells of some columns in the lines from a position on, as long as they are as wide as the head."""
    found: list[Cell] = []
    for _ in range(_ROW_LIMIT):
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        line = text[at:stop].rstrip("\r")
        if _RULER.match(line) is None:
            cells = _cells(pattern, text, at, at + len(line)) if line else []
            if len(cells) != width:
                break
            found += [(*_core(text, *cells[place]), _strength(name)) for place, name in names.items()]
        at = stop + 1
        if at > len(text):
            break
    return found, min(at, len(text))


def inserted(text: str) -> Iterator[Cell]:
    """Yield the values that SQL statements put into columns whose names mean a secret."""
    for head in islice(_INSERT.finditer(text), _ROW_LIMIT):
        names = [name.strip(' \t\r\n`"[]') for name in head["columns"].split(",")]
        places = {place: name for place, name in enumerate(names) if kind_of(name) is Kind.SECRET}
        row = _ROW.match(text, head.end(), head.end() + _ROW_LENGTH) if places else None
        for _ in range(_ROW_LIMIT):
            if row is None:
                break
            cells = _cells(_IN_ROW, text, row.start("cells"), row.end("cells"))
            for place in places:
                if place < len(cells):
                    begin, stop = _core(text, *cells[place])
                    # Without quotes, it is a number, a variable or a function.
                    if text[begin - 1 : begin] in _CLOSED:
                        yield begin, stop, "n"
            row = _ROW.match(text, row.end(), row.end() + _ROW_LENGTH)


def _cells(pattern: re.Pattern[str], text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Return where the cells of a line are."""
    found: list[tuple[int, int]] = []
    at = start
    while True:
        cell = pattern.match(text, at, stop)
        if cell is None:
            return []
        found.append(cell.span("v"))
        at = cell.end()
        if not cell["end"]:
            return found if at == stop else []


def _core(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return where a cell's content is, without blanks and quotes around it."""
    cell = text[start:stop]
    start += len(cell) - len(cell.lstrip())
    cell = cell.strip()
    prefixed = cell[:1] in ("N", "E") and cell[1:2] == "'"
    start, cell = (start + 1, cell[1:]) if prefixed else (start, cell)
    if cell[:1] in _CLOSED and len(cell) > 1:
        return start + 1, start + len(cell) - (cell[-1] == cell[0])
    return start, start + len(cell)


def _is_title(cell: str) -> bool:
    return not cell or _TITLE.match(cell) is not None


def _strength(name: str) -> str:
    """Return how much a cell must look like a secret: tables of words have columns of tokens and keys, too."""
    return "n" if "pass" in name.lower() or "pwd" in name.lower() else "v"

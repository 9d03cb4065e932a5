"""Reads the words of a full-text index, puts them back into the order in which they stood, and judges them.

An index whose texts are gone (contentless, or with its content elsewhere) still says what they were. Its words are in
lower case and without signs, so that only what is plain without them is found: tokens of vendors, a value with digits
behind the word for a password, the machine's own names and home.

Source of the formats: https://www.sqlite.org/fts5.html and https://www.sqlite.org/fts3.html, and what SQLite writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from usagetrace.audit import records
from usagetrace.audit.image import Image
from usagetrace.audit.judge import Judge, Rules
from usagetrace.audit.postings import Posting, fts3_postings, fts5_postings
from usagetrace.audit.schema import FullText, Schema, Tree, chain, leaves
from usagetrace.audit.words import Words

# Words that are held in memory at a time: about 100 bytes each.
_MOST: Final = 1_000_000
_DETAIL: Final = re.compile(r"\bdetail\s*=\s*[\"']?(none|column)", re.IGNORECASE)
_TRIGRAM: Final = re.compile(r"\btokenize\s*=\s*[\"']?\s*trigram", re.IGNORECASE)
_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+")
_SEGMENT_SHIFT: Final = 37
_LEAF_MASK: Final = (1 << _SEGMENT_SHIFT) - 1
_NOT_A_LEAF: Final = 1 << 31
# Characters of a trigram.
_GRAM: Final = 3


class TooLargeError(Exception):
    """An index has more words than can be put in order."""


class Found(NamedTuple):
    """What was found in one text of an index: its column, the rules, and the row."""

    column: str
    rules: Rules
    at: str


def look(image: Image, schema: Schema, index: FullText, judge: Judge) -> Iterator[Found]:
    """Yield what an index holds that redaction would have removed.

    Args:
        image: The database's pages.
        schema: What it consists of.
        index: The index.
        judge: Says what is found.

    Raises:
        TooLargeError: It has too many words; what was found in single ones was given by then.
    """
    trigram = _TRIGRAM.search(index.sql) is not None
    words = Words(judge.who, judge.spares, judge.spared)
    texts: dict[tuple[int, int], dict[int, str]] = {}
    held = 0
    for posting in _postings(image, schema, index):
        if not trigram and not words.matters(posting.term):
            continue
        if posting.position < 0:
            # Without positions each word is all that there is.
            rules = words.judge([posting.term])
            if rules:
                yield Found("", rules, f"row {posting.row}" if posting.row else "")
            continue
        texts.setdefault((posting.row, posting.column), {})[posting.position] = posting.term
        held += 1
        if held > _MOST:
            raise TooLargeError("too large to put its texts together; its content was looked at where it is there")
    for (row, column), held_words in texts.items():
        if judge.keeps(_column(index, column)):
            continue
        hits = _judge_trigrams(held_words, judge, words) if trigram else _judge_words(held_words, words)
        if hits:
            yield Found(_column(index, column), hits, f"row {row}")


def _judge_words(held: dict[int, str], words: Words) -> Rules:
    total: dict[str, int] = {}
    for run in _runs(held):
        for rule, count in words.judge(run).items():
            total[rule] = total.get(rule, 0) + count
    return total


def _judge_trigrams(held: dict[int, str], judge: Judge, words: Words) -> Rules:
    total: dict[str, int] = {}
    for run in _runs(held):
        text = run[0] + "".join(gram[-1] for gram in run[1:] if len(gram) == _GRAM)
        # Its signs are there, its capital letters are not: what one way misses the other finds.
        whole, split = judge.value("", text), words.judge(_SPLIT.split(text.lower()))
        for rule in {**whole, **split}:
            total[rule] = total.get(rule, 0) + max(whole.get(rule, 0), split.get(rule, 0))
    return total


def _runs(held: dict[int, str]) -> Iterator[list[str]]:
    """Yield words that stand side by side."""
    run: list[str] = []
    last = -2
    for position in sorted(held):
        if run and position != last + 1:
            yield run
            run = []
        run.append(held[position])
        last = position
    if run:
        yield run


def _column(index: FullText, number: int) -> str:
    """Return the name of an index's column; empty where its SQL does not tell."""
    inside = index.sql[index.sql.find("(") + 1 : index.sql.rfind(")")]
    names = [part.split()[0].strip("\"'`[]") for part in inside.split(",") if part.strip() and "=" not in part]
    return names[number] if number < len(names) else ""


def _postings(image: Image, schema: Schema, index: FullText) -> Iterator[Posting]:
    if index.module == "fts5":
        data = schema.tree(f"{index.name}_data")
        if data is not None:
            yield from fts5_postings(_fts5_pages(image, data), positions=_DETAIL.search(index.sql) is None)
        return
    for name, column in (("_segments", "block"), ("_segdir", "root")):
        tree = schema.tree(index.name + name)
        if tree is not None:
            for _, blob in _blobs(image, tree, column):
                yield from fts3_postings(blob)


def _fts5_pages(image: Image, tree: Tree) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of an index's segments that hold words, each with its segment, in order."""
    for rowid, blob in _blobs(image, tree, "block"):
        if rowid >> _SEGMENT_SHIFT and (rowid & _LEAF_MASK) < _NOT_A_LEAF:
            yield rowid >> _SEGMENT_SHIFT, blob


def _blobs(image: Image, tree: Tree, column: str) -> Iterable[tuple[int, bytes]]:
    def rest(first: int, missing: int) -> bytes:
        return chain(image, first, missing)

    for page in leaves(image, tree.root):
        data = image.read(page)
        if not records.is_tree_page(data, 0):
            continue
        for item in records.live(data, 0, image.usable, rest):
            if not isinstance(item, int):
                for value in item.values:
                    if tree.column(value.column) == column:
                        yield item.rowid or 0, value.raw

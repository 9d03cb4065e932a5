"""Find artifacts by words.

This module owns how a match is scored. It is pure: artifacts in, matches out.

A query is split into words. An artifact matches when each word is found in at least one of the fields searched.
Each field with at least one word in it is a match of its own; the artifact's score is that of its best one:
the field's weight times the share of the query's words found in it, plus one where a word is the whole of
the name or of a tag, or, for content, up to one more the more often the words occur.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from skillshelf import frontmatter
from skillshelf.artifact import Artifact, Kind
from skillshelf.results import Match, SearchResult, SearchType

# How much a field counts: who names a thing after a word means it.
WEIGHTS = {"name": 10.0, "tags": 6.0, "description": 4.0, "content": 1.0}
_METADATA = ("name", "tags", "description")
_FIELDS: dict[SearchType, tuple[str, ...]] = {
    "metadata": _METADATA,
    "content": ("content",),
    "both": (*_METADATA, "content"),
}
_WORD = re.compile(r"\w+")
# Occurrences in content beyond which more of them say nothing new.
_ENOUGH = 20


def search(
    artifacts: Iterable[tuple[str, Artifact]], query: str, search_type: SearchType = "both", limit: int = 20
) -> SearchResult:
    """Score artifacts against a query.

    Args:
        artifacts: Each with the name of its collection.
        query: Words, in any case and order; what is no letter, digit or underscore separates them.
        search_type: Where to look: ``metadata`` (name, tags, description), ``content`` (text files,
            without the front matter) or ``both``.
        limit: Most matches to return.

    Returns:
        One match an artifact (type and name), best first, ties by name, then type; and how many there are in all.
    """
    words = tuple(dict.fromkeys(word.casefold() for word in _WORD.findall(query)))
    best: dict[tuple[str, Kind], Match] = {}
    for collection, artifact in artifacts:
        match = _match(collection, artifact, words, _FIELDS[search_type]) if words else None
        key = (artifact.name, artifact.kind)
        if match is not None and (key not in best or match.score > best[key].score):
            best[key] = match
    ranked = sorted(best.values(), key=lambda match: (-match.score, match.name, match.kind.value))
    return SearchResult(query, search_type, tuple(ranked[:limit]), len(ranked))


def _match(collection: str, artifact: Artifact, words: tuple[str, ...], fields: tuple[str, ...]) -> Match | None:
    found: set[str] = set()
    scores: list[tuple[float, str]] = []
    for field in fields:
        text = _field_text(artifact, field)
        here = {word for word in words if word in text}
        if here:
            found |= here
            scores.append((_score(field, text, here, len(words)), field))
    if len(found) < len(words):
        return None
    score, field = max(scores, key=lambda pair: pair[0])
    return Match(artifact.name, artifact.kind, collection, round(score, 2), field, artifact.description)


def _field_text(artifact: Artifact, field: str) -> str:
    if field == "content":
        main = artifact.kind.main_file
        texts = [frontmatter.parse(artifact.main_text()).body]
        texts += [file.text() or "" for path, file in sorted(artifact.tree.items()) if path != main]
        return "\n".join(texts).casefold()
    if field == "tags":
        return "\n".join(artifact.tags).casefold()
    return str(getattr(artifact, field)).casefold()


def _score(field: str, text: str, here: set[str], words: int) -> float:
    score = WEIGHTS[field] * len(here) / words
    if field == "content":
        return score + min(sum(text.count(word) for word in here), _ENOUGH) / _ENOUGH
    if field in ("name", "tags") and here & set(text.splitlines()):
        return score + 1.0
    return score

"""Applies a user's own rules to a text in which everything else was found before.

Own rules see the text as it was, so that they match as they were written; but what was found in it stands there as a
marker by then, which they can only swallow whole. So no rule can tear apart what another one has to find.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from usagetrace.redaction.rules import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from usagetrace.redaction.policy import PolicyRule
    from usagetrace.redaction.rules import Form

    # Where a marker stands in a text, and where what it stands for is in the text as it was: start and end of both.
    Place = tuple[int, int, int, int]


def masked(
    text: str,
    raw_of: Callable[[str], str],
    rules: Sequence[PolicyRule],
    form: Form,
    inside: Callable[[str, str, str], None],
) -> str:
    """Return a text with what own rules find in it replaced; findings that overlap are joined, markers included.

    Args:
        text: Holds a marker wherever something was found already.
        raw_of: Gives what a marker stands for; the marker itself where nobody knows.
        rules: In any order.
        form: Says what stands in a finding's place.
        inside: Is told of each finding inside of what a marker stands for: the rule, the marker, what was found.
    """
    from usagetrace.redaction.finder import _replaced

    view, markers = _as_it_was(text, raw_of)
    lefts = [left for _, _, left, _ in markers]
    spans = {(start, end) for start, end, _, _ in markers}
    found = []
    for rule in rules:
        for start, end in places(rule, view):
            left, right = _start(start, markers, lefts), _end(end, markers, lefts)
            if (left, right) in spans:
                inside(rule.name, text[left:right], view[start:end])
            elif left < right:
                found.append((left, right, rule.name))
    return _replaced(text, found, form) if found else text


def places(rule: PolicyRule, text: str) -> Iterator[tuple[int, int]]:
    """Give start and end of what a rule finds: its group ``secret`` where that took part, else the whole match."""
    named = "secret" in rule.compiled.groupindex
    for match in rule.compiled.finditer(text):
        start, end = match.span()
        if named and match["secret"] is not None:
            start, end = match.span("secret")
        elif named and text.startswith("[redacted:", end):
            # What the group would find was redacted before.
            continue
        if start < end:
            yield start, end


def common_end(one: str, other: str) -> int:
    """Return how many characters at the end of two texts are the same."""
    limit = min(len(one), len(other))
    for number in range(limit):
        if one[-1 - number] != other[-1 - number]:
            return number
    return limit


def _as_it_was(text: str, raw_of: Callable[[str], str]) -> tuple[str, list[Place]]:
    pieces: list[str] = []
    markers: list[Place] = []
    done = length = 0
    for match in MARKER.finditer(text):
        start, end = match.span()
        raw = raw_of(match.group())
        pieces += (text[done:start], raw)
        length += start - done
        markers.append((start, end, length, length + len(raw)))
        length += len(raw)
        done = end
    return "".join((*pieces, text[done:])), markers


def _start(at: int, markers: list[Place], lefts: list[int]) -> int:
    """Return where in the text a finding starts that starts there in the text as it was."""
    index = bisect_right(lefts, at) - 1
    if index < 0:
        return at
    start, end, _, right = markers[index]
    return start if at < right else at + end - right


def _end(at: int, markers: list[Place], lefts: list[int]) -> int:
    index = bisect_left(lefts, at) - 1
    if index < 0:
        return at
    _, end, _, right = markers[index]
    return end if at <= right else at + end - right

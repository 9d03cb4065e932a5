"""Tells whether a regular expression can take exponential time on some text.

A backtracking matcher tries, at worst, every way in which a text can be read. The number of ways grows exponentially
exactly where the pattern has a state from which one word leads back to it on two different paths (exponential
ambiguity of an automaton; Weber and Seidl, "On the degree of ambiguity of finite automata", 1991). So the pattern is
turned into its position automaton (Glushkov), in which an edge that the pattern makes in two ways counts twice, and
pairs of states are searched for such a state. Repeats up to a bound are written out; larger ones are taken for
endless, assertions and possessive forms for what they contain: both can only make a pattern look worse than it is.

References back to a group can't be judged like this and are refused. Patterns that take time by a power of the text's
length are not told.
"""

from __future__ import annotations

import re
import sys
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

if sys.version_info >= (3, 11):
    from re import _constants as _codes  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
else:
    import sre_constants as _codes
    import sre_parse as _parser

# Most states of a pattern's automaton.
_STATES: Final = 400
# Repeats of a fixed number, and of a varying one, that are written out: together with what they repeat.
_FIXED: Final = 64
_VARYING: Final = 16

_EXPONENTIAL: Final = (
    "can take exponential time, because a repeat in it can read the same text in more than one way; expected a "
    "pattern such as (?:a+,)+ instead of (?:a+,?)+"
)
_BACKWARDS: Final = "refers back to a group, and can't be checked for how long it may take"
_LARGE: Final = "is too large to be checked for how long it may take"
# Characters that stand for those that a pattern does not name.
_USUAL: Final = "azAZ059_ \t\n\r\x1c-.,:;/@!~\x00\x7f\x80\xa0\xe9\xdf\u0130\u017f\u0663\u4e00\u2028\U0001f600"


class _Refused(Exception):  # noqa: N818 -- a verdict, not a failure
    """The pattern is refused; the message says why."""


class _Part:
    """A part of a pattern: its states at the beginning and at the end, and whether it can be empty."""

    __slots__ = ("empty", "first", "last")

    def __init__(self, first: list[int], last: list[int], empty: bool) -> None:
        self.first = first
        self.last = last
        self.empty = empty


def slowness(pattern: str) -> str:
    """Return why a pattern may take too long, or an empty text where it can't take exponential time.

    Args:
        pattern: A regular expression that compiles.
    """
    with warnings.catch_warnings():
        # What the parser warns of, the compiler has warned of.
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern)
    automaton = _Automaton(tree.state.flags)
    try:
        automaton.sequence(tree)
    except _Refused as refused:
        return str(refused)
    return _EXPONENTIAL if automaton.is_exponential() else ""


class _Automaton:
    """The position automaton of a pattern: a state for each character that it reads.

    Args:
        flags: Of the whole pattern.
    """

    def __init__(self, flags: int) -> None:
        self._ignore_case = bool(flags & re.IGNORECASE)
        # What each state reads, and where it leads, a state twice where it does so in two ways.
        self._reads: list[Any] = []
        self._edges: list[list[int]] = []

    def sequence(self, items: Any) -> _Part:
        """Add the parts of a pattern that follow each other."""
        whole = _Part([], [], True)
        for code, argument in items:
            whole = self._joined(whole, self._part(code, argument))
        return whole

    def _part(self, code: Any, argument: Any) -> _Part:
        if code in (_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN, _codes.CATEGORY):
            return self._state((code, argument))
        if code is _codes.SUBPATTERN:
            _, on, _, inner = argument
            before, self._ignore_case = self._ignore_case, self._ignore_case or bool(on & re.IGNORECASE)
            part = self.sequence(inner)
            self._ignore_case = before
            return part
        if code is _codes.BRANCH:
            parts = [self.sequence(each) for each in argument[1]]
            return _Part(
                [state for part in parts for state in part.first],
                [state for part in parts for state in part.last],
                any(part.empty for part in parts),
            )
        if code in (_codes.MAX_REPEAT, _codes.MIN_REPEAT, getattr(_codes, "POSSESSIVE_REPEAT", None)):
            return self._repeat(*argument)
        if code is getattr(_codes, "ATOMIC_GROUP", None):
            return self.sequence(argument)
        if code in (_codes.ASSERT, _codes.ASSERT_NOT):
            # It reads on its own and gives nothing to what follows.
            self.sequence(argument[1])
            return _Part([], [], True)
        if code in (_codes.AT, getattr(_codes, "FAILURE", None)):
            return _Part([], [], True)
        raise _Refused(_BACKWARDS)

    def _state(self, reads: Any) -> _Part:
        if len(self._reads) >= _STATES:
            raise _Refused(_LARGE)
        self._reads.append((reads, self._ignore_case))
        self._edges.append([])
        state = len(self._reads) - 1
        return _Part([state], [state], False)

    def _joined(self, left: _Part, right: _Part) -> _Part:
        for state in left.last:
            self._edges[state].extend(right.first)
        return _Part(
            left.first + (right.first if left.empty else []),
            right.last + (left.last if right.empty else []),
            left.empty and right.empty,
        )

    def _repeat(self, least: int, most: Any, items: Any) -> _Part:
        before = len(self._reads)
        part = self.sequence(items)
        size = len(self._reads) - before
        endless = most is _codes.MAXREPEAT or most * size > (_FIXED if least == most else _VARYING)
        if endless:
            for state in part.last:
                self._edges[state].extend(part.first)
            return _Part(part.first, part.last, part.empty or least == 0)
        whole = _Part(part.first, part.last, part.empty or least == 0) if most else _Part([], [], True)
        for number in range(1, most):
            copy = self.sequence(items)
            whole = self._joined(whole, _Part(copy.first, copy.last, copy.empty or number >= least))
        return whole

    def is_exponential(self) -> bool:
        """Return whether one word leads from some state back to it on two different paths."""
        parts = _cycles(self._edges)
        letters = self._letters()
        for part in parts:
            inside = {state: [to for to in self._edges[state] if to in part] for state in part}
            if any(len(set(to)) < len(to) for to in inside.values()):
                return True
            if self._is_ambiguous(inside, letters):
                return True
        return False

    def _is_ambiguous(self, inside: dict[int, list[int]], letters: list[frozenset[int]]) -> bool:
        """Return whether two different paths, of the same word, lead from a state of a cycle back to it."""
        pairs = [(state, state) for state in inside]
        number = {pair: index for index, pair in enumerate(pairs)}
        edges: list[list[int]] = []
        # The list grows while it is gone through.
        for left, right in pairs:
            found = []
            for one in inside[left]:
                for other in inside[right]:
                    if letters[one] & letters[other]:
                        pair = (one, other)
                        if pair not in number:
                            number[pair] = len(pairs)
                            pairs.append(pair)
                        found.append(number[pair])
            edges.append(found)
        for cycle in _cycles(edges):
            kinds = {pairs[index][0] == pairs[index][1] for index in cycle}
            if len(kinds) == 2:
                return True
        return False

    def _letters(self) -> list[frozenset[int]]:
        """Return, for each state, which of the characters that tell the states apart it reads."""
        named: set[str] = set(_USUAL)
        for (code, argument), _ in self._reads:
            for item, value in argument if code is _codes.IN else ((code, argument),):
                if item in (_codes.LITERAL, _codes.NOT_LITERAL):
                    named |= _near(value)
                elif item is _codes.RANGE:
                    named |= _near(value[0]) | _near(value[1])
        sample = sorted(named)
        return [
            frozenset(index for index, letter in enumerate(sample) if _does_read(reads, letter, ignore_case))
            for reads, ignore_case in self._reads
        ]


def _near(code: int) -> set[str]:
    near = {chr(each) for each in (code - 1, code, code + 1) if 0 <= each <= sys.maxunicode}
    return near | {each.swapcase() for each in near if len(each.swapcase()) == 1}


_CATEGORIES: Final = {
    _codes.CATEGORY_DIGIT: re.compile(r"\d"),
    _codes.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    _codes.CATEGORY_SPACE: re.compile(r"\s"),
    _codes.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    _codes.CATEGORY_WORD: re.compile(r"\w"),
    _codes.CATEGORY_NOT_WORD: re.compile(r"\W"),
}


def _does_read(reads: Any, letter: str, ignore_case: bool) -> bool:
    forms = {letter, letter.lower(), letter.upper(), letter.swapcase()} if ignore_case else {letter}
    return any(_reads_exactly(reads, ord(form)) for form in forms if len(form) == 1)


def _reads_exactly(reads: Any, code: int) -> bool:
    kind, argument = reads
    if kind is _codes.ANY:
        # With DOTALL it reads line ends too: taking it so in any case can only make the pattern look worse.
        return True
    if kind is not _codes.IN:
        return _item_reads(kind, argument, code)
    negated = argument[0][0] is _codes.NEGATE
    found = any(_item_reads(item, value, code) for item, value in argument[negated:])
    return found is not negated


def _item_reads(kind: Any, value: Any, code: int) -> bool:
    if kind is _codes.LITERAL:
        return bool(code == value)
    if kind is _codes.NOT_LITERAL:
        return bool(code != value)
    if kind is _codes.RANGE:
        return bool(value[0] <= code <= value[1])
    return _CATEGORIES[value].match(chr(code)) is not None


def _cycles(edges: list[list[int]]) -> list[set[int]]:
    """Return the strongly connected parts of a graph that hold a cycle (Tarjan's algorithm, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[set[int]] = []
    for root in range(len(edges)):
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            state, following = work[-1]
            for to in following:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(edges[to])))
                    break
                if to in on_stack:
                    low[state] = min(low[state], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[state])
                if low[state] == index[state]:
                    part = set()
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        part.add(member)
                        if member == state:
                            break
                    if len(part) > 1 or state in edges[state]:
                        found.append(part)
    return found

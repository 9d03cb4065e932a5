"""Tells whether a regular expression can take too much time on some text.

A backtracking matcher tries, at worst, every way in which a text can be read. The number of ways grows exponentially
exactly where the pattern has a state from which one word leads back to it on two different paths (exponential
ambiguity of an automaton; Weber and Seidl, "On the degree of ambiguity of finite automata", 1991). So the pattern is
turned into its position automaton (Glushkov), in which an edge that the pattern makes in two ways counts twice, and
pairs of states are searched for such a state. Repeats up to a bound are written out; larger ones are taken for
endless, assertions and possessive forms for what they contain: both can only make a pattern look worse than it is.

In the same automaton :mod:`usagetrace.redaction.growth` looks for work that grows by a high power of the text's length,
and for too much of it at once. A search starts anew at each character, so it takes once more the text's length.

References back to a group, and repeats of what can be empty, can't be judged like this and are refused.
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

# Most states of a pattern's automaton, and most ways to the states at a part's beginning or end.
_STATES: Final = 400
_WAYS: Final = 4 * _STATES
# Repeats of a fixed number, and of a varying one, that are written out: together with what they repeat.
_FIXED: Final = 64
_VARYING: Final = 16

_EXPONENTIAL: Final = (
    "can take exponential time, because a repeat in it can read the same text in more than one way; expected a "
    "pattern such as (?:a+,)+ instead of (?:a+,?)+"
)
_BACKWARDS: Final = "refers back to a group, and can't be checked for how long it may take"
_EMPTY: Final = (
    "repeats something that can be empty, and can't be checked for how long it may take; expected a repeat of at least "
    "one character, such as (?:a+,)* instead of (?:a*,?)*"
)
_POLYNOMIAL: Final = (
    "takes time by a high power of the text's length, because more than two repeats that follow each other can read "
    "the same text; expected something between them that they can't read, such as [^,]*,[^,]*, instead of .*,.*,"
)
_MANY: Final = (
    "can take too long, because it can read the same short text in very many ways; expected fewer parts that may be "
    "left out or read the same characters"
)
_LARGE: Final = "is too large to be checked for how long it may take"
# Characters that stand for those that a pattern does not name.
_USUAL: Final = (
    "azAZ059_ \t\n\r\x1c-.,:;/@!~\x00\x7f\x80\xa0\xe9\xdf\u0130\u017f\u0663\u4e00\u2028\u212a\u03c2\xb5\U0001f600"
)


class _Refused(Exception):  # noqa: N818 -- a verdict, not a failure
    """The pattern is refused; the message says why."""


class _Part:
    """A part of a pattern: its states at the beginning and at the end, and in how many ways it can be empty.

    A state stands in a list as often as there are ways to it.
    """

    __slots__ = ("empty", "first", "last")

    def __init__(self, first: list[int], last: list[int], empty: int) -> None:
        if max(len(first), len(last), empty) > _WAYS:
            raise _Refused(_MANY)
        self.first = first
        self.last = last
        self.empty = empty


def slowness(pattern: str) -> str:
    """Return why a pattern may take too long; an empty text where it can't.

    Args:
        pattern: A regular expression that compiles.
    """
    with warnings.catch_warnings():
        # What the parser warns of, the compiler has warned of.
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern)
    automaton = _Automaton(tree.state.flags)
    try:
        whole = automaton.sequence(tree)
    except _Refused as refused:
        return str(refused)
    if automaton.is_exponential():
        return _EXPONENTIAL
    return automaton.growth(whole)


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
        # Where something is read on its own, aside from the pattern itself.
        self._aside: list[int] = []
        # Whether a match can still fail when all its characters are read.
        self._may_fail = False

    def sequence(self, items: Any) -> _Part:
        """Add the parts of a pattern that follow each other."""
        whole = _Part([], [], 1)
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
                # The parser takes out what alternatives begin with: of (?:a|a), two empty ones are left.
                sum(part.empty for part in parts),
            )
        if code in (_codes.MAX_REPEAT, _codes.MIN_REPEAT, getattr(_codes, "POSSESSIVE_REPEAT", None)):
            return self._repeat(*argument)
        if code is getattr(_codes, "ATOMIC_GROUP", None):
            return self.sequence(argument)
        if code in (_codes.ASSERT, _codes.ASSERT_NOT):
            # It reads on its own and gives nothing to what follows.
            self._aside += self.sequence(argument[1]).first
            self._may_fail = True
            return _Part([], [], 1)
        if code in (_codes.AT, getattr(_codes, "FAILURE", None)):
            self._may_fail = self._may_fail or bool(self._reads)
            return _Part([], [], 1)
        raise _Refused(_BACKWARDS)

    def _state(self, reads: Any) -> _Part:
        if len(self._reads) >= _STATES:
            raise _Refused(_LARGE)
        self._reads.append((reads, self._ignore_case))
        self._edges.append([])
        state = len(self._reads) - 1
        return _Part([state], [state], 0)

    def _joined(self, left: _Part, right: _Part) -> _Part:
        for state in left.last:
            self._edges[state].extend(right.first)
        return _Part(
            left.first + right.first * left.empty,
            right.last + left.last * right.empty,
            left.empty * right.empty,
        )

    def _repeat(self, least: int, most: Any, items: Any) -> _Part:
        before = len(self._reads)
        part = self.sequence(items)
        size = len(self._reads) - before
        if most is not _codes.MAXREPEAT and most <= 1:
            return _Part(part.first, part.last, max(part.empty, least == 0)) if most else _Part([], [], 1)
        if part.empty:
            raise _Refused(_EMPTY)
        if most is _codes.MAXREPEAT or most * size > (_FIXED if least == most else _VARYING):
            for state in part.last:
                self._edges[state].extend(part.first)
            return _Part(part.first, part.last, int(least == 0))
        # Each time follows the one before it: what is left out is left out at the end.
        ends = list(part.last) if least <= 1 else []
        before_it = part
        for number in range(2, most + 1):
            copy = self.sequence(items)
            for state in before_it.last:
                self._edges[state].extend(copy.first)
            if number >= least:
                ends += copy.last
            before_it = copy
        return _Part(part.first, ends, int(least == 0))

    def growth(self, whole: _Part) -> str:
        """Return why the work may grow too fast with a text's length; an empty text where it doesn't."""
        from usagetrace.redaction.growth import RUNS_LIMIT, has_long_chain, most_runs

        letters = self._letters()
        if has_long_chain(self._edges, letters, () if self._may_fail else whole.last, _cycles):
            return _POLYNOMIAL
        return _MANY if most_runs(self._edges, letters, whole.first + self._aside) > RUNS_LIMIT else ""

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
        # Without regard to case, a letter is read where any of its forms is: s, S and the long s are one.
        forms: dict[str, set[str]] = {}
        for letter in sample:
            forms.setdefault(_folded(letter), set()).update(
                each for each in (letter, letter.lower(), letter.upper(), letter.swapcase()) if len(each) == 1
            )
        return [
            frozenset(
                index
                for index, letter in enumerate(sample)
                if any(_reads_exactly(reads, ord(form)) for form in (forms[_folded(letter)] if ignore_case else letter))
            )
            for reads, ignore_case in self._reads
        ]


def _folded(letter: str) -> str:
    """Return what stands for all forms of a letter; of one that has several letters for its other case, the first."""
    return letter.upper().lower()[0]


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

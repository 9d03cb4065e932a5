"""Conditions: what holds of a call, written with selectors and comparisons.

``$dry_run or not $names``, ``$result.status == "skipped"``, ``$kind in $self.kinds and $limit > 5``. From loose to
tight: ``or``, ``and``, ``not``, one comparison (``== != < <= > >= in``, ``not in``), an operand. An operand is a
selector with its alternatives, a quoted text, a number, ``true``, ``false``, ``none``, or a condition in parentheses.

A condition is compiled once, when a function is decorated; a fault in it raises :class:`SelectorError` there, with its
place. At run time a comparison that can't be made is false, a condition that can't be judged does not hold, and either
is logged once. This module knows the grammar; what a condition decides is for the fields that take one.
"""

from __future__ import annotations

import operator
import os
from enum import Enum
from itertools import islice

from usagetrace.guard import logger
from usagetrace.patterns import lazy
from usagetrace.track import selectors
from usagetrace.track.selectors import Selector, Term, fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from usagetrace.errors import SelectorError
    from usagetrace.track.call import Call
    from usagetrace.track.selectors import Root

    Report = Callable[[Exception], None]

_QUOTED = lazy(r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_NUMBER = lazy(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][-+]?\d{1,4})?(?![\w.])")
_WORD = lazy(r"[^\W\d]\w*")
_COMPARISON = lazy(r"==|!=|<=|>=|<|>|in\b|not\s+in\b")
# What a selector alone does not hold, once its quoted texts and its calls are taken out.
_INSERTS = lazy(r"""\(\)|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_COMPOUND = lazy(r"[()<>=!]|\b(?:and|or|not|in)\b")
_BLANK: Final = " \t\r\n"
# Deepest nesting of parentheses and negations: each level is a few frames of the host's stack.
_DEPTH: Final = 30
# Most elements of a collection that are looked at one by one.
_LOOKED_AT: Final = 1000
_PLAIN: Final = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    """Return what is compared: an enum's value and a path's text, because a condition can write no other."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _contains(element: Any, collection: Any) -> bool:
    if not hasattr(type(collection), "__contains__"):
        # Looking for something in an iterator uses it up, and it is the program's.
        raise TypeError("not a collection")
    if element in collection:
        return True
    if not isinstance(collection, list | tuple | set | frozenset):
        return False
    return any(type(each) not in _PLAIN and _plain(each) == element for each in islice(collection, _LOOKED_AT))


_TESTS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": _contains,
    "not in": lambda element, collection: not _contains(element, collection),
}


class Chain:
    """A selector, or a literal, as an operand: it holds where its value is true."""

    __slots__ = ("selector",)

    def __init__(self, selector: Selector) -> None:
        self.selector = selector

    def reader(self, roots: Mapping[str, Root], _report: Report) -> Root:
        """Return what reads its value from a call."""
        return selectors.evaluator(self.selector, roots)


class Comparison:
    """Two operands and what is asked of them; false where it can't be asked."""

    __slots__ = ("left", "right", "symbol")

    def __init__(self, symbol: str, left: Node, right: Node) -> None:
        self.symbol = symbol
        self.left = left
        self.right = right

    def reader(self, roots: Mapping[str, Root], report: Report) -> Root:
        """Return what compares them in a call."""
        left, right, test = self.left.reader(roots, report), self.right.reader(roots, report), _TESTS[self.symbol]

        def compare(call: Call) -> bool:
            try:
                return bool(test(_plain(left(call)), _plain(right(call))))
            except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything when they are compared
                report(error)
                return False

        return compare


class Not:
    """A condition turned round."""

    __slots__ = ("inner",)

    def __init__(self, inner: Node) -> None:
        self.inner = inner

    def reader(self, roots: Mapping[str, Root], report: Report) -> Root:
        """Return what judges it in a call."""
        inner = self.inner.reader(roots, report)
        return lambda call: not inner(call)


class Several:
    """Conditions of which all, or any, have to hold; judged from the left, as far as is needed."""

    __slots__ = ("parts", "wants_all")

    def __init__(self, parts: tuple[Node, ...], wants_all: bool) -> None:
        self.parts = parts
        self.wants_all = wants_all

    def reader(self, roots: Mapping[str, Root], report: Report) -> Root:
        """Return what judges them in a call."""
        readers = [part.reader(roots, report) for part in self.parts]
        judge: Callable[[Any], bool] = all if self.wants_all else any
        return lambda call: judge(reader(call) for reader in readers)


if TYPE_CHECKING:
    Node = Chain | Comparison | Not | Several


class Condition:
    """A compiled condition.

    Attributes:
        text: The condition as it was written.
        terms: Every selector and literal in it, for whoever finds their roots.
        node: What is to be judged.
    """

    __slots__ = ("node", "terms", "text")

    def __init__(self, text: str, terms: tuple[Term, ...], node: Node) -> None:
        self.text = text
        self.terms = terms
        self.node = node


def parse(text: str, where: str) -> Condition:
    """Return the compiled form of a condition.

    Args:
        text: The condition; a selector alone is one too.
        where: Function and field, for the message of an error.

    Raises:
        SelectorError: The text is not a condition; the message shows the place.
    """
    if text.startswith("$") and not _COMPOUND.search(_INSERTS.sub("", text)):
        alone = selectors.parse(text, where)
        return Condition(text, alone.terms, Chain(alone))
    parser = _Parser(text, where)
    node = parser.whole()
    return Condition(text, tuple(parser.terms), node)


def evaluator(condition: Condition, roots: Mapping[str, Root]) -> Root:
    """Return a function from a call to what a condition gives: a selector alone its value, any other True or False.

    Args:
        condition: The condition.
        roots: How each root in it is found.
    """
    if isinstance(condition.node, Chain):
        return selectors.evaluator(condition.node.selector, roots)
    return judge(condition, roots)


def judge(condition: Condition, roots: Mapping[str, Root]) -> Callable[[Call], bool]:
    """Return a function from a call to whether a condition holds; it never raises.

    Args:
        condition: The condition.
        roots: How each root in it is found.
    """
    reported = False

    def report(error: Exception) -> None:
        nonlocal reported
        if not reported:
            reported = True
            logger().debug("usagetrace: condition %s can't be judged: %s", condition.text, type(error).__name__)

    read = condition.node.reader(roots, report)

    def holds(call: Call) -> bool:
        try:
            return bool(read(call))
        except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything when asked for their truth
            report(error)
            return False

    return holds


class _Parser:
    """Goes through a condition once, from the left."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.position = 0
        self.depth = 0
        self.terms: list[Term] = []

    def whole(self) -> Node:
        node = self.either()
        if self.next():
            raise self.fault("expected and, or, a comparison, or the end")
        return node

    def either(self) -> Node:
        parts = [self.both()]
        while self.takes("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Several(tuple(parts), wants_all=False)

    def both(self) -> Node:
        parts = [self.negation()]
        while self.takes("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Several(tuple(parts), wants_all=True)

    def negation(self) -> Node:
        if not self.takes("not"):
            return self.comparison()
        self.deeper()
        node = Not(self.negation())
        self.depth -= 1
        return node

    def comparison(self) -> Node:
        left = self.operand()
        symbol = self.symbol()
        if not symbol:
            return left
        right = self.operand()
        self.next()
        place = self.position
        if self.symbol():
            raise self.fault("expected and, or, or the end: a comparison has two sides", place)
        return Comparison(symbol, left, right)

    def symbol(self) -> str:
        """Take the sign of a comparison; empty where there is none."""
        character = self.next()
        match = _COMPARISON.match(self.text, self.position)
        if match is None:
            if character in ("=", "!"):
                raise self.fault("expected == or !=")
            return ""
        self.position = match.end()
        return " ".join(match.group().split())

    def operand(self) -> Node:
        if self.next() != "(":
            return self.chain()
        self.deeper()
        self.position += 1
        node = self.either()
        if self.next() != ")":
            raise self.fault("expected a closing )")
        self.position += 1
        self.depth -= 1
        return node

    def chain(self) -> Chain:
        terms: list[Term] = []
        start = self.position
        while True:
            place = self.position
            term = self.selector() if self.next() == "$" else self.literal()
            terms.append(term)
            end = self.position
            if self.next() != "|":
                break
            if term.is_literal:
                raise self.fault("a literal may only end a chain; a selector starts with $", place)
            self.position += 1
            self.next()
        self.terms += terms
        return Chain(Selector(self.text[start:end], tuple(terms)))

    def selector(self) -> Term:
        term, self.position = selectors.parse_term(self.text, self.position, self.where)
        return term

    def literal(self) -> Term:
        text, place = self.text, self.position
        match = _QUOTED.match(text, place) or _NUMBER.match(text, place)
        if match is not None:
            self.position = match.end()
            return Term("", (), literal=selectors.literal_of(match.group()), place=place)
        if text[place : place + 1] in ('"', "'"):
            raise self.fault(f"expected a closing {text[place]}", len(text))
        match = _WORD.match(text, place)
        word = match.group() if match is not None else ""
        if match is None or word.lower() not in selectors.WORDS:
            raise self.fault("expected a selector, a number, true, false, none, or a text in quotes")
        self.position = match.end()
        return Term("", (), literal=selectors.WORDS[word.lower()], place=place)

    def takes(self, word: str) -> bool:
        """Take a word that joins conditions, where it comes next."""
        self.next()
        match = _WORD.match(self.text, self.position)
        if match is None or match.group() != word:
            return False
        self.position = match.end()
        return True

    def next(self) -> str:
        """Go to the next character that is not blank, and return it; empty at the end."""
        while self.position < len(self.text) and self.text[self.position] in _BLANK:
            self.position += 1
        return self.text[self.position : self.position + 1]

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.fault(f"at most {_DEPTH} levels of parentheses and not")

    def fault(self, expected: str, position: int | None = None) -> SelectorError:
        return fault(self.where, self.text, self.position if position is None else position, expected)

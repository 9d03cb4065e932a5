"""Selectors: the small language that says where in a call a value is found.

``$name | $self.name | "unnamed"``: a chain of terms, the first that gives something other than None counts.
A term is ``$root`` with steps, or, last in a chain, a literal. Roots are a parameter of the function, or ``$self``,
``$cls``, ``$result``, ``$error``, ``$item``, ``$index``, ``$rank``. Steps are ``.attribute`` (of a mapping: its key),
``[0]``, ``[:5]``, ``["key"]``, ``()`` for a method without arguments, and ``("text")`` for a text's own method.

A selector is compiled once, when a function is decorated; a fault in it raises :class:`SelectorError` there, with
its place. At run time a selector that fails gives None and is logged once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinMethodType

from usagetrace.errors import SelectorError
from usagetrace.guard import logger
from usagetrace.patterns import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from usagetrace.track.call import Call

    Step = Callable[[Any], Any]
    Root = Callable[[Call], Any]

_NAME = lazy(r"[^\W\d]\w*")
_INDEX = lazy(r"\[\s*(-?\d{1,9})\s*\]")
_SLICE = lazy(r"\[\s*(-?\d{1,9}|)\s*:\s*(-?\d{1,9}|)\s*(?::\s*(-?\d{1,9}|)\s*)?\]")
_KEY = lazy(r"""\[\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*\]""")
_TEXT: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_PIECE = lazy(_TEXT)
_TEXTS = lazy(rf"\(\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*\)")
_QUOTED = lazy(r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\Z""")
_NUMBER = lazy(r"-?\d{1,300}(\.\d{1,300})?([eE][-+]?\d{1,4})?\Z")
_ESCAPED = lazy(r"\\(.)")
# Literals that are no text.
WORDS: Final[Mapping[str, object]] = {"true": True, "false": False, "none": None, "null": None}
_MISSING: Final = object()


class Term:
    """One term of a chain: a root with its steps, or a literal.

    Attributes:
        root: Where it begins.
        steps: What is done from there.
        last_slice: Slice at its end, kept apart: ``each`` takes it after it has left out repeated artifacts.
        literal: Its value, where it is one.
        place: Position in the selector's text.
    """

    __slots__ = ("last_slice", "literal", "place", "root", "steps")

    def __init__(
        self,
        root: str,
        steps: tuple[Step, ...],
        last_slice: slice | None = None,
        literal: object = _MISSING,
        place: int = 0,
    ) -> None:
        self.root = root
        self.steps = steps
        self.last_slice = last_slice
        self.literal = literal
        self.place = place

    @property
    def is_literal(self) -> bool:
        """Whether the term is a literal."""
        return self.literal is not _MISSING


class Selector:
    """A compiled chain.

    Attributes:
        text: The selector as it was written.
        terms: The chain.
    """

    __slots__ = ("terms", "text")

    def __init__(self, text: str, terms: tuple[Term, ...]) -> None:
        self.text = text
        self.terms = terms

    @property
    def roots(self) -> frozenset[str]:
        """Names of all roots in the chain."""
        return frozenset(term.root for term in self.terms if not term.is_literal)

    def without_last_slice(self) -> tuple[Selector, slice | None]:
        """Return the selector without the slice at its end, and that slice. Only for chains of one term."""
        if len(self.terms) != 1 or self.terms[0].last_slice is None:
            return self, None
        term = self.terms[0]
        return Selector(self.text, (Term(term.root, term.steps[:-1]),)), term.last_slice


def parse(text: str, where: str) -> Selector:
    """Return the compiled form of a selector string.

    Args:
        text: The selector, beginning with ``$``.
        where: Function and field, for the message of an error.

    Raises:
        SelectorError: The text is not a selector; the message shows the place.
    """
    terms: list[Term] = []
    for part, start, is_last in _split(text, where):
        stripped = part.strip()
        offset = start + len(part) - len(part.lstrip())
        if not stripped:
            raise fault(where, text, offset, "expected a selector or a literal")
        if stripped.startswith("$"):
            terms.append(parse_term(text, offset, where, offset + len(stripped))[0])
        elif is_last:
            terms.append(Term("", (), literal=_parse_literal(stripped, text, offset, where)))
        else:
            raise fault(where, text, offset, "a literal may only end a chain; a selector starts with $")
    return Selector(text, tuple(terms))


def _split(text: str, where: str) -> list[tuple[str, int, bool]]:
    """Return the terms of a chain with their places, split at bars that stand outside quotes."""
    parts: list[tuple[str, int]] = []
    start, quote, position = 0, "", 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character == "|":
            parts.append((text[start:position], start))
            start = position + 1
        position += 1
    if quote:
        raise fault(where, text, len(text), f"expected a closing {quote}")
    parts.append((text[start:], start))
    return [(part, place, number == len(parts) - 1) for number, (part, place) in enumerate(parts)]


def parse_term(text: str, start: int, where: str, end: int | None = None) -> tuple[Term, int]:
    """Return one ``$root`` with its steps, and the position after it.

    Args:
        text: The whole selector or condition.
        start: Position of the ``$``.
        where: Function and field, for the message of an error.
        end: Position up to which all has to be steps; None where what is no step ends the term.

    Raises:
        SelectorError: There is no term.
    """
    match = _NAME.match(text, start + 1)
    if match is None:
        raise fault(where, text, start + 1, "expected a name after $")
    position = match.end()
    steps: list[Step] = []
    last_slice: slice | None = None
    while position < (len(text) if end is None else end) and (end is not None or text[position] in ".[("):
        step, position, last_slice = _parse_step(text, position, where)
        steps.append(step)
    return Term(match.group(), tuple(steps), last_slice, place=start), position


def _parse_step(text: str, position: int, where: str) -> tuple[Step, int, slice | None]:
    if text[position] == ".":
        match = _NAME.match(text, position + 1)
        if match is None:
            raise fault(where, text, position + 1, "expected an attribute's name after the dot")
        return _attribute(match.group()), match.end(), None
    if text.startswith("()", position):
        return _call, position + 2, None
    if match := _INDEX.match(text, position):
        return _subscript(int(match.group(1))), match.end(), None
    if match := _SLICE.match(text, position):
        bounds = slice(*(int(group) if group else None for group in match.groups()))
        if bounds.step == 0:
            raise fault(where, text, position, "a slice's step can't be 0")
        return _subscript(bounds), match.end(), bounds
    if match := _KEY.match(text, position):
        key = match.group(1) if match.group(1) is not None else match.group(2)
        return _subscript(_ESCAPED.sub(r"\1", key)), match.end(), None
    if match := _TEXTS.match(text, position):
        return _call_on_text([literal_of(piece) for piece in _PIECE.findall(match.group())]), match.end(), None
    expected = 'a step: .attribute, [0], [:5], ["key"], () or ("text")'
    raise fault(where, text, position, f"expected {expected}, or | before an alternative")


def _parse_literal(part: str, text: str, offset: int, where: str) -> object:
    if part[0] in "\"'" and _QUOTED.match(part) is None:
        raise fault(where, text, offset, "expected one quoted text")
    return literal_of(part)


def literal_of(part: str) -> object:
    """Return the value of a literal that was found whole: a quoted text, a number, a word, or any other text."""
    if part[0] in "\"'":
        return _ESCAPED.sub(r"\1", part[1:-1])
    if _NUMBER.match(part):
        return float(part) if any(c in part for c in ".eE") else int(part)
    return WORDS.get(part.lower(), part)


def fault(where: str, text: str, position: int, expected: str) -> SelectorError:
    """Return the error of a text that is wrong at a position: what was expected, and the place shown."""
    return SelectorError(f"{where}: {expected} at position {position}\n    {text}\n    {' ' * position}^")


def _attribute(name: str) -> Step:
    # Asking whether something is a mapping costs more than the look-up; what comes is mostly of one type.
    plain: type | None = None

    def step(value: Any) -> Any:
        nonlocal plain
        kind = type(value)
        if kind is plain:
            return getattr(value, name)
        # A mapping's key before its attribute: results of many functions are plain dicts.
        if kind is dict or isinstance(value, Mapping):
            return value.get(name)
        plain = kind
        return getattr(value, name)

    return step


def _subscript(key: object) -> Step:
    def step(value: Any) -> Any:
        return value[key]

    return step


def _call(value: Any) -> Any:
    return value()


def _call_on_text(arguments: list[object]) -> Step:
    def step(value: Any) -> Any:
        # A program's own methods may do anything with what they are given; a text's can only look at it.
        if type(value) is not BuiltinMethodType or type(value.__self__) is not str:
            raise TypeError("not a method of a text")
        return value(*arguments)

    return step


def evaluator(selector: Selector, roots: Mapping[str, Root], *, quiet: bool = False) -> Root:
    """Return a function from a call to the selector's value.

    Args:
        selector: The chain.
        roots: How each root in it is found.
        quiet: True where failing is expected (conventions look for what may not be there): nothing is logged.
    """
    readers = [_term_reader(term, roots) for term in selector.terms]
    if len(readers) == 1 and not selector.terms[0].steps:
        return readers[0]
    reported = quiet

    def report(error: Exception) -> None:
        nonlocal reported
        if not reported:
            reported = True
            logger().debug("usagetrace: selector %s gives nothing: %s", selector.text, type(error).__name__)

    if len(readers) == 1 and len(selector.terms[0].steps) == 1:
        # `$result.total`, the most frequent form, with as few calls as possible.
        root, only = roots[selector.terms[0].root], selector.terms[0].steps[0]

        def evaluate_one(call: Call) -> Any:
            try:
                value = root(call)
                return None if value is None else only(value)
            except Exception as error:  # noqa: BLE001 -- the user's objects may raise anything; a selector never does
                report(error)
                return None

        return evaluate_one

    def evaluate(call: Call) -> Any:
        for reader in readers:
            try:
                value = reader(call)
            except Exception as error:  # noqa: BLE001 -- as above
                report(error)
                continue
            if value is not None:
                return value
        return None

    return evaluate


def _term_reader(term: Term, roots: Mapping[str, Root]) -> Root:
    if term.is_literal:
        literal = term.literal
        return lambda _call: literal
    root, steps = roots[term.root], term.steps
    if not steps:
        return root

    def read(call: Call) -> Any:
        value = root(call)
        for step in steps:
            if value is None:
                return None
            value = step(value)
        return value

    return read

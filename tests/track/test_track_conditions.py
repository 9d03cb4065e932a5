"""Conditions: their grammar judges as Python does, every fault is shown at its place, nothing raises at run time."""

from __future__ import annotations

import contextlib
import enum
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import track
from usagetrace.errors import SelectorError
from usagetrace.track import conditions
from usagetrace.track.call import Call, Parameters

# Expressions as (text for Python, how tightly it binds); ours differs by the $ alone.
OR, AND, NOT, COMPARISON, OPERAND = range(5)
NAMES = ("a", "b", "c")
WORDS = st.text("xyz", max_size=3)


def at_least(expression: tuple[str, int], level: int) -> str:
    """Return an expression's text, in parentheses where it binds too loosely to stand there."""
    text, own = expression
    return text if own >= level else f"({text})"


def joined(word: str, level: int) -> Any:
    """Return how two or three expressions are joined by a word."""
    return lambda parts: (f" {word} ".join(at_least(part, level + 1) for part in parts), level)


def extended(inner: Any) -> Any:
    """Return a strategy of expressions made of others."""
    symbols = st.sampled_from(("==", "!=", "<", "<=", ">", ">=", "in", "not in"))
    several = st.lists(inner, min_size=2, max_size=3)
    return (
        several.map(joined("or", OR))
        | several.map(joined("and", AND))
        | inner.map(lambda part: (f"not {at_least(part, NOT)}", NOT))
        | inner.map(lambda part: (f"( {part[0]} )", OPERAND))
        | st.tuples(operands, symbols, operands).map(lambda part: (f"{part[0]} {part[1]} {part[2]}", COMPARISON))
    )


operands = st.sampled_from(tuple(f"${name}" for name in NAMES)) | WORDS.map(lambda word: f'"{word}"')
expressions = st.recursive(operands.map(lambda text: (text, OPERAND)), extended, max_leaves=12)


def judged(text: str, **arguments: Any) -> Any:
    """Return what a condition gives for the arguments of a call."""
    parameters = Parameters(eval(f"lambda {', '.join(arguments)}: None") if arguments else None)
    condition = conditions.parse(text, "f, field skip_if")
    roots = {term.root: parameters.reader(term.root) for term in condition.terms if not term.is_literal}
    return conditions.evaluator(condition, roots)(Call(parameters, None, (), arguments))


@given(expression=expressions, values=st.tuples(WORDS, WORDS, WORDS))
def test_a_condition_judges_as_python_does(expression: tuple[str, int], values: tuple[str, str, str]) -> None:
    """Printed with as few parentheses as Python needs, an expression of texts is true exactly where it is in Python."""
    arguments = dict(zip(NAMES, values, strict=True))
    assert bool(judged(expression[0], **arguments)) is bool(eval(expression[0].replace("$", ""), {}, arguments))


@given(text=st.text("$ab.[]()0\"'|=!<> \\\nnotandriu5-\0\u0663\u2028\xe9", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever is written is a condition or a SelectorError."""
    with contextlib.suppress(SelectorError):
        assert conditions.parse(text, "f, field skip_if").text == text


class Colour(enum.Enum):
    """Stands for a status of a program's own."""

    RED = "red"


CASES: list[tuple[str, Any, Any]] = [
    # text, value of $a, what comes out
    ("$a == 5", 5, True),
    ("$a == 5.0", 5, True),
    ("$a == -1", -1, True),
    ("$a == 1e3", 1000, True),
    ("$a == true", True, True),
    ("$a == none", None, True),
    ("$a == null", 0, False),
    ("$a == 'red'", Colour.RED, True),
    ("'red' in $a", [Colour.RED], True),
    ("'red' not in $a", (Colour.RED,), False),
    ("$a == '/srv/shop'", pathlib.PurePosixPath("/srv/shop"), True),
    ("'k' in $a", {"k": 1}, True),
    ("'b' in $a", "abc", True),
    ("$a.x | 'none' == 'none'", {"x": None}, True),
    ("($a.x | 3) < 4", {}, True),
    ("not $a", [], True),
    ("not not $a", [], False),
    ("$a['or'] and $a[\"not\"]", {"or": 1, "not": 2}, True),
    ("$a.in and $a.and", {"in": 1, "and": 2}, True),
    ("$a.x() == 1", type("X", (), {"x": lambda self: 1})(), True),
    ("$a[1:] == $a[1:]", [1, 2], True),
    ("$a==5 and $a<6", 5, True),
    ("($a)", "value", "value"),
    ("$a", "value", "value"),
    ("$a | word", None, "word"),
    # A comparison that can't be made is false.
    ("$a < 5", None, False),
    ("not ($a < 5)", None, True),
    ("$a in 5", 1, False),
    ("1 in $a", None, False),
]


@pytest.mark.parametrize(("text", "value", "expected"), CASES)
def test_forms(text: str, value: Any, expected: Any) -> None:
    """Every form of operand and comparison, on a value that it is meant for, and on one that it is not."""
    found = judged(text, a=value)
    assert (found, type(found)) == (expected, type(expected))


def test_an_iterator_is_not_used_up() -> None:
    """A condition that asks what is in an iterator does not hold, and leaves it to the program."""
    numbers: Iterator[int] = iter([1, 2, 3])
    assert judged("1 in $a", a=numbers) is False
    assert list(numbers) == [1, 2, 3]


class Untellable:
    """A value that has no truth, as arrays of several elements have none."""

    def __bool__(self) -> bool:
        raise ValueError("planted")


@pytest.mark.parametrize("text", ["not $a", "$b or $a", "not ($b or $a)", "$a and true", "not not $a"])
def test_what_can_not_be_judged_does_not_hold(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A condition with an operand whose truth can't be told does not hold, however it is written; logged once."""
    caplog.set_level(logging.DEBUG, "usagetrace")
    condition = conditions.parse(text, "f")
    parameters = Parameters(lambda a, b: None)
    holds = conditions.judge(condition, {name: parameters.reader(name) for name in "ab"})
    call = Call(parameters, None, (Untellable(), False), {})
    assert [holds(call), holds(call)] == [False, False]
    assert [r.getMessage() for r in caplog.records] == [f"usagetrace: condition {text} can't be judged: ValueError"]


FAULTS = {
    "$": ("expected a name after $", 1),
    "$a or": ("a text in quotes", 5),
    "$a or or $b": ("a text in quotes", 6),
    "not ": ("a text in quotes", 4),
    "($a": ("expected a closing )", 3),
    "$a and ($b or 1": ("expected a closing )", 15),
    "$a)": ("expected and, or, a comparison, or the end", 2),
    "()": ("a text in quotes", 1),
    "$a = 1": ("expected == or !=", 3),
    "$a ! 1": ("expected == or !=", 3),
    "$a == ": ("a text in quotes", 6),
    "$a == merge": ("a text in quotes", 6),
    "$a | merge == 1": ("a text in quotes", 5),
    "$a | 1 | $b == 1": ("a literal may only end a chain", 5),
    "$a == 'x": ("expected a closing '", 8),
    "$a < 1 < 2": ("a comparison has two sides", 7),
    "$a not $b": ("expected and, or, a comparison, or the end", 3),
    "$a. == 1": ("expected an attribute's name after the dot", 3),
    "$a[ == 1": ("expected a step", 2),
    "$a(1) == 1": ("expected a step", 2),
    "$a == 5.": ("a text in quotes", 6),
    "$a $b and 1": ("expected and, or, a comparison, or the end", 3),
    "(" * 31 + "$a" + ")" * 31: ("at most 30 levels", 30),
    "not " * 31 + "$a": ("at most 30 levels", 123),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults_show_their_place(text: str) -> None:
    """A faulty condition raises at decoration, with the function, the field, what was expected and a caret below."""
    part, position = FAULTS[text]

    def named(a: int, b: int) -> None: ...

    with pytest.raises(SelectorError) as caught:
        track.deploy(skip_if=text)(named)
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith("track.deploy on ")
    assert "named, field skip_if: " in first
    assert part in first
    assert first.endswith(f"at position {position}")
    assert (shown.strip(), caret.index("^") - 4) == (text.strip(), position)


@pytest.mark.parametrize("field", ["skip_if", "outcome"])
@pytest.mark.parametrize("text", ["$nam == 1", "not $nam", "($a or $nam)"])
def test_unknown_names_are_shown(field: str, text: str) -> None:
    """A parameter that there is not is named, at its place, in either field."""
    with pytest.raises(SelectorError, match=f"field {field}: no parameter 'nam'") as caught:
        track.deploy(**{field: text})(lambda a: None)  # type: ignore[call-overload]
    assert str(caught.value).split("\n")[2].index("^") - 4 == text.index("$nam")


def test_depth_is_for_nesting_alone() -> None:
    """Many conditions side by side are no nesting."""
    assert judged(" or ".join(["($a == 1)", "not $a"] * 100), a=1) is True


def test_skip_if_takes_a_condition(spans: Any) -> None:
    """A call whose condition holds is not recorded, before it where the parameters say so, else after it."""
    early = track.deploy(skip_if="$dry_run or not $names")(lambda names, dry_run=False: None)
    late = track.deploy(skip_if="$result == 0 or $dry_run")(lambda names, dry_run=False: len(names))
    for deploy in (early, late):
        deploy(["a"], True)
        deploy([])
        deploy(["a"])
    assert spans.names == ["deploy", "deploy"]


@pytest.mark.parametrize(
    ("outcome", "result", "expected"),
    [
        ("$result.code == 0", {"code": 0}, None),
        ("$result.code == 0", {"code": 3}, "_OTHER"),
        ("not $result.errors", {"errors": []}, None),
        ("not $result.errors", {"errors": ["planted"]}, "_OTHER"),
        ("$result.status | success", {"status": None}, None),
        ("$result.status | success", {"status": "failed"}, "_OTHER"),
    ],
)
def test_outcome_takes_a_condition(spans: Any, outcome: str, result: Any, expected: str | None) -> None:
    """A condition as outcome says whether the call succeeded; a selector alone keeps the word that it finds."""
    track.deploy(outcome=outcome)(lambda name: result)("canvas")
    assert spans.attributes().get("error.type") == expected


def test_blocks_take_texts_as_they_are(spans: Any) -> None:
    """In a block a condition is a text like any other: a true one skips it, and no outcome is called so."""
    with track.deploy(artifact_name="canvas", outcome="not $x"):
        pass
    with track.deploy(artifact_name="canvas", skip_if="not true"):
        pass
    assert (spans.names, spans.attributes().get("error.type")) == (["deploy"], None)

"""The language of selectors: every form, every fault with its place, and what a selector never does."""

from __future__ import annotations

import logging
import pathlib
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from usagetrace import track
from usagetrace.errors import SelectorError, UsageTraceError
from usagetrace.track.call import Call, Parameters
from usagetrace.track.selectors import parse


class Thing:
    """What selectors look into."""

    name = "canvas"
    kind = None
    numbers = (10, 11, 12, 13, 14, 15)
    table: ClassVar = {"key": "value", "a|b": "bar", "it's": "quote", "": "empty", "name": "entry", "42": "text"}

    def method(self) -> str:
        """Return a text."""
        return "called"

    def chain(self) -> Thing:
        """Return itself."""
        return self

    @property
    def broken(self) -> str:
        """Fail."""
        raise RuntimeError("planted secret")


def target(
    thing: Any, other: Any = "default", /, plain: Any = None, *rest: Any, only: Any = "only", **more: Any
) -> Any:
    """Return the thing; its parameters are of every kind."""
    return thing


def value_of(spans: Any, selector: str, *args: Any, **kwargs: Any) -> Any:
    """Return what a selector, as a metadata key of a call of target, records."""
    track("x", metadata={"k": selector})(target)(*args, **kwargs)
    value = spans.metadata().get("k")
    spans.clear()
    return list(value) if isinstance(value, tuple) else value


FORMS: dict[str, Any] = {
    "$thing.name": "canvas",
    "$result.name": "canvas",
    "$thing.method()": "called",
    "$thing.chain().chain().name": "canvas",
    "$thing.name.upper()": "CANVAS",
    '$thing.name.split("v")[0]': "can",
    "$thing.name.replace( 'can' , \"|\" ).upper()": "|VAS",
    '$thing.name.replace("\\"", "").removesuffix("vas") | "none"': "can",
    "$thing.name('x') | nothing": "nothing",
    "$thing.method('x') | nothing": "nothing",
    "$thing.table.get('key') | nothing": "nothing",
    "$thing.name.split('n', 'x') | nothing": "nothing",
    "$thing.numbers[0]": 10,
    "$thing.numbers[-1]": 15,
    "$thing.numbers[ 1 ]": 11,
    "$thing.numbers[:2]": [10, 11],
    "$thing.numbers[4:]": [14, 15],
    "$thing.numbers[1:3]": [11, 12],
    "$thing.numbers[::2]": [10, 12, 14],
    "$thing.numbers[-2:]": [14, 15],
    "$thing.numbers[:2][0]": 10,
    '$thing.table["key"]': "value",
    "$thing.table['key']": "value",
    '$thing.table["a|b"]': "bar",
    '$thing.table["it\'s"]': "quote",
    '$thing.table[""]': "empty",
    '$thing.table["42"]': "text",
    "$thing.table.key": "value",
    "$thing.table.name": "entry",
    "$thing.table.missing": None,
    '$thing.table["missing"]': None,
    "$thing.kind": None,
    "$thing.kind.name": None,
    "$thing.kind | $thing.name": "canvas",
    "$thing.kind|$thing.name": "canvas",
    "$thing.missing | $thing.broken | $thing.numbers[99] | $thing.name": "canvas",
    "$thing.kind | fallback": "fallback",
    "$thing.kind | two words": "two words",
    '$thing.kind | "quoted | with bar"': "quoted | with bar",
    "$thing.kind | 'it is \"quoted\"'": 'it is "quoted"',
    '$thing.kind | "back\\\\slash \\" quote"': 'back\\slash " quote',
    '$thing.kind | "$literal"': "$literal",
    "$thing.kind | größe ✓": "größe ✓",
    "$thing.kind | 5": 5,
    "$thing.kind | -5": -5,
    "$thing.kind | 2.5": 2.5,
    "$thing.kind | 1e3": 1000.0,
    '$thing.kind | "5"': "5",
    "$thing.kind | true": True,
    "$thing.kind | False": False,
    "$thing.kind | none": None,
    "$thing.kind | null": None,
    "$thing.name | never": "canvas",
    "$other": "default",
    "$only": "only",
    "$plain": None,
    "$error": None,
    "$self": None,
    "$extra": None,
}


@pytest.mark.parametrize("selector", FORMS)
def test_forms(spans: Any, selector: str) -> None:
    """Each form of a selector gives its value."""
    value = value_of(spans, selector, Thing())
    assert (value, type(value)) == (FORMS[selector], type(FORMS[selector]))


PASSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]] = {
    "$other": (("t", "given"), {}, "given"),
    "$plain": (("t", "o", "third"), {}, "third"),
    "$plain ": (("t",), {"plain": "by name"}, "by name"),
    "$only": (("t",), {"only": "by name"}, "by name"),
    "$rest": (("t", "o", "p", 4, 5), {}, [4, 5]),
    "$rest[0]": (("t", "o", "p", 4, 5), {}, 4),
    "$rest ": (("t",), {}, []),
    "$more": (("t",), {"extra": 1, "only": 2}, "{'extra': 1}"),
    "$more.extra": (("t",), {"extra": 1}, 1),
    "$extra": (("t",), {"extra": "through"}, "through"),
    "$extra | none given": (("t",), {}, "none given"),
}


@pytest.mark.parametrize("selector", PASSED)
def test_parameters_are_found_however_they_were_passed(spans: Any, selector: str) -> None:
    """$parameter gives what the parameter is bound to: by position, by name, by default, gathered, or through **."""
    args, kwargs, expected = PASSED[selector]
    value = value_of(spans, selector, *args, **kwargs)
    assert (str(dict(value)) if hasattr(value, "keys") else value) == expected


def test_keywords_named_like_positional_only_parameters(spans: Any) -> None:
    """A keyword with the name of a positional-only parameter belongs to **more, not to the parameter."""
    assert value_of(spans, "$thing", "positional", thing="keyword") == "positional"
    assert dict(value_of(spans, "$more", "positional", thing="keyword")) == {"thing": "keyword"}


# Selector -> (position of the fault, part of the message).
FAULTS: dict[str, tuple[int, str]] = {
    "$": (1, "a name after $"),
    "$ thing": (1, "a name after $"),
    "$1": (1, "a name after $"),
    "$thing.": (7, "an attribute's name"),
    "$thing..name": (7, "an attribute's name"),
    "$thing.1": (7, "an attribute's name"),
    "$thing[": (6, "expected a step"),
    "$thing[x]": (6, "expected a step"),
    "$thing[1.5]": (6, "expected a step"),
    "$thing(1)": (6, "expected a step"),
    "$thing('a',)": (6, "expected a step"),
    "$thing('a', 1)": (6, "expected a step"),
    "$thing name": (6, "expected a step"),
    "$thing.name + 1": (11, "expected a step"),
    "$thing |": (8, "a selector or a literal"),
    "$thing | | 1": (9, "a selector or a literal"),
    "$thing | literal | $other": (9, "a literal may only end a chain"),
    "$thing | $nope": (9, "no parameter 'nope'"),
    "$nope": (0, "no parameter 'nope'"),
    "$thing | $": (10, "a name after $"),
    '$thing | "open': (14, "a closing"),
    "$thing['open]": (13, "a closing '"),
    "$item.name": (0, "where the field each is given"),
    "$rank": (0, "where the field each is given"),
}


@pytest.mark.parametrize("selector", FAULTS)
def test_faults_raise_at_decoration_with_their_place(selector: str) -> None:
    """A bad selector raises where the function is decorated; the message names function, field and place."""

    def deploy(thing: Any, other: Any) -> None: ...

    position, part = FAULTS[selector]
    with pytest.raises(SelectorError) as caught:
        track.deploy(artifact_name=selector)(deploy)
    message = str(caught.value)
    first, shown, caret = message.split("\n")
    assert part in first
    assert f"position {position}" in first
    assert "deploy" in first
    assert "field artifact_name" in first
    assert (shown, caret) == (f"    {selector}", "    " + " " * position + "^")
    assert isinstance(caught.value, UsageTraceError | ValueError)


def test_field_of_a_metadata_key_is_named() -> None:
    """A fault in a metadata value names the key."""
    with pytest.raises(SelectorError, match=r"metadata\['score'\]"):
        track.deploy(metadata={"score": "$nope"})(lambda thing: None)


@pytest.mark.parametrize("field", ["artifact_name", "outcome", "skip_if", "each", "metadata", "session_id"])
def test_every_field_takes_and_checks_selectors(field: str) -> None:
    """Each field that takes a value compiles its selector at decoration, and names itself in the fault."""
    with pytest.raises(SelectorError, match=f"field {field}"):
        track.deploy(**{field: "$thing["})(lambda thing: None)


def test_place_of_an_unknown_root_that_another_begins_with() -> None:
    """The position of an unknown parameter is its own, although a longer name before it begins alike."""
    with pytest.raises(SelectorError, match="position 9"):
        track.deploy(artifact_name="$names | $name")(lambda names: None)


def test_endless_number_is_a_fault_of_the_selector() -> None:
    """A number that can't be an index raises SelectorError."""
    with pytest.raises(SelectorError):
        parse("$thing[" + "9" * 5000 + "]", "here")


def test_slice_with_step_zero_is_a_fault() -> None:
    """A slice that can never work raises at decoration."""
    with pytest.raises(SelectorError):
        parse("$thing[::0]", "here")


def test_two_quoted_texts_are_a_fault() -> None:
    """Two quoted texts side by side are no literal."""
    with pytest.raises(SelectorError):
        parse("$thing | 'a' 'b'", "here")


@given(text=st.text(max_size=40))
@example(text="a[::]")
@example(text="a | ''")
@example(text="a['\\']")
def test_parse_raises_nothing_but_selector_errors(text: str) -> None:
    """Whatever follows the dollar, parsing gives a selector or a SelectorError whose place lies in the text."""
    try:
        selector, fault = parse("$" + text, "here"), ""
    except SelectorError as error:
        selector, fault = None, str(error)
    if selector is None:
        assert fault.startswith("here: ")
    else:
        assert (selector.text, selector.terms[0].is_literal) == ("$" + text, False)


_PIECES = st.lists(
    st.sampled_from(
        ["$", "thing", ".", "[", "]", "0", ":", "'", '"', "|", " ", "()", "('a')", "-1", "\\", "é", "nope"]
    ),
    max_size=12,
)


@given(pieces=_PIECES)
def test_what_parses_never_raises_when_it_is_read(pieces: list[str]) -> None:
    """A selector made of the language's own pieces is refused at decoration or gives a value or None."""
    from usagetrace.track.selectors import evaluator

    parameters = Parameters(target)
    try:
        selector = parse("$thing" + "".join(pieces), "here")
    except SelectorError:
        return
    roots = {root: parameters.reader("thing") for root in {term.root for term in selector.terms}}
    evaluator(selector, roots)(Call(parameters, None, (Thing(),), {}))


def test_failing_selector_is_logged_once_at_debug(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A selector that fails gives nothing, costs no call, and is logged once at DEBUG without the values."""
    caplog.set_level(logging.DEBUG, "usagetrace")
    tracked = track("x", artifact_name="$thing.broken", metadata={"k": "$thing.name"})(target)
    thing = Thing()
    assert [tracked(thing), tracked(thing), tracked(thing)] == [thing] * 3
    records = [r for r in caplog.records if "$thing.broken" in r.getMessage()]
    assert [r.levelno for r in records] == [logging.DEBUG]
    assert "secret" not in caplog.text
    assert [s.attributes["usage.metadata.k"] for s in spans.finished] == ["canvas"] * 3


def test_failing_callable_gives_nothing(spans: Any) -> None:
    """A callable that raises gives None; the other fields are there."""

    def wrong(call: Call) -> Any:
        raise RuntimeError("planted")

    track("x", artifact_name=wrong, artifact_type="skill", outcome=wrong, metadata={"k": wrong, "l": 1})(target)("t")
    attributes = spans.attributes()
    assert (attributes.get("usage.artifact.name"), attributes["usage.artifact.type"]) == (None, "skill")
    assert spans.metadata() == {"l": 1}


def test_callables_see_the_whole_call(spans: Any) -> None:
    """A callable gets arguments by name with defaults, args, kwargs, instance and result."""
    seen: list[Any] = []

    class Owner:
        @track(
            "x", artifact_name=lambda call: seen.append((call.arguments, call.args, call.kwargs, call.result)) or "n"
        )
        def call(self, first: int, second: int = 2, **more: int) -> str:
            return "result"

    owner = Owner()
    owner.call(1, third=3)
    assert seen == [({"self": owner, "first": 1, "second": 2, "more": {"third": 3}}, (1,), {"third": 3}, "result")]
    assert spans.attributes()["usage.artifact.name"] == "n"


def test_error_is_known_to_selectors(spans: Any) -> None:
    """$error is the exception that was raised; $result is then None."""

    @track("x", metadata={"said": "$error.args[0]", "result": "$result | nothing"})
    def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        fail()
    assert spans.metadata() == {"said": "why", "result": "nothing"}


def test_self_and_cls(spans: Any) -> None:
    """$self is the instance and $cls its class, through instance, class, and in class methods."""

    class Owner:
        label = "of class"

        def __init__(self) -> None:
            self.label = "of instance"

        @track("x", metadata={"self": "$self.label", "cls": "$cls.label"})
        def method(self) -> None: ...

        @track("y", metadata={"self": "$self.label", "cls": "$cls.label"})
        @classmethod
        def of_class(cls) -> None: ...

        @classmethod
        @track("y", metadata={"self": "$self.label", "cls": "$cls.label"})
        def of_class_inside(cls) -> None: ...

    Owner().method()
    Owner.method(Owner())
    Owner.of_class()
    Owner().of_class_inside()
    instance, cls = ("of instance", "of class"), ("of class", "of class")
    assert [(s.attributes["usage.metadata.self"], s.attributes["usage.metadata.cls"]) for s in spans.finished] == [
        instance, instance, cls, cls
    ]  # fmt: skip


def test_special_roots_win_over_parameters_only_where_they_mean_something(spans: Any) -> None:
    """A parameter called item, index or rank is that parameter where the field each is not given."""

    @track("x", metadata={"item": "$item", "rank": "$rank"})
    def call(item: str, rank: int) -> None: ...

    call("thing", 7)
    assert spans.metadata() == {"item": "thing", "rank": 7}


def test_paths_and_literals(spans: Any) -> None:
    """A literal of any type is taken as it is; only texts that begin with a dollar are selectors."""
    metadata = {"n": 1, "f": 1.5, "b": False, "t": "costs $5", "p": pathlib.PurePosixPath("a/b"), "l": [1, "$x"]}
    track("x", metadata=metadata)(target)("t")
    recorded = spans.metadata()
    assert recorded == {"n": 1, "f": 1.5, "b": False, "t": "costs $5", "p": "a/b", "l": (1, "$x")}

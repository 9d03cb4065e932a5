"""Cases: a value, an outcome or an event type that depends on conditions; and the root $module."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from usagetrace import track
from usagetrace.errors import SelectorError
from usagetrace.track import runtime
from usagetrace.track.runtime import OFF, Runtime

STRATEGY = {"$link": "link", "not $copy": "$how | move", "else": "copy"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"link": True}, "link"),
        ({"link": True, "copy": False}, "link"),
        ({"copy": False}, "move"),
        ({"copy": False, "how": "carry"}, "carry"),
        ({}, "copy"),
    ],
)
def test_the_first_condition_that_holds_gives_the_value(spans: Any, arguments: Any, expected: str) -> None:
    """A literal, a selector, or else where none holds; among metadata and as any other field."""

    @track.deploy(metadata={"strategy": STRATEGY}, collection_name=STRATEGY)
    def deploy(name: str, link: bool = False, copy: bool = True, how: str | None = None) -> None: ...

    deploy("canvas", **arguments)
    assert (spans.metadata()["strategy"], spans.attributes()["usage.collection.name"]) == (expected, expected)


def test_else_counts_last_wherever_it_stands(spans: Any) -> None:
    """The place of else among the cases does not matter."""
    track.deploy(artifact_type={"else": "skill", "$agent": "agent"})(lambda name, agent: None)("canvas", True)
    assert spans.attributes()["usage.artifact.type"] == "agent"


def test_without_else_there_is_no_value(spans: Any) -> None:
    """Where no condition holds and there is no else, the field is not given."""
    track.deploy(metadata={"strategy": {"$link": "link"}})(lambda name, link: None)("canvas", False)
    assert "strategy" not in spans.metadata()


def test_cases_are_read_when_all_that_they_look_at_is_known(spans: Any) -> None:
    """Cases of parameters are judged before the call, those that name the result after it, of an item for each."""
    state = {"busy": True}
    early = {"$state['busy']": "busy", "else": "idle"}
    late = {"$result": "$state['busy']", "else": "none"}
    item = {"$item == $result": "last", "else": "$item"}

    @track.deploy(each="$names", artifact_name="$item", metadata={"early": early, "late": late, "place": item})
    def deploy(names: list[str], state: dict[str, Any]) -> str:
        state["busy"] = False
        return names[-1]

    deploy(["a", "b"], state)
    assert spans.metadata() == {"early": "busy", "late": False, "success": True}
    assert spans.attributes()["usage.item.metadata.place"] == ("a", "last")


@pytest.mark.parametrize(
    ("result", "status", "error", "told"),
    [
        ({"skipped": True}, "UNSET", None, "cancelled"),
        ({"errors": ["planted"]}, "ERROR", "_OTHER", None),
        ({}, "UNSET", None, None),
    ],
)
def test_outcome_as_cases(spans: Any, result: Any, status: str, error: str | None, told: str | None) -> None:
    """Cases say how a call ended; where none holds it is as it would be without."""
    track.remove(outcome={"$result.skipped": "cancelled", "$result.errors": "error"})(lambda name: result)("canvas")
    attributes = spans.attributes()
    assert (spans.finished[0].status.status_code.name, attributes.get("error.type")) == (status, error)
    assert attributes.get("usage.outcome") == told


def test_skip_if_as_cases(spans: Any) -> None:
    """Cases may say which calls are no events."""
    deploy = track.deploy(skip_if={"$force": False, "$dry_run": True})(lambda name, dry_run, force: None)
    deploy("a", True, False)
    deploy("b", True, True)
    assert spans.attributes()["usage.artifact.name"] == "b"


@pytest.mark.parametrize("literal", [{"a": 1}, {"else": 1}, {}, {"notes": 1, "nothing": 2}])
def test_other_mappings_are_literals(spans: Any, literal: Any) -> None:
    """A mapping without a condition among its keys is recorded as it is."""
    runtime.install(Runtime(None, None, spans.runtime.redactor, record=spans.take, service_name="t"))
    track.deploy(metadata={"table": literal})(lambda name: None)("canvas")
    assert spans.rows[0][6]["table"] == literal


@pytest.mark.parametrize(
    ("cases", "part"),
    [
        ({"$nam": "a"}, "no parameter 'nam'"),
        ({"$name ==": "a"}, "a text in quotes"),
        ({"$name": "$nam"}, "no parameter 'nam'"),
        ({"$name": "a", "other": "b"}, "the key 'other' is neither a condition"),
        ({"$name": "a", 5: "b"}, "the key 5 is neither a condition"),
        ({"$item": "a"}, "only known where the field each is given"),
    ],
)
def test_faulty_cases_raise_at_decoration(cases: Any, part: str) -> None:
    """A key that is no condition, or a selector that is wrong, names the function and the field."""

    def named(name: str) -> None: ...

    with pytest.raises(SelectorError, match=part) as caught:
        track.deploy(metadata={"strategy": cases})(named)
    assert "named, field metadata['strategy']: " in str(caught.value)


# --- the event type ------------------------------------------------------------------------------------------

EVENT = {"$upgrade": "update", "not $name": "search", "else": "deploy"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((None,), ["search"]), (("a",), ["deploy"]), (("a", True), ["update"])],
)
def test_the_event_type_is_chosen_when_the_call_begins(spans: Any, arguments: Any, expected: list[str]) -> None:
    """Cases of parameters choose what a call is; each type has its own conventions."""
    install = track(EVENT)(lambda name, upgrade=False, strategy="merge": name)
    assert install(*arguments) == arguments[0]
    assert spans.names == expected
    assert ("strategy" in spans.metadata()) is (expected == ["update"])


def test_an_event_that_is_none_is_not_tracked(spans: Any) -> None:
    """Where no condition holds and there is no else, the call is no event; calls inside it are their own."""
    inner = track.deploy(lambda name: None)
    outer = track({"$upgrade": "update"})(lambda name, upgrade: inner(name))
    outer("a", False)
    outer("b", True)
    assert spans.names == ["deploy", "deploy", "update"]


async def test_every_kind_of_function(spans: Any) -> None:
    """Coroutines, generators and methods are chosen for as well, and stay what they were."""

    class Shelf:
        upgrade = True

        @track({"$self.upgrade": "update", "else": "deploy"})
        def method(self, name: str) -> str:
            return name

        @track({"$cls.upgrade": "update", "else": "deploy"})
        @classmethod
        def of_class(cls, name: str) -> str:
            return name

        @staticmethod
        @track({"$name == 'a'": "update", "else": "deploy"})
        def static(name: str) -> str:
            return name

    @track(EVENT)
    async def later(name: str, upgrade: bool) -> str:
        return name

    @track(EVENT)
    def numbers(name: str, upgrade: bool) -> Any:
        yield name

    assert [Shelf().method("a"), Shelf.of_class("a"), Shelf.static("a"), Shelf.static("b")] == ["a", "a", "a", "b"]
    assert [await later("a", True), list(numbers("a", False))] == ["a", ["a"]]
    assert spans.names == ["update", "update", "update", "deploy", "update", "deploy"]
    assert type(later) is type(track.deploy(lambda: None))


def test_more_fields_keep_the_cases(spans: Any) -> None:
    """A tracker of cases that is given more fields keeps them."""
    track(EVENT)(artifact_type="skill")(lambda name, upgrade: None)("a", True)
    assert (spans.names, spans.attributes()["usage.artifact.type"]) == (["update"], "skill")


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ({"$result": "update"}, "chosen when the call begins"),
        ({"$error or $name": "update"}, "chosen when the call begins"),
        ({"$item": "update"}, "only known where the field each is given"),
        ({"$nam": "update"}, "no parameter 'nam'"),
        ({"name": "update", "$name": "deploy"}, "the key 'name' is neither"),
    ],
)
def test_faulty_event_cases_raise_at_decoration(event: Any, part: str) -> None:
    """What is only known after the call can't choose, and a fault is named with the function."""

    def named(name: str) -> None: ...

    with pytest.raises(SelectorError, match=part) as caught:
        track(event, each="$name")(named) if "$item" not in event else track(event)(named)
    assert "named, field event: " in str(caught.value)


@pytest.mark.parametrize(
    "event", [{}, {"name": "update"}, {"$name": ""}, {"$name": None}, {"$name": "x" * 600}, {"else": "deploy"}]
)
def test_event_cases_hold_names_of_event_types(event: Any) -> None:
    """Cases without a condition, or whose values are no event types, are refused at once."""
    with pytest.raises(SelectorError, match="event type"):
        track(event)


def test_a_block_names_its_event_type() -> None:
    """A block has no parameters to choose by."""
    with pytest.raises(SelectorError, match="a block"), track(EVENT):
        pass


def test_with_telemetry_off_nothing_is_judged(spans: Any) -> None:
    """Where the user said no, no condition is looked at."""
    asked: list[str] = []

    class Asks:
        @property
        def name(self) -> str:
            asked.append("name")
            return ""

    install = track({"$what.name": "update", "else": "deploy"})(lambda what: None)
    runtime.install(OFF)
    install(Asks())
    assert asked == []


def test_a_condition_that_fails_leaves_the_call_alone(spans: Any) -> None:
    """A condition that raises does not hold; the call runs and is what else says."""

    class Bad:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("planted")

        def __bool__(self) -> bool:
            raise RuntimeError("planted")

    install = track({"$what": "update", "$what.name": "remove", "not $what": "remove", "else": "deploy"})(
        lambda what: 5
    )
    assert install(Bad()) == 5
    assert spans.names == ["deploy"]


# --- $module -------------------------------------------------------------------------------------------------


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return a module of its own, with a setting and a function."""
    module = types.ModuleType("tool_of_cases")
    exec(
        "import functools\nSETTING = 'red'\n"
        "def deploy(name): return name\n"
        "def takes(name, module): return name\n"
        "def keywords(name, **more): return name\n"
        "class Shelf:\n    def deploy(self, name): return name\n"
        "part = functools.partial(deploy, name='canvas')\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


FIELDS: dict[str, Any] = {"metadata": {"colour": "$module.SETTING | none"}}


def test_module_is_where_the_function_is_defined(spans: Any, tool: Any) -> None:
    """$module is the module that a function, method or partial was defined in, as it is when the call comes."""
    track.deploy(**FIELDS)(tool.deploy)("canvas")
    track.deploy(**FIELDS)(tool.part)()
    shelf = type("Mine", (tool.Shelf,), {"deploy": track.deploy(**FIELDS)(tool.Shelf.deploy)})
    shelf().deploy("canvas")
    tool.SETTING = "blue"
    track.deploy(**FIELDS)(tool.deploy)("canvas")
    assert [span.attributes["usage.metadata.colour"] for span in spans.finished] == ["red", "red", "red", "blue"]


def test_a_parameter_named_module_wins(spans: Any, tool: Any) -> None:
    """A parameter of that name is meant by $module, and an argument that comes by ** too."""
    other = types.SimpleNamespace(SETTING="theirs")
    track.deploy(**FIELDS)(tool.takes)("canvas", other)
    track.deploy(**FIELDS)(tool.keywords)("canvas", module=other)
    track.deploy(**FIELDS)(tool.keywords)("canvas")
    assert [span.attributes["usage.metadata.colour"] for span in spans.finished] == ["theirs", "theirs", "red"]


def test_a_module_that_is_gone_is_nothing(spans: Any, tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the module was taken out of sys.modules, the selector goes on to the next term."""
    deploy = track.deploy(metadata={"colour": "$module.SETTING | grey"})(tool.deploy)
    monkeypatch.delitem(sys.modules, tool.__name__)
    deploy("canvas")
    assert spans.metadata()["colour"] == "grey"

"""What a method was called on: ``$self``, ``$cls``, the conventions and callables know it, whatever it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from usagetrace import track
from usagetrace.autoinstrument.patches import Ledger
from usagetrace.autoinstrument.target import Target

METADATA = {"self": "$self.label", "cls": "$cls.label"}
OF_INSTANCE = {"self": "of instance", "cls": "of class"}
OF_CLASS = {"self": "of class", "cls": "of class"}


def by_decorator(function: Any, name: str = "call", **fields: Any) -> type:
    """Return a class that holds a tracked function, decorated in its body."""
    tracked = track("x", **fields)(function)
    return type("Owner", (Labelled,), {name: tracked})


def by_target(function: Any, name: str = "call", **fields: Any) -> type:
    """Return a class that holds a function, tracked by a target."""
    module: Any = ModuleType("methods_receiver")
    module.Owner = type("Owner", (Labelled,), {name: function})
    Ledger().apply(Target(f"methods_receiver:Owner.{name}", "x", fields), module)
    return module.Owner  # type: ignore[no-any-return]  # made above


def by_hand(function: Any, name: str = "call", **fields: Any) -> type:
    """Return a class whose function is replaced by a tracked one when it is there already."""
    owner = type("Owner", (Labelled,), {name: function})
    setattr(owner, name, track("x", **fields)(vars(owner)[name]))
    return owner


WAYS = {"decorator": by_decorator, "target": by_target, "by hand": by_hand}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


class Labelled:
    """Has a label, and another as a class."""

    label = "of class"

    def __init__(self) -> None:
        self.label = "of instance"


def named_self(self: Any, first: int) -> None: ...


def named_otherwise(this: Any, first: int) -> None: ...


def unnamed(*arguments: Any) -> None: ...


def positional_only(this: Any, first: int, /) -> None: ...


@functools.lru_cache
def cached(this: Any, first: int) -> None: ...


@functools.wraps(named_otherwise)
def wrapper(*args: Any) -> None: ...


def generator(this: Any, first: int) -> Any:
    yield first


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (named_self, named_otherwise, unnamed, positional_only, cached, wrapper, generator)
}


@each_way
@pytest.mark.parametrize("name", FUNCTIONS)
def test_self_is_the_object_whatever_the_parameter_is_called(spans: Any, way: Any, name: str) -> None:
    """Through an instance, through the class, through a class that inherits, and bound beforehand."""
    owner = way(FUNCTIONS[name], metadata=METADATA)
    heir = type("Heir", (owner,), {})
    calls = (
        lambda: owner().call(1), lambda: owner.call(owner(), 2), lambda: heir().call(3), lambda: heir.call(heir(), 4),
        lambda: functools.partial(owner().call, 5)(),
    )  # fmt: skip
    for call in calls:
        result = call()
        if result is not None:
            list(result)
        assert spans.metadata() == OF_INSTANCE
        spans.clear()


@each_way
def test_self_is_known_where_the_function_goes_by_another_name(spans: Any, way: Any) -> None:
    """An attribute of a class need not be called what its function is called."""
    owner = way(named_otherwise, "renamed", metadata=METADATA)
    owner().renamed(1)
    assert spans.metadata() == OF_INSTANCE


@each_way
@pytest.mark.parametrize("parameter", ["cls", "kind"])
def test_a_class_method_is_called_on_its_class(spans: Any, way: Any, parameter: str) -> None:
    """$self and $cls are the class, through it and through an instance."""
    namespace: dict[str, Any] = {}
    exec(f"def call({parameter}, first): ...", namespace)
    owner = way(classmethod(namespace["call"]), metadata=METADATA)
    owner.call(1)
    owner().call(2)
    found = [{key: span.attributes[f"usage.metadata.{key}"] for key in METADATA} for span in spans.finished]
    assert found == [OF_CLASS, OF_CLASS]


@each_way
def test_what_gets_no_object_has_no_self(spans: Any, way: Any) -> None:
    """A static method's first argument is not what it was called on, though it is of the class."""
    owner = way(staticmethod(named_otherwise), metadata=METADATA)
    owner.call(owner(), 1)
    assert spans.metadata() == {}


@pytest.mark.parametrize("written", [False, True], ids=["in a module", "in a class"])
def test_a_function_does_not_take_its_first_argument_for_an_object(spans: Any, written: bool) -> None:
    """A function that stands in no class has no self, even where another function of its name does."""

    class Owner(Labelled):
        artifact_name = "not this"

        def call(this, first: int) -> None: ...

        @staticmethod
        @track("x", metadata=METADATA)
        def inside(first: Any) -> None: ...

    @track("x", metadata=METADATA)
    def call(first: Any) -> None: ...

    (Owner.inside if written else call)(Owner())
    assert spans.attributes().keys().isdisjoint({"usage.metadata.self", "usage.metadata.cls", "usage.artifact.name"})


@each_way
def test_conventions_look_at_the_object_of_a_method(spans: Any, way: Any) -> None:
    """Attributes of the object that are called like fields are taken, where the parameter is called self."""
    owner = way(named_self)
    owner.collection_name = "mine"
    owner().call(1)
    assert spans.attributes()["usage.collection.name"] == "mine"
    spans.clear()
    owner.call(owner(), 1)
    assert spans.attributes()["usage.collection.name"] == "mine"


def test_conventions_do_not_look_at_the_argument_of_a_function(spans: Any) -> None:
    """A function that stands in no class is no method, though its parameter is called self."""
    owner = type("Owner", (), {"collection_name": "mine"})
    track("x")(named_self)(owner(), 1)
    assert "usage.collection.name" not in spans.attributes()


@each_way
@pytest.mark.parametrize("name", ["named_self", "named_otherwise", "unnamed", "positional_only"])
def test_a_callable_sees_the_object_apart_from_the_arguments(spans: Any, way: Any, name: str) -> None:
    """``call.instance`` is the object and ``call.args`` are the others, however the method was reached."""
    seen: list[Any] = []
    owner = way(FUNCTIONS[name], artifact_name=lambda call: seen.append((call.instance, call.args, call.kwargs)))
    thing = owner()
    thing.call(1)
    owner.call(thing, 2)
    assert seen == [(thing, (1,), {}), (thing, (2,), {})]


def test_a_callable_of_a_function_sees_no_object(spans: Any) -> None:
    """``call.args`` of a function that stands in no class are all of its arguments."""
    seen: list[Any] = []
    tracked = track("x", artifact_name=lambda call: seen.append((call.instance, call.args)))(named_self)
    thing = Labelled()
    tracked(thing, 1)
    assert seen == [(None, (thing, 1))]


@each_way
def test_arguments_are_read_where_the_object_comes_first(spans: Any, way: Any) -> None:
    """A method's parameters have their values, and what gathers the rest does not gather the object."""

    def call(self: Any, first: int, second: int = 2, *rest: int) -> None: ...

    fields = {"metadata": {"first": "$first", "second": "$second", "rest": "$rest"}}
    owner = way(call, **fields)
    expected = {"first": 1, "second": 5, "rest": (6, 7)}
    owner().call(1, 5, 6, 7)
    assert spans.metadata() == expected
    spans.clear()
    owner.call(owner(), 1, 5, 6, 7)
    assert spans.metadata() == expected
    spans.clear()
    owner.call(self=owner(), first=1)
    assert spans.metadata() == {"first": 1, "second": 2, "rest": ()}
    spans.clear()
    way(unnamed, metadata={"all": "$arguments"})().call("a", "b")
    assert spans.metadata() == {"all": ("a", "b")}


def test_a_bound_method_is_tracked_with_its_object(spans: Any) -> None:
    """What was bound beforehand lacks the object in its signature, and knows it all the same."""

    class Owner(Labelled):
        def call(self, first: int, *rest: int) -> tuple[int, ...]:
            return first, *rest

    seen: list[Any] = []
    note: Any = lambda call: seen.append((call.instance, call.args)) or "n"  # noqa: E731 -- an expression notes
    owner = Owner()
    tracked = track("x", artifact_name=note, metadata={**METADATA, "first": "$first", "rest": "$rest"})(owner.call)
    assert tracked(1, 2, 3) == (1, 2, 3)
    assert spans.metadata() == {**OF_INSTANCE, "first": 1, "rest": (2, 3)}
    assert seen == [(owner, (1, 2, 3))]


def test_an_event_type_is_chosen_by_what_a_method_is_called_on(spans: Any) -> None:
    """Conditions see the object, whatever the parameter is called."""

    class Owner:
        def __init__(self, *, again: bool) -> None:
            self.again = again

        @track({"$self.again": "update", "else": "deploy"}, metadata={"first": "$first"})
        def call(this, first: int) -> None: ...

    Owner(again=True).call(1)
    Owner.call(Owner(again=False), 2)
    assert [(span.name, span.attributes["usage.metadata.first"]) for span in spans.finished] == [
        ("update", 1), ("deploy", 2)
    ]  # fmt: skip

"""Whatever a program can ask of a method or do with it: a tracked one gives what the bare one gives."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import operator
import pickle
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from tests.track.methods_world import WAYS, build, replace
from usagetrace.track.wrappers import TrackedDescriptor, TrackedFunction

Fact = Callable[[Any], Any]
FACTS: dict[str, Fact] = {}
# Reached through an instance and through a class.
METHODS = (
    "method", "odd", "any", "alias", "of_class", "of_class_inside", "static", "static_inside", "half", "cached",
    "awaited", "generated", "generated_async", "under", "over", "dispatched", "__init__", "__call__", "__len__",
)  # fmt: skip
BINDING = ("method", "odd", "any", "alias", "awaited", "generated", "under", "over", "cached", "__init__", "__call__")


def fact(function: Fact) -> Fact:
    """Enter what is compared under its name."""
    FACTS[function.__name__.replace("_", " ")] = function
    return function


def told(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a call gives, or what it raises."""
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            return "awaited", asyncio.run(result)
        if inspect.isgenerator(result):
            return "generated", list(result)
        if inspect.isasyncgen(result):
            return "generated", asyncio.run(_collected(result))
    except Exception as error:
        return type(error).__name__, str(error)
    return "returned", result


async def _collected(generator: Any) -> list[Any]:
    return [each async for each in generator]


@fact
def types_of_what_is_looked_up(m: Any) -> Any:
    shelf = m.Shelf()
    return {name: (_kind(getattr(shelf, name)), _kind(getattr(m.Shelf, name))) for name in METHODS}


@fact
def types_of_what_classes_hold(m: Any) -> Any:
    held = {f"{kind.__name__}.{name}": _kind(v) for kind in (m.Shelf, m.Colour) for name, v in vars(kind).items()}
    return {name: kind for name, kind in held.items() if "attribute" not in kind}


def _kind(value: Any) -> str:
    """Return the name of a type; functions that are tracked, which methods hold, are of one of ours."""
    return (value.__class__ if type(value) in (TrackedFunction, TrackedDescriptor) else type(value)).__name__


@fact
def identities(m: Any) -> Any:
    shelf, plain = m.Shelf(), m.Plain()
    names = (*BINDING[:4], "static", "static_inside", "generated")
    return {
        name: (
            getattr(m.Plain, name) is getattr(m.Shelf, name),
            getattr(m.Shelf, name) is getattr(m.Shelf, name),
            getattr(m.Shelf, name) is vars(m.Shelf)[name],
            getattr(getattr(shelf, name), "__func__", None) is getattr(m.Shelf, name),
            getattr(getattr(plain, name), "__func__", None) is getattr(m.Shelf, name),
            getattr(m.Shelf.of_class, "__func__", 0) is getattr(m.Plain.of_class, "__func__", 1),
            getattr(getattr(shelf, name), "__self__", None) is shelf,
        )
        for name in names
    }


@fact
def weak_methods(m: Any) -> Any:
    found = {}
    for name in ("method", "odd", "of_class", "awaited", "under", "over", "cached", "__call__"):
        shelf = m.Shelf()
        reference = weakref.WeakMethod(getattr(shelf, name))
        again = weakref.WeakMethod(getattr(shelf, name))
        alive = reference()
        found[name] = (
            told(alive, 1),
            alive == getattr(shelf, name),
            reference == again,
            hash(reference) == hash(again),
        )
        del shelf, alive
        found[name] += (reference() is None,)
    bound = weakref.WeakMethod(m.bound)()
    return found, told(bound, 1)


@fact
def equality_and_hash(m: Any) -> Any:
    shelf, another = m.Shelf("a"), m.Shelf("b")
    return {
        name: (
            getattr(shelf, name) == getattr(shelf, name),
            getattr(shelf, name) == getattr(another, name),
            getattr(shelf, name) == getattr(m.Shelf, name),
            len({getattr(shelf, name), getattr(shelf, name), getattr(another, name), getattr(m.Shelf, name)}),
            hash(getattr(shelf, name)) == hash(getattr(shelf, name)),
        )
        for name in BINDING
    }


@fact
def what_they_say_of_themselves(m: Any) -> Any:
    asked = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__defaults__", "__kwdefaults__")
    missing = object()
    return {
        (name, attribute): [
            None if value is missing else value
            for holder in (m.Shelf, m.Shelf())
            for value in [getattr(getattr(holder, name), attribute, missing)]
        ]
        for name in METHODS
        for attribute in asked
    }


@fact
def signatures(m: Any) -> Any:
    return {
        name: [told(lambda n=name, h=holder: str(inspect.signature(getattr(h, n)))) for holder in (m.Shelf, m.Shelf())]
        for name in METHODS
    }


@fact
def what_inspect_says(m: Any) -> Any:
    asks = (
        inspect.ismethod, inspect.isfunction, inspect.isroutine, inspect.iscoroutinefunction, callable,
        inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.ismethoddescriptor, inspect.isdatadescriptor,
    )  # fmt: skip
    return {
        (name, ask.__name__): [ask(getattr(holder, name)) for holder in (m.Shelf, m.Shelf())]
        for name in METHODS
        for ask in asks
    }


@fact
def members(m: Any) -> Any:
    found = {kind.__name__: sorted(_members(kind)) for kind in (m.Shelf, m.Sub, m.Meta, m.Colour, m.Slots, m.Abstract)}
    return found, sorted(_members(m.Shelf()))


def _members(holder: Any) -> list[str]:
    return [name for name, _ in inspect.getmembers(holder, lambda v: inspect.ismethod(v) or inspect.isfunction(v))]


@fact
def what_classes_are_said_to_hold(m: Any) -> Any:
    return sorted(
        (each.name, each.kind, each.defining_class.__name__)
        for kind in (m.Shelf, m.Sub, m.Colour)
        for each in inspect.classify_class_attrs(kind)
        # Whatever a class may have: not ours.
        if each.defining_class.__module__ == m.__name__
    )


@fact
def sources_and_hints(m: Any) -> Any:
    return (
        inspect.getsource(m.Shelf.method),
        inspect.getsource(m.Shelf().of_class),
        str(typing.get_type_hints(m.Shelf.method)),
        str(typing.get_type_hints(m.Shelf().method)),
    )


@fact
def calls_of_every_kind(m: Any) -> Any:
    shelf = m.Shelf("a")
    through_instance = {name: told(getattr(shelf, name), 1) for name in METHODS}
    through_class = {name: told(getattr(m.Shelf, name), shelf, 1) for name in METHODS}
    of_class = {name: told(getattr(m.Plain, name), 1) for name in METHODS}
    wrong = {name: told(getattr(shelf, name), 1, 2, 3, nothing=4) for name in METHODS}
    empty = {name: told(getattr(m.Shelf, name)) for name in METHODS}
    return through_instance, through_class, of_class, wrong, empty


@fact
def ways_to_reach_a_method(m: Any) -> Any:
    shelf, sub = m.Shelf("a"), m.Sub("b")
    held = vars(m.Shelf)["method"]
    return [
        m.Shelf.method(self=shelf, first=1),
        sub.method(1, third=2),
        super(m.Sub, sub).method(1),
        super(m.Sub, m.Sub).method(sub, 1),
        super(m.Sub, m.Sub).of_class(1),
        held.__get__(shelf)(1),
        held.__get__(shelf, m.Shelf)(1),
        held.__get__(None, m.Shelf)(shelf, 1),
        shelf.method.__get__(sub)(1),
        types.MethodType(m.Shelf.method, sub)(1),
        operator.methodcaller("method", 1)(shelf),
        functools.partial(shelf.method, 1)(),
        list(map(shelf.odd, (1, 2))),
        shelf.getter,
        (shelf.once, shelf.once is shelf.once),
        (shelf.cached(1) is shelf.cached(1), shelf.cached.cache_info().hits),
        m.Shelf.Inner().deep(1),
        m.bound(1),
        (m.bound.__self__.name, m.held.own(1), m.held.own.__self__ is m.held),
        told(m.Shelf.method, "not a shelf", 1),
    ]


@fact
def partial_methods_and_dispatch(m: Any) -> Any:
    shelf, plain = m.Shelf("a"), m.Plain("b")
    return (
        shelf.half(), m.Shelf.half(shelf, "x"), plain.half("y"), m.Plain.half(plain), shelf.half.__self__ is shelf,
        shelf.dispatched("x"), shelf.dispatched(1), m.Shelf.dispatched(shelf, "x"), told(m.Shelf.half),
    )  # fmt: skip


@fact
def special_methods(m: Any) -> Any:
    shelf = m.Shelf("a")
    with shelf as entered:
        raise LookupError("is swallowed")
    return (
        entered, shelf(1), len(shelf), list(shelf), shelf == m.Shelf("a"), shelf == 1, hash(shelf),
        m.Shelf[1], m.Plain[1], m.Sub.options, m.Plain.options, m.Shelf.__new__(m.Plain).artifact_name,
        type(shelf.__new__(m.Plain)).__name__, type(shelf).__name__, type("New", (m.Shelf,), {}, size=3).options,
    )  # fmt: skip


@fact
def other_kinds_of_classes(m: Any) -> Any:
    return (
        (m.Made.of_meta(1), type(m.Made()).__name__, hasattr(m.Made(), "of_meta"), m.Meta.of_meta(m.Made, 1)),
        (m.Concrete().method(1), told(m.Abstract), sorted(m.Abstract.__abstractmethods__)),
        (
            m.Colour.RED.shade(1),
            m.Colour.of_class(1),
            [each.name for each in m.Colour],
            m.Colour(1).shade.__self__ is m.Colour.RED,
        ),
        (isinstance(m.Shelf.Inner(), m.Protocol), isinstance(1, m.Protocol), m.Slots().method(1), str(m.Slots())),
        (m.Data().method(1), m.Data().after, m.Data() == m.Data(), m.Text("a").method(1), m.Text("a").upper()),
    )


@fact
def inherited_methods(m: Any) -> Any:
    heir, both = m.Heir("a"), m.Both("b")
    found = [
        (each.method(1), each.of_class(1), each.static(1), each.getter, each.once, each.half(), type(each).half(each))
        for each in (heir, both)
    ]
    m.Base.replaced = lambda self, first: ("after", self.name, first)
    replaced = (
        heir.replaced(1),
        m.Heir.replaced(heir, 1),
        told(m.Heir.method, "no heir", 1),
        m.Heir.method(self=heir, first=1),
    )
    m.Base.replaced = staticmethod(lambda first: ("static", first))
    m.Base.of_class = lambda first: ("no class", first)
    return found, replaced, heir.replaced(1), m.Heir.of_class(1), m.Both.of_class.__self__ is m.Both


@fact
def copies(m: Any) -> Any:
    shelf = m.Shelf("a")
    ways = {"copied": copy.copy, "deeply": copy.deepcopy, "pickled": lambda value: pickle.loads(pickle.dumps(value))}
    found: dict[Any, Any] = {}
    for how, way in ways.items():
        for name in ("method", "odd", "under", "of_class", "static", "awaited", "__call__"):
            again = way(getattr(shelf, name))
            found[how, name] = told(again, 1), _kind(again), getattr(again, "__self__", shelf) is shelf
            of_class = way(getattr(m.Shelf, name))
            found[how, name, "class"] = of_class == getattr(m.Shelf, name), of_class is getattr(m.Shelf, name)
        found[how, "object"] = way(shelf).method(1)
    found["reduced"] = [shelf.method.__reduce__()[0] is getattr, shelf.method.__reduce__()[1] == (shelf, "method")]
    return found


@fact
def mocks(m: Any) -> Any:
    spec = mock.create_autospec(m.Shelf)
    made = spec("a")
    before = vars(m.Shelf)["method"]
    with mock.patch.object(m.Shelf, "method", autospec=True, return_value="mocked") as patched:
        inside = m.Shelf("a").method(1), len(patched.call_args.args)
    with mock.patch.object(m.Shelf, "of_class", autospec=True) as of_class:
        told_class = told(m.Shelf.of_class)[0], told(of_class, 1)[0]
    return (
        told(made.method), told(made.method, 1)[0], told(made.of_class), told(spec.static), told(spec.odd, 1)[0],
        isinstance(made.awaited, mock.AsyncMock), inside, vars(m.Shelf)["method"] is before, told_class,
        m.Shelf("a").method(1), m.Shelf.of_class(1),
    )  # fmt: skip


@fact
def wrapped_by_somebody_else(m: Any) -> Any:
    shelf = m.Shelf("a")
    original = m.Shelf.method

    @functools.wraps(original)
    def outer(self: Any, *args: Any, **kwargs: Any) -> Any:
        return "outer", original(self, *args, **kwargs)

    m.Shelf.method = outer
    during = shelf.method(1), m.Plain("b").method(1), str(inspect.signature(shelf.method))
    m.Shelf.method = original
    updated = functools.update_wrapper(lambda *args: args, shelf.method)
    return (
        during, shelf.method(1), m.Shelf.method is original, vars(m.Shelf)["method"] is original, updated.__name__,
        updated.__wrapped__ == shelf.method, str(inspect.signature(updated)), updated.__doc__,
    )  # fmt: skip


@fact
def attributes_of_methods(m: Any) -> Any:
    shelf = m.Shelf()
    m.Shelf.method.note = "noted"
    return shelf.method.note, m.Plain.method.note, told(setattr, shelf.method, "note", 1), told(lambda: shelf.odd.note)


@fact
def asynchronous_calls(m: Any) -> Any:
    return (
        asyncio.run(_collected(m.Shelf("a").generated_async(1))),
        asyncio.run(m.Plain("a").awaited(1)),
        list(m.Shelf("a").generated(1)),
    )


@fact
def what_lives_on(m: Any) -> Any:
    shelf = m.Shelf()
    shelf.method(1)
    alive = weakref.ref(shelf)
    del shelf
    return alive() is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FACTS)
def test_a_tracked_method_is_like_the_bare_one(
    monkeypatch: pytest.MonkeyPatch, spans: Any, way: str, name: str
) -> None:
    """Types, identity, weak references, equality, signatures, calls, copies, mocks: all as without us."""
    module, _ = build(monkeypatch, None)
    expected = FACTS[name](module)
    assert spans.names == []
    module, ledger = build(monkeypatch, way)
    assert FACTS[name](module) == expected
    ledger.restore()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_reach_a_method_is_recorded(monkeypatch: pytest.MonkeyPatch, spans: Any, way: str) -> None:
    """Each call is one operation, however the method was reached."""
    module, _ = build(monkeypatch, way)
    shelf = module.Shelf("a")
    reached = (
        shelf.method, shelf.odd, shelf.of_class, shelf.static, shelf.cached, module.Plain("b").method, shelf.under,
        shelf.over, weakref.WeakMethod(shelf.method)(), pickle.loads(pickle.dumps(shelf.odd)), module.bound,
        functools.partial(module.Shelf.method, shelf), shelf.method.__get__(shelf), module.held.own, shelf.half,
        copy.deepcopy(shelf).method, super(module.Sub, module.Sub("c")).method, shelf.static_inside,
        module.Shelf.of_class_inside, module.Made.of_meta, module.Colour.RED.shade, module.Text("t").method, shelf.any,
    )  # fmt: skip
    spans.clear()
    for function in reached:
        assert callable(function)
        function(1)
    assert spans.names == ["x"] * len(reached)


def test_a_target_leaves_the_very_objects_behind(monkeypatch: pytest.MonkeyPatch, spans: Any) -> None:
    """Taken out, each class holds what it held, also where methods were taken and wrapped meanwhile."""
    module, _ = build(monkeypatch, None)
    module.__dict__.pop("decorate")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    before = [dict(vars(kind)) for kind in kinds]
    ledger = replace(module)
    taken = module.Shelf("a").method
    ledger.restore()
    for kind, held in zip(kinds, before, strict=True):
        assert {name: value for name, value in vars(kind).items() if held.get(name) is not value} == {}
        assert list(set(held) - set(vars(kind))) == []
    spans.clear()
    assert taken(1)[:3] == ("Shelf", "a", 1)
    assert spans.names == []

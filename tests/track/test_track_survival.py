"""What a function shows to inspect, typing, pickle, copy, functools and doctest survives being tracked."""

from __future__ import annotations

import abc
import copy
import dataclasses
import doctest
import functools
import inspect
import multiprocessing
import pickle
import types
import typing
from collections.abc import Callable
from typing import Any

import pytest

from tests.track import picklable
from tests.track.picklable import Shelf, bare, tracked
from usagetrace import track

PREDICATES = [
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.isbuiltin,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isabstract,
    callable,
]


def _function() -> None: ...


async def _coroutine() -> None: ...


def _generator() -> Any:
    yield


async def _async_generator() -> Any:
    yield


class _Owner:
    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def static() -> None: ...


SUBJECTS: dict[str, Any] = {
    "function": _function,
    "coroutine function": _coroutine,
    "generator function": _generator,
    "asynchronous generator function": _async_generator,
    "bound method": _Owner().method,
    "class method": _Owner.of_class,
    "static method": _Owner.static,
    "built-in": len,
    "partial": functools.partial(_function),
    "partial of coroutine function": functools.partial(_coroutine),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_predicates_survive(name: str) -> None:
    """Every predicate of inspect answers for a tracked callable as for the bare one."""
    subject = SUBJECTS[name]
    wrapped = track("x")(subject)
    assert [predicate(wrapped) for predicate in PREDICATES] == [predicate(subject) for predicate in PREDICATES]
    assert isinstance(wrapped, type(subject))


def test_signature_and_names_survive() -> None:
    """Signature, annotations, names, docstring, module, defaults and type hints are those of the bare function."""
    for name in ("__doc__", "__module__", "__defaults__", "__kwdefaults__", "__annotations__"):
        expected = getattr(bare, name)
        actual = getattr(tracked, name)
        if name == "__doc__":
            expected = expected.replace("bare", "tracked")
        assert (name, actual) == (name, expected)
    assert (tracked.__name__, tracked.__qualname__) == ("tracked", "tracked")
    assert inspect.signature(tracked) == inspect.signature(bare)
    assert typing.get_type_hints(tracked) == typing.get_type_hints(bare)
    assert inspect.getsource(tracked).startswith('@track("x")\ndef tracked')
    assert inspect.signature(Shelf("a").label) == inspect.signature(Shelf("a").plain)
    assert inspect.signature(Shelf.label) == inspect.signature(Shelf.plain)


def test_wrong_arguments_raise_where_they_would(spans: Any) -> None:
    """A call with wrong arguments raises the bare function's TypeError, at the call, also for coroutines."""
    for function in (bare, _coroutine, _generator, _async_generator):
        with pytest.raises(TypeError) as expected:
            function(no_such=1, second=2)  # type: ignore[operator]
        with pytest.raises(TypeError) as actual:
            track("x")(function)(no_such=1, second=2)  # type: ignore[operator]
        assert str(actual.value) == str(expected.value)


def test_module_level_functions_pickle() -> None:
    """A tracked function is pickled by name and comes back as itself."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(tracked, protocol)) is tracked


def test_bound_methods_pickle(spans: Any) -> None:
    """A bound tracked method, of an instance or a class, comes back bound to an equal owner."""
    assert pickle.loads(pickle.dumps(Shelf("canvas").label))("!") == "canvas!"
    assert pickle.loads(pickle.dumps(Shelf.make))() == "Shelf"


@pytest.mark.parametrize("name", ["label", "double"])
def test_functions_of_a_class_pickle(name: str) -> None:
    """A method looked up on its class, and a staticmethod, are pickled by qualified name as bare ones are."""
    function = getattr(Shelf, name)
    assert pickle.loads(pickle.dumps(function)) == function


def test_functions_pass_to_spawned_processes() -> None:
    """A tracked function and a bound method run in a spawned process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(tracked, [1]) == [{"first": 1}]
        assert pool.apply(Shelf("canvas").label, ("?",)) == "canvas?"
        pool.close()
        pool.join()


def test_functions_are_copied_as_functions_are(spans: Any) -> None:
    """copy and deepcopy of a tracked function give the function itself."""
    assert copy.copy(tracked) is tracked
    assert copy.deepcopy({"f": tracked})["f"] is tracked
    assert copy.copy(Shelf("canvas").label)() == "canvas"


def test_deep_copy_of_a_bound_method_is_bound_to_the_copy(spans: Any) -> None:
    """An object that keeps its own bound method is copied with the method bound to the copy, as without us."""

    def rename(method_name: str) -> str:
        shelf: Any = Shelf("original")
        shelf.callback = getattr(shelf, method_name)
        clone = copy.deepcopy(shelf)
        clone.name = "clone"
        return str(clone.callback())

    assert rename("label") == rename("plain") == "clone"


def test_bound_methods_are_equal_and_hash_alike() -> None:
    """Two look-ups of one method are equal and one element of a set; those of two owners are not."""
    shelf, other = Shelf("a"), Shelf("b")
    assert shelf.label == shelf.label
    assert len({shelf.label, shelf.label}) == 1
    assert shelf.label != other.label


def test_attributes_can_be_set_and_read(spans: Any) -> None:
    """Attributes of a tracked function are those of the function."""

    @track("x")
    def call() -> None: ...

    call.marker = 1  # type: ignore[attr-defined]
    assert call.__wrapped__.marker == 1  # type: ignore[attr-defined]
    assert call.__dict__ == {"marker": 1}


def test_functools_around_tracked_functions(spans: Any) -> None:
    """lru_cache, cached_property, partial, singledispatch and wraps work around tracked functions."""
    shelf = Shelf("canvas")
    assert shelf.cached is shelf.cached
    calls: list[int] = []

    @functools.lru_cache(maxsize=2)
    @track("x")
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    assert (square(3), square(3), calls) == (9, 9, [3])

    @functools.singledispatch
    @track("x")
    def describe(value: object) -> str:
        return "object"

    @describe.register
    @track("x")
    def _(value: int) -> str:
        return "int"

    assert (describe("a"), describe(1)) == ("object", "int")
    assert functools.partial(tracked, 5)() == {"first": 5}
    assert functools.wraps(tracked)(lambda: None).__name__ == "tracked"


def test_cache_of_a_tracked_cached_function_is_reachable(spans: Any) -> None:
    """What a cached function offers, cache_info and cache_clear, is offered by the tracked one."""

    @track("x")
    @functools.lru_cache(maxsize=None)  # noqa: UP033 -- its own name is what is tested
    def square(number: int) -> int:
        return number * number

    square(2)
    square(2)
    assert square.cache_info().hits == 1
    square.cache_clear()


def test_doctests_are_found() -> None:
    """doctest finds and runs the examples of a tracked function."""
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    tests = {test.name.rpartition(".")[2]: test for test in finder.find(picklable, "picklable")}
    assert {"bare", "tracked"} <= set(tests)
    assert runner.run(tests["tracked"]) == doctest.TestResults(0, 1)


def test_abstract_classes_stay_abstract() -> None:
    """A class with a tracked abstract method, in either order, or property can't be made; one that defines it can."""

    def make(decorate: Callable[[Any], Any]) -> type:
        def call(self: Any) -> None: ...

        return abc.ABCMeta("Base", (), {"call": decorate(call)})

    orders: list[Callable[[Any], Any]] = [
        lambda f: track("x")(abc.abstractmethod(f)),
        lambda f: abc.abstractmethod(track("x")(f)),
        lambda f: track("x")(property(abc.abstractmethod(f))),
    ]
    for order in orders:
        base = make(order)
        assert inspect.isabstract(base)
        with pytest.raises(TypeError, match="abstract"):
            base()
        assert type("Concrete", (base,), {"call": lambda self: None})() is not None


def test_properties_keep_setter_deleter_and_docstring(spans: Any) -> None:
    """A tracked property has the setter, deleter and docstring of the bare one, and can still be given others."""

    class Owner:
        _value = 1

        @track("x")
        @property
        def value(self) -> int:
            """Hold a value."""
            return self._value

        @value.setter
        def value(self, value: int) -> None:
            self._value = value

    owner = Owner()
    owner.value = 5
    assert (owner.value, Owner.__dict__["value"].__doc__) == (5, "Hold a value.")
    assert spans.names == ["x"]


def test_dataclasses_and_slots_stay_as_they_are() -> None:
    """A dataclass with tracked methods has the same fields, equality and representation."""

    @dataclasses.dataclass(frozen=True)
    class Point:
        x: int

        @track("x")
        def double(self) -> int:
            return self.x * 2

    assert [field.name for field in dataclasses.fields(Point)] == ["x"]
    assert Point(1) == Point(1)
    assert repr(Point(1)).endswith("Point(x=1)")


def test_classes_and_values_are_refused() -> None:
    """What can't be called, or is a class, is refused at decoration by a TypeError that says what was found."""
    for wrong, found in (
        (int, "a class"),
        (5, "type int"),
        ("text", "type str"),
        (types.SimpleNamespace(), "type Simp"),
    ):
        with pytest.raises(TypeError, match=found):
            track.deploy(wrong)  # type: ignore[type-var]


class _Caller:
    def __call__(self, value: Any) -> Any:
        return value


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor:FutureWarning")
@pytest.mark.parametrize("make", [lambda: functools.partial(_echo), lambda: _Caller(), lambda: abs])
def test_callables_that_do_not_bind_do_not_bind_when_tracked(spans: Any, make: Callable[[], Any]) -> None:
    """A partial, a callable object or a built-in as an attribute of a class is called without the instance."""
    bare_owner = type("Bare", (), {"call": make()})
    tracked_owner = type("Tracked", (), {"call": track("x")(make())})
    assert (bare_owner().call(5), bare_owner.call(5)) == (5, 5)  # type: ignore[attr-defined]
    assert (tracked_owner().call(5), tracked_owner.call(5)) == (5, 5)  # type: ignore[attr-defined]


def _echo(value: Any) -> Any:
    return value

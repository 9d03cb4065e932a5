"""Every kind of callable that can be tracked, built bare or tracked from one source.

A builder takes a decorator and returns a function that takes ``act``, calls the callable so that ``act()`` runs in
its body, sees the work through to its end, and returns what came out.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tests.track.transcripts import run

Act = Callable[[], Any]
Decorate = Callable[[Any], Any]
KINDS: dict[str, Callable[[Decorate], Callable[[Act], Any]]] = {}


def kind(builder: Callable[[Decorate], Callable[[Act], Any]]) -> Callable[[Decorate], Callable[[Act], Any]]:
    """Enter a builder under its name."""
    KINDS[builder.__name__.replace("_", " ")] = builder
    return builder


async def collected(generator: AsyncIterator[Any]) -> list[Any]:
    """Return all that an asynchronous generator yields."""
    return [item async for item in generator]


@kind
def function(decorate: Decorate) -> Any:
    @decorate
    def call(act: Act) -> Any:
        return act()

    return call


@kind
def coroutine_function(decorate: Decorate) -> Any:
    @decorate
    async def call(act: Act) -> Any:
        return act()

    return lambda act: run(call(act))


@kind
def generator_function(decorate: Decorate) -> Any:
    @decorate
    def call(act: Act) -> Iterator[Any]:
        yield act()

    return lambda act: next(iter(call(act)))


@kind
def returning_generator(decorate: Decorate) -> Any:
    @decorate
    def call(act: Act) -> Any:
        yield 1
        return act()

    def drain(act: Act) -> Any:
        def outer() -> Any:
            nonlocal result
            result = yield from call(act)

        result = None
        assert list(outer()) == [1]
        return result

    return drain


@kind
def asynchronous_generator_function(decorate: Decorate) -> Any:
    @decorate
    async def call(act: Act) -> AsyncIterator[Any]:
        yield act()

    return lambda act: run(collected(call(act)))[0]


@kind
def method(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        def call(self, act: Act) -> Any:
            return act()

    return Owner().call


@kind
def method_through_its_class(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        def call(self, act: Act) -> Any:
            return act()

    return lambda act: Owner.call(Owner(), act)


@kind
def asynchronous_method(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        async def call(self, act: Act) -> Any:
            return act()

    return lambda act: run(Owner().call(act))


@kind
def generator_method(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        def call(self, act: Act) -> Iterator[Any]:
            yield act()

    return lambda act: next(iter(Owner().call(act)))


@kind
def classmethod_decorated(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        @classmethod
        def call(cls, act: Act) -> Any:
            assert cls is Owner
            return act()

    return Owner.call


@kind
def classmethod_of_decorated(decorate: Decorate) -> Any:
    class Owner:
        @classmethod
        @decorate
        def call(cls, act: Act) -> Any:
            assert cls is Owner
            return act()

    return Owner().call


@kind
def asynchronous_classmethod(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        @classmethod
        async def call(cls, act: Act) -> Any:
            return act()

    return lambda act: run(Owner.call(act))


@kind
def staticmethod_decorated(decorate: Decorate) -> Any:
    class Owner:
        @decorate
        @staticmethod
        def call(act: Act) -> Any:
            return act()

    return Owner().call


@kind
def staticmethod_of_decorated(decorate: Decorate) -> Any:
    class Owner:
        @staticmethod
        @decorate
        def call(act: Act) -> Any:
            return act()

    return Owner.call


@kind
def property_decorated(decorate: Decorate) -> Any:
    class Owner:
        def __init__(self, act: Act) -> None:
            self.act = act

        @decorate
        @property
        def value(self) -> Any:
            return self.act()

    return lambda act: Owner(act).value


@kind
def property_of_decorated(decorate: Decorate) -> Any:
    class Owner:
        def __init__(self, act: Act) -> None:
            self.act = act

        @property
        @decorate
        def value(self) -> Any:
            return self.act()

    return lambda act: Owner(act).value


@kind
def partial(decorate: Decorate) -> Any:
    def call(first: int, act: Act) -> Any:
        return act()

    return decorate(functools.partial(call, 1))


@kind
def partial_of_coroutine_function(decorate: Decorate) -> Any:
    async def call(first: int, act: Act) -> Any:
        return act()

    tracked = decorate(functools.partial(call, 1))
    return lambda act: run(tracked(act))


@kind
def callable_object(decorate: Decorate) -> Any:
    class Caller:
        def __call__(self, act: Act) -> Any:
            return act()

    return decorate(Caller())


@kind
def asynchronous_callable_object(decorate: Decorate) -> Any:
    class Caller:
        async def __call__(self, act: Act) -> Any:
            return act()

    tracked = decorate(Caller())
    return lambda act: run(tracked(act))


@kind
def bound_method(decorate: Decorate) -> Any:
    class Owner:
        def call(self, act: Act) -> Any:
            return act()

    return decorate(Owner().call)


@kind
def function_in_c(decorate: Decorate) -> Any:
    reduce = decorate(functools.reduce)
    return lambda act: reduce(lambda _so_far, function: function(), [act], None)


@kind
def function_that_returns_a_coroutine(decorate: Decorate) -> Any:
    async def work(act: Act) -> Any:
        return act()

    @decorate
    def call(act: Act) -> Any:
        return work(act)

    return lambda act: run(call(act))


@kind
def wrapped_by_another_decorator(decorate: Decorate) -> Any:
    def work(act: Act) -> Any:
        return act()

    @decorate
    @functools.wraps(work)
    def call(*args: Any, **kwargs: Any) -> Any:
        return work(*args, **kwargs)

    return call


@kind
def cached_function(decorate: Decorate) -> Any:
    @decorate
    @functools.cache
    def call(act: Act) -> Any:
        return act()

    return call


@kind
def slots_and_dataclass_method(decorate: Decorate) -> Any:
    @dataclasses.dataclass(frozen=True)
    class Owner:
        __slots__ = ("name",)
        name: str

        @decorate
        def call(self, act: Act) -> Any:
            return act()

    return Owner("canvas").call


@kind
def inherited_method(decorate: Decorate) -> Any:
    class Base:
        @decorate
        def call(self, act: Act) -> Any:
            return act()

    class Owner(Base):
        pass

    return Owner().call


@kind
def overridden_method(decorate: Decorate) -> Any:
    class Base:
        @decorate
        def call(self, act: Act) -> Any:
            return act()

    class Owner(Base):
        @decorate
        def call(self, act: Act) -> Any:
            return super().call(act)

    return Owner().call


@kind
def implemented_abstract_method(decorate: Decorate) -> Any:
    class Base(abc.ABC):
        @decorate
        @abc.abstractmethod
        def call(self, act: Act) -> Any:
            return act()

    class Owner(Base):
        def call(self, act: Act) -> Any:
            return super().call(act)  # type: ignore[safe-super]  # the abstract method has a body on purpose

    return Owner().call


@kind
def decorated_twice(decorate: Decorate) -> Any:
    @decorate
    @decorate
    def call(act: Act) -> Any:
        return act()

    return call

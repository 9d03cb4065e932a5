"""Wrapping: one wrapper for each kind of function, so that a span lasts as long as the work does.

A span closed around the *call* of a coroutine or generator function measures nothing. Generators are driven step by
step: their span is current while they run and not while their consumer does, and ``send``, ``throw`` and ``close``
reach them as if nobody stood between.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import wrapt

from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call
from usagetrace.track.operation import Operation, begin

if TYPE_CHECKING:
    from usagetrace.track.plan import Plan

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class _Pickles:
    """How a tracked function is pickled and copied: by its name, as any function is."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __reduce__(self) -> Any:
        return self.__qualname__  # type: ignore[attr-defined]  # wrapt's proxies have the wrapped function's names

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class BoundTrackedFunction(_Pickles, wrapt.BoundFunctionWrapper):  # type: ignore[misc]  # wrapt has no types
    """A tracked function that was looked up on an instance or a class."""

    def __reduce__(self) -> Any:
        owner = getattr(self, "__self__", None)
        return super().__reduce__() if owner is None else (getattr, (owner, self.__name__))


class TrackedFunction(_Pickles, wrapt.FunctionWrapper):  # type: ignore[misc]  # wrapt has no types
    """A function that is tracked. It looks, binds, pickles and is inspected like the one it wraps."""

    __bound_function_wrapper__ = BoundTrackedFunction


def wrap(function: Any, plan: Plan) -> Any:
    """Return the function, tracked.

    Args:
        function: A function, coroutine function, generator function, asynchronous generator function, bound method,
            ``classmethod``, ``staticmethod``, ``functools.partial`` or other callable.
        plan: What to record of its calls.
    """
    inner = inspect.unwrap(unbound(function), stop=_has_own_kind)
    if inspect.isasyncgenfunction(inner):
        return TrackedFunction(function, _wrap_async_generator(plan), runtime_module.switch)
    if inspect.isgeneratorfunction(inner):
        return TrackedFunction(function, _wrap_generator(plan), runtime_module.switch)
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None)):  # noqa: B004 -- asks for its kind
        return TrackedFunction(function, _wrap_coroutine(plan), runtime_module.switch)
    return TrackedFunction(function, _wrap_function(plan), runtime_module.switch)


def unbound(function: Any) -> Any:
    """Return the function inside a classmethod, staticmethod, partial or bound method."""
    while True:
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__
        elif isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        else:
            return function


def _has_own_kind(function: Any) -> bool:
    # A wrapper's __wrapped__ says nothing of what calling the wrapper returns; only look through transparent proxies.
    return not isinstance(function, wrapt.ObjectProxy)


def _start(plan: Plan, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation | None:
    runtime = runtime_module.current()
    if not runtime.active:
        return None
    return begin(plan, runtime, Call(plan.parameters, instance, args, kwargs))


def _named(outer: Any, inner: Any) -> Any:
    """Return the coroutine or generator that stands in for another, with the other's names."""
    outer.__name__ = getattr(inner, "__name__", outer.__name__)
    outer.__qualname__ = getattr(inner, "__qualname__", outer.__qualname__)
    return outer


def _wrap_function(plan: Plan) -> Wrapper:
    def call_function(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = _start(plan, instance, args, kwargs)
        if operation is None:
            return wrapped(*args, **kwargs)
        operation.enter()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            operation.leave()
            operation.fail(error)
            raise
        operation.leave()
        if type(result) is types.CoroutineType:
            # A plain function that returns a coroutine, as many decorators make: the work is still to come.
            return _named(_await(operation, result), result)
        operation.succeed(result)
        return result

    return call_function


def _wrap_coroutine(plan: Plan) -> Wrapper:
    def call_coroutine(
        wrapped: Callable[..., Coroutine[Any, Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        # Called at once, so that wrong arguments raise where they would without us.
        coroutine = wrapped(*args, **kwargs)
        return _named(_start_and_await(plan, coroutine, instance, args, kwargs), coroutine)

    return call_coroutine


async def _start_and_await(
    plan: Plan, coroutine: Coroutine[Any, Any, Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    operation = _start(plan, instance, args, kwargs)
    if operation is None:
        return await coroutine
    return await _await(operation, coroutine)


async def _await(operation: Operation, coroutine: Coroutine[Any, Any, Any]) -> Any:
    operation.enter()
    try:
        result = await coroutine
    except BaseException as error:
        operation.leave_if_current()
        operation.fail(error)
        raise
    operation.leave_if_current()
    operation.succeed(result)
    return result


def _wrap_generator(plan: Plan) -> Wrapper:
    def call_generator(
        wrapped: Callable[..., Generator[Any, Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        generator = wrapped(*args, **kwargs)
        return _named(_drive(plan, generator, instance, args, kwargs), generator)

    return call_generator


def _drive(
    plan: Plan, generator: Generator[Any, Any, Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, Any]:
    operation = _start(plan, instance, args, kwargs)
    if operation is None:
        return (yield from generator)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        operation.enter()
        try:
            item = generator.send(sent) if thrown is None else generator.throw(thrown)
        except StopIteration as stop:
            thrown = None
            operation.leave()
            operation.succeed(stop.value)
            return stop.value
        except BaseException as error:
            # Kept in a local, the exception would hold the frame that holds it.
            thrown = None
            operation.leave()
            _end_generator(operation, error)
            raise
        operation.leave()
        sent = thrown = None
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 -- handed on to the generator, which decides
            thrown = error


def _end_generator(operation: Operation, error: BaseException) -> None:
    """End the operation of a generator that raised; a consumer that had enough is no failure."""
    if isinstance(error, GeneratorExit):
        operation.succeed(None)
    else:
        operation.fail(error)


def _wrap_async_generator(plan: Plan) -> Wrapper:
    def call_async_generator(
        wrapped: Callable[..., AsyncGenerator[Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        generator = wrapped(*args, **kwargs)
        return _named(_drive_async(plan, generator, instance, args, kwargs), generator)

    return call_async_generator


async def _drive_async(
    plan: Plan, generator: AsyncGenerator[Any, Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, Any]:
    operation = _start(plan, instance, args, kwargs)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        if operation is not None:
            operation.enter()
        try:
            item = await (generator.asend(sent) if thrown is None else generator.athrow(thrown))
        except StopAsyncIteration:
            thrown = None
            if operation is not None:
                operation.leave_if_current()
                operation.succeed(None)
            return
        except BaseException as error:
            thrown = None
            if operation is not None:
                operation.leave_if_current()
                _end_generator(operation, error)
            raise
        if operation is not None:
            operation.leave_if_current()
        sent = thrown = None
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 -- handed on to the generator, which decides
            thrown = error

"""Generators, driven step by step: their span is current while they run, and not while their consumer does.

A span closed around the *call* of a generator function measures nothing. ``send``, ``throw`` and ``close`` reach the
generator as if nobody stood between.
"""

from __future__ import annotations

import inspect
import sys
import types

from usagetrace.track.wrappers import named, start_call, transparent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Plan
    from usagetrace.track.wrappers import Wrapper


def wrapper_of(function: Any, plan: Plan) -> Wrapper:
    """Return the wrapper of a generator function, asynchronous or not.

    Args:
        function: The function itself, without what binds it.
        plan: What to record of its calls.
    """
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(plan)
    # A generator that types.coroutine made awaitable has to stay so.
    awaitable = function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    return _wrap_generator(plan, types.coroutine(_drive) if awaitable else _drive)


def _wrap_generator(plan: Plan, drive: Callable[..., Any]) -> Wrapper:
    def call_generator(
        wrapped: Callable[..., Generator[Any, Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        generator = wrapped(*args, **kwargs)
        return named(drive(plan, generator, instance, args, kwargs), generator)

    return call_generator


@transparent
def _drive(
    plan: Plan, generator: Generator[Any, Any, Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, Any]:
    operation = start_call(plan, instance, args, kwargs)
    keeps = plan.keeps_yielded
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        if operation is not None:
            operation.enter()
        try:
            item = generator.send(sent) if thrown is None else generator.throw(thrown)
        except StopIteration as stop:
            thrown = None
            _end(operation, stop.value)
            return stop.value
        except BaseException as error:
            # Kept in a local, the exception would hold the frame that holds it.
            thrown = None
            _end_raised(operation, error)
            raise
        if operation is not None:
            operation.pause()
            if keeps:
                _keep(operation, item)
        sent = thrown = None
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 -- handed on to the generator, which decides
            thrown = error


def _keep(operation: Operation, item: object) -> None:
    """Keep what a generator yielded, for a field that reads it."""
    from usagetrace.track.reading import ITEM_LIMIT

    call = operation.call
    if call.yielded is None:
        call.yielded = []
    if len(call.yielded) < ITEM_LIMIT:
        call.yielded.append(item)


def _end(operation: Operation | None, value: object) -> None:
    """End the operation of a generator that returned."""
    if operation is not None:
        operation.leave_if_current()
        operation.succeed(value)
        operation.call.yielded = None


def _end_raised(operation: Operation | None, error: BaseException) -> None:
    """End the operation of a generator that raised; a consumer that had enough is no failure."""
    if operation is None:
        return
    operation.leave_if_current()
    if isinstance(error, GeneratorExit):
        operation.succeed(None)
    else:
        operation.fail(error)
    operation.call.yielded = None


def _wrap_async_generator(plan: Plan) -> Wrapper:
    def call_async_generator(
        wrapped: Callable[..., AsyncGenerator[Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        generator = wrapped(*args, **kwargs)
        return named(_drive_async(plan, generator, instance, args, kwargs), generator)

    return call_async_generator


@transparent
async def _drive_async(
    plan: Plan, generator: AsyncGenerator[Any, Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, Any]:
    operation = start_call(plan, instance, args, kwargs)
    keeps = plan.keeps_yielded
    sent: Any = None
    thrown: BaseException | None = None
    step = _first_step(generator)
    while True:
        if operation is not None:
            operation.enter()
        try:
            item = await step
        except StopAsyncIteration:
            thrown = None
            _end(operation, None)
            return
        except BaseException as error:
            thrown = None
            _end_raised(operation, error)
            raise
        if operation is not None:
            operation.pause()
            if keeps:
                _keep(operation, item)
        sent = thrown = None
        try:
            sent = yield item
        except BaseException as error:  # noqa: BLE001 -- handed on to the generator, which decides
            thrown = error
        step = generator.asend(sent) if thrown is None else generator.athrow(thrown)


def _first_step(generator: AsyncGenerator[Any, Any]) -> Any:
    """Return the first step of an asynchronous generator, which its event loop is not told of.

    The loop knows the generator that stands in for this one, and closes that when it ends; closing both in any order
    would close this one under the other's hands.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)

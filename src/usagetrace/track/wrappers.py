"""Wrapping: one wrapper for each kind of function, so that a span lasts as long as the work does.

A span closed around the *call* of a coroutine function measures nothing: it is closed when what was awaited ends.
Generators have a module of their own.
"""

from __future__ import annotations

import functools
import inspect
import types

import wrapt

from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Final, TypeVar

    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Plan

    F = TypeVar("F", bound=Callable[..., Any])
    Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


def _found_again(module: str, qualified: str) -> Any:
    """Return what a module holds under a qualified name: how a pickled function comes back."""
    from importlib import import_module  # here and below: pickling and copying are rare
    from operator import attrgetter

    return attrgetter(qualified)(import_module(module))


def _by_name(function: Any) -> Any:
    """Return how a function is pickled: by what its module holds, which a function that is handed on need not be."""
    name = function.__module__, function.__qualname__
    try:
        return name[1] if _found_again(*name) is function else (_found_again, name)
    except (ImportError, AttributeError):
        return name[1]


# What Python makes of a plain function of that name in the body of a class.
_MADE_BY_PYTHON: Final = {"__new__": staticmethod, "__init_subclass__": classmethod, "__class_getitem__": classmethod}
_Method: Final = types.MethodType
# Code of wrappers as it is, and as it is run.
_transparent: dict[types.CodeType, types.CodeType] = {}


def transparent(function: F) -> F:
    """Return a wrapper whose frame ``warnings``, and from Python 3.11 on ``logging``, leave out when they count frames.

    ``stacklevel=2`` means whoever called the tracked function, not what tracks it. Both pass over frames of the import
    system, which they tell by the name of their file.
    """
    code = getattr(function, "__code__")  # noqa: B009 -- a function has it
    if code not in _transparent:
        _transparent[code] = code.replace(co_filename=f"{code.co_filename} (as importlib._bootstrap)")
    setattr(function, "__code__", _transparent[code])  # noqa: B010 -- as above
    return function


@transparent
def _call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    if not runtime_module.switch:
        return self.__wrapped__(*args, **kwargs)
    return self._self_wrapper(self.__wrapped__, None, args, kwargs)


class _Copied:
    """How a tracked callable is copied: it stays itself, as functions do."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class BoundTrackedDescriptor(_Copied, wrapt.BoundFunctionWrapper):  # type: ignore[misc]  # wrapt has no types
    """A tracked descriptor that was looked up on an instance or a class."""

    def __reduce__(self) -> Any:
        owner = getattr(self, "__self__", None)
        if owner is None:
            # Each look-up makes a new wrapper; by its name the same function is found again.
            return _found_again, (self.__module__, self.__qualname__)
        return getattr, (owner, self.__name__)

    def __deepcopy__(self, memo: Any) -> Any:
        owner = getattr(self, "__self__", None)
        if owner is None:
            return self
        from copy import deepcopy

        return getattr(deepcopy(owner, memo), self.__name__)


class TrackedDescriptor(_Copied, wrapt.FunctionWrapper):  # type: ignore[misc]  # wrapt has no types
    """A callable that is tracked and binds in its own way: a cached function, a method in C, somebody's wrapper."""

    __bound_function_wrapper__ = BoundTrackedDescriptor

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        bound = super().__get__(instance, owner)
        if bound is self or (found := bound.__wrapped__) is self.__wrapped__:
            return self
        made_method = type(found) is _Method and found.__func__ is self.__wrapped__
        return _Method(self, found.__self__) if made_method else bound

    def __reduce__(self) -> Any:
        return _by_name(self)


class TrackedFunction(TrackedDescriptor):
    """A function that is tracked. It looks, binds, pickles and is inspected like the one it wraps.

    Through an instance it is a method like any other, through a class itself: what wrapt makes at each look-up is
    neither, and takes longer. The object comes as the first argument, as the function itself sees it.
    """

    if isinstance(wrapt.FunctionWrapper.__call__, types.FunctionType):  # Not in C: its frames would be counted.
        __call__ = _call

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else _Method(self, instance)

    def __set_name__(self, owner: type, name: str) -> None:
        # Python makes these of a plain function when it makes the class, and can't tell that this is one.
        kind = _MADE_BY_PYTHON.get(name)
        if kind is not None and owner.__dict__.get(name) is self:
            type.__setattr__(owner, name, kind(self))


class TrackedCallable(_Copied, wrapt.CallableObjectProxy):  # type: ignore[misc]  # wrapt has no types
    """A callable that is tracked and, like the one it wraps, does not bind: a partial, a built-in, an object."""

    def __init__(self, wrapped: Any, wrapper: Wrapper) -> None:
        super().__init__(wrapped)
        self._self_wrapper = wrapper

    __call__ = _call

    def __reduce__(self) -> Any:
        if hasattr(self.__wrapped__, "__qualname__"):
            return _by_name(self)
        # What has no name travels as it is, untracked.
        from copy import copy

        return copy, (self.__wrapped__,)


def wrap(function: Any, wrapper: Wrapper) -> Any:
    """Return the function, tracked.

    Args:
        function: Any callable, ``classmethod`` or ``staticmethod``.
        wrapper: What wrapt calls in its place, as :func:`wrapper_of` makes it.
    """
    kind = type(function)
    if kind is classmethod or kind is staticmethod:
        made = kind(wrap(function.__func__, wrapper))
        # With what somebody noted on the object itself.
        vars(made).update(vars(function) | vars(made))
        return made
    if kind is _Method:
        return _Method(wrap(function.__func__, _apart(wrapper)), function.__self__)
    if not hasattr(kind, "__get__"):
        return TrackedCallable(function, wrapper)
    tracked = TrackedFunction if kind is types.FunctionType or kind is TrackedFunction else TrackedDescriptor
    return tracked(function, wrapper, runtime_module.switch)


def _apart(wrapper: Wrapper) -> Wrapper:
    """Return the wrapper of a bound method's function: its object is told apart from the arguments."""

    def call_bound(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return wrapper(_Method(wrapped, args[0]), args[0], args[1:], kwargs)

    return transparent(call_bound)


def wrapper_of(function: Any, plan: Plan) -> Wrapper:
    """Return what tracks the calls of a function.

    Args:
        function: As for :func:`wrap`.
        plan: What to record of its calls.
    """
    body = _body(function)
    if is_generator(body):
        # Imported here: few functions are generators. It builds on this module.
        from usagetrace.track import generators

        return generators.wrapper_of(body, plan)
    if inspect.iscoroutinefunction(body):
        return _wrap_coroutine(plan)
    if plan.fill_only:
        # What runs later, as coroutines and generators do, may run inside something by then.
        from usagetrace.track.choosing import only_inside

        return only_inside(_wrap_function(plan))
    return _wrap_function(plan)


def _body(function: Any) -> Any:
    """Return what says what kind of function it is."""
    # A wrapper's __wrapped__ says nothing of what calling it returns; only look through transparent proxies.
    function = inspect.unwrap(unbound(function), stop=lambda each: not isinstance(each, wrapt.ObjectProxy))
    # Of an object that can be called, its method says what a call returns.
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 -- wanted


def is_generator(function: Any) -> bool:
    """Return whether a call of a function makes a generator, asynchronous or not."""
    body = _body(function)
    return inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body)


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


def start_call(plan: Plan, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation | None:
    """Start the operation of a call; None where nothing is recorded."""
    try:
        runtime = runtime_module.current()
        if not runtime.active:
            return None
        operation: Operation | None = runtime.begin(plan, runtime, Call(plan.parameters, instance, args, kwargs))
    except RecursionError:
        # So deep in the stack that even the guard found no room; the function itself may yet.
        return None
    return operation


def without_own(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """Return a traceback from its first frame on that is not of this package.

    From Python 3.11 on a bare ``raise`` does not add the frame again that it stands in: what a program's own traceback
    shows then is what it shows without us. Older versions keep the frames elsewhere as well, and show ours.
    """
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("usagetrace."):
        traceback = traceback.tb_next
    return traceback


def named(outer: Any, inner: Any) -> Any:
    """Return the coroutine or generator that stands in for another, with the other's names."""
    outer.__name__ = getattr(inner, "__name__", outer.__name__)
    outer.__qualname__ = getattr(inner, "__qualname__", outer.__qualname__)
    return outer


def _wrap_function(plan: Plan) -> Wrapper:
    def call_function(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = start_call(plan, instance, args, kwargs)
        if operation is None:
            return wrapped(*args, **kwargs)
        # An interrupt may come at any of these lines: what was entered is left in any case.
        try:
            operation.enter()
            result = wrapped(*args, **kwargs)
            operation.leave()
        except BaseException as error:
            operation.leave()
            operation.fail(error)
            raise
        if type(result) is types.CoroutineType:
            # A plain function that returns a coroutine, as many decorators make: the work is still to come.
            return named(_await(lambda: operation, Unstarted(result)), result)
        operation.succeed(result)
        return result

    return transparent(call_function)


def _wrap_coroutine(plan: Plan) -> Wrapper:
    def call_coroutine(
        wrapped: Callable[..., Coroutine[Any, Any, Any]], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        # Called at once, so that wrong arguments raise where they would without us.
        inner = Unstarted(wrapped(*args, **kwargs))
        start = functools.partial(start_call, plan, instance, args, kwargs)
        return named(_await(start, inner), inner.coroutine)

    return call_coroutine


class Unstarted:
    """Holds a coroutine that may never be awaited: then the one that stands in for it warns, and this one does not."""

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine

    def __del__(self) -> None:
        # Does nothing to a coroutine that has run.
        self.coroutine.close()


class Steps:
    """Awaits a coroutine on behalf of another, so that closing the other is heard by whoever awaits this.

    Python closes what a coroutine awaits by itself, and its answer is lost: a coroutine may return when it is told to
    exit, or refuse. :func:`_await` hands the exit on and passes the answer back.
    """

    __slots__ = ("_answer", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *answer: Any) -> None:
        self._coroutine = coroutine
        # What the coroutine yielded when it was told to exit; it is the next thing to be seen.
        self._answer = answer

    def __await__(self) -> Steps:
        return self

    def __iter__(self) -> Steps:
        return self

    @transparent
    def __next__(self) -> Any:
        if self._answer:
            (answer,), self._answer = self._answer, ()
            return answer
        return self._coroutine.send(None)

    @transparent
    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    @transparent
    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Do nothing: the exit is handed on by who awaits."""

    def __getattr__(self, name: str) -> Any:
        # cr_frame, cr_await, ...: what debuggers follow.
        return getattr(self._coroutine, name)


@transparent
async def _await(start: Callable[[], Operation | None], inner: Unstarted) -> Any:
    """Await a coroutine, tracked from its first step on.

    Args:
        start: Starts the operation, or returns the one that has started; None where nothing is recorded.
        inner: The coroutine.
    """
    operation = start()
    coroutine = inner.coroutine
    steps = Steps(coroutine)
    if operation is not None:
        operation.enter()
    try:
        while True:
            try:
                result = await steps
                break
            except GeneratorExit as leaving:
                if coroutine.cr_frame is None:  # type: ignore[attr-defined]  # a real coroutine has it
                    # Raised by the coroutine itself, which has ended.
                    raise
                try:
                    steps = Steps(coroutine, coroutine.throw(leaving))
                except StopIteration as stop:
                    result = stop.value
                    break
    except BaseException as error:
        if operation is not None:
            operation.leave_if_current()
            operation.fail(error)
        error.__traceback__ = without_own(error.__traceback__)
        raise
    if operation is not None:
        operation.leave_if_current()
        operation.succeed(result)
    return result

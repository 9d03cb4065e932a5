"""Sub-commands of a program that parses its command line by :mod:`argparse`, inside its main function.

The parsers are made while the program runs, so the standard library's own are watched, and only for as long as such a
target is in force: what they parse anywhere else than in a tracked main function is none of our business. The operation
begins when the main function began, is known once its command line was parsed, and ends with the function.
"""

from __future__ import annotations

import argparse
import copy
import functools
import types
from contextvars import ContextVar

from usagetrace.autoinstrument.frameworks.commands import (
    Argument,
    Command,
    check_fields,
    event_of,
    hook,
    plan_of,
)
from usagetrace.autoinstrument.patches import Ledger, Patch, TargetError, find
from usagetrace.guard import guard
from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call
from usagetrace.track.methods import is_method_of
from usagetrace.track.reading import holds
from usagetrace.track.wrappers import Unstarted, named, unbound, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.autoinstrument.target import Target
    from usagetrace.track.operation import Operation
    from usagetrace.track.plan import Plan
    from usagetrace.track.runtime import Runtime

_MANY: Final = frozenset(("*", "+", argparse.REMAINDER))

# The main function that runs in this thread or task.
_running: ContextVar[_Run | None] = ContextVar("usagetrace-argparse", default=None)


def apply_argparse(ledger: Ledger, target: Target, module: ModuleType, faults: list[str]) -> list[Patch]:
    """Track the sub-commands that a main function parses; otherwise as for :func:`..apply`.

    Which sub-commands there are is only known when the function runs: that none is an operation is not told.
    """
    holder, attribute, main, inherited = find(module, target.qualname)
    if ledger.made(main):
        raise TargetError(f"{target.function} is tracked by another target already")
    check_fields(target, None)
    patch = Patch(target, holder, attribute, main, inherited=inherited)
    patch.replacement = wrap(main, patch.counted(_Main(target, main).call))
    ledger.put(patch)
    return [patch, *_watch_parsers(ledger, target)]


class _Main:
    """A main function, and what is recorded of each of its sub-commands."""

    def __init__(self, target: Target, function: Any) -> None:
        self.target = target
        self.function = function
        self._plans: dict[tuple[str, ...], Plan] = {}

    def plan(self, names: tuple[str, ...], event: str, command: Command) -> Plan:
        """Return what is recorded of a sub-command."""
        key = (event, *names, *command.parameters)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = plan_of(self.target, event, command, self.function)
            plan.skip_late = _unless_misused(plan.skip_late)
            plan.may_vanish = True
        return plan

    def call(self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the main function, watched."""
        if instance is None and args and is_method_of(unbound(self.function), args[0]):
            instance = args[0]
        run = self._begin(instance)
        if run is None:
            return wrapped(*args, **kwargs)
        run.enter()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            run.fail(error)
            raise
        if type(result) is types.CoroutineType:
            run.leave()
            return named(_await(run, Unstarted(result)), result)
        run.succeed(result)
        return result

    def _begin(self, instance: Any) -> _Run | None:
        with guard:
            runtime = runtime_module.current()
            return _Run(self, runtime, instance) if runtime.active else None
        return None


async def _await(run: _Run, inner: Unstarted) -> Any:
    run.enter()
    try:
        result = await inner.coroutine
    except BaseException as error:
        run.fail(error)
        raise
    run.succeed(result)
    return result


class _Run:
    """One call of a main function.

    Attributes:
        misuse: The exit by which a parser ended the program, because it was used wrongly.
    """

    def __init__(self, main: _Main, runtime: Runtime, instance: Any) -> None:
        self._main = main
        self._runtime = runtime
        self._instance = instance
        self._started_ns: int = runtime.clock()
        self._started_ticks: int = runtime.ticks()
        self._token: Token[_Run | None] | None = None
        # Sub-commands that the parse at hand has chosen: what they are called, what was typed, and their parsers.
        self._chosen: list[tuple[str, str, Any]] = []
        self._depth = 0
        self._decided = False
        self._operation: Operation | None = None
        self.misuse: BaseException | None = None

    def enter(self) -> None:
        """Make this the main function that runs."""
        self._token = _running.set(self)

    def leave(self) -> None:
        """Make the one run again that did so before."""
        token, self._token = self._token, None
        if token is not None:
            with guard:
                _running.reset(token)

    def parse(self, parse: Callable[[], Any]) -> Any:
        """Parse a command line; the first that names a sub-command says what the program is about to do."""
        if self._decided:
            return parse()
        if self._depth == 0:
            self._chosen.clear()
        self._depth += 1
        try:
            parsed = parse()
        finally:
            self._depth -= 1
        if self._depth == 0 and self._chosen:
            self._decided = True
            with guard:
                self._start(parsed[0] if isinstance(parsed, tuple) else parsed)
        return parsed

    def choose(self, action: Any, typed: str) -> None:
        """Note that a sub-command was typed."""
        parser = action.choices.get(typed)
        if parser is not None and not self._decided:
            # Of one that has aliases the name comes first.
            name = next(name for name, other in action.choices.items() if other is parser)
            self._chosen.append((name, typed, parser))

    def _start(self, namespace: object) -> None:
        values = {name.replace("-", "_"): value for name, value in vars(namespace).items()}
        names = tuple(name for name, _typed, _parser in self._chosen)
        typed = " ".join(typed for _name, typed, _parser in self._chosen)
        command = Command((" ".join(names),), values, _arguments(self._chosen[-1][2]), (typed,))
        event = event_of(self._main.target, command)
        if event is None:
            return
        plan = self._main.plan(names, event, command)
        # The operation began with the function.
        since = copy.copy(self._runtime)
        since.clock = lambda: self._started_ns
        since.ticks = lambda: self._started_ticks
        operation: Operation | None = since.begin(plan, since, Call(plan.parameters, self._instance, (), values))
        if operation is not None:
            operation.runtime = self._runtime
            operation.enter()
            self._operation = operation

    def succeed(self, result: object) -> None:
        """End: the function returned. A number other than 0 is the exit code of a failure."""
        operation = self._operation
        if operation is not None:
            operation.leave_if_current()
            failed = isinstance(result, int) and not isinstance(result, bool) and result != 0
            if failed and operation.plan.outcome is None:
                operation.set(outcome="error")
            operation.succeed(result)
        self.leave()

    def fail(self, error: BaseException) -> None:
        """End: the function raised."""
        operation = self._operation
        if operation is not None:
            operation.leave_if_current()
            operation.fail(error)
        self.leave()


def _unless_misused(skip: Callable[[Call], Any] | None) -> Callable[[Call], bool]:
    """Return what says that a call is not recorded: also one that a parser ended, since it was used wrongly."""

    def is_skipped(call: Call) -> bool:
        run = _running.get()
        if run is not None and run.misuse is not None and call.error is run.misuse:
            return True
        return skip is not None and holds(skip, call)

    return is_skipped


def _arguments(parser: Any) -> Iterator[Argument]:
    for action in parser._actions:
        if action.option_strings or action.dest == argparse.SUPPRESS or action.nargs == argparse.PARSER:
            continue
        step = ".name" if isinstance(action.type, argparse.FileType) else ""
        if isinstance(action.nargs, int):
            step = f"[0]{step}"
        yield Argument(action.dest.replace("-", "_"), many=action.nargs in _MANY, step=step)


def _watch_parsers(ledger: Ledger, target: Target) -> Iterator[Patch]:
    """Watch the standard library's parsers, once for all targets."""
    watched = {(patch.parent, patch.attribute) for patch in ledger.patches() if isinstance(patch.parent, type)}
    for holder, attribute, around in (
        (argparse.ArgumentParser, "parse_args", _around_parse),
        (argparse.ArgumentParser, "parse_known_args", _around_parse),
        (argparse.ArgumentParser, "error", _around_error),
        (argparse._SubParsersAction, "__call__", _around_choice),
    ):
        if (holder, attribute) not in watched:
            yield hook(ledger, target, holder, attribute, around)


def _around_parse(patch: Patch, original: Any) -> Any:
    @functools.wraps(original)
    def parse(*args: Any, **kwargs: Any) -> Any:
        run = _running.get()
        if run is None or not patch.live:
            return original(*args, **kwargs)
        return run.parse(lambda: original(*args, **kwargs))

    return parse


def _around_error(patch: Patch, original: Any) -> Any:
    @functools.wraps(original)
    def error(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except SystemExit as stop:
            run = _running.get()
            if run is not None:
                run.misuse = stop
            raise

    return error


def _around_choice(patch: Patch, original: Any) -> Any:
    @functools.wraps(original)
    def call(self: Any, parser: Any, namespace: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
        run = _running.get()
        if run is not None and patch.live:
            with guard:
                run.choose(self, values[0])
        return original(self, parser, namespace, values, *args, **kwargs)

    return call

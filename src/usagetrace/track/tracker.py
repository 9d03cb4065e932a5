"""``track``: the decorator and context manager that people write."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar

from usagetrace.errors import SelectorError
from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call, is_cases, is_selector
from usagetrace.track.plan import FIELDS, Plan, build
from usagetrace.track.wrappers import unbound, wrap, wrapper_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Final, Literal, TypeVar, overload

    from typing_extensions import TypedDict, Unpack

    from usagetrace.track.operation import Operation
    from usagetrace.track.wrappers import Wrapper

    F = TypeVar("F", bound=Callable[..., Any])

    class Fields(TypedDict, total=False):
        """What a tracker takes: a literal, a selector string that begins with ``$``, or a callable of the call."""

        artifact_name: Any
        artifact_type: Any
        collection_name: Any
        project_path: Any
        session_id: Any
        metadata: Mapping[str, Any] | str | Callable[[Call], Mapping[str, Any] | None]
        outcome: Any
        skip_if: Any
        skip_within: Sequence[str]
        nested: bool
        each: Any
        requested: Any
        fill_only: bool


# A name of at most so many characters is short enough without asking how long one may be.
_SHORT: Final = 64


def _name_limit() -> int:
    # Imported here: what is only decorated needs no events.
    from usagetrace.events import NAME_LIMIT

    return NAME_LIMIT


class _Nothing:
    """Stands for "no function was given": None is a mistake that has to be told."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "..."


_NOTHING: Final = _Nothing()


class Silent:
    """What a ``with`` block gets when nothing is recorded: it takes everything and does nothing."""

    __slots__ = ()

    def set(self, **fields: Any) -> None:
        """Take further fields, for nobody."""


_SILENT: Final = Silent()


class Block:
    """One ``with`` block that is open."""

    __slots__ = ("below", "frame", "operation", "tracker")

    def __init__(self, tracker: Tracker, operation: Operation | None, frame: int, below: Block | None) -> None:
        self.tracker: Tracker | None = tracker
        self.operation = operation
        # Identity of the frame that holds the block: blocks of one tracker may be open in several generators.
        self.frame = frame
        self.below = below


# The innermost block that is open in this thread or task.
_innermost: ContextVar[Block | None] = ContextVar("usagetrace-block", default=None)


class Tracker:
    """Tracks one event type: a decorator without and with arguments, and a context manager.

    Made by :data:`track`; ``track.deploy`` and ``track("deploy")`` are the same thing.
    """

    __slots__ = ("_blocks", "_event", "_fields", "_plan", "event_type")

    def __init__(self, event: str | Mapping[str, str], fields: dict[str, Any] | None = None) -> None:
        # A name, or conditions and the name of each.
        self._event: str | dict[str, str]
        if isinstance(event, Mapping) and is_cases(event):
            self._event = {key: _checked(name) for key, name in event.items()}
            # For messages.
            self.event_type = " or ".join(dict.fromkeys(self._event.values()))
        else:
            self._event = self.event_type = _checked(event)
        self._fields = fields or {}
        self._plan: Plan | None = None
        self._blocks: list[Block] = []

    if TYPE_CHECKING:

        @overload
        def __call__(self, function: F, /) -> F: ...

        @overload
        def __call__(self, /, **fields: Unpack[Fields]) -> Tracker: ...

    def __call__(self, function: Any = _NOTHING, /, **fields: Any) -> Any:
        """Decorate a function, or return a tracker that knows more fields.

        Args:
            function: Any callable, ``classmethod``, ``staticmethod`` or ``property``.
            fields: ``artifact_name``, ``artifact_type``, ``collection_name``, ``project_path``, ``session_id``,
                ``metadata``, ``outcome``, ``skip_if``, ``skip_within``, ``nested``, ``each``, ``requested``,
                ``fill_only``. A value is a literal, a selector string that begins with ``$``, a mapping of conditions
                to values, or a callable that takes the :class:`Call`.

        Raises:
            SelectorError: A selector is wrong; the message names the function, the field and the position.
            TypeError: There is no such field, or what is decorated can't be called.
        """
        if function is _NOTHING:
            return Tracker(self._event, {**self._fields, **fields})
        if fields:
            return Tracker(self._event, {**self._fields, **fields})(function)
        return self.decorate(function)

    def decorate(self, function: Any, around: Callable[[Wrapper], Wrapper] | None = None) -> Any:
        """Return a function, tracked.

        Args:
            function: As for :meth:`__call__`.
            around: Makes what wrapt calls in place of the function from what tracks it.

        Raises:
            SelectorError: As for :meth:`__call__`.
            TypeError: As for :meth:`__call__`.
        """
        if isinstance(function, property):
            getter = None if function.fget is None else self.decorate(function.fget, around)
            return property(getter, function.fset, function.fdel, function.__doc__)
        if isinstance(function, type) or not (callable(function) or hasattr(function, "__func__")):
            kind = "a class" if isinstance(function, type) else f"an object of type {type(function).__name__}"
            raise TypeError(f"track.{self.event_type}: expected a function or method, found {kind}")
        bound = hasattr(function, "__self__") and not isinstance(function, classmethod | staticmethod)
        signature_of = function.__func__ if isinstance(function, classmethod | staticmethod) else function
        origin = unbound(function)
        name = getattr(origin, "__qualname__", None) or repr(type(function).__name__)
        where = f"track.{self.event_type} on {name}"
        _check_fields(where, self._fields)
        module = getattr(origin, "__module__", None)
        names = [self._event] if isinstance(self._event, str) else dict.fromkeys(self._event.values())
        about: Any = {"bound": bound, "module": module, "origin": origin}
        plans = {name: build(name, self._fields, signature_of, where, **about) for name in names}
        wrappers = {name: wrapper_of(function, plan) for name, plan in plans.items()}
        if isinstance(self._event, str):
            wrapper = wrappers[self._event]
        else:
            from usagetrace.track.choosing import by_event

            wrapper = by_event(self._event, plans, wrappers, where)
        return wrap(function, wrapper if around is None else around(wrapper))

    # --- as a context manager ------------------------------------------------------------------------------

    def start(self, *, instant: bool = False, at_ns: int | None = None) -> Operation | None:
        """Begin an operation; None where nothing is recorded. The fields' texts are taken as they are.

        Args:
            instant: True for a point in time.
            at_ns: When that was, in nanoseconds since 1970 UTC; None for now.
        """
        runtime = runtime_module.current()
        if not runtime.active:
            return None
        if self._plan is None:
            self._plan = build(self.event_type, self._fields, None, f"track.{self.event_type}")
        call = Call(self._plan.parameters, None, (), {})
        operation: Operation | None = runtime.begin(self._plan, runtime, call, instant=instant, at_ns=at_ns)
        return operation

    def _check_event(self) -> None:
        if not isinstance(self._event, str):
            raise SelectorError(
                f"track: an event type is chosen by the parameters of a function, so a block takes one of "
                f"{self.event_type}"
            )

    def __enter__(self) -> Operation | Silent:
        self._check_event()
        _check_fields(f"track.{self.event_type}", self._fields)
        operation = self.start()
        if operation is not None:
            operation.enter()
        block = Block(self, operation, id(sys._getframe(1)), _open_below(_innermost.get()))
        _innermost.set(block)
        self._blocks.append(block)
        return operation if operation is not None else _SILENT

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        block = self._open_block(id(sys._getframe(1)))
        if block is None:
            return False
        block.tracker = None
        self._blocks.remove(block)
        _innermost.set(_open_below(_innermost.get()))
        operation = block.operation
        if operation is not None:
            operation.leave_if_current()
            if error is None:
                operation.succeed(None)
            else:
                operation.fail(error)
        return False

    def _open_block(self, frame: int) -> Block | None:
        """Return the block that ends here: this frame's, else the innermost here, else the newest anywhere."""
        here: list[Block] = []
        block = _innermost.get()
        while block is not None:
            if block.tracker is self:
                here.append(block)
            block = block.below
        # A generator may be closed in another context than its block was opened in.
        for candidate in (*here, *reversed(self._blocks)):
            if candidate.frame == frame:
                return candidate
        if here:
            return here[0]
        return self._blocks[-1] if self._blocks else None

    async def __aenter__(self) -> Operation | Silent:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)


class Track:
    """The door to tracking: ``track.deploy``, ``track.update``, ..., and ``track("any_type")``.

    ::

        @track.deploy
        def deploy(artifact_name, artifact_type, project_path): ...

        @track("tokens_consumed", artifact_type="model", artifact_name="$model")
        async def complete(model, prompt): ...

        with track.sync(artifact_name="canvas", artifact_type="skill") as operation:
            operation.set(result="conflict", conflicts_detected=3)
    """

    __slots__ = ("deploy", "invoke", "remove", "search", "sync", "update")

    def __init__(self) -> None:
        self.deploy: Final = Tracker("deploy")
        self.update: Final = Tracker("update")
        self.sync: Final = Tracker("sync")
        self.remove: Final = Tracker("remove")
        self.search: Final = Tracker("search")
        self.invoke: Final = Tracker("invoke")

    def __call__(self, event_type: str | Mapping[str, str], /, **fields: Unpack[Fields]) -> Tracker:
        """Return a tracker of any event type.

        Args:
            event_type: Name of the type; it becomes the span's name, so keep the number of names small. Or a mapping of
                conditions to such names, judged when a call begins; ``else`` names it where none holds.
            fields: As for :meth:`Tracker.__call__`.
        """
        return Tracker(event_type, dict(fields))


def _checked(name: Any) -> str:
    """Return the name of an event type."""
    if not isinstance(name, str) or not name.strip() or (len(name) > _SHORT and len(name) > _name_limit()):
        raise SelectorError(f"track: expected the name of an event type, such as 'deploy', found {name!r:.200}")
    # Of a subclass, such as an enum's member, the text alone.
    return name if type(name) is str else str.__str__(name)


def _open_below(block: Block | None) -> Block | None:
    while block is not None and block.tracker is None:
        block = block.below
    return block


def _check_fields(where: str, fields: dict[str, Any]) -> None:
    for name in fields:
        if name not in FIELDS:
            # Imported here: only a mistake needs it.
            import difflib

            near = difflib.get_close_matches(name, FIELDS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ";"
            raise TypeError(f"{where}: unknown field {name!r}{meant} the fields are {', '.join(FIELDS)}")
    metadata = fields.get("metadata")
    if not (metadata is None or isinstance(metadata, Mapping) or is_selector(metadata) or callable(metadata)):
        raise TypeError(f"{where}, field metadata: takes a mapping, a selector or a callable, not {metadata!r:.60}")
    if fields.get("fill_only") and fields.get("nested") and not fields.get("skip_within"):
        raise TypeError(f"{where}, field fill_only: with nested it is a part of nothing, so there is nothing to fill")
    within = fields.get("skip_within", ())
    if isinstance(within, str) or not all(isinstance(item, str) for item in within):
        raise TypeError(f"{where}, field skip_within: takes a tuple of event types, such as ('add',)")


track: Final = Track()

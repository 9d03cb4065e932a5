"""``track``: the decorator and context manager that people write."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Literal, TypeVar, cast, overload

from usagetrace.errors import SelectorError
from usagetrace.events import NAME_LIMIT
from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call
from usagetrace.track.operation import Operation, begin
from usagetrace.track.plan import FIELDS, Plan, build
from usagetrace.track.wrappers import unbound, wrap

F = TypeVar("F", bound=Callable[..., Any])


class Silent:
    """What a ``with`` block gets when nothing is recorded: it takes everything and does nothing."""

    __slots__ = ()

    def set(self, **fields: Any) -> None:
        """Take further fields, for nobody."""


_SILENT: Final = Silent()

# The ``with`` blocks that are open in this thread or task, the innermost first: one tracker may serve many of them.
_Open = tuple["Tracker", Operation | None, Any]
_open_blocks: ContextVar[_Open | None] = ContextVar("usagetrace-open-blocks", default=None)


class Tracker:
    """Tracks one event type: a decorator without and with arguments, and a context manager.

    Made by :data:`track`; ``track.deploy`` and ``track("deploy")`` are the same thing.
    """

    __slots__ = ("_fields", "_plan", "event_type")

    def __init__(self, event_type: str, fields: dict[str, Any] | None = None) -> None:
        name: object = event_type
        if not isinstance(name, str) or not name.strip() or len(name) > NAME_LIMIT:
            raise SelectorError(f"track: expected the name of an event type, such as 'deploy', found {event_type!r}")
        self.event_type = event_type
        self._fields = fields or {}
        self._plan: Plan | None = None
        _check_fields(event_type, self._fields)

    @overload
    def __call__(self, function: F, /) -> F: ...

    @overload
    def __call__(self, /, **fields: Any) -> Tracker: ...

    def __call__(self, function: F | None = None, /, **fields: Any) -> F | Tracker:
        """Decorate a function, or return a tracker that knows more fields.

        Args:
            function: Any callable, ``classmethod``, ``staticmethod`` or ``property``.
            fields: ``artifact_name``, ``artifact_type``, ``collection_name``, ``project_path``, ``session_id``,
                ``metadata``, ``outcome``, ``skip_if``, ``skip_within``, ``nested``, ``each``. A value is a literal, a
                selector string that begins with ``$``, or a callable that takes the :class:`Call`.

        Raises:
            SelectorError: A selector is wrong; the message names the function, the field and the position.
            TypeError: There is no such field, or what is decorated can't be called.
        """
        if function is None:
            return Tracker(self.event_type, {**self._fields, **fields})
        if fields:
            return Tracker(self.event_type, {**self._fields, **fields})(function)
        return cast(F, self._decorate(function))

    def _decorate(self, function: Any) -> Any:
        if isinstance(function, property):
            getter = None if function.fget is None else self._decorate(function.fget)
            return property(getter, function.fset, function.fdel, function.__doc__)
        if isinstance(function, type) or not (callable(function) or hasattr(function, "__func__")):
            kind = "a class" if isinstance(function, type) else f"an object of type {type(function).__name__}"
            raise TypeError(f"track.{self.event_type}: expected a function or method, found {kind}")
        bound = hasattr(function, "__self__") and not isinstance(function, classmethod | staticmethod)
        signature_of = function.__func__ if isinstance(function, classmethod | staticmethod) else function
        name = getattr(unbound(function), "__qualname__", None) or repr(type(function).__name__)
        plan = build(self.event_type, self._fields, signature_of, f"track.{self.event_type} on {name}", bound=bound)
        return wrap(function, plan)

    # --- as a context manager ------------------------------------------------------------------------------

    def start(self, *, instant: bool = False) -> Operation | None:
        """Begin an operation; None where nothing is recorded. The fields' texts are taken as they are.

        Args:
            instant: True for a point in time.
        """
        runtime = runtime_module.current()
        if not runtime.active:
            return None
        if self._plan is None:
            self._plan = build(self.event_type, self._fields, None, f"track.{self.event_type}")
        return begin(self._plan, runtime, Call(self._plan.parameters, None, (), {}), instant=instant)

    def __enter__(self) -> Operation | Silent:
        operation = self.start()
        if operation is not None:
            operation.enter()
        _open_blocks.set((self, operation, _open_blocks.get()))
        return operation if operation is not None else _SILENT

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        block = _open_blocks.get()
        if block is None or block[0] is not self:
            return False
        operation = block[1]
        _open_blocks.set(block[2])
        if operation is not None:
            operation.leave_if_current()
            if error is None:
                operation.succeed(None)
            else:
                operation.fail(error)
        return False

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

    def __call__(self, event_type: str, /, **fields: Any) -> Tracker:
        """Return a tracker of any event type.

        Args:
            event_type: Name of the type; it becomes the span's name, so keep the number of names small.
            fields: As for :meth:`Tracker.__call__`.
        """
        return Tracker(event_type, fields)


def _check_fields(event_type: str, fields: dict[str, Any]) -> None:
    for name in fields:
        if name not in FIELDS:
            raise TypeError(f"track.{event_type}: unknown field {name!r}; the fields are {', '.join(FIELDS)}")
    within = fields.get("skip_within", ())
    if isinstance(within, str) or not all(isinstance(item, str) for item in within):
        raise TypeError(f"track.{event_type}: skip_within takes a tuple of event types, such as ('add',)")


track: Final = Track()

"""Trace context that comes into a process and leaves it: what it was started in, what it hands to its children, and to
whom it sends requests.

``TRACEPARENT`` and ``TRACESTATE`` are the variables of the W3C's headers, as OpenTelemetry's specification of
environment carriers names them. What came in is the parent of each tracked operation that has none. While an operation
runs, a child that :class:`subprocess.Popen` starts finds that operation in its environment; ``os.environ`` stays as it
is, and outside of operations nothing changes. Where the program, or its instrumentation, has OpenTelemetry's propagator
write a request's headers and no span is current, they name the operation too.

Modules are told of when the program imports them: neither ``subprocess`` nor what records is loaded here.
"""

from __future__ import annotations

import functools
import os
import sys

from usagetrace.autoinstrument import finder
from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any, Final

    Init = Callable[..., None]

PARENT: Final = "TRACEPARENT"
STATE: Final = "TRACESTATE"
# OpenTelemetry's propagators read no longer ones.
_LONGEST: Final = 512
_HEX: Final = frozenset("0123456789abcdef")
# Place of `env` among the arguments of Popen, from 0.
_ENV: Final = 10


class Parent:
    """The span that a process was started in.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        flags: Two hexadecimal digits.
    """

    __slots__ = ("flags", "span_id", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: str) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags


def parse(text: str) -> Parent | None:
    """Return what a ``traceparent`` says; None for one that is to be ignored.

    As the W3C's trace context, level 1 and 2, has it: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    if len(text) > _LONGEST:
        return None
    version, *fields = text.strip(" \t").split("-", 4)
    if not _is_hex(version, 2) or version == "ff" or len(fields) < 3:
        return None
    trace_id, span_id, flags, *more = fields
    if not (_is_hex(trace_id, 32) and _is_hex(span_id, 16) and _is_hex(flags, 2)):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    # Later versions may say more.
    return None if more and version == "00" else Parent(trace_id, span_id, flags)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text)


# --- in and out of force -----------------------------------------------------------------------------------


class _Propagation:
    """What is in force in this process."""

    def __init__(self) -> None:
        self.begun = False
        # What TRACEPARENT said at the beginning.
        self.came: str | None = None
        self._undo: list[Callable[[], object]] = []

    def begin(self, environ: Mapping[str, str]) -> None:
        if self.begun:
            return
        self.begun = True
        self.came = environ.get(PARENT)
        parent = parse(self.came or "")
        if parent is not None:
            state = environ.get(STATE, "")
            self._watch("usagetrace.track.local", lambda module: self._inherit(module, parent.trace_id))
            self._watch("usagetrace.track.spans", lambda module: self._inherit(module, remote_span(self.came, state)))
        self._watch("subprocess", self._hand_on)
        self._watch("opentelemetry.trace.propagation.tracecontext", self._write)

    def end(self) -> None:
        self.begun, undo, self._undo = False, self._undo, []
        for action in reversed(undo):
            with guard:
                action()

    def _watch(self, name: str, do: Callable[[ModuleType], object]) -> None:
        def told(module: ModuleType, _imported_before: bool) -> None:
            if self.begun:
                do(module)

        finder.watch(name, told)
        self._undo.append(lambda: finder.unwatch(name, told))

    def _inherit(self, module: Any, value: object) -> None:
        """Set what operations without a parent take for it."""
        module.inherited = value
        self._undo.append(lambda: setattr(module, "inherited", None))

    def _hand_on(self, module: Any) -> None:
        """Let the children of operations know them."""
        popen = module.Popen
        original: Init = popen.__init__
        handing = _handing(original)
        popen.__init__ = handing

        def take_back() -> None:
            if popen.__init__ is handing:
                popen.__init__ = original

        self._undo.append(take_back)

    def _write(self, module: Any) -> None:
        """Let the headers of requests know the operations that send them."""
        propagator = module.TraceContextTextMapPropagator
        original = propagator.inject
        injecting = _injecting(original)
        propagator.inject = injecting

        def take_back() -> None:
            if propagator.inject is injecting:
                propagator.inject = original

        self._undo.append(take_back)


_propagation: Final = _Propagation()


def begin(environ: Mapping[str, str] | None = None) -> None:
    """Take up the trace that this process was started in, and hand on the operations that run. Never raises.

    Args:
        environ: The environment; ``os.environ`` by default.
    """
    with guard:
        _propagation.begin(os.environ if environ is None else environ)


def end() -> None:
    """Take back what :func:`begin` did."""
    with guard:
        _propagation.end()


def remote_span(parent: str | None, state: str) -> Any:
    """Return a span of OpenTelemetry's API that stands for another program's.

    Args:
        parent: What ``traceparent`` says.
        state: What ``tracestate`` says.
    """
    # Imported here: the program has loaded the API by now.
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": parent or "", "tracestate": state}
    return get_current_span(TraceContextTextMapPropagator().extract(carrier))


def _injecting(original: Callable[..., None]) -> Callable[..., None]:
    """Return the propagator's method, with the running operation where no span is current."""

    @functools.wraps(original)
    def inject(self: Any, carrier: Any, context: Any = None, *args: Any, **kwargs: Any) -> None:
        # Who names a context has chosen it.
        if _propagation.begun and context is None:
            with guard:
                context = _with_operation_span()
        original(self, carrier, context, *args, **kwargs)

    return inject


def _with_operation_span() -> Any:
    """Return the current context with the operation that runs as its span; None where it has one, or nothing runs."""
    # Imported here: the program has loaded the API by now.
    from opentelemetry.trace import get_current_span, set_span_in_context

    if get_current_span().get_span_context().is_valid:
        return None
    parent, state = _running()
    return None if parent is None else set_span_in_context(remote_span(parent, state or ""))


# --- children ----------------------------------------------------------------------------------------------


def _handing(original: Init) -> Init:
    """Return the initializer of ``Popen``, with the running operation in the child's environment."""

    @functools.wraps(original)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        if _propagation.begun:
            try:
                args, kwargs = _with_operation(args, kwargs)
            except Exception as error:  # noqa: BLE001 -- the child is the program's: it starts without us then
                guard.note(error)
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            # A program's traceback looks as it does without us: a bare `raise` does not add this frame again.
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next
            raise

    return initialize


def _with_operation(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of ``Popen`` with the operation that runs in ``env``; as they are outside of operations."""
    positional = len(args) > _ENV
    env = args[_ENV] if positional else kwargs.get("env")
    given = environment_of_child(os.environ if env is None else env)
    if given is None:
        return args, kwargs
    if positional:
        return (*args[:_ENV], given, *args[_ENV + 1 :]), kwargs
    return args, {**kwargs, "env": given}


def environment_of_child(env: Mapping[Any, Any]) -> dict[Any, Any] | None:
    """Return an environment with the operation that runs as the parent; None where it is to stay as it is.

    That is outside of operations, and where the program put a ``TRACEPARENT`` of its own there.

    Args:
        env: What the child would get: texts, or bytes where the system allows them.
    """
    parent, state = _running()
    if parent is None:
        return None
    known = {os.fsdecode(name): name for name in env}
    present = env[known[PARENT]] if PARENT in known else None
    if present is not None and os.fsdecode(present) != _propagation.came:
        return None
    made = {name: value for name, value in env.items() if name not in (known.get(PARENT), known.get(STATE))}
    made[PARENT] = parent
    if state is None and _continues(parent) and STATE in known:
        made[STATE] = env[known[STATE]]
    elif state:
        made[STATE] = state
    return made


def _continues(parent: str) -> bool:
    """Return whether an operation is of the trace that the process was started in: then its state holds as well."""
    came = parse(_propagation.came or "")
    return came is not None and came.trace_id == parent.split("-")[1]


def _running() -> tuple[str | None, str | None]:
    """Return ``traceparent`` and ``tracestate`` of what runs; the state is None where nothing is known of it."""
    module = sys.modules.get("usagetrace.track.operation")
    # Its own name for the operation that runs; not there yet while it is being imported.
    variable = getattr(module, "_running", None)
    operation: Any = None if variable is None else variable.get()
    while operation is not None and (operation.ended or operation.host is not None):
        # A part has no ids: what it is a part of has.
        operation = operation.parent
    if operation is None:
        return None, None
    context = _span_context()
    if context is not None:
        flags = f"{int(context.trace_flags) & 0xFF:02x}"
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags}", context.trace_state.to_header()
    ids = operation.ids()
    return (None, None) if ids is None else (f"00-{ids[0]}-{ids[1]}-01", None)


def _span_context() -> Any:
    """Return the context of OpenTelemetry's current span; None where there is none, or the API is not loaded."""
    trace = sys.modules.get("opentelemetry.trace")
    get_current_span = getattr(trace, "get_current_span", None)
    if get_current_span is None:
        return None
    found = get_current_span().get_span_context()
    return found if found.is_valid else None

"""One tracked call while it runs: its span, its fields, and how it ends.

Nothing here raises into the host: :func:`begin`, :meth:`Operation.succeed` and :meth:`Operation.fail` are guarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from usagetrace import semconv
from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.plan import FIELDS, TEXT_FIELDS, Plan
from usagetrace.track.reading import TEXT_ATTRIBUTES, Items, put, put_mapping, read, read_items
from usagetrace.track.values import qualified_name, to_value

if TYPE_CHECKING:
    from usagetrace.track.call import Call
    from usagetrace.track.runtime import Runtime

_KEY: Final = otel_context.create_key("usagetrace-operation")


class Operation:
    """A tracked call, or a ``with`` block, while it runs."""

    __slots__ = (
        "at_start", "attributes", "call", "context", "ended", "ended_ticks", "fill_items", "fills", "folded", "host",
        "instant", "outcome", "parent", "plan", "runtime", "span", "started_ns", "started_ticks", "token",
    )  # fmt: skip

    def __init__(self, plan: Plan, runtime: Runtime, call: Call, host: Operation | None) -> None:
        self.plan = plan
        self.runtime = runtime
        self.call = call
        # The running operation that this one is a part of; it has no span then.
        self.host = host
        self.parent: Operation | None = None
        # What the span was started with; `attributes` is the same dict until `set` changes something.
        self.at_start: dict[str, Any] = {}
        self.attributes: dict[str, Any] = self.at_start
        # What operations that are a part of this one know.
        self.fills: dict[str, Any] = {}
        self.fill_items: Items | None = None
        # Those operations, kept where this one may yet turn out to be none.
        self.folded: list[tuple[Operation, dict[str, Any], Items | None, BaseException | None]] = []
        self.outcome: object = None
        self.span: Span | None = None
        self.context: otel_context.Context | None = None
        self.token: Any = None
        self.ended = False
        self.instant = False
        self.started_ns = runtime.clock()
        self.started_ticks = self.ended_ticks = runtime.ticks()

    def set(self, **fields: Any) -> None:
        """Say more about the operation while it runs.

        Args:
            fields: Fields of the contract by name (``artifact_name=...``, ``outcome=...``); any other name is a
                metadata key.
        """
        try:
            if self.attributes is self.at_start:
                self.attributes = dict(self.at_start)
            for name, value in fields.items():
                if name in TEXT_FIELDS:
                    put(self.runtime, self.attributes, TEXT_FIELDS[name], value)
                elif name == "outcome":
                    self.outcome = value
                elif name == "metadata" and isinstance(value, Mapping):
                    put_mapping(self.runtime, self.attributes, value)
                elif name not in FIELDS:
                    put(self.runtime, self.attributes, semconv.METADATA_PREFIX + name, value)
        except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(error)

    # --- entering and leaving the context ------------------------------------------------------------------

    def enter(self) -> None:
        """Make the operation's span the current one."""
        if self.context is not None:
            self.token = otel_context.attach(self.context)

    def leave(self) -> None:
        """Make the span current that was so before."""
        token, self.token = self.token, None
        if token is not None:
            otel_context.detach(token)

    def pause(self) -> None:
        """Leave for now: a generator hands control to its consumer. What is current inside it is kept for later."""
        if self.token is not None:
            self.context = otel_context.get_current()
            self.leave()

    def leave_if_current(self) -> None:
        """Leave, where the operation's context is still the current one.

        A coroutine that is thrown away may be closed in another context than it began in; detaching there fails.
        """
        if self.token is None or otel_context.get_current() is not self.context:
            return
        self.leave()
        # A block that was left while another stood above it could not leave then.
        below: Any = otel_context.get_current().get(_KEY)
        while below is not None and below.ended and below.token is not None:
            below.leave()
            below = otel_context.get_current().get(_KEY)

    # --- ending --------------------------------------------------------------------------------------------

    def succeed(self, result: object) -> None:
        """End the operation: it returned."""
        try:
            self.call.result = result
            self._finish()
        except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(error)
        finally:
            self._release()

    def fail(self, error: BaseException) -> None:
        """End the operation: it raised. ``SystemExit`` with code 0 or None is success."""
        try:
            if not (isinstance(error, SystemExit) and error.code in (0, None)):
                self.call.error = error
            self._finish()
        except Exception as failure:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(failure)
        finally:
            self._release()

    def _release(self) -> None:
        """Let go of the host's objects: a context that outlives the call still knows the operation."""
        call = self.call
        call.instance = call.result = call.error = call.item = None
        call.args, call.kwargs = (), {}
        self.context = self.outcome = None
        if self.folded:
            self.folded.clear()

    def _finish(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.ended_ticks = self.runtime.ticks()
        call, plan = self.call, self.plan
        if plan.skip_late is not None and plan.skip_late(call):
            # A span that is never ended is never exported.
            self._unfold()
            return
        late: dict[str, Any] = {}
        read(self.runtime, call, plan.late, late, self.attributes)
        if plan.pending and (call.result is not None or call.error is not None):
            self._read_result(late)
        merged = {**self.attributes, **late}
        items = read_items(self.runtime, call, plan, merged) if plan.each is not None and call.error is None else None
        if items is None or not items[semconv.ITEM_ARTIFACT_NAME]:
            items = self.fill_items or items
        if plan.each is not None and not (items and items[semconv.ITEM_ARTIFACT_NAME]):
            # No artifact in hand: what is read for each, but is the same for all, is read once for the call.
            read(self.runtime, call, plan.items, merged, merged)
        if self.fills:
            for key, value in self.fills.items():
                merged.setdefault(key, value)
        if self.host is not None:
            self._fill(self.host, merged, items)
            return
        merged.pop(semconv.OUTCOME, None)
        self._close(merged, items)

    def _read_result(self, late: dict[str, Any]) -> None:
        try:
            for key, value in conventions.result_metadata(self.plan.pending, self.call):
                if semconv.METADATA_PREFIX + key not in self.attributes:
                    put(self.runtime, late, semconv.METADATA_PREFIX + key, value)
        except Exception as error:  # noqa: BLE001 -- a result whose properties raise costs what they would have given
            guard.note(error)

    def _close(self, merged: dict[str, Any], items: Items | None) -> None:
        outcome = self._outcome(merged)
        call, plan = self.call, self.plan
        error_type = self._error_type(outcome)
        found = None if items is None else len(items[semconv.ITEM_ARTIFACT_NAME])
        for key, value in conventions.complete_metadata(plan.event_type, merged, outcome, call.error, found):
            put(self.runtime, merged, semconv.METADATA_PREFIX + key, value)
        if items and found:
            merged.update(items)
        elapsed = 0 if self.instant else self.ended_ticks - self.started_ticks
        if self.runtime.measures:
            kinds = items[semconv.ITEM_ARTIFACT_TYPE] if items and found else [merged.get(semconv.ARTIFACT_TYPE, "")]
            with guard:
                seconds = None if self.instant else elapsed / 1e9
                self.runtime.observe(plan.event_type, kinds, outcome, error_type, seconds)
        span = self.span
        if span is None or not span.is_recording():
            return
        if outcome not in (conventions.SUCCESS, conventions.ERROR):
            merged[semconv.OUTCOME] = outcome
        if error_type is not None:
            merged[semconv.ERROR_TYPE] = error_type
            span.set_status(StatusCode.ERROR)
        # Each attribute costs the SDK 0.5 us to check and copy: those that the span has already are left out.
        at_start = self.at_start
        span.set_attributes({key: value for key, value in merged.items() if at_start.get(key) is not value})
        span.end(self.started_ns + elapsed)

    def _outcome(self, merged: Mapping[str, Any]) -> str:
        if self.call.error is not None:
            return conventions.ERROR
        said = self._said_outcome()
        if said is None:
            said = self.fills.get(semconv.OUTCOME)
        if said is None:
            said = conventions.outcome_of(self.plan.event_type, merged)
        if said is None or said is True:
            return conventions.SUCCESS
        if said is False or isinstance(said, BaseException):
            self.outcome = said
            return conventions.ERROR
        word = str(to_value(said)).strip().lower()
        if word in conventions.FAILURE_WORDS:
            return conventions.ERROR
        if word in conventions.CANCELLED_WORDS:
            return "cancelled"
        return word if word in conventions.OUTCOMES else conventions.SUCCESS

    def _said_outcome(self) -> object:
        """Return the outcome that the code said, in a block or as a field; None where it did not."""
        if self.outcome is None and self.plan.outcome is not None:
            return self.plan.outcome(self.call)
        return self.outcome

    def _error_type(self, outcome: str) -> str | None:
        if outcome != conventions.ERROR:
            return None
        error = self.call.error if self.call.error is not None else self.outcome
        if isinstance(error, BaseException):
            return qualified_name(type(error))
        # The semantic conventions' word for a failure that has no class.
        return "_OTHER"

    # --- operations inside operations ----------------------------------------------------------------------

    def _fill(self, host: Operation, merged: dict[str, Any], items: Items | None) -> None:
        """Give what this operation knows to the one that it is a part of."""
        for key, value in merged.items():
            if key in TEXT_ATTRIBUTES or key.startswith(semconv.METADATA_PREFIX):
                host.fills.setdefault(key, value)
        if items and items[semconv.ITEM_ARTIFACT_NAME] and host.fill_items is None:
            host.fill_items = items
        said = self._said_outcome()
        if said is not None and self.call.error is None:
            host.fills.setdefault(semconv.OUTCOME, said)
        if host.plan.skip_late is not None:
            self.outcome = said
            host.folded.append((self, merged, items, self.call.error))

    def _unfold(self) -> None:
        """Record the operations that were a part of this one: it turned out to be none."""
        for inner, merged, items, error in self.folded:
            inner.host = None
            inner.call.error = error
            _start_span(inner, self.parent, otel_context.get_current())
            inner._close(merged, items)
            inner._release()


def begin(plan: Plan, runtime: Runtime, call: Call, *, instant: bool = False) -> Operation | None:
    """Start an operation; None where this call is not to be recorded.

    Args:
        plan: What to record.
        runtime: With what.
        call: The call.
        instant: True for a point in time: the span has no length.
    """
    try:
        current = otel_context.get_current()
        # Private in the API, yet what every instrumentation honours: the host asks for silence.
        if current.get(otel_context._SUPPRESS_INSTRUMENTATION_KEY):
            return None
        if plan.skip_early is not None and plan.skip_early(call):
            return None
        parent: Any = current.get(_KEY)
        operation = Operation(plan, runtime, call, _host(plan, parent))
        operation.instant = instant
        read(runtime, call, plan.early, operation.attributes, operation.attributes)
        if operation.host is None:
            _start_span(operation, parent, current)
        return operation
    except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
        guard.note(error)
        return None


def _host(plan: Plan, parent: Operation | None) -> Operation | None:
    """Return the running operation that a call of this plan is a part of."""
    while parent is not None:
        if not parent.ended and parent.plan.event_type in plan.part_of:
            return parent
        parent = parent.parent
    return None


def _start_span(operation: Operation, parent: Operation | None, current: otel_context.Context) -> None:
    runtime, plan = operation.runtime, operation.plan
    operation.parent = parent
    span = runtime.tracer.start_span(
        plan.event_type,
        context=current,
        attributes={**plan.base, **operation.attributes},
        start_time=operation.started_ns,
        record_exception=False,
        set_status_on_exception=False,
    )
    operation.span = span
    operation.context = otel_context.set_value(_KEY, operation, set_span_in_context(span, current))

"""One tracked call while it runs: its fields, what it is a part of, and how it ends.

Nothing here raises into the host: :func:`begin`, :meth:`Operation.succeed` and :meth:`Operation.fail` are guarded.
What becomes of an operation that ended (a span, or a record of its own) is for its subclasses.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar

from usagetrace.guard import guard
from usagetrace.semconv import ARTIFACT_TYPE, METADATA_PREFIX, OUTCOME
from usagetrace.track import conventions
from usagetrace.track.plan import FIELDS, TEXT_FIELDS
from usagetrace.track.reading import (
    TEXT_ATTRIBUTES,
    error_type_of,
    holds,
    put,
    put_mapping,
    put_metadata,
    read,
    read_items,
    read_result,
    settle,
)
from usagetrace.track.rows import INVOKE, rows_of, start_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.track.call import Call
    from usagetrace.track.plan import Plan
    from usagetrace.track.reading import Items
    from usagetrace.track.runtime import Runtime

# The innermost operation that runs in this thread or task.
_running: ContextVar[Operation | None] = ContextVar("usagetrace-operation", default=None)
# Results of these types hold no fields: most functions return one of them.
_EMPTY_RESULTS: Final = frozenset((type(None), bool, int, float, str, bytes))


class Operation(ABC):
    """A tracked call, or a ``with`` block, while it runs."""

    # Most operations need none of these: a class attribute costs a call nothing.
    # The running operation that this one is a part of; it is not recorded by itself then.
    host: Operation | None = None
    # What operations that are a part of this one know.
    fills: dict[str, Any] | None = None
    fill_items: Items | None = None
    # Those operations, kept where this one may yet turn out to be none.
    folded: list[tuple[Operation, dict[str, Any], Items | None, BaseException | None, object]] | None = None
    outcome: object = None
    ended = False
    # Whether it is the copy, which a fork made, of an operation of the parent process.
    copied = False
    entered = False
    instant = False
    # Whether what it recorded was taken.
    accepted = False
    elapsed_ns = 0
    # What ran before it was entered, and what ran inside it when it was left for a while.
    below: Operation | None = None
    inside: Operation | None = None

    def __init__(self, plan: Plan, runtime: Runtime, call: Call, parent: Operation | None) -> None:
        self.plan = plan
        self.runtime = runtime
        self.call = call
        self.parent = parent
        if plan.settled is not runtime.mark:
            settle(plan, runtime)
        self.attributes: dict[str, Any] = plan.base.copy()
        self.started_ns: int = runtime.clock()
        self.started_ticks: int = runtime.ticks()

    # --- for subclasses ------------------------------------------------------------------------------------

    @abstractmethod
    def start(self) -> None:
        """Begin to be recorded."""

    @abstractmethod
    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Record an operation that ended.

        Args:
            merged: All of its attributes.
            items: Its artifacts, where it touched several.
            outcome: How it ended; other than success and error it is among the attributes.
            error_type: What it raised.
            elapsed_ns: How long it took, in nanoseconds.
        """

    @abstractmethod
    def ids(self) -> tuple[str, str] | None:
        """Return trace id and span id, as hexadecimal digits; None where it is not recorded."""

    def record_start(self) -> None:
        """Say that an operation has begun whose crash is to be seen."""
        plan, runtime = self.plan, self.runtime
        # One that may yet turn out to be none, or that has ended already, is not announced.
        if plan.event_type != INVOKE or plan.skip_late is not None or runtime.record_start is None:
            return
        ids = None if self.instant or self.ended else self.ids()
        if ids is not None:
            rows = rows_of(self.attributes, None, self.started_ns, 0, None, False, runtime.service_name, *ids)
            runtime.record_start(start_row(rows[0]))

    # --- while it runs -------------------------------------------------------------------------------------

    def set(self, **fields: Any) -> None:
        """Say more about the operation while it runs.

        Args:
            fields: Fields of the contract by name (``artifact_name=...``); any other name is a metadata key.
        """
        if self.ended:
            return
        before = self.attributes
        # A new table: another thread may be ending the operation, and going through this one.
        said = before.copy()
        try:
            for name, value in fields.items():
                if name in TEXT_FIELDS:
                    put(self.runtime, said, TEXT_FIELDS[name], value)
                elif name == "outcome":
                    self.outcome = value
                elif name == "metadata" and isinstance(value, Mapping):
                    put_mapping(self.runtime, said, value)
                elif name not in FIELDS:
                    put_metadata(self.runtime, said, name, value)
        except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(error)
        if self.attributes is not before:
            # Another thread has said something meanwhile.
            new = {key: value for key, value in said.items() if before.get(key) is not value}
            gone = before.keys() - said.keys()
            said = {key: value for key, value in self.attributes.items() if key not in gone} | new
        self.attributes = said

    # --- entering and leaving ------------------------------------------------------------------------------

    def enter(self) -> None:
        """Make this the operation that runs; one that is a part of another leaves the other in its place."""
        # One whose host may yet turn out to be none has its own parts meanwhile.
        if self.host is not None and self.host.plan.skip_late is None:
            return
        self.below = _running.get()
        self.entered = True
        _running.set(self.inside or self)

    def leave(self) -> None:
        """Make the operation run again that did so before."""
        if self.entered:
            # In this order: an interrupt between two of these lines leaves nothing running.
            _running.set(self.below)
            self.entered = False
            self.below = None

    def pause(self) -> None:
        """Leave for now: a generator hands control to its consumer. What runs inside it is kept for later."""
        if self.entered:
            self.inside = _running.get()
            self.leave()

    def leave_if_current(self) -> None:
        """Leave, where this operation is the one that runs.

        A coroutine that is thrown away may be closed elsewhere than it began; a block may end below another one.
        """
        if not self.entered or _running.get() is not self:
            return
        self.leave()
        # A block that was left while another stood above it could not leave then.
        below = _running.get()
        while below is not None and below.ended and below.entered:
            below.leave()
            below = _running.get()

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
        if self.outcome is not None:
            self.outcome = None
        if self.folded is not None:
            self.folded = None
        if self.inside is not None:
            self.inside = None

    def _finish(self) -> None:
        if self.ended:
            return
        self.ended = True
        runtime, call, plan = self.runtime, self.call, self.plan
        self.elapsed_ns = elapsed = 0 if self.instant else runtime.ticks() - self.started_ticks
        if plan.skip_late is not None and holds(plan.skip_late, call):
            # What never ends is never recorded.
            self._unfold()
            return
        merged = self.attributes
        items: Items | None = None
        if not plan.late_by_convention or call.error is not None or type(call.result) not in _EMPTY_RESULTS:
            merged, items = self._read_late(merged)
        if self.fills:
            # A copy: a part of this operation may be ending in another thread.
            for key, value in self.fills.copy().items():
                merged.setdefault(key, value)
        if self.fill_items and not items:
            items = self.fill_items
        if self.host is not None:
            self._fill(self.host, merged, items)
            return
        self._close(merged, items, elapsed)

    def _read_late(self, known: dict[str, Any]) -> tuple[dict[str, Any], Items | None]:
        """Read what the result or the exception says; return all attributes, and those of each artifact."""
        runtime, call, plan = self.runtime, self.call, self.plan
        late: dict[str, Any] = {}
        read(runtime, call, plan.late, late, known)
        if plan.pending and (call.result is not None or call.error is not None):
            read_result(runtime, call, plan.pending, known, late)
        merged = {**known, **late} if late else known
        if plan.each is None:
            return merged, None
        items = read_items(runtime, call, plan, merged) if call.error is None else None
        if not items:
            items = self.fill_items or items
        if not items:
            # No artifact in hand: what is read for each, but is the same for all, is read once for the call.
            read(runtime, call, plan.items, merged, merged)
        return merged, items

    def _close(self, merged: dict[str, Any], items: Items | None, elapsed: int) -> None:
        # The field has a meaning of its own: no argument or metadata key of the call can give it.
        merged.pop(OUTCOME, None)
        outcome = self._outcome(merged)
        error_type = self._error_type() if outcome == conventions.ERROR else None
        plan, call = self.plan, self.call
        found = None if items is None else len(items)
        conventions.complete_metadata(plan.event_type, merged, outcome, found)
        if call.error is not None and plan.event_type == "sync" and conventions.ERROR_MESSAGE not in merged:
            put(self.runtime, merged, conventions.ERROR_MESSAGE, conventions.message_of(call.error))
        if self.runtime.measures:
            kinds = [item[ARTIFACT_TYPE] for item in items] if items else [merged.get(ARTIFACT_TYPE, "")]
            with guard:
                seconds = None if self.instant else elapsed / 1e9
                self.runtime.observe(plan.name, kinds, outcome, error_type, seconds)
        if outcome != conventions.SUCCESS and outcome != conventions.ERROR:
            merged[OUTCOME] = outcome
        self.record(merged, items, outcome, error_type, elapsed)

    def _outcome(self, merged: Mapping[str, Any]) -> str:
        if self.call.error is not None:
            return conventions.ERROR
        said = self._said_outcome()
        if said is None and self.fills:
            said = self.fills.get(OUTCOME)
        if said is None:
            said = conventions.outcome_of(self.plan.event_type, merged)
        if said is None or said is True:
            return conventions.SUCCESS
        if said is False or isinstance(said, BaseException):
            self.outcome = said
            return conventions.ERROR
        return conventions.outcome_told(said)

    def _said_outcome(self) -> object:
        """Return the outcome that the code said, in a block or as a field; None where it did not."""
        if self.outcome is None and self.plan.outcome is not None:
            return self.plan.outcome(self.call)
        return self.outcome

    def _error_type(self) -> str:
        error = self.call.error if self.call.error is not None else self.outcome
        return error_type_of(self.runtime, error)

    # --- operations inside operations ----------------------------------------------------------------------

    def _fill(self, host: Operation, merged: dict[str, Any], items: Items | None) -> None:
        """Give what this operation knows to the one that it is a part of."""
        if host.fills is None:
            host.fills = {}
        for key, value in merged.items():
            if key in TEXT_ATTRIBUTES or key.startswith(METADATA_PREFIX):
                host.fills.setdefault(key, value)
        if items and host.fill_items is None:
            host.fill_items = items
        said = self._said_outcome()
        if said is not None and self.call.error is None:
            host.fills.setdefault(OUTCOME, said)
        if host.plan.skip_late is not None:
            if host.folded is None:
                host.folded = []
            host.folded.append((self, merged, items, self.call.error, said))

    def _unfold(self) -> None:
        """Record the operations that were a part of this one: it turned out to be none."""
        for inner, merged, items, error, said in self.folded or ():
            inner.parent = self.parent
            inner.call.error, inner.outcome = error, said
            inner.host = _host(inner.plan, self.parent)
            if inner.host is not None:
                inner._fill(inner.host, merged, items)
            else:
                inner.start()
                inner._close(merged, items, inner.elapsed_ns)
            inner._release()


def begin(plan: Plan, runtime: Runtime, call: Call, *, instant: bool = False) -> Operation | None:
    """Start an operation; None where this call is not to be recorded.

    Args:
        plan: What to record.
        runtime: With what.
        call: The call.
        instant: True for a point in time: it has no length.
    """
    try:
        if runtime.is_suppressed():
            return None
        if plan.skip_early is not None and holds(plan.skip_early, call):
            return None
        parent = _running.get()
        if parent is not None and parent.ended:
            parent = _living(parent)
        operation: Operation = runtime.operation(plan, runtime, call, parent)
        if instant:
            operation.instant = True
        read(runtime, call, plan.early, operation.attributes, operation.attributes)
        if parent is not None:
            operation.host = _host(plan, parent)
        if operation.host is None:
            operation.start()
        return operation
    except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
        guard.note(error)
        return None


def _host(plan: Plan, parent: Operation | None) -> Operation | None:
    """Return the running operation that a call of this plan is a part of, in this process."""
    while parent is not None:
        if not parent.ended and not parent.copied and parent.plan.event_type in plan.part_of:
            return parent
        parent = parent.parent
    return None


def _living(ended: Operation) -> Operation:
    """Return the operation around one that has ended; of those that have all ended, the outermost."""
    # A context outlives the operation that it was copied in: a timer that sets itself anew would make an endless chain.
    while ended.ended and ended.parent is not None:
        ended = ended.parent
    return ended


def _in_child() -> None:
    # What a child process tracks counts by itself: most never come to the end of the operation that they began in.
    operation = _running.get()
    while operation is not None:
        operation.copied = True
        operation = operation.parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

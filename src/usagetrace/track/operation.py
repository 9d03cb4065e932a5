"""One tracked call while it runs: its fields, what it is a part of, and how it ends.

Nothing here raises into the host: :func:`begin`, :meth:`Operation.succeed` and :meth:`Operation.fail` are guarded.
What becomes of an operation that ended (a span, or a record of its own) is for its subclasses.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextvars import ContextVar

from usagetrace.guard import guard
from usagetrace.semconv import ARTIFACT_TYPE, OUTCOME, SESSION_ID
from usagetrace.track import conventions, session
from usagetrace.track.reading import error_type_of, holds, put, put_fields, read, read_result, settle
from usagetrace.track.rows import INVOKE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from usagetrace.track.call import Call
    from usagetrace.track.parts import Parts
    from usagetrace.track.plan import Plan
    from usagetrace.track.reading import Items
    from usagetrace.track.runtime import Runtime

# The innermost operation that runs in this thread or task.
_running: ContextVar[Operation | None] = ContextVar("usagetrace-operation", default=None)
# Results of these types hold no fields: most functions return one of them.
_EMPTY_RESULTS: Final = frozenset((type(None), bool, int, float, str, bytes))
_innermost_session = session.innermost.get  # bound once, for the hot path
# Modules that most programs never need, once they were; an import statement costs a call a microsecond.
_parts: Any = None
_items: Any = None


def _load_parts() -> Any:
    global _parts
    from usagetrace.track import parts

    _parts = parts
    return parts


def _load_items() -> Any:
    global _items
    from usagetrace.track import items

    _items = items
    return items


class Operation(ABC):
    """A tracked call, or a ``with`` block, while it runs."""

    # Most operations need none of these: a class attribute costs a call nothing.
    # The running operation that this one is a part of; it is not recorded by itself then.
    host: Operation | None = None
    # Whether, being a part, it has parts of its own: its artifact may yet count by itself.
    apart = False
    # What operations that are a part of this one know.
    parts: Parts | None = None
    # Whether its artifacts are those of its parts.
    gathered = False
    # What it was asked for, where the call may change that.
    asked: list[Any] | None = None
    # Whether all of its artifacts were left out: then it is none.
    vanished = False
    # Whether its user broke it off.
    cancelled = False
    # How many of its artifacts were asked for and not done.
    absent = 0
    outcome: object = None
    # What it failed with, redacted, where its outcome says so and no exception does.
    failed_with: str | None = None
    # The session that it has where its fields say none; of the class, that of the environment.
    session: object = None
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
            Operation.session = session.of_environment()
        within = _innermost_session()
        if within is not None:
            self.session = within.session_id
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
        if self.plan.event_type == INVOKE and self.runtime.record_start is not None:
            # Imported here: most programs invoke nothing.
            from usagetrace.track.begun import tell

            tell(self)

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
            put_fields(self.runtime, said, fields)
            if "outcome" in fields:
                self.outcome = fields["outcome"]
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
        if self.host is not None and not self.apart:
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
            self.release()

    def fail(self, error: BaseException) -> None:
        """End the operation: it raised. An exit that says 0 is success, a user's refusal is a cancellation."""
        try:
            from usagetrace.track.exits import is_broken_off, is_good_exit

            if not is_good_exit(error):
                self.call.error = error
                self.cancelled = is_broken_off(error)
            self._finish()
        except Exception as failure:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(failure)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the host's objects: a context that outlives the call still knows the operation."""
        call = self.call
        call.instance = call.result = call.error = call.item = None
        call.args, call.kwargs = (), {}
        if self.outcome is not None:
            self.outcome = None
        if self.parts is not None:
            self.parts = None
        if self.asked is not None:
            self.asked = None
        if self.inside is not None:
            self.inside = None

    def _finish(self) -> None:
        if self.ended:
            return
        self.ended = True
        runtime, call, plan = self.runtime, self.call, self.plan
        self.elapsed_ns = 0 if self.instant else runtime.ticks() - self.started_ticks
        merged = self.attributes
        items: Items | None = None
        if plan.skip_late is not None and holds(plan.skip_late, call):
            self.vanished = True
        elif not plan.late_by_convention or call.error is not None or type(call.result) not in _EMPTY_RESULTS:
            merged, items = self._read_late(merged)
        if self.vanished or self.parts is not None or self.host is not None:
            (_parts or _load_parts()).finish(self, merged, items)
        else:
            self.close(merged, items)

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
        items = (_items or _load_items()).read_items(self, merged)
        if not items and (self.parts is None or not self.parts.items):
            # No artifact in hand: what is read for each, but is the same for all, is read once for the call.
            read(runtime, call, plan.items, merged, merged)
        return merged, items

    def close(self, merged: dict[str, Any], items: Items | None) -> None:
        """Record the operation, which has ended.

        Args:
            merged: All that is known of it, by attribute.
            items: Its artifacts, where it touched several.
        """
        # The field has a meaning of its own: no argument or metadata key of the call can give it.
        merged.pop(OUTCOME, None)
        if self.session is not None and SESSION_ID not in merged:
            put(self.runtime, merged, SESSION_ID, self.session)
        outcome, error_type = self.ending(merged, items)
        plan = self.plan
        found = None if items is None else len(items) - self.absent
        conventions.complete_metadata(plan.event_type, merged, outcome, found)
        if outcome == conventions.ERROR and plan.event_type == "sync":
            self.put_message(merged)
        if items and OUTCOME in items[0]:
            (_items or _load_items()).settle_items(self, merged, items, outcome, error_type)
        elif self.runtime.measures:
            kinds = [item[ARTIFACT_TYPE] for item in items] if items else [merged.get(ARTIFACT_TYPE, "")]
            with guard:
                seconds = None if self.instant else self.elapsed_ns / 1e9
                self.runtime.observe(plan.name, kinds, outcome, error_type, seconds)
        if outcome != conventions.SUCCESS and outcome != conventions.ERROR:
            merged[OUTCOME] = outcome
        self.record(merged, items, outcome, error_type, self.elapsed_ns)

    def put_message(self, attributes: dict[str, Any]) -> None:
        """Record the text of what it raised, where nothing said it."""
        if conventions.ERROR_MESSAGE not in attributes and self.call.error is not None:
            put(self.runtime, attributes, conventions.ERROR_MESSAGE, conventions.message_of(self.call.error))

    # --- how it ended --------------------------------------------------------------------------------------

    def ending(self, merged: Mapping[str, Any], items: Items | None) -> tuple[str, str | None]:
        """Return how the operation ended, and its error type where that is an error.

        Args:
            merged: All that is known of it, by attribute.
            items: Its artifacts; where each holds an outcome, and nothing else says how the call ended, they do.
        """
        if self.call.error is not None:
            outcome = self.raised_outcome()
            return outcome, error_type_of(self.runtime, self.call.error) if outcome == conventions.ERROR else None
        said = self.said_outcome()
        if said is None and items and OUTCOME in items[0]:
            told, error_type = (_items or _load_items()).outcome_of(items)
            if told is not None:
                return told, error_type or "_OTHER" if told == conventions.ERROR else None
        elif said is None and self.parts is not None:
            said = self.parts.fills.get(OUTCOME)
        if said is None:
            said = conventions.outcome_of(self.plan.event_type, merged)
        outcome = conventions.SUCCESS if said is None else conventions.outcome_told(said)
        if outcome != conventions.ERROR:
            return outcome, None
        return outcome, self.failed_with or error_type_of(self.runtime, said)

    def raised_outcome(self) -> str:
        """Return how a call ended that raised: as the field says that looks at exceptions, else in an error."""
        plan = self.plan
        said = plan.outcome(self.call) if plan.judges_errors and plan.outcome is not None else None
        if said is not None:
            return conventions.outcome_told(said)
        return "cancelled" if self.cancelled else conventions.ERROR

    def said_outcome(self) -> object:
        """Return the outcome that the code said, in a block or as a field; None where it did not."""
        if self.outcome is None and self.plan.outcome is not None:
            return self.plan.outcome(self.call)
        return self.outcome


def begin(
    plan: Plan, runtime: Runtime, call: Call, *, instant: bool = False, at_ns: int | None = None
) -> Operation | None:
    """Start an operation; None where this call is not to be recorded.

    Args:
        plan: What to record.
        runtime: With what.
        call: The call.
        instant: True for a point in time: it has no length.
        at_ns: Of a point in time, when it was, in nanoseconds since 1970 UTC; None for now.
    """
    try:
        parent = _running.get()
        if plan.fill_only and (_parts or _load_parts()).host_of(plan, parent) is None:
            return None
        if runtime.is_suppressed():
            return None
        if plan.skip_early is not None and holds(plan.skip_early, call):
            return None
        if parent is not None and parent.ended:
            parent = (_parts or _load_parts()).living(parent)
        kind = runtime.moment if instant else runtime.operation
        operation: Operation = kind(plan, runtime, call, parent)
        if instant:
            operation.instant = True
            operation.started_ns = operation.started_ns if at_ns is None else at_ns
        read(runtime, call, plan.early, operation.attributes, operation.attributes)
        if plan.decisions is not None:
            (_items or _load_items()).prepare(operation)
        if parent is not None:
            (_parts or _load_parts()).place(operation, parent)
        if operation.host is None:
            operation.start()
        return operation
    except Exception as error:  # noqa: BLE001 -- the boundary that the package promises
        guard.note(error)
        return None


def _in_child() -> None:
    # What a child process tracks counts by itself: most never come to the end of the operation that they began in.
    operation = _running.get()
    while operation is not None:
        operation.copied = True
        operation = operation.parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""A tracked call of local mode: no span object, and no OpenTelemetry but what the program loaded itself.

It has the span id that its span would have, and a trace id where it is one of a trace: inside a span of the program,
around another operation, or inside one. Its event is written as a row. See the decision record on spans without an SDK
for why.
"""

from __future__ import annotations

import sys

# Ids come from the system: forked children make other ones, and so does a host that seeds the global generator.
from os import urandom

from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.operation import Operation
from usagetrace.track.rates import deliver
from usagetrace.track.rows import rows_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.track.reading import Items


# The trace that this process was started in; `autoinstrument.propagation` sets it.
inherited: str | None = None


class LocalOperation(Operation):
    """An operation whose events go to the local store alone."""

    # None for an operation that has no trace, or not yet.
    trace_id: str | None = None
    span_id = ""

    def start(self) -> None:
        """Take ids: the trace's from the program's own span, or from the operation around this one."""
        self.span_id = urandom(8).hex()
        trace_id = _trace_of_host() or (None if self.parent is None else _trace_of(self.parent)) or inherited
        if trace_id is not None:
            self.trace_id = trace_id
        self.record_start()

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Write the events, or have them counted where the rate of their type takes them away."""
        runtime, rate = self.runtime, self.plan.rate
        rows = rows_of(
            merged,
            items,
            self.started_ns,
            elapsed_ns,
            error_type,
            outcome == conventions.ERROR,
            runtime.service_name,
            self.trace_id,
            self.span_id,
        )
        if rate.bound is None:
            self.accepted = runtime.record(rows)
        else:
            self.accepted = deliver(runtime, rate, self.trace_id or self.span_id, rows)

    def ids(self) -> tuple[str, str] | None:
        """Return trace id and span id; from here on it is one of a trace."""
        trace_id = self.trace_id
        if trace_id is None:
            # In one step: two threads may ask at once.
            trace_id = self.__dict__.setdefault("trace_id", urandom(16).hex())
        return trace_id, self.span_id


def _trace_of(operation: Operation | None) -> str | None:
    """Return the trace id of the innermost operation that has one, or can still get one."""
    while operation is not None:
        # One that is a part of another has no ids.
        span_id: str = getattr(operation, "span_id", "")
        if span_id:
            trace_id: str | None = getattr(operation, "trace_id", None)
            if trace_id is not None:
                return trace_id
            if not operation.ended:
                ids = operation.ids()
                return None if ids is None else ids[0]
        operation = operation.parent
    return None


def new_ids() -> tuple[str, str]:
    """Return a trace id and a span id, as hexadecimal digits."""
    ids = urandom(24).hex()
    return ids[:32], ids[32:]


def otel_context() -> Any:
    """Return the program's OpenTelemetry context; None where it has none, or nothing is in it."""
    module = sys.modules.get("opentelemetry.context")
    # It is there before it is whole while another thread imports it.
    get_current = getattr(module, "get_current", None)
    return (get_current() or None) if get_current is not None else None


def is_suppressed() -> bool:
    """Return whether the program asked instrumentations for silence."""
    context = otel_context()
    if context is None:
        return False
    # Private in the API, yet what every instrumentation honours.
    key = getattr(sys.modules["opentelemetry.context"], "_SUPPRESS_INSTRUMENTATION_KEY", None)
    return bool(context.get(key))


def _trace_of_host() -> str | None:
    """Return the trace id of the program's own span that is current; None where there is none."""
    context = otel_context()
    if context is None:
        return None
    trace = sys.modules.get("opentelemetry.trace")
    get_current_span = getattr(trace, "get_current_span", None)
    if get_current_span is None:
        return None
    try:
        found = get_current_span(context).get_span_context()
        return f"{found.trace_id:032x}" if found.is_valid else None
    except Exception as error:  # noqa: BLE001 -- a span of a foreign class may answer anything; the call counts all the same
        guard.note(error)
        return None

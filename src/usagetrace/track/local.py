"""A tracked call of local mode: no span object, and no OpenTelemetry but what the program loaded itself.

It has the ids that its span would have, and its event is written as a row. See the decision record on spans without
an SDK for why.
"""

from __future__ import annotations

import os
import sys

from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.operation import Operation
from usagetrace.track.rows import rows_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.track.reading import Items


class LocalOperation(Operation):
    """An operation whose events go to the local store alone."""

    trace_id = ""
    span_id = ""

    def start(self) -> None:
        """Take ids: the trace's from the program's own span, or from the operation around this one."""
        trace_id, self.span_id = new_ids()
        self.trace_id = _trace_of_host() or _trace_of(self.parent) or trace_id
        self.record_start()

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Write the events."""
        runtime = self.runtime
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
        self.accepted = runtime.record(rows)

    def ids(self) -> tuple[str, str] | None:
        """Return trace id and span id."""
        return self.trace_id, self.span_id


def _trace_of(operation: Operation | None) -> str:
    """Return the trace id of the innermost operation that has one."""
    while operation is not None:
        # One that is a part of another has none.
        trace_id: str = getattr(operation, "trace_id", "")
        if trace_id:
            return trace_id
        operation = operation.parent
    return ""


def new_ids() -> tuple[str, str]:
    """Return a trace id and a span id, as hexadecimal digits."""
    # From the system: forked children make other ids, and so does a host that seeds the global generator.
    ids = os.urandom(24).hex()
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

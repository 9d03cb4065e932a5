"""A tracked call of our own pipeline that is sent to an OTLP endpoint as well.

While it runs, a span that records nothing stands for it in the context: it carries the ids, for operations inside and
for what the program propagates. The span that is sent is made from the operation when it has ended, on the thread
that sends: the SDK's own costs a call more than everything else together. See the decision records.
"""

from __future__ import annotations

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context

from usagetrace.track import changes, conventions
from usagetrace.track.local import LocalOperation, new_ids
from usagetrace.track.spans import InContext, surroundings
from usagetrace.track.windows import is_sent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.track.reading import Items

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
# All bits of our own trace ids are random, and the W3C's flag says so.
_SAMPLED_RANDOM: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


class ExportedOperation(InContext, LocalOperation):
    """An operation whose events go to the local store, if there is one, and that is sent as a span."""

    span_context: SpanContext
    # The span around it, the program's own or ours; None where there is none.
    around: SpanContext | None = None

    def start(self) -> None:
        """Take ids, and stand in the context."""
        current = surroundings()
        around = get_current_span(current).get_span_context()
        trace_id, self.span_id = new_ids()
        flags, state = _SAMPLED_RANDOM, None
        if around.is_valid:
            self.around = around
            trace_id, state = f"{around.trace_id:032x}", around.trace_state
            flags = _SAMPLED_RANDOM if around.trace_flags & TraceFlags.RANDOM_TRACE_ID else _SAMPLED
        self.trace_id = trace_id
        self.span_context = SpanContext(int(trace_id, 16), int(self.span_id, 16), False, flags, state)
        self.context = set_span_in_context(NonRecordingSpan(self.span_context), current)
        self.record_start()

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Write the events and hand the operation to whoever sends it."""
        runtime = self.runtime
        sent = is_sent(self, merged, items, failed=outcome == conventions.ERROR)
        if runtime.record is None:
            # What is not sent is counted by the metrics, where there are any.
            self.accepted = sent or runtime.measures
            # Nobody drains here who would look.
            changes.look_soon()
        else:
            # First: what was counted stays counted, whatever happens on the way to the endpoint.
            super().record(merged, items, outcome, error_type, elapsed_ns)
        if sent:
            runtime.export(self, merged, items, error_type, elapsed_ns)

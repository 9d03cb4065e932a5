"""A point in time of our own pipeline that is sent to an OTLP endpoint as a log event.

Unlike an operation it stands in no context, and has a trace only where something around it has one. The log record is
made from it on the thread that sends. Loaded only where something is sent.
"""

from __future__ import annotations

from opentelemetry.trace import INVALID_SPAN_ID, get_current_span

from usagetrace.track import changes, conventions
from usagetrace.track.local import LocalOperation
from usagetrace.track.spans import surroundings
from usagetrace.track.windows import is_sent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from usagetrace.track.reading import Items


class SentMoment(LocalOperation):
    """A point in time whose events go to the local store, if there is one, and that is sent as a log event."""

    # The span that it happened in, and that span's flags; zero where there is none.
    around = INVALID_SPAN_ID
    flags = 0

    def start(self) -> None:
        """Take ids, and the place in the trace where it happens."""
        super().start()
        around = get_current_span(surroundings()).get_span_context()
        # An operation that is not sent itself gives a trace id, and is no span that anybody could find.
        if around.is_valid and f"{around.trace_id:032x}" == self.trace_id:
            self.around, self.flags = around.span_id, int(around.trace_flags)

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Write the events and hand the moment to whoever sends it."""
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
            runtime.export_moment(self, merged, items, outcome, error_type)

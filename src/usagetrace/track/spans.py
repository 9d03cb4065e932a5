"""A tracked call that is a span of a provider that an application brought.

This module knows the API of OpenTelemetry, and no SDK.
"""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry.trace import StatusCode, get_current_span, set_span_in_context

from usagetrace import semconv
from usagetrace.track import conventions
from usagetrace.track.operation import Operation
from usagetrace.track.reading import arrays
from usagetrace.track.rows import rows_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.trace import Span

    from usagetrace.track.reading import Items


# Stands for the span that this process was started in; `autoinstrument.propagation` sets it.
inherited: Span | None = None


def surroundings() -> otel_context.Context:
    """Return the current context; where no span is in it, with the one that the process was started in."""
    current = otel_context.get_current()
    if inherited is None or get_current_span(current).get_span_context().is_valid:
        return current
    return set_span_in_context(inherited, current)


class InContext(Operation):
    """An operation that has a span, and makes it the current one while it runs."""

    context: otel_context.Context | None = None
    token: Any = None

    def enter(self) -> None:
        """Make the span the current one."""
        super().enter()
        if self.context is not None:
            self.token = otel_context.attach(self.context)

    def leave(self) -> None:
        """Make the span current that was so before."""
        super().leave()
        token, self.token = self.token, None
        if token is not None:
            otel_context.detach(token)

    def pause(self) -> None:
        """Leave for now. What is current inside it is kept for later."""
        if self.token is not None:
            self.context = otel_context.get_current()
        super().pause()

    def leave_if_current(self) -> None:
        """Leave, where the span is the current one: detaching it anywhere else fails."""
        if self.context is None or (self.token is not None and otel_context.get_current() is self.context):
            super().leave_if_current()

    def release(self) -> None:
        """Let go of the context as well."""
        super().release()
        self.context = None


class SpanOperation(InContext):
    """An operation that is a span of somebody's provider."""

    span: Span
    # What the span was started with.
    at_start: dict[str, Any]

    def start(self) -> None:
        """Start the span."""
        current = surroundings()
        self.at_start = dict(self.attributes)
        self.span = self.runtime.tracer.start_span(
            self.plan.name,
            context=current,
            attributes=self.at_start,
            start_time=self.started_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        self.context = set_span_in_context(self.span, current)
        self.record_start()

    def ids(self) -> tuple[str, str] | None:
        """Return trace id and span id; None where the span is sampled away."""
        context = self.span.get_span_context()
        return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.trace_flags.sampled else None

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """End the span."""
        span, runtime = self.span, self.runtime
        if not span.is_recording():
            return
        failed = outcome == conventions.ERROR
        ids = None if runtime.record is None else self.ids()
        if ids is None:
            self.accepted = True
        else:
            # First: what was counted stays counted, whatever somebody's span processor does.
            self.accepted = runtime.record(
                rows_of(merged, items, self.started_ns, elapsed_ns, error_type, failed, runtime.service_name, *ids)
            )
        if items:
            merged.update(arrays(items, merged))
        if failed:
            span.set_status(StatusCode.ERROR)
        if error_type is not None:
            merged[semconv.ERROR_TYPE] = error_type
        # Each attribute costs the SDK 0.5 us to check and copy: those that the span has already are left out.
        at_start = self.at_start
        said = {key: value for key, value in merged.items() if at_start.get(key) is not value}
        if not at_start.keys() <= merged.keys():
            # What is not true any more can't be taken from a span, only emptied.
            said.update((key, "") for key in at_start if key not in merged)
        span.set_attributes(said)
        span.end(self.started_ns + elapsed_ns)


def is_suppressed() -> bool:
    """Return whether the program asked instrumentations for silence."""
    # Private in the API, yet what every instrumentation honours.
    return bool(otel_context.get_current().get(otel_context._SUPPRESS_INSTRUMENTATION_KEY))

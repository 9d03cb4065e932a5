"""A tracked call that is a span of a provider that an application brought.

This module knows the API of OpenTelemetry, and no SDK.
"""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, StatusCode, get_current_span, set_span_in_context

from usagetrace import semconv
from usagetrace.guard import guard
from usagetrace.track import conventions
from usagetrace.track.local import new_ids
from usagetrace.track.operation import Operation
from usagetrace.track.rates import deliver, deliver_taken
from usagetrace.track.reading import arrays
from usagetrace.track.rows import INVOKE, rows_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.trace import Span, SpanContext

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
    # What the span was started with, and the context that it was started in.
    at_start: dict[str, Any]
    before: otel_context.Context | None = None
    # Trace id and span id of its events, once somebody asked.
    own_ids: tuple[str, str] | None = None

    def start(self) -> None:
        """Start the span."""
        self.before = current = surroundings()
        self.at_start = dict(self.attributes)
        try:
            self.span = self.runtime.tracer.start_span(
                self.plan.name,
                context=current,
                attributes=self.at_start,
                start_time=self.started_ns,
                record_exception=False,
                set_status_on_exception=False,
            )
            self.context = set_span_in_context(self.span, current)
        except Exception as error:  # noqa: BLE001 -- a sampler or processor of somebody's may raise; the call counts as without it
            guard.note(error)
            self.span = INVALID_SPAN
        self.record_start()

    def ids(self) -> tuple[str, str]:
        """Return trace id and span id: those of its span, sampled or not; new ones where no provider made one."""
        if self.own_ids is None:
            context = self.span.get_span_context()
            if self.span.is_recording() or self._is_own(context):
                self.own_ids = hexadecimal(context)
            else:
                trace_id, span_id = new_ids()
                # In one step: two threads may ask at once.
                found = (f"{context.trace_id:032x}" if context.is_valid else trace_id, span_id)
                self.own_ids = self.__dict__.setdefault("own_ids", found)
        return self.own_ids

    def _is_own(self, context: SpanContext) -> bool:
        """Return whether a provider made a span: one that does nothing hands out the span around it, or none."""
        around = get_current_span(self.before).get_span_context()
        return context.is_valid and context.span_id != around.span_id

    def record(
        self, merged: dict[str, Any], items: Items | None, outcome: str, error_type: str | None, elapsed_ns: int
    ) -> None:
        """End the span."""
        span, failed = self.span, outcome == conventions.ERROR
        if not span.is_recording():
            self._record_unseen(merged, items, failed, error_type, elapsed_ns)
            return
        # First: what was counted stays counted, whatever somebody's span processor does.
        sampled = span.get_span_context().trace_flags.sampled
        if sampled and self.runtime.record is None:
            self.accepted = True
        else:
            self._keep(merged, items, failed, error_type, elapsed_ns, self.ids(), taken=not sampled)
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

    def _record_unseen(
        self, merged: dict[str, Any], items: Items | None, failed: bool, error_type: str | None, elapsed_ns: int
    ) -> None:
        """Record an operation whose span a sampler took away, or a provider did not make."""
        taken = self._is_own(self.span.get_span_context())
        # A failure is worth a span, and only now is it known to be one.
        again = self._start_again(merged, items, error_type) if taken and failed else None
        ids = self.ids()
        if again is not None and self.plan.event_type != INVOKE:
            # Whoever finds the event finds the span. Of one whose beginning was told, the ids are known already.
            ids = hexadecimal(again.get_span_context())
        self._keep(merged, items, failed, error_type, elapsed_ns, ids, taken=taken, sent=again is not None)
        if again is not None:
            again.end(self.started_ns + elapsed_ns)

    def _start_again(self, merged: dict[str, Any], items: Items | None, error_type: str | None) -> Span | None:
        """Return a span of a call that failed, begun when the call began; None where the sampler takes it as well."""
        attributes = {**merged, **arrays(items, merged)} if items else merged.copy()
        attributes[semconv.ERROR_TYPE] = error_type or "_OTHER"
        with guard:
            span: Span = self.runtime.tracer.start_span(
                self.plan.name,
                context=self.before,
                attributes=attributes,
                start_time=self.started_ns,
                record_exception=False,
                set_status_on_exception=False,
            )
            if span.is_recording():
                span.set_status(StatusCode.ERROR)
                return span
        return None

    def _keep(
        self,
        merged: dict[str, Any],
        items: Items | None,
        failed: bool,
        error_type: str | None,
        elapsed_ns: int,
        ids: tuple[str, str],
        *,
        taken: bool,
        sent: bool = False,
    ) -> None:
        """Write the events, or have them counted.

        Args:
            merged: All attributes.
            items: Its artifacts, where it touched several.
            failed: Whether it ended in an error.
            error_type: What it raised.
            elapsed_ns: How long it took, in nanoseconds.
            ids: Trace id and span id.
            taken: Whether a sampler took the span away.
            sent: Whether another span of it is sent nevertheless.
        """
        runtime, rate = self.runtime, self.plan.rate
        if runtime.record is None and (sent or runtime.record_sampled is None):
            self.accepted = sent
            return
        rows = rows_of(merged, items, self.started_ns, elapsed_ns, error_type, failed, runtime.service_name, *ids)
        if taken:
            self.accepted = deliver_taken(runtime, rate, rows)
        elif runtime.record is not None:
            self.accepted = runtime.record(rows) if rate.bound is None else deliver(runtime, rate, ids[0], rows)

    def release(self) -> None:
        """Let go of the context around it as well."""
        super().release()
        self.before = None


def hexadecimal(context: SpanContext) -> tuple[str, str]:
    """Return the ids of a span as digits."""
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def is_suppressed() -> bool:
    """Return whether the program asked instrumentations for silence."""
    # Private in the API, yet what every instrumentation honours.
    return bool(otel_context.get_current().get(otel_context._SUPPRESS_INSTRUMENTATION_KEY))

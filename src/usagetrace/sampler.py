"""A sampler for an application's own provider: usage spans by the rate of their event type, everything else as before.

Of ours it takes away as :mod:`usagetrace.track.rates` says, when a span starts. A call whose span it took away is still
counted in the local store, and one that fails then gets a span after all (:mod:`usagetrace.track.spans`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import get_current_span

from usagetrace.guard import guard, warn_once
from usagetrace.semconv import ERROR_TYPE, EVENT_PRIORITY, EVENT_TYPE
from usagetrace.track import changes
from usagetrace.track.rates import SURE_PRIORITIES, rate_of
from usagetrace.track.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState


class UsageSampler(Sampler):
    """Samples the spans of tracked calls by their event type: by its rate, and the minimum a window of this process.

    A span that begins with ``error.type``, or whose priority is high or critical, is always kept. The rate decides by
    the trace id, as OpenTelemetry's own ratio does: calls of one trace and of equal rates are kept or left out
    together. It works as the sampler of a provider, and as the root of :class:`ParentBased`.

    Args:
        fallback: Decides on spans that are not of tracked calls; None keeps all of them.
        clock: The present in seconds since 1970 UTC.
    """

    def __init__(self, fallback: Sampler | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._fallback = ALWAYS_ON if fallback is None else fallback
        self._clock = clock
        self._windows = Windows()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide on a span that is about to start; the arguments are the SDK's."""
        event_type = _event_type(attributes)
        if event_type is None:
            return self._fallback.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        kept = True
        try:
            changes.look_soon()
            rate, now_ms = rate_of(event_type), int(self._clock() * 1000)
            kept = self._windows.keeps(event_type, rate, trace_id, now_ms, sure=_is_sure(attributes))
        except Exception as error:  # noqa: BLE001 -- a span is kept that can't be decided on, and the program goes on
            guard.note(error)
        return _result(kept, parent_context, attributes)

    def get_description(self) -> str:
        """Return its name and the other sampler's."""
        return f"UsageSampler{{fallback:{self._fallback.get_description()}}}"


class SureOnly(Sampler):
    """Keeps what is never sampled away of usage, in a trace that is left out; leaves out everything else."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide on a span that is about to start; the arguments are the SDK's."""
        if _event_type(attributes) is None or not _is_sure(attributes):
            return ALWAYS_OFF.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        return _result(True, parent_context, attributes)

    def get_description(self) -> str:
        """Return its name."""
        return "SureOnly"


def make_sampler(argument: str | None = None) -> Sampler:
    """Return the sampler of the entry point ``usagetrace``: :class:`UsageSampler` for roots, else as the parent was.

    Below a parent that is sampled everything is; below one that is not, only what is never sampled away of usage.

    Args:
        argument: What ``OTEL_TRACES_SAMPLER_ARG`` says: the share, from 0 to 1, of the traces that do not begin with a
            tracked call; all of them where it is missing. The rates of usage come from the settings.
    """
    return ParentBased(
        UsageSampler(_fallback(argument)),
        remote_parent_not_sampled=SureOnly(),
        local_parent_not_sampled=SureOnly(),
    )


def _fallback(argument: str | None) -> Sampler:
    text = "" if argument is None else str(argument).strip()
    if not text:
        return ALWAYS_ON
    try:
        return TraceIdRatioBased(float(text))
    except ValueError:
        warn_once(
            "sampler:argument",
            "OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, found %r; all traces are kept that do not begin "
            "with a tracked call. Rates of usage are set by USAGETRACE_SAMPLING",
            text[:60],
        )
        return ALWAYS_ON


def _event_type(attributes: Mapping[str, Any] | None) -> str | None:
    """Return the event type of a span of a tracked call; None for any other span."""
    event_type = attributes.get(EVENT_TYPE) if attributes else None
    return event_type if isinstance(event_type, str) else None


def _is_sure(attributes: Mapping[str, Any] | None) -> bool:
    return attributes is not None and (ERROR_TYPE in attributes or attributes.get(EVENT_PRIORITY) in SURE_PRIORITIES)


def _result(kept: bool, parent_context: Context | None, attributes: Mapping[str, Any] | None) -> SamplingResult:
    parent = get_current_span(parent_context).get_span_context()
    state = parent.trace_state if parent.is_valid else None
    if not kept:
        return SamplingResult(Decision.DROP, trace_state=state)
    return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)

"""For the test suites of tools: events caught in memory, a clock and ids that are the same in each run.

::

    with capture_events(clock=FixedClock(), ids=SequentialIds()) as events:
        deploy("canvas")
    expect_events(events, [{"event_type": "deploy", "artifact_name": "canvas"}])

A captured call takes the way of a real one, by a span, redaction and conversion to events, up to the store; it knows
no store, no file, no thread and no global provider. Consent is not asked: what a test sees of its own
instrumentation must not depend on who runs it, and nothing of it outlives the test.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from usagetrace import api, semconv
from usagetrace.errors import EventError
from usagetrace.events import Event
from usagetrace.exporters.convert import events_from_span
from usagetrace.ids import UsageIdGenerator
from usagetrace.redaction import default_redactor
from usagetrace.redaction.processor import RedactingSpanProcessor
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime
from usagetrace.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from usagetrace.redaction import Redactor

__all__ = ["FixedClock", "SequentialIds", "capture_events", "expect_events"]

_NS_PER_MS: Final = 1_000_000
# 2026-01-01 00:00:00 UTC.
_START_MS: Final = 1_767_225_600_000
_FIELDS: Final = Event._fields
# Most captured events that a failure lists.
_LISTED: Final = 20


class FixedClock:
    """A clock that stands still, but for a step at each beginning and at each end of an operation.

    An operation that nothing interrupts takes one step; the next one begins a step after its end.

    Args:
        start_ms: When the first operation begins: milliseconds since 1970-01-01 UTC.
        step_ms: Milliseconds that each beginning and each end takes. With 0 only ``advance`` makes a duration.
    """

    def __init__(self, start_ms: int = _START_MS, step_ms: int = 1) -> None:
        self._now_ns = start_ms * _NS_PER_MS
        self._step_ns = step_ms * _NS_PER_MS
        self._lock = threading.Lock()

    def advance(self, ms: float) -> None:
        """Let time go by.

        Args:
            ms: Milliseconds.
        """
        with self._lock:
            self._now_ns += round(ms * _NS_PER_MS)

    def wall_ns(self) -> int:
        """Return the time in nanoseconds since 1970-01-01 UTC. Looking does not change it."""
        return self._now_ns

    def tick_ns(self) -> int:
        """Return the time in nanoseconds since 1970-01-01 UTC, then take a step."""
        with self._lock:
            now = self._now_ns
            self._now_ns += self._step_ns
            return now


class SequentialIds(IdGenerator):
    """Trace ids and span ids 1, 2, 3, ..., each kind for itself."""

    def __init__(self) -> None:
        self._traces = self._spans = 0
        self._lock = threading.Lock()

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        with self._lock:
            self._traces += 1
            return self._traces

    def generate_span_id(self) -> int:
        """Return the next span id."""
        with self._lock:
            self._spans += 1
            return self._spans

    def is_trace_id_random(self) -> bool:
        """Return False: they are anything but."""
        return False


@contextmanager
def capture_events(
    *,
    clock: FixedClock | None = None,
    ids: IdGenerator | None = None,
    redactor: Redactor | None = None,
    service_name: str = "test",
) -> Iterator[list[Event]]:
    """Catch the events of every tracked call of this process in a list, in the order in which operations end.

    For a ``with`` statement. While the block runs, ``configure()``, ``flush()`` and ``shutdown()`` leave the capture in
    force, so that a program's whole ``main()`` can be tested. Afterwards what was in force before is so again. Blocks
    may be nested: the inner one gets the events. Neither settings nor the environment switch a capture off.

    Args:
        clock: Gives the times; the real clocks by default.
        ids: Makes trace and span ids; random ones by default. Inside a span of the test's own, its trace id is kept.
        redactor: Sees every value; by default the one that knows this machine's home, user and host.
        service_name: What the events say is their tool.

    Yields:
        The list. It no longer changes once the block has ended.
    """
    events: list[Event] = []
    redactor = redactor if redactor is not None else default_redactor()
    provider = TracerProvider(
        resource=Resource({semconv.SERVICE_NAME: service_name}),
        sampler=ALWAYS_ON,
        id_generator=ids if ids is not None else _random_ids(),
        shutdown_on_exit=False,
    )
    # Private in the SDK, which has no argument for it: OTEL_SDK_DISABLED is the user's no, and consent is not asked.
    provider._disabled = False
    provider.add_span_processor(RedactingSpanProcessor(_Collector(events, service_name), redactor))
    tracer = provider.get_tracer(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)
    clocks: dict[str, Any] = {} if clock is None else {"clock": clock.wall_ns, "ticks": clock.tick_ns}
    with _in_force(Runtime(tracer, None, redactor, **clocks)):
        try:
            yield events
        finally:
            provider.shutdown()


@functools.cache
def _random_ids() -> UsageIdGenerator:
    # One for all captures: each registers a hook for forks, which Python never forgets.
    return UsageIdGenerator()


class _Collector(SpanProcessor):
    """Puts the events of each finished, redacted span into a list, until it is shut down."""

    def __init__(self, events: list[Event], service_name: str) -> None:
        self._events = events
        self._service_name = service_name
        self._closed = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: an event exists when its operation has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span's events."""
        if not self._closed:
            self._events.extend(events_from_span(span, self._service_name))

    def shutdown(self) -> None:
        """Take no more."""
        self._closed = True


@contextmanager
def _in_force(captured: Runtime) -> Iterator[None]:
    """Keep a runtime in force, and what ``configure()`` said before, whatever it says meanwhile."""
    settings = api._settings
    try:
        with runtime.hold(captured):
            yield
    finally:
        api._settings = settings


# --- comparing ---------------------------------------------------------------------------------------------


def expect_events(captured: Iterable[Event], expected: Sequence[Mapping[str, Any] | SimpleNamespace | Event]) -> None:
    """Fail unless the captured events are the expected ones, in order, none missing and none extra.

    Args:
        captured: What :func:`capture_events` gave.
        expected: Each a mapping, or a ``SimpleNamespace``, of fields of :class:`~usagetrace.events.Event`: those that
            it names are compared, and of ``metadata`` the keys that it names. An ``Event`` is compared as a whole.

    Raises:
        AssertionError: They differ; the message says which events differ in which fields, which are missing and
            which are extra.
        EventError: What is expected has fields that no event has.
    """
    __tracebackhide__ = True
    events, wanted = list(captured), [_Expected(record) for record in expected]
    unknown = [f"expected[{i}] names {name!r}" for i, want in enumerate(wanted) for name in want.unknown()]
    if unknown:
        raise EventError(f"{'; '.join(unknown)}: the fields of an event are {', '.join(_FIELDS)}")
    if len(events) == len(wanted) and not any(map(_Expected.differences, wanted, events)):
        return
    lines = [f"captured events are not the expected ones: {len(wanted)} expected, {len(events)} captured"]
    for left, right in _aligned(wanted, events):
        if left is None and right is not None:
            lines.append(f"captured[{right}] was not expected: {_shown(events[right])}")
        elif left is not None and right is None:
            lines.append(f"expected[{left}] is missing: {wanted[left].shown()}")
        elif left is not None and right is not None and (found := wanted[left].differences(events[right])):
            lines.append(f"captured[{right}] is not expected[{left}]: {_shown(events[right])}")
            lines.extend(f"    {difference}" for difference in found)
    lines.append("captured, in order:" if events else "captured: nothing")
    lines.extend(f"    [{number}] {_shown(event)}" for number, event in enumerate(events[:_LISTED]))
    if len(events) > _LISTED:
        lines.append(f"    ... and {len(events) - _LISTED} more")
    raise AssertionError("\n".join(lines))


class _Expected:
    """What is expected of one event."""

    def __init__(self, record: Mapping[str, Any] | SimpleNamespace | Event) -> None:
        self.whole = isinstance(record, Event)
        self.fields: dict[str, Any]
        if isinstance(record, Event):
            self.fields = {name: getattr(record, name) for name in _FIELDS}
        else:
            self.fields = dict(record if isinstance(record, Mapping) else vars(record))

    def unknown(self) -> list[str]:
        """Return the named fields that no event has."""
        return [name for name in self.fields if name not in _FIELDS]

    def shown(self) -> str:
        """Return what is expected in one line."""
        return ", ".join(f"{name}={value!r}" for name, value in self.fields.items()) or "any event"

    def size(self) -> int:
        """Return how many values are compared, at least 1."""
        metadata = self.fields.get("metadata")
        return max(len(self.fields) + (len(metadata) - 1 if isinstance(metadata, Mapping) else 0), 1)

    def differences(self, event: Event) -> list[str]:
        """Return one line for each value of an event that is not as expected."""
        found: list[str] = []
        for name, value in self.fields.items():
            if name == "metadata" and isinstance(value, Mapping):
                found.extend(self._metadata_differences(value, event.metadata or {}))
            elif value != (actual := getattr(event, name)):
                found.append(f"{name}: expected {value!r}, captured {actual!r}")
        return found

    def _metadata_differences(self, expected: Mapping[str, Any], actual: Mapping[str, Any]) -> Iterator[str]:
        for key, value in expected.items():
            if key not in actual:
                yield f"metadata[{key!r}]: expected {value!r}, captured no such key"
            elif value != actual[key]:
                yield f"metadata[{key!r}]: expected {value!r}, captured {actual[key]!r}"
        if self.whole:
            extra = [key for key in actual if key not in expected]
            yield from (f"metadata[{key!r}]: expected no such key, captured {actual[key]!r}" for key in extra)


def _shown(event: Event) -> str:
    kind = f" {event.artifact_type}" if event.artifact_type else ""
    failed = "" if event.status == "ok" else f", {event.status} {event.error_type or ''}".rstrip()
    return f"{event.event_type}{kind} {event.artifact_name!r}{failed}"


def _aligned(wanted: Sequence[_Expected], events: Sequence[Event]) -> list[tuple[int | None, int | None]]:
    """Pair what is expected with what was captured, so that the least differs; None stands for no partner.

    The cheapest way through the table of pairs: a missing or extra event costs 1, a pair 2 times the part of its
    values that differ, so that a pair with nothing in common is never better than one missing and one extra.
    """
    rows, columns = len(wanted), len(events)
    # What the rest costs from each pair on; at the end of the one, all that is left of the other has no partner.
    cost = [[float(rows - row + columns - column) for column in range(columns + 1)] for row in range(rows + 1)]
    pair = [[2.0 * len(want.differences(event)) / want.size() for event in events] for want in wanted]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            cost[row][column] = min(
                cost[row + 1][column + 1] + pair[row][column], cost[row + 1][column] + 1, cost[row][column + 1] + 1
            )
    path: list[tuple[int | None, int | None]] = []
    row = column = 0
    while row < rows or column < columns:
        here = cost[row][column]
        if row < rows and column < columns and here == cost[row + 1][column + 1] + pair[row][column]:
            path.append((row, column))
            row, column = row + 1, column + 1
        elif row < rows and here == cost[row + 1][column] + 1:
            path.append((row, None))
            row += 1
        else:
            path.append((None, column))
            column += 1
    return path

"""What a tracked call needs at run time, and how it comes by it.

``track`` knows the OpenTelemetry API and nothing above it. Whoever composes a pipeline installs a
:class:`Runtime`; until somebody has, the first tracked call asks the bootstrap that the package's front door set.
"""

from __future__ import annotations

import os
import threading
import time

from usagetrace import semconv
from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Any, Protocol

    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Counter, Histogram, Meter
    from opentelemetry.trace import Tracer

    from usagetrace.track.operation import Operation

    class Redacts(Protocol):
        """What is needed of a redactor."""

        def redact(self, key: str, value: object) -> object:
            """Return the value as it may be recorded under the key."""
            ...

        def key(self, key: str) -> str:
            """Return the key as it may be recorded."""
            ...


class Runtime:
    """What tracked calls are recorded with: where to, the instruments, the redactor and the clocks.

    With neither a tracer nor a place for rows, tracking is off.

    Args:
        tracer: Makes the spans; None where there are none.
        meter: Makes the instruments; None records no metrics.
        redactor: Sees every value before it is recorded, so that no exporter, whoever registered it, sees more.
        clock: Wall clock in nanoseconds since 1970.
        ticks: Monotonic clock in nanoseconds: a duration survives a wall clock that is set back.
        record: Takes the rows of each operation that ended, and says whether they are kept; None keeps none.
        record_sampled: Takes the rows of an operation that its rate took away, to be counted, with how many events of
            the type are kept in each window at least, and how long a window is, in milliseconds; says whether they are
            kept or counted. None keeps all rows.
        record_start: Takes the row of an operation that has begun and that is to be seen if it never ends.
        export: Without a tracer: takes each operation that ended, to be sent as a span: the operation, its attributes,
            its artifacts, what it raised, and how many nanoseconds it took.
        export_moment: Takes each point in time, to be sent as a log event: the operation, its attributes, its
            artifacts, how it ended and what it failed with.
        logger: Somebody's own: a point in time is a log event of it, and no span.
        service_name: The tool, for those rows.
        strict: Whether only registered event types are recorded.
    """

    __slots__ = (
        "_duration",
        "_events",
        "active",
        "begin",
        "clock",
        "export",
        "export_moment",
        "is_suppressed",
        "logger",
        "mark",
        "measures",
        "moment",
        "numbers",
        "operation",
        "passes_number",
        "record",
        "record_sampled",
        "record_start",
        "redactor",
        "seen",
        "service_name",
        "strict",
        "ticks",
        "tracer",
    )  # fmt: skip

    def __init__(
        self,
        tracer: Tracer | None,
        meter: Meter | None = None,
        redactor: Redacts | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        ticks: Callable[[], int] = time.perf_counter_ns,
        record: Callable[[list[tuple[Any, ...]]], bool] | None = None,
        record_sampled: Callable[[list[tuple[Any, ...]], int, int], bool] | None = None,
        record_start: Callable[[tuple[Any, ...]], bool] | None = None,
        export: Callable[..., None] | None = None,
        export_moment: Callable[..., None] | None = None,
        logger: Logger | None = None,
        service_name: str = "",
        strict: bool = False,
    ) -> None:
        self.active = tracer is not None or record is not None or export is not None
        self.begin: Any = None
        self.operation: type[Operation] | Any = None
        self.moment: type[Operation] | Any = None
        self.is_suppressed: Callable[[], bool] | Any = None
        if self.active:
            self._choose_operation(with_spans=tracer is not None, exported=export is not None)
            self._choose_moment(logged=logger is not None, exported=export_moment is not None)
        self.logger: Any = logger
        self.tracer: Any = tracer
        self.record: Any = record
        self.export: Any = export
        self.export_moment: Any = export_moment
        self.record_sampled: Any = record_sampled
        self.record_start: Any = record_start
        self.service_name = service_name
        self.strict = strict
        self.redactor: Any = redactor
        # Plans remember by it whose redactor saw their names; the runtime itself they would keep alive.
        self.mark = object()
        # Texts that were recorded before, by attribute: what each became.
        self.seen: dict[str, dict[str, str]] = {}
        # Attributes below which every number passes the redactor, where it can say so.
        self.numbers: set[str] = set()
        self.passes_number: Callable[[str], bool] | Any = getattr(redactor, "passes_number", None)
        self.clock = clock
        self.ticks = ticks
        self._duration: Histogram | None = None
        self._events: Counter | None = None
        # Whether there are metrics to record.
        self.measures = False
        if meter is not None:
            with guard:
                self._make_instruments(meter)

    def _choose_operation(self, *, with_spans: bool, exported: bool) -> None:
        """Settle what starts an operation, and what one is. Imported here: with tracking off, none of it is loaded."""
        from usagetrace.track.operation import begin

        self.begin = begin
        if with_spans:
            from usagetrace.track.spans import SpanOperation, is_suppressed

            self.operation, self.is_suppressed = SpanOperation, is_suppressed
        elif exported:
            from usagetrace.track.exported import ExportedOperation
            from usagetrace.track.spans import is_suppressed

            self.operation, self.is_suppressed = ExportedOperation, is_suppressed
        else:
            from usagetrace.track.local import LocalOperation, is_suppressed

            self.operation, self.is_suppressed = LocalOperation, is_suppressed

    def _choose_moment(self, *, logged: bool, exported: bool) -> None:
        """Settle what a point in time is. Imported here, as above."""
        self.moment = self.operation
        if logged:
            from usagetrace.track.logged import LoggedOperation

            self.moment = LoggedOperation
        elif exported:
            from usagetrace.track.moments import SentMoment

            self.moment = SentMoment

    def _make_instruments(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            semconv.METRIC_OPERATION_DURATION,
            unit="s",
            description="Duration of operations, failures included.",
            explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS,
        )
        self._events = meter.create_counter(
            semconv.METRIC_EVENTS, unit="{event}", description="Events, one for each artifact of a call."
        )
        self.measures = True

    def observe(
        self,
        event_type: str,
        artifact_types: Iterable[str],
        outcome: str,
        error_type: str | None,
        seconds: float | None,
    ) -> None:
        """Record the metrics of one operation.

        Args:
            event_type: What was done.
            artifact_types: Kind of each artifact that it touched, one an event.
            outcome: How it ended.
            error_type: Exception, where there was one.
            seconds: How long it took; None for a point in time.
        """
        kinds = list(artifact_types)
        self.count(event_type, kinds, outcome, error_type)
        if seconds is not None:
            self.time(event_type, kinds, outcome, error_type, seconds)

    def count(self, event_type: str, kinds: list[str], outcome: str, error_type: str | None) -> None:
        """Count events, by the kind of each one's artifact; the other arguments are those of :meth:`observe`."""
        if self._events is not None:
            attributes = _split_by(event_type, outcome, error_type)
            for kind in dict.fromkeys(kinds):
                counted = {**attributes, semconv.ARTIFACT_TYPE: kind} if kind else attributes
                self._events.add(kinds.count(kind), counted)

    def time(self, event_type: str, kinds: list[str], outcome: str, error_type: str | None, seconds: float) -> None:
        """Record how long an operation took; the arguments are those of :meth:`observe`."""
        if self._duration is not None:
            attributes = _split_by(event_type, outcome, error_type)
            if kinds[0] and len(set(kinds)) == 1:
                attributes[semconv.ARTIFACT_TYPE] = kinds[0]
            self._duration.record(seconds, attributes)


def _split_by(event_type: str, outcome: str, error_type: str | None) -> dict[str, str]:
    attributes = {semconv.EVENT_TYPE: event_type, semconv.OUTCOME: outcome}
    if error_type is not None:
        attributes[semconv.ERROR_TYPE] = error_type
    return attributes


OFF = Runtime(None)

# Empty while tracking is off. wrapt asks a wrapper's `enabled` for its truth before it calls anything of ours, so one
# list that all tracked functions share switches them off at no cost but wrapt's own (0.4 us a call less).
switch: list[bool] = [True]

_lock = threading.RLock()
_current: Runtime | None = None
_bootstrap: Callable[[], Runtime] | None = None
# The thread that starts a runtime, by its number; 0 for none.
_starting = 0
# How many captures hold a runtime, one inside the other.
_held = 0


def current() -> Runtime:
    """Return the runtime in force, starting it where this is the first call."""
    return _current if _current is not None else _start()


def installed() -> Runtime | None:
    """Return the runtime in force, or None where nothing has started one yet, or where one is held."""
    return None if _held else _current


def install(runtime: Runtime | None) -> None:
    """Put a runtime in force; None forgets the present one, so that the next call starts anew.

    While one is held this does nothing.
    """
    with _lock:
        if not _held:
            _put(runtime)


class hold:  # noqa: N801 -- used as `with hold(runtime):`, and contextlib costs a start-up a millisecond
    """Keep a runtime in force, whatever is configured or shut down meanwhile; then restore what was before.

    For captures in tests. What was in force before is neither flushed nor closed meanwhile.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._before: Runtime | None = None

    def __enter__(self) -> None:
        global _held
        with _lock:
            self._before = _current
            _held += 1
            _put(self._runtime)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _held
        with _lock:
            _held -= 1
            _put(self._before)


def is_held() -> bool:
    """Return whether a runtime is held: nothing else can be put in force now."""
    return _held > 0


def _put(runtime: Runtime | None) -> None:
    global _current
    _current = runtime
    # Not started yet counts as on: the first call starts it.
    switch[:] = [True] if runtime is None or runtime.active else []


def set_bootstrap(bootstrap: Callable[[], Runtime]) -> None:
    """Name the function that makes a runtime when the first call finds none."""
    global _bootstrap
    _bootstrap = bootstrap


def _start() -> Runtime:
    global _starting
    with _lock:
        if _current is not None:
            return _current
        if _starting or _bootstrap is None:
            # A tracked function that runs while the pipeline is being built is not tracked.
            return OFF
        _starting = threading.get_ident()
        runtime = OFF
        try:
            runtime = _bootstrap()
        except Exception as error:  # noqa: BLE001 -- a pipeline that can't be built must not break the host
            guard.note(error)
        finally:
            _starting = 0
            install(runtime)
        return runtime


def _in_child() -> None:
    """Wait for no thread of the parent process: none goes on in a child."""
    global _lock, _starting
    _lock = threading.RLock()
    if _starting not in (0, threading.get_ident()):
        # What that thread was importing is for ever half imported here, and locked: this child does without.
        _starting = 0
        install(OFF)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

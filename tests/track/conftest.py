"""Fixtures of the tests of tracked calls: the modes that a call may run in, and a look at OpenTelemetry's own log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from usagetrace.exporters.convert import events_from_span
from usagetrace.track import operation, runtime, spans
from usagetrace.track.rows import rows_of
from usagetrace.track.runtime import OFF, Runtime


class Raises:
    """A stand-in for any collaborator: whatever is asked of it fails."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise LookupError(f"planted: {name}")

        return fail


class BrokenInstruments:
    """A meter whose instruments fail when something is recorded."""

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        """Return an instrument that fails."""
        return Raises()

    create_counter = create_histogram


@pytest.fixture
def in_mode(capture: Callable[..., Any]) -> Callable[[str], contextlib.AbstractContextManager[Any]]:
    """Run a block in one of MODES; the block gets what was captured."""

    @contextlib.contextmanager
    def run(mode: str) -> Iterator[Any]:
        arguments: dict[str, Any] = {}
        if mode == "unsampled":
            arguments["sampler"] = ALWAYS_OFF
        if mode.endswith("redactor raises"):
            arguments["redactor"] = Raises()
        captured = capture(**arguments)
        if mode == "off":
            runtime.install(OFF)
        if mode == "tracer raises":
            runtime.install(Runtime(Raises(), captured.meter, captured.runtime.redactor))  # type: ignore[arg-type]
        if mode == "meter raises":
            broken: Any = BrokenInstruments()
            runtime.install(Runtime(captured.tracer, broken, captured.runtime.redactor))
        if mode.startswith("local"):
            take = Raises().take if mode == "local, spool raises" else captured.take
            runtime.install(Runtime(None, captured.meter, captured.runtime.redactor, record=take, service_name="t"))
        quiet = suppress_instrumentation() if mode.endswith("suppressed") else contextlib.nullcontext()
        before = otel_context.get_current()
        with quiet:
            yield captured
        assert otel_context.get_current() == before, "a tracked call left its context behind"
        assert operation._running.get() is None, "a tracked call still runs"

    return run


@pytest.fixture(autouse=True)
def local_mode_says_the_same(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See that each operation's rows, as local mode writes them, equal the events made from its span."""
    record = spans.SpanOperation.record
    differing: list[Any] = []

    def compare(
        self: spans.SpanOperation, merged: dict[str, Any], items: Any, outcome: str, error_type: str | None,
        elapsed_ns: int,
    ) -> None:  # fmt: skip
        span: Any = self.span
        untouched = span.is_recording() and dict(span.attributes) == self.at_start
        local = dict(merged)
        record(self, merged, items, outcome, error_type, elapsed_ns)
        if not untouched:
            return
        events = events_from_span(span, "t")
        context = span.get_span_context()
        ids = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        rows = rows_of(local, items, self.started_ns, elapsed_ns, error_type, outcome == "error", "t", *ids)
        if list(map(tuple, events)) != rows:
            differing.append((rows, events))

    monkeypatch.setattr(spans.SpanOperation, "record", compare)
    yield
    assert differing == []


@pytest.fixture(autouse=True)
def no_context_trouble(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See that OpenTelemetry had nothing to complain of, such as a context that could not be detached."""
    yield
    complaints = [r.getMessage() for r in caplog.get_records("call") if r.name.startswith("opentelemetry")]
    assert complaints == []

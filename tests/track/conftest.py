"""Fixtures of the tests of tracked calls: the modes that a call may run in, and a look at OpenTelemetry's own log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from usagetrace.track import runtime
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
        if mode == "redactor raises":
            arguments["redactor"] = Raises()
        captured = capture(**arguments)
        if mode == "off":
            runtime.install(OFF)
        if mode == "tracer raises":
            runtime.install(Runtime(Raises(), captured.meter, captured.runtime.redactor))  # type: ignore[arg-type]
        if mode == "meter raises":
            broken: Any = BrokenInstruments()
            runtime.install(Runtime(captured.tracer, broken, captured.runtime.redactor))
        quiet = suppress_instrumentation() if mode == "suppressed" else contextlib.nullcontext()
        before = otel_context.get_current()
        with quiet:
            yield captured
        assert otel_context.get_current() == before, "a tracked call left its context behind"

    return run


@pytest.fixture(autouse=True)
def no_context_trouble(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See that OpenTelemetry had nothing to complain of, such as a context that could not be detached."""
    yield
    complaints = [r.getMessage() for r in caplog.get_records("call") if r.name.startswith("opentelemetry")]
    assert complaints == []

"""Providers that somebody else set up: a warning where raw spans go out beside ours, and a way to close every door."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import (
    ConcurrentMultiLogRecordProcessor,
    LoggerProvider,
    SynchronousMultiLogRecordProcessor,
)
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from usagetrace.distro import protect_or_close
from usagetrace.errors import RedactionError
from usagetrace.exporters.sqlite import SQLiteSpanExporter
from usagetrace.redaction import RedactingSpanExporter, RedactingSpanProcessor, Redactor
from usagetrace.redaction.log_processor import RedactingLogRecordProcessor
from usagetrace.redaction.protection import protect

CANARY = "ghp" + "_" + "Canary7" * 6


class Enriching(SpanProcessor):
    """Sets an attribute when a span begins, and never looks at an ended one."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attribute("tenant", CANARY)


class Counting(SpanProcessor):
    """Looks at ended spans by itself."""

    def on_end(self, span: Any) -> None:
        """See a span."""


def tracer_provider(container: Any = None) -> TracerProvider:
    return TracerProvider(resource=Resource({}), shutdown_on_exit=False, active_span_processor=container)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "ours last"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SimpleSpanProcessor(InMemorySpanExporter()), "SimpleSpanProcessor"),
        (lambda: BatchSpanProcessor(InMemorySpanExporter()), "BatchSpanProcessor"),
        (Counting, "Counting"),
    ],
)
def test_a_processor_that_sees_raw_spans_is_named_once(
    redactor: Redactor,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[], SpanProcessor],
    name: str,
    ours_first: bool,
) -> None:
    """One warning names the processor and the code that puts it behind a redactor, wherever it stands."""
    provider = tracer_provider()
    pair = [RedactingSpanProcessor(SimpleSpanProcessor(InMemorySpanExporter()), redactor), make()]
    for processor in pair if ours_first else reversed(pair):
        provider.add_span_processor(processor)
    for _ in range(3):
        with provider.get_tracer("t").start_as_current_span("deploy"):
            pass
    provider.shutdown()
    (message,) = warned(caplog)
    assert f"add_span_processor(RedactingSpanProcessor({name}(...)))" in message
    assert "usagetrace.redaction.protect(provider)" in message


def test_one_that_comes_later_is_named_too(redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    """The neighbours are looked at again when there are others."""
    provider = tracer_provider()
    provider.add_span_processor(RedactingSpanProcessor(Counting(), redactor))
    provider.get_tracer("t").start_span("a").end()
    assert warned(caplog) == []
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    provider.get_tracer("t").start_span("b").end()
    assert len(warned(caplog)) == 1
    provider.shutdown()


def test_neighbours_that_see_nothing_private_are_not_named(
    redactor: Redactor, caplog: pytest.LogCaptureFixture
) -> None:
    """Processors of ours, exporters that redact by themselves, and those that ignore ended spans are in order."""
    provider = tracer_provider()
    for processor in (
        RedactingSpanProcessor(Counting(), redactor),
        SimpleSpanProcessor(RedactingSpanExporter(InMemorySpanExporter(), redactor)),
        BatchSpanProcessor(SQLiteSpanExporter()),
        Enriching(),
    ):
        provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("a").end()
    provider.shutdown()
    assert warned(caplog) == []


@pytest.mark.parametrize("container", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
@pytest.mark.parametrize("kind", [SimpleSpanProcessor, BatchSpanProcessor])
def test_protect_closes_a_foreign_providers_doors(redactor: Redactor, container: Any, kind: Any) -> None:
    """Tracers and spans that exist already are protected too; what processors add at the start is redacted."""
    memory = InMemorySpanExporter()
    provider = tracer_provider(container())
    provider.add_span_processor(kind(memory))
    provider.add_span_processor(Enriching())
    tracer = provider.get_tracer("t")
    begun = tracer.start_span(f"begun {CANARY}")
    assert protect(provider, redactor) == 2
    assert protect(provider, redactor) == 0
    begun.end()
    with tracer.start_as_current_span("later", attributes={"a": CANARY}):
        pass
    provider.force_flush()
    spans = memory.get_finished_spans()
    provider.shutdown()
    assert len(spans) == 2
    assert b"Canary7" not in encode_spans(spans).SerializeToString()


def test_protect_wraps_what_came_later_and_nothing_twice(redactor: Redactor) -> None:
    """A second call is for processors that were added since."""
    provider = tracer_provider()
    provider.add_span_processor(RedactingSpanProcessor(Counting(), redactor))
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(InMemorySpanExporter(), redactor)))
    assert protect(provider, redactor) == 0
    provider.add_span_processor(Counting())
    assert protect(provider, redactor) == 1
    provider.shutdown()


@pytest.mark.parametrize("container", [SynchronousMultiLogRecordProcessor, ConcurrentMultiLogRecordProcessor])
@pytest.mark.parametrize("kind", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
def test_protect_closes_a_logger_providers_doors(redactor: Redactor, container: Any, kind: Any) -> None:
    """Loggers that exist already are protected too."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(Resource({}), shutdown_on_exit=False, multi_log_record_processor=container())
    provider.add_log_record_processor(kind(memory))
    provider.add_log_record_processor(RedactingLogRecordProcessor(SimpleLogRecordProcessor(memory), redactor))
    logger = provider.get_logger("t")
    assert protect(provider, redactor) == 1
    logger.emit(body=CANARY, attributes={"a": CANARY})
    provider.force_flush()
    records = memory.get_finished_logs()
    provider.shutdown()
    if container is ConcurrentMultiLogRecordProcessor:
        provider._multi_log_record_processor._executor.shutdown()
    assert len(records) == 2
    assert b"Canary7" not in encode_logs(records).SerializeToString()


def test_protect_closes_a_meter_providers_doors(redactor: Redactor, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers that push and readers that are asked get redacted collections."""
    import sys

    asked = InMemoryMetricReader({})
    pushing = PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stdout), 3_600_000)
    provider = MeterProvider([asked, pushing], resource=Resource({}), shutdown_on_exit=False)
    provider.get_meter("m").create_counter("c").add(1, {"a": CANARY})
    assert protect(provider, redactor) == 2
    assert protect(provider, redactor) == 0
    data = asked.get_metrics_data()
    assert data is not None
    assert b"Canary7" not in encode_metrics(data).SerializeToString()
    provider.force_flush()
    provider.shutdown()
    out = capsys.readouterr().out
    assert "[redacted:gh-token]" in out
    assert "Canary7" not in out


class Odd(TracerProvider):
    """A provider whose processors are kept in a way that nobody knows."""

    def __init__(self) -> None:
        super().__init__(resource=Resource({}), shutdown_on_exit=False)
        self._active_span_processor: Any = Counting()


class Wrong(TracerProvider):
    """A provider with something among its processors that is none."""

    def __init__(self) -> None:
        super().__init__(resource=Resource({}), shutdown_on_exit=False)
        self.good = Counting()
        self._active_span_processor._span_processors = (self.good, object())  # type: ignore[assignment]


@pytest.mark.parametrize("make", [trace.NoOpTracerProvider, trace.ProxyTracerProvider, NoOpMeterProvider, Odd, object])
def test_protect_refuses_what_it_does_not_know(make: Callable[[], Any]) -> None:
    """The error names the type and what to do instead."""
    provider = make()
    with pytest.raises(RedactionError, match=f"{make.__qualname__}.*wrap each processor when it is added"):
        protect(provider)


def test_protect_changes_all_or_nothing(redactor: Redactor) -> None:
    """Where one processor can't be wrapped, none is."""
    provider = Wrong()
    with pytest.raises(RedactionError, match=r"object is no processor"):
        protect(provider, redactor)
    assert provider._active_span_processor._span_processors[0] is provider.good


def test_what_cannot_be_protected_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """Under our configurator a provider of an unknown shape records nothing, and one warning says what to use."""
    provider = Odd()
    protect_or_close(lambda: provider)
    assert not provider.get_tracer("t").start_span("a").is_recording()
    (message,) = warned(caplog)
    assert "usagetrace_otlp" in message


def test_a_signal_that_nobody_set_up_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no SDK provider there is nothing to protect, and nothing to say."""
    protect_or_close(trace.ProxyTracerProvider)
    assert warned(caplog) == []

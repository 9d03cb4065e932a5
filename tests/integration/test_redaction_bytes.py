"""What leaves, read byte by byte: a canary in every door, a real OTLP receiver, a real store and spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

import usagetrace
from tests.support.otlp import Received, attributes, grpc_receiver, http_receiver
from usagetrace import track
from usagetrace.exporters.otlp import (
    RedactingOTLPLogExporter,
    RedactingOTLPMetricExporter,
    RedactingOTLPSpanExporter,
)
from usagetrace.exporters.sqlite import SQLiteSpanExporter
from usagetrace.redaction import RedactingSpanProcessor, Redactor
from usagetrace.redaction.instruments import RedactingMeterProvider
from usagetrace.redaction.log_exporter import RedactingLogRecordExporter
from usagetrace.redaction.log_processor import RedactingLogRecordProcessor
from usagetrace.redaction.metrics import MetricRedactor
from usagetrace.redaction.protection import protect

ADA = Redactor(home="/home/canary7", user_name="canary7", host_name="canary7-thinkpad.corp.example")
# Of kinds that are recognised beyond doubt; each holds the word that must not be found.
CANARIES = {
    "token": "ghp" + "_" + "Canary7" * 6,
    "password": "password=" + "Canary7-and-more",
    "e-mail": "canary7" + "@example.org",
    "home": "/home/canary7/work/plan.txt",
    "other home": "/Users/Canary7/plan.txt",
    "host": "canary7-thinkpad",
    "url": "https://ada:" + "Canary7pw" + "@example.org/x",
}


def assert_clean(received: list[bytes]) -> None:
    """Fail where a part of any canary is among the bytes."""
    assert received, "nothing arrived: the test has looked at nothing"
    for body in received:
        at = body.lower().find(b"canary7")
        assert at < 0, body[max(at - 60, 0) : at + 40]


class Boom(Exception):
    """What user code raises."""


def raise_with(canary: str) -> None:
    """Raise with a canary in message, notes, cause and group; a source line of the stack has another one."""
    error = Boom(f"bad {canary}", canary)
    if hasattr(error, "add_note"):
        error.add_note(f"note {canary}")
    try:
        raise OSError(2, "no such file", canary)
    except OSError as cause:
        raise error from cause  # ask canary7@example.org


def trace_everything(provider: Any, canary: str) -> None:
    """Put a canary in every channel of spans, as a foreign tracer does that records exceptions."""
    tracer = provider.get_tracer(f"scope {canary}", canary, attributes={"a": canary})
    with tracer.start_as_current_span(f"do {canary}", attributes={"a": canary, f"k {canary}": [canary]}) as span:
        span.add_event(f"event {canary}", {"deep": {"list": [canary, {"x": canary}]}, "bytes": canary.encode()})
        span.add_link(SpanContext(3, 4, False), {"a": canary})
    with pytest.raises(Boom), tracer.start_as_current_span("fails", record_exception=True):
        raise_with(canary)


def log_everything(provider: Any, canary: str) -> None:
    """Put a canary in every channel of log records."""
    logger = provider.get_logger(f"scope {canary}", attributes={"a": canary})
    logger.emit(body={"text": canary, canary: [canary]}, attributes={"a": {"b": canary}}, event_name=f"e {canary}")
    try:
        raise_with(canary)
    except Boom as error:
        logger.emit(body=f"failed {canary}", severity_text=canary, exception=error)


def measure_everything(provider: Any, canary: str) -> None:
    """Put a canary in every channel of metrics."""
    meter = provider.get_meter("m", attributes={"a": canary})
    meter.create_counter("c", description=f"of {canary}").add(1, {"a": canary, f"k {canary}": 1})
    meter.create_histogram("h").record(1.5, {"a": canary})
    meter.create_gauge("g").set(1, {"a": canary})


def through_processors(received: Received, protocol: str, canary: str) -> None:
    """Send by our processors and exporters, a foreign exporter registered before them."""
    resource = Resource({"host.name": "canary7-thinkpad", "process.executable.path": canary, f"k {canary}": "x"})
    where = {"endpoint": received.endpoint, "protocol": protocol, "redactor": ADA}
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    tracers.add_span_processor(RedactingSpanProcessor(BatchSpanProcessor(RedactingOTLPSpanExporter(**where)), ADA))
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(InMemoryLogRecordExporter()))
    sending = BatchLogRecordProcessor(RedactingOTLPLogExporter(**where))
    loggers.add_log_record_processor(RedactingLogRecordProcessor(sending, ADA))
    reader = PeriodicExportingMetricReader(RedactingOTLPMetricExporter(**where), 3_600_000)
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    trace_everything(tracers, canary)
    log_everything(loggers, canary)
    measure_everything(RedactingMeterProvider(meters, ADA), canary)
    for provider in (tracers, loggers, meters):
        provider.force_flush()
        provider.shutdown()


@pytest.mark.parametrize("kind", CANARIES)
def test_no_door_lets_a_canary_onto_the_wire(kind: str) -> None:
    """Spans, log records and metrics arrive at a real receiver, and no byte of them is of a canary."""
    with http_receiver() as received:
        through_processors(received, "http/protobuf", CANARIES[kind])
    assert (len(received.spans()), len(received.log_records())) == (2, 2)
    assert received.metric_names() == {"c", "g", "h"}
    assert_clean(received.raw)


def test_no_door_lets_a_canary_through_grpc() -> None:
    """The same by the other protocol, all canaries at once."""
    with grpc_receiver() as received:
        through_processors(received, "grpc", " ".join(CANARIES.values()))
    assert len(received.log_records()) == 2
    assert_clean(received.raw)


def test_an_exception_leaves_its_type_and_nothing_else_of_value() -> None:
    """Message, notes, cause and source lines are redacted wherever they went; the type is there to be counted."""
    with http_receiver() as received:
        through_processors(received, "http/protobuf", " ".join(CANARIES.values()))
    (span,) = (span for span in received.spans() if span.name == "fails")
    (event,) = span.events
    said = attributes(event)
    assert said["exception.type"].endswith("Boom")
    assert said["exception.message"]
    assert "raise error from cause" in said["exception.stacktrace"]
    assert span.status.message.startswith("Boom")
    (record,) = (record for record in received.log_records() if record.severity_text)
    assert attributes(record)["exception.type"].endswith("Boom")
    assert_clean(received.raw)


def test_a_protected_foreign_provider_sends_no_canary() -> None:
    """A provider that an application set up with standard exporters is clean from the moment it is protected."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    canary = " ".join(CANARIES.values())
    with http_receiver() as received:
        tracers = TracerProvider(resource=Resource({"a": canary}), shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{received.endpoint}/v1/traces")))
        loggers = LoggerProvider(resource=Resource({"a": canary}), shutdown_on_exit=False)
        loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{received.endpoint}/v1/logs")))
        assert (protect(tracers, ADA), protect(loggers, ADA)) == (1, 1)
        trace_everything(tracers, canary)
        log_everything(loggers, canary)
        tracers.shutdown()
        loggers.shutdown()
    assert (len(received.spans()), len(received.log_records())) == (2, 2)
    assert_clean(received.raw)


def files_below(folder: Path) -> list[bytes]:
    """Return the name and all bytes of every file below a folder."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() for path in found]


@contextmanager
def with_baggage(canary: str) -> Iterator[None]:
    token = context.attach(baggage.set_baggage("who", canary))
    try:
        yield
    finally:
        context.detach(token)


# The machine is the real one here, so the canaries are those that every machine knows.
ANYWHERE = [kind for kind in CANARIES if kind not in ("home", "host")]


@pytest.mark.parametrize("kind", ANYWHERE)
def test_no_canary_in_store_or_spool_or_on_the_wire(kind: str, tmp_path: Path) -> None:
    """Tracked calls with a canary in every field and in the baggage: each file and each request is clean."""
    canary = CANARIES[kind]

    @track.deploy(metadata={"note": "$note", f"k {canary}": 1, "deep": {"list": [canary, {"x": (canary,)}]}})
    def deploy(artifact_name: str, artifact_type: str, collection_name: str, project_path: str, note: Any) -> str:
        if note is None:
            raise_with(canary)
        return canary

    @track(f"do {canary}", artifact_name="canvas", each="$result", metadata={f"k {canary}": "$item", "n": "$index"})
    def look() -> list[str]:
        return [canary, f"see {canary}"]

    with http_receiver() as received, with_baggage(canary):
        usagetrace.configure(service_name="shop", otlp_endpoint=received.endpoint, metrics="on")
        deploy(canary, canary, canary, canary, {"a": [canary], canary: b"\xff" + canary.encode()})
        with pytest.raises(Boom):
            deploy(canary, canary, canary, canary, None)
        look()
        usagetrace.record_event("sync", canary, canary, collection_name=canary, metadata={canary: canary})
        before = files_below(tmp_path)
        assert usagetrace.flush(10)
        after = files_below(tmp_path)
        usagetrace.shutdown()
    assert any(b"deploy" in content for content in before)
    assert_clean(before)
    assert_clean(after)
    assert_clean(received.raw)
    names = sorted(span.name for span in received.spans())
    assert [name for name in names if not name.startswith("do ")] == ["deploy", "deploy"]
    assert len(names) == 3
    assert [record.event_name for record in received.log_records()] == ["usage.sync"]
    errors = [attributes(span).get("error.type") for span in received.spans()]
    assert [error for error in errors if error] == [f"{Boom.__module__}.{Boom.__qualname__}"]


@pytest.mark.parametrize("kind", ANYWHERE)
def test_what_we_put_on_foreign_providers_is_redacted_before(kind: str) -> None:
    """An application's own exporters, with no redactor of ours anywhere, get no canary from tracked calls."""
    canary = CANARIES[kind]
    memory, reader = InMemorySpanExporter(), InMemoryMetricReader({})
    tracers = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(memory))
    meters = MeterProvider([reader], resource=Resource({}), shutdown_on_exit=False)
    usagetrace.configure(service_name="shop", local=False, tracer_provider=tracers, meter_provider=meters)

    @track.deploy(outcome="$result", metadata={"note": "$note", f"k {canary}": 1})
    def deploy(artifact_name: str, artifact_type: str, project_path: str, note: Any) -> str:
        if note is None:
            raise_with(canary)
        return canary

    with with_baggage(canary):
        deploy(canary, canary, canary, {canary: canary})
        with pytest.raises(Boom):
            deploy(canary, canary, canary, None)
        usagetrace.record_event("sync", canary, canary, metadata={canary: canary})
        with track(f"do {canary}", metadata={f"k {canary}": canary}):
            pass
    data = reader.get_metrics_data()
    assert data is not None
    sent = [
        encode_spans(memory.get_finished_spans()).SerializeToString(),
        encode_metrics(data).SerializeToString(),
    ]
    usagetrace.shutdown()
    assert b"usage.operation.duration" in sent[1]
    assert_clean(sent)


def test_no_canary_by_the_exporter_for_sqlite(tmp_path: Path) -> None:
    """A foreign provider with our SQLite exporter and no processor of ours writes clean files."""
    canary = " ".join(CANARIES.values())
    exporter = SQLiteSpanExporter(tmp_path / "store" / "analytics.db", redactor=ADA)
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    said = {"usage.event.type": "deploy", "usage.artifact.name": canary, "usage.metadata.note": canary}
    with provider.get_tracer("t").start_as_current_span("deploy", attributes={**said, f"usage.metadata.{canary}": 1}):
        pass
    provider.force_flush()
    written = files_below(tmp_path / "store")
    provider.shutdown()
    assert any(b"deploy" in content for content in written)
    assert_clean(written)


harmless = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31),
    st.floats(allow_nan=False),
    st.sampled_from(["", "a b", "x"]),
)
planted = st.sampled_from(list(CANARIES.values())).flatmap(
    lambda canary: st.sampled_from([canary, f"see {canary} there", f'{{"a": "{canary}"}}', canary.encode()])
)
names = st.sampled_from(["a", "note", "list", "count"])
values = st.recursive(
    harmless | planted,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def sent_spans(value: Any) -> bytes:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(memory), ADA))
    with provider.get_tracer("t", attributes={"a": value}).start_as_current_span("s", attributes={"a": value}) as span:
        span.add_event("e", {"a": value})
        span.add_link(SpanContext(3, 4, False), {"a": value})
    return encode_spans(memory.get_finished_spans()).SerializeToString()


def sent_logs(value: Any) -> bytes:
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(RedactingLogRecordExporter(memory, ADA)))
    provider.get_logger("t").emit(body=value, attributes={"a": value})
    return encode_logs(memory.get_finished_logs()).SerializeToString()


def sent_metrics(value: Any) -> bytes:
    reader = InMemoryMetricReader({})
    provider = MeterProvider([reader], resource=Resource({}), shutdown_on_exit=False)
    provider.get_meter("m").create_counter("c").add(1, {"a": str(value)})
    data = reader.get_metrics_data()
    assert data is not None
    return encode_metrics(MetricRedactor(ADA).data(data)).SerializeToString()


@pytest.mark.parametrize("send", [sent_spans, sent_logs, sent_metrics])
def test_a_canary_at_any_depth_reaches_no_exporter(send: Callable[[Any], bytes]) -> None:
    """Whatever a value is made of, its encoded bytes hold no canary."""

    @given(values)
    @settings(max_examples=15)
    def law(value: Any) -> None:
        assert b"canary7" not in send(value).lower()

    law()


@given(values)
@settings(max_examples=40)
def test_redacting_what_was_redacted_changes_nothing(value: Any) -> None:
    """A second door behind the first finds nothing to do."""
    once = ADA.redact("note", value)
    assert ADA.redact("note", once) == once


@given(st.recursive(harmless, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)))
@settings(max_examples=40)
def test_what_is_harmless_keeps_type_and_value(value: Any) -> None:
    """A log body without anything private comes out equal, type for type."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(RedactingLogRecordProcessor(SimpleLogRecordProcessor(memory), ADA))
    provider.get_logger("t").emit(body=value)
    (record,) = memory.get_finished_logs()
    assert repr(record.log_record.body) == repr(value)

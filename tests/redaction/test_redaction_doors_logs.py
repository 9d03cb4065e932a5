"""One canary in every channel of a log record: none is in the OTLP bytes, and the caller keeps the record it had."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    LogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState

from usagetrace.errors import RedactionError
from usagetrace.redaction import Redactor
from usagetrace.redaction.log_exporter import RedactingLogRecordExporter
from usagetrace.redaction.log_processor import RedactingLogRecordProcessor
from usagetrace.redaction.policy import Policy

CANARY = "ghp" + "_" + "Canary7" * 6
AROUND = SpanContext(1, 2, False, TraceFlags(1), TraceState([("vendor", CANARY), ("ok", "1")]))


class Shy:
    """Says something harmless when it is asked first, and something else from then on."""

    def __init__(self) -> None:
        self._asked = 0

    def __str__(self) -> str:
        self._asked += 1
        return "harmless" if self._asked == 1 else CANARY


def failure() -> BaseException:
    """Return an exception with the canary in its message, its notes, its cause and a source line of its stack."""
    try:
        try:
            raise OSError(2, "password=Canary7Canary7", f"/home/Canary7/{CANARY}")
        except OSError as cause:
            error = ValueError(f"bad {CANARY}")  # tell Canary7@example.org
            if hasattr(error, "add_note"):
                error.add_note(f"see {CANARY}")
            raise error from cause
    except ValueError as raised:
        return raised


CHANNELS: dict[str, dict[str, Any]] = {
    "body": {"body": f"used {CANARY}"},
    "body map": {"body": {"a": {"b": [CANARY]}, CANARY: 1}},
    "body list": {"body": ["x", [CANARY]]},
    "body bytes": {"body": b"\xff" + CANARY.encode()},
    "body object": {"body": Shy()},
    "secret key in body": {"body": {"db.password": "Canary7Canary7"}},
    "attribute": {"attributes": {"a": CANARY}},
    "attribute map": {"attributes": {"a": {"b": [CANARY]}}},
    "attribute key": {"attributes": {f"a.{CANARY}": 1}},
    "secret key": {"attributes": {"apiKey": "Canary7Canary7"}},
    "event name": {"event_name": CANARY},
    "severity text": {"severity_text": CANARY},
    "exception": {"exception": failure()},
    "baggage": {"context": baggage.set_baggage("who", CANARY, set_span_in_context(NonRecordingSpan(AROUND)))},
}


def simple(exporter: LogRecordExporter, redactor: Redactor) -> LogRecordProcessor:
    return RedactingLogRecordProcessor(SimpleLogRecordProcessor(exporter), redactor)


def batch(exporter: LogRecordExporter, redactor: Redactor) -> LogRecordProcessor:
    return RedactingLogRecordProcessor(BatchLogRecordProcessor(exporter), redactor)


def at_exporter(exporter: LogRecordExporter, redactor: Redactor) -> LogRecordProcessor:
    return SimpleLogRecordProcessor(RedactingLogRecordExporter(exporter, redactor))


WAYS = [simple, batch, at_exporter]
Way = Callable[[LogRecordExporter, Redactor], LogRecordProcessor]


def exported(
    way: Way,
    redactor: Redactor,
    emit: Mapping[str, Any],
    resource: Mapping[str, Any] | None = None,
    scope: Mapping[str, Any] | None = None,
) -> ReadableLogRecord:
    """Send one record through real processors; return what the exporter got."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource(dict(resource or {})), shutdown_on_exit=False)
    provider.add_log_record_processor(way(memory, redactor))
    provider.get_logger(**{"name": "test", **(scope or {})}).emit(**emit)
    provider.force_flush()
    provider.shutdown()
    (record,) = memory.get_finished_logs()
    return record


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_channel_of_a_log_record_lets_a_secret_out(redactor: Redactor, channel: str, way: Way) -> None:
    """Neither the encoded OTLP bytes nor the console's JSON hold a part of the canary, whichever channel it is in."""
    record = exported(way, redactor, CHANNELS[channel])
    assert b"Canary7" not in encode_logs([record]).SerializeToString()
    assert "Canary7" not in record.to_json()
    assert record.log_record.exception is None
    assert "Canary7" not in repr(record.log_record.context)


@pytest.mark.parametrize(
    "where",
    [
        {"resource": {"process.command_args": ["tool", "--token", "Canary7"]}},
        {"resource": {"process.executable.path": "/home/Canary7/bin/python"}},
        {"scope": {"name": CANARY}},
        {"scope": {"version": CANARY}},
        {"scope": {"schema_url": f"https://ada:Canary7@{'example.org'}/1"}},
        {"scope": {"attributes": {"a": CANARY}}},
    ],
    ids=str,
)
def test_resource_and_scope_of_a_log_record_let_no_secret_out(redactor: Redactor, where: dict[str, Any]) -> None:
    """What all records of a process share is redacted too."""
    record = exported(simple, redactor, {"body": "x"}, **where)
    assert b"Canary7" not in encode_logs([record]).SerializeToString()


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_keeps_its_type(redactor: Redactor, way: Way) -> None:
    """What failed can be told from the record: type, redacted message, redacted stack."""
    attributes = exported(way, redactor, {"exception": failure()}).log_record.attributes
    assert attributes is not None
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "bad [redacted:gh-token]"
    assert "Traceback (most recent call last)" in str(attributes["exception.stacktrace"])


def test_a_live_exception_that_nobody_described_is_described(redactor: Redactor) -> None:
    """A record that reaches the exporter with an exception object and no attributes says what the object said."""
    memory = InMemoryLogRecordExporter()
    raw = ReadableLogRecord(LogRecord(body="x", exception=KeyError(CANARY)), Resource({}))
    RedactingLogRecordExporter(memory, redactor).export([raw])
    (record,) = memory.get_finished_logs()
    attributes = dict(record.log_record.attributes or {})
    assert attributes["exception.type"] == "KeyError"
    assert b"Canary7" not in encode_logs([record]).SerializeToString()
    assert raw.log_record.exception is not None


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_private_in_a_log_record_survives(redactor: Redactor, way: Way) -> None:
    """Times, severity, trace context, names, types and harmless values are those of the original."""
    body = {"n": 1, "f": 2.5, "yes": True, "none": None, "list": ["a", 1], "bytes": b"\x00"}
    attributes = {"k": "v", "n": 3, "list": ["a", "b"], "map": {"x": 1}}
    token = context.attach(set_span_in_context(NonRecordingSpan(AROUND)))
    try:
        record = exported(
            way,
            redactor,
            {
                "timestamp": 5,
                "observed_timestamp": 6,
                "severity_text": "WARN",
                "severity_number": SeverityNumber.WARN,
                "body": body,
                "attributes": attributes,
                "event_name": "shop.done",
            },
        )
    finally:
        context.detach(token)
    made = record.log_record
    assert (made.timestamp, made.observed_timestamp, made.severity_text, made.event_name) == (5, 6, "WARN", "shop.done")
    assert (made.severity_number, made.trace_id, made.span_id) == (SeverityNumber.WARN, 1, 2)
    assert int(made.trace_flags or 0) == 1
    assert made.body == body
    assert dict(made.attributes or {}) == {**attributes, "list": ("a", "b")}


def test_the_callers_record_is_not_changed(redactor: Redactor) -> None:
    """A processor beside ours, and the caller, see what was emitted, as it was."""
    seen: list[Any] = []

    class Keep(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            seen.append((log_record.log_record.body, dict(log_record.log_record.attributes)))

        def shutdown(self) -> None:
            """Keep nothing open."""

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    body = {"token": CANARY, "deep": {"list": [CANARY]}}
    before = copy.deepcopy(body)
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(RedactingLogRecordProcessor(Keep(), redactor))
    provider.add_log_record_processor(Keep())
    record = LogRecord(body=body, attributes={"a": CANARY})
    provider.get_logger("t").emit(record)
    provider.shutdown()
    redacted, raw = seen
    assert body == before == raw[0]
    assert raw[1] == {"a": CANARY}
    assert "Canary7" not in repr(redacted)


def test_what_the_caller_adds_later_does_not_leave(redactor: Redactor) -> None:
    """A map that is changed after it was logged, while it waits in a queue, is not exported as it has become."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(batch(memory, redactor))
    body: dict[str, Any] = {"ok": ["x"]}
    record = LogRecord(body=body, attributes={"a": "b"})
    provider.get_logger("t").emit(record)
    body["ok"].append(CANARY)
    body["late"] = CANARY
    assert record.attributes is not None
    record.attributes["late"] = CANARY  # type: ignore[index]
    provider.force_flush()
    provider.shutdown()
    (exported_record,) = memory.get_finished_logs()
    assert b"Canary7" not in encode_logs([exported_record]).SerializeToString()
    assert exported_record.log_record.body == {"ok": ["x"]}


def test_dropped_counts_of_log_attributes_survive(redactor: Redactor) -> None:
    """What the SDK dropped by its own limits is still counted after redaction."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(
        resource=Resource({}), shutdown_on_exit=False, log_record_limits=LogRecordLimits(max_log_record_attributes=1)
    )
    provider.add_log_record_processor(simple(memory, redactor))
    with pytest.warns(UserWarning, match="dropped"):
        provider.get_logger("t").emit(body="x", attributes={"a": 1, "b": CANARY})
    provider.shutdown()
    (record,) = memory.get_finished_logs()
    assert record.dropped_attributes == 1
    assert dict(record.log_record.attributes or {}) == {"b": "[redacted:gh-token]"}


class Broken(Redactor):
    """An engine that can't redact a value."""

    def redact(self, key: str, value: object) -> object:
        raise RedactionError("broken on purpose")


def test_a_log_record_that_cannot_be_redacted_is_dropped_and_counted() -> None:
    """Both doors fail closed, raise nothing, and count."""
    memory = InMemoryLogRecordExporter()
    processor = RedactingLogRecordProcessor(SimpleLogRecordProcessor(memory), Broken(home=""))
    exporter = RedactingLogRecordExporter(memory, Broken(home=""))
    provider = LoggerProvider(resource=Resource({"a": "b"}), shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("t").emit(body="x")
    provider.shutdown()
    assert memory.get_finished_logs() == ()
    assert (processor.dropped, exporter.dropped) == (1, 1)


def test_a_failing_wrapped_log_processor_does_not_reach_the_host(redactor: Redactor) -> None:
    """Exceptions of what comes after end here; a failed flush says so; what can't say whether it is enabled is."""

    class Failing(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            raise OSError("emit")

        def enabled(self, **kwargs: Any) -> bool:
            raise OSError("enabled")

        def shutdown(self) -> None:
            raise OSError("shutdown")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            raise OSError("flush")

    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    processor = RedactingLogRecordProcessor(Failing(), redactor)
    provider.add_log_record_processor(processor)
    provider.get_logger("t").emit(body="x")
    assert processor.enabled() is True
    assert provider.force_flush() is False
    provider.shutdown()


POLICIES = {"drop": Policy(mode="drop"), "hash": Policy(mode="hash"), "only": Policy(only=("kept",))}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel", [channel for channel in CHANNELS if channel != "baggage"])
def test_no_policy_opens_a_door(channel: str, way: Way, policy: str) -> None:
    """Dropped, hashed or not on the list: whatever a policy wants, the encoded bytes hold no canary."""
    redactor = Redactor(home="/home/ada", user_name="ada", host_name="h", policy=POLICIES[policy])
    record = exported(way, redactor, CHANNELS[channel])
    assert b"Canary7" not in encode_logs([record]).SerializeToString()


def test_an_allow_list_is_about_the_body_too() -> None:
    """What is not on the list does not leave as a log record's body either, however harmless."""
    redactor = Redactor(home="/home/ada", user_name="ada", host_name="h", policy=POLICIES["only"])
    record = exported(simple, redactor, {"body": {"a": "x"}, "attributes": {"kept": 1, "other": 2}}).log_record
    assert (record.body, dict(record.attributes or {})) == (None, {"kept": 1})
    redactor.govern(Policy(only=("body",)))
    assert exported(simple, redactor, {"body": "x"}).log_record.body == "x"


def test_a_new_policy_is_about_resources_that_were_seen() -> None:
    """What was redacted under one policy is not handed on under the next."""
    redactor = Redactor(home="/home/ada", user_name="ada", host_name="h")
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({"team": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(simple(memory, redactor))
    logger = provider.get_logger("t", attributes={"team": "shop"})
    logger.emit(body="x")
    redactor.govern(POLICIES["only"])
    logger.emit(body="x")
    provider.shutdown()
    before, after = memory.get_finished_logs()
    assert (dict(before.resource.attributes), dict(after.resource.attributes)) == ({"team": "shop"}, {})
    assert after.instrumentation_scope is not None
    assert dict(after.instrumentation_scope.attributes or {}) == {}

"""The messages of OTLP, but only what an event is made of.

This module owns their numbers on the wire, as https://github.com/open-telemetry/opentelemetry-proto defines them. What
is not named here is skipped by the parser. Attributes stay the bytes that they came in: most come again, and a look
into a dictionary of bytes takes a tenth of the time that reading one does.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
)

from usagetrace.otlp.faults import MalformedError

# Number and type of each field of each message; `*` stands before what may be there several times. A message inside a
# message, and bytes in its place, look the same on the wire.
MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "Resource": {"attributes": (1, "*bytes")},
    "Scope": {"name": (1, "string"), "version": (2, "string")},
    "Status": {"code": (3, "int32")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "name": (5, "string"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "*bytes"),
        "status": (15, "Status"),
    },
    "ScopeSpans": {"scope": (1, "Scope"), "spans": (2, "*Span"), "schema_url": (3, "string")},
    "ResourceSpans": {"resource": (1, "Resource"), "scope_spans": (2, "*ScopeSpans")},
    "Traces": {"resource_spans": (1, "*ResourceSpans")},
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "severity_number": (2, "int32"),
        "severity_text": (3, "string"),
        "body": (5, "bytes"),
        "attributes": (6, "*bytes"),
        "trace_id": (9, "bytes"),
        "span_id": (10, "bytes"),
        "observed_time_unix_nano": (11, "fixed64"),
        "event_name": (12, "string"),
    },
    "ScopeLogs": {"scope": (1, "Scope"), "log_records": (2, "*LogRecord"), "schema_url": (3, "string")},
    "ResourceLogs": {"resource": (1, "Resource"), "scope_logs": (2, "*ScopeLogs")},
    "Logs": {"resource_logs": (1, "*ResourceLogs")},
}

_PACKAGE: Final = "usagetrace.lean"


def _classes() -> dict[str, Any]:
    """Return the class of each message."""
    field_type: Any = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="usagetrace/lean.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, (number, form) in fields.items():
            kind = form.removeprefix("*")
            made = described.field.add(name=field, number=number)
            made.label = field_type.LABEL_OPTIONAL if kind == form else field_type.LABEL_REPEATED
            if kind in MESSAGES:
                made.type, made.type_name = field_type.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                made.type = getattr(field_type, f"TYPE_{kind.upper()}")
    # A pool of its own: the program's may hold anything.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in MESSAGES
    }


CLASSES: Final = _classes()


def parse(kind: Any, body: bytes) -> Any:
    """Return a message read from its bytes.

    Args:
        kind: The class of the message.
        body: The bytes.

    Raises:
        MalformedError: They are none of such a message.
    """
    try:
        return kind.FromString(body)
    except (message.DecodeError, RecursionError):
        # What the parser says of it may quote the text that it stumbled over.
        raise MalformedError(f"the request is not a valid {kind.DESCRIPTOR.name} message") from None

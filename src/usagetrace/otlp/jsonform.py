"""OTLP's JSON form to its binary form, as https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it.

It differs from protobuf's usual one: ids are hexadecimal, enums are numbers. Read generously: names of fields and enums
as in the protobuf files, 64-bit numbers as numbers or texts, unknown fields passed over. What no event is made of is
not looked at. Whatever the text is, it is read or it is malformed.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from usagetrace.events import clean_text
from usagetrace.otlp.faults import MalformedError
from usagetrace.otlp.signals import LOGS, METRICS, TRACES

_REQUESTS: Final[dict[str, Any]] = {
    TRACES: ExportTraceServiceRequest,
    METRICS: ExportMetricsServiceRequest,
    LOGS: ExportLogsServiceRequest,
}
# Fields that no event is made of.
_SKIPPED: Final = frozenset(("events", "links", "exemplars", "description", "entity_refs", "trace_state"))
_IDS: Final = frozenset(("trace_id", "span_id", "parent_span_id"))
# Longest text of a number.
_NUMBER_LENGTH: Final = 400
_WHOLE: Final = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

# Name of a field in Python, what reads its value, whether it is a list, and the fields of the message that it is.
Field = tuple[str, Callable[[Any, str], Any], bool, "Fields | None"]
Fields = dict[str, Field]


def to_protobuf(signal: str, body: bytes, depth: int) -> bytes:
    """Return a request in its binary form.

    Args:
        signal: Which request.
        body: JSON in UTF-8.
        depth: Deepest nesting of messages.

    Raises:
        MalformedError: It is not JSON, or not such a request.
    """
    kind = _REQUESTS[signal]
    try:
        read = json.loads(body, parse_int=_read_int, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # What the parser says of it may quote the text.
        raise MalformedError("the body is not valid JSON") from None
    request = kind()
    _fill(request, _fields_of(kind.DESCRIPTOR), read, "request", depth)
    return bytes(request.SerializeToString())


def _fill(message: Any, fields: Fields, read: Any, place: str, depth: int) -> None:
    """Put what was read from JSON into an empty message."""
    if type(read) is not dict:
        raise MalformedError(f"{place}: expected an object")
    if depth <= 0:
        raise MalformedError(f"{place}: nested too deeply")
    for key, value in read.items():
        field = fields.get(key)
        if field is None or value is None:
            continue
        name, convert, repeated, inner = field
        if repeated:
            if type(value) is not list:
                raise MalformedError(f"{name}: expected an array")
            target = getattr(message, name)
            if inner is None:
                target.extend([convert(each, name) for each in value])
                continue
            for each in value:
                _fill(target.add(), inner, each, name, depth - 1)
        elif inner is None:
            setattr(message, name, convert(value, name))
        else:
            child = getattr(message, name)
            # Also an empty one is there.
            child.SetInParent()
            _fill(child, inner, value, name, depth - 1)


_tables: dict[str, Fields] = {}


def _fields_of(descriptor: Any) -> Fields:
    """Return the fields of a message, by both of their names."""
    known = _tables.get(descriptor.full_name)
    if known is not None:
        return known
    # Known before it is whole: values hold values.
    fields = _tables[descriptor.full_name] = {}
    for field in descriptor.fields:
        if field.name in _SKIPPED:
            continue
        inner = _fields_of(field.message_type) if field.message_type is not None else None
        made: Field = (field.name, _converter(field), _is_repeated(field), inner)
        fields[field.name] = fields[_camel(field.name)] = made
    return fields


def _is_repeated(field: Any) -> bool:
    told = getattr(field, "is_repeated", None)
    return bool(told) if told is not None else field.label == field.LABEL_REPEATED


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _converter(field: Any) -> Callable[[Any, str], Any]:
    """Return what reads a value of a field."""
    if field.name in _IDS:
        return _id
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return functools.partial(_enum, numbers)
    return _CONVERTERS.get(field.cpp_type, _text) if field.type != field.TYPE_BYTES else _base64


def _text(value: Any, name: str) -> str:
    if type(value) is not str:
        raise MalformedError(f"{name}: expected a text")
    return clean_text(value)


def _bool(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise MalformedError(f"{name}: expected true or false")
    return value


def _int(low: int, high: int, value: Any, name: str) -> int:
    number = value
    if type(value) is str:
        number = int(value) if _WHOLE.fullmatch(value) else None
    elif type(value) is float and value.is_integer():
        number = int(value)
    if type(number) is not int or not low <= number <= high:
        raise MalformedError(f"{name}: expected a whole number from {low} to {high}")
    return number


def _float(value: Any, name: str) -> float:
    if type(value) is float:
        return value
    try:
        if type(value) is int:
            return float(value)
        if type(value) is str:
            return _WORDS[value] if value in _WORDS else float(_numeral(value))
    except (ValueError, OverflowError):
        pass
    raise MalformedError(f"{name}: expected a number")


def _numeral(text: str) -> str:
    if len(text) >= _NUMBER_LENGTH or not text.isascii() or not set(text) <= set("+-.0123456789eE"):
        raise ValueError("not a number")
    return text


def _enum(numbers: dict[str, int], value: Any, name: str) -> int:
    if type(value) is str and value in numbers:
        return numbers[value]
    return _int(-(2**31), 2**31 - 1, value, name)


def _id(value: Any, name: str) -> bytes:
    try:
        if type(value) is str and value.isalnum():
            return bytes.fromhex(value)
        if value == "":
            return b""
    except ValueError:
        pass
    raise MalformedError(f"{name}: expected hexadecimal digits")


def _base64(value: Any, name: str) -> bytes:
    try:
        if type(value) is str:
            text = value.replace("-", "+").replace("_", "/").rstrip("=")
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        pass
    raise MalformedError(f"{name}: expected base64")


def _read_int(text: str) -> int | float:
    # Python refuses numbers of thousands of digits, and older versions take minutes for them.
    return int(text) if len(text) < _NUMBER_LENGTH else math.inf


def _refuse(word: str) -> float:
    raise ValueError("not a JSON value")


def _between(low: int, high: int) -> Callable[[Any, str], int]:
    return functools.partial(_int, low, high)


# By what protobuf calls the type in C++: what reads it.
_CONVERTERS: Final[dict[int, Callable[[Any, str], Any]]] = {
    1: _between(-(2**31), 2**31 - 1),
    2: _between(-(2**63), 2**63 - 1),
    3: _between(0, 2**32 - 1),
    4: _between(0, 2**64 - 1),
    5: _float,
    6: _float,
    7: _bool,
}

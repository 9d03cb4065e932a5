"""OTLP's JSON form: whatever the text is, it is read or it is malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.otlp.otlp_requests import NOW_NS, SPAN_ID, TRACE_ID, decoder
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Limits, MalformedError


def request(values: dict[str, Any] | None = None, **span: Any) -> bytes:
    """Return a request with one span of ours, its attributes' values as they stand in JSON."""
    pairs = [{"key": key, "value": value} for key, value in (values or {}).items()]
    whole = {
        "traceId": TRACE_ID.hex(), "spanId": SPAN_ID.hex(), "startTimeUnixNano": str(NOW_NS),
        "attributes": [{"key": "usage.event.type", "value": {"stringValue": "deploy"}}, *pairs], **span,
    }  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [whole]}]}]}).encode()


def metadata(value: Any) -> Any:
    """Return what a value in JSON becomes."""
    ((row),) = decoder().decode(TRACES, request({"usage.metadata.v": value}), json=True).rows
    return (row[6] or {}).get("v")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "a\ud800b"}, "a\ufffdb"),
        ({"stringValue": "a\0b"}, "a\u2400b"),
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"intValue": 9007199254740993}, 9007199254740993),
        ({"doubleValue": "NaN"}, "nan"),
        ({"doubleValue": "-Infinity"}, "-inf"),
        ({"doubleValue": "1.5e3"}, 1500.0),
        ({"doubleValue": 7}, 7.0),
        ({"bytesValue": "-_8"}, b"\xfb\xff".decode("utf-8", "replace")),
        ({"bytesValue": ""}, ""),
        ({"kvlistValue": {}}, {}),
        ({"arrayValue": {"values": []}}, []),
        ({"string_value": "snake"}, "snake"),
        ({"stringValue": None}, None),
        ({}, None),
        ({"unknownValue": [1]}, None),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    """Every kind of value; what can't be stored is replaced."""
    found = metadata(value)
    assert (found, type(found)) == (expected, type(expected))


def test_of_keys_that_stand_there_twice_the_last_counts() -> None:
    """As in every reader of JSON in Python."""
    body = request({"usage.metadata.v": {"intValue": 1}}).replace(b'"intValue": 1', b'"intValue": 1, "intValue": 2')
    assert decoder().decode(TRACES, body, json=True).rows[0][6] == {"v": 2}


@pytest.mark.parametrize(
    "value",
    [
        {"intValue": "1_000"}, {"intValue": " 1"}, {"intValue": "9223372036854775808"}, {"intValue": 1.5},
        {"intValue": True}, {"intValue": "9" * 5000}, {"intValue": ""}, {"intValue": "\u0661"}, {"intValue": 10**30},
        {"doubleValue": "one"}, {"doubleValue": "1_0.0"}, {"doubleValue": 10**390}, {"doubleValue": [1]},
        {"doubleValue": "nan"}, {"boolValue": "true"}, {"boolValue": 1}, {"stringValue": 5}, {"stringValue": ["a"]},
        {"bytesValue": "a"}, {"bytesValue": "a\u00e4=="}, {"bytesValue": 3}, {"arrayValue": []},
        {"arrayValue": {"values": {}}}, {"arrayValue": {"values": [None]}}, {"kvlistValue": {"values": ["a"]}},
        "text", 5, [], True,
    ],
)  # fmt: skip
def test_values_that_are_none(value: Any) -> None:
    """The whole request is malformed; the message names the field, and nothing that stood there."""
    with pytest.raises(MalformedError) as caught:
        metadata(value)
    assert str(caught.value).isascii()
    assert "Value" not in str(caught.value)


@pytest.mark.parametrize(
    "span",
    [
        {"traceId": "0123"[:3]}, {"traceId": "zz" * 16}, {"traceId": 5}, {"spanId": "01 23"}, {"spanId": "\u0661" * 16},
        {"traceId": "AQIDBAUGBwgJCgsMDQ4PEA=="}, {"startTimeUnixNano": -1}, {"startTimeUnixNano": 2**64},
        {"kind": "SPAN_KIND_OTHER"}, {"kind": 2**31}, {"kind": {}}, {"attributes": {}}, {"attributes": [5]},
        {"status": []}, {"name": 5}, {"attributes": [{"key": 5}]}, {"attributes": "text"},
    ],
)  # fmt: skip
def test_fields_of_a_wrong_kind(span: dict[str, Any]) -> None:
    """Malformed, also where no event needs the field."""
    with pytest.raises(MalformedError):
        decoder().decode(TRACES, request(**span), json=True)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b"\x80", b'{"resourceSpans": NaN}', b"{}{}", b"{'a': 1}",
        b'{"resourceSpans": {}}', b'{"resourceSpans": [[]]}', b'{"resourceSpans": [{"scopeSpans": 1}]}',
        b'{"resourceLogs": 1, "resourceSpans": 1, "resourceMetrics": 1}', b"[" * 100_000, b'{"a":' * 100_000,
        b'{"resourceSpans": [' + b"9" * 100_000 + b"]}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("signal", [TRACES, METRICS, LOGS])
def test_texts_that_are_no_request(body: bytes, signal: str) -> None:
    """Malformed for each signal, or empty for those to which the field means nothing."""
    try:
        assert decoder().decode(signal, body, json=True).rows == []
    except MalformedError:
        return
    assert b"resourceSpans" in body
    assert signal != TRACES


def test_nesting_is_bounded() -> None:
    """Up to the limit it is read, and told by its size where an event holds no more; beyond it is malformed."""
    value: Any = {"stringValue": "deep"}
    for _ in range(20):
        value = {"arrayValue": {"values": [value]}}
    assert metadata(value) == [[[[[["list of 1"]]]]]]
    with pytest.raises(MalformedError, match="nested too deeply"):
        decoder(limits=Limits(depth=30)).decode(TRACES, request({"usage.metadata.v": value}), json=True)


def test_utf_16_and_a_mark_at_the_beginning() -> None:
    """What Python's reader takes for JSON."""
    text = request().decode()
    for encoding in ("utf-8-sig", "utf-16"):
        assert len(decoder().decode(TRACES, text.encode(encoding), json=True).rows) == 1

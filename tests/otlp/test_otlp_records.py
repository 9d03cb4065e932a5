"""Log records: which are events, what tells them apart, how they ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.otlp.otlp_requests import BASE, SPAN_ID, TRACE_ID, decoder, logs, traces
from usagetrace.otlp.decode import LOGS, TRACES


def row_of(attributes: dict[str, Any] | None = None, **fields: Any) -> tuple[Any, ...]:
    """Return the only row of a log record."""
    (row,) = decoder().read(LOGS, logs(attributes, **fields)).rows
    return row


@pytest.mark.parametrize(
    ("uid", "is_kept"),
    [("00f067aa0ba902b7", True), ("00F067AA0BA902B7", False), ("01ARZ3NDEKTSV4RRFFQ69G5FAV", False), (7, False)],
)
def test_the_id_of_a_record(uid: Any, is_kept: bool) -> None:
    """One that could be a span's is taken as it is, any other is made one; it alone tells the event."""
    one, other = (row_of({**BASE, "log.record.uid": uid, "usage.metadata.n": n}) for n in range(2))
    assert one[15] == other[15]
    assert (one[15] == uid) is is_kept
    assert len(bytes.fromhex(one[15])) == 8


def test_a_record_without_an_id_is_told_by_all_that_it_says() -> None:
    """By each single thing, and at each delivery the same; the order of attributes says nothing."""
    base = {**BASE, "usage.metadata.n": 1}
    ids = [
        row_of(base)[15], row_of({**base, "usage.metadata.n": 2})[15], row_of(base, body="b")[15],
        row_of(base, body={"b": [1, b"\xff"]})[15], row_of(base, time_unix_nano=5_000_000_000)[15],
        row_of(base, trace_id=TRACE_ID)[15], row_of(base, span_id=SPAN_ID)[15], row_of(base, service="other")[15],
        row_of(base, event_name="usage.other")[15],
    ]  # fmt: skip
    assert len(set(ids)) == len(ids)
    assert row_of(dict(reversed(base.items())))[15] == ids[0]


@pytest.mark.parametrize(
    ("fields", "more", "status", "error_type"),
    [
        ({"severity_number": 9}, {}, "ok", None),
        ({"severity_number": 17}, {}, "error", None),
        ({"severity_number": 21}, {"error.type": "OSError"}, "error", "OSError"),
        ({"severity_number": 9}, {"error.type": "OSError"}, "ok", None),
        ({"severity_number": 0}, {"error.type": "OSError"}, "error", "OSError"),
        ({"severity_number": 9}, {"usage.outcome": "error", "error.type": "OSError"}, "error", "OSError"),
        ({"severity_number": 9}, {"usage.outcome": "abandoned"}, "abandoned", None),
        ({"severity_number": 9}, {"usage.outcome": "conflict"}, "ok", None),
    ],
)
def test_how_an_event_ended(fields: Any, more: dict[str, Any], status: str, error_type: str | None) -> None:
    """By the severity, or by what it says itself."""
    row = row_of({**BASE, **more}, **fields)
    assert row[7:10] == (None, status, error_type)
    assert row[6] == ({"outcome": "conflict"} if more.get("usage.outcome") == "conflict" else None)


@pytest.mark.parametrize(
    ("trace_id", "expected"), [(TRACE_ID, TRACE_ID.hex()), (b"", None), (bytes(16), None), (b"short", None)]
)
def test_the_trace_of_a_record(trace_id: bytes, expected: str | None) -> None:
    """Where it is of one."""
    assert row_of(trace_id=trace_id)[14] == expected


def test_the_type_stands_in_the_name_or_in_an_attribute() -> None:
    """The attribute counts, where both say it."""
    assert row_of({}, event_name="usage.paint", scope="x")[0] == "paint"
    assert row_of({"usage.event.type": "draw"}, event_name="usage.paint")[0] == "draw"
    assert row_of({"usage.event.type": "draw"}, event_name="", scope="x")[0] == "draw"


@pytest.mark.parametrize("word", ["error", "success", "abandoned"])
def test_a_span_that_says_how_it_ended(word: str) -> None:
    """Another language may say it by the attribute alone."""
    (row,) = decoder().read(TRACES, traces({**BASE, "usage.outcome": word, "error.type": "E"})).rows
    assert (row[8], row[6]) == ({"error": "error", "success": "ok", "abandoned": "abandoned"}[word], None)


@pytest.mark.parametrize("places", [[1], [0, 0], [-1, 2], ["a", "b"], [1.0, 2.0], [True, 2], "01", [0, 2**31]])
def test_positions_that_are_none(places: Any) -> None:
    """An artifact's position tells it from the others: what can't be one is refused."""
    attributes = {**BASE, "usage.item.artifact.name": ["a", "b"], "usage.item.index": places}
    decoded = decoder().read(TRACES, traces(attributes))
    assert (decoded.rejected, decoded.reasons) == (1, ("the positions of a call's artifacts are none (1)",))

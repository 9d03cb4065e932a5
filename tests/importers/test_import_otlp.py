"""OTLP in JSON: as the Collector's file exporter writes it, one request a line, and as one document a file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.importers.import_kit import DAY, NOW, attributes, events, files, now, span, span_request, totals, write_lines
from usagetrace.errors import ImportFileError
from usagetrace.importers.model import Found, FoundPoint, Report, Skipped
from usagetrace.importers.otlp_file import OtlpReader
from usagetrace.importers.run import run
from usagetrace.store import Store

TIME_NS = (NOW - DAY) * 1_000_000


def log_request(number: int) -> dict[str, Any]:
    """Return a request of one event of ours that has no duration."""
    said = {
        "usage.event.type": "tokens_consumed",
        "usage.artifact.name": f"model-{number}",
        "usage.artifact.type": "model",
    }
    logged = {
        "timeUnixNano": str(TIME_NS + number),
        "eventName": "usage.tokens_consumed",
        "attributes": attributes(said),
    }
    return {"resourceLogs": [{"scopeLogs": [{"scope": {"name": "usagetrace"}, "logRecords": [logged]}]}]}


def metric_request(count: int, *, end: int = 60) -> dict[str, Any]:
    """Return a request of one counter, cumulative."""
    point = {
        "startTimeUnixNano": str(TIME_NS), "timeUnixNano": str(TIME_NS + end * 1_000_000_000), "asInt": str(count),
        "attributes": attributes({"usage.event.type": "deploy"}),
    }  # fmt: skip
    metric = {
        "name": "usage.events",
        "unit": "{event}",
        "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]},
    }
    resource = {"attributes": attributes({"service.name": "shelf", "service.instance.id": "i1"})}
    return {
        "resourceMetrics": [
            {"resource": resource, "scopeMetrics": [{"scope": {"name": "usagetrace"}, "metrics": [metric]}]}
        ]
    }


def imported(source: Path, store: Path, **more: Any) -> Report:
    return run(OtlpReader(source), store, now_ms=now, **more)


def counted(store: Path) -> list[float]:
    with Store(store) as opened:
        return [point.sum for point in opened.get_metrics()]


@pytest.mark.parametrize("form", ["lines", "document", "packed"])
def test_spans_keep_their_ids_and_come_once(tmp_path: Path, form: str) -> None:
    """One request a line, one whole file over many lines, packed or not."""
    source, store = tmp_path / "a.json", tmp_path / "a.db"
    if form == "document":
        source.write_text(json.dumps(span_request(*map(span, range(5))), indent=2), "utf-8")
    else:
        write_lines(source, [span_request(*map(span, range(3))), span_request(span(3), span(4))])
    if form == "packed":
        source.write_bytes(gzip.compress(source.read_bytes()))
    assert imported(source, store).added == 5
    assert imported(source, store).known == 5
    first = events(store)[0]
    assert (first["trace_id"], first["span_id"], first["service_name"]) == (f"{1:032x}", f"{1:016x}", "shelf")
    assert first["duration_ms"] == 5.0
    assert totals(store) == (5, 5, 5)


def test_all_three_signals_in_one_file(tmp_path: Path) -> None:
    """Events without a duration, and metric points, which count what is new in them; each once."""
    source, store = tmp_path / "a.json", tmp_path / "a.db"
    write_lines(source, [span_request(span(1)), log_request(1), metric_request(5), metric_request(8, end=120)])
    report = imported(source, store)
    assert (report.read, report.added) == (4, 4)
    assert {each["event_type"] for each in events(store)} == {"deploy", "tokens_consumed"}
    assert counted(store) == [8]
    assert imported(source, store).known == 4
    write_lines(source, [metric_request(5), metric_request(8, end=120), metric_request(11, end=180), log_request(2)])
    assert imported(source, store).added == 2
    assert counted(store) == [11]


def test_points_are_known_for_longer_than_their_streams(tmp_path: Path) -> None:
    """The store forgets streams after a month; what was imported is known for ever."""
    source, store = write_lines(tmp_path / "a.json", [metric_request(5)]), tmp_path / "a.db"
    imported(source, store)
    with Store(store) as opened:
        opened.connection.execute("DELETE FROM metric_streams")
    assert imported(source, store).known == 1
    assert counted(store) == [5]


def test_what_is_no_event_is_counted(tmp_path: Path) -> None:
    """Spans of others are passed over, ours that lack something are refused, and each has its reason."""
    bare = {**span(2), "attributes": attributes({"http.request.method": "GET"})}
    others = span_request(bare, bare)
    others["resourceSpans"][0]["scopeSpans"][0]["scope"]["name"] = "opentelemetry.instrumentation.requests"
    source = write_lines(tmp_path / "a.json", [span_request(span(1), bare), others])
    report = imported(source, tmp_path / "a.db")
    assert (report.read, report.added, report.skipped) == (4, 1, 3)
    assert report.places == {
        "an event has no type": ["line 1"],
        "no usage event: a span, a record or a point of something else": ["line 2", "line 2"],
    }


FAULTS = {
    "cut": (json.dumps(span_request(span(2)))[:-7], "line 2: column "),
    "other": ('{"spans": []}', "line 2: expected an object with resourceSpans"),
    "type": ('{"resourceSpans": [{"scopeSpans": 5}]}', "line 2: scope_spans: expected an array"),
    "id": (json.dumps(span_request({**span(2), "traceId": "xyz"})), "line 2: trace_id: "),
    "deep": ('{"resourceSpans": ' + "[" * 100_000, "line 2: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    """Nothing of the file is imported; or the request alone is skipped."""
    line, told = FAULTS[name]
    source = tmp_path / "a.json"
    source.write_text("\n".join([json.dumps(span_request(span(1))), line, json.dumps(span_request(span(3)))]), "utf-8")
    with pytest.raises(ImportFileError) as caught:
        imported(source, tmp_path / "a.db")
    assert f"a.json, {told}" in str(caught.value)
    assert not (tmp_path / "a.db").exists()
    assert [type(each) for each in OtlpReader(source, lenient=True).read()] == [Found, Skipped, Found]


def test_what_is_private_never_reaches_the_disk(tmp_path: Path) -> None:
    """The decoder redacts, as the receiver does."""
    secret = "ghp_" + "A7b9" * 9
    more = {"usage.project.path": f"{Path.home()}/zz-client", "usage.metadata.note": f"token={secret}"}
    source = write_lines(tmp_path / "a.json", [span_request(span(1, **more))])
    assert imported(source, tmp_path / "data" / "a.db").added == 1
    for content in files(tmp_path / "data").values():
        assert secret.encode() not in content
        assert str(Path.home()).encode() not in content


@given(cut=st.integers(0, 900), at=st.integers(0, 900), byte=st.integers(0, 255))
def test_whatever_the_bytes_are_they_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, byte: int
) -> None:
    """A request that is cut anywhere and changed anywhere gives what it holds, or one error with its place."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    text = bytearray(json.dumps(span_request(span(1))).encode() + b"\n" + json.dumps(metric_request(1)).encode())
    text[at % len(text)] = byte
    path.write_bytes(bytes(text[: len(text) - cut % len(text)]))
    try:
        read = list(OtlpReader(path).read())
    except ImportFileError as error:
        place = error.place
    else:
        place = "any.json, "
        assert all(isinstance(each, Found | FoundPoint | Skipped) for each in read)
    assert place.startswith("any.json, ")

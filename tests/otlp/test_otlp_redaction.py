"""Nothing private comes out of a request, through whatever field it came in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.otlp.otlp_requests import BASE, NOW_NS, decoder, logs, put, redactor, traces
from usagetrace.errors import RedactionError
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Decoded
from usagetrace.otlp.encode import encode
from usagetrace.otlp.mapping import mappings_of
from usagetrace.redaction import Policy, Redactor
from usagetrace.redaction.shared import ClosedRedactor
from usagetrace.store.deliveries import StoredEvent

# Put together here, so that no scanner takes this file for a leak.
TOKEN = "ghp_" + "R3alL00kingT0kenOf36Characters0123456"[:36]
MAIL = "planted.person" + "@" + "example.org"
PATH = "/home/" + "plantedowner/secret-project/x.py"
PLANTED = [TOKEN, MAIL, PATH]
TRACES_OF = ("R3alL00king", "planted.person", "plantedowner")

NAMES = [
    "usage.event.type", "usage.event.category", "usage.event.priority", "usage.artifact.name", "usage.artifact.type",
    "usage.collection.name", "usage.project.path", "usage.outcome", "session.id", "error.type", "log.record.uid",
    "usage.metadata.text", "usage.metadata.", "usage.item.metadata.text", "usage.item.error.type", "usage.unknown",
]  # fmt: skip


def assert_clean(decoded: Decoded) -> None:
    """Check that none of what was planted is anywhere in what may be stored, or in what is answered."""
    said = repr((decoded.rows, decoded.points, decoded.reasons))
    assert [part for part in TRACES_OF if part in said] == []


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("name", NAMES)
def test_values(name: str, planted: str) -> None:
    """In every attribute of a span and of a log event, as a text, inside of one, and nested."""
    arrays = {"usage.item.artifact.name": ["a", "b"], "usage.item.outcome": ["error", "success"]}
    for value in (planted, f"see {planted} there", [planted, planted], {"deep": [{"er": planted}]}, planted.encode()):
        for attributes in ({**BASE, name: value}, {**BASE, **arrays, name: value}):
            for decoded in (
                decoder().read(TRACES, traces(attributes, status=2)),
                decoder().read(LOGS, logs(attributes)),
            ):
                assert len(decoded.rows) + decoded.rejected >= 1
                assert_clean(decoded)


@pytest.mark.parametrize("planted", PLANTED)
def test_keys(planted: str) -> None:
    """Metadata keys, of artifacts too, and keys of mappings; two that become alike both stay."""
    attributes = {
        **BASE, f"usage.metadata.{planted}": 1, f"usage.metadata.{planted}x": 2, f"usage.{planted}": 3,
        "usage.metadata.table": {planted: 4}, f"usage.item.metadata.{planted}": [5, 6],
        "usage.item.artifact.name": ["a", "b"], planted: 7,
    }  # fmt: skip
    decoded = decoder().read(TRACES, traces(attributes))
    assert_clean(decoded)
    # Both keys of the call, the artifact's own in the place of one of them where it has become the same.
    assert [len(row[6]) for row in decoded.rows] == [3, 3]


@pytest.mark.parametrize("planted", PLANTED)
def test_what_stands_around_and_beside(planted: str) -> None:
    """Service, scope, names, status, trace state, events, links, body, severity: kept nowhere, or redacted."""
    request = traces(BASE, service=planted, resource={"host.name": planted}, name=planted, trace_state=planted)
    scoped = request.resource_spans[0].scope_spans[0]
    scoped.scope.version = scoped.schema_url = planted
    span = scoped.spans[0]
    span.status.message = planted
    put(span.events.add(name=planted), {planted: planted})
    put(span.links.add(trace_state=planted), {planted: planted})
    put(span, {"exception.message": planted})
    assert_clean(decoder().read(TRACES, request))
    for uid in (None, planted):
        attributes = BASE if uid is None else {**BASE, "log.record.uid": uid}
        record = logs(attributes, service=planted, body={planted: planted}, severity_text=planted)
        assert_clean(decoder().read(LOGS, record))
    assert_clean(decoder().read(LOGS, logs({}, event_name=f"usage.{planted}", body=planted)))
    assert_clean(decoder().read(TRACES, traces({}, scope=planted, name=planted)))


def test_what_a_log_event_without_an_id_is_told_by_holds_nothing_private() -> None:
    """Two that differ in what is private alone have one id: nobody can try out what it was."""

    def row_id(text: str) -> str:
        record = logs({**BASE, "usage.metadata.t": text}, body=text, event_name=text)
        return str(decoder().read(LOGS, record).rows[0][15])

    ids = {row_id(f"to {n}{MAIL}") for n in range(3)}
    others = {decoder().read(LOGS, logs({**BASE, "usage.metadata.t": n}, body=n)).rows[0][15] for n in range(3)}
    assert (len(ids), len(others)) == (1, 3)


@pytest.mark.parametrize("planted", PLANTED)
def test_metrics(planted: str) -> None:
    """Names, units, attributes, resource; what only redaction made equal is added up."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    put(group.resource, {"service.name": planted, planted: planted})
    scoped = group.scope_metrics.add()
    scoped.scope.name = "usagetrace"
    metric = scoped.metrics.add(name=f"usage.{planted}", unit=planted, description=planted)
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True  # type: ignore[assignment]
    for value, text in ((3, planted), (4, planted + "y"), (4, planted + "y")):
        point = metric.sum.data_points.add(time_unix_nano=NOW_NS, start_time_unix_nano=1, as_int=value)
        keys = (f"b {text}", *(f"{prefix}{text}" for prefix in ("usage.", "usage.metadata.", "usage.item.metadata.")))
        put(point, {"usage.event.type": f"a {text}", **dict.fromkeys(keys, text)})
        put_exemplar(point, planted)
    decoded = decoder().read(METRICS, request)
    assert_clean(decoded)
    assert sum(point.point.sum for point in decoded.points) == 7.0


def put_exemplar(point: Any, planted: str) -> None:
    """Add an exemplar with a planted attribute."""
    point.exemplars.add().filtered_attributes.add(key=planted).value.string_value = planted


@pytest.mark.parametrize("planted", PLANTED)
def test_mapped(planted: str) -> None:
    """Whatever a mapping takes from where."""
    entry = {
        "scope": "*", "event": "$name", "artifact_name": '$p | "x"', "artifact_type": "$resource.p",
        "collection_name": "$p", "project_path": planted, "session_id": "$p",
        "metadata": {"a": "$p", "b": "$resource.p", "c": "$name", planted: 1},
    }  # fmt: skip
    faults: list[str] = []
    mappings = mappings_of({"receiver": {"map": [entry]}}, "t", faults)
    assert faults == []
    request = traces({"p": planted}, scope="app", name=f"see {planted}", resource={"p": [planted]})
    decoded = decoder(mappings=mappings).read(TRACES, request)
    assert len(decoded.rows) == 1
    assert_clean(decoded)


@pytest.mark.parametrize("name", ["app.password", "app.user.email"])
def test_a_name_that_means_a_secret_counts_before_a_mapping(name: str) -> None:
    """The value is judged by what it was called, not only by what it becomes."""
    (mapping,) = mappings_of({"receiver": {"map": [{"name": "x", "event": "e", "artifact_name": f"${name}"}]}}, "t", [])
    (row,) = decoder(mappings=[mapping]).read(TRACES, traces({name: "hunter2 planted"}, scope="app", name="x")).rows
    assert row[1].startswith("[redacted:")


def test_a_policy_in_force_counts_from_the_next_request() -> None:
    """Also for what was seen before, on the way in and on the way out."""
    engine = redactor()
    read = decoder(redactor=engine).read
    request = traces({**BASE, "usage.metadata.query": "canvas"})
    (row,) = read(TRACES, request).rows
    assert row[6] == {"query": "canvas"}
    assert b"usage.metadata.query" in (encode([StoredEvent(1, row)], store_id="s", redactor=engine).traces or b"")
    engine.govern(Policy(keys={"query": "drop"}))
    assert read(TRACES, request).rows[0][6] is None
    assert b"usage.metadata.query" not in (encode([StoredEvent(1, row)], store_id="s", redactor=engine).traces or b"")


def test_what_can_not_be_redacted_is_refused() -> None:
    """Not one value of it gets through."""
    decoded = decoder(redactor=ClosedRedactor()).read(TRACES, traces())
    assert (decoded.rows, decoded.rejected, decoded.reasons) == ([], 1, ("a resource can't be redacted (1)",))
    unnamed = decoder(redactor=ClosedRedactor()).read(TRACES, traces(service=None))
    assert (unnamed.rejected, unnamed.reasons) == (1, ("a value can't be redacted (1)",))

    class Choosy(Redactor):
        def walk(self, key: str, value: object, care: Any) -> object:
            if value == "planted":
                raise RedactionError("planted")
            return super().walk(key, value, care)

    read = decoder(redactor=Choosy("", "", "")).read
    for signal, request in (
        (TRACES, traces({**BASE, "usage.metadata.a": "planted"})),
        (LOGS, logs(BASE, body="planted")),
    ):
        assert (read(signal, request).rejected, read(signal, request).reasons) == (
            1,
            ("a value can't be redacted (1)",),
        )


def test_errors_name_nothing_that_stood_in_the_request() -> None:
    """Neither the text of JSON that can't be read, nor that of a message."""
    for body, as_json in ((f'{{"{TOKEN}": '.encode(), True), (TOKEN.encode(), False)):
        with pytest.raises(Exception, match="not") as caught:
            decoder().decode(TRACES, body, json=as_json)
        assert TOKEN not in str(caught.value)
    wrong = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TOKEN}]}]}]}).encode()
    with pytest.raises(Exception, match="trace_id") as caught:
        decoder().decode(TRACES, wrong, json=True)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("duration", [2.5, None])
@pytest.mark.parametrize("items", [False, True])
def test_on_the_way_out(planted: str, duration: float | None, items: bool) -> None:
    """A store that is older than the rules, or another tool's, may hold anything: none of it is in the bytes."""
    table = {planted: 1, "text": f"see {planted}", "list": [{planted: planted}]}
    row = (planted, planted, planted, 5, planted, planted, table, duration, "error", planted, planted, planted, planted,
           planted, planted, planted)  # fmt: skip
    other = (*row[:1], "b", *row[2:6], {"text": planted}, *row[7:])
    rows = [(*row, 0), (*other, 1)] if items else [(*row, None)]
    stored = [StoredEvent(n, each) for n, each in enumerate(rows, 1)]
    encoded = encode(stored, store_id=planted, redactor=redactor())
    sent = (encoded.traces or b"") + (encoded.logs or b"")
    assert encoded.spans + encoded.records == 1
    assert [part for part in TRACES_OF if part.encode() in sent] == []

"""Our Collector configurations on our Collector: valid as they are, and nothing private comes out of any of them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue

from tests.support.otelcol import CONFIGURATIONS, collector, lacking, make_certificates, otelcol
from tests.support.otelcol_running import PATHS, Running, running
from tests.support.otlp import attributes, http_receiver
from tests.support.otlp_sink import post_until_taken, usage_request
from tests.support.planted import (
    PLANTED,
    PLANTED_BYTES,
    TOKEN,
    pair,
    planted_logs,
    planted_metrics,
    planted_traces,
    secret,
)
from usagetrace import semconv

pytestmark = pytest.mark.e2e

ROLES = ("agent", "gateway", "local")


@pytest.mark.parametrize("role", ROLES)
def test_a_configuration_is_valid_as_it_is(role: str) -> None:
    """`validate` accepts each file with no variable set: no default is missing, every component is there."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("USAGETRACE_", "OTEL_"))}
    done = subprocess.run(
        [otelcol(), "validate", "--config", CONFIGURATIONS / f"{role}.yaml"],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_default_manifest_lacks_nothing_that_a_configuration_needs() -> None:
    """What could not be had is named beside the binary; the three configurations need all of the default manifest."""
    assert lacking() == ()


@pytest.mark.parametrize("role", ROLES)
def test_a_planted_secret_does_not_come_out(role: str, tmp_path: Path) -> None:
    """Sent around our package, a secret in an unknown attribute or in free text of any signal leaves no Collector.

    Neither is it in the queue on disk, and what usagetrace sends beside it comes out.
    """
    with running(role, tmp_path) as ours:
        ours.post("traces", planted_traces())
        ours.post("metrics", planted_metrics())
        ours.post("logs", planted_logs())
        came = ours.wait_for(b"skill-1", b"skill-3", b"usage.operation.duration", b"usage.note", b"noted")
        time.sleep(0.5)
        came += b"\n".join(ours.out())
        queued = b"\n".join(file.read_bytes() for file in (ours.state / "queue").glob("*"))
    assert PLANTED.encode() not in came
    assert PLANTED_BYTES not in came
    assert queued != b""
    assert PLANTED.encode() not in queued
    # The span with a link, whose attributes nothing can reach, was dropped as a whole.
    assert b"skill-2" not in came


@pytest.mark.parametrize("role", ROLES)
def test_a_secret_in_a_known_attribute_is_masked(role: str, tmp_path: Path) -> None:
    """A well-known token where a name may pass becomes asterisks: in values, arrays, and names of spans and events."""
    request = usage_request([1])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    array = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue(string_value=TOKEN)]))
    span.attributes.extend(
        [
            pair("usage.metadata.note", f"cloned with {TOKEN} today"),
            pair("usage.item.artifact.name", array),
            pair("usage.metadata.home", "/home/" + "ada/app"),
        ]
    )
    span.name = f"deploy {TOKEN}"
    span.events.add().name = f"pushed {TOKEN}"
    logs = planted_logs()
    logs.resource_logs[0].scope_logs[0].log_records[0].event_name = f"usage.{TOKEN}"
    with running(role, tmp_path) as ours:
        ours.post("traces", request)
        ours.post("logs", logs)
        came = ours.wait_for(b"skill-1", b"cloned with **** today", b"deploy ****", b"pushed ****", b"usage.****")
    assert TOKEN.encode() not in came
    assert b"/home/ada" not in came


def known_values() -> dict[str, Any]:
    """Return a value for every attribute that the package may send, of every type that OTLP has."""
    started = ("usage.", "session.", "error.", "code.", "log.")
    names = [value for name, value in vars(semconv).items() if name.isupper() and not name.startswith("METRIC_")]
    ours = [name for name in names if isinstance(name, str) and name.startswith(started) and not name.endswith(".")]
    ours = [name for name in ours if name not in (semconv.LOCALE, semconv.TIMEZONE_OFFSET)]  # of the resource
    words = {name: f"value-of-{name}" for name in ours}
    values: dict[str, Any] = {
        **words,
        "usage.metadata.count": 7,
        "usage.metadata.score": 0.25,
        "usage.metadata.ok": True,
    }
    values["usage.item.metadata.rank"] = [1, 2, 3]
    values["usage.item.artifact.name"] = ["a", "b", "c"]
    values["usage.metadata.path"] = "[redacted:path]/x.csv"
    return values


def as_any(value: Any) -> AnyValue:
    """Return a value as OTLP has it."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[as_any(item) for item in value]))
    return AnyValue(string_value=value)


def test_what_the_package_sends_passes_unchanged(tmp_path: Path) -> None:
    """Every attribute of semconv.py, metadata of every type, and the span's own fields come out as they went in."""
    request = usage_request([1])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    del span.attributes[:]
    span.attributes.extend([pair(key, as_any(value)) for key, value in known_values().items()])
    span.parent_span_id, span.status.code = b"parents!", 2
    certificates = make_certificates(tmp_path / "tls")
    with http_receiver() as received:
        gateway = {"USAGETRACE_GATEWAY_TLS": str(certificates), "USAGETRACE_RECEIVER": received.endpoint}
        with collector("gateway", tmp_path, gateway) as behind:
            agent = {"USAGETRACE_AGENT_TLS": str(certificates), "USAGETRACE_GATEWAY": f"127.0.0.1:{behind.grpc}"}
            with collector("agent", tmp_path, agent) as front:
                post_until_taken(front.endpoint, PATHS["traces"], request.SerializeToString())
                end = time.monotonic() + 30
                while not received.traces and time.monotonic() < end:
                    time.sleep(0.05)
    (came,) = received.spans()
    assert known_values() == attributes(came)
    for each in (span, came):
        del each.attributes[:]
    assert span == came


def test_names_that_an_organisation_adds_pass(tmp_path: Path) -> None:
    """USAGETRACE_ALSO_ALLOW lets further names pass, by an expression, and no others."""
    request = usage_request([1])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.extend([pair("http.route", "/a/{b}"), pair("httpx.route", "/c"), secret("span")])
    allowed = {"USAGETRACE_ALSO_ALLOW": "http[.].*|db[.]system[.]name"}
    with running("local", tmp_path, **allowed) as ours:
        ours.post("traces", request)
        came = ours.wait_for(b"skill-1", b"http.route")
    assert b"httpx.route" not in came
    assert PLANTED.encode() not in came


def test_a_gateway_wants_a_certificate(tmp_path: Path) -> None:
    """Who has no certificate of the organisation's authority is refused before anything is read."""
    with running("gateway", tmp_path) as ours:
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ours.post("traces", usage_request([1]), certificate=False)
        ours.post("traces", usage_request([2]))
        came = ours.wait_for(b"skill-2")
    assert b"skill-1" not in came


def test_usage_goes_around_every_sampler(tmp_path: Path) -> None:
    """With nothing of the rest to be kept, every usage span arrives; of the rest only what failed, in a file.

    The metrics of spans, made before the sampler, count all of them.
    """
    failed = usage_request([900], scope="other.library")
    failed.resource_spans[0].scope_spans[0].spans[0].status.code = 2
    at_once = {"USAGETRACE_GATEWAY_KEEP_PERCENT": "0", "USAGETRACE_GATEWAY_DECIDE_AFTER": "1s"}
    with running("gateway", tmp_path, **at_once, USAGETRACE_GATEWAY_SPAN_METRICS_EVERY="1s") as ours:
        ours.post("traces", usage_request(range(200)))
        ours.post("traces", usage_request(range(300, 500), scope="other.library"))
        ours.post("traces", failed)
        ours.wait_for(b"skill-900")
        counted, end = tmp_path / "gateway" / "metrics.jsonl", time.monotonic() + 30
        while _calls(counted) < 401 and time.monotonic() < end:
            time.sleep(0.2)
        # As long as a decision takes, and more: what the sampler kept of the rest has been written by then.
        time.sleep(2)
    names = {role: _artifacts(tmp_path / "gateway" / f"{role}.jsonl") for role in ("usage", "rest")}
    assert names == {"usage": {f"skill-{number}" for number in range(200)}, "rest": {"skill-900"}}
    assert _calls(counted) == 401


def test_metrics_of_usage_reach_the_receiver(tmp_path: Path) -> None:
    """Metrics of our scope go to the receiver, others to the file alone; an instance's id stays if it names nothing."""
    request = planted_metrics()
    resource = request.resource_metrics[0]
    instance = "3fa9c2e7-b1d0-4568-9fa9-c2e7b1d04568"
    resource.resource.attributes.append(pair("service.instance.id", instance))
    other = planted_metrics().resource_metrics[0]
    other.resource.attributes.append(pair("service.instance.id", "laptop-of-ada"))
    other.scope_metrics[0].scope.name = "other.library"
    other.scope_metrics[0].metrics[0].name = "requests"
    request.resource_metrics.append(other)
    certificates = make_certificates(tmp_path / "tls")
    with http_receiver() as received:
        settings = {"USAGETRACE_GATEWAY_TLS": str(certificates), "USAGETRACE_RECEIVER": received.endpoint}
        with collector("gateway", tmp_path, settings) as front:
            Running(front, certificates, list).post("metrics", request)
            end = time.monotonic() + 30
            while not received.metrics and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)
    assert received.metric_names() == {"usage.events", "usage.operation.duration"}
    (came,) = [resource for one in received.metrics for resource in one.resource_metrics]
    assert pair("service.instance.id", instance) in came.resource.attributes
    written = (front.state / "metrics.jsonl").read_bytes()
    assert b"requests" in written
    assert b"laptop-of-ada" not in written


def _artifacts(file: Path) -> set[str]:
    """Return the names of the artifacts in a file of OTLP's JSON."""
    return {
        attribute["value"]["stringValue"]
        for line in file.read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        for attribute in span["attributes"]
        if attribute["key"] == "usage.artifact.name"
    }


def _calls(file: Path) -> int:
    """Return the spans that the last of the metrics of spans counts."""
    last: dict[str, int] = {}
    if not file.exists():
        return 0
    # Up to its last whole line: the gateway may be writing one.
    text = file.read_text(encoding="utf-8")
    for line in text[: text.rfind("\n") + 1].splitlines():
        for resource in json.loads(line)["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == "traces.span.metrics.calls":
                        for point in metric["sum"]["dataPoints"]:
                            # The sums are cumulative: one series' last point has all.
                            last[json.dumps([scope.get("scope"), point["attributes"]])] = int(point["asInt"])
    return sum(last.values())

"""Redaction of what environment variables and configuration files set up, under the real opentelemetry-instrument."""

from __future__ import annotations

import re
import sys
import textwrap
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.otlp import Received, http_receiver
from tests.support.process import bin_path, run
from usagetrace.exporters.otlp import RedactingOTLPLogExporter

# Spans, metrics, log records, an exception, baggage and the standard library's logging, each with the canary.
APP = """
    import logging
    from opentelemetry import baggage, context, metrics, trace
    from opentelemetry._logs import get_logger
    from usagetrace import track

    canary = "ghp" + "_" + "Canary7" * 6
    context.attach(baggage.set_baggage("who", canary))

    @track.deploy
    def deploy(artifact_name, project_path):
        return True

    def fail():
        raise LookupError(f"password=Canary7-and-more in /home/Canary7/x, ask Canary7@example.org, {canary}")

    deploy(canary, "/home/Canary7/x")
    try:
        with trace.get_tracer("t").start_as_current_span(f"raw {canary}", attributes={"a": canary}):
            fail()
    except LookupError as error:
        get_logger("l").emit(body={"a": [canary]}, attributes={canary: 1}, event_name="shop.failed", exception=error)
        logging.getLogger("shop").error("failed with %s in %s", canary, "/home/Canary7/x", exc_info=True)
    metrics.get_meter("m").create_counter("calls").add(1, {"a": canary})
"""
RESOURCE = "note=ghp" + "_" + "Canary7" * 6


def instrument(home: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """Run the app under opentelemetry-instrument; return exit code, output and errors."""
    home.mkdir(exist_ok=True)
    (home / "app.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    said = {"OTEL_RESOURCE_ATTRIBUTES": RESOURCE, "PYTHONWARNINGS": "ignore", **env}
    ended = run([bin_path("opentelemetry-instrument"), sys.executable, home / "app.py"], home, said)
    return ended.code, ended.out, ended.err


def assert_all_three_arrived_clean(received: Received, home: Path) -> None:
    assert {"deploy", "raw [redacted:gh-token]"} == {span.name for span in received.spans()}
    assert "calls" in received.metric_names()
    assert "shop.failed" in {record.event_name for record in received.log_records()}
    for body in received.raw:
        assert b"canary7" not in body.lower()
        assert str(home).encode() not in body


@pytest.mark.parametrize("name", ["otlp", "usagetrace_otlp"])
def test_all_three_signals_by_environment_are_redacted(tmp_path: Path, name: str) -> None:
    """Whichever OTLP exporters the environment names, spans, metrics and log records arrive redacted."""
    with http_receiver() as received:
        code, _out, err = instrument(
            tmp_path / "home",
            {
                "OTEL_TRACES_EXPORTER": name,
                "OTEL_METRICS_EXPORTER": name,
                "OTEL_LOGS_EXPORTER": name,
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true",
            },
        )
    assert code == 0, err
    assert_all_three_arrived_clean(received, tmp_path / "home")
    # The standard library's logging came along, by the handler that the SDK installed.
    bodies = [record.body.string_value for record in received.log_records()]
    assert "failed with [redacted:gh-token] in ~/x" in bodies


def test_the_console_by_environment_is_redacted(tmp_path: Path) -> None:
    """The standard console exporters print redacted copies of all three signals."""
    console = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")}
    code, out, _err = instrument(tmp_path / "home", console)
    assert code == 0
    for said in ('"name": "deploy"', '"name": "calls"', '"event_name": "shop.failed"', "[redacted:gh-token]"):
        assert said in out
    assert "canary7" not in out.lower()


YAML = """
    file_format: "1.0"
    tracer_provider:
      processors:
        - batch: {exporter: {EXPORTER: {endpoint: "URL/v1/traces"}}}
    meter_provider:
      readers:
        - periodic: {exporter: {EXPORTER: {endpoint: "URL/v1/metrics"}}}
    logger_provider:
      processors:
        - batch: {exporter: {EXPORTER: {endpoint: "URL/v1/logs"}}}
"""
NO_YAML = find_spec("opentelemetry.configuration") is None


@pytest.mark.skipif(NO_YAML, reason="the package opentelemetry-configuration is not installed")
@pytest.mark.parametrize(("exporter", "path"), [("otlp_http", "/v1/"), ("usagetrace_otlp", "/")])
def test_a_configuration_file_is_redacted(tmp_path: Path, exporter: str, path: str) -> None:
    """Standard exporters and ours that a YAML file names send redacted copies of all three signals."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    with http_receiver() as received:
        text = textwrap.dedent(YAML).replace("EXPORTER", exporter).replace("URL", received.endpoint)
        if path == "/":
            # Ours take the base URL, and know the paths.
            text = re.sub(r"/v1/\w+", "", text)
        (home / "otel.yaml").write_text(text, encoding="utf-8")
        code, _out, err = instrument(home, {"OTEL_CONFIG_FILE": str(home / "otel.yaml")})
    assert code == 0, err
    assert_all_three_arrived_clean(received, home)


def test_log_records_have_an_entry_point_of_their_own() -> None:
    """`usagetrace_otlp` names the redacting exporter for log records."""
    (point,) = entry_points(group="opentelemetry_logs_exporter", name="usagetrace_otlp")
    assert point.load() is RedactingOTLPLogExporter

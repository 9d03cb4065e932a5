"""``OTEL_LOGS_EXPORTER=usagetrace_sqlite``: an application's own log events in the local store, by configuration."""

from __future__ import annotations

import sqlite3
import sys
import textwrap
from contextlib import closing
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.process import bin_path, run
from usagetrace.exporters.sqlite_logs import SQLiteLogRecordExporter
from usagetrace.store.catchup import catch_up

pytestmark = pytest.mark.e2e

APP = """
    from opentelemetry import trace
    from opentelemetry._logs import SeverityNumber, get_logger
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name):
        return True

    logger = get_logger("app")
    with trace.get_tracer("app").start_as_current_span("request") as span:
        logger.emit(
            event_name="usage.page_opened",
            severity_number=SeverityNumber.INFO,
            attributes={"usage.artifact.name": "for bo@" + "example.org", "usage.metadata.page": 3},
        )
        print(f"{span.get_span_context().trace_id:032x}")
    logger.emit(event_name="app.other", body="not ours")
    deploy("canvas")
"""
YAML = """
    file_format: "1.0"
    tracer_provider:
      processors:
        - batch: {exporter: {usagetrace_sqlite: {}}}
    logger_provider:
      processors:
        - batch: {exporter: {usagetrace_sqlite: {}}}
"""
NO_YAML = find_spec("opentelemetry.configuration") is None


def test_the_entry_point() -> None:
    """The installed package names the exporter."""
    (point,) = entry_points(group="opentelemetry_logs_exporter", name="usagetrace_sqlite")
    assert point.load() is SQLiteLogRecordExporter


@pytest.mark.parametrize(
    "way",
    [
        "environment",
        pytest.param(
            "yaml", marks=pytest.mark.skipif(NO_YAML, reason="the package opentelemetry-configuration is not installed")
        ),
    ],
)
def test_log_events_and_calls_share_the_store(tmp_path: Path, way: str) -> None:
    """The application's log event and its tracked call are rows of one file, each once, redacted, the trace id kept."""
    (tmp_path / "app.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    env = {"OTEL_SERVICE_NAME": "app", "PYTHONWARNINGS": "ignore"}
    if way == "yaml":
        (tmp_path / "otel.yaml").write_text(textwrap.dedent(YAML), encoding="utf-8")
        env |= {"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")}
    else:
        env |= {"OTEL_LOGS_EXPORTER": "usagetrace_sqlite"}
    ended = run([bin_path("opentelemetry-instrument"), sys.executable, tmp_path / "app.py"], tmp_path, env)
    assert ended.code == 0
    # Of a configuration file the SDK itself says that arguments are left aside; we have nothing to say.
    assert [line for line in ended.err.splitlines() if "ignoring configurator kwargs" not in line] == []
    (database,) = (tmp_path / ".local/share/usagetrace").glob("*/spool")
    path = database.parent / "analytics.db"
    assert catch_up(path) is not None
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT event_type, artifact_name, trace_id, duration_ms IS NULL, metadata FROM events ORDER BY event_type"
        ).fetchall()
    deployed, opened = rows
    assert deployed[:2] == ("deploy", "canvas")
    assert opened == ("page_opened", "for [redacted:email]", ended.out.strip(), 1, '{"page":3}')

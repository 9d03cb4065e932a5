"""The sampler where OpenTelemetry is set up from outside: what it takes away is counted in the local file."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

from tests.sampling.sampling_kit import Counted
from tests.support.process import bin_path, run
from usagetrace import sampling, track
from usagetrace.autoinstrument.instrumentor import UsageInstrumentor
from usagetrace.exporters.sqlite import SQLiteSpanExporter
from usagetrace.sampler import make_sampler


@track("view")
def view(name: str) -> None:
    """Look at something; `broken` can't be looked at."""
    if name == "broken":
        raise LookupError(name)


def look(*names: str) -> None:
    """Look at each."""
    for name in names:
        try:
            view(name)
        except LookupError:
            continue


@pytest.fixture(params=["usagetrace", "off"])
def exporter(request: Any, tmp_path: Path) -> Iterator[SQLiteSpanExporter]:
    """An exporter of the local file, behind a provider with a sampler, to which tracked calls were bound."""
    sampler: Sampler = make_sampler() if request.param == "usagetrace" else ALWAYS_OFF
    made = SQLiteSpanExporter(tmp_path / "a.db")
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    instrumentor = UsageInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield made
    instrumentor.uninstrument()
    provider.shutdown()


def test_what_the_sampler_takes_away_is_counted(exporter: SQLiteSpanExporter, tmp_path: Path) -> None:
    """The file's totals are those of all calls; of the rows only failures are left, each of them once."""
    sampling.set_rate("view", 0, minimum=0)
    look("a", "b", "broken", "c")
    assert exporter.force_flush()
    counted = Counted(tmp_path / "a.db")
    assert (counted.totals, counted.errors) == ({4}, 1)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        rows = connection.execute("SELECT artifact_name, status, service_name FROM events").fetchall()
    assert rows == [("broken", "error", "shop")]


def test_settings_count_where_nobody_loads_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment and file say the rates under instrumentation from outside as well."""
    monkeypatch.setenv("USAGETRACE_SAMPLING", "view=0.25")
    Path("usagetrace.toml").write_text("[sampling]\nview = 0.5\nsync = 0.5\n")
    instrumentor = UsageInstrumentor()
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor.instrument(tracer_provider=provider)
    assert [sampling.rate_in_force(name).rate for name in ("view", "sync", "deploy")] == [0.25, 0.5, 1.0]
    instrumentor.uninstrument()
    provider.shutdown()


def test_a_fault_in_the_environment_is_told_and_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls are recorded by the rates that types have, with one warning that names the variable and the fault."""
    monkeypatch.setenv("USAGETRACE_SAMPLING", "view=often")
    instrumentor = UsageInstrumentor()
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor.instrument(tracer_provider=provider)
    assert sampling.rate_in_force("view").rate == 1.0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "USAGETRACE_SAMPLING: view: expected a rate from 0 to 1" in warning
    instrumentor.uninstrument()
    provider.shutdown()


APP = """
from usagetrace import track

@track("view")
def view(name):
    if name == "broken":
        raise LookupError(name)

for name in ("a", "b", "broken", "c"):
    try:
        view(name)
    except LookupError:
        pass
"""
YAML = """
file_format: "1.0"
tracer_provider:
  processors:
    - simple:
        exporter:
          usagetrace_sqlite:
  sampler:
    usagetrace:
"""


@pytest.mark.e2e
@pytest.mark.parametrize("way", ["environment", "yaml"])
def test_under_opentelemetry_instrument(tmp_path: Path, way: str) -> None:
    """A program that knows nothing of it: the sampler is named in the environment or in a configuration file, the rate
    in the settings; all calls are counted, failures are rows."""
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    env = {"USAGETRACE_SAMPLING": "view=0/0", "USAGETRACE_DB_PATH": str(tmp_path / "a.db"), "PYTHONWARNINGS": "ignore"}
    if way == "yaml":
        (tmp_path / "otel.yaml").write_text(YAML, encoding="utf-8")
        env["OTEL_CONFIG_FILE"] = str(tmp_path / "otel.yaml")
    else:
        env["OTEL_TRACES_SAMPLER"] = "usagetrace"
    ended = run([bin_path("opentelemetry-instrument"), sys.executable, tmp_path / "app.py"], tmp_path, env)
    assert (ended.code, "Traceback" in ended.err, "ampler" in ended.err) == (0, False, False), ended.err
    counted = Counted(tmp_path / "a.db")
    assert (counted.totals, counted.errors) == ({4}, 1)
    assert [status for _type, _ts, status in counted.rows] == ["error"]

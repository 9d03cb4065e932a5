"""The instrumentor: targets, providers, twice, back again, and the user's no."""

from __future__ import annotations

import importlib
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import wrapt
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import usagetrace
from tests.support.process import bin_path, run
from usagetrace.autoinstrument.instrumentor import UsageInstrumentor
from usagetrace.autoinstrument.target import Target
from usagetrace.semconv import SCHEMA_URL
from usagetrace.store.catchup import catch_up

from .conftest import Write

SHELF = "def deploy(name):\n    return name\ndef remove(name):\n    return name\n"
DEPLOY = {"function": "shelf:deploy", "event": "deploy", "artifact_type": "skill"}


@pytest.fixture
def instrumentor() -> Iterator[UsageInstrumentor]:
    """The one instrumentor of the process, taken back after the test."""
    made = UsageInstrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


@pytest.fixture
def shelf(write: Write) -> Callable[[], ModuleType]:
    """Import a small program."""
    write(shelf=SHELF)
    return lambda: importlib.import_module("shelf")


@pytest.fixture
def providers() -> Iterator[dict[str, Any]]:
    """Real providers that keep what they get in memory: ``spans`` and ``reader`` have it."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider, meter_provider = TracerProvider(shutdown_on_exit=False), MeterProvider([reader])
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    yield {
        "spans": spans,
        "reader": reader,
        "given": {"tracer_provider": tracer_provider, "meter_provider": meter_provider},
    }
    tracer_provider.shutdown()
    meter_provider.shutdown()


def _file(folder: Path) -> Path:
    path = folder / "targets.toml"
    path.write_text('[track]\ndeploy = "shelf:deploy"\n')
    return path


GIVEN: dict[str, Callable[[Path], Any]] = {
    "tables": lambda _: [DEPLOY],
    "targets": lambda _: [Target("shelf:deploy", "deploy", {"artifact_type": "skill"})],
    "a path": _file,
    "the text of a path": lambda folder: str(_file(folder)),
    "callables": lambda _: ({**DEPLOY, "metadata": {"length": lambda call: len(call.result)}},),
}


@pytest.mark.parametrize("form", GIVEN)
def test_targets_and_providers_that_are_given_are_used(
    tmp_path: Path, instrumentor: Any, shelf: Any, providers: Any, form: str
) -> None:
    """Each form of targets; spans and metrics go to the providers that are given, redacted."""
    instrumentor.instrument(targets=GIVEN[form](tmp_path), **providers["given"])
    assert shelf().deploy("canvas of bo@example.org") == "canvas of bo@example.org"
    (span,) = providers["spans"].get_finished_spans()
    assert span.name == "deploy"
    assert span.attributes["usage.artifact.name"] == "canvas of [redacted:email]"
    assert (span.attributes.get("usage.metadata.length") == 24) is (form == "callables")
    assert providers["reader"].get_metrics_data() is not None


def test_instrumenting_twice_is_harmless_and_uninstrumenting_restores(
    instrumentor: Any, shelf: Any, providers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One span a call; afterwards the functions are the module's own again, and a new start works."""
    module = shelf()
    bare = (module.deploy, module.remove)
    with caplog.at_level(logging.ERROR):
        instrumentor.instrument(targets=[DEPLOY], **providers["given"])
        instrumentor.instrument(targets=[DEPLOY], **providers["given"])
        UsageInstrumentor().instrument(targets=[DEPLOY])
    module.deploy("a")
    assert len(providers["spans"].get_finished_spans()) == 1
    instrumentor.uninstrument()
    assert (module.deploy, module.remove) == bare
    module.deploy("a")
    assert len(providers["spans"].get_finished_spans()) == 1
    instrumentor.instrument(targets=[DEPLOY], **providers["given"])
    module.deploy("a")
    assert len(providers["spans"].get_finished_spans()) == 2
    assert caplog.records == []


@pytest.mark.parametrize(
    "targets",
    [3, [3], [{}], "no/such/file.toml", [{"function": 3, "event": 3}], [{**DEPLOY, "artifact_name": "$"}], object()],
)
def test_it_never_raises(instrumentor: Any, shelf: Any, targets: Any) -> None:
    """Whatever it is given, and the program works."""
    instrumentor.instrument(targets=targets)
    assert shelf().deploy("a") == "a"


def test_where_the_user_said_no_nothing_is_put_in_force(
    instrumentor: Any, shelf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a finder nor a wrapper."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    before = list(sys.meta_path)
    instrumentor.instrument(targets=[DEPLOY])
    assert sys.meta_path == before
    assert not isinstance(shelf().deploy, wrapt.ObjectProxy)


PROGRAM = "import shelf\nprint(shelf.deploy('canvas'), shelf.remove('easel'))\n"


def test_targets_of_a_project_file_under_opentelemetry_instrument(tmp_path: Path) -> None:
    """By configuration alone: two lines in usagetrace.toml, and the standard command."""
    (tmp_path / "shelf.py").write_text(SHELF)
    (tmp_path / "tool.py").write_text(PROGRAM)
    (tmp_path / "usagetrace.toml").write_text('[track]\ndeploy = "shelf:deploy"\nremove = "shelf:remove"\n')
    ended = run([bin_path("opentelemetry-instrument"), sys.executable, tmp_path / "tool.py"], tmp_path, {})
    assert (ended.code, ended.out, ended.err) == (0, "canvas easel\n", "")
    database = tmp_path / ".local/share/usagetrace/tool/analytics.db"
    catch_up(database)
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT event_type, artifact_name FROM events ORDER BY id").fetchall()
    assert found == [("deploy", "canvas"), ("remove", "easel")]


def test_a_logger_provider_gets_points_in_time(instrumentor: Any, shelf: Any, providers: Any) -> None:
    """Given explicitly, it gets what has no length as log events; calls stay spans."""
    logs = InMemoryLogRecordExporter()
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    instrumentor.instrument(targets=[DEPLOY], logger_provider=logger_provider, **providers["given"])
    shelf().deploy("canvas")
    assert usagetrace.record_event("remove", "easel of bo@example.org", "skill")
    logger_provider.shutdown()
    (found,) = logs.get_finished_logs()
    assert found.log_record.event_name == "usage.remove"
    assert found.log_record.attributes["usage.artifact.name"] == "easel of [redacted:email]"
    assert (found.instrumentation_scope.name, found.instrumentation_scope.schema_url) == ("usagetrace", SCHEMA_URL)
    assert [span.name for span in providers["spans"].get_finished_spans()] == ["deploy"]


@pytest.mark.parametrize("given", ["none", "one that makes no logger"])
def test_without_a_logger_points_in_time_are_spans(instrumentor: Any, shelf: Any, providers: Any, given: str) -> None:
    """Nothing is logged that nobody asked for, and a provider that fails costs no event."""
    more = {} if given == "none" else {"logger_provider": object()}
    instrumentor.instrument(targets=[DEPLOY], **more, **providers["given"])
    assert usagetrace.record_event("remove", "easel", "skill")
    (span,) = providers["spans"].get_finished_spans()
    assert (span.name, span.end_time) == ("remove", span.start_time)

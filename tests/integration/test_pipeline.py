"""From a decorated function to the local file, by every way in, on our providers and on the application's."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import usagetrace
from tests.support.process import run_python
from usagetrace import pipeline, track
from usagetrace.errors import ConfigurationError
from usagetrace.exporters.sqlite import SQLiteSpanExporter
from usagetrace.spool import segments
from usagetrace.spool.layout import spool_directory
from usagetrace.store.catchup import catch_up


def rows(database: Path) -> list[dict[str, Any]]:
    """Bring in what waits in the spool, as every reader does, and return the events."""
    assert catch_up(database) is not None
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A store that tracked calls of this test go to."""
    path = tmp_path / "store" / "analytics.db"
    usagetrace.configure(service_name="shop", db_path=path)
    yield path
    usagetrace.shutdown()


def test_a_tracked_call_is_recorded_when_it_returns(database: Path) -> None:
    """Whoever reads finds the event as soon as the call has returned, with every column filled that it has."""

    @track.deploy
    def deploy(artifact_name: str, artifact_type: str, collection_name: str, project_path: str) -> dict[str, str]:
        return {"version": "1.2.0", "sha": "0123abcd"}

    deploy("canvas", "skill", "default", str(Path.home() / "projects/shop"))
    (row,) = rows(database)
    assert row["event_type"] == "deploy"
    assert (row["artifact_name"], row["artifact_type"], row["collection_name"]) == ("canvas", "skill", "default")
    assert row["project_path"] == "~/projects/shop"
    assert json.loads(row["metadata"]) == {"version": "1.2.0", "sha": "0123abcd", "success": True}
    assert (row["status"], row["error_type"], row["category"], row["priority"]) == ("ok", None, "usage", "normal")
    assert row["service_name"] == "shop"
    assert row["duration_ms"] > 0
    assert row["trace_id"] is None
    assert len(row["span_id"]) == 16


def test_the_store_is_the_users_alone(database: Path) -> None:
    """Its folders are closed to others, and so are the spool, the database and its journals."""
    old = os.umask(0)
    try:
        usagetrace.record_event("deploy", "canvas", "skill")
        assert usagetrace.flush()
    finally:
        os.umask(old)
    spool = Path(spool_directory(database))
    assert len(segments(spool)) == 1
    assert database.exists()
    for folder in (database.parent, spool):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for file in folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file.name


def test_record_event_has_no_duration(database: Path) -> None:
    """A recorded event is a point in time; it says whether it was recorded."""
    done = usagetrace.record_event(
        "sync", "canvas", "skill", "default", "/home/ada/app", {"result": "conflict", "api_key": "hunter2"}
    )
    (row,) = rows(database)
    assert done is True
    assert (row["event_type"], row["duration_ms"], row["project_path"]) == ("sync", None, "~/app")
    metadata = json.loads(row["metadata"])
    assert metadata["result"] == "conflict"
    assert "hunter2" not in metadata["api_key"]


def test_five_artifacts_of_a_search_are_five_rows(database: Path) -> None:
    """One call, one span, a row for each artifact with its position."""

    @track.search
    def search(query: str) -> list[dict[str, Any]]:
        return [{"name": f"a{n}", "type": "skill", "score": 9 - n} for n in range(8)]

    search("token counter")
    found = rows(database)
    assert [(row["artifact_name"], row["item"]) for row in found] == [(f"a{n}", n) for n in range(5)]
    assert len({row["span_id"] for row in found}) == 1
    assert [json.loads(row["metadata"])["rank"] for row in found] == [1, 2, 3, 4, 5]
    assert {json.loads(row["metadata"])["total_results"] for row in found} == {8}


@pytest.mark.parametrize("fault", ["long", "nul", "surrogate", "newline", "escape"])
def test_an_odd_name_is_stored_safely(database: Path, fault: str) -> None:
    """A name of 10 kB, with NUL, lone surrogates, newlines or terminal escapes, is stored, bounded and marked."""
    name = {
        "long": "x" * 10_000,
        "nul": "a\0b",
        "surrogate": "a\ud800b",
        "newline": "a\nb",
        "escape": "a\x1b[31mb",
    }[fault]
    assert usagetrace.record_event("deploy", name, "skill") is True
    (row,) = rows(database)
    assert len(row["artifact_name"]) <= 512
    if fault == "long":
        assert row["artifact_name"].endswith("[cut from 10000 characters]")
    assert "\0" not in row["artifact_name"]


def test_on_the_applications_providers(tmp_path: Path) -> None:
    """The application's own exporter gets the span, redacted, its meter the points, and the local file the event."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader])
    usagetrace.configure(
        service_name="shop", db_path=tmp_path / "a.db", tracer_provider=provider, meter_provider=meters
    )

    @track.deploy
    def deploy(artifact_name: str, project_path: str) -> None:
        return None

    deploy("canvas", "/home/ada/projects/shop")
    usagetrace.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["usage.project.path"] == "~/projects/shop"
    assert [row["artifact_name"] for row in rows(tmp_path / "a.db")] == ["canvas"]
    data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for r in data.resource_metrics for s in r.scope_metrics for metric in s.metrics}
    assert names == {"usage.operation.duration", "usage.events"}
    provider.shutdown()
    meters.shutdown()


def test_the_exporter_works_with_the_stock_processors(tmp_path: Path) -> None:
    """`SQLiteSpanExporter` fills a store behind the SDK's own batch processor; other spans are ignored."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    exporter = SQLiteSpanExporter(tmp_path / "a.db")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    usagetrace.configure(service_name="shop", local=False, tracer_provider=provider)
    with provider.get_tracer("other").start_as_current_span("GET /"):
        for number in range(100):
            with track.sync(artifact_name=f"s{number}", artifact_type="skill") as operation:
                operation.set(result="success", note="/home/ada/notes.txt")
    provider.shutdown()
    usagetrace.shutdown()
    found = rows(tmp_path / "a.db")
    assert len(found) == 100
    assert exporter.ignored == 1
    assert json.loads(found[0]["metadata"])["note"] == "~/notes.txt"


def test_a_wrong_argument_raises_with_every_fault() -> None:
    """What the developer got wrong is raised at once, all of it."""
    with pytest.raises(ConfigurationError) as caught:
        usagetrace.configure(retention_days=-1, otlp_endpoint="not an url")
    assert len(caught.value.faults) == 2
    assert "retention_days" in caught.value.faults[0]
    assert "otlp_endpoint" in caught.value.faults[1]


def test_configure_again_moves_on(tmp_path: Path) -> None:
    """A second `configure` closes the first store and fills the second."""
    for name in ("a", "b"):
        usagetrace.configure(service_name="shop", db_path=tmp_path / f"{name}.db")
        usagetrace.record_event("deploy", name, "skill")
    usagetrace.shutdown()
    assert [row["artifact_name"] for row in rows(tmp_path / "a.db")] == ["a"]
    assert [row["artifact_name"] for row in rows(tmp_path / "b.db")] == ["b"]


def test_after_shutdown_calls_run_untracked(database: Path) -> None:
    """A tracked function works on after `shutdown`; nothing more is recorded."""

    @track.deploy
    def deploy(name: str) -> str:
        return name

    assert deploy("a") == "a"
    usagetrace.shutdown()
    assert deploy("b") == "b"
    assert pipeline.active() is None
    assert [row["artifact_name"] for row in rows(database)] == ["a"]


def test_configure_cannot_overrule_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DO_NOT_TRACK set, ``configure(enabled=True)`` records nothing and makes no file."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    usagetrace.configure(enabled=True, db_path=tmp_path / "a.db")
    assert usagetrace.record_event("deploy", "canvas", "skill") is False
    assert not (tmp_path / "a.db").exists()


def test_ids_stay_unique_after_seed_and_fork(tmp_path: Path) -> None:
    """Forked workers that seed the random generator alike still make different ids."""
    source = """
        import os, random
        import usagetrace
        usagetrace.record_event("deploy", "parent", "skill")
        children = []
        for number in range(8):
            pid = os.fork()
            if pid == 0:
                random.seed(0)
                for event in range(20):
                    usagetrace.record_event("deploy", f"child-{number}", "skill")
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
    """
    ended = run_python(source, tmp_path)
    assert (ended.code, ended.err) == (0, "")
    found = rows(tmp_path / ".local/share/usagetrace/tool/analytics.db")
    assert len(found) == 161
    assert len({(row["trace_id"], row["span_id"]) for row in found}) == 161


def test_record_event_where_the_store_refuses(tmp_path: Path) -> None:
    """Where the file is no database the event is recorded nevertheless, and waits in the spool."""
    database = tmp_path / "a.db"
    database.write_text("no database" * 100)
    usagetrace.configure(service_name="shop", db_path=database)
    assert usagetrace.record_event("deploy", "canvas", "skill") is True
    assert usagetrace.flush(0.2) is False
    usagetrace.shutdown()
    assert database.read_text() == "no database" * 100
    database.unlink()
    assert [row["artifact_name"] for row in rows(database)] == ["canvas"]


def test_a_private_name_of_the_tool_is_not_stored(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs a tool may name it: what is private in the name is redacted in the rows too."""
    usagetrace.configure(service_name="tool-of-bob" + "@" + "example.com", db_path=database)
    assert usagetrace.record_event("deploy", "canvas", "skill")
    (row,) = rows(database)
    assert row["service_name"] == "[redacted:email]"

"""The entry points, under the real ``opentelemetry-instrument`` and without it."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support.otlp import attributes, http_receiver
from tests.support.process import bin_path, run, run_python
from usagetrace.store.catchup import catch_up

APP = """
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path):
        return "done"

    @track.remove
    def remove(name):
        raise LookupError(name)

    print(deploy("canvas", "skill", project_path=__file__))
    try:
        remove("canvas")
    except LookupError:
        print("nothing to remove")
"""
EVENTS = [("deploy", "canvas", "~/app.py", "ok"), ("remove", "canvas", None, "error")]


def instrument(home: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """Run the app under opentelemetry-instrument; return exit code, output and errors."""
    home.mkdir(exist_ok=True)
    import textwrap

    (home / "app.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    ended = run([bin_path("opentelemetry-instrument"), sys.executable, home / "app.py"], home, env)
    return ended.code, ended.out, ended.err


def rows(database: Path) -> list[tuple[str, str, str | None, str]]:
    catch_up(database)
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT event_type, artifact_name, project_path, status FROM events ORDER BY id"
        ).fetchall()


@pytest.mark.parametrize("service", [None, "shop"])
def test_the_sqlite_exporter_fills_the_same_store(tmp_path: Path, service: str | None) -> None:
    """The app writes the same events into the same file with and without opentelemetry-instrument."""
    env = {} if service is None else {"OTEL_SERVICE_NAME": service}
    place = Path(".local/share/usagetrace") / (service or "app") / "analytics.db"
    plain = run_python(APP, tmp_path / "plain", env, name="app.py")
    code, out, err = instrument(tmp_path / "instrumented", {"OTEL_TRACES_EXPORTER": "usagetrace_sqlite", **env})
    assert (code, out) == (plain.code, plain.out)
    assert err == ""
    assert rows(tmp_path / "plain" / place) == EVENTS
    assert rows(tmp_path / "instrumented" / place) == EVENTS


def test_without_any_variable_everything_stays_local(tmp_path: Path) -> None:
    """Our distro names the local exporter where the environment names none."""
    code, _out, err = instrument(tmp_path, {})
    assert (code, err) == (0, "")
    assert rows(tmp_path / ".local/share/usagetrace/app/analytics.db") == EVENTS


@pytest.mark.parametrize("name", ["otlp", "usagetrace_otlp"])
def test_otlp_by_environment_is_redacted(tmp_path: Path, name: str) -> None:
    """Whichever OTLP exporter the environment names, what it sends is redacted."""
    with http_receiver() as received:
        code, _out, _err = instrument(
            tmp_path,
            {
                "OTEL_TRACES_EXPORTER": name,
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
        )
    assert code == 0
    sent = {span.name: attributes(span) for span in received.spans()}
    assert sent["deploy"]["usage.project.path"] == "~/app.py"
    assert sent["remove"]["error.type"] == "LookupError"
    assert not any(str(tmp_path).encode() in body for body in received.raw)
    assert not (tmp_path / ".local").exists()


@pytest.mark.parametrize("no", ["DO_NOT_TRACK", "USAGETRACE_DISABLED", "OTEL_SDK_DISABLED"])
def test_the_users_no_holds_here_as_well(tmp_path: Path, no: str) -> None:
    """Nothing is written when the user said no, whatever the exporter's variable says."""
    code, out, _err = instrument(tmp_path, {"OTEL_TRACES_EXPORTER": "usagetrace_sqlite", no: "true"})
    assert (code, out) == (0, "done\nnothing to remove\n")
    assert not (tmp_path / ".local").exists()


def test_every_entry_point_loads() -> None:
    """Each entry point of the package names something that exists."""
    ours = [
        point
        for group in (
            "opentelemetry_traces_exporter",
            "opentelemetry_metrics_exporter",
            "opentelemetry_id_generator",
            "opentelemetry_distro",
            "opentelemetry_configurator",
            "opentelemetry_instrumentor",
            "console_scripts",
        )
        for point in entry_points(group=group)
        if point.dist is not None and point.dist.name == "usagetrace"
    ]
    assert len(ours) == 9
    for point in ours:
        assert callable(point.load()), point


def test_metrics_by_environment_fill_the_store(tmp_path: Path) -> None:
    """OTEL_METRICS_EXPORTER=usagetrace_sqlite adds one row a day for each series."""
    code, _out, _err = instrument(
        tmp_path, {"OTEL_TRACES_EXPORTER": "usagetrace_sqlite", "OTEL_METRICS_EXPORTER": "usagetrace_sqlite"}
    )
    assert code == 0
    database = tmp_path / ".local/share/usagetrace/app/analytics.db"
    catch_up(database)
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT name, SUM(count), SUM(sum) FROM metric_daily GROUP BY name ORDER BY name"
        ).fetchall()
    assert [(name, count) for name, count, _total in found] == [("usage.events", 2), ("usage.operation.duration", 2)]
    assert found[0][2] == 2

"""This package beside ``opentelemetry-distro``, under the real ``opentelemetry-instrument``: who sets up what."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.support.otlp import Received, grpc_receiver, http_receiver
from tests.support.process import Ended, bin_path, run
from usagetrace.store.catchup import catch_up

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.name == "nt", reason="the environment is made of symbolic links here"),
]

# A program of somebody else's: one function that a target names, and telemetry of its own with a secret in it.
SHELF = "def deploy(name): return name\n"
APP = """
    from opentelemetry import metrics, trace
    from shelf import deploy

    deploy("canvas")
    with trace.get_tracer("theirs").start_as_current_span("query") as span:
        span.set_attribute("note", "gh" "p_" + "canary7" * 5 + "x")
    metrics.get_meter("theirs").create_counter("calls").add(1, {"password": "canary7"})
    print("done")
"""
SECRET = b"canary7"
# Who sets up the SDK, by the name of the entry point.
OURS, THEIRS = "usagetrace", "configurator"
OTHER = {OURS: THEIRS, THEIRS: OURS}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has what this one has, and ``opentelemetry-distro`` of the same release."""
    place = tmp_path_factory.mktemp("beside")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    (packages,) = place.glob("lib/python*/site-packages")
    paths = [entry for entry in sys.path if os.path.isdir(entry)]
    # A file of paths that have none themselves: their own such files are not read again.
    (packages / "here.pth").write_text("".join(f"{entry}\n" for entry in paths), "utf-8")
    release = version("opentelemetry-instrumentation")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--target", str(packages), f"opentelemetry-distro=={release}"], check=True, timeout=300)
    with pytest.raises(PackageNotFoundError):
        # It stays out of the environment of these tests: other tests run without it.
        version("opentelemetry-distro")
    return python


def beside(python: Path, home: Path, env: dict[str, str], distro: str | None, configurator: str | None) -> Ended:
    """Run the program under ``opentelemetry-instrument``."""
    home.mkdir(exist_ok=True)
    (home / "app.py").write_text(textwrap.dedent(APP), "utf-8")
    (home / "shelf.py").write_text(SHELF, "utf-8")
    (home / "usagetrace.toml").write_text('[track]\ndeploy = "shelf:deploy"\n', "utf-8")
    chosen = {"OTEL_PYTHON_DISTRO": distro, "OTEL_PYTHON_CONFIGURATOR": configurator}
    said = {**env, **{name: value for name, value in chosen.items() if value is not None}}
    ended = run([bin_path("opentelemetry-instrument"), python, home / "app.py"], home, said)
    assert (ended.code, ended.out) == (0, "done\n"), ended.err
    return ended


def remark(configurator: str, ended: Ended) -> str:
    """Return the SDK's one line on standard error where two packages bring a configurator, however it goes on."""
    (line,) = [line for line in ended.err.splitlines() if not line.startswith("OTEL_CONFIG_FILE is set; ignoring")]
    assert line.startswith(f"Configuration of {OTHER[configurator]} not loaded")
    return line


def events(home: Path) -> list[tuple[str, str]]:
    """Return what is in the local store."""
    database = home / ".local/share/usagetrace/app/analytics.db"
    if not database.parent.exists():
        return []
    catch_up(database)
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT event_type, artifact_name FROM events").fetchall()


def leaked(received: Received) -> bool:
    return any(SECRET in body.lower() for body in received.raw)


def names(received: Received) -> list[str]:
    return sorted(span.name for span in received.spans())


@pytest.mark.parametrize("configurator", [OURS, THEIRS])
def test_our_distro_keeps_everything_local(python: Path, tmp_path: Path, configurator: str) -> None:
    """With either configurator nothing leaves, and the event is in the local store; the SDK writes one line."""
    with grpc_receiver() as received:
        ended = beside(
            python, tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}, OURS, configurator
        )
    assert remark(configurator, ended)
    assert received.raw == []
    assert events(tmp_path / "home") == [("deploy", "canvas")]


@pytest.mark.parametrize("configurator", [OURS, THEIRS])
def test_their_distro_sends_spans_and_metrics_by_grpc(python: Path, tmp_path: Path, configurator: str) -> None:
    """Our configurator redacts all of it; with theirs, what is not ours leaves as it is. Nothing is stored locally."""
    home = tmp_path / "home"
    with grpc_receiver() as received:
        ended = beside(python, home, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}, "distro", configurator)
    assert remark(configurator, ended)
    assert names(received) == ["deploy", "query"]
    assert received.metric_names() == {"calls", "usage.events", "usage.operation.duration"}
    assert leaked(received) is (configurator == THEIRS)
    assert events(home) == []


@pytest.mark.parametrize("configurator", [OURS, THEIRS])
def test_exporters_that_are_named_redact_by_themselves(python: Path, tmp_path: Path, configurator: str) -> None:
    """``usagetrace_sqlite`` and ``usagetrace_otlp`` are the way with the other distro and the other configurator."""
    home = tmp_path / "home"
    with http_receiver() as received:
        env = {
            "OTEL_TRACES_EXPORTER": "usagetrace_sqlite,usagetrace_otlp",
            "OTEL_METRICS_EXPORTER": "usagetrace_otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        beside(python, home, env, "distro", configurator)
    assert names(received) == ["deploy", "query"]
    assert "calls" in received.metric_names()
    assert not leaked(received)
    assert events(home) == [("deploy", "canvas")]


def test_without_a_choice_one_package_sets_up_both(python: Path, tmp_path: Path) -> None:
    """Which one depends on the order in which they are found: distro and configurator are of the same package."""
    home = tmp_path / "home"
    with grpc_receiver() as received:
        ended = beside(python, home, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint}, None, None)
    ours_first = ended.err == "Configuration of configurator not loaded, usagetrace already loaded\n"
    assert ours_first or ended.err == "Configuration of usagetrace not loaded, configurator already loaded\n"
    assert events(home) == ([("deploy", "canvas")] if ours_first else [])
    assert names(received) == ([] if ours_first else ["deploy", "query"])


@pytest.mark.parametrize("configurator", [OURS, THEIRS])
@pytest.mark.parametrize("exporter", ["otlp_http", "usagetrace_otlp"])
def test_a_configuration_file_counts_whoever_reads_it(
    python: Path, tmp_path: Path, exporter: str, configurator: str
) -> None:
    """What it names gets the spans. Redacted is what our configurator sets up, and what redacts by itself."""
    pytest.importorskip(
        "opentelemetry.configuration", reason="the package opentelemetry-configuration is not installed"
    )
    home = tmp_path / "home"
    with http_receiver() as received:
        # The other distro sets the protocol to grpc where nothing says it; ours take the base URL, and know the paths.
        told = (
            {"endpoint": f"{received.endpoint}/v1/traces"}
            if exporter == "otlp_http"
            else {"endpoint": received.endpoint, "protocol": "http/protobuf"}
        )
        file = {
            "file_format": "1.0",
            "tracer_provider": {
                "processors": [
                    {"batch": {"exporter": {exporter: told}}},
                    {"batch": {"exporter": {OURS + "_sqlite": {}}}},
                ]
            },
        }
        # JSON is YAML as well.
        (tmp_path / "otel.yaml").write_text(json.dumps(file), "utf-8")
        ended = beside(python, home, {"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")}, "distro", configurator)
    assert remark(configurator, ended)
    assert names(received) == ["deploy", "query"]
    assert leaked(received) is (exporter == "otlp_http" and configurator == THEIRS)
    assert events(home) == [("deploy", "canvas")]

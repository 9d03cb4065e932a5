"""OTLP: never by default, both protocols by the standard exporters, beside the local file, bounded at exit."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.otlp import attributes, grpc_receiver, http_receiver
from tests.support.process import run_python
from usagetrace.store.catchup import catch_up

TOOL = """
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path):
        return "done"

    print(deploy("canvas", "skill", project_path=__file__))
"""
BOTH = (
    TOOL
    + """
    import usagetrace

    usagetrace.event("panic_caught", {"code": "E1", "message": "m"})
"""
)
FAILING = """
    from usagetrace import track

    @track.sync
    def sync(name):
        raise ValueError("token=" + "ghp_" + "a1B2c3D4e5F6" * 3)

    try:
        sync("canvas")
    except ValueError:
        print("failed as it should")
"""


def stored(home: Path, service: str = "tool") -> list[tuple[str, str, str]]:
    database = home / ".local/share/usagetrace" / service / "analytics.db"
    catch_up(database)
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT event_type, artifact_name, status FROM events ORDER BY id").fetchall()


@contextmanager
def silent_port() -> Iterator[str]:
    """Listen, accept and never answer: the worst endpoint there is."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        held: list[socket.socket] = []
        stop = threading.Event()
        server.settimeout(0.1)

        def accept() -> None:
            while not stop.is_set():
                try:
                    held.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()
            for connection in held:
                connection.close()


def dead_port() -> str:
    """Return an address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_standard_variables_send_spans_beside_the_local_file(tmp_path: Path, protocol: str) -> None:
    """An endpoint in the environment gets the span, redacted; the local file gets the event as well."""
    with http_receiver() if protocol == "http/protobuf" else grpc_receiver() as received:
        ended = run_python(
            TOOL,
            tmp_path,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol},
        )
    assert (ended.code, ended.out, ended.err) == (0, "done\n", "")
    assert stored(tmp_path) == [("deploy", "canvas", "ok")]
    (span,) = received.spans()
    sent = attributes(span)
    assert span.name == "deploy"
    assert sent["usage.artifact.name"] == "canvas"
    assert sent["usage.project.path"] == "~/tool.py"
    assert received.metric_names() == {"usage.operation.duration", "usage.events"}
    assert not any(str(tmp_path).encode() in body for body in received.raw)


def test_without_an_endpoint_nothing_is_sent_and_no_exporter_is_imported(tmp_path: Path) -> None:
    """Local-only is the default: the OTLP exporters are not even loaded."""
    ended = run_python(TOOL + "\n    import sys; print('opentelemetry.exporter.otlp' in sys.modules)\n", tmp_path)
    assert ended.out == "done\nFalse\n"
    assert stored(tmp_path) == [("deploy", "canvas", "ok")]


def test_none_in_the_standard_variable_forbids_otlp(tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none are heard."""
    with http_receiver() as received:
        run_python(
            TOOL,
            tmp_path,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
            },
        )
    assert received.raw == []
    assert stored(tmp_path) == [("deploy", "canvas", "ok")]


def test_an_endpoint_given_to_configure_is_a_base_url(tmp_path: Path) -> None:
    """``configure(otlp_endpoint=...)`` appends the signal's path, as the standard variable does."""
    with http_receiver() as received:
        configured = f'usagetrace.configure(service_name="mine", otlp_endpoint="{received.endpoint}/")'
        ended = run_python(f"    import usagetrace\n    {configured}\n{TOOL}", tmp_path)
    assert ended.code == 0
    assert [span.name for span in received.spans()] == ["deploy"]
    assert stored(tmp_path, "mine") == [("deploy", "canvas", "ok")]


def test_local_false_sends_and_writes_no_file(tmp_path: Path) -> None:
    """With ``local`` off there is no database, and OTLP still works."""
    with http_receiver() as received:
        run_python(TOOL, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "USAGETRACE_LOCAL": "false"})
    assert [span.name for span in received.spans()] == ["deploy"]
    assert not (tmp_path / ".local").exists()


def test_no_secret_of_an_exception_leaves(tmp_path: Path) -> None:
    """The message of an exception is redacted in the bytes that leave; its type is kept."""
    with http_receiver() as received:
        run_python(FAILING, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint})
    (span,) = received.spans()
    sent = attributes(span)
    assert sent["error.type"] == "ValueError"
    assert sent["usage.metadata.result"] == "error"
    assert not span.events
    assert span.status.message == ""
    assert not any(b"a1B2c3D4e5F6" in body for body in received.raw)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("endpoint", ["refused", "silent", "erring"])
def test_a_dead_endpoint_delays_the_exit_by_at_most_the_setting(tmp_path: Path, endpoint: str, protocol: str) -> None:
    """The tool's output is unchanged, one line tells of the fault at most, and the exit waits no longer than it may:
    for spans, for log events, and for one that is sent at once."""
    bare = run_python("print('done')", tmp_path, name="bare.py")
    if endpoint == "refused":
        ended = run_python(BOTH, tmp_path, _speak(dead_port(), protocol))
    elif endpoint == "silent":
        with silent_port() as address:
            ended = run_python(BOTH, tmp_path, _speak(address, protocol))
    else:
        with http_receiver(status=503) as received:
            ended = run_python(BOTH, tmp_path, _speak(received.endpoint, protocol))
    assert (ended.code, ended.out) == (0, "done\n")
    assert len(ended.err.splitlines()) <= 1
    assert stored(tmp_path) == [("deploy", "canvas", "ok"), ("panic_caught", "", "error")]
    # 1 s for the exit; the rest is for starting an interpreter on a machine that is busy with other tests.
    assert ended.seconds - bare.seconds < 1.0 + 5.0


def _speak(endpoint: str, protocol: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

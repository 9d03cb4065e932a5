"""A real collector between a tool and a receiver: what comes out at the far end is redacted and complete."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.otlp import Received, attributes, http_receiver
from tests.support.ports import free_port
from tests.support.process import run_python

pytestmark = pytest.mark.e2e

TOOL = """
    from usagetrace import track

    @track.deploy
    def deploy(artifact_name, artifact_type, project_path):
        return True

    @track.search
    def search(query):
        return [{"name": f"found-{n}", "type": "skill", "score": n} for n in range(7)]

    for number in range(50):
        deploy(f"skill-{number}", "skill", project_path=__file__)
    search("where is " + __file__)
"""


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None, "the collector ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the collector does not listen")


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[dict[str, str], Received]]:
    """A running collector that passes everything on to a receiver; yields its endpoints by protocol."""
    spec = find_spec("rotel")
    assert spec is not None
    assert spec.origin is not None
    http_port, grpc_port = free_port(), free_port()
    with http_receiver() as received:
        process = subprocess.Popen(
            [
                Path(spec.origin).parent / "rotel-agent",
                "start",
                f"--pid-file={tmp_path / 'collector.pid'}",
                f"--log-file={tmp_path / 'collector.log'}",
                f"--otlp-http-endpoint=127.0.0.1:{http_port}",
                f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
                "--exporter=otlp",
                "--otlp-exporter-protocol=http",
                "--otlp-exporter-compression=none",
                f"--otlp-exporter-endpoint={received.endpoint}",
                "--batch-timeout=100ms",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(http_port, process)
            wait_for(grpc_port, process)
            yield (
                {"http/protobuf": f"http://127.0.0.1:{http_port}", "grpc": f"http://127.0.0.1:{grpc_port}"},
                received,
            )
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_spans_and_metrics_pass_a_real_collector(
    tmp_path: Path, collector: tuple[dict[str, str], Received], protocol: str
) -> None:
    """51 calls arrive as 51 spans with their attributes, none with a path of the machine, by either protocol."""
    endpoints, received = collector
    home = tmp_path / "home"
    ended = run_python(
        TOOL, home, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoints[protocol], "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    )
    assert (ended.code, ended.err) == (0, "")
    deadline = time.monotonic() + 10
    while (len(received.spans()) < 51 or len(received.metric_names()) < 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    spans = received.spans()
    assert sorted(span.name for span in spans) == ["deploy"] * 50 + ["search"]
    assert {attributes(span)["usage.artifact.name"] for span in spans if span.name == "deploy"} == {
        f"skill-{number}" for number in range(50)
    }
    (found,) = [attributes(span) for span in spans if span.name == "search"]
    assert found["usage.item.artifact.name"] == [f"found-{number}" for number in range(5)]
    assert found["usage.metadata.total_results"] == 7
    assert received.metric_names() == {"usage.operation.duration", "usage.events"}
    assert not any(str(home).encode() in body for body in received.raw)
    assert sys.executable  # the interpreter's path is in no attribute either
    assert not any(sys.executable.encode() in body for body in received.raw)

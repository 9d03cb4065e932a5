"""One of our Collectors with everything caught that comes out of it."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.otelcol import Collector, collector, make_certificates
from tests.support.otlp import http_receiver
from tests.support.otlp_sink import post_until_taken

PATHS = {"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"}

# A Collector that writes down whatever an agent sends, and does nothing else.
CATCH = """
extensions:
  health_check:
    endpoint: ${env:USAGETRACE_CATCH_HEALTH}
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${env:USAGETRACE_CATCH_GRPC}
        tls:
          cert_file: ${env:USAGETRACE_CATCH_TLS}/gateway.crt
          key_file: ${env:USAGETRACE_CATCH_TLS}/gateway.key
          client_ca_file: ${env:USAGETRACE_CATCH_TLS}/ca.crt
exporters:
  file:
    path: ${env:USAGETRACE_CATCH_STATE}/caught.jsonl
    create_directory: true
    rotation: {max_megabytes: 100}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
"""


class Running:
    """A Collector of ours, and what came out of it."""

    def __init__(self, front: Collector, certificates: Path, out: Callable[[], list[bytes]]) -> None:
        self._front = front
        self._certificates = certificates
        self.out = out
        self.state = front.state

    def post(self, signal: str, request: Any, *, certificate: bool = True) -> None:
        """Send a request straight to it, as any program may."""
        body = request.SerializeToString()
        if self._front.role != "gateway":
            post_until_taken(self._front.endpoint, PATHS[signal], body)
            return
        context = ssl.create_default_context(cafile=str(self._certificates / "ca.crt"))
        if certificate:
            context.load_cert_chain(self._certificates / "agent.crt", self._certificates / "agent.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self._front.http, context=context, timeout=20)
        try:
            connection.request("POST", PATHS[signal], body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            assert (answer.status, answer.read()[:0]) == (200, b"")
        finally:
            connection.close()

    def wait_for(self, *texts: bytes) -> bytes:
        """Return all that came out, once it has each of these texts."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            everything = b"\n".join(self.out())
            if all(text in everything for text in texts):
                return everything
            time.sleep(0.05)
        raise AssertionError(f"of {texts} not all came out in {everything[:2000]!r}\n{self._front.log()[-3000:]}")


@contextmanager
def running(role: str, folder: Path, **settings: str) -> Iterator[Running]:
    """Run one configuration, and what catches all that comes out of it."""
    certificates = make_certificates(folder / "tls")
    with ExitStack() as stack:
        if role == "agent":
            configuration = folder / "catch.yaml"
            configuration.write_text(CATCH, encoding="utf-8")
            tls = {"USAGETRACE_CATCH_TLS": str(certificates)}
            behind = stack.enter_context(collector("catch", folder, tls, configuration))
            own = {"USAGETRACE_AGENT_TLS": str(certificates), "USAGETRACE_GATEWAY": f"127.0.0.1:{behind.grpc}"}
            caught = behind.state / "caught.jsonl"
        else:
            received = stack.enter_context(http_receiver())
            own = {"USAGETRACE_GATEWAY_TLS": str(certificates), "USAGETRACE_RECEIVER": received.endpoint}
        front = stack.enter_context(collector(role, folder, {**own, **settings}))

        def out() -> list[bytes]:
            if role == "agent":
                return [caught.read_bytes()] if caught.exists() else []
            files = [file.read_bytes() for file in front.state.glob("*.jsonl")]
            return [*received.raw, *files]

        yield Running(front, certificates, out)

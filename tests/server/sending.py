"""A program that sends spans by OpenTelemetry's own SDK and exporters until its input ends, for the tests of kills.

Run as ``python -m tests.server.sending http|grpc ENDPOINT PREFIX``. It prints a line with the names of each batch that
was acknowledged; a batch that was not is sent again.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

BATCH = 16


class Ended(SpanProcessor):
    """Keeps the spans that ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span."""
        self.spans.append(span)


def exporter(protocol: str, endpoint: str) -> SpanExporter:
    """Return the SDK's exporter of a protocol."""
    made: Any
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        made = Grpc(endpoint=endpoint, insecure=True, timeout=2)
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

        made = Http(endpoint=f"{endpoint}/v1/traces", timeout=2, compression=Compression.Gzip)
    return made  # type: ignore[no-any-return]  # one class or the other


def main(protocol: str, endpoint: str, prefix: str) -> None:
    """Send until the input ends."""
    # Servers that are killed are what this is about: of each, the exporters log a warning.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    ended = Ended()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(ended)
    tracer = provider.get_tracer("usagetrace")
    target = exporter(protocol, endpoint)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    number = 0
    while not stop.is_set():
        names = [f"{prefix}-{number + each}" for each in range(BATCH)]
        number += BATCH
        for name in names:
            attributes = {"usage.event.type": "deploy", "usage.artifact.name": name, "usage.artifact.type": "skill"}
            tracer.start_span("deploy", attributes=attributes).end()
        batch = ended.spans[:]
        ended.spans.clear()
        while target.export(batch) is not SpanExportResult.SUCCESS:
            time.sleep(0.02)
        print(*names, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

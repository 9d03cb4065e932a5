"""One call, instrumented by Logfire: python call_logfire.py DIRECTORY. Its spans go to an exporter that counts them."""

import blocks
import logfire
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

exported = [0]


class Nowhere(SpanExporter):
    """Counts spans."""

    def export(self, spans):
        """Count a batch."""
        exported[0] += len(spans)
        return SpanExportResult.SUCCESS


# The stock processor that Logfire would have for its own exporter.
logfire.configure(
    send_to_logfire=False, console=False, inspect_arguments=False,
    additional_span_processors=[BatchSpanProcessor(Nowhere())],
)  # fmt: skip


@logfire.instrument("deploy")
def deploy(name, kind, collection, project, version):
    """Do nothing, instrumented; arguments become attributes."""
    return True


def count():
    """Return how many spans were exported."""
    logfire.force_flush()
    return exported[0]


blocks.run(
    lambda name: deploy(name, "skill", "default", "/srv/shop", "1.2.0"), logfire.force_flush, count
)  # fmt: skip

"""A command with one call, instrumented by Logfire; the span goes to an exporter that counts it."""

import logfire
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

exported = []


class Nowhere(SpanExporter):
    """Notes the names of spans."""

    def export(self, spans):
        """Note a batch."""
        exported.extend(span.name for span in spans)
        return SpanExportResult.SUCCESS


logfire.configure(
    send_to_logfire=False, console=False, inspect_arguments=False,
    additional_span_processors=[SimpleSpanProcessor(Nowhere())],
)  # fmt: skip


@logfire.instrument("deploy")
def deploy(artifact_name, artifact_type, collection_name, project_path):
    """Do nothing, instrumented."""
    return True


deploy("canvas", "skill", "default", "/srv/shop")
if exported[-1:] != ["deploy"]:
    raise SystemExit(f"exported: {exported}")

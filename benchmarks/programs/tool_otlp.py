"""A command with one span on the bare SDK, the stock OTLP exporter behind it, and no collector listening."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource({"service.name": "tool"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("tool").start_as_current_span(
    "deploy", attributes={f"tool.attribute.{n}": f"value {n}" for n in range(8)}
):
    pass

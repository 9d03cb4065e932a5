"""A command with one span on the bare SDK that goes nowhere."""

import wrapt  # noqa: F401 -- what it costs to import is part of the comparison
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider(resource=Resource({"service.name": "bare"})).get_tracer("bare")
with tracer.start_as_current_span("deploy", attributes={f"bare.attribute.{n}": f"value {n}" for n in range(8)}):
    pass

"""Trace context by headers: the trace of whoever sent a request, for the operations that answer it.

``traceparent`` and ``tracestate`` of a request are taken up while it is handled, where nothing else did: a span that is
current already is the program's own, or of its instrumentation, and stays. What is made current is a span that only
carries ids; nothing is recorded here. OpenTelemetry's API is loaded at the first request that has the header.
"""

from __future__ import annotations

from contextlib import contextmanager

from usagetrace.autoinstrument.propagation import parse, remote_span
from usagetrace.guard import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Final

# In small letters, as ASGI has all names.
_PARENT: Final = b"traceparent"
_STATE: Final = b"tracestate"


def names_a_trace(scope: Mapping[str, Any]) -> bool:
    """Return whether a request has the header at all: most have not, and that is cheap to know."""
    return any(name == _PARENT for name, _value in scope.get("headers") or ())


@contextmanager
def taken_up(scope: Mapping[str, Any]) -> Iterator[None]:
    """Let what runs inside be of the trace that a request came in. Nothing of ours raises.

    Args:
        scope: The request's, as ASGI has it: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """
    token = None
    with guard:
        token = _attached(scope.get("headers") or ())
    try:
        yield
    finally:
        if token is not None:
            with guard:
                from opentelemetry import context

                context.detach(token)


def _attached(headers: Iterable[tuple[bytes, bytes]]) -> Any:
    """Make the sender's span the current one; return what takes that back, or None where there is nothing to do."""
    said = [value for name, value in headers if name == _PARENT]
    # More than one: whoever sent that is not to be trusted with either.
    if len(said) != 1 or parse(said[0].decode("latin-1")) is None:
        return None
    from opentelemetry import context
    from opentelemetry.trace import get_current_span, set_span_in_context

    if get_current_span().get_span_context().is_valid:
        return None
    states = [value.decode("latin-1") for name, value in headers if name == _STATE]
    return context.attach(set_span_in_context(remote_span(said[0].decode("latin-1"), ",".join(states))))
